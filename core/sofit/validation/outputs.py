"""Reading outputs out of files, one at a time, and writing changed ones back.

A reader yields every byte of its file in order: as an `Output`, or as bytes between outputs, such as the header of a CSV file.
So a file with some outputs changed is what was read, joined again.
"""

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, Literal, Protocol, get_args

from sofit.errors import SofitError

FormatName = Literal["text", "lines", "jsonl", "csv"]
FORMATS: tuple[FormatName, ...] = get_args(FormatName)

DEFAULT_FIELDS = ("output", "prediction", "completion", "response", "text", "target")
"""Where a row's output is looked for, in this order, unless `--field` names the field."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_JSON_BLANK = re.compile(r"[ \t\r\n]*")
_CSV_FIELD = re.compile(r'"(?:[^"]|"")*"|[^,\r\n]*')


@dataclass(frozen=True, slots=True)
class Output:
    """One output, and where it stands."""

    text: str
    """A byte that is not UTF-8 stands in it as a lone surrogate (PEP 383)."""
    record: int
    """Its number in the file, from 1."""
    line: int
    """The line of the file on which its record starts, from 1."""
    raw: bytes
    """The bytes of the record."""
    rewrite: Callable[[str], bytes]
    """Returns the bytes of the record with another output in it."""
    id: str | None = None
    """What the record's id field says."""


class Reader(Protocol):
    """Reads the outputs of one kind of file."""

    @property
    def is_flat(self) -> bool:
        """Whether a column of an output is a column of the file. In JSONL and CSV the output is wrapped, and only the line is."""
        ...

    def read(self, stream: BinaryIO, file: str) -> Iterator[Output | bytes]:
        """Yields the outputs, and the bytes between them.

        Raises:
            SofitError: a row cannot be read; names `file` and the line.
        """
        ...


def make_reader(format_name: FormatName, output_field: str | None = None, id_field: str | None = None) -> Reader:
    """Returns the reader of a format. The fields concern JSONL and CSV."""
    if format_name == "lines":
        return Lines()
    if format_name == "text":
        return Text()
    return (Jsonl if format_name == "jsonl" else Csv)(output_field, id_field)


def decode(raw: bytes) -> str:
    """Decodes UTF-8; other bytes become lone surrogates."""
    return raw.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """Undoes `decode`."""
    return text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Lines:
    r"""Each line is an output. Only "\n" ends a line, so that a stray "\r" is seen."""

    is_flat: bool = True

    def read(self, stream: BinaryIO, file: str) -> Iterator[Output | bytes]:
        """Yields each line."""
        for number, raw in enumerate(stream, start=1):
            if raw.endswith(b"\n"):
                yield Output(decode(raw[:-1]), number, number, raw, _rewrite_line)
            else:
                yield Output(decode(raw), number, number, raw, encode)


def _rewrite_line(text: str) -> bytes:
    return encode(text) + b"\n"


@dataclass(frozen=True)
class Text:
    """The whole file is one output, but for one line end at its end, which is the file's."""

    is_flat: bool = True

    def read(self, stream: BinaryIO, file: str) -> Iterator[Output | bytes]:
        """Yields the one output."""
        raw = stream.read()
        end = raw[-1:] if raw.endswith(b"\n") else b""
        yield Output(decode(raw.removesuffix(end)), 1, 1, raw, lambda text: encode(text) + end)


@dataclass(frozen=True)
class _Rows:
    """What JSONL and CSV share: rows with named fields."""

    output_field: str | None
    id_field: str | None
    is_flat: bool = field(default=False, init=False)

    def _name(self, row: dict[str, Any], where: str) -> str:
        """Returns the name of the field that holds the output."""
        names = DEFAULT_FIELDS if self.output_field is None else (self.output_field,)
        name = next((name for name in names if name in row), None)
        if name is None:
            wanted = "none of the fields " + ", ".join(names) if self.output_field is None else f"no field {self.output_field!r}"
            raise SofitError(
                f"{where}: the row has {wanted}. Its fields: {', '.join(map(str, row))}. Name one with --field,"
                " or take each line for an output as it stands: --format-in lines."
            )
        return name

    def _text(self, row: dict[str, Any], name: str, where: str) -> str:
        value = row[name]
        if value is None:
            return ""
        if not isinstance(value, str):
            raise SofitError(f"{where}: field {name!r} must be text. Got {type(value).__name__}: {value!r}.")
        return value

    def _id(self, row: dict[str, Any], where: str) -> str | None:
        name = self.id_field or "id"
        if self.id_field is not None and name not in row:
            raise SofitError(f"{where}: the row has no field {name!r}. Its fields: {', '.join(map(str, row))}.")
        value = row.get(name)
        return None if value is None else str(value)


