"""A step is that of the whole batch, however it is cut into micro-batches, and in whatever precision is asked for."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from random_models import decoder_of, torch_model, with_live_adapters
from token_examples import supervised

from sofit.batches import to_arrays
from sofit.config import OptimizerConfig
from sofit.model import Decoder, LoraSpec
from sofit.optimizer import make_optimizer, make_schedule
from sofit.packing import Packer
from sofit.precision import Precision, parse_precision
from sofit.supervision import Supervised
from sofit.trainer import Trainer, TrainState

pytestmark = pytest.mark.usefixtures("quick_compilation")

SPEC = LoraSpec(rank=2, alpha=4.0, target_modules=("q_proj", "down_proj"))


def make_batch(seed: int) -> list[Supervised]:
    """Returns examples behind one prompt, of different lengths."""
    rng = np.random.default_rng(seed)
    prompt = rng.integers(4, 61, 50)
    return [supervised([*prompt, *rng.integers(4, 61, index + 1)], [*rng.integers(4, 61, 4), 3]) for index in range(6)]


BATCH = make_batch(0)
FLOAT32 = Precision()


def take_steps(
    model: Decoder,
    batches: Sequence[list[Supervised]],
    optimizer: optax.GradientTransformation,
    *,
    adapters_only: bool = False,
    precision: Precision = FLOAT32,
    micro_batch_tokens: int = 8192,
) -> tuple[Trainer, TrainState, list[float], list[float]]:
    """Trains, a step a batch; returns the losses and the norms of the gradients as well."""
    trainer, state = Trainer.start(model, optimizer, precision, adapters_only=adapters_only)
    packer = Packer(batches, share_prefix=True, micro_batch_tokens=micro_batch_tokens)
    losses, norms = [], []
    for step, batch in enumerate(batches):
        arrays = [to_arrays(micro) for micro in packer.pack(batch)]
        assert (len(arrays) > 1) == (micro_batch_tokens < 200)
        count = sum(example.completion_length for example in batch)
        state, loss, norm = trainer.step(state, arrays, count, jax.random.fold_in(jax.random.key(0), step))
        losses.append(float(loss.sum()))
        norms.append(float(norm))
    return trainer, state, losses, norms


def adamw(learning_rate: float) -> optax.GradientTransformation:
    config = OptimizerConfig(weight_decay=0.1)
    return make_optimizer(config, make_schedule(config, learning_rate, 10))


# Made once, since each is compiled for.
DESCENT, ADAMW = optax.sgd(0.1), adamw(0.03)


def fresh() -> Decoder:
    """Returns a model of its own: a step gives away the memory of what it trains."""
    return with_live_adapters(decoder_of(torch_model("llama 3")), SPEC)


def test_accumulated_micro_batches_are_one_large_batch() -> None:
    results = []
    for micro_batch_tokens in (8192, 100):
        _, state, losses, norms = take_steps(fresh(), [BATCH] * 2, DESCENT, micro_batch_tokens=micro_batch_tokens)
        results.append((jax.tree.leaves(state.trainable), losses, norms))
    (arrays, losses, norms), (other_arrays, other_losses, other_norms) = results
    assert losses == pytest.approx(other_losses, rel=1e-5)
    assert norms == pytest.approx(other_norms, rel=1e-5)
    for array, other in zip(arrays, other_arrays, strict=True):
        np.testing.assert_allclose(array, other, rtol=1e-4, atol=1e-6)


def test_the_norm_is_that_of_the_gradient_and_the_loss_that_before_the_step() -> None:
    start = [np.array(leaf) for leaf in jax.tree.leaves(fresh())]
    _, state, (loss,), (norm,) = take_steps(fresh(), [BATCH], DESCENT)
    # Plain descent moves every weight by its gradient, times the rate.
    gradients = [(np.array(leaf) - before) / 0.1 for leaf, before in zip(jax.tree.leaves(state.trainable), start, strict=True)]
    assert np.sqrt(sum((gradient.astype(np.float64) ** 2).sum() for gradient in gradients)) == pytest.approx(norm, rel=1e-3)
    assert norm > 1
    _, _, losses, _ = take_steps(fresh(), [BATCH] * 2, DESCENT)
    assert losses[0] == loss
    assert losses[1] < loss


@pytest.mark.parametrize("adapters_only", [False, True], ids=["full", "LoRA"])
def test_the_loss_of_a_batch_falls_when_it_is_learnt(adapters_only: bool) -> None:
    _, _, losses, _ = take_steps(fresh(), [BATCH] * 10, ADAMW, adapters_only=adapters_only)
    assert losses[-1] < 0.5 * losses[0]


def test_mixed_precision_computes_in_one_type_and_stores_what_it_trains_in_another() -> None:
    policy = parse_precision("p=f32,c=bfloat16")
    exact = take_steps(fresh(), [BATCH], ADAMW, adapters_only=True)
    trainer, state, losses, norms = take_steps(fresh(), [BATCH], ADAMW, adapters_only=True, precision=policy)
    assert dtypes(state.trainable) == dtypes(state.optimizer_state) == {jnp.dtype("float32")}
    assert dtypes(trainer.frozen) == dtypes(trainer.model(state)) == {jnp.dtype("bfloat16")}
    assert losses == pytest.approx(exact[2], rel=0.02)
    assert norms == pytest.approx(exact[3], rel=0.05)
    assert losses != exact[2]


def test_full_fine_tuning_stores_every_weight_in_the_parameters_type() -> None:
    trainer, state = Trainer.start(fresh(), ADAMW, parse_precision("p=f32,c=bfloat16"), adapters_only=False)
    assert dtypes(state.trainable) == dtypes(state.optimizer_state) == {jnp.dtype("float32")}
    assert dtypes(trainer.frozen) == set()
    assert dtypes(trainer.model(state)) == {jnp.dtype("bfloat16")}


def test_parameters_can_be_stored_in_bfloat16() -> None:
    _, state, losses, _ = take_steps(fresh(), [BATCH] * 8, ADAMW, adapters_only=True, precision=parse_precision("bfloat16"))
    assert dtypes(state.trainable) == dtypes(state.optimizer_state) == {jnp.dtype("bfloat16")}
    assert losses[-1] < 0.8 * losses[0]


def dtypes(tree: Any) -> set[Any]:
    return {leaf.dtype for leaf in jax.tree.leaves(tree) if eqx.is_inexact_array(leaf)}


def test_batches_of_one_shape_are_compiled_once() -> None:
    compiled: list[str] = []

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    # The last one has fewer completion tokens.
    batches = [make_batch(0), make_batch(1), make_batch(2)[:-1]]
    packer = Packer(batches[:1], share_prefix=True, micro_batch_tokens=8192)
    trainer, state = Trainer.start(fresh(), ADAMW, FLOAT32, adapters_only=True)
    counts = []
    jax.clear_caches()  # Another test may have compiled for the same shapes.
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        for batch in batches:
            (micro,) = packer.pack(batch)
            assert micro.shape == packer.shapes[0]
            count = sum(example.completion_length for example in batch)
            state, _, _ = trainer.step(state, [to_arrays(micro)], count, jax.random.key(0))
            counts.append(len(compiled))
    finally:
        jax.monitoring.clear_event_listeners()
    assert counts[0] > 0
    assert counts[1:] == counts[:1] * 2
