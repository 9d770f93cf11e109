"""The file of a shard of tokenised rows: a table of the rows, and their token ids one after the other.

Both are arrays in NumPy's format, in one file, so that a row is read by its place without the rest.
"""

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TokenRow = tuple[np.ndarray, int]
"""The ids of prompt, completion and end, int32, and the length of the prompt."""

_ROW = np.dtype([("key", "V16"), ("start", "<i8"), ("length", "<i4"), ("prompt_length", "<i4"), ("checksum", "<u4")])
"""`start` and `length` count ids; `checksum` is the CRC-32 of their bytes."""
_ID_BYTES = 4


def encode_shard(rows: Mapping[bytes, TokenRow]) -> bytes:
    """Returns the content of a file that holds rows by their 16-byte keys."""
    table = np.zeros(len(rows), _ROW)
    lengths = np.array([len(ids) for ids, _ in rows.values()], np.int64)
    table["key"] = np.frombuffer(b"".join(rows), "V16")
    table["start"], table["length"] = np.cumsum(lengths) - lengths, lengths
    table["prompt_length"] = [prompt_length for _, prompt_length in rows.values()]
    parts = [np.asarray(ids, "<i4") for ids, _ in rows.values()]
    table["checksum"] = [zlib.crc32(part.tobytes()) for part in parts]
    stream = io.BytesIO()
    np.save(stream, table, allow_pickle=False)
    np.save(stream, np.concatenate(parts), allow_pickle=False)
    return stream.getvalue()


@dataclass(frozen=True)
class ShardFile:
    """A file that `encode_shard` made, and where its arrays begin, in bytes."""

    path: Path
    table_start: int
    ids_start: int

    @classmethod
    def open(cls, path: Path) -> "tuple[ShardFile, np.ndarray]":
        """Opens a file; returns it and the first 8 bytes of each row's key, as unsigned integers.

        Raises:
            OSError, ValueError: it cannot be read, or is not whole.
        """
        with path.open("rb") as stream:
            count, dtype = _header(stream)
            if dtype != _ROW:
                raise ValueError("it is of another version")
            table_start = stream.tell()
            table = np.frombuffer(stream.read(count * _ROW.itemsize), _ROW)
            ids, _ = _header(stream)
            ids_start = stream.tell()
            if path.stat().st_size != ids_start + ids * _ID_BYTES:
                raise ValueError("it is not whole")
        return cls(path, table_start, ids_start), np.frombuffer(table["key"].tobytes(), np.uint64)[::2]

    def read(self, row: int, key: bytes) -> TokenRow | None:
        """Reads a row; None if it is not that of the key.

        Raises:
            OSError, ValueError: the file cannot be read, or the row is not as it was written.
        """
        with self.path.open("rb") as stream:
            stream.seek(self.table_start + row * _ROW.itemsize)
            entry = np.frombuffer(stream.read(_ROW.itemsize), _ROW)[0]
            if entry["key"].tobytes() != key:
                return None
            stream.seek(self.ids_start + int(entry["start"]) * _ID_BYTES)
            content = stream.read(int(entry["length"]) * _ID_BYTES)
        if zlib.crc32(content) != entry["checksum"]:
            raise ValueError(f"{self.path.name} is damaged")
        return np.frombuffer(content, "<i4").astype(np.int32, copy=False), int(entry["prompt_length"])


def _header(stream: io.BufferedIOBase) -> tuple[int, np.dtype]:
    """Reads the header of an array of one axis; returns its length and dtype."""
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError("it is of another version")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    return shape[0], dtype
