"""Between a decoder and the tensors of a Hugging Face checkpoint."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
from haliax import Axis, NamedArray

from sofit.errors import SofitError
from sofit.model.config import DecoderConfig
from sofit.model.decoder import Block, Decoder
from sofit.model.lora import adapters_by_layer
from sofit.model.partitioning import Partitioning
from sofit.model.quantized import Quantization, Quantized, quantize
from sofit.pretrained.checkpoint import Tensors
from sofit.processes import whole

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
_COMPUTED = ("rotary_emb.inv_freq",)
"""How tensors end that older versions of transformers stored, although they follow from the config."""

_TOP_TENSORS: dict[str, Callable[[Decoder], NamedArray | None]] = {
    "model.embed_tokens.weight": lambda m: m.embeddings,
    "model.norm.weight": lambda m: m.final_norm.weight,
    "lm_head.weight": lambda m: m.head,
}


def from_hf_tensors(
    config: DecoderConfig,
    tensors: Mapping[str, np.ndarray],
    dtype: Any = jnp.float32,
    partitioning: Partitioning | None = None,
    quantization: Quantization | None = None,
) -> Decoder:
    """Makes a decoder from tensors by their Hugging Face names, stored as `dtype`.

    Under a partitioning only those parts of `tensors` are read that this process's devices hold. `quantization` stores the linear
    layers in few bits, one after the other, so that they are never in memory together in more.

    Raises:
        SofitError: a tensor is missing, has another shape than the config says, or has no place in such a model.
    """
    template = decoder_template(config, partitioning)

    def read(name: str, axes: tuple[Axis, ...], place: tuple[slice, ...]) -> np.ndarray:
        if name not in tensors:
            raise SofitError(f"The checkpoint has no tensor {name!r}, which a {config.model_type} model needs.")
        shape = tuple(axis.size for axis in axes)
        expected = _hf_shape(name, math.prod(shape), config)
        found = tensors.shape(name) if isinstance(tensors, Tensors) else tensors[name].shape
        if found != expected:
            raise SofitError(f"Tensor {name!r} of the checkpoint has shape {found}. The config says {expected}.")
        hf_place = _hf_place(shape, place, expected)
        part = tensors.part(name, hf_place) if isinstance(tensors, Tensors) else tensors[name][hf_place]
        return part.reshape([len(range(size)[span]) for size, span in zip(shape, place, strict=True)]).astype(dtype)

    def make(axes: tuple[Axis, ...], read_part: Callable[[tuple[slice, ...]], np.ndarray]) -> NamedArray:
        if partitioning is None:
            return hax.named(jnp.asarray(read_part((slice(None),) * len(axes))), axes)
        return partitioning.make(axes, read_part)

    def load(path: str, leaf: NamedArray | None) -> NamedArray | None:
        return None if leaf is None else make(leaf.axes, partial(read, path, leaf.axes))

    def load_stacked(path: str, leaf: NamedArray | None) -> NamedArray | Quantized | None:
        if leaf is None:
            return None
        axes = leaf.axes

        def read_layers(place: tuple[slice, ...]) -> np.ndarray:
            layers = range(config.num_layers)[place[0]]
            return np.stack([read(f"model.layers.{index}.{path}", axes[1:], place[1:]) for index in layers])

        weight = make(axes, read_layers)
        return quantize(weight, quantization) if quantization is not None and path.endswith("proj.weight") else weight

    blocks = {name: load_stacked(name, get(template.blocks.stacked)) for name, get in _BLOCK_TENSORS.items()}
    tops = {name: load(name, get(template)) for name, get in _TOP_TENSORS.items()}
    loaded = [array for array in (blocks | tops).values() if array is not None]

    def places(model: Decoder) -> list[NamedArray]:
        found = [get(model.blocks.stacked) for get in _BLOCK_TENSORS.values()] + [get(model) for get in _TOP_TENSORS.values()]
        return [array for array in found if array is not None]

    _check_all_have_a_place(config, tensors, template)
    return eqx.tree_at(places, template, loaded)


def _check_all_have_a_place(config: DecoderConfig, tensors: Mapping[str, np.ndarray], template: Decoder) -> None:
    """Raises SofitError where a tensor has no place in the model, which would then be another than the checkpoint's."""
    known = {name for name, _ in to_hf_tensors(template)} | {"lm_head.weight"}  # Tied embeddings may be stored twice.
    unknown = sorted(name for name in tensors if name not in known and not name.endswith(_COMPUTED))
    if unknown:
        more = f" and {len(unknown) - 3} others" if len(unknown) > 3 else ""
        raise SofitError(
            f"The checkpoint has tensors that a {config.model_type} model as its config.json describes it has no place for:"
            f" {', '.join(unknown[:3])}{more}. Check that weights and config.json belong together."
        )


