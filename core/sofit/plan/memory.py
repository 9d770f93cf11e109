"""What a training step keeps in memory at most: its programs are compiled without arrays, and XLA says what each needs.

A step computes gradients, micro-batch by micro-batch, and then applies them. While one program runs, the arrays that it does not
read stay where they are; the peak is that of the program that needs most, these arrays included.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from sofit.batches import PrefixBatch, to_arrays
from sofit.model import Partitioning
from sofit.packing import BatchShape, MicroBatch
from sofit.trainer import Trainer, TrainState, apply_gradients, compute_gradients


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """Bytes on each device."""

    parameters: int
    """Weights: those that are trained and those that are not."""
    optimizer_state: int
    gradients: int
    """As large as what is trained; twice where several micro-batches add theirs up."""
    batch: int
    activations: int
    """What the largest micro-batch's pass forwards and backwards makes on its way."""
    update: int
    """What the optimiser makes on its way, after the passes."""
    peak: int
    """The most at any time."""

    @property
    def lasting(self) -> int:
        """What does not depend on the batch."""
        return self.parameters + self.optimizer_state + self.gradients


def step_memory(trainer: Trainer, state: TrainState, shapes: Sequence[BatchShape], *, is_accumulated: bool) -> StepMemory:
    """Compiles a step and returns what it needs.

    Args:
        trainer: its arrays may be `jax.ShapeDtypeStruct`s, with shardings where there is a mesh.
        state: likewise.
        shapes: those of micro-batches; each is compiled for.
        is_accumulated: whether a step has several micro-batches.
    """
    passes = [_pass(trainer, state, batch_of_shape(shape, trainer.frozen.partitioning)) for shape in shapes]
    gradients: Any = _described(state.trainable)
    update = apply_gradients.lower(gradients, state, trainer.optimizer).compile().memory_analysis()
    assert update is not None, "XLA analyses what it compiles"
    parameters, optimizer_state = bytes_per_device((state.trainable, trainer.frozen)), bytes_per_device(state.optimizer_state)
    one_gradient = bytes_per_device(gradients)
    kept_gradients = one_gradient * is_accumulated
    largest = max(passes, key=_needed)
    during_pass = _needed(largest) + optimizer_state + kept_gradients
    during_update = _needed(update) + bytes_per_device(trainer.frozen)
    return StepMemory(
        parameters=parameters,
        optimizer_state=optimizer_state,
        gradients=one_gradient + kept_gradients,
        batch=max(largest.argument_size_in_bytes - parameters, 0),
        activations=largest.temp_size_in_bytes,
        update=update.temp_size_in_bytes,
        peak=max(during_pass, during_update),
    )


def batch_of_shape(shape: BatchShape, partitioning: Partitioning | None) -> PrefixBatch:
    """Returns a micro-batch of a shape, described without its arrays, as it lies over the mesh."""
    batch = to_arrays(MicroBatch((), shape))
    return _described(batch if partitioning is None else partitioning.place_batch(batch))


def bytes_per_device(tree: Any) -> int:
    """Returns what the arrays of a tree, or their descriptions, take on one device."""
    return sum(_shard_size(leaf) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _shard_size(leaf: Any) -> int:
    sharding = getattr(leaf, "sharding", None)
    return math.prod(leaf.shape if sharding is None else sharding.shard_shape(leaf.shape))


def _described(tree: Any) -> Any:
    def describe(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None))

    return jax.tree.map(describe, tree)


def _pass(trainer: Trainer, state: TrainState, batch: PrefixBatch) -> Any:
    """Returns XLA's analysis of one micro-batch's pass forwards and backwards."""
    partitioning = trainer.frozen.partitioning
    key: Any = jax.random.key(0)
    if partitioning is not None:
        key = partitioning.replicate(key)
    completion_tokens = jax.ShapeDtypeStruct((), jnp.float32)
    lowered = compute_gradients.lower(state.trainable, trainer.frozen, batch, completion_tokens, key, trainer.precision)
    return lowered.compile().memory_analysis()


def _needed(analysis: Any) -> int:
    """Returns what a program keeps in memory: arguments, results that do not take their place, and what it makes on its way."""
    results = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return analysis.argument_size_in_bytes + results + analysis.temp_size_in_bytes
