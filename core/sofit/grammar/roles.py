"""Roles: what the parts of an output are to its grammar (a name, a value, punctuation), read off the parse tree."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

PUNCTUATION, KEYWORD, TEXT = "punctuation", "keyword", "text"
_WHOLE = "start"
"""The rule that every part of an output is in."""


@dataclass(frozen=True)
class RoleSpan:
    """Characters of an output that have one role."""

    start: int
    """From 0, in characters."""
    end: int
    """After the last one."""
    role: str


def default_roles(parser: "Lark") -> dict[str, str]:
    """Returns the role of each terminal that nobody gave one: a literal's is punctuation or keyword, another's its own name."""
    return {terminal.name: _default_role(terminal) for terminal in parser.terminals}


def possible_roles(defaults: Mapping[str, str], named: Mapping[str, str]) -> tuple[str, ...]:
    """Returns all roles that `spans` can give, those that are named first, and `text`, which no part of a tree has."""
    left = [role for terminal, role in defaults.items() if terminal not in named and (role == PUNCTUATION or _WHOLE not in named)]
    return tuple(dict.fromkeys([*named.values(), *left, TEXT]))


def spans(tree: "Tree[Token]", defaults: Mapping[str, str], named: Mapping[str, str]) -> Iterator[RoleSpan]:
    """Yields the roles of an output from its start to its end.

    A terminal that is named has that role; a literal without letters and digits is punctuation; anything else has the role of the
    innermost rule around it that is named, or its terminal's own.
    """
    left: list[tuple[Any, str | None]] = [(tree, None)]
    while left:
        node, around = left.pop()
        if hasattr(node, "children"):
            inner = named.get(str(node.data), around)
            left += [(child, inner) for child in reversed(node.children)]
        else:
            default = defaults[node.type]
            role = named.get(node.type) or (default if default == PUNCTUATION else around or default)
            yield RoleSpan(node.start_pos, node.end_pos, role)


def _default_role(terminal: Any) -> str:
    if terminal.pattern.type != "str":
        return terminal.name.lower()
    return KEYWORD if any(map(str.isalnum, terminal.pattern.value)) else PUNCTUATION
