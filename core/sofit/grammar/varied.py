"""A grammar that differs from another in some terminals, so that only these are compiled and checked."""

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

    from sofit.grammar.flaw import Flaw


@dataclass(frozen=True)
class VariedGrammar(Grammar):
    """`base` with other texts for some terminals: the LALR table stays, since it knows terminals by name only."""

    base: Grammar = field(kw_only=True, compare=False)
    terminals_changed: frozenset[str] = field(kw_only=True, compare=False)

    @classmethod
    def make(cls, base: Grammar, name: str, expressions: Mapping[str, str]) -> "VariedGrammar":
        """Makes the variant; `Grammar.with_terminals` says the rest."""
        text = base.text
        for terminal, expression in expressions.items():
            text, count = re.subn(rf"^{terminal}:.*$", lambda _, line=f"{terminal}: {expression}": line, text, flags=re.MULTILINE)
            if count != 1:
                known = ", ".join(word for word in definitions(base.text) if word.isupper())
                raise SofitError(
                    f"Grammar {base.path or base.name!r} defines no terminal {terminal!r} on one line. It has: {known}."
                )
        return cls(name, text, base.path, base=base, terminals_changed=frozenset(expressions))

    @functools.cached_property
    def parser(self) -> "Lark":
        """The parser of the base with another lexer."""
        import lark
        from lark.parser_frontends import create_contextual_lexer

        lines = [line for line in self.text.splitlines() if line.partition(":")[0] in self.terminals_changed]
        try:
            with set_warnings_ignored():
                start = f"start: {' | '.join(self.terminals_changed)}"
                changed = {t.name: t for t in lark.Lark("\n".join([start, *lines]), parser="lalr", lexer="basic").terminals}
                parser: Any = copy.copy(self.base.parser)
                frontend = parser.parser = copy.copy(parser.parser)
                parser.terminals = [changed.get(terminal.name, terminal) for terminal in parser.terminals]
                frontend.lexer_conf = copy.copy(frontend.lexer_conf)
                frontend.lexer_conf.terminals = parser.terminals
                frontend.lexer_conf.terminals_by_name = {terminal.name: terminal for terminal in parser.terminals}
                frontend.lexer = create_contextual_lexer(frontend.lexer_conf, frontend.parser, None, parser.options)
                return parser
        except (lark.exceptions.LarkError, ValueError) as error:
            raise SofitError(f"Grammar {self.name!r} does not compile: {str(error).strip()}") from error

    @functools.cached_property
    def recogniser(self) -> Recogniser:
        """The base's tables with another lexer."""
        return self.base.recogniser.with_lexer(self.parser)

    @functools.cached_property
    def flaws(self) -> "tuple[Flaw, ...]":
        """Those of the base, or of the terminals that differ from it."""
        from sofit.grammar.static_check import flaws_of_terminals

        return self.base.flaws or tuple(flaws_of_terminals(self, self.terminals_changed))
