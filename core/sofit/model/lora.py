"""Adding adapters to a decoder, and telling them from the frozen rest."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import equinox as eqx
import haliax as hax
import jax
from haliax import Axis

from sofit.errors import SofitError, did_you_mean
from sofit.model.decoder import Block, Decoder
from sofit.model.linear import Adapter, Linear
from sofit.model.quantized import Quantization, quantize

_LAYERS: dict[str, Callable[[Block], Linear]] = {
    "q_proj": lambda block: block.attention.q_proj,
    "k_proj": lambda block: block.attention.k_proj,
    "v_proj": lambda block: block.attention.v_proj,
    "o_proj": lambda block: block.attention.o_proj,
    "gate_proj": lambda block: block.mlp.gate_proj,
    "up_proj": lambda block: block.mlp.up_proj,
    "down_proj": lambda block: block.mlp.down_proj,
}
"""The linear layers of a block by their Hugging Face names."""


@dataclass(frozen=True)
class LoraSpec:
    """Which adapters to add."""

    rank: int
    alpha: float
    dropout: float = 0.0
    rank_stabilised: bool = False
    target_modules: tuple[str, ...] = tuple(_LAYERS)

    @property
    def scale(self) -> float:
        """The factor: alpha / rank, or alpha / sqrt(rank) if rank-stabilised (Kalajdzievski 2023, arXiv:2312.03732)."""
        return self.alpha / (self.rank**0.5 if self.rank_stabilised else self.rank)


def add_adapters(model: Decoder, spec: LoraSpec, *, key: jax.Array) -> Decoder:
    """Returns the model with a fresh adapter in each target layer. It computes what it computed before.

    Raises:
        SofitError: a target module that a decoder does not have.
    """
    for name in spec.target_modules:
        if name not in _LAYERS:
            known = ", ".join(_LAYERS)
            raise SofitError(f"No linear layer is called {name!r}. Layers: {known}.{did_you_mean(name, _LAYERS)}")
    targets = [_LAYERS[name] for name in spec.target_modules]
    layers = [
        eqx.tree_at(
            lambda linear: linear.adapter,
            target(model.blocks.stacked),
            _fresh_adapter(target(model.blocks.stacked), model.config.Layers, spec, layer_key),
            is_leaf=lambda node: node is None,
        )
        for target, layer_key in zip(targets, jax.random.split(key, len(targets)), strict=True)
    ]
    return _with_layers(model, targets, layers)


def quantize_base(model: Decoder, kind: Quantization) -> Decoder:
    """Returns the model with the weights of its linear layers in few bits.

    Raises:
        SofitError: qwix is not installed.
    """
    targets = list(_LAYERS.values())
    layers = [target(model.blocks.stacked) for target in targets]
    rounded = [dataclasses.replace(layer, stored=quantize(layer.weight, kind)) for layer in layers]
    return _with_layers(model, targets, rounded)


def is_adapter_array(model: Decoder) -> Decoder:
    """Returns a tree of booleans over the model's leaves, True on those of adapters: a filter for `eqx.partition`."""
    return jax.tree.map(
        lambda node: jax.tree.map(lambda _: isinstance(node, Adapter), node),
        model,
        is_leaf=lambda node: isinstance(node, Adapter),
    )


def adapters_by_layer(model: Decoder) -> dict[str, Adapter]:
    """Returns the stacked adapters by the name of the linear layer that they adapt."""
    found = {name: target(model.blocks.stacked).adapter for name, target in _LAYERS.items()}
    return {name: adapter for name, adapter in found.items() if adapter is not None}


def _fresh_adapter(linear: Linear, Layers: Axis, spec: LoraSpec, key: jax.Array) -> Adapter:
    Rank = Axis("rank", spec.rank)
    # As PEFT does: uniform within 1 / sqrt(fan-in), the Kaiming bound for a = sqrt(5).
    bound = hax.axis_size(linear.In) ** -0.5
    down = hax.random.uniform(key, hax.concat_axis_specs((Layers, Rank), linear.In), minval=-bound, maxval=bound)
    # Zero, so that the adapted model starts equal to the base.
    up = hax.zeros(hax.concat_axis_specs(Layers, hax.concat_axis_specs(linear.Out, Rank)))
    return Adapter(down, up, spec.scale, spec.dropout)


def _with_layers(model: Decoder, targets: Sequence[Callable[[Block], Linear]], layers: Sequence[Linear]) -> Decoder:
    return eqx.tree_at(lambda m: [target(m.blocks.stacked) for target in targets], model, list(layers))