class Jsonl(_Rows):
    """Each line is a JSON object with the output in a field, or a JSON text that is the output itself."""

    def read(self, stream: BinaryIO, file: str) -> Iterator[Output | bytes]:
        """Yields the output of each line that is not blank."""
        record = 0
        for line, raw in enumerate(stream, start=1):
            if not raw.strip():
                yield raw
                continue
            record += 1
            where = f"{file}:{line}"
            row = self._parse(raw, where)
            if isinstance(row, str):
                yield Output(row, record, line, raw, partial(_rewrite_json, raw, None))
            else:
                name = self._name(row, where)
                text = self._text(row, name, where)
                yield Output(text, record, line, raw, partial(_rewrite_json, raw, name), self._id(row, where))

    def _parse(self, raw: bytes, where: str) -> dict[str, Any] | str:
        try:
            row = json.loads(decode(raw.removeprefix(_BYTE_ORDER_MARK)))
        except (ValueError, RecursionError) as error:
            raise SofitError(f"{where}: not JSON: {error}. Each line of a JSONL file is one JSON value.") from error
        if not isinstance(row, dict | str):
            raise SofitError(f"{where}: expected a JSON object or a JSON text. Got {type(row).__name__}.")
        return row


def _rewrite_json(raw: bytes, name: str | None, text: str) -> bytes:
    """Puts an output in the place of the one under `name`, or of the whole value, and leaves all other bytes as they are."""
    line = decode(raw)
    start, end = _value_span(line, name)
    return encode(line[:start] + json.dumps(text, ensure_ascii=False) + line[end:])


def _value_span(line: str, name: str | None) -> tuple[int, int]:
    """Returns where a value stands in a line that is known to be JSON; of equal names the last, as JSON is read."""
    read = json.JSONDecoder().raw_decode

    def after_blank(place: int) -> int:
        blank = _JSON_BLANK.match(line, place)
        assert blank is not None, "it matches nothing, too"
        return blank.end()

    start = after_blank(len("\ufeff") if line.startswith("\ufeff") else 0)
    if name is None:
        return start, read(line, start)[1]
    span, place = (start, start), after_blank(start + 1)
    while line[place] != "}":
        key, place = read(line, place)
        start = after_blank(after_blank(place) + 1)
        _, place = read(line, start)
        span = (start, place) if key == name else span
        place = after_blank(place)
        place = after_blank(place + 1) if line[place] == "," else place
    return span


class Csv(_Rows):
    """Each row but the first, which names the columns, has the output in a column."""

    def read(self, stream: BinaryIO, file: str) -> Iterator[Output | bytes]:
        """Yields the output of each row that is not blank."""
        taken: list[bytes] = []
        csv.field_size_limit(sys.maxsize)
        rows = csv.reader(_decode_each(stream, taken), strict=True)
        header: list[str] | None = None
        line, record = 1, 0
        try:
            for values in rows:
                raw = b"".join(taken)
                taken.clear()
                where, start = f"{file}:{line}", line
                line = rows.line_num + 1
                if not values or header is None:
                    header = header or values or None
                    yield raw
                    continue
                if len(values) != len(header):
                    raise SofitError(
                        f"{where}: the row has {len(values)} columns, but the header has {len(header)} ({', '.join(header)})."
                        " Quote values that hold commas."
                    )
                record += 1
                row = dict(zip(header, values, strict=True))
                name = self._name(row, where)
                if header.count(name) > 1:
                    raise SofitError(f"{file}: {header.count(name)} columns are called {name!r}. Rename all but the one to read.")
                rewrite = partial(_rewrite_csv, raw, header.index(name))
                yield Output(row[name], record, start, raw, rewrite, self._id(row, where))
        except csv.Error as error:
            raise SofitError(f"{file}:{rows.line_num}: not CSV: {error}. Quote values that hold commas or line ends.") from error


def _decode_each(stream: BinaryIO, taken: list[bytes]) -> Iterator[str]:
    """Yields the lines of a stream as text, and keeps the bytes of those that the row at hand takes."""
    for number, raw in enumerate(stream):
        taken.append(raw)
        yield decode(raw if number else raw.removeprefix(_BYTE_ORDER_MARK))


def _rewrite_csv(raw: bytes, column: int, text: str) -> bytes:
    """Puts an output into a column, and leaves all other bytes as they are."""
    line, start, end = decode(raw), 0, -1
    for _ in range(column + 1):
        field = _CSV_FIELD.match(line, end + 1)
        assert field is not None, "it matches nothing, too"
        start, end = field.span()
    is_plain = text and not set(text) & set(',"\r\n')
    quoted = text if is_plain else '"' + text.replace('"', '""') + '"'
    return encode(line[:start] + quoted + line[end:])
