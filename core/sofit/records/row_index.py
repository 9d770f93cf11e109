"""Where the rows of a file begin, so that any of them can be read without those before it."""

import hashlib
import json
import logging
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sofit.cache_folder import default_cache_folder
from sofit.records.files import RowPlace, read_rows
from sofit.records.filesystems import identity_of, written_at_once

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

Part = Literal["all", "train", "validation"]
"""The rows of a file: all of them, those to train on, or those held out of them."""

KEPT_FROM_ROWS = 50_000
"""From this size on, an index is kept in sofit's cache folder and read from there, bit by bit."""

_SAID_FROM_BYTES = 50_000_000
"""From this size on, looking through a file takes seconds."""

_HELD_OUT_SHARE = 0.1
_HELD_OUT_AT_MOST = 200
_FORMAT = 1
_log = logging.getLogger(__name__)


class RowIndex:
    """The places of a part of a file's rows, in its order: 24 bytes for each, on the disk where there are many."""

    def __init__(self, places: np.ndarray) -> None:
        """Takes places (row, of start, length, line) as 64-bit integers."""
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, row: int) -> RowPlace:
        return RowPlace(*self._places[row].tolist())


def row_index(path: Path, shown: str, part: Part) -> RowIndex:
    """Reads a file on a disk once to see where its rows are, or takes that from an earlier run.

    Raises:
        SofitError: the file cannot be read, or a row is malformed; names the line.
    """
    from fsspec.implementations.local import LocalFileSystem

    filesystem = LocalFileSystem()
    folder = default_cache_folder() / "rows" / f"{identity_of(filesystem, str(path))}-{_FORMAT}"
    kept = _kept(folder / f"{part}.npy")
    if kept is None:
        if path.stat().st_size >= _SAID_FROM_BYTES:
            _log.info("Looking through %s once, for where its rows begin.", shown)
        parts = _places(filesystem, str(path), shown, is_split=part != "all")
        kept = parts[part]
        if sum(map(len, parts.values())) >= KEPT_FROM_ROWS:
            for name, places in parts.items():
                _keep(folder / f"{name}.npy", places)
            on_disk = _kept(folder / f"{part}.npy")
            kept = kept if on_disk is None else on_disk
    return RowIndex(kept)


def _places(filesystem: "AbstractFileSystem", path: str, shown: str, *, is_split: bool) -> dict[Part, np.ndarray]:
    places, hashes = array("q"), array("Q")
    for record, place in read_rows(filesystem, path, shown):
        places.extend(place)
        if is_split:
            hashes.append(_hash(record.fields))
    rows = np.frombuffer(places, np.int64).reshape(-1, len(RowPlace._fields))
    if not is_split:
        return {"all": rows}
    is_held_out = _held_out(np.frombuffer(hashes, np.uint64))
    return {"train": rows[~is_held_out], "validation": rows[is_held_out]}


_as_json = json.JSONEncoder(sort_keys=True, default=str).encode


def _hash(fields: dict[str, Any]) -> int:
    return int.from_bytes(hashlib.sha256(_as_json(fields).encode()).digest()[:8])


def _held_out(hashes: np.ndarray) -> np.ndarray:
    """Chooses the rows to hold out by a hash of their content, so that their order does not matter."""
    # Equal rows share a hash and so a side: a held-out row is never also trained on.
    distinct = np.unique(hashes)
    count = min(_HELD_OUT_AT_MOST, max(1, round(len(distinct) * _HELD_OUT_SHARE)))
    return hashes <= distinct[:count].max(initial=0)


def _kept(file: Path) -> np.ndarray | None:
    """Returns what is kept in a file, read as it is needed; None where nothing whole is there."""
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        _log.debug("%s is made anew: %s", file, error)
        return None


def _keep(file: Path, places: np.ndarray) -> None:
    try:
        with written_at_once(file) as stream:
            np.save(stream, places, allow_pickle=False)
    except OSError as error:
        _log.warning("The index of the data's rows cannot be kept, so the next run makes it anew: %s", error)
