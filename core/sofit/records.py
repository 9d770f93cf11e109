"""Reading rows of data: CSV and JSONL files on a disk or any fsspec path, folders of them, and datasets of the Hub.

Every row knows where it stands, so that whatever is wrong with it can be said with file and line.
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from sofit.errors import SofitError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
"""The file stems, or Hub split names, under which each split is looked for, in this order."""

_SUFFIXES = (".csv", ".jsonl", ".ndjson")
_HUB_REVISIONS = ("refs/convert/parquet", None)
_HELD_OUT_SHARE = 0.1
_HELD_OUT_AT_MOST = 200


@dataclass(frozen=True)
class Record:
    """One row: its fields by name, and where it stands ("train.csv:17")."""

    fields: dict[str, Any]
    where: str

    def text(self, *names: str) -> str:
        """Returns the first of the fields `names` that the row has.

        Raises:
            SofitError: the row has none of them, or the value is not text.
        """
        for name in names:
            if self.fields.get(name) is not None:
                value = self.fields[name]
                if not isinstance(value, str):
                    raise SofitError(f"{self.where}: field {name!r} must be text. Got {type(value).__name__}: {value!r}.")
                return value
        wanted = " or ".join(repr(name) for name in names)
        raise SofitError(f"{self.where}: the row has no field {wanted}. Its fields: {', '.join(self.fields) or 'none'}.")


def read_split(data: str, split: str) -> Iterator[Record]:
    """Yields the rows of a split of `data`: a folder with a file for each split, a single file, or "hf:NAME".

    A single file has no validation split of its own: a tenth of its rows, at most 200, chosen by a hash of their content, is
    "validation" and the rest is "train".

    Raises:
        SofitError: nothing is there, or a row cannot be read; names the file and line.
    """
    if split not in SPLIT_NAMES:
        raise SofitError(f"No split is called {split!r}. Splits: {', '.join(SPLIT_NAMES)}.")
    if data.startswith("hf:"):
        yield from _read_hub(data.removeprefix("hf:"), split)
        return
    filesystem, path = _open_filesystem(data)
    if filesystem.isdir(path):
        yield from _read_file(filesystem, _split_file(filesystem, data, path, split))
    elif filesystem.isfile(path):
        records = list(_read_file(filesystem, path))
        held_out = _held_out([record.fields for record in records])
        yield from (record for record, held in zip(records, held_out, strict=True) if split in ("train", "validation") and held != (split == "train"))
    else:
        raise SofitError(f"There is no data at {data}. --data takes demo, a folder, a file, or hf:NAME.")


def _open_filesystem(url: str) -> "tuple[AbstractFileSystem, str]":
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise SofitError(f"Cannot reach {url}: {error}.") from error


def _split_file(filesystem: "AbstractFileSystem", data: str, folder: str, split: str) -> str:
    files = {PurePosixPath(file).name: file for file in filesystem.ls(folder, detail=False)}
    for stem in SPLIT_NAMES[split]:
        for suffix in _SUFFIXES:
            if stem + suffix in files:
                return files[stem + suffix]
    wanted = ", ".join(stem + suffix for stem in SPLIT_NAMES[split] for suffix in _SUFFIXES)
    raise SofitError(f"{data} has no {split} split. Looked for {wanted}. Found: {', '.join(sorted(files)) or 'nothing'}.")


def _held_out(rows: Sequence[dict[str, Any]]) -> list[bool]:
    """Chooses the rows to hold out by the hash of their content, so that neither order nor additions move the others."""
    hashes = [hashlib.sha256(json.dumps(row, sort_keys=True, default=str).encode()).hexdigest() for row in rows]
    count = min(_HELD_OUT_AT_MOST, round(len(rows) * _HELD_OUT_SHARE))
    # Equal rows share a hash and so a side: a held-out row is never also trained on.
    chosen = set(sorted(set(hashes))[:count])
    return [value in chosen for value in hashes]


def _read_file(filesystem: "AbstractFileSystem", path: str) -> Iterator[Record]:
    suffix = PurePosixPath(path).suffix
    if suffix not in _SUFFIXES:
        raise SofitError(f"Cannot tell the format of {path}: its name must end in {', '.join(_SUFFIXES)}.")
    parse = _parse_csv if suffix == ".csv" else _parse_jsonl
    try:
        with filesystem.open(path, "rt", encoding="utf-8-sig", newline="") as stream:
            yield from parse(stream, path)
    except UnicodeDecodeError as error:
        raise SofitError(f"{path} is not UTF-8: {error}. Save it as UTF-8.") from error
    except OSError as error:
        raise SofitError(f"Cannot read {path}: {error}.") from error


def _parse_csv(stream: IO[str], path: str) -> Iterator[Record]:
    reader = csv.reader(stream, strict=True)
    try:
        header = next(reader, None)
        if not header:
            raise SofitError(f"{path} is empty: a CSV file starts with a header line that names its columns.")
        line = reader.line_num + 1
        for values in reader:
            where = f"{path}:{line}"
            line = reader.line_num + 1
            if not values:
                continue
            if len(values) != len(header):
                raise SofitError(
                    f"{where}: the row has {len(values)} columns, but the header has {len(header)} ({', '.join(header)})."
                    " Quote values that hold commas."
                )
            yield Record(dict(zip(header, values, strict=True)), where)
    except csv.Error as error:
        raise SofitError(f"{path}:{reader.line_num}: not CSV: {error}. Quote values that hold commas, quotes or line ends.") from error


def _parse_jsonl(stream: IO[str], path: str) -> Iterator[Record]:
    for line, text in enumerate(stream, start=1):
        if not text.strip():
            continue
        where = f"{path}:{line}"
        try:
            fields = json.loads(text)
        except ValueError as error:
            raise SofitError(f"{where}: not JSON: {error}. Each line of a JSONL file is one JSON object.") from error
        if not isinstance(fields, dict):
            raise SofitError(f"{where}: expected a JSON object with named fields. Got {type(fields).__name__}.")
        yield Record(fields, where)


def _read_hub(name: str, split: str) -> Iterator[Record]:
    import datasets

    rows, reasons = None, []
    # The Parquet conversion first: datasets that need a script of their own exist only there.
    for revision in _HUB_REVISIONS:
        try:
            splits = datasets.get_dataset_split_names(name, revision=revision)
            found = next(candidate for candidate in SPLIT_NAMES[split] if candidate in splits)
            rows = datasets.load_dataset(name, split=found, revision=revision)
            break
        except StopIteration:
            raise SofitError(f"hf:{name} has no {split} split. It has: {', '.join(splits)}.") from None
        except Exception as error:  # The Hub's client raises many unrelated kinds for "not there" and "not reachable".
            reasons.append(f"{type(error).__name__}: {error}")
    if rows is None:
        raise SofitError(
            f"Cannot read hf:{name} from the Hugging Face Hub: {reasons[-1]}. Check the name and the network, or give --data a folder."
        )
    for index, row in enumerate(rows):
        yield Record(dict(row), f"hf:{name}:{split}:{index}")
