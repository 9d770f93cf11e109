"""A grammar: parses outputs, and says what is wrong with the ones that do not parse."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sofit.errors import SofitError
from sofit.grammar.problem import Problem
from sofit.grammar.recogniser import Recogniser, set_warnings_ignored

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

    from sofit.grammar.flaw import Flaw
    from sofit.grammar.terminals import Terminals


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
            with set_warnings_ignored():
                return lark.Lark(self.text, parser="lalr", keep_all_tokens=True, propagate_positions=True)
        except (lark.exceptions.LarkError, ValueError, OSError) as error:
            raise SofitError(f"Grammar {self.path or self.name!r} does not compile: {str(error).strip()}") from error

    @functools.cached_property
    def recogniser(self) -> Recogniser:
        """The same parser without trees."""
        return Recogniser(self.parser)

    @functools.cached_property
    def terminals(self) -> "Terminals":
        """What the terminals match."""
        from sofit.grammar.terminals import Terminals

        return Terminals(self.parser)

    @functools.cached_property
    def flaws(self) -> "tuple[Flaw, ...]":
        """Why the grammar cannot constrain generation, as far as its text shows it; it can where there are none."""
        from sofit.grammar.static_check import static_flaws

        return tuple(static_flaws(self))

    def constraint(self, lead: str = "") -> str:
        """Returns the grammar as llguidance reads it, for outputs that follow `lead`, such as the space after a prompt."""
        from sofit.grammar.engine import lark_constraint

        return lark_constraint(self.text, lead)

    def parse(self, text: str) -> "Tree[Token]":
        """Parses a whole output.

        Raises:
            SofitError: the text is not in the language; the message is that of its `problem`.
        """
        problem = self.problem(text)
        if problem is not None:
            raise SofitError(str(problem))
        return self.parser.parse(text)

    def accepts(self, text: str) -> bool:
        """Whether the text is in the language."""
        return self.recogniser.accepts(text)

    def problem(self, text: str) -> Problem | None:
        """Says where and why a text leaves the language; None where it does not."""
        if self.accepts(text):
            return None
        from sofit.grammar.diagnosis import diagnose

        return diagnose(text, self.recogniser, self.terminals)
