"""What keeps a grammar from constraining generation, as far as the grammar alone shows it."""

import re
from typing import TYPE_CHECKING

from sofit.errors import SofitError
from sofit.grammar.collisions import collisions
from sofit.grammar.engine import compile_flaws
from sofit.grammar.flaw import Flaw
from sofit.grammar.lark_text import definitions, place
from sofit.grammar.subset import leaving_the_subset
from sofit.grammar.terminals import is_bounded

if TYPE_CHECKING:
    from sofit.grammar.grammar import Grammar


def static_flaws(grammar: "Grammar") -> list[Flaw]:
    """Returns all flaws of the grammar's text.

    Whether terminals are bounded and collide is asked only of a grammar that both engines read.
    """
    flaws = leaving_the_subset(grammar.text)
    try:
        _ = grammar.recogniser
    except SofitError as error:
        return [*flaws, Flaw("compiles", str(error))]
    if not flaws:
        flaws = compile_flaws(grammar.constraint())
    return flaws or [*_unbounded(grammar), *_conflicts(grammar), *collisions(grammar)]


def flaws_of_terminals(grammar: "Grammar", terminals: frozenset[str]) -> list[Flaw]:
    """Returns the flaws of some terminals of a grammar that has no others."""
    flaws = leaving_the_subset(grammar.text) or compile_flaws(grammar.constraint())
    return flaws or [*_unbounded(grammar), *collisions(grammar, terminals)]


def _conflicts(grammar: "Grammar") -> list[Flaw]:
    """Finds where lark's parser must choose between going on and ending a rule: it goes on, and llguidance tries both."""
    from lark.common import ParserConf
    from lark.exceptions import GrammarError
    from lark.parsers.lalr_analysis import LALR_Analyzer

    try:
        LALR_Analyzer(ParserConf(grammar.parser.rules, {}, ["start"]), strict=True).compute_lalr()
    except GrammarError as error:
        said = re.match(r"Shift/Reduce conflict for terminal (\S+)\.[^<]*<(\w+) : (.*)>", str(error))
        terminal, rule, expansion = said.groups() if said else ("", "", str(error))
        following = ", ".join(map(repr, grammar.terminals.spell([terminal])))
        message = (
            f"After {expansion or 'nothing'} it is open whether the rule {rule} ends before {following}: lark goes on with it."
        )
        defined = definitions(grammar.text).get(rule)
        line, column = place(grammar.text, defined) if defined is not None else (None, None)
        return [Flaw("conflicts", message, "Write the rules so that the next terminal decides.", line, column)]
    return []


def _unbounded(grammar: "Grammar") -> list[Flaw]:
    flaws = []
    defined = definitions(grammar.text)
    for terminal in grammar.parser.terminals:
        if is_bounded(terminal.pattern.to_regexp()):
            continue
        offset = defined.get(terminal.name, grammar.text.find(terminal.pattern.value))
        line, column = place(grammar.text, offset) if offset >= 0 else (None, None)
        message = f"{grammar.terminals.name(terminal.name)} has no greatest length, so a constrained model may never end it."
        flaws.append(Flaw("bounded", message, "Write {1,100} in place of + and {0,100} in place of *.", line, column))
    return flaws
