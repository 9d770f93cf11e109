"""Whether two queries return the same: the same rows as often, in order only where asked, their columns in any order.

As in the test-suite evaluation of Zhong, Yu and Klein, "Semantic Evaluation for Text-to-SQL with Distilled Test Suites" (2020).
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

Rows = Sequence[tuple[Any, ...]]
_DIGITS = 10


def same_rows(expected: Rows, found: Rows, *, ordered: bool) -> bool:
    """Whether the rows are the same under some order of their columns."""
    if len(expected) != len(found):
        return False
    if not expected:
        return True
    wanted, had = _columns(expected), _columns(found)
    return len(wanted) == len(had) and _match(wanted, had, (), ordered)


def _match(wanted: list[tuple[Any, ...]], had: list[tuple[Any, ...]], chosen: tuple[int, ...], ordered: bool) -> bool:
    """Whether the columns of `had` that are not `chosen` yet can stand for the rest of `wanted`."""
    place = len(chosen)
    tried: set[tuple[Any, ...]] = set()
    for candidate, values in enumerate(had):
        # Of equal columns, one stands for the others: else their orders alone would take for ever.
        if candidate in chosen or values in tried:
            continue
        tried.add(values)
        if values != wanted[place] if ordered else Counter(values) != Counter(wanted[place]):
            continue
        so_far = (*chosen, candidate)
        # Columns with the same values may belong to different rows, so that what was chosen is compared whole.
        if not ordered and Counter(zip(*wanted[: place + 1], strict=True)) != Counter(
            zip(*(had[i] for i in so_far), strict=True)
        ):
            continue
        if len(so_far) == len(wanted) or _match(wanted, had, so_far, ordered):
            return True
    return False


def _columns(rows: Rows) -> list[tuple[Any, ...]]:
    # A sum may differ in its last digits by the order of its terms.
    return [tuple(float(f"{v:.{_DIGITS}g}") if isinstance(v, float) else v for v in column) for column in zip(*rows, strict=True)]
