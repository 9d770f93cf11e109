"""Where outputs come from: files, folders of them, and the standard input."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sofit.errors import SofitError
from sofit.validation.outputs import FormatName, Output, Reader, make_reader

STDIN = "-"
_SHOWN_NAME = 60

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
            SofitError: the file cannot be opened.
        """
        if self.path is None:
            if sys.stdin is None:
                raise SofitError("The standard input is closed. Name a file, or write to the standard input.")
            yield sys.stdin.buffer
            return
        try:
            stream = self.path.open("rb")
        except OSError as error:
            raise _unreadable(self.name, error) from error
        with stream:
            yield stream

    def read(self, stream: BinaryIO) -> Iterator[Output | bytes]:
        """Yields the outputs, and the bytes between them.

        Raises:
            SofitError: the bytes cannot be read, or a row of them.
        """
        try:
            yield from self.reader.read(stream, self.name)
        except OSError as error:
            raise _unreadable(self.name, error) from error

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

    if stdin_filename is not None and STDIN not in paths:
        raise SofitError("--stdin-filename names the standard input, which is not read. Add - to the files, or leave it out.")
    sources: list[Source] = []
    for name in paths:
        path = Path(name)
        if name == STDIN:
            sources.append(source(None, stdin_filename or "<stdin>"))
        elif _is_folder(path, name):
            files = [file for file in sorted(path.rglob("*")) if _is_wanted(file.relative_to(path), format_in) and file.is_file()]
            if not files:
                suffixes = ", ".join(FORMAT_BY_SUFFIX)
                raise SofitError(f"The folder {name} holds no file that ends in {suffixes}. --format-in takes all its files.")
            sources += [source(file, str(file)) for file in files]
        elif path.exists():
            sources.append(source(path, name))
        else:
            raise SofitError(f"There is no file {name}.")
    if (output_field or id_field) and all(source.reader.is_flat for source in sources):
        raise SofitError("--field and --id-field name fields of JSONL and CSV, and nothing that is read is either.")
    return sources


def _is_folder(path: Path, name: str) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        shown = name if len(name) <= _SHOWN_NAME else name[:_SHOWN_NAME] + "…"
        raise SofitError(f"{shown!r} is no file: {error.strerror}. Write outputs to a file, or to the standard input.") from error


def _unreadable(name: str, error: OSError) -> SofitError:
    return SofitError(f"Cannot read {name}: {error.strerror}.")


def _is_wanted(file: Path, format_in: FormatName | None) -> bool:
    if any(part.startswith(".") for part in file.parts):
        return False
    return format_in is not None or file.suffix.lower() in FORMAT_BY_SUFFIX
