"""What the grammar lets pass and the data never does: order, repetition, and values that nobody has seen.

inform(developer[Quiet Kettle], name[Moth Parade], genres[puzzel])
       ^ SOF101, should follow `name`                     ^ SOF103, "puzzle"?
"""

import difflib
import re
from collections.abc import Iterator, Mapping

from sofit import Problem
from sofit_viggo.calls import ATTRIBUTES

OUT_OF_ORDER = "SOF101"
REPEATED = "SOF102"
UNKNOWN_VALUE = "SOF103"

RULES: Mapping[str, str] = {
    OUT_OF_ORDER: "An attribute stands after one that it precedes in the data.",
    REPEATED: "An attribute is written twice.",
    UNKNOWN_VALUE: "A genre, perspective or platform is none that the data has.",
}

_ATTRIBUTE = re.compile(rf"\b({'|'.join(ATTRIBUTES)})\[([^\]]*)\]")
_RANKS = {name: rank for rank, name in enumerate(ATTRIBUTES)}

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
    """Yields the rules that a call breaks, from left to right. The text is one that the grammar accepts."""
    written: list[str] = []
    # A value holds no bracket, so no tree is needed: this runs for each line of a file.
    for attribute in _ATTRIBUTE.finditer(text):
        name, value = attribute.groups()
        if name in written:
            yield Problem.at(text, attribute.start(), REPEATED, f"Attribute {name!r} is written twice.", found=name)
        elif later := [other for other in written if _RANKS[other] > _RANKS[name]]:
            message = f"Attribute {name!r} must stand before {later[0]!r}."
            yield Problem.at(text, attribute.start(), OUT_OF_ORDER, message, found=name)
        written.append(name)
        yield from _check_values(text, attribute.start(2), name, value)


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
