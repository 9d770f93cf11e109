"""Terminals that come into each other's way, so that the two engines split a text differently.

At each place lark tries the terminals of its parser state in a fixed order and takes the first that matches. llguidance keeps
all that the grammar allows there and takes the longest. The two agree where, in each state of the LALR automaton, the texts of
two terminals differ before either ends. Neither lark's own strict mode nor random outputs find all the places where they do
not: a state merges the followers of all its contexts, so a literal may be tried where only another terminal can stand.
"""

import functools
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

from sofit.grammar.flaw import Flaw
from sofit.grammar.lark_text import definitions, place
from sofit.grammar.nfa import Characters, Nfa, NotRegular, covers, intersection, prefix_witness, union
from sofit.grammar.recogniser import END
from sofit.grammar.terminals import values_of

if TYPE_CHECKING:
    from sofit.grammar.grammar import Grammar

_MOST_TEXTS = 20_000
_SAMPLES = 300
"""Of a terminal with more texts than these."""
_MOST_SETS = 5_000
_MOST_STACKS = 2_000
_DIFFER = "Make their texts differ from the first character on, or give both one terminal."


def collisions(grammar: "Grammar", only: Set[str] | None = None) -> list[Flaw]:
    """Returns the pairs of terminals that collide, one flaw a pair, with a text that shows it.

    The grammar is one that compiles, and whose expressions are in the subset. With `only`, pairs of which neither is in it are
    left out.
    """
    try:
        return [*_Collisions(grammar, only).find()]
    except NotRegular as error:
        return [Flaw("collisions", f"Whether terminals collide is unknown: of an expression, {error}.", "Write it plainer.")]


_Witness = tuple[str, str] | None


