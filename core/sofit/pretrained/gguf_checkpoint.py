"""A GGUF file seen as a Hugging Face checkpoint: its config, and its tensors by their Hugging Face names."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sofit.errors import SofitError
from sofit.pretrained.checkpoint import Pretrained, Tensors
from sofit.pretrained.config import normalise_config
from sofit.pretrained.gguf_file import GgufFile
from sofit.pretrained.tokenizer import Tokenizer, fast_tokenizer_class

_ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}

_TENSORS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_LAYER_TENSORS = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_ENDS = ("eos", "eot", "eom")
"""The tokens that end a text, a turn, and a message in front of a tool's answer."""
_ROPE_FACTORS = "rope_freqs.weight"


def read_gguf(path: Path, name: str, source: str, reference: str) -> Pretrained:
    """Reads a GGUF file; the other arguments are fields of `Pretrained`.

    Raises:
        SofitError: it is broken, or of an architecture or with a tokenizer that sofit does not support.
    """
    from sofit.pretrained.gguf_tokenizer import tokenizer_from_gguf

    file = GgufFile.open(path)
    config = normalise_config(config_from_gguf(file), str(path))
    tensors = GgufTensors.of(file)
    backend, settings = tokenizer_from_gguf(file)
    fast = fast_tokenizer_class()(tokenizer_object=backend, clean_up_tokenization_spaces=False, **settings)
    ids = [file.metadata.get(f"tokenizer.ggml.{kind}_token_id") for kind in _ENDS]
    eos_ids = tuple(dict.fromkeys(id for id in ids if id is not None))
    if not eos_ids:
        raise SofitError(f"{path} does not say which token ends a text (tokenizer.ggml.eos_token_id).")
    return Pretrained(name, source, reference, config, tensors, Tokenizer(fast, eos_ids, config["vocab_size"]))


