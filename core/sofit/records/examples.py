"""Examples made of rows of data."""

from collections.abc import Callable, Iterator, Sequence

from sofit.records.lazy import LazySequence
from sofit.records.record import Record
from sofit.records.splits import open_split
from sofit.task import Example


def read_examples(data: str, split: str, make: Callable[[Record, str], Example]) -> Sequence[Example]:
    """Returns the examples of a split of `data`, which is what `read_split` reads.

    They are read when they are asked for, in order or by number, so that there may be more of them than memory holds.

    Args:
        data: a folder, a file, or "hf:NAME".
        split: "train", "validation" or "test".
        make: makes an example of a row, with the id that it is given, such as "train-17". What it raises names the row.

    Raises:
        SofitError: nothing is there; and later, when they are read: the split has no rows, or a row cannot be read.
    """
    return _Examples(open_split(data, split), split, make)


class _Examples(LazySequence[Example]):
    def __init__(self, records: Sequence[Record], split: str, make: Callable[[Record, str], Example]) -> None:
        self._records, self._split, self._make = records, split, make

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Example]:
        return (self._make(record, f"{self._split}-{index}") for index, record in enumerate(self._records))

    def _at(self, index: int) -> Example:
        return self._make(self._records[index], f"{self._split}-{index}")
