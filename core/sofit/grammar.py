"""A Lark grammar: parses outputs, and says what is wrong with the ones that do not parse.

One grammar serves the data check, constrained decoding, validation and the metrics. Its text stays inside the subset of
Lark that python-lark (LALR) and llguidance read alike; docs/grammars.md describes it.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sofit.errors import SofitError, did_you_mean

if TYPE_CHECKING:
    from lark import Lark, Token, Tree
    from lark.exceptions import UnexpectedInput

UNEXPECTED_CHARACTER = "SOF001"
UNEXPECTED_TOKEN = "SOF002"
TRUNCATED = "SOF003"
TRAILING_TEXT = "SOF004"
EMPTY = "SOF005"

_END = frozenset({"$END", "<END-OF-FILE>"})


@dataclass(frozen=True)
class Problem:
    """Why a text is not in the language of a grammar."""

    code: str
    message: str
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    offset: int
    """From 0, in characters from the start of the text."""
    expected: tuple[str, ...] = ()
    """What could have stood there, as a user would write it."""
    suggestion: str | None = None
    """The expected text nearest to what was found."""

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.code} {self.message}"


@dataclass(frozen=True)
class Grammar:
    """A grammar by its Lark text; the rule `start` is the whole output. Compiled when first used, then kept."""

    name: str
    text: str
    path: str = ""
    """The file it was read from, for messages; "" where it was made in memory."""

    @classmethod
    def from_file(cls, path: str | Path) -> "Grammar":
        """Reads a .lark file; the grammar is named by the file's stem.

        Raises:
            SofitError: the file cannot be read.
        """
        path = Path(path)
        try:
            return cls(path.stem, path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise SofitError(f"Cannot read the grammar {path}: {error}") from error

    @functools.cached_property
    def parser(self) -> "Lark":
        """The LALR parser, which keeps every token, so that the leaves of a tree joined are the text itself.

        Raises:
            SofitError: the text is not a Lark grammar, or not LALR(1); names the file and the place.
        """
        import lark

        try:
            return lark.Lark(self.text, parser="lalr", keep_all_tokens=True, propagate_positions=True)
        except (lark.exceptions.LarkError, ValueError) as error:
            raise SofitError(f"Grammar {self.path or self.name!r} does not compile: {str(error).strip()}") from error

    def parse(self, text: str) -> "Tree[Token]":
        """Parses a whole output.

        Raises:
            SofitError: the text is not in the language; the message is that of its `problem`.
        """
        import lark

        try:
            return self.parser.parse(text)
        except lark.exceptions.UnexpectedInput as error:
            raise SofitError(str(self._describe(text, error))) from error

    def accepts(self, text: str) -> bool:
        """Whether the text is in the language."""
        return self.problem(text) is None

    def problem(self, text: str) -> Problem | None:
        """Says where and why a text leaves the language; None where it does not."""
        import lark

        try:
            self.parser.parse(text)
        except lark.exceptions.UnexpectedInput as error:
            return self._describe(text, error)
        return None

    def _describe(self, text: str, error: "UnexpectedInput") -> Problem:
        from lark.exceptions import UnexpectedCharacters

        if not text:
            return Problem(EMPTY, "The output is empty.", 1, 1, 0)
        if isinstance(error, UnexpectedCharacters):
            terminals: Any = error.allowed or ()
            offset = error.pos_in_stream or 0
            code = UNEXPECTED_CHARACTER
        else:
            token = getattr(error, "token", None)
            terminals = getattr(error, "expected", ())
            at_end = token is None or token.type in _END
            offset = len(text) if at_end else token.start_pos
            code = TRUNCATED if at_end else UNEXPECTED_TOKEN
        expected = self._spell(terminals)
        line = text.count("\n", 0, offset) + 1
        column = offset - (text.rfind("\n", 0, offset) + 1) + 1
        if terminals and set(terminals) <= _END:
            return Problem(TRAILING_TEXT, f"Text follows the end of the output: {_excerpt(text, offset)}.", line, column, offset)
        found = "the output ends" if code == TRUNCATED else f"found {_excerpt(text, offset)}"
        hint = did_you_mean(_word(text, offset), expected)
        suggestion = hint.removeprefix(" Did you mean ").removesuffix("?").strip("'\"") or None
        message = f"Expected {_listing(expected)}, but {found}.{hint}"
        return Problem(code, message, line, column, offset, expected, suggestion)

    def _spell(self, terminals: Any) -> tuple[str, ...]:
        """Returns terminals as a user would write them: literals by their text, others by their name."""
        from lark.lexer import PatternStr

        by_name = {terminal.name: terminal for terminal in self.parser.terminals}
        spelled = set()
        for name in terminals:
            terminal = by_name.get(name)
            if name in _END:
                spelled.add("end of output")
            elif terminal is not None and isinstance(terminal.pattern, PatternStr):
                spelled.add(terminal.pattern.value)
            else:
                spelled.add(name)
        return tuple(sorted(spelled))


def _word(text: str, offset: int) -> str:
    end = offset
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    return text[offset:end]


def _excerpt(text: str, offset: int) -> str:
    found = _word(text, offset) or text[offset : offset + 1]
    return repr(found if len(found) <= 30 else found[:30] + "…")


def _listing(expected: tuple[str, ...]) -> str:
    if not expected:
        return "something else"
    shown = [repr(name) for name in expected[:12]]
    more = f" or {len(expected) - 12} others" if len(expected) > 12 else ""
    return (shown[0] if len(shown) == 1 else f"one of {', '.join(shown)}") + more
