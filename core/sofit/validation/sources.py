"""Where outputs come from: files, folders of them, and the standard input."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sofit.errors import SofitError
from sofit.validation.outputs import FormatName, Reader, make_reader

STDIN = "-"

FORMAT_BY_SUFFIX: dict[str, FormatName] = {".txt": "lines", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
"""How a file is read unless `--format-in` says so; any other file is one output."""


@dataclass(frozen=True)
class Source:
    """A file of outputs."""

    name: str
    """What messages call it."""
    path: Path | None
    """None for the standard input."""
    reader: Reader

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Opens the bytes.

        Raises:
            SofitError: the file cannot be read, now or while it is open.
        """
        try:
            if self.path is None:
                yield sys.stdin.buffer
            else:
                with self.path.open("rb") as stream:
                    yield stream
        except OSError as error:
            if error.filename is None or (self.path and Path(error.filename) != self.path):
                raise  # Not of this file: a pipe that the reader of the output has closed, say.
            raise SofitError(f"Cannot read {self.name}: {error.strerror}.") from error

    @property
    def size_bytes(self) -> int | None:
        """The size of the file, where it is one."""
        return self.path.stat().st_size if self.path and self.path.is_file() else None


def find_sources(
    paths: Sequence[str],
    *,
    format_in: FormatName | None = None,
    output_field: str | None = None,
    id_field: str | None = None,
    stdin_filename: str | None = None,
) -> list[Source]:
    """Returns the files that `paths` name: files, folders with all files of a known suffix below them, or "-".

    Raises:
        SofitError: a path does not exist, or a folder holds no such file.
    """

    def source(path: Path | None, name: str) -> Source:
        suffix = Path(name).suffix.lower()
        by_suffix = FORMAT_BY_SUFFIX.get(suffix, "text") if path or stdin_filename else "lines"
        return Source(name, path, make_reader(format_in or by_suffix, output_field, id_field))

    sources = []
    for name in paths:
        path = Path(name)
        if name == STDIN:
            sources.append(source(None, stdin_filename or "<stdin>"))
        elif path.is_dir():
            files = [file for file in sorted(path.rglob("*")) if _is_wanted(file.relative_to(path), format_in) and file.is_file()]
            if not files:
                suffixes = ", ".join(FORMAT_BY_SUFFIX)
                raise SofitError(f"The folder {name} holds no file that ends in {suffixes}. --format-in takes all its files.")
            sources += [source(file, str(file)) for file in files]
        elif path.exists():
            sources.append(source(path, name))
        else:
            raise SofitError(f"There is no file {name}.")
    return sources


def _is_wanted(file: Path, format_in: FormatName | None) -> bool:
    if any(part.startswith(".") for part in file.parts):
        return False
    return format_in is not None or file.suffix.lower() in FORMAT_BY_SUFFIX
