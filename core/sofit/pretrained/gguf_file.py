"""Reading GGUF files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): metadata whole, tensors one by one.

The `gguf` package reads the same header, but makes a numpy array of every string of the vocabulary, which takes seconds;
here it only supplies the block sizes and undoes the quantisation.
"""

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sofit.errors import SofitError

_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_DEFAULT_ALIGNMENT = 32


@dataclass(frozen=True)
class _TensorInfo:
    shape: tuple[int, ...]
    """As numpy has it, the fastest axis last; GGUF writes it the other way round."""
    kind: int
    """A `gguf.GGMLQuantizationType`."""
    offset: int
    """In bytes from the start of the file."""


@dataclass(frozen=True)
class GgufFile:
    """An open GGUF file."""

    path: Path
    metadata: Mapping[str, Any]
    """Every key of the header, such as "llama.block_count"."""
    _infos: Mapping[str, _TensorInfo]
    _bytes: mmap.mmap

    @classmethod
    def open(cls, path: Path) -> "GgufFile":
        """Reads the header and maps the rest.

        Raises:
            SofitError: the file cannot be read, is no GGUF file, or ends too early.
        """
        try:
            with path.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            metadata, infos = _read_header(data)
        except OSError as error:
            raise SofitError(f"Cannot read {path}: {error}.") from error
        except (ValueError, struct.error) as error:
            raise SofitError(f"{path} is not a whole GGUF file: {error}. Download it again.") from error
        return cls(path, metadata, infos, data)

    @property
    def tensor_names(self) -> tuple[str, ...]:
        """The tensors by their GGUF names, such as "blk.0.attn_q.weight"."""
        return tuple(self._infos)

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of a tensor without reading it."""
        return self._infos[name].shape

    def read(self, name: str) -> np.ndarray:
        """Returns a tensor in float32, dequantised.

        Raises:
            SofitError: the tensor's type is one that the `gguf` package cannot dequantise.
        """
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
        from gguf.quants import dequantize

        info = self._infos[name]
        try:
            kind = GGMLQuantizationType(info.kind)
            block_size, block_bytes = GGML_QUANT_SIZES[kind]
            *rows, columns = info.shape
            blocks = np.frombuffer(self._bytes, np.uint8, math.prod(info.shape) // block_size * block_bytes, info.offset)
            values = dequantize(blocks.reshape(*rows, columns // block_size * block_bytes), kind)
        except (ValueError, KeyError, NotImplementedError) as error:
            raise SofitError(f"Tensor {name!r} of {self.path} cannot be read: {error}.") from error
        return values.reshape(info.shape)


def _read_header(data: mmap.mmap) -> tuple[dict[str, Any], dict[str, _TensorInfo]]:
    header = _Cursor(data)
    if header.take(4) != b"GGUF":
        raise ValueError("it does not start with the letters GGUF")
    version = header.scalar("I")
    if version not in _VERSIONS:
        raise ValueError(f"it has version {version}, but only versions {_VERSIONS} (little-endian) can be read")
    tensor_count, entry_count = header.scalar("Q"), header.scalar("Q")
    metadata = {}
    for _ in range(entry_count):
        key = header.string()
        metadata[key] = header.value(header.scalar("I"))
    entries = {}
    for _ in range(tensor_count):
        name = header.string()
        shape = tuple(header.scalar("Q") for _ in range(header.scalar("I")))[::-1]
        entries[name] = (shape, header.scalar("I"), header.scalar("Q"))
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    start = math.ceil(header.position / alignment) * alignment
    return metadata, {name: _TensorInfo(shape, kind, start + offset) for name, (shape, kind, offset) in entries.items()}


class _Cursor:
    """Reads one value after another."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.position = 0

    def take(self, size: int) -> bytes:
        start = self.position
        self.position += size
        if self.position > len(self._data):
            raise ValueError("it ends too early")
        return self._data[start : self.position]

    def scalar(self, kind: str) -> Any:
        return struct.unpack(f"<{kind}", self.take(struct.calcsize(f"<{kind}")))[0]

    def string(self) -> str:
        return self.take(self.scalar("Q")).decode("utf-8")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            element, count = self.scalar("I"), self.scalar("Q")
            if element in (_STRING, _ARRAY):
                return [self.value(element) for _ in range(count)]
            return list(struct.unpack(f"<{count}{_scalar(element)}", self.take(count * struct.calcsize(f"<{_scalar(element)}"))))
        return self.scalar(_scalar(kind))


def _scalar(kind: int) -> str:
    if kind not in _SCALARS:
        raise ValueError(f"it has a value of the unknown type {kind}")
    return _SCALARS[kind]
