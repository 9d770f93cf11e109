"""One optimiser step: gradients of the micro-batches, added up, and an update of what is trained."""

from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from sofit.batches import PrefixBatch
from sofit.loss import losses_by_role
from sofit.model import Decoder, is_adapter_array
from sofit.precision import Precision


class TrainState(eqx.Module):
    """What training changes."""

    trainable: Decoder
    """The model with only the arrays that are trained, in the parameters' dtype."""
    optimizer_state: PyTree


@dataclass(frozen=True, eq=False)
class Trainer:
    """Takes steps. Whatever a step does not change is in here."""

    frozen: Decoder
    """The model with only the arrays that stay as they are, in the dtype to compute in."""
    optimizer: optax.GradientTransformation
    precision: Precision

    @staticmethod
    def start(
        model: Decoder, optimizer: optax.GradientTransformation, precision: Precision, *, adapters_only: bool
    ) -> "tuple[Trainer, TrainState]":
        """Divides a model into what is trained and what is not."""
        is_trained = is_adapter_array(model) if adapters_only else jax.tree.map(eqx.is_inexact_array, model)
        trainable, frozen = eqx.partition(model, is_trained)
        trainable = cast_floats(trainable, precision.params)
        parameters: PyTree = trainable
        trainer = Trainer(cast_floats(frozen, precision.compute), optimizer, precision)
        return trainer, TrainState(trainable, optimizer.init(parameters))

    def model(self, state: TrainState) -> Decoder:
        """Returns the whole model as it stands, in the dtype to compute in."""
        return eqx.combine(cast_floats(state.trainable, self.precision.compute), self.frozen)

    def step(
        self, state: TrainState, batches: Sequence[PrefixBatch], completion_tokens: int, key: jax.Array
    ) -> tuple[TrainState, jax.Array, jax.Array]:
        """Takes one step on micro-batches that hold `completion_tokens` targets together.

        Returns the state after it, the loss before it and the norm of the gradient. The loss is the sum of what is
        returned, each role's part of the mean over the targets: (role), in nats. The state that is given must not be used again.
        """
        loss, gradients = jnp.float32(0), None
        for index, batch in enumerate(batches):
            part, part_gradients = _gradients(
                state.trainable,
                self.frozen,
                batch,
                jnp.float32(completion_tokens),
                jax.random.fold_in(key, index),
                self.precision,
            )
            loss = loss + part
            gradients = part_gradients if gradients is None else _add(gradients, part_gradients)
        assert gradients is not None, "a step needs at least one micro-batch"
        state, norm = _update(gradients, state, self.optimizer)
        return state, loss, norm


def cast_floats(model: Decoder, dtype: str) -> Decoder:
    """Returns the model with every array of floating-point numbers in `dtype`."""
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf, model)


@eqx.filter_jit
def _gradients(
    trainable: Decoder, frozen: Decoder, batch: PrefixBatch, completion_tokens: jax.Array, key: jax.Array, precision: Precision
) -> tuple[jax.Array, Decoder]:
    def loss(trainable: Decoder) -> tuple[jax.Array, jax.Array]:
        model = eqx.combine(cast_floats(trainable, precision.compute), frozen)
        by_role = losses_by_role(model, batch, key=key) / completion_tokens
        return by_role.sum(), by_role

    (_, by_role), gradients = eqx.filter_value_and_grad(loss, has_aux=True)(trainable)
    return by_role, gradients


@eqx.filter_jit(donate="all")
def _add(total: Decoder, part: Decoder) -> Decoder:
    return jax.tree.map(jnp.add, total, part)


@eqx.filter_jit(donate="all")
def _update(gradients: Decoder, state: TrainState, optimizer: optax.GradientTransformation) -> tuple[TrainState, jax.Array]:
    updates: PyTree = gradients
    parameters: PyTree = state.trainable
    updates, optimizer_state = optimizer.update(updates, state.optimizer_state, parameters)
    return TrainState(eqx.apply_updates(state.trainable, updates), optimizer_state), optax.tree.norm(gradients)
