"""A grammar some of whose terminals match less than another's do, so that only these are compiled and checked."""

import copy
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sofit.errors import SofitError
from sofit.grammar.grammar import Grammar
from sofit.grammar.lark_text import definitions
from sofit.grammar.recogniser import Recogniser, set_warnings_ignored

if TYPE_CHECKING:
    from lark import Lark
    from lark.lexer import TerminalDef

    from sofit.grammar.flaw import Flaw


@dataclass(frozen=True)
class NarrowedGrammar(Grammar):
    """`base` with fewer texts for some terminals, of which each is one that the base's terminal matches.

    So an output is one of the base's, read as the base reads it, whose tokens are all allowed here. That compiles a few small
    expressions where a parser of its own would compile one for each of its states, 0.4 s for the grammar of SQL.
    """

    base: Grammar = field(kw_only=True, compare=False)
    narrowed: frozenset[str] = field(kw_only=True, compare=False)
    """The terminals that match less."""

    @classmethod
    def make(cls, base: Grammar, name: str, expressions: Mapping[str, str]) -> "NarrowedGrammar":
        """Makes the grammar; `Grammar.narrow` says the rest."""
        text = base.text
        for terminal, expression in expressions.items():
            text, count = re.subn(rf"^{terminal}:.*$", lambda _, line=f"{terminal}: {expression}": line, text, flags=re.MULTILINE)
            if count != 1:
                known = ", ".join(word for word in definitions(base.text) if word.isupper())
                raise SofitError(
                    f"Grammar {base.path or base.name!r} defines no terminal {terminal!r} on one line. It has: {known}."
                )
        return cls(name, text, base.path, base=base, narrowed=frozenset(expressions))

    def accepts(self, text: str) -> bool:
        """Whether the text is in the language."""
        tokens = self.base.recogniser.tokens(text)
        return tokens is not None and all(
            self._expressions[terminal].fullmatch(text, start, end) is not None
            for terminal, start, end in tokens
            if terminal in self.narrowed
        )

    @functools.cached_property
    def parser(self) -> "Lark":
        """The parser of the base with another lexer: what its states expect, for messages and for the check of collisions."""
        from lark.parser_frontends import create_contextual_lexer

        parser: Any = copy.copy(self.base.parser)
        frontend = parser.parser = copy.copy(parser.parser)
        definitions = self._definitions
        parser.terminals = [definitions.get(terminal.name, terminal) for terminal in self.base.parser.terminals]
        frontend.lexer_conf = copy.copy(frontend.lexer_conf)
        frontend.lexer_conf.terminals = parser.terminals
        frontend.lexer_conf.terminals_by_name = {terminal.name: terminal for terminal in parser.terminals}
        frontend.lexer = create_contextual_lexer(frontend.lexer_conf, frontend.parser, None, parser.options)
        return parser

    @property
    def _tree_parser(self) -> "Lark":
        """That of the base, which reads every output as this grammar would, and need not be compiled for it."""
        return self.base._tree_parser

    @functools.cached_property
    def recogniser(self) -> Recogniser:
        """The base's tables with another lexer."""
        return self.base.recogniser.with_lexer(self.parser)

    @functools.cached_property
    def flaws(self) -> "tuple[Flaw, ...]":
        """Those of the base, or of the terminals that match less than there."""
        from sofit.grammar.static_check import flaws_of_terminals

        return self.base.flaws or tuple(flaws_of_terminals(self, self.narrowed))

    @functools.cached_property
    def _definitions(self) -> "dict[str, TerminalDef]":
        """The terminals that match less, as lark reads them."""
        import lark

        lines = [line for line in self.text.splitlines() if line.partition(":")[0] in self.narrowed]
        start = f"start: {' | '.join(sorted(self.narrowed))}"
        try:
            with set_warnings_ignored():
                return {t.name: t for t in lark.Lark("\n".join([start, *lines]), parser="lalr", lexer="basic").terminals}
        except (lark.exceptions.LarkError, ValueError) as error:
            raise SofitError(f"Grammar {self.name!r} does not compile: {str(error).strip()}") from error

    @functools.cached_property
    def _expressions(self) -> dict[str, re.Pattern[str]]:
        return {name: re.compile(definition.pattern.to_regexp()) for name, definition in self._definitions.items()}
