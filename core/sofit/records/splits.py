"""Finding a split in whatever the user gave as data."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from sofit.errors import SofitError
from sofit.records.files import SUFFIXES, read_file
from sofit.records.hub import load_from_hub
from sofit.records.record import Record

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
"""The file stems, or Hub split names, under which each split is looked for, in this order."""

_T = TypeVar("_T")

_HELD_OUT_SHARE = 0.1
_HELD_OUT_AT_MOST = 200
_EXTRAS = {"gs": "gcs", "gcs": "gcs", "s3": "s3", "s3a": "s3"}
"""The extra of sofit-jax that reads a protocol."""


def read_split(data: str, split: str) -> Iterator[Record]:
    """Yields the rows of a split of `data`: a folder with a file for each split, a single file, or "hf:NAME".

    Of several data sets in one on the Hub, "hf:NAME/CONFIGURATION" chooses one.

    A single file has no validation split of its own: a tenth of its distinct rows, at most 200, chosen by a hash of their
    content, is "validation" and the rest is "train".

    Raises:
        SofitError: nothing is there, the split has no rows, or a row cannot be read; names the file and line.
    """
    if split not in SPLIT_NAMES:
        raise SofitError(f"No split is called {split!r}. Splits: {', '.join(SPLIT_NAMES)}.")
    is_empty = True
    for record in _read_hub(data, split) if data.startswith("hf:") else _read_path(data, split):
        is_empty = False
        yield record
    if is_empty:
        raise SofitError(f"{data} has no rows for the {split} split.")


def take_split(rows: Sequence[_T], split: str, sizes: Mapping[str, int]) -> Sequence[_T]:
    """Returns a split of a demo set: of all its rows, which lie one split after the other, each of its size.

    Raises:
        SofitError: `sizes` has no such split.
    """
    if split not in sizes:
        raise SofitError(f"The demo set has no split {split!r}. It has: {', '.join(sizes)}.")
    names = list(sizes)
    start = sum(sizes[name] for name in names[: names.index(split)])
    return rows[start : start + sizes[split]]


def _read_hub(data: str, split: str) -> Iterator[Record]:
    splits = load_from_hub(data.removeprefix("hf:"))
    found = next((name for name in SPLIT_NAMES[split] if name in splits), None)
    if found is None:
        raise SofitError(f"{data} has no {split} split. It has: {', '.join(splits)}.")
    for index, row in enumerate(splits[found]):
        yield Record(dict(row), f"{data}:{found}:{index}")


def _read_path(data: str, split: str) -> Iterator[Record]:
    filesystem, path = _open_filesystem(data)
    if _kind(filesystem, path, data) == "directory":
        file = _split_file(filesystem, data, path, split)
        yield from read_file(filesystem, file, f"{data.rstrip('/')}/{PurePosixPath(file).name}")
        return
    if split == "test":
        raise SofitError(f"{data} is a single file, which has no test split. Give --data a folder with a test file.")
    records = list(read_file(filesystem, path, data))
    held_out = _held_out([record.fields for record in records])
    yield from (record for record, held in zip(records, held_out, strict=True) if held == (split == "validation"))


def _open_filesystem(url: str) -> "tuple[AbstractFileSystem, str]":
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        extra = _EXTRAS.get(url.partition("://")[0])
        remedy = f" Install it with: pip install 'sofit-jax[{extra}]'." if extra else ""
        raise SofitError(f"Cannot read {url}: {error}.{remedy}") from error
    except ValueError as error:
        raise SofitError(f"Cannot read {url}: {error}.") from error


def _kind(filesystem: "AbstractFileSystem", path: str, data: str) -> str:
    """Returns "file" or "directory"."""
    try:
        return filesystem.info(path)["type"]
    except FileNotFoundError as error:
        raise SofitError(f"There is no data at {data}. --data takes demo, a folder, a file, or hf:NAME.") from error
    except Exception as error:  # Each remote filesystem has kinds of its own for "not reachable" and "no access".
        raise SofitError(f"Cannot read {data}: {type(error).__name__}: {error}.") from error


def _split_file(filesystem: "AbstractFileSystem", data: str, folder: str, split: str) -> str:
    try:
        files = {PurePosixPath(file).name: file for file in sorted(filesystem.ls(folder, detail=False))}
    except OSError as error:
        raise SofitError(f"Cannot read the folder {data}: {error}.") from error
    for stem in SPLIT_NAMES[split]:
        found = [stem + suffix for suffix in SUFFIXES if stem + suffix in files]
        if len(found) > 1:
            raise SofitError(f"{data} has several files for the {split} split: {', '.join(found)}. Keep one of them.")
        if found:
            return files[found[0]]
    stems = ", ".join(SPLIT_NAMES[split])
    present = ", ".join(name for name in files if name.endswith(SUFFIXES)) or "none"
    raise SofitError(
        f"{data} has no {split} split: no file called {stems} with the ending {', '.join(SUFFIXES)}. Data files there: {present}."
        " Of a single file given as --data, a tenth is held out for validation."
    )


def _held_out(rows: Sequence[dict[str, Any]]) -> list[bool]:
    """Chooses the rows to hold out by a hash of their content, so that their order does not matter."""
    hashes = [hashlib.sha256(json.dumps(row, sort_keys=True, default=str).encode()).hexdigest() for row in rows]
    # Equal rows share a hash and so a side: a held-out row is never also trained on.
    distinct = sorted(set(hashes))
    count = min(_HELD_OUT_AT_MOST, max(1, round(len(distinct) * _HELD_OUT_SHARE)))
    held_out = set(distinct[:count])
    return [value in held_out for value in hashes]
