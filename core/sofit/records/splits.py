"""Finding a split in whatever the user gave as data."""

import abc
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from sofit.errors import SofitError
from sofit.records.files import SUFFIXES, RowReader, read_file
from sofit.records.filesystems import local_file, open_filesystem
from sofit.records.hub import load_from_hub
from sofit.records.lazy import LazySequence
from sofit.records.record import Record

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from sofit.records.row_index import Part, RowIndex

SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
"""The file stems, or Hub split names, under which each split is looked for, in this order."""


def read_split(data: str, split: str) -> Iterator[Record]:
    """Yields the rows of a split of `data`: a folder with a file for each split, a single file, or "hf:NAME".

    A single file has no validation split of its own: a tenth of its distinct rows, at most 200, chosen by a hash of their
    content, is "validation" and the rest is "train".

    Raises:
        SofitError: nothing is there, the split has no rows, or a row cannot be read; names the file and line.
    """
    yield from open_split(data, split)


def open_split(data: str, split: str) -> LazySequence[Record]:
    """Does as `read_split`, for rows that are asked for by number; what is wrong with a row is said when it is read."""
    if split not in SPLIT_NAMES:
        raise SofitError(f"No split is called {split!r}. Splits: {', '.join(SPLIT_NAMES)}.")
    return _hub_split(data, split) if data.startswith("hf:") else _file_split(data, split)


class _Split(LazySequence[Record]):
    """The rows of a split, of which there is at least one."""

    def __init__(self, data: str, split: str) -> None:
        self._data, self._split = data, split

    def __len__(self) -> int:
        if not (count := self._count()):
            raise self._none()
        return count

    def __iter__(self) -> Iterator[Record]:
        is_empty = True
        for record in self._stream():
            is_empty = False
            yield record
        if is_empty:
            raise self._none()

    @abc.abstractmethod
    def _count(self) -> int: ...

    @abc.abstractmethod
    def _stream(self) -> Iterator[Record]: ...

    def _none(self) -> SofitError:
        return SofitError(f"{self._data} has no rows for the {self._split} split.")


class _HubSplit(_Split):
    def __init__(self, data: str, split: str, found: str, rows: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(data, split)
        self._found, self._rows = found, rows

    def _count(self) -> int:
        return len(self._rows)

    def _stream(self) -> Iterator[Record]:
        return (self._record(index, row) for index, row in enumerate(self._rows))

    def _at(self, index: int) -> Record:
        return self._record(index, self._rows[index])

    def _record(self, index: int, row: Mapping[str, Any]) -> Record:
        return Record(dict(row), f"{self._data}:{self._found}:{index}")


class _FileSplit(_Split):
    def __init__(self, data: str, split: str, filesystem: "AbstractFileSystem", path: str, shown: str, part: "Part") -> None:
        super().__init__(data, split)
        self._filesystem, self._path, self._shown = filesystem, path, shown
        self._part: Part = part

    def _count(self) -> int:
        return len(self._index)

    def _stream(self) -> Iterator[Record]:
        if self._part == "all":
            return read_file(self._filesystem, self._path, self._shown)
        return (self._at(index) for index in range(len(self._index)))

    def _at(self, index: int) -> Record:
        return self._reader.read(self._index[index])

    @functools.cached_property
    def _index(self) -> "RowIndex":
        from sofit.records.row_index import row_index

        return row_index(self._file, self._shown, self._part)

    @functools.cached_property
    def _reader(self) -> RowReader:
        return RowReader(self._file, self._shown)

    @functools.cached_property
    def _file(self) -> Path:
        # One copy serves the index and every row; a request for each row would take a round trip.
        return local_file(self._filesystem, self._path)


def _hub_split(data: str, split: str) -> _HubSplit:
    splits = load_from_hub(data.removeprefix("hf:"))
    found = next((name for name in SPLIT_NAMES[split] if name in splits), None)
    if found is None:
        raise SofitError(f"{data} has no {split} split. It has: {', '.join(splits)}.")
    return _HubSplit(data, split, found, splits[found])


def _file_split(data: str, split: str) -> _FileSplit:
    filesystem, path = open_filesystem(data)
    if _kind(filesystem, path, data) == "directory":
        file = _split_file(filesystem, data, path, split)
        return _FileSplit(data, split, filesystem, file, f"{data.rstrip('/')}/{PurePosixPath(file).name}", "all")
    if split == "test":
        raise SofitError(f"{data} is a single file, which has no test split. Give --data a folder with a test file.")
    return _FileSplit(data, split, filesystem, path, data, "train" if split == "train" else "validation")


def _kind(filesystem: "AbstractFileSystem", path: str, data: str) -> str:
    """Returns "file" or "directory"."""
    try:
        return filesystem.info(path)["type"]
    except FileNotFoundError as error:
        raise SofitError(f"There is no data at {data}. --data takes demo, a folder, a file, or hf:NAME.") from error
    except Exception as error:  # Each remote filesystem has kinds of its own for "not reachable" and "no access".
        raise SofitError(f"Cannot read {data}: {type(error).__name__}: {error}.") from error


def _split_file(filesystem: "AbstractFileSystem", data: str, folder: str, split: str) -> str:
    try:
        files = {PurePosixPath(file).name: file for file in sorted(filesystem.ls(folder, detail=False))}
    except OSError as error:
        raise SofitError(f"Cannot read the folder {data}: {error}.") from error
    for stem in SPLIT_NAMES[split]:
        found = [stem + suffix for suffix in SUFFIXES if stem + suffix in files]
        if len(found) > 1:
            raise SofitError(f"{data} has several files for the {split} split: {', '.join(found)}. Keep one of them.")
        if found:
            return files[found[0]]
    stems = ", ".join(SPLIT_NAMES[split])
    present = ", ".join(name for name in files if name.endswith(SUFFIXES)) or "none"
    raise SofitError(
        f"{data} has no {split} split: no file called {stems} with the ending {', '.join(SUFFIXES)}. Data files there: {present}."
        " Of a single file given as --data, a tenth is held out for validation."
    )
