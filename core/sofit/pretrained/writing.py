"""Writing folders that are there whole or not at all."""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np


@contextlib.contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Gives a new folder to fill, which takes the place of `folder` at the end, unless something fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial, replaced = (folder.with_name(f".{folder.name}.{state}") for state in ("partial", "replaced"))
    _settle(folder, replaced)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        if folder.exists():
            folder.rename(replaced)
        partial.rename(folder)
    finally:
        _settle(folder, replaced)
        shutil.rmtree(partial, ignore_errors=True)


def _settle(folder: Path, replaced: Path) -> None:
    """Drops the old folder where the new one stands in its place, else puts it back."""
    if folder.exists():
        shutil.rmtree(replaced, ignore_errors=True)
    elif replaced.exists():
        replaced.rename(folder)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON object the way Hugging Face's libraries do."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes tensors to a safetensors file."""
    from safetensors.numpy import save_file

    # safetensors writes the memory of an array as it lies, which is wrong for a transposed one.
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
