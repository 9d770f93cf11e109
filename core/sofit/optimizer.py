"""AdamW with a schedule, as the configuration asks for it."""

import jax
import optax
from haliax import Axis, NamedArray
from jaxtyping import PyTree

from sofit.config import OptimizerConfig


def make_schedule(config: OptimizerConfig, learning_rate: float, steps: int) -> optax.Schedule:
    """Returns the learning rate as a function of the steps already taken: a linear warm-up, then the schedule to the end."""
    warmup_steps = round(config.warmup * steps) if config.warmup < 1 else min(round(config.warmup), steps)
    left, end = max(steps - warmup_steps, 1), learning_rate * config.min_lr_ratio
    after = {
        "cosine": optax.cosine_decay_schedule(learning_rate, left, config.min_lr_ratio),
        "linear": optax.linear_schedule(learning_rate, end, left),
        "constant": optax.constant_schedule(learning_rate),
    }[config.lr_schedule]
    if warmup_steps == 0:
        return after
    # The first step is taken at a rate above 0, or it would be wasted.
    start = learning_rate / (warmup_steps + 1)
    return optax.join_schedules([optax.linear_schedule(start, learning_rate, warmup_steps), after], [warmup_steps])


def make_optimizer(config: OptimizerConfig, schedule: optax.Schedule) -> optax.GradientTransformation:
    """Returns clipping by the global norm, then AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101)."""
    clip = optax.clip_by_global_norm(config.max_grad_norm) if config.max_grad_norm > 0 else optax.identity()
    adamw = optax.adamw(
        schedule,
        b1=config.beta1,
        b2=config.beta2,
        eps=config.epsilon,
        weight_decay=config.weight_decay,
        mask=_is_matrix,
        mu_dtype=config.mu_dtype,
    )
    return optax.chain(clip, adamw)


_HEAD_AXES = frozenset({"kv_head", "group", "head_size"})
"""The axes that together are one side of a matrix."""


def _is_matrix(parameters: PyTree) -> PyTree:
    """Tells matrices, which are decayed, from norms and biases, which are not; the axis of the layers does not count."""

    def decays(leaf: NamedArray) -> NamedArray:
        # Asked for an array only: where a frozen one was taken out, the axes are not to be had.
        return jax.tree.map(lambda _: len({side(axis) for axis in leaf.axes} - {"layer"}) > 1, leaf)

    def side(axis: Axis) -> str:
        return "heads" if axis.name in _HEAD_AXES else axis.name

    return jax.tree.map(decays, parameters, is_leaf=lambda node: isinstance(node, NamedArray))
