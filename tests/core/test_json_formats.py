"""The formats of strings: what an expression says is what arithmetic, Python's own readers and the RFCs' examples say."""

import datetime
import ipaddress
import json
import random

import pytest

from sofit import Grammar
from sofit.grammar.engine import ByteMatcher
from sofit.grammar.walks import random_output
from sofit.json_schema.formats import DESCRIBED, has_format
from sofit.json_schema.hostnames import is_hostname, is_international_hostname


@pytest.mark.parametrize("name", DESCRIBED)
def test_masks_write_what_has_the_format(name: str):
    # Draft 6 has hostnames that are no more than their characters.
    schema = {"$schema": "http://json-schema.org/draft-06/schema#", "type": "string", "format": name}
    grammar = Grammar.from_json_schema(schema)
    assert grammar.flaws == ()
    matcher, chance, tried = ByteMatcher(grammar.constraint()), random.Random(0), 0
    for _ in range(20):
        output = random_output(matcher, chance, 200, 1)
        tried += output is not None
        assert output is None or has_format(name, json.loads(output)), output
    assert tried > 5


def test_a_leap_second_falls_on_midnight_in_greenwich():
    grammar = Grammar.from_json_schema({"format": "time"})
    matcher, chance = ByteMatcher(grammar.constraint()), random.Random(0)
    day, midnight = 24 * 60, 23 * 60 + 59
    for number in range(2_000):
        offset, sign = chance.randrange(day), chance.choice((1, -1))
        minute = chance.randrange(day) if number % 2 else (midnight + sign * offset) % day
        fraction = chance.choice(("", ".5", ".123456"))
        east = "+" if sign > 0 else "-"
        text = f"{minute // 60:02}:{minute % 60:02}:60{fraction}{east}{offset // 60:02}:{offset % 60:02}"
        is_leap_second = (minute - sign * offset) % day == midnight
        assert has_format("time", text) == has_format("date-time", f"2016-12-31T{text}") == is_leap_second, text
        assert matcher.accepts(json.dumps(text)) == is_leap_second, text


def test_a_date_is_one_of_the_calendar():
    for year in range(1, 10_000):
        for month, day in ((2, 28), (2, 29), (2, 30), (4, 31), (12, 31), (13, 1)):
            text = f"{year:04}-{month:02}-{day:02}"
            try:
                datetime.date(year, month, day)
            except ValueError:
                assert not has_format("date", text), text
            else:
                assert has_format("date", text), text


def test_addresses_are_those_that_pythons_reader_takes():
    chance = random.Random(0)
    valid = 0
    for _ in range(10_000):
        groups = ["", "0", "ab", "12345", "::", "1.2.3.4", "256.1.1.1", "ffff", "G", ":"]
        text = chance.choice(("", ":")).join(chance.choice(groups) for _ in range(chance.randrange(1, 10)))
        try:
            ipaddress.IPv6Address(text)
        except ValueError:
            assert not has_format("ipv6", text), text
        else:
            valid += 1
            assert has_format("ipv6", text), text
            assert has_format("email", f"a@[IPv6:{text}]")
            assert has_format("uri", f"http://[{text}]:80/")
    assert valid > 100


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        (
            "time",
            ["08:30:06Z", "08:30:06.5z"],
            ["08:30:06", "24:00:00Z", "08:30:06+24:00", "08:30:06+01", "08:30:06.Z", "0\u0668:30:06Z"],
        ),
        ("date-time", ["2024-02-29t23:59:60.5z"], ["2023-02-29T00:00:00Z", "2024-02-28 00:00:00Z", "2024-02-28T00:00:00Z\n"]),
        ("duration", ["P1Y2M3DT4H5M6S", "PT36H", "P2W"], ["P", "PT", "P1YT", "P1D2H", "P1Y2D", "P1W2D", "PT0.5S"]),
        (
            "email",
            ["a.b+c@d-e.f", '"a@ \\" b"@c', "a@[1.2.3.4]"],
            ["a", "a@", ".a@b", "a..b@c", "a@-b", "a@b_c", "a@[1.2.3.256]", "é@b", "a b@c"],
        ),
        ("hostname", ["a", "1-a.b", "a" * 63], ["", ".", "a.", "-a", "a-", "a_b", "a" * 64, ".".join(["a" * 63] * 4), "é"]),
        ("ipv4", ["0.0.0.0", "255.10.9.100"], ["1.2.3", "1.2.3.04", "256.1.1.1", "1.2.3.4\n", "\u0661.1.1.1"]),
        (
            "uuid",
            ["2EB8aa08-aa98-11ea-b4aa-73b441d16380"],
            ["2eb8aa08aa9811eab4aa73b441d16380", "2eb8aa08-aa98-11ea-b4ga-73b441d16380"],
        ),
        # Examples of RFC 3986, sections 1.1.2 and 5.4.
        (
            "uri",
            [
                "ftp://ftp.is.co.za/rfc/rfc1808.txt",
                "ldap://[2001:db8::7]/c=GB?objectClass?one",
                "tel:+1-816-555-1212",
                "g:h",
                "a:",
            ],
            ["//g?y", "../g", "1a:b", "http://a b", "http://[::1", "http://a/%zz", "http://a/<>", "a://b:c/", "http://é", ""],
        ),
        ("uri-reference", ["", "//g?y", "../g", "g;x=1/./y#s", "http:g", "?a:b/c"], ["a,b:c", "1:2", "\\\\a\\b", "#a#b", "é"]),
        ("iri", ["http://é/ü?ö#ä", "http://實例/"], ["é", "http://a b", "http://\ue000/"]),
        ("iri-reference", ["é", "//é/?\ue000"], ["http://<", "\\"]),
        ("uri-template", ["http://a/{b:1}/{c*,d}{?e}{&f.g}", "é{+%41}"], ["{a", "a}", "{a b}", "{a:0}", "{}", "<", "%"]),
        ("json-pointer", ["", "/", "/a~0~1b//\n"], ["a", "/~", "/~2", "#/a"]),
    ],
)
def test_texts_have_a_format_or_not_and_the_masks_agree(name: str, inside: list[str], outside: list[str]):
    schema = {"$schema": "http://json-schema.org/draft-06/schema#", "format": name}
    grammar = Grammar.from_json_schema(schema)
    for text, is_inside in [(text, True) for text in inside] + [(text, False) for text in outside]:
        assert has_format(name, text) == is_inside, text
        assert grammar.accepts(json.dumps(text)) == is_inside, text
        assert (grammar.spelling(text) is not None) == is_inside, text


@pytest.mark.parametrize(
    ("text", "in_ascii", "in_any_script"),
    [
        ("www.example.com", True, True),
        ("xn--bcher-kva.example", True, True),
        ("bücher.example", False, True),
        ("xn--X", False, False),
        ("xn--ls8h.example", False, False),
        ("a．b", False, True),
        ("0a.א", False, False),
        ("a..b", False, False),
        ("", False, False),
    ],
)
def test_names_of_hosts_are_read_for_what_their_labels_stand_for(text: str, in_ascii: bool, in_any_script: bool):
    assert (is_hostname(text), is_international_hostname(text)) == (in_ascii, in_any_script)
    for name, is_inside in (("hostname", in_ascii), ("idn-hostname", in_any_script)):
        grammar = Grammar.from_json_schema({"type": "string", "format": name})
        assert grammar.accepts(json.dumps(text)) == is_inside
        assert f"the format '{name}' is not enforced" in grammar.flaws[0].message
