"""Between a decoder and the tensors of a Hugging Face checkpoint."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
from haliax import NamedArray

from sofit.errors import SofitError
from sofit.model.config import DecoderConfig
from sofit.model.decoder import Block, Decoder
from sofit.model.lora import adapters_by_layer

_BLOCK_TENSORS: dict[str, Callable[[Block], NamedArray | None]] = {
    "input_layernorm.weight": lambda b: b.attention_norm.weight,
    "self_attn.q_proj.weight": lambda b: b.attention.q_proj.weight,
    "self_attn.q_proj.bias": lambda b: b.attention.q_proj.bias,
    "self_attn.k_proj.weight": lambda b: b.attention.k_proj.weight,
    "self_attn.k_proj.bias": lambda b: b.attention.k_proj.bias,
    "self_attn.v_proj.weight": lambda b: b.attention.v_proj.weight,
    "self_attn.v_proj.bias": lambda b: b.attention.v_proj.bias,
    "self_attn.o_proj.weight": lambda b: b.attention.o_proj.weight,
    "self_attn.o_proj.bias": lambda b: b.attention.o_proj.bias,
    "self_attn.q_norm.weight": lambda b: b.attention.q_norm and b.attention.q_norm.weight,
    "self_attn.k_norm.weight": lambda b: b.attention.k_norm and b.attention.k_norm.weight,
    "post_attention_layernorm.weight": lambda b: b.mlp_norm.weight,
    "mlp.gate_proj.weight": lambda b: b.mlp.gate_proj.weight,
    "mlp.gate_proj.bias": lambda b: b.mlp.gate_proj.bias,
    "mlp.up_proj.weight": lambda b: b.mlp.up_proj.weight,
    "mlp.up_proj.bias": lambda b: b.mlp.up_proj.bias,
    "mlp.down_proj.weight": lambda b: b.mlp.down_proj.weight,
    "mlp.down_proj.bias": lambda b: b.mlp.down_proj.bias,
}
_TOP_TENSORS: dict[str, Callable[[Decoder], NamedArray | None]] = {
    "model.embed_tokens.weight": lambda m: m.embeddings,
    "model.norm.weight": lambda m: m.final_norm.weight,
    "lm_head.weight": lambda m: m.head,
}


def from_hf_tensors(config: DecoderConfig, tensors: Mapping[str, np.ndarray], dtype: Any = jnp.float32) -> Decoder:
    """Makes a decoder from tensors by their Hugging Face names, stored as `dtype`.

    Raises:
        SofitError: a tensor is missing, or has another shape than the config says.
    """
    template = eqx.filter_eval_shape(Decoder.init, config, key=jax.random.key(0))

    def read(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in tensors:
            raise SofitError(f"The checkpoint has no tensor {name!r}, which a {config.model_type} model needs.")
        tensor = np.asarray(tensors[name])
        expected = _hf_shape(name, math.prod(shape), config)
        if tensor.shape != expected:
            raise SofitError(f"Tensor {name!r} of the checkpoint has shape {tensor.shape}. The config says {expected}.")
        return tensor.reshape(shape).astype(dtype)

    def load(path: str, leaf: NamedArray | None) -> NamedArray | None:
        return None if leaf is None else hax.named(jnp.asarray(read(path, leaf.array.shape)), leaf.axes)

    def load_stacked(path: str, leaf: NamedArray | None) -> NamedArray | None:
        if leaf is None:
            return None
        shape = leaf.array.shape[1:]
        layers = [read(f"model.layers.{index}.{path}", shape) for index in range(config.num_layers)]
        return hax.named(jnp.asarray(np.stack(layers)), leaf.axes)

    blocks = {name: load_stacked(name, get(template.blocks.stacked)) for name, get in _BLOCK_TENSORS.items()}
    tops = {name: load(name, get(template)) for name, get in _TOP_TENSORS.items()}
    loaded = [array for array in (blocks | tops).values() if array is not None]

    def places(model: Decoder) -> list[NamedArray]:
        found = [get(model.blocks.stacked) for get in _BLOCK_TENSORS.values()] + [get(model) for get in _TOP_TENSORS.values()]
        return [array for array in found if array is not None]

    return eqx.tree_at(places, template, loaded)


def to_hf_tensors(model: Decoder) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """Yields the Hugging Face names of a model's tensors, each with a function that makes it; matrices are (out, in).

    Adapters must have been merged.
    """

    def make(name: str, array: NamedArray, layer: int | None = None) -> np.ndarray:
        array = array if layer is None else array["layer", layer]
        return np.asarray(array.array).reshape(_hf_shape(name, array.array.size, model.config))

    for name, get in _TOP_TENSORS.items():
        array = get(model)
        if array is not None:
            yield name, partial(make, name, array)
    for name, get in _BLOCK_TENSORS.items():
        stacked = get(model.blocks.stacked)
        if stacked is not None:
            for index in range(model.config.num_layers):
                yield f"model.layers.{index}.{name}", partial(make, name, stacked, index)


def adapter_tensors(model: Decoder) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the adapters of every layer: NAME.lora_A.weight (rank, in) and NAME.lora_B.weight (out, rank)."""
    for name, adapter in adapters_by_layer(model).items():
        module = "self_attn" if name in _ATTENTION_LAYERS else "mlp"
        for index in range(model.config.num_layers):
            prefix = f"model.layers.{index}.{module}.{name}"
            down = np.asarray(adapter.down["layer", index].rearrange(("rank", ...)).array)
            up = np.asarray(adapter.up["layer", index].rearrange((..., "rank")).array)
            yield f"{prefix}.lora_A.weight", down.reshape(down.shape[0], -1)
            yield f"{prefix}.lora_B.weight", up.reshape(-1, up.shape[-1])


_ATTENTION_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj")


def _hf_shape(name: str, size: int, config: DecoderConfig) -> tuple[int, ...]:
    """Returns the shape of a tensor of `size` elements in a checkpoint: (out, in), or (size,) of a vector."""
    if name.endswith(("bias", "norm.weight")):
        return (size,)
    inputs = config.embed_size
    if name.endswith("o_proj.weight"):
        inputs = config.num_heads * config.head_size
    elif name.endswith("down_proj.weight"):
        inputs = config.mlp_size
    return size // inputs, inputs