def decoder_template(config: DecoderConfig, partitioning: Partitioning | None = None) -> Decoder:
    """Returns a decoder with shapes in the place of arrays, float32; under a partitioning they say how they lie."""
    template = eqx.filter_eval_shape(Decoder.init, config, key=jax.random.key(0))
    template = dataclasses.replace(template, partitioning=partitioning)
    return template if partitioning is None else partitioning.place_shapes(template)


def to_hf_tensors(model: Decoder) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """Yields the Hugging Face names of a model's tensors, each with a function that makes it; matrices are (out, in).

    Adapters are left out: see `merged_tensors`. Where the model lies over several processes, each must make every tensor, in
    this order.
    """

    def make(name: str, array: NamedArray, layer: int | None = None) -> np.ndarray:
        array = array if layer is None else array["layer", layer]
        return whole(array.array).reshape(_hf_shape(name, array.array.size, model.config))

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
            down = whole(adapter.down["layer", index].rearrange(("rank", ...)).array)
            up = whole(adapter.up["layer", index].rearrange((..., "rank")).array)
            yield f"{prefix}.lora_A.weight", down.reshape(down.shape[0], -1)
            yield f"{prefix}.lora_B.weight", up.reshape(-1, up.shape[-1])


def merged_tensors(
    config: DecoderConfig, base: Mapping[str, np.ndarray], adapters: Mapping[str, np.ndarray], scale: float
) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """Yields the Hugging Face names of a model's tensors, each with a function that makes it: the base and the adapters' part.

    They are made on the host, in float32, so that merging needs the memory of one tensor there and none on a device.

    Args:
        config: the model's.
        base: its tensors by Hugging Face name, as they were stored.
        adapters: as `adapter_tensors` yields them.
        scale: of the adapters; see `LoraSpec.scale`.
    """

    def make(name: str) -> np.ndarray:
        weight, stem = base[name].astype(np.float32), name.removesuffix("weight")
        if f"{stem}lora_A.weight" not in adapters:
            return weight
        up, down = (adapters[f"{stem}lora_{factor}.weight"].astype(np.float32) for factor in "BA")
        return weight + np.float32(scale) * (up @ down)

    for name, _ in to_hf_tensors(decoder_template(config)):
        yield name, partial(make, name)


_ATTENTION_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj")


def _hf_place(shape: tuple[int, ...], place: tuple[slice, ...], hf_shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Returns where a part of an array lies in the tensor of a checkpoint, each of whose axes joins several of the array's.

    Of these only the first may be cut, or the part would not lie in one piece.
    """
    found: list[slice] = []
    sizes = list(zip(shape, place, strict=True))
    for hf_size in hf_shape:
        size, span = sizes.pop(0)
        inner = hf_size // size
        while size < hf_size:
            next_size, next_span = sizes.pop(0)
            assert len(range(next_size)[next_span]) == next_size, "only the first of the joined axes is cut"
            size *= next_size
        start, stop, _ = span.indices(hf_size // inner)
        found.append(slice(start * inner, stop * inner))
    return tuple(found)


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
