"""Regular expressions as automata, to ask how the texts of two terminals relate.

Thompson's construction (1968): a state for each place in the expression. Of a match only its length counts here, so that
groups and the order of alternatives play no part.
"""

import functools
import random
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from re import _constants  # type: ignore[attr-defined]
from typing import Any

from sofit.grammar.terminals import parse_pattern

Characters = tuple[tuple[int, int], ...]
"""A set of characters: disjoint ranges of code points, both ends included, in order."""

_LAST = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)
_MOST_STATES = 20_000


class NotRegular(Exception):
    """The expression has a part that is outside the subset."""


@dataclass(frozen=True)
class Nfa:
    """An automaton without empty moves."""

    start: int
    moves: dict[int, tuple[tuple[Characters, int], ...]]
    accepting: frozenset[int]

    @classmethod
    def of(cls, pattern: str) -> "Nfa":
        """Makes the automaton of a regular expression.

        Raises:
            NotRegular: the expression leaves the subset, or repeats too much.
        """
        builder = _Builder()
        end = builder.add(parse_pattern(pattern), 0, re.RegexFlag(0))
        return builder.without_empty_moves(end)

    @functools.cached_property
    def first(self) -> Characters:
        """The characters with which a text can begin."""
        return union(characters for characters, _ in self.moves[self.start])

    def sample(self, chance: random.Random) -> str:
        """Returns a text of the language, chosen by chance."""
        state, text = self.start, ""
        while True:
            moves = self.moves[state]
            if not moves or (state in self.accepting and chance.random() < 1 / (len(moves) + 1)):
                return text
            characters, state = chance.choice(moves)
            lowest, highest = chance.choice(characters)
            text += chr(chance.randint(lowest, highest))

    def shortest_from(self, state: int) -> str:
        """Returns a shortest text that leads from a state to the end."""
        queue, seen = deque([(state, "")]), {state}
        while queue:
            state, text = queue.popleft()
            if state in self.accepting:
                return text
            for characters, target in self.moves[state]:
                if target not in seen:
                    seen.add(target)
                    queue.append((target, text + _example(characters)))
        raise AssertionError("every state leads to the end")


def prefix_witness(short: Nfa, long: Nfa, then: "Iterable[Nfa] | None" = None) -> tuple[str, str] | None:
    """Returns a text of `short`, and one of `long` that begins with it, if there are such.

    With `then`, what the longer text has more must be how a text of one of these begins, or begin with one.
    """
    followers = None if then is None else list(then)
    queue = deque([(short.start, long.start, "")])
    seen = {(short.start, long.start)}
    while queue:
        one, other, text = queue.popleft()
        if one in short.accepting:
            if followers is None:
                return text, text + long.shortest_from(other)
            if more := next(filter(None, (_overlap(follower, long, other) for follower in followers)), None):
                return text, text + more
        for some, one_target in short.moves[one]:
            for more, other_target in long.moves[other]:
                common = intersection(some, more)
                if common and (one_target, other_target) not in seen:
                    seen.add((one_target, other_target))
                    queue.append((one_target, other_target, text + _example(common)))
    return None


def _overlap(follower: Nfa, long: Nfa, state: int) -> str | None:
    """Returns what leads `long` from `state` to its end, and begins with a text of `follower` or is how one begins."""
    queue = deque([(follower.start, state, "")])
    seen = {(follower.start, state)}
    while queue:
        one, other, text = queue.popleft()
        if text and (one in follower.accepting or other in long.accepting):
            return text + long.shortest_from(other)
        for some, one_target in follower.moves[one]:
            for more, other_target in long.moves[other]:
                common = intersection(some, more)
                if common and (one_target, other_target) not in seen:
                    seen.add((one_target, other_target))
                    queue.append((one_target, other_target, text + _example(common)))
    return None


