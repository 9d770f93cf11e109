"""Rows of CSV and JSONL files, as a stream."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from sofit.errors import SofitError
from sofit.records.record import Record

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

SUFFIXES = (".csv", ".jsonl", ".ndjson")


def read_file(filesystem: "AbstractFileSystem", path: str, shown: str) -> Iterator[Record]:
    """Yields the rows of a file, in UTF-8, with or without a byte order mark. Messages call the file `shown`.

    Raises:
        SofitError: the file cannot be read, or a row is malformed; names the line.
    """
    suffix = PurePosixPath(path).suffix
    if suffix not in SUFFIXES:
        raise SofitError(f"Cannot tell the format of {shown}: its name must end in one of {', '.join(SUFFIXES)}.")
    parse = _parse_csv if suffix == ".csv" else _parse_jsonl
    try:
        with io.TextIOWrapper(_open(filesystem, path), encoding="utf-8-sig", newline="") as stream:
            yield from parse(stream, shown)
    except UnicodeDecodeError as error:
        raise SofitError(f"{_first_undecodable(filesystem, path, shown)}: not UTF-8. Save the file as UTF-8.") from error
    except OSError as error:
        raise SofitError(f"Cannot read {shown}: {error}.") from error


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


def _parse_csv(stream: IO[str], shown: str) -> Iterator[Record]:
    # Not strict, the reader would take an unclosed quote for text up to the end of the file.
    reader = csv.reader(stream, strict=True)
    header: list[str] | None = None
    while True:
        # A quoted value may span lines: the row stands where it begins, and so does whatever is wrong with it.
        where = f"{shown}:{reader.line_num + 1}"
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise SofitError(f"{where}: not CSV: {error}. Quote values that hold commas, quotes or line ends.") from error
        if values is None:
            break
        if header is None:
            header = _checked_header(values, where)
        elif values and len(values) != len(header):
            raise SofitError(
                f"{where}: the row has {len(values)} columns, but the header has {len(header)} ({', '.join(header)})."
                " Quote values that hold commas."
            )
        elif values:
            yield Record(dict(zip(header, values, strict=True)), where)
    if header is None:
        raise SofitError(f"{shown} is empty. A CSV file starts with a header line that names its columns.")


def _checked_header(names: list[str], where: str) -> list[str]:
    if not any(names):
        raise SofitError(f"{where}: the first line is empty. A CSV file starts with a header line that names its columns.")
    for name in names:
        if names.count(name) > 1:
            raise SofitError(f"{where}: the header names two columns {name!r}. Rename one of them.")
    return names


def _parse_jsonl(stream: IO[str], shown: str) -> Iterator[Record]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        where = f"{shown}:{number}"
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SofitError(f"{where}: not JSON: {error}. Each line of a JSONL file is one JSON object.") from error
        if not isinstance(fields, dict):
            raise SofitError(f"{where}: expected a JSON object with named fields. Got {type(fields).__name__}.")
        yield Record(fields, where)