def config_from_gguf(file: GgufFile) -> dict[str, Any]:
    """Returns what config.json would say.

    Raises:
        SofitError: the architecture is not supported, or the file lacks a value that it needs.
    """
    name = file.metadata.get("general.architecture")
    if name not in _ARCHITECTURES:
        raise SofitError(f"{file.path} has the architecture {name!r}. Supported in GGUF files: {', '.join(_ARCHITECTURES)}.")
    if file.metadata.get(f"{name}.expert_count"):
        raise SofitError(f"{file.path} is a mixture of experts, which sofit does not support.")
    if "token_embd.weight" not in file.tensor_names:
        raise SofitError(f"{file.path} has no tensor token_embd.weight. It must hold a whole language model.")

    def value(key: str, default: Any = None) -> Any:
        found = file.metadata.get(f"{name}.{key}", default)
        if found is None:
            raise SofitError(f"{file.path} lacks the key {name}.{key} in its metadata.")
        return found

    hidden, heads = value("embedding_length"), value("attention.head_count")
    head_dim = value("attention.key_length", hidden // heads)
    config = {
        "architectures": [_ARCHITECTURES[name]],
        "model_type": name,
        "vocab_size": file.shape("token_embd.weight")[0],
        "hidden_size": hidden,
        "intermediate_size": value("feed_forward_length"),
        "num_hidden_layers": value("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": value("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": value("context_length"),
        "rms_norm_eps": _shortest(value("attention.layer_norm_rms_epsilon")),
        "rope_theta": _shortest(value("rope.freq_base", 10000.0)),
        "rope_scaling": _rope_scaling(file, name, head_dim),
        "attention_bias": "blk.0.attn_q.bias" in file.tensor_names,
        "tie_word_embeddings": "output.weight" not in file.tensor_names,
        "bos_token_id": file.metadata.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": file.metadata.get("tokenizer.ggml.eos_token_id"),
    }
    return config


def _shortest(number: float) -> float:
    """Returns the decimal number that was meant: float32 turns 1e-5 into 9.999999747378752e-06."""
    return float(str(np.float32(number)))


def _rope_scaling(file: GgufFile, name: str, head_dim: int) -> dict[str, Any] | None:
    if _ROPE_FACTORS in file.tensor_names:
        return _llama3_scaling(file, file.metadata.get(f"{name}.rope.freq_base", 10000.0), head_dim)
    kind = file.metadata.get(f"{name}.rope.scaling.type", "none")
    if kind == "none":
        return None
    scaling = {"rope_type": kind, "factor": file.metadata.get(f"{name}.rope.scaling.factor", 1.0)}
    original = file.metadata.get(f"{name}.rope.scaling.original_context_length")
    return scaling if original is None else {**scaling, "original_max_position_embeddings": original}


def _llama3_scaling(file: GgufFile, theta: float, head_dim: int) -> dict[str, Any]:
    """Returns Llama 3.1's settings. The file has only their outcome: what each frequency is divided by."""
    found = file.read(_ROPE_FACTORS)
    factor, low, high, original = float(found.max()), 1.0, 4.0, 8192
    wavelengths = 2 * np.pi * theta ** (np.arange(0, head_dim, 2) / head_dim)
    smooth = np.clip((original / wavelengths - low) / (high - low), 0, 1)
    if found.shape != smooth.shape or not np.allclose(found, 1 / ((1 - smooth) / factor + smooth), rtol=1e-4):
        raise SofitError(f"{file.path} scales its rotary embeddings in an unknown way. Use the Hugging Face folder.")
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": original,
    }


@dataclass(frozen=True)
class GgufTensors(Tensors):
    """The tensors of a GGUF file by their Hugging Face names, in float32, read when asked for."""

    file: GgufFile
    names: Mapping[str, str]
    """The GGUF name of each Hugging Face name."""
    heads_of: Mapping[str, int]
    """The number of heads of each tensor whose rows are to be put back in order, by GGUF name."""

    @classmethod
    def of(cls, file: GgufFile) -> "GgufTensors":
        """Names the tensors of a file.

        Raises:
            SofitError: a tensor has no place in the architectures that sofit supports.
        """
        names = {_hugging_face_name(name, file): name for name in file.tensor_names if name != _ROPE_FACTORS}
        return cls(file, names, _interleaved(file))

    def __getitem__(self, name: str) -> np.ndarray:
        """Returns a tensor. Raises SofitError where it cannot be dequantised."""
        gguf_name = self.names[name]
        tensor = self.file.read(gguf_name)
        heads = self.heads_of.get(gguf_name)
        return tensor if heads is None else _to_half_rotation(tensor, heads)

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of a tensor without reading it."""
        return self.file.shape(self.names[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _hugging_face_name(name: str, file: GgufFile) -> str:
    stem, _, kind = name.rpartition(".")
    layer = re.fullmatch(r"blk\.(\d+)\.(\w+)", stem)
    if layer is not None and layer[2] in _LAYER_TENSORS:
        return f"model.layers.{layer[1]}.{_LAYER_TENSORS[layer[2]]}.{kind}"
    if stem in _TENSORS:
        return f"{_TENSORS[stem]}.{kind}"
    raise SofitError(f"{file.path} has a tensor {name!r}, which none of the supported architectures has.")


def _interleaved(file: GgufFile) -> dict[str, int]:
    """Finds the query and key tensors of Llama files, in which the two halves of each head are interleaved."""
    if file.metadata["general.architecture"] != "llama":
        return {}
    heads = {"attn_q": file.metadata["llama.attention.head_count"]}
    heads["attn_k"] = file.metadata.get("llama.attention.head_count_kv", heads["attn_q"])
    parts = {name: name.split(".") for name in file.tensor_names}
    return {name: heads[part[2]] for name, part in parts.items() if len(part) == 4 and part[2] in heads}


def _to_half_rotation(tensor: np.ndarray, heads: int) -> np.ndarray:
    """Puts rows (x0, y0, x1, y1, ...) of each head in the order (x0, x1, ..., y0, y1, ...) in which Hugging Face rotates them."""
    pairs = tensor.reshape(heads, -1, 2, *tensor.shape[1:])
    return pairs.swapaxes(1, 2).reshape(tensor.shape)
