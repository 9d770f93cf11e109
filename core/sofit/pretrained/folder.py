"""Reading a folder in the layout of the Hugging Face Hub: config.json, safetensors, tokenizer files."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import ml_dtypes
import numpy as np

from sofit.errors import SofitError
from sofit.pretrained.checkpoint import Pretrained, Tensors
from sofit.pretrained.config import normalise_config
from sofit.pretrained.tokenizer import Tokenizer, fast_tokenizer_class

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# safetensors needs ml_dtypes to read bfloat16 into numpy.
_DTYPES = [np.dtype(kind) for kind in (np.float32, np.float16, ml_dtypes.bfloat16)]
Read = TypeVar("Read")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
"""One of these makes a folder's tokenizer."""


def read_folder(folder: Path, name: str, source: str, reference: str) -> Pretrained:
    """Reads a model folder; the other arguments are fields of `Pretrained`.

    Raises:
        SofitError: a file is missing or broken, the weights are not safetensors, or the model is of an unsupported type.
    """
    config = read_config(folder)
    return Pretrained(name, source, reference, config, SafetensorsFiles.of(folder), read_tokenizer(folder, config))


def read_config(folder: Path) -> dict[str, Any]:
    """Reads a model folder's config.json.

    Raises:
        SofitError: there is none, or it is of an unsupported type.
    """
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise SofitError(f"{folder} holds a PEFT adapter, not a model. Merge it into its base model, and give that folder.")
        raise SofitError(f"{folder} is no model folder: it has neither a config.json nor a folder model/ that has one.")
    return normalise_config(_read_json(folder / "config.json"), str(folder))


def has_tokenizer(folder: Path) -> bool:
    """Whether a model folder holds a tokenizer, in whatever form."""
    return any((folder / name).is_file() for name in TOKENIZER_FILES)


def read_tokenizer(folder: Path, config: Mapping[str, Any]) -> Tokenizer:
    """Reads a model folder's tokenizer.

    Raises:
        SofitError: it cannot be read, or nothing says which token ends a text.
    """
    fast = _read_fast_tokenizer(folder)
    generation_path = folder / "generation_config.json"
    generation = _read_json(generation_path) if generation_path.is_file() else {}
    eos_ids = _unique([fast.eos_token_id, generation.get("eos_token_id"), config.get("eos_token_id")])
    if not eos_ids:
        raise SofitError(f"{folder} does not say which token ends a text. Set eos_token in its tokenizer_config.json.")
    return Tokenizer(fast, eos_ids, config["vocab_size"])


@dataclass(frozen=True)
class SafetensorsFiles(Tensors):
    """The tensors of a folder's safetensors files, each read when asked for, in the type it is stored in."""

    files: Mapping[str, Path]
    """The file that holds each tensor."""

    @classmethod
    def of(cls, folder: Path) -> "SafetensorsFiles":
        """Finds the tensors of a folder.

        Raises:
            SofitError: there are none, a shard is missing, a file is broken, or an adapter lies beside them.
        """
        from safetensors import SafetensorError, safe_open

        if (folder / "adapter_config.json").is_file():
            raise SofitError(
                f"{folder} holds an adapter beside a whole model (adapter_config.json). Merge it with PEFT's merge_and_unload,"
                " or move one of them to another folder."
            )
        index = folder / "model.safetensors.index.json"
        if index.is_file():
            shards: Mapping[str, str] = _read_json(index).get("weight_map") or {}
            if not shards:
                raise SofitError(f"{index} lists no tensors: it has no weight_map. Download the folder again.")
            missing = sorted({shard for shard in shards.values() if not (folder / shard).is_file()})
            if missing:
                raise SofitError(f"{folder} lacks {', '.join(missing)}, which its index lists. Download the folder again.")
            return cls({name: folder / shard for name, shard in shards.items()})
        # Mistral's repositories hold the same weights twice; the files called consolidated have other names for them.
        paths = [path for path in sorted(folder.glob("*.safetensors")) if not path.name.startswith("consolidated")]
        if not paths:
            raise SofitError(_no_safetensors(folder))
        files = {}
        for path in paths:
            try:
                with safe_open(path, framework="numpy") as file:
                    files.update(dict.fromkeys(file.keys(), path))
            except (SafetensorError, OSError) as error:
                raise SofitError(f"{path} is not a whole safetensors file: {error}. Download it again.") from error
        return cls(files)

    def __getitem__(self, name: str) -> np.ndarray:
        """Returns a tensor. Raises SofitError where its file is broken, or its type is not one that weights have."""
        return self.part(name, ())

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of a tensor, which stands in the header of its file."""
        return self._read(name, lambda tensor: tuple(tensor.get_shape()))

    def part(self, name: str, place: tuple[slice, ...]) -> np.ndarray:
        """Returns a part of a tensor, of which alone the file is read. Raises as `[]` does."""
        path = self.files[name]
        # Python's notation for the whole, `...`, also reads a tensor without axes.
        tensor = self._read(name, lambda tensor: tensor[place or ...])
        if tensor.dtype not in _DTYPES:
            raise SofitError(
                f"Tensor {name!r} of {path} has the type {tensor.dtype}. Weights must be one of {', '.join(map(str, _DTYPES))}."
            )
        return tensor

    def _read(self, name: str, take: Callable[[Any], Read]) -> Read:
        from safetensors import SafetensorError, safe_open

        path = self.files[name]
        try:
            with safe_open(path, framework="numpy") as file:
                return take(file.get_slice(name))
        except (SafetensorError, OSError) as error:
            raise SofitError(f"Cannot read tensor {name!r} of {path}: {error}. Download the file again.") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


def _no_safetensors(folder: Path) -> str:
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLED)
    if not pickled:
        return f"{folder} holds no weights: it has no *.safetensors file."
    return (
        f"{folder} holds its weights as pickles only ({', '.join(pickled[:3])}), which run code when they are read."
        " sofit reads safetensors. Convert them with transformers: load the model and call save_pretrained."
    )


def _read_fast_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    fast_class = fast_tokenizer_class()
    try:
        if (folder / "tokenizer.json").is_file():
            return fast_class.from_pretrained(folder)
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # Which kinds the loaders raise depends on the files and on what is installed.
        raise SofitError(f"Cannot read the tokenizer in {folder}: {error}. The folder should hold a tokenizer.json.") from error
    if not isinstance(tokenizer, fast_class):
        raise SofitError(f"{folder} has no tokenizer.json, and transformers cannot make one from the other files in it.")
    return tokenizer


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SofitError(f"Cannot read {path}: {error}.") from error
    if not isinstance(content, dict):
        raise SofitError(f"{path} must hold a JSON object. Got {type(content).__name__}.")
    return content


def _unique(ids: Sequence[Any]) -> tuple[int, ...]:
    """Returns each id once; an entry is an id, a list of them, or None."""
    flat = [id for entry in ids if entry is not None for id in (entry if isinstance(entry, list) else [entry])]
    return tuple(dict.fromkeys(flat))
