"""The parts of a training step, each timed on its own, forwards and backwards, at the shapes of a micro-batch."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import optax
from haliax import NamedArray
from jaxtyping import PyTree

from sofit.batches import POSITION, SLOT, to_arrays
from sofit.cross_entropy import cross_entropy
from sofit.model import Decoder, KeyValues, Stream, is_adapter_array
from sofit.model.decoder import Block
from sofit.model.linear import Adapter
from sofit.model.rotary import Rotary
from sofit.packing import MicroBatch
from sofit.trainer import Trainer, TrainState


def part_seconds(model: Decoder, micro: MicroBatch, state: TrainState, trainer: Trainer, repeats: int) -> dict[str, float]:
    """Returns the seconds that the parts of a step take, all layers together, under the names of `flops_by_part`."""
    batch = to_arrays(micro)
    streams = [batch.suffix] if batch.prefix is None else [batch.prefix, batch.suffix]
    adapters_only = any(jax.tree.leaves(is_adapter_array(model)))
    clock = _Clock(adapters_only, repeats)
    block = model.blocks.get_layer(0)
    plain = jax.tree.map(lambda node: None if is_adapter(node) else node, block, is_leaf=is_adapter)
    bare_clock = _Clock(False, repeats, only_inputs=adapters_only)
    layers = model.config.num_layers
    hidden = [_random((*stream.tokens.axes, model.config.Embed), trainer.precision.compute) for stream in streams]
    seconds = {name: layers * spent for name, spent in _attention(block, streams, hidden, clock, model).items()}
    projections = mlp = adapters = 0.0
    for stream, x in zip(streams, hidden, strict=True):
        project = _projections(stream, model)
        bare = bare_clock(project, plain, x), bare_clock(_mlp, plain, x)
        if adapters_only:
            adapters += clock(project, block, x) + clock(_mlp, block, x) - sum(bare)
        projections, mlp = projections + bare[0], mlp + bare[1]
    seconds |= {"attention projections": layers * projections, "MLP": layers * mlp}
    if adapters_only:
        seconds["adapters"] = layers * adapters

    def head(model: Decoder, x: NamedArray) -> NamedArray:
        places = model.final_norm(x).flatten_axes((SLOT, POSITION), "place")
        return cross_entropy(places["place", batch.target_place], model.words, batch.target_id)

    seconds["head"] = clock(head, eqx.tree_at(lambda m: m.blocks, model, None), hidden[-1])
    seconds["optimiser"] = _optimiser(state, trainer.optimizer, repeats)
    return seconds


def _attention(
    block: Block, streams: list[Stream], hidden: list[NamedArray], clock: "_Clock", model: Decoder
) -> dict[str, float]:
    seconds: dict[str, float] = {}
    names = ["attention in slots"] if len(streams) == 1 else ["attention in the prefix", "attention in slots"]
    left: list[tuple[Stream, KeyValues]] = []
    for name, stream, x in zip(names, streams, hidden, strict=True):
        rotary = Rotary.at(stream.positions, model.config)
        query, own = block.attention.project(x, rotary, [None] * 7)
        visible = stream.own_visibility(model.config.sliding_window)

        def in_stream(own: KeyValues, query: NamedArray, stream: Stream = stream, visible: NamedArray = visible) -> NamedArray:
            renamed = own.rename(stream.Pos, stream.Key)
            return model.attend(query, [renamed.as_context(visible, stream.Key, stream.Pos.name)])

        seconds[name] = clock.with_all(in_stream, own, query)
        for earlier, key_values in left:

            def to_prefix(own: KeyValues, query: NamedArray, earlier: Stream = earlier) -> NamedArray:
                return model.attend(query, [own.as_context(earlier.segments > 0, earlier.Pos)])

            seconds["attention to the prefix"] = clock.with_all(to_prefix, key_values, query)
        left.append((stream, own))
    return seconds


def _projections(stream: Stream, model: Decoder) -> Callable[[Block, NamedArray], Any]:
    rotary = Rotary.at(stream.positions, model.config)

    def project(block: Block, x: NamedArray) -> Any:
        query, key_values = block.attention.project(block.attention_norm(x), rotary, [None] * 7)
        return block.attention.o_proj(query), key_values

    return project


def _mlp(block: Block, x: NamedArray) -> NamedArray:
    return x + block.mlp(block.mlp_norm(x), [None] * 3)


def is_adapter(node: Any) -> bool:
    return isinstance(node, Adapter)


class _Clock:
    """Times functions of a module and an input, with the gradients that training would take."""

    def __init__(self, adapters_only: bool, repeats: int, *, only_inputs: bool = False):
        self._adapters_only = adapters_only
        self._only_inputs = only_inputs
        self._repeats = repeats

    def __call__(self, function: Callable[[Any, NamedArray], Any], module: Any, x: NamedArray) -> float:
        if self._only_inputs:
            is_trained = jax.tree.map(lambda _: False, module)
        else:
            is_trained = is_adapter_array(module) if self._adapters_only else jax.tree.map(eqx.is_inexact_array, module)
        return self._time(function, module, is_trained, x)

    def with_all(self, function: Callable[[Any, NamedArray], Any], module: Any, x: NamedArray) -> float:
        """Times with the gradients of everything, as attention needs them whatever is trained."""
        return self._time(function, module, jax.tree.map(eqx.is_inexact_array, module), x)

    def _time(self, function: Callable[[Any, NamedArray], Any], module: Any, is_trained: Any, x: NamedArray) -> float:
        trained, frozen = eqx.partition(module, is_trained)

        def value(trained: Any, x: NamedArray, frozen: Any) -> Any:
            return function(eqx.combine(trained, frozen), x)

        @eqx.filter_jit
        def run(trained: Any, x: NamedArray, frozen: Any, gradient: Any) -> Any:
            result, pull = eqx.filter_vjp(lambda trained, x: value(trained, x, frozen), trained, x)
            return result, pull(gradient)

        shapes = eqx.filter_eval_shape(value, trained, x, frozen)
        gradient = jax.tree.map(lambda leaf: _random_array(leaf.shape, leaf.dtype), shapes)
        jax.block_until_ready(run(trained, x, frozen, gradient))
        times = []
        for _ in range(self._repeats):
            start = time.perf_counter()
            jax.block_until_ready(run(trained, x, frozen, gradient))
            times.append(time.perf_counter() - start)
        return median(times)


def _optimiser(state: TrainState, optimizer: optax.GradientTransformation, repeats: int) -> float:
    @eqx.filter_jit(donate="all-except-first")
    def update(gradients: PyTree, state: TrainState) -> TrainState:
        parameters: PyTree = state.trainable
        updates, optimizer_state = optimizer.update(gradients, state.optimizer_state, parameters)
        return TrainState(eqx.apply_updates(state.trainable, updates), optimizer_state)

    gradients = jax.tree.map(jnp.ones_like, state.trainable)
    state = jax.tree.map(jnp.copy, state)
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        state = jax.block_until_ready(update(gradients, state))
        times.append(time.perf_counter() - start)
    return median(times[1:])


def _random(axes: tuple[hax.Axis, ...], dtype: str) -> NamedArray:
    return hax.named(_random_array(tuple(axis.size for axis in axes), dtype), axes)


def _random_array(shape: tuple[int, ...], dtype: Any) -> jax.Array:
    return jax.random.normal(jax.random.key(0), shape).astype(dtype)
