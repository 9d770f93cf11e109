"""Writing folders that are there whole or not at all."""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sofit.errors import SofitError


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
    """Writes a JSON object the way Hugging Face's libraries do.

    Raises:
        SofitError: the file cannot be written.
    """
    try:
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes tensors to a safetensors file.

    Raises:
        SofitError: the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    # safetensors writes the memory of an array as it lies, which is wrong for a transposed one.
    arrays = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    try:
        path.touch()
        mode = path.stat().st_mode
        save_file(arrays, path, metadata={"format": "pt"})
        path.chmod(mode)  # It makes a file of its own, which the owner alone may read.
    except (OSError, SafetensorError) as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: Exception) -> SofitError:
    return SofitError(f"Cannot write {path}: {getattr(error, 'strerror', None) or error}.")
