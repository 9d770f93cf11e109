"""What the grammar lets pass and the data never does: order, repetition, and values that nobody has seen.

inform(developer[Quiet Kettle], name[Moth Parade], genres[puzzel])
       ^ SOF101, should follow `name`                     ^ SOF103, "puzzle"?
"""

import difflib
from collections.abc import Iterator, Mapping

from sofit import Problem
from sofit_viggo.calls import ATTRIBUTES, parse_call

OUT_OF_ORDER = "SOF101"
REPEATED = "SOF102"
UNKNOWN_VALUE = "SOF103"

RULES: Mapping[str, str] = {
    OUT_OF_ORDER: "An attribute stands after one that it precedes in the data.",
    REPEATED: "An attribute is written twice.",
    UNKNOWN_VALUE: "A genre, perspective or platform is none that the data has.",
}

_KNOWN_VALUES = {
    "genres": (
        "action",
        "action-adventure",
        "adventure",
        "arcade",
        "driving/racing",
        "fighting",
        "hack-and-slash",
        "indie",
        "MMORPG",
        "music",
        "pinball",
        "platformer",
        "point-and-click",
        "puzzle",
        "real-time strategy",
        "role-playing",
        "shooter",
        "simulation",
        "sport",
        "strategy",
        "tactical",
        "text adventure",
        "trivia/board game",
        "turn-based strategy",
        "vehicular combat",
    ),
    "player_perspective": ("bird view", "first person", "side view", "third person"),
    "platforms": ("Nintendo", "Nintendo Switch", "PC", "PlayStation", "Xbox"),
}


def check_call(text: str) -> Iterator[Problem]:
    """Yields the rules that a call breaks, from left to right; nothing for a text that does not parse."""
    call = parse_call(text)
    if call is None:
        return
    offset = len(call.function) + len("(")
    written: list[str] = []
    for name, value in call.attributes:
        # A call is written in one way only, so the places of its parts follow from their lengths.
        value_offset = offset + len(name) + len("[")
        if name in written:
            yield Problem.at(text, offset, REPEATED, f"Attribute {name!r} is written twice.", found=name)
        else:
            yield from _check_order(text, offset, name, written)
        written.append(name)
        yield from _check_values(text, value_offset, name, value)
        offset = value_offset + len(value) + len("], ")


def _check_order(text: str, offset: int, name: str, written: list[str]) -> Iterator[Problem]:
    later = [other for other in written if ATTRIBUTES.index(other) > ATTRIBUTES.index(name)]
    if later:
        yield Problem.at(text, offset, OUT_OF_ORDER, f"Attribute {name!r} must stand before {later[0]!r}.", found=name)


def _check_values(text: str, offset: int, name: str, value: str) -> Iterator[Problem]:
    known = _KNOWN_VALUES.get(name)
    if known is None or not value:
        return
    for part in value.split(", "):
        if part not in known:
            near = difflib.get_close_matches(part, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            message = f"The data knows no value {part!r} of {name!r}.{hint}"
            suggestion = near[0] if near else None
            yield Problem.at(
                text, offset, UNKNOWN_VALUE, message, found=part, expected=known, suggestion=suggestion, severity="warning"
            )
        offset += len(part) + len(", ")
