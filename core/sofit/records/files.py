"""Rows of CSV and JSONL files, as a stream or one by one."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from sofit.errors import SofitError
from sofit.records.record import Record

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

SUFFIXES = (".csv", ".jsonl", ".ndjson")
_MARK = "\ufeff"
"""The byte order mark, with which some editors begin a file."""


class RowPlace(NamedTuple):
    """Where a row stands in its file."""

    start: int
    """In bytes from the beginning of the file."""
    length: int
    """In bytes, its line end included."""
    line: int
    """From 1; that on which it begins."""


def read_file(filesystem: "AbstractFileSystem", path: str, shown: str) -> Iterator[Record]:
    """Yields the rows of a file, in UTF-8, with or without a byte order mark. Messages call the file `shown`.

    Raises:
        SofitError: the file cannot be read, or a row is malformed; names the line.
    """
    return (record for record, _ in read_rows(filesystem, path, shown))


def read_rows(filesystem: "AbstractFileSystem", path: str, shown: str) -> Iterator[tuple[Record, RowPlace]]:
    """Does as `read_file`, and says of each row where in the file it can be read again."""
    parse = _parse_csv if _is_csv(path, shown) else _parse_jsonl
    try:
        with io.TextIOWrapper(_open(filesystem, path), encoding="utf-8", newline="") as stream:
            yield from parse(_Lines(stream), shown)
    except UnicodeDecodeError as error:
        raise SofitError(f"{_first_undecodable(filesystem, path, shown)}: not UTF-8. Save the file as UTF-8.") from error
    except OSError as error:
        raise SofitError(f"Cannot read {shown}: {error}.") from error


class RowReader:
    """Reads single rows of a file on a disk. Safe in several threads."""

    def __init__(self, path: Path, shown: str) -> None:
        """Opens a file that `read_rows` has read once, so that it is known to be well formed."""
        self._path, self._shown = path, shown
        self._header: list[str] | None = None
        if _is_csv(str(path), shown):
            with path.open(encoding="utf-8-sig", newline="") as stream:
                self._header = next(csv.reader(stream, strict=True), [])

    def read(self, place: RowPlace) -> Record:
        """Reads a row.

        Raises:
            SofitError: there is no such row, since the file is another than it was.
        """
        where = f"{self._shown}:{place.line}"
        try:
            with self._path.open("rb") as stream:
                stream.seek(place.start)
                text = stream.read(place.length).decode()
            if self._header is None:
                return _jsonl_record(text, where)
            return _csv_record(next(csv.reader(io.StringIO(text, newline=""), strict=True), []), self._header, where)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise SofitError(f"{where}: cannot be read any more: {error}. Leave the data as it is while it is used.") from error


def _is_csv(path: str, shown: str) -> bool:
    suffix = PurePosixPath(path).suffix
    if suffix not in SUFFIXES:
        raise SofitError(f"Cannot tell the format of {shown}: its name must end in one of {', '.join(SUFFIXES)}.")
    return suffix == ".csv"


def _open(filesystem: "AbstractFileSystem", path: str) -> IO[bytes]:
    return cast(IO[bytes], filesystem.open(path, "rb"))


def _first_undecodable(filesystem: "AbstractFileSystem", path: str, shown: str) -> str:
    """Returns "file:line" of the first line that is not UTF-8. The decoder of a stream knows only its place in a block."""
    with _open(filesystem, path) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return f"{shown}:{number}"
    return shown


class _Lines:
    """The lines of a text in UTF-8, and how many bytes of it have been read."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.read_bytes = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._stream:
            if self.read_bytes == 0 and line.startswith(_MARK):
                line = line.removeprefix(_MARK)
                self.read_bytes = len(_MARK.encode())
            self.read_bytes += _byte_count(line)
            yield line


def _byte_count(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _parse_csv(lines: _Lines, shown: str) -> Iterator[tuple[Record, RowPlace]]:
    # Not strict, the reader would take an unclosed quote for text up to the end of the file.
    reader = csv.reader(lines, strict=True)
    header: list[str] | None = None
    while True:
        # A quoted value may span lines: the row stands where it begins, and so does whatever is wrong with it.
        start, line = lines.read_bytes, reader.line_num + 1
        where = f"{shown}:{line}"
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise SofitError(f"{where}: not CSV: {error}. Quote values that hold commas, quotes or line ends.") from error
        if values is None:
            break
        if header is None:
            header = _checked_header(values, where)
        elif values:
            yield _csv_record(values, header, where), RowPlace(start, lines.read_bytes - start, line)
    if header is None:
        raise SofitError(f"{shown} is empty. A CSV file starts with a header line that names its columns.")


def _csv_record(values: list[str], header: list[str], where: str) -> Record:
    if len(values) != len(header):
        raise SofitError(
            f"{where}: the row has {len(values)} columns, but the header has {len(header)} ({', '.join(header)})."
            " Quote values that hold commas."
        )
    return Record(dict(zip(header, values, strict=True)), where)


def _checked_header(names: list[str], where: str) -> list[str]:
    if not any(names):
        raise SofitError(f"{where}: the first line is empty. A CSV file starts with a header line that names its columns.")
    for name in names:
        if names.count(name) > 1:
            raise SofitError(f"{where}: the header names two columns {name!r}. Rename one of them.")
    return names


def _parse_jsonl(lines: _Lines, shown: str) -> Iterator[tuple[Record, RowPlace]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            start = lines.read_bytes - _byte_count(line)
            yield _jsonl_record(line, f"{shown}:{number}"), RowPlace(start, lines.read_bytes - start, number)


def _jsonl_record(line: str, where: str) -> Record:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SofitError(f"{where}: not JSON: {error}. Each line of a JSONL file is one JSON object.") from error
    if not isinstance(fields, dict):
        raise SofitError(f"{where}: expected a JSON object with named fields. Got {type(fields).__name__}.")
    return Record(fields, where)
