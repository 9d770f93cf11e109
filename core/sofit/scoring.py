"""Measures that several tasks take."""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

_T = TypeVar("_T", bound=Hashable)


def precision_recall_f1(
    pairs: "Sequence[tuple[Counter[_T], Counter[_T]]]", is_counted: Callable[[_T], bool] = lambda item: True
) -> tuple[float, float, float]:
    """Returns precision, recall and F1 of what was found, counted over all (expected, found) together.

    What is expected or found twice counts twice. All three are 1 where there is nothing at all.

    Args:
        pairs: for each prediction, how often each item was expected and found.
        is_counted: whether an item counts at all.
    """

    def total(counts: "Counter[_T]") -> int:
        return sum(count for item, count in counts.items() if is_counted(item))

    right = sum(total(expected & found) for expected, found in pairs)
    wanted, written = (sum(total(pair[side]) for pair in pairs) for side in (0, 1))
    if not wanted and not written:
        return 1.0, 1.0, 1.0
    return right / max(written, 1), right / max(wanted, 1), 2 * right / (wanted + written)


def json_fields(value: Any) -> Counter[tuple[str, str]]:
    """Counts the parts of a JSON value that have no parts themselves, each with the names that lead to it.

    Elements of a list share theirs: {"slots": {"artist": ["Air", "Beck"]}} has ("slots.artist", '"Air"') and
    ("slots.artist", '"Beck"'). The values are those of a JSON text, where 1.0 is 1.
    """
    return Counter(_leaves(value, ""))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    parts = [(path, part) for part in value] if isinstance(value, list) else []
    if isinstance(value, Mapping):
        parts = [(f"{path}.{name}" if path else name, part) for name, part in value.items()]
    if not parts:
        yield path, json.dumps(value, sort_keys=True)
    for name, part in parts:
        yield from _leaves(part, name)
