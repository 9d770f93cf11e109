"""Function calls, the meaning representations of ViGGO, and the two ways to read one.

    give_opinion(name[Tetris], rating[excellent], genres[puzzle], platforms[Nintendo, PC])

`parse_call` takes what the grammar accepts. `read_call` finds whatever looks like a call in any text, as the published
results on ViGGO do; where the grammar accepts a text, both find the same call, but for letter case.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sofit_grammars import builtin_grammar

if TYPE_CHECKING:
    from lark import Token, Tree

GRAMMAR = builtin_grammar("viggo")

ATTRIBUTES = (
    "name",
    "exp_release_date",
    "release_year",
    "developer",
    "esrb",
    "rating",
    "genres",
    "player_perspective",
    "has_multiplayer",
    "platforms",
    "available_on_steam",
    "has_linux_release",
    "has_mac_release",
    "specifier",
)
"""All attributes, in the order in which the data writes them."""

ROLES = {
    "start": "function",
    "function": "function",
    "attribute": "attribute",
    "attribute_name": "attribute",
    **dict.fromkeys(("TEXT", "YEAR", "ITEM", "age_rating", "mark", "yes_or_no"), "value"),
}
"""What the grammar's parts are; "request_attribute" is the one word that stands in `start` itself."""

_FUNCTION = re.compile(r"(\w+)\(")
_ATTRIBUTE = re.compile(r"(\w+)\[([^\]]*)\]")


@dataclass(frozen=True)
class FunctionCall:
    """A function with its attributes, in the order in which they were written."""

    function: str
    attributes: tuple[tuple[str, str], ...]

    @property
    def values(self) -> Mapping[str, str]:
        """Each attribute's value; the last one where an attribute is repeated."""
        return dict(self.attributes)

    def __str__(self) -> str:
        return f"{self.function}({', '.join(f'{name}[{value}]' for name, value in self.attributes)})"

    def in_order(self) -> "FunctionCall":
        """Returns the call with its attributes in the order of the data."""
        return FunctionCall(self.function, tuple(sorted(self.attributes, key=lambda attribute: ATTRIBUTES.index(attribute[0]))))

    def lower(self) -> "FunctionCall":
        """Returns the call in lower case."""
        return FunctionCall(self.function.lower(), tuple((name.lower(), value.lower()) for name, value in self.attributes))


def parse_call(text: str) -> FunctionCall | None:
    """Reads a text by the grammar; None where it does not parse."""
    if not GRAMMAR.accepts(text):
        return None
    tree = GRAMMAR.parse(text)
    parts = [node for node in tree.children if _rule(node) in ("attribute", "question")]
    return FunctionCall(_text(tree.children[0]), tuple(_attribute(part) for part in parts if not isinstance(part, str)))


def read_call(text: str) -> FunctionCall:
    """Finds the first `name(`, and every `attribute[value]` after it, in a text of any kind, in lower case.

    Without a `name(` the function is "" and the attributes are those of the whole text.
    """
    text = text.lower()
    function = _FUNCTION.search(text)
    attributes = _ATTRIBUTE.findall(text, function.end() if function else 0)
    return FunctionCall(function.group(1) if function else "", tuple(attributes))


def _rule(node: "Tree[Token] | Token") -> str:
    return "" if isinstance(node, str) else node.data


def _attribute(node: "Tree[Token]") -> tuple[str, str]:
    """Returns (name, value) of a node whose children are the name, "[", the value where there is one, and "]"."""
    name, _, *value, _ = node.children
    return _text(name), "".join(_text(part) for part in value)


def _text(node: "Tree[Token] | Token") -> str:
    return str(node) if isinstance(node, str) else "".join(node.scan_values(lambda leaf: True))
