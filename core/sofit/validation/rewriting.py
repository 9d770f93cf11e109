"""Where fixed files go: in place of the file, to the standard output, or into a diff."""

import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from sofit.errors import SofitError
from sofit.validation.sources import Source


class Rewriter(Protocol):
    """Takes a file piece by piece, all of it and in order."""

    def write(self, old: bytes, new: bytes) -> None:
        """Takes a piece as it was and as it shall be."""
        ...


class Copy:
    """Writes the new pieces one after the other."""

    def __init__(self, stream: BinaryIO):
        self._stream = stream

    def write(self, old: bytes, new: bytes) -> None:
        """Writes the new piece."""
        self._stream.write(new)


class Diff:
    """Writes a unified diff without context, which needs nothing but the changed lines; `patch -p0` applies it."""

    def __init__(self, stream: BinaryIO, name: str):
        self._stream, self._name = stream, _name_in_diff(name)
        self._old_line = self._new_line = 1
        self._is_begun = False

    def write(self, old: bytes, new: bytes) -> None:
        """Writes a hunk where the pieces differ."""
        old_lines, new_lines = io.BytesIO(old).readlines(), io.BytesIO(new).readlines()
        if old != new:
            if not self._is_begun:
                self._stream.write(b"--- %s\n+++ %s\n" % (self._name, self._name))
                self._is_begun = True
            self._stream.write(b"@@ -%d,%d +%d,%d @@\n" % (self._old_line, len(old_lines), self._new_line, len(new_lines)))
            for sign, lines in ((b"-", old_lines), (b"+", new_lines)):
                for line in lines:
                    self._stream.write(sign + line + (b"" if line.endswith(b"\n") else b"\n\\ No newline at end of file\n"))
        self._old_line += len(old_lines)
        self._new_line += len(new_lines)


def _name_in_diff(name: str) -> bytes:
    """Returns the name by which `patch` finds a file: relative, and with a tab behind it if a space might end it."""
    path = Path(name)
    if path.is_absolute():
        path = path.parent.resolve() / path.name
        with suppress(ValueError):  # It lies elsewhere.
            name = str(path.relative_to(Path.cwd()))
    return os.fsencode(name + "\t" if " " in name else name)


@contextmanager
def replacing(source: Source, stdout: BinaryIO) -> Iterator[Rewriter]:
    """Puts what is written in the file's place once all of it is written; for the standard input, writes to `stdout`.

    Raises:
        SofitError: the file cannot be replaced.
    """
    if source.path is None:
        yield Copy(stdout)
        return
    # Through a link to the file itself, so that the link stays one.
    path = source.path.resolve()
    written: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        written = Path(name)
        with os.fdopen(descriptor, "wb") as stream:
            yield Copy(stream)
        shutil.copymode(path, written)
        written.replace(path)
        written = None
    except OSError as error:
        raise SofitError(f"Cannot write {source.name}: {error.strerror}.") from error
    finally:
        if written is not None:
            written.unlink(missing_ok=True)