@dataclass(frozen=True)
class _Collisions:
    grammar: "Grammar"
    only: Set[str] | None = None
    """The terminals to look at; all where it is None."""
    witnesses: dict[tuple[str, str], tuple[_Witness, _Witness]] = field(default_factory=dict)
    """Of each pair that was looked at, what `prefix_witness` says without what follows and with it."""

    @cached_property
    def automata(self) -> dict[str, Nfa]:
        return {terminal.name: _automaton(terminal.pattern.to_regexp()) for terminal in self.grammar.parser.terminals}

    @cached_property
    def followers(self) -> dict[str, list[Nfa]]:
        """The terminals that may stand after each terminal, in any context."""
        following: dict[str, set[str]] = defaultdict(set)
        for row in self.grammar.recogniser.actions.values():
            for terminal, action in row.items():
                if isinstance(action, int):
                    following[terminal] |= self.grammar.recogniser.actions[action].keys() - {END}
        return {name: [self.automata[follower] for follower in sorted(names)] for name, names in following.items()}

    def find(self) -> Iterator[Flaw]:
        for terminal in self.automata:
            if self._is_of_interest(terminal):
                yield from self._stops_early(terminal)
        found: set[frozenset[str]] = set()
        seen: set[tuple[str, ...]] = set()
        for state in self.grammar.recogniser.actions:
            order = tuple(self.grammar.recogniser.order(state))
            for first, second in combinations(order, 2):
                pair = frozenset((first, second))
                if pair not in found and self._is_of_interest(first, second) and (flaw := self._collision(state, first, second)):
                    found.add(pair)
                    yield flaw
            # What follows depends on the terminals alone, and most states share theirs with others.
            if order in seen or not self._is_of_interest(*order):
                continue
            seen.add(order)
            for names, flaw in self._gaps(order):
                if names not in found:
                    found.add(names)
                    yield flaw

    def _is_of_interest(self, *terminals: str) -> bool:
        return self.only is None or not self.only.isdisjoint(terminals)

    def _collision(self, state: int, first: str, second: str) -> Flaw | None:
        """Finds a text of which lark makes `first`, because it tries that before, where `second` is what can stand."""
        if (first, second) not in self.witnesses:
            one, other = self.automata[first], self.automata[second]
            self.witnesses[first, second] = (
                prefix_witness(one, other),
                prefix_witness(other, one, self.followers.get(second, ())),
            )
        early, late = self.witnesses[first, second]
        if early:
            short, long = early
            message = f"{self._say(first)} takes {short!r} before {self._say(second)} can take {long!r}."
            return self._flaw(second, first, message, _DIFFER)
        if late and self._has_context(state, second, first):
            short, long = late
            message = f"{self._say(first)} takes {long!r} also where only {self._say(second)} can stand, which is {short!r}."
            return self._flaw(second, first, message, _DIFFER)
        return None

    def _has_context(self, state: int, possible: str, impossible: str) -> bool:
        """Whether the parser can be in `state` where one terminal can follow and the other cannot.

        The table has both, but a state merges contexts: what decides are the states beneath it, tried one by one downwards.
        """
        recogniser = self.grammar.recogniser
        waiting, tried = [(state,)], 0
        while waiting and tried < _MOST_STACKS:
            stack = waiting.pop(0)
            tried += 1
            can, cannot = recogniser.can_follow(stack, possible), recogniser.can_follow(stack, impossible)
            if can is True and cannot is False:
                return True
            if can is not False and cannot is not True:
                waiting += [(below, *stack) for below in recogniser.predecessors.get(stack[0], ())]
        return False

    def _gaps(self, order: tuple[str, ...]) -> Iterator[tuple[frozenset[str], Flaw]]:
        """Finds texts after which one engine goes on with a longer terminal that then does not come.

        In `1.` the first reads a number and a full stop; the second, having seen the point, waits for the decimals of `1.5`.
        """
        start = frozenset((name, self.automata[name].start) for name in order)
        waiting, seen = [(start, "")], {start}
        while waiting and len(seen) < _MOST_SETS:
            places, text = waiting.pop()
            if not self._is_of_interest(*(name for name, _ in places)):
                continue
            done = [name for name, place_of in places if place_of in self.automata[name].accepting]
            for characters, following in self._steps(places):
                goes_on = not any(place_of in self.automata[name].accepting for name, place_of in following)
                for name in done if goes_on else ():
                    for follower in self.followers.get(name, ()):
                        common = intersection(characters, follower.first)
                        if common and self._loses(places, follower):
                            longer = sorted({other for other, _ in following})
                            yield frozenset((name, *longer)), self._gap(name, longer, text, chr(common[0][0]))
                            break
                if following not in seen:
                    seen.add(following)
                    waiting.append((following, text + chr(characters[0][0])))

    def _loses(self, places: frozenset[tuple[str, int]], follower: Nfa) -> bool:
        """Whether a text of `follower`, read on from `places`, ends or leads nowhere before a longer terminal is whole."""
        waiting = [(places, follower.start)]
        seen = {waiting[0]}
        while waiting:
            at, state = waiting.pop()
            if state in follower.accepting:
                return True
            steps = list(self._steps(at))
            for characters, target in follower.moves[state]:
                if not covers(union(step for step, _ in steps), characters):
                    return True
                for following in (following for step, following in steps if intersection(step, characters)):
                    is_whole = any(place_of in self.automata[other].accepting for other, place_of in following)
                    if not is_whole and (following, target) not in seen:
                        seen.add((following, target))
                        waiting.append((following, target))
        return False

    def _gap(self, name: str, longer: list[str], text: str, character: str) -> Flaw:
        others = " or ".join(map(self._say, longer))
        message = f"After {text!r}, {character!r} may begin what follows {self._say(name)}, or go on with {others}."
        return self._flaw(name, longer[0], message, "Let what follows begin with another character.")

    def _steps(self, places: frozenset[tuple[str, int]]) -> Iterator[tuple[Characters, frozenset[tuple[str, int]]]]:
        """Yields where the characters lead, those that lead to the same places together."""
        moves = [(name, characters, target) for name, at in places for characters, target in self.automata[name].moves[at]]
        edges = sorted({edge for _, characters, _ in moves for low, high in characters for edge in (low, high + 1)})
        by_target: dict[frozenset[tuple[str, int]], list[tuple[int, int]]] = defaultdict(list)
        for low, following_low in pairwise(edges):
            reached = frozenset((name, target) for name, characters, target in moves if _holds(characters, low))
            if reached:
                by_target[reached].append((low, following_low - 1))
        for reached, ranges in by_target.items():
            yield tuple(ranges), reached

    def _stops_early(self, terminal: str) -> Iterator[Flaw]:
        """Finds a text of a terminal of which Python's expression takes a part only, as `a|ab` does of "ab"."""
        by_name = {definition.name: definition for definition in self.grammar.parser.terminals}
        regexp, chance = by_name[terminal].pattern.to_regexp(), random.Random(0)
        expression = re.compile(regexp)
        texts = values_of(regexp, most=_MOST_TEXTS, in_any_case=False)
        texts = texts or [self.automata[terminal].sample(chance) for _ in range(_SAMPLES)]
        for text in texts:
            taken = expression.match(text)
            if taken is None or taken.end() < len(text):
                part = taken.group() if taken else ""
                message = f"Of {text!r}, {self._say(terminal)} takes {part!r} in one engine and all in the other."
                yield self._flaw(terminal, terminal, message, "Put longer alternatives before shorter ones.")
                return

    def _say(self, terminal: str) -> str:
        values = self.grammar.terminals.values[terminal]
        return repr(values[0]) if len(values) == 1 else self.grammar.terminals.name(terminal)

    def _flaw(self, terminal: str, other: str, message: str, remedy: str) -> Flaw:
        """Makes a flaw at the definition of one of the terminals, or at the first literal that is written in a rule."""
        text, defined = self.grammar.text, definitions(self.grammar.text)
        offset = next((defined[name] for name in (terminal, other) if name in defined), None)
        if offset is None:
            literals = [f'"{value}"' for name in (terminal, other) for value in self.grammar.terminals.values[name][:1]]
            offset = next((text.index(literal) for literal in literals if literal in text), None)
        line, column = place(text, offset) if offset is not None else (None, None)
        return Flaw("collisions", message, remedy, line, column)


@functools.lru_cache(1_000)  # Grammars that differ in a few terminals share the others.
def _automaton(expression: str) -> Nfa:
    return Nfa.of(expression)


def _holds(characters: Characters, code_point: int) -> bool:
    return any(low <= code_point <= high for low, high in characters)
