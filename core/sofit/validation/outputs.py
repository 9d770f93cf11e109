"""Reading outputs out of files, one at a time, and writing changed ones back.

A reader yields every byte of its file in order: as an `Output`, or as bytes between outputs, such as the header of a CSV file.
So a file with some outputs changed is what was read, joined again.
"""

import csv
import json
import re
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
_BLANK = re.compile(r"[ \t\r\n]*")
_CELL = re.compile(r'"[^"]*(?:""[^"]*)*"|[^,\r\n]*')
_MOST_CELL_CHARACTERS = 1 << 26
"""A quote that nothing closes takes the rest of the file, so there must be an end to what is read for it."""


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

    def holds(self, text: str) -> bool:
        """Whether a record can hold an output, so that it is read again as one."""
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

    def holds(self, text: str) -> bool:
        """Whether it is one line."""
        return "\n" not in text

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

    def holds(self, text: str) -> bool:
        """Always."""
        return True

    def read(self, stream: BinaryIO, file: str) -> Iterator[Output | bytes]:
        """Yields the one output."""
        raw = stream.read()
        end = raw[-1:] if raw.endswith(b"\n") else b""
        yield Output(decode(raw.removesuffix(end)), 1, 1, raw, partial(_rewrite_text, end))


def _rewrite_text(end: bytes, text: str) -> bytes:
    # A line end that is the output's needs one after it that is the file's.
    return encode(text) + (end or (b"\n" if text.endswith("\n") else b""))


@dataclass(frozen=True)
class _Rows:
    """What JSONL and CSV share: rows with named fields."""

    output_field: str | None
    id_field: str | None
    is_flat: bool = field(default=False, init=False)

    def holds(self, text: str) -> bool:
        """Always: quotes surround it."""
        return True

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
    row = decode(raw)
    start, end = _value_span(row, name)
    return encode(row[:start] + json.dumps(text, ensure_ascii=False) + row[end:])


def _value_span(row: str, name: str | None) -> tuple[int, int]:
    """Returns where a row has the value of a field, of several by that name the last; the row itself is one without a name.

    Numbers, escapes and names that stand twice would not survive being read and written again.
    """
    read = json.JSONDecoder().raw_decode
    at = _after_blank(row, int(row.startswith("\ufeff")))
    if name is None:
        return at, read(row, at)[1]
    span = (0, 0)
    while row[at] != "}":  # Here stands the bracket that opens the object, or a comma.
        key, at = read(row, _after_blank(row, at + 1))
        start = _after_blank(row, _after_blank(row, at) + 1)
        end = read(row, start)[1]
        if key == name:
            span = start, end
        at = _after_blank(row, end)
    return span


def _after_blank(row: str, at: int) -> int:
    blank = _BLANK.match(row, at)
    assert blank is not None, "nothing at all matches"
    return blank.end()


class Csv(_Rows):
    """Each row but the first, which names the columns, has the output in a column."""

    def read(self, stream: BinaryIO, file: str) -> Iterator[Output | bytes]:
        """Yields the output of each row that is not blank."""
        csv.field_size_limit(_MOST_CELL_CHARACTERS)
        taken: list[bytes] = []
        rows = csv.reader(_decode_each(stream, taken), strict=True)
        header: list[str] | None = None
        next_line, record = 1, 0
        try:
            for values in rows:
                raw = b"".join(taken)
                taken.clear()
                line, next_line = next_line, rows.line_num + 1
                if not values or header is None:
                    header = header or values or None
                    yield raw
                    continue
                where = f"{file}:{line}"
                if len(values) != len(header):
                    raise SofitError(
                        f"{where}: the row has {len(values)} columns, but the header has {len(header)} ({', '.join(header)})."
                        " Quote values that hold commas."
                    )
                record += 1
                row = dict(zip(header, values, strict=True))
                name = self._name(row, where)
                if header.count(name) > 1:
                    raise SofitError(
                        f"{file}: several columns are called {name!r}. Rename all but one, or take another by --field."
                    )
                rewrite = partial(_rewrite_csv, raw, header.index(name))
                yield Output(row[name], record, line, raw, rewrite, self._id(row, where))
        except csv.Error as error:
            raise SofitError(
                f"{file}:{rows.line_num}: not CSV: {error}. Quote values that hold commas or line ends, and close every quote."
            ) from error


def _decode_each(stream: BinaryIO, taken: list[bytes]) -> Iterator[str]:
    """Yields the lines of a stream as text, and keeps the bytes of those that the row at hand takes."""
    for number, raw in enumerate(stream):
        taken.append(raw)
        yield decode(raw if number else raw.removeprefix(_BYTE_ORDER_MARK))


def _rewrite_csv(raw: bytes, column: int, text: str) -> bytes:
    row = decode(raw)
    start, end = 0, _cell_end(row, 0)
    for _ in range(column):
        start, end = end + 1, _cell_end(row, end + 1)
    # A row of one empty cell would be a blank line.
    if row.startswith('"', start) or not text or re.search('[",\r\n]', text):
        text = '"' + text.replace('"', '""') + '"'
    return encode(row[:start] + text + row[end:])


def _cell_end(row: str, start: int) -> int:
    cell = _CELL.match(row, start)
    assert cell is not None, "an empty cell matches"
    return cell.end()
