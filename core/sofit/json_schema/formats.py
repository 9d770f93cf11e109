"""The formats of strings that expressions describe whole, each by the grammar of its RFC.

An expression here means the same to Python and to Rust, which llguidance reads. A format may have several of them: a text has
the format if each matches it from end to end. That keeps them short where in one they would multiply each other.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping

_HEX = "[0-9A-Fa-f]"
_HOUR, _MINUTE = "(?:[01][0-9]|2[0-3])", "[0-5][0-9]"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_ENCODED = f"%{_HEX}{{2}}"

# What RFC 3987, section 2.2, adds to the characters of an address, and to those of its query.
_UCSCHAR = "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef" + "".join(
    f"{chr(plane * 0x10000 + (0x1000 if plane == 14 else 0))}-{chr(plane * 0x10000 + 0xFFFD)}" for plane in range(1, 15)
)
_IPRIVATE = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"


@functools.cache
def expressions(name: str) -> tuple[str, ...]:
    """Returns the expressions of a format of `DESCRIBED`."""
    return tuple(DESCRIBED[name]())


def has_format(name: str, text: str) -> bool:
    """Whether a text has a format of `DESCRIBED`."""
    return all(pattern.fullmatch(text) for pattern in _patterns(name))


@functools.cache
def _patterns(name: str) -> tuple[re.Pattern[str], ...]:
    return tuple(map(re.compile, expressions(name)))


def _date() -> list[str]:
    """RFC 3339, full-date: February has 29 days in leap years alone."""
    days = "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8])"
    leap_year = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
    return [f"(?:[0-9]{{4}}-(?:{days})|{leap_year}-02-29)"]


def _time() -> list[str]:
    """RFC 3339, full-time. A leap second falls on 23:59:60 UTC, whatever time of day the offset makes of that.

    One expression holds the hours of time and offset to it, the other the minutes.
    """
    usual = rf"{_HOUR}:{_MINUTE}:[0-5][0-9](?:\.[0-9]+)?(?:[Zz]|[+-]{_HOUR}:{_MINUTE})"
    leap = r"60(?:\.[0-9]+)?"
    utc = f"23:59:{leap}[Zz]"
    hours, minutes = [], []
    for at in range(24):
        # East of Greenwich the offset is a minute more than the time of day, so a 59th minute carries. West nothing does.
        east = rf"(?:[0-4][0-9]|5[0-8]):{leap}\+{at:02}:{_MINUTE}|59:{leap}\+{(at + 1) % 24:02}:00"
        hours.append(f"{at:02}:(?:{east}|{_MINUTE}:{leap}-{23 - at:02}:{_MINUTE})")
    for at in range(60):
        minutes.append(rf"{at:02}:{leap}(?:\+{_HOUR}:{(at + 1) % 60:02}|-{_HOUR}:{59 - at:02})")
    return [f"(?:{usual}|{utc}|{'|'.join(hours)})", f"(?:{usual}|{utc}|{_HOUR}:(?:{'|'.join(minutes)}))"]


def _date_time() -> list[str]:
    """RFC 3339, date-time."""
    return [f"{date}[Tt]{time}" for date in _date() for time in _time()]


def _duration() -> list[str]:
    """RFC 3339, appendix A."""
    second = "[0-9]+S"
    minute = f"[0-9]+M(?:{second})?"
    time = f"T(?:[0-9]+H(?:{minute})?|{minute}|{second})"
    month = "[0-9]+M(?:[0-9]+D)?"
    date = f"(?:[0-9]+D|{month}|[0-9]+Y(?:{month})?)"
    return [f"P(?:{date}(?:{time})?|{time}|[0-9]+W)"]


def _email() -> list[str]:
    """RFC 5321, section 4.1.2, Mailbox; of address literals, the kinds that are registered."""
    atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
    quoted = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
    label = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    octet = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})"
    literal = rf"\[(?:{octet}(?:\.{octet}){{3}}|[Ii][Pp][Vv]6:{_ipv6()})\]"
    return [rf"(?:{atom}(?:\.{atom})*|{quoted})@(?:{label}(?:\.{label})*|{literal})"]


def _ipv6() -> str:
    """RFC 4291, section 2.2."""
    group = f"{_HEX}{{1,4}}"
    last_two = f"(?:{group}:{group}|{_IPV4})"

    def up_to(count: int) -> str:
        return f"(?:(?:{group}:){{0,{count - 1}}}{group})?" if count else ""

    # "::" stands for one group or more, so seven at most are left.
    ways = [f"(?:{group}:){{6}}{last_two}"]
    ways += [f"{up_to(5 - after)}::(?:{group}:){{{after}}}{last_two}" for after in range(6)]
    ways += [f"{up_to(6)}::{group}", f"{up_to(7)}::"]
    return f"(?:{'|'.join(ways)})"


def _hostname() -> list[str]:
    """RFC 1123, section 2.1, for which a label that begins with "xn--" is one like any other."""
    label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    return [rf"{label}(?:\.{label})*", ".{1,253}"]


def _address(*, is_relative: bool, letters: str = "", private: str = "") -> list[str]:
    """RFC 3986, appendix A: URI, or URI-reference; with more letters RFC 3987, section 2.2."""
    unreserved, delimiters = f"A-Za-z0-9._~{letters}", "!$&'()*+,;="

    def some(*more: str) -> str:
        return f"(?:[{unreserved}{delimiters}{''.join(more)}-]|{_ENCODED})"

    segment = some(":@")
    future = rf"[vV]{_HEX}+\.[A-Za-z0-9._~{delimiters}:-]+"
    authority = rf"(?:{some(':')}*@)?(?:\[(?:{_ipv6()}|{future})\]|{some()}*)(?::[0-9]*)?"
    path = f"(?:/{segment}*)*"
    absolute = f"/(?:{segment}+{path})?"
    tail = rf"(?:\?{some(':@/?', private)}*)?(?:#{some(':@/?')}*)?"
    with_scheme = f"[A-Za-z][A-Za-z0-9+.-]*:(?://{authority}{path}|{absolute}|{segment}+{path})?{tail}"
    # Its first segment has no colon, or it would be a scheme.
    relative = f"(?://{authority}{path}|{absolute}|{some('@')}+{path})?{tail}"
    return [f"(?:{with_scheme}|{relative})" if is_relative else with_scheme]


def _uri_template() -> list[str]:
    """RFC 6570, section 2."""
    literal = rf"[!#$&(-;=?-\[\]_a-z~{_UCSCHAR}{_IPRIVATE}]"
    letter = f"(?:[A-Za-z0-9_]|{_ENCODED})"
    variable = rf"{letter}(?:\.?{letter})*(?:\*|:[1-9][0-9]{{0,3}})?"
    return [rf"(?:{literal}|{_ENCODED}|\{{[+#./;?&=,!@|]?{variable}(?:,{variable})*\}})*"]


def _json_pointer() -> list[str]:
    """RFC 6901, section 3."""
    return ["(?:/(?:[^/~]|~[01])*)*"]


DESCRIBED: Mapping[str, Callable[[], Iterable[str]]] = {
    "date": _date,
    "time": _time,
    "date-time": _date_time,
    "duration": _duration,
    "email": _email,
    "hostname": _hostname,
    "ipv4": lambda: [_IPV4],
    "ipv6": lambda: [_ipv6()],
    "uuid": lambda: [f"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}"],
    "uri": lambda: _address(is_relative=False),
    "uri-reference": lambda: _address(is_relative=True),
    "iri": lambda: _address(is_relative=False, letters=_UCSCHAR, private=_IPRIVATE),
    "iri-reference": lambda: _address(is_relative=True, letters=_UCSCHAR, private=_IPRIVATE),
    "uri-template": _uri_template,
    "json-pointer": _json_pointer,
}
"""The formats, by name. The others are not made of characters alone: a `regex` nests, an `idn-hostname` is spelt by tables."""
