"""Writing files so that a reader, or a run that goes on after a crash, never meets half of one."""

import dataclasses
import json
import math
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sofit.errors import SofitError

_ERRORS = "replace"
"""Half a surrogate pair, which JSON can carry into a data set, becomes a question mark; it must not end a run."""


def write_text(path: Path, text: str) -> None:
    """Writes a file in one step: it has its old content or the new one, also after a crash.

    A link stays one, and a file keeps who may read it. A device or pipe takes the text as it comes.

    Raises:
        SofitError: the file cannot be written.
    """
    if path.is_dir():
        raise SofitError(f"Cannot write {path}: it is a folder. Name a file.")
    try:
        place = path.resolve()
        is_there = place.exists()
        # A descriptor such as /dev/stdout resolves to what it stands for, which has no name where that is a pipe.
        if path.exists() and (not (is_there and place.is_file()) or path.absolute().is_relative_to("/dev")):
            _write_through(path, text)
            return
        partial = place.with_name(f".{place.name}.partial")
        _write_through(partial, text)
        if is_there:
            partial.chmod(stat.S_IMODE(place.stat().st_mode))
        partial.replace(place)
    except OSError as error:
        raise SofitError(f"Cannot write {path}: {error.strerror or error}.") from error


def _write_through(path: Path, text: str) -> None:
    with path.open("w", newline="\n", encoding="utf-8", errors=_ERRORS) as stream:
        stream.write(text)
        stream.flush()
        if path.is_file():
            os.fsync(stream.fileno())


def check_output(file: Path, data: str) -> None:
    """Makes sure, before long work, that a file can be written and that nothing is lost by it. Writes nothing.

    Args:
        file: the file to be written.
        data: where the examples come from: a file, a folder, or an address.

    Raises:
        SofitError: it cannot be written, or is among the data.
    """
    source = Path(data.removeprefix("file://"))
    if file.exists() and source.exists() and (file.samefile(source) or file.resolve().parent == source.resolve()):
        raise SofitError(f"{file} is among the data of {data}, and would be written over. Name another file.")
    if file.is_dir():
        raise SofitError(f"Cannot write {file}: it is a folder. Name a file.")
    if file.exists() and not file.is_file():
        return
    try:
        with tempfile.TemporaryFile(dir=file.resolve().parent):
            pass
    except OSError as error:
        raise SofitError(f"Cannot write {file}: {error.strerror or error}.") from error


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Returns JSON as its standard has it: a number that is not finite becomes null, a record an object, anything else text."""
    return json.dumps(_plain(value), ensure_ascii=False, indent=indent, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return str(value)


@dataclass(frozen=True)
class JsonLines:
    """A file that grows by a line an entry."""

    path: Path

    def append(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Adds entries, each a whole line.

        Raises:
            SofitError: the file cannot be written.
        """
        lines = "".join(f"{as_json(entry)}\n" for entry in entries)
        try:
            with self.path.open("a", newline="\n", encoding="utf-8", errors=_ERRORS) as stream:
                stream.write(lines)
        except OSError as error:
            raise SofitError(f"Cannot write {self.path}: {error.strerror or error}.") from error

    def read(self) -> list[dict[str, Any]]:
        """Returns the entries; none where the file does not exist. A last line that a crash cut off is left out.

        Raises:
            SofitError: another line is no JSON object.
        """
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        # Cut in bytes, since a crash may cut a character in two.
        whole = content[: content.rfind(b"\n") + 1]
        return [self._entry(line, number) for number, line in enumerate(whole.split(b"\n"), 1) if line]

    def _entry(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise SofitError(f"{self.path}:{number}: this is not JSON: {error}. Mend the line or take it out.") from error
        if not isinstance(entry, dict):
            raise SofitError(f"{self.path}:{number}: this is no JSON object. Mend the line or take it out.")
        return entry

    def keep(self, wanted: Callable[[Mapping[str, Any]], bool]) -> None:
        """Takes out the entries that are not wanted, and a line that a crash cut off."""
        if self.path.exists():
            write_text(self.path, "".join(f"{as_json(entry)}\n" for entry in self.read() if wanted(entry)))