def union(sets: Iterable[Characters]) -> Characters:
    """Returns the characters of any of the sets."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pair for characters in sets for pair in characters):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return tuple(merged)


def intersection(one: Characters, other: Characters) -> Characters:
    """Returns the characters of both sets."""
    pairs = ((max(low, lowest), min(high, highest)) for low, high in one for lowest, highest in other)
    return tuple(sorted((low, high) for low, high in pairs if low <= high))


def covers(characters: Characters, others: Characters) -> bool:
    """Whether a set holds all characters of another one."""
    return all(any(low <= lowest and highest <= high for low, high in union([characters])) for lowest, highest in others)


def complement(characters: Characters) -> Characters:
    """Returns all other characters, surrogates left out."""
    gaps, following = [], 0
    for low, high in union([characters, (_SURROGATES,)]):
        if following < low:
            gaps.append((following, low - 1))
        following = high + 1
    return (*gaps, (following, _LAST)) if following <= _LAST else tuple(gaps)


def _example(characters: Characters) -> str:
    """Returns a character of a set, a letter that shows if there is one."""
    for wanted in ((0x61, 0x7A), (0x21, 0x7E)):
        if common := intersection(characters, (wanted,)):
            return chr(common[0][0])
    return chr(characters[0][0])


class _Builder:
    """Makes the states; state 0 is the start."""

    def __init__(self) -> None:
        self.moves: list[list[tuple[Characters, int]]] = [[]]
        self.empty: list[list[int]] = [[]]

    def add(self, tree: Any, state: int, flags: re.RegexFlag) -> int:
        """Adds a sequence after a state; returns the state after it."""
        for operator, argument in tree:
            state = self._add_part(operator, argument, state, flags)
        return state

    def without_empty_moves(self, end: int) -> Nfa:
        """Returns the automaton that is done in `end`."""
        moves: dict[int, tuple[tuple[Characters, int], ...]] = {}
        accepting = set()
        waiting = [0]
        while waiting:
            state = waiting.pop()
            if state in moves:
                continue
            reached = self._closure(state)
            moves[state] = tuple(move for place in sorted(reached) for move in self.moves[place])
            if end in reached:
                accepting.add(state)
            waiting += [target for _, target in moves[state]]
        return Nfa(0, moves, frozenset(accepting))

    def _closure(self, state: int) -> set[int]:
        reached, waiting = {state}, [state]
        while waiting:
            for target in self.empty[waiting.pop()]:
                if target not in reached:
                    reached.add(target)
                    waiting.append(target)
        return reached

    def _new(self) -> int:
        if len(self.moves) > _MOST_STATES:
            raise NotRegular("it repeats too much")
        self.moves.append([])
        self.empty.append([])
        return len(self.moves) - 1

    def _move(self, state: int, characters: Characters) -> int:
        if not characters:
            raise NotRegular("a set in it is empty")
        target = self._new()
        self.moves[state].append((characters, target))
        return target

    def _add_part(self, operator: Any, argument: Any, state: int, flags: re.RegexFlag) -> int:
        if operator is _constants.LITERAL:
            return self._move(state, _with_cases(((argument, argument),), flags))
        if operator is _constants.NOT_LITERAL:
            return self._move(state, complement(_with_cases(((argument, argument),), flags)))
        if operator is _constants.ANY:
            newline: Characters = () if flags & re.DOTALL else ((0x0A, 0x0A),)
            return self._move(state, complement(newline))
        if operator is _constants.IN:
            return self._move(state, _characters_of_set(argument, flags))
        if operator is _constants.SUBPATTERN:
            _, added, removed, content = argument
            return self.add(content, state, re.RegexFlag((flags | added) & ~removed))
        if operator is _constants.BRANCH:
            end = self._new()
            for branch in argument[1]:
                start = self._new()
                self.empty[state].append(start)
                self.empty[self.add(branch, start, flags)].append(end)
            return end
        if operator is _constants.MAX_REPEAT:
            least, most, content = argument
            return self._repeat(least, most, content, state, flags)
        raise NotRegular(f"it holds {str(operator).lower()}")

    def _repeat(self, least: int, most: Any, content: Any, state: int, flags: re.RegexFlag) -> int:
        for _ in range(least):
            state = self.add(content, state, flags)
        if most is _constants.MAXREPEAT:
            loop = self._new()
            self.empty[state].append(loop)
            self.empty[self.add(content, loop, flags)].append(loop)
            return loop
        end = self._new()
        for _ in range(most - least):
            self.empty[state].append(end)
            state = self.add(content, state, flags)
        self.empty[state].append(end)
        return end


def _characters_of_set(items: Any, flags: re.RegexFlag) -> Characters:
    is_negated = items[0][0] is _constants.NEGATE
    ranges: list[tuple[int, int]] = []
    for operator, argument in items[is_negated:]:
        if operator is _constants.LITERAL:
            ranges.append((argument, argument))
        elif operator is _constants.RANGE:
            ranges.append(argument)
        else:
            raise NotRegular(f"it holds {str(argument).lower()}")
    characters = _with_cases(union([tuple(sorted(ranges))]), flags)
    return complement(characters) if is_negated else characters


def _with_cases(characters: Characters, flags: re.RegexFlag) -> Characters:
    """Adds the other case of each letter where case does not count; of Unicode's rules only the pairs of one character."""
    if not flags & re.IGNORECASE:
        return characters
    pairs = [characters]
    for low, high in characters:
        # No letter with two cases lies beyond.
        for code_point in range(low, min(high, 0x1E943) + 1):
            pairs += [
                ((ord(other), ord(other)),) for other in (chr(code_point).lower(), chr(code_point).upper()) if len(other) == 1
            ]
    return union(pairs)
