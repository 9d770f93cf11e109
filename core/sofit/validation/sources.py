"""Where outputs come from: files, folders of them, and the standard input."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sofit.errors import SofitError
from sofit.validation.outputs import FormatName, Output, Reader, make_reader

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

    def read(self) -> Iterator[Output | bytes]:
        """Yields the outputs, and the bytes between them.

        Raises:
            SofitError: the file or a row of it cannot be read.
        """
        try:
            with self._open() as stream:
                yield from self.reader.read(stream, self.name)
        except OSError as error:
            raise SofitError(f"Cannot read {self.name}: {error.strerror}.") from error

    def _open(self) -> AbstractContextManager[BinaryIO]:
        if self.path is not None:
            return self.path.open("rb")
        if sys.stdin is None:
            raise SofitError("The standard input is closed. Give a file, or send the outputs through a pipe.")
        return nullcontext(sys.stdin.buffer)

    def is_file(self, path: Path) -> bool:
        """Whether it is the regular file at `path`, maybe by another name."""
        with suppress(OSError):  # There may be no such file.
            return self.path is not None and self.path.is_file() and self.path.samefile(path)
        return False

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
        SofitError: a path does not exist or cannot be looked at, a folder holds no such file, or nothing that was named has
            the fields or the standard input that the options speak of.
    """
    if stdin_filename is not None and STDIN not in paths:
        raise SofitError("--stdin-filename is what to call the standard input. Read it by the path -.")

    def source(path: Path | None, name: str) -> Source:
        suffix = Path(name).suffix.lower()
        by_suffix = FORMAT_BY_SUFFIX.get(suffix, "text") if path or stdin_filename else "lines"
        return Source(name, path, make_reader(format_in or by_suffix, output_field, id_field))

    sources = []
    for name in paths:
        if name == STDIN:
            sources.append(source(None, stdin_filename or "<stdin>"))
            continue
        try:
            files = _files(name, format_in)
        except OSError as error:
            raise SofitError(f"Cannot read {name}: {error.strerror}.") from error
        sources += [source(file, shown) for file, shown in files]
    if (output_field or id_field) and all(source.reader.is_flat for source in sources):
        raise SofitError(
            "--field and --id-field name fields of JSONL or CSV, and neither is read. Leave them out, or say --format-in."
        )
    return sources


def _files(name: str, format_in: FormatName | None) -> list[tuple[Path, str]]:
    """Returns the file of that name, or those of the folder, and what messages call each."""
    path = Path(name)
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if _is_wanted(file.relative_to(path), format_in) and file.is_file()]
        if not files:
            suffixes = ", ".join(FORMAT_BY_SUFFIX)
            raise SofitError(f"The folder {name} holds no file that ends in {suffixes}. --format-in takes all its files.")
        return [(file, str(file)) for file in files]
    if not path.exists():
        raise SofitError(f"There is no file {name}.")
    return [(path, name)]


def _is_wanted(file: Path, format_in: FormatName | None) -> bool:
    if any(part.startswith(".") for part in file.parts):
        return False
    return format_in is not None or file.suffix.lower() in FORMAT_BY_SUFFIX
