"""Writing a model folder that transformers reads."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np

from sofit.pretrained.tokenizer import Tokenizer
from sofit.pretrained.writing import write_json, write_safetensors, written_whole

Dtype = Literal["float32", "bfloat16", "float16"]
_DTYPES: Mapping[Dtype, Any] = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}

MAX_SHARD_BYTES = 5_000_000_000


def save_hf_model(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    tokenizer: Tokenizer,
    dtype: Dtype = "float32",
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Writes a model with its tokenizer so that transformers, 4 or 5, loads the folder.

    config: as `normalise_config` spells it. tensors: by Hugging Face name; they are taken one by one, so that a mapping that
    makes them when asked needs the memory of one shard. A folder of that name is replaced, once the new one is whole.
    """
    ends = list(tokenizer.eos_ids)
    generation = {"eos_token_id": ends if len(ends) > 1 else ends[0], "pad_token_id": tokenizer.pad_id}
    if tokenizer.bos_id is not None:
        generation["bos_token_id"] = tokenizer.bos_id
    # A tied head is the embedding; to write it again would untie it for some readers.
    names = [name for name in tensors if not (config.get("tie_word_embeddings") and name == "lm_head.weight")]
    with written_whole(folder) as partial:
        write_json(partial / "config.json", {**config, "torch_dtype": dtype})
        write_json(partial / "generation_config.json", generation)
        tokenizer.save(partial)
        _write_shards(partial, ((name, tensors[name].astype(_DTYPES[dtype])) for name in names), max_shard_bytes)


def _write_shards(folder: Path, tensors: Iterable[tuple[str, np.ndarray]], max_shard_bytes: int) -> None:
    """Writes model.safetensors, or several files of at most that size and their index."""
    shards: list[list[str]] = []
    shard: dict[str, np.ndarray] = {}
    shard_bytes = total_bytes = 0

    def close_shard() -> None:
        shards.append(list(shard))
        write_safetensors(folder / f"{len(shards)}.safetensors", shard)
        shard.clear()

    for name, tensor in tensors:
        if shard and shard_bytes + tensor.nbytes > max_shard_bytes:
            close_shard()
            shard_bytes = 0
        shard[name] = tensor
        shard_bytes += tensor.nbytes
        total_bytes += tensor.nbytes
    close_shard()
    if len(shards) == 1:
        (folder / "1.safetensors").rename(folder / "model.safetensors")
        return
    # Only now is it known how many there are, which their names say.
    weight_map = {}
    for number, names in enumerate(shards, start=1):
        file_name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        (folder / f"{number}.safetensors").rename(folder / file_name)
        weight_map.update(dict.fromkeys(names, file_name))
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total_bytes}, "weight_map": weight_map})
