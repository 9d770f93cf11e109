"""Names of hosts with letters of any script (RFC 5890 to 5893). Which are allowed stands in tables, not in an expression."""

import re
from unicodedata import bidirectional

from sofit.json_schema.formats import has_format

_DOTS = re.compile("[.\u3002\uff0e\uff61]")
_RIGHT_TO_LEFT = frozenset(["R", "AL", "AN"])


def is_hostname(text: str) -> bool:
    """Whether a text is a name in ASCII, whose labels after "xn--" stand for a name in another script."""
    return has_format("hostname", text) and is_international_hostname(text)


def is_international_hostname(text: str) -> bool:
    """Whether a text is a name in any script."""
    import idna

    labels = _DOTS.split(text)
    try:
        in_ascii = [idna.alabel(label) for label in labels]
        in_script = [idna.ulabel(label) for label in labels]
        if any(bidirectional(character) in _RIGHT_TO_LEFT for label in in_script for character in label):
            # One such label sets a rule for all (RFC 5893, section 1.4).
            for label in in_script:
                idna.check_bidi(label, check_ltr=True)
    except UnicodeError:  # What idna raises derives from it.
        return False
    return has_format("hostname", b".".join(in_ascii).decode("ascii"))
