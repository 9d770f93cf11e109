"""The one spelling of a JSON value that the masks of a schema allow: names in their order, numbers without exponents."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from sofit.grammar.engine import ByteMatcher

if TYPE_CHECKING:
    from llguidance import LLMatcher

_Rest = TypeVar("_Rest", Mapping[str, Any], Sequence[Any])
"""Members or elements that are still to be written."""

_MOST_STEPS = 5_000
_STEPS_OF_A_PART = 10
"""Twice as many as a part needs that is written where and as it should be, or more."""
_MOST_ZEROS = 5


def spell(value: Any, matcher: ByteMatcher, orders: Sequence[Sequence[str]]) -> str | None:
    """Returns how the masks let a value be written; None where they do not.

    Args:
        value: the value.
        matcher: the masks.
        orders: lists of names as they follow each other in the schema's objects: where to begin, as the masks decide.
    """
    # In the schema's order, or else in the value's own.
    most_steps = max(_MOST_STEPS, _STEPS_OF_A_PART * _count(value))
    for speller in (_Speller(orders, most_steps), _Speller([], most_steps)):
        # Before all ways are tried part by part, each with a copy of the matcher, which takes the square of the length.
        first = speller.first(value)
        if matcher.accepts(first):
            return first
        for end, text in speller.write(matcher.copy(), value):
            if end.is_accepting():
                return text
    return None


def spell_in_order(value: Any, orders: Sequence[Sequence[str]]) -> str:
    """Returns how a value is written where no masks tell: names in the schema's order."""
    return json.dumps(_Speller(orders).in_order(value), ensure_ascii=False)


class _Speller:
    def __init__(self, orders: Sequence[Sequence[str]], most_steps: int = 0):
        self._orders = [dict(zip(names, range(len(names)), strict=True)) for names in orders]
        self._steps_left = most_steps

    def write(self, matcher: "LLMatcher", value: Any) -> "Iterator[tuple[LLMatcher, str]]":
        """Yields each way to write a value, with the matcher after it."""
        if isinstance(value, Mapping) and value:
            return self._in_turn(matcher, "{}", self._in_order(value), self._member)
        if isinstance(value, list) and value:
            return self._in_turn(matcher, "[]", value, self._element)
        return ((after, text) for text in _spellings(value) if (after := self._take(matcher, text)) is not None)

    def first(self, value: Any) -> str:
        """Returns the way to write a value that `write` tries first."""
        if isinstance(value, Mapping):
            members = [f"{_text(name)}: {self.first(part)}" for name, part in self._in_order(value).items()]
            return f"{{{', '.join(members)}}}"
        return f"[{', '.join(map(self.first, value))}]" if isinstance(value, list) else _spellings(value)[0]

    def in_order(self, value: Any) -> Any:
        """Puts the names of a value into order, everywhere."""
        if isinstance(value, Mapping):
            return {name: self.in_order(part) for name, part in self._in_order(value).items()}
        return [self.in_order(part) for part in value] if isinstance(value, list) else value

    def _in_order(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Puts names in the order in which the schema has most of them; others follow as they are."""
        ranks = max(self._orders, key=lambda order: len(order.keys() & value.keys()), default={})
        return dict(sorted(value.items(), key=lambda item: ranks.get(item[0], len(ranks))))

    def _in_turn(
        self,
        matcher: "LLMatcher",
        brackets: str,
        rest: _Rest,
        part: "Callable[[LLMatcher, str, _Rest], Iterator[tuple[LLMatcher, str, _Rest]]]",
    ) -> "Iterator[tuple[LLMatcher, str]]":
        """Yields each way to write parts one after the other; a loop, since there may be more than calls can nest.

        Args:
            matcher: the masks before the first part.
            brackets: what stands before the parts, and after them.
            rest: the parts to write.
            part: yields each way to write one of the parts after a comma or bracket, with the parts left to write.
        """
        opening, closing = brackets
        ways, written = [part(matcher, opening, rest)], []
        while ways:
            # The next way to write the last of the parts that are begun; what was written of it and after it is given up.
            del written[len(ways) - 1 :]
            found = next(ways[-1], None)
            if found is None:
                ways.pop()
                continue
            after, text, left = found
            written.append(text)
            if left:
                ways.append(part(after, ", ", left))
            elif (end := self._take(after, closing)) is not None:
                yield end, "".join(written) + closing

    def _member(
        self, matcher: "LLMatcher", opening: str, rest: Mapping[str, Any]
    ) -> "Iterator[tuple[LLMatcher, str, Mapping[str, Any]]]":
        for name in rest:
            start = f"{opening}{_text(name)}: "
            if (at_value := self._take(matcher, start)) is not None:
                left = {other: value for other, value in rest.items() if other != name}
                for after, text in self.write(at_value, rest[name]):
                    yield after, start + text, left

    def _element(
        self, matcher: "LLMatcher", opening: str, rest: Sequence[Any]
    ) -> "Iterator[tuple[LLMatcher, str, Sequence[Any]]]":
        if (at_value := self._take(matcher, opening)) is not None:
            for after, text in self.write(at_value, rest[0]):
                yield after, opening + text, rest[1:]

    def _take(self, matcher: "LLMatcher", text: str) -> "LLMatcher | None":
        """Returns the matcher after a text; None where that cannot follow, or where too much was tried."""
        self._steps_left -= 1
        data = list(text.encode())
        after = matcher.deep_copy()
        return after if self._steps_left > 0 and after.try_consume_tokens(data) == len(data) else None


def _count(value: Any) -> int:
    """Counts the parts of a value, itself included."""
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return 1 + sum(map(_count, parts))


def _spellings(value: Any) -> list[str]:
    """Returns the ways to write a scalar: a fraction also with zeros at its end, which a `multipleOf` may want."""
    if isinstance(value, str):
        return [_text(value)]
    if isinstance(value, float) and math.isfinite(value) and not value.is_integer():
        shortest = format(Decimal(repr(value)), "f")
        return [shortest + "0" * count for count in range(_MOST_ZEROS)]
    return [str(int(value)) if isinstance(value, float) and math.isfinite(value) else json.dumps(value)]


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
