"""Planning numbers of two bytes for accelerators on a processor.

Accelerators compute with bfloat16. XLA for processors does not: it turns such arrays into float32, and keeps all weights a second
time to do so only once. It does compute with float16, which takes as many bytes, so a plan for accelerators that is compiled for
processors takes the one for the other.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import optax

from sofit.precision import DType, Precision
from sofit.trainer import Trainer, TrainState


def halves_of_accelerators(trainer: Trainer, state: TrainState) -> tuple[Trainer, TrainState]:
    """Returns the description of a start with float16 wherever it has bfloat16."""
    precision = Precision(_half(trainer.precision.params), _half(trainer.precision.compute))
    optimizer = optax.GradientTransformation(trainer.optimizer.init, _halving(trainer.optimizer.update))
    return replace(trainer, frozen=_in_halves(trainer.frozen), precision=precision, optimizer=optimizer), _in_halves(state)


def _half(dtype: DType) -> DType:
    return "float16" if dtype == "bfloat16" else dtype


def _in_halves(tree: Any) -> Any:
    def convert(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        is_half = leaf.dtype == jnp.bfloat16
        return jax.ShapeDtypeStruct(leaf.shape, jnp.float16, sharding=leaf.sharding) if is_half else leaf

    return jax.tree.map(convert, tree)


def _halving(update: optax.TransformUpdateFn) -> optax.TransformUpdateFn:
    """Returns an optimiser's update whose new state has float16 where it chose bfloat16 itself."""

    def halving_update(updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None, **extra: Any) -> Any:
        updates, state = update(updates, state, params, **extra)
        return updates, jax.tree.map(lambda leaf: leaf.astype(jnp.float16) if leaf.dtype == jnp.bfloat16 else leaf, state)

    return halving_update
