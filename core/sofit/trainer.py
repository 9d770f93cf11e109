"""One optimiser step: gradients of the micro-batches, added up, and an update of what is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from sofit.batches import PrefixBatch
from sofit.loss import losses_by_role
from sofit.model import Decoder, Quantized, is_adapter_array
from sofit.model.partitioning import Partitioning, Tree
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
        state = TrainState(trainable, optimizer.init(parameters))
        return trainer, _laid_out(state, model.partitioning)

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
        partitioning = self.frozen.partitioning
        if partitioning is not None:
            batches, key = [partitioning.place_batch(batch) for batch in batches], partitioning.replicate(key)
        loss: jax.Array | None = None
        gradients: Decoder | None = None
        for index, batch in enumerate(batches):
            part, part_gradients = compute_gradients(
                state.trainable,
                self.frozen,
                batch,
                np.float32(completion_tokens),
                jax.random.fold_in(key, index),
                self.precision,
            )
            loss = part if loss is None else loss + part
            gradients = part_gradients if gradients is None else add_gradients(gradients, part_gradients)
        assert loss is not None, "a step needs at least one micro-batch"
        assert gradients is not None
        state, norm = apply_gradients(gradients, state, self.optimizer)
        return state, loss, norm


def cast_floats(model: Decoder, dtype: str) -> Decoder:
    """Returns the model with every array of floating-point numbers in `dtype`, but for the scales of quantised weights."""
    return jax.tree.map(
        lambda leaf: leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf,
        model,
        is_leaf=lambda node: isinstance(node, Quantized),
    )


# A step is these three programs. Their names are public so that a plan can compile them without arrays.


@partial(jax.jit, static_argnames="precision")
def compute_gradients(
    trainable: Decoder, frozen: Decoder, batch: PrefixBatch, completion_tokens: jax.Array, key: jax.Array, precision: Precision
) -> tuple[jax.Array, Decoder]:
    """Returns a micro-batch's part of the loss by role, (role), and its gradient for what is trained."""

    def loss(trainable: Decoder) -> tuple[jax.Array, jax.Array]:
        model = eqx.combine(cast_floats(trainable, precision.compute), frozen)
        by_role = losses_by_role(model, batch, key=key) / completion_tokens
        return by_role.sum(), by_role

    (_, by_role), gradients = eqx.filter_value_and_grad(loss, has_aux=True)(trainable)
    return _laid_out((by_role, gradients), trainable.partitioning)


@partial(jax.jit, donate_argnames="total")
def add_gradients(total: Decoder, part: Decoder) -> Decoder:
    """Adds a micro-batch's gradient to that of the ones before it, in their memory."""
    return jax.tree.map(jnp.add, total, part)


@partial(jax.jit, static_argnames="optimizer", donate_argnames="state")
def apply_gradients(
    gradients: Decoder, state: TrainState, optimizer: optax.GradientTransformation
) -> tuple[TrainState, jax.Array]:
    """Returns the state after a step, in the memory of the one before it, and the norm of the gradient."""
    updates: PyTree = gradients
    parameters: PyTree = state.trainable
    updates, optimizer_state = optimizer.update(updates, state.optimizer_state, parameters)
    state = TrainState(eqx.apply_updates(state.trainable, updates), optimizer_state)
    return _laid_out(state, gradients.partitioning), optax.tree.norm(gradients)


def _laid_out(tree: Tree, partitioning: Partitioning | None) -> Tree:
    """Says where parameters, or what goes with them, lie over several devices."""
    return tree if partitioning is None else partitioning.place_parameters(tree)
