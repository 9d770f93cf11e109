"""The terminals of a grammar as a user would write them: an enumeration by its values, other text by a name."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from re import _constants, _parser  # type: ignore[attr-defined]  # The standard library's own parser; lark uses it as well.
from typing import TYPE_CHECKING, Any

from sofit.grammar.recogniser import END, set_warnings_ignored

if TYPE_CHECKING:
    from lark import Lark
    from lark.lexer import TerminalDef

END_OF_OUTPUT = "end of output"

_MOST_VALUES = 200
_LONGEST_PATTERN = 24


class Terminals:
    """What the terminals of a grammar match.

    A terminal is closed if it matches a few texts only, as a keyword or `"yes" | "no"` does, and open otherwise.
    """

    def __init__(self, parser: "Lark"):
        self.values: Mapping[str, tuple[str, ...]] = {t.name: values_of(t.pattern.to_regexp()) or () for t in parser.terminals}
        """The texts that each terminal matches; none for an open one."""
        self._names = {terminal.name: _display_name(terminal) for terminal in parser.terminals}
        self._blank = frozenset(t.name for t in parser.terminals if re.fullmatch(t.pattern.to_regexp(), " "))
        self.literals = frozenset(value for values in self.values.values() for value in values)
        """All texts of all closed terminals."""

    def is_open(self, terminal: str) -> bool:
        """Whether the terminal matches too many texts to list."""
        return terminal in self.values and not self.values[terminal]

    def name(self, terminal: str) -> str:
        """Returns what to call a terminal in a message."""
        return self._names[terminal]

    def closed(self, terminals: Iterable[str]) -> tuple[str, ...]:
        """Returns the texts of the closed ones of `terminals`, in order."""
        return tuple(sorted({value for terminal in terminals for value in self.values.get(terminal, ())}))

    def spell(self, terminals: Iterable[str]) -> tuple[str, ...]:
        """Returns the texts of closed terminals, then the names of open ones, then the end of the output.

        White space that may stand there is left out where anything else may.
        """
        terminals = set(terminals)
        terminals = terminals - self._blank or terminals
        names = sorted(self._names[terminal] for terminal in terminals if self.is_open(terminal))
        return (*self.closed(terminals), *names, *([END_OF_OUTPUT] if END in terminals else []))


def values_of(pattern: str, *, most: int = _MOST_VALUES, in_any_case: bool = True) -> tuple[str, ...] | None:
    """Returns all texts that a regular expression matches, in its own order; None where they are many or cannot be listed.

    Args:
        pattern: the expression.
        most: how many are too many.
        in_any_case: whether a letter that may be small or capital stands for two texts, of which then none is listed; if not,
            it stands for the one that is written.
    """
    values = _Listing(most, in_any_case).values(parse_pattern(pattern))
    return None if values is None else tuple(dict.fromkeys(values))


def is_bounded(pattern: str) -> bool:
    """Whether all texts of a regular expression are shorter than some length."""
    return parse_pattern(pattern).getwidth()[1] < _constants.MAXREPEAT


def parse_pattern(pattern: str) -> Any:
    """Returns the syntax tree of a regular expression that compiles: a sequence of (operator, argument) pairs."""
    with set_warnings_ignored():
        return _parser.parse(pattern)


def _display_name(terminal: "TerminalDef") -> str:
    """Returns the name, with the expression where that is short and says more, such as "YEAR /[0-9]{4}/"."""
    expression = terminal.pattern.value
    if terminal.name.startswith("__"):
        return f"/{expression}/"
    return f"{terminal.name} /{expression}/" if len(expression) <= _LONGEST_PATTERN else terminal.name


@dataclass(frozen=True)
class _Listing:
    """How `values_of` lists texts."""

    most: int
    in_any_case: bool

    def values(self, tree: Any) -> list[str] | None:
        """Returns the texts of a sequence: every combination of those of its parts."""
        if self.in_any_case and getattr(tree, "state", None) is not None and tree.state.flags & re.IGNORECASE:
            return None
        combined = [""]
        for operator, argument in tree:
            part = self._values_of_part(operator, argument)
            if part is None or len(combined) * len(part) > self.most:
                return None
            combined = [first + second for first, second in product(combined, part)]
        return combined

    def _values_of_part(self, operator: Any, argument: Any) -> list[str] | None:
        if operator is _constants.LITERAL:
            return [chr(argument)]
        if operator is _constants.IN:
            return self._values_of_set(argument)
        if operator is _constants.BRANCH:
            branches = [self.values(branch) for branch in argument[1]]
            values = [value for branch in branches for value in branch or ()]
            return None if None in branches or len(values) > self.most else values
        if operator is _constants.SUBPATTERN:
            _, added_flags, _, content = argument
            # A literal without regard to case is written in one way and read in many.
            return None if self.in_any_case and added_flags & re.IGNORECASE and self._has_cases(content) else self.values(content)
        if operator is _constants.MAX_REPEAT:
            least, most, content = argument
            once = self.values(content)
            if once is None or most > _MOST_VALUES:
                return None
            values: list[str] = []
            for count in range(least, int(most) + 1):
                if len(once) ** count + len(values) > self.most:
                    return None
                values += ["".join(parts) for parts in product(once, repeat=count)]
            return values
        return None

    def _values_of_set(self, items: Any) -> list[str] | None:
        values: list[str] = []
        for operator, argument in items:
            if operator is _constants.LITERAL:
                values.append(chr(argument))
            elif operator is _constants.RANGE and argument[1] - argument[0] < self.most:
                values += map(chr, range(argument[0], argument[1] + 1))
            else:
                return None
        return values

    def _has_cases(self, tree: Any) -> bool:
        return (values := self.values(tree)) is None or any(value.swapcase() != value for value in values)
