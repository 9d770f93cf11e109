"""The one spelling of a JSON value that the masks of a schema allow: names in their order, numbers without exponents."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sofit.grammar.engine import ByteMatcher

if TYPE_CHECKING:
    from llguidance import LLMatcher

_MOST_STEPS = 5_000
_MOST_ZEROS = 5


def spell(value: Any, matcher: ByteMatcher, orders: Sequence[Sequence[str]]) -> str | None:
    """Returns how the masks let a value be written; None where they do not.

    Args:
        value: the value.
        matcher: the masks.
        orders: lists of names as they follow each other in the schema's objects: where to begin, as the masks decide.
    """
    # In the schema's order, or else in the value's own.
    for speller in (_Speller(orders), _Speller([])):
        for end, text in speller.write(matcher.copy(), value):
            if end.is_accepting():
                return text
    return None


def spell_in_order(value: Any, orders: Sequence[Sequence[str]]) -> str:
    """Returns how a value is written where no masks tell: names in the schema's order."""
    return json.dumps(_Speller(orders).in_order(value), ensure_ascii=False)


class _Speller:
    def __init__(self, orders: Sequence[Sequence[str]]):
        self._orders = [dict(zip(names, range(len(names)), strict=True)) for names in orders]
        self._steps = 0

    def write(self, matcher: "LLMatcher", value: Any) -> "Iterator[tuple[LLMatcher, str]]":
        """Yields each way to write a value, with the matcher after it."""
        if isinstance(value, Mapping) and value:
            yield from self._object(matcher, self._in_order(value), "{")
        elif isinstance(value, list) and value:
            yield from self._array(matcher, value, 0, "[")
        else:
            for text in _spellings(value):
                if (after := self._take(matcher, text)) is not None:
                    yield after, text

    def in_order(self, value: Any) -> Any:
        """Puts the names of a value into order, everywhere."""
        if isinstance(value, Mapping):
            return {name: self.in_order(part) for name, part in self._in_order(value).items()}
        return [self.in_order(part) for part in value] if isinstance(value, list) else value

    def _in_order(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Puts names in the order in which the schema has most of them; others follow as they are."""
        ranks = max(self._orders, key=lambda order: len(order.keys() & value.keys()), default={})
        return dict(sorted(value.items(), key=lambda item: ranks.get(item[0], len(ranks))))

    def _object(self, matcher: "LLMatcher", rest: Mapping[str, Any], opening: str) -> "Iterator[tuple[LLMatcher, str]]":
        for name in rest:
            start = f"{opening}{_text(name)}: "
            if (at_value := self._take(matcher, start)) is None:
                continue
            others = {other: value for other, value in rest.items() if other != name}
            for after, text in self.write(at_value, rest[name]):
                if others:
                    yield from ((end, start + text + more) for end, more in self._object(after, others, ", "))
                elif (end := self._take(after, "}")) is not None:
                    yield end, f"{start}{text}}}"

    def _array(self, matcher: "LLMatcher", values: Sequence[Any], index: int, opening: str) -> "Iterator[tuple[LLMatcher, str]]":
        if (at_value := self._take(matcher, opening)) is None:
            return
        for after, text in self.write(at_value, values[index]):
            if index + 1 < len(values):
                yield from ((end, opening + text + more) for end, more in self._array(after, values, index + 1, ", "))
            elif (end := self._take(after, "]")) is not None:
                yield end, f"{opening}{text}]"

    def _take(self, matcher: "LLMatcher", text: str) -> "LLMatcher | None":
        """Returns the matcher after a text; None where that cannot follow, or where too much was tried."""
        self._steps += 1
        data = list(text.encode())
        after = matcher.deep_copy()
        return after if self._steps < _MOST_STEPS and after.try_consume_tokens(data) == len(data) else None


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
