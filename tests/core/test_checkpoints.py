"""Checkpoints hold all that training changes, to the bit, and refuse to be read into another run."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from random_models import decoder_of, torch_model

from sofit import SofitError
from sofit.checkpoints import Checkpoints
from sofit.config import OptimizerConfig
from sofit.model import LoraSpec, add_adapters
from sofit.optimizer import make_optimizer, make_schedule
from sofit.precision import Precision, parse_precision
from sofit.trainer import Trainer, TrainState

OPTIMIZER = make_optimizer(OptimizerConfig(), make_schedule(OptimizerConfig(), 1e-3, 10))


def make_state(
    rank: int | None = 2,
    modules: tuple[str, ...] = ("q_proj", "down_proj"),
    family: str = "llama 3",
    precision: Precision | None = None,
    optimizer: optax.GradientTransformation = OPTIMIZER,
) -> TrainState:
    """Returns a state that has not been trained yet; a rank of None means full fine-tuning."""
    model = decoder_of(torch_model(family))
    if rank is not None:
        model = add_adapters(model, LoraSpec(rank, 4.0, target_modules=modules), key=jax.random.key(0))
    return Trainer.start(model, optimizer, precision or Precision(), adapters_only=rank is not None)[1]


def filled(state: TrainState, seed: int) -> TrainState:
    """Returns a state of the same form with other values everywhere, NaN and the smallest numbers included."""
    rng = np.random.default_rng(seed)

    def fill(leaf: jax.Array) -> jax.Array:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf + seed
        values = rng.normal(size=leaf.shape).ravel()
        values[: min(3, values.size)] = [np.nan, 1e-42, -0.0][: min(3, values.size)]
        return jnp.asarray(values.reshape(leaf.shape), leaf.dtype)

    return jax.tree.map(fill, state)


def bits(state: TrainState) -> list[tuple[Any, bytes]]:
    return [(leaf.dtype, np.asarray(leaf).tobytes()) for leaf in jax.tree.leaves(state)]


@pytest.fixture
def checkpoints(tmp_path: Path) -> Any:
    opened = Checkpoints(tmp_path / "checkpoints", keep=2)
    yield opened
    opened.close()


@pytest.mark.parametrize("rank", [2, None], ids=["LoRA", "full"])
def test_what_is_read_is_what_was_saved_to_the_bit(checkpoints: Checkpoints, rank: int | None) -> None:
    state = filled(make_state(rank), 1)
    path = checkpoints.save(5, state)
    assert path.is_dir()
    assert bits(checkpoints.restore(make_state(rank))) == bits(state)
    assert bits(checkpoints.restore(make_state(rank))) != bits(make_state(rank))


def test_parameters_in_bfloat16_are_kept_as_they_are(checkpoints: Checkpoints) -> None:
    precision = parse_precision("bfloat16")
    state = filled(make_state(precision=precision), 1)
    checkpoints.save(5, state)
    assert bits(checkpoints.restore(make_state(precision=precision))) == bits(state)


def test_a_process_that_comes_later_finds_the_newest_checkpoints(tmp_path: Path) -> None:
    first = Checkpoints(tmp_path, keep=2)
    assert first.last_step is None
    for step in (2, 4, 6):
        first.save(step, filled(make_state(), step))
    first.close()
    later = Checkpoints(tmp_path, keep=2)
    assert later.last_step == 6
    assert bits(later.restore(make_state())) == bits(filled(make_state(), 6))
    later.close()
    assert sorted(path.name for path in (tmp_path / "latest").iterdir() if path.name.isdigit()) == ["4", "6"]


def test_the_best_checkpoint_is_kept_beside_the_newest_with_its_score(checkpoints: Checkpoints) -> None:
    assert checkpoints.best_step is None
    checkpoints.save_best(2, filled(make_state(), 2), 0.5)
    checkpoints.save_best(4, filled(make_state(), 4), 0.75)
    for step in (5, 6, 7):
        checkpoints.save(step, filled(make_state(), step))
    assert (checkpoints.last_step, checkpoints.best_step) == (7, 4)
    state, score = checkpoints.restore_best(make_state())
    assert score == 0.75
    assert bits(state) == bits(filled(make_state(), 4))


def test_a_best_checkpoint_beyond_the_step_to_go_on_from_is_dropped(checkpoints: Checkpoints) -> None:
    checkpoints.save_best(4, filled(make_state(), 4), 0.75)
    checkpoints.drop_best_after(4)
    assert checkpoints.best_step == 4
    checkpoints.drop_best_after(3)
    assert checkpoints.best_step is None
    checkpoints.save_best(4, filled(make_state(), 5), 0.25)
    assert checkpoints.restore_best(make_state())[1] == 0.25


@pytest.mark.parametrize(
    "other",
    [
        {"rank": 3},
        {"rank": None},
        {"modules": ("q_proj",)},
        {"modules": ("q_proj", "down_proj", "up_proj")},
        {"family": "qwen3"},
        {"precision": parse_precision("bfloat16")},
    ],
    ids=["another rank", "full", "fewer modules", "more modules", "another model", "another precision"],
)
def test_a_checkpoint_of_another_run_is_an_error_that_names_it(checkpoints: Checkpoints, other: dict[str, Any]) -> None:
    path = checkpoints.save(5, filled(make_state(), 1))
    with pytest.raises(SofitError, match=f"The checkpoint {path} is of another run: it"):
        checkpoints.restore(make_state(**other))


@pytest.mark.parametrize("has_earlier", [True, False])
def test_a_checkpoint_that_cannot_be_written_is_an_error_that_says_what_is_left(tmp_path: Path, has_earlier: bool) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    state = make_state()
    if has_earlier:
        checkpoints.save(1, state)
        checkpoints.save_best(1, state, 0.5)
    for name in ("latest", "best"):
        (tmp_path / name).rename(tmp_path / f"{name} aside")
        (tmp_path / name).write_text("")  # Where a folder is to be.
    left = "The one before is kept." if has_earlier else "There is none before it."
    with pytest.raises(SofitError, match=f"The checkpoint of step 5 cannot be written to {tmp_path}: .*{left}"):
        checkpoints.save(5, state)
    with pytest.raises(SofitError, match=f"The checkpoint of step 5 cannot be written to {tmp_path}: .*{left}"):
        checkpoints.save_best(5, state, 0.6)
    checkpoints.close()
