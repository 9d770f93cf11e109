"""AdamW and its schedules do what their papers and torch say."""

from typing import Any

import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from haliax import Axis
from hypothesis import given
from hypothesis import strategies as st
from random_models import decoder_of, torch_model

from sofit.config import OptimizerConfig
from sofit.model import Decoder, LoraSpec, add_adapters
from sofit.optimizer import _is_matrix, make_optimizer, make_schedule


def rates(steps: int, **settings: Any) -> np.ndarray:
    """Returns the learning rate of every step, from a peak of 1, and the one that would follow."""
    schedule = make_schedule(OptimizerConfig.model_validate(settings), 1.0, steps)
    return np.array([np.asarray(schedule(step)) for step in range(steps + 1)])


@pytest.mark.parametrize(
    ("schedule", "end"), [("cosine", 0.1), ("linear", 0.1), ("constant", 1.0)], ids=["cosine", "linear", "constant"]
)
def test_the_rate_rises_to_its_peak_and_ends_where_the_schedule_says(schedule: str, end: float) -> None:
    found = rates(40, lr_schedule=schedule, warmup=0.25)
    np.testing.assert_allclose(found[:11], np.linspace(1 / 11, 1, 11), rtol=1e-5)
    assert found[40] == pytest.approx(end)
    assert np.all(np.diff(found[10:]) <= 0)


def test_the_cosine_and_the_line_pass_through_their_middle() -> None:
    assert rates(40, lr_schedule="cosine", warmup=0)[[0, 20, 40]] == pytest.approx([1, 0.55, 0.1])
    assert rates(40, lr_schedule="linear", warmup=0)[[0, 20, 40]] == pytest.approx([1, 0.55, 0.1])
    assert rates(40, lr_schedule="cosine", warmup=0)[10] > rates(40, lr_schedule="linear", warmup=0)[10]


@given(
    steps=st.integers(1, 60),
    warmup=st.one_of(st.floats(0, 0.99), st.integers(1, 100)),
    schedule=st.sampled_from(["cosine", "linear", "constant"]),
)
def test_no_step_is_wasted_at_a_rate_of_zero_nor_taken_above_the_peak(steps: int, warmup: float, schedule: str) -> None:
    found = rates(steps, lr_schedule=schedule, warmup=warmup)
    assert found[:steps].min() > 0
    assert found.max() <= 1 + 1e-6


def test_a_warm_up_of_one_or_more_counts_steps() -> None:
    np.testing.assert_allclose(rates(40, warmup=10), rates(40, warmup=0.25))


def decays(model: Decoder) -> dict[str, bool]:
    """Returns whether each array of a model decays, by its path."""
    leaves = jax.tree_util.tree_flatten_with_path(_is_matrix(model))[0]
    return {jax.tree_util.keystr(path[:-1], simple=True, separator="."): is_matrix for path, is_matrix in leaves}


def test_matrices_decay_and_norms_and_biases_do_not() -> None:
    model = add_adapters(decoder_of(torch_model("llama, biases")), LoraSpec(2, 2.0), key=jax.random.key(0))
    found = decays(model)
    vectors = {name for name in found if name.endswith((".bias", "norm.weight"))}
    assert len(vectors) == 3 + 7
    assert {name for name, decayed in found.items() if not decayed} == vectors
    assert {name.rpartition(".")[2] for name in found.keys() - vectors} == {"embeddings", "head", "stored", "down", "up"}


def test_the_norms_of_queries_and_keys_do_not_decay() -> None:
    found = decays(decoder_of(torch_model("qwen3")))
    norms = {name.split(".")[-2] for name, decayed in found.items() if not decayed}
    assert norms == {"attention_norm", "mlp_norm", "q_norm", "k_norm", "final_norm"}


@pytest.mark.parametrize("max_grad_norm", [0.0, 1.0])
def test_updates_are_those_of_torch(max_grad_norm: float) -> None:
    """Minimises the same function with both, from the same start, with warm-up, decay and, in one case, clipping."""
    steps = 25
    rng = np.random.default_rng(0)
    weight, bias, inputs, targets = (rng.normal(size=shape).astype(np.float32) for shape in ((3, 5), (3,), (20, 5), (20, 3)))
    config = OptimizerConfig(weight_decay=0.1, max_grad_norm=max_grad_norm, warmup=5, beta2=0.99)
    schedule = make_schedule(config, 0.05, steps)

    In, Out = Axis("in", 5), Axis("out", 3)
    parameters: Any = {"weight": hax.named(jnp.asarray(weight), (Out, In)), "bias": hax.named(jnp.asarray(bias), Out)}
    optimizer = make_optimizer(config, schedule)
    state = optimizer.init(parameters)

    def loss(parameters: Any) -> jax.Array:
        error = inputs @ parameters["weight"].array.T + parameters["bias"].array - targets
        return (error**2).sum()

    @jax.jit
    def step(parameters: Any, state: Any) -> tuple[Any, Any]:
        updates, state = optimizer.update(jax.grad(loss)(parameters), state, parameters)
        return optax.apply_updates(parameters, updates), state

    torch_weight, torch_bias = (torch.nn.Parameter(torch.tensor(array)) for array in (weight, bias))
    groups = [{"params": [torch_weight], "weight_decay": 0.1}, {"params": [torch_bias], "weight_decay": 0.0}]
    torch_optimizer = torch.optim.AdamW(groups, betas=(config.beta1, config.beta2), eps=config.epsilon)
    for number in range(steps):
        parameters, state = step(parameters, state)
        for group in torch_optimizer.param_groups:
            group["lr"] = np.asarray(schedule(number)).item()
        torch_optimizer.zero_grad()
        error = torch.tensor(inputs) @ torch_weight.T + torch_bias - torch.tensor(targets)
        (error**2).sum().backward()
        if max_grad_norm:
            norm = torch.nn.utils.clip_grad_norm_([torch_weight, torch_bias], max_grad_norm)
            assert norm > max_grad_norm
        torch_optimizer.step()
        np.testing.assert_allclose(parameters["weight"].array, torch_weight.detach(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(parameters["bias"].array, torch_bias.detach(), rtol=1e-4, atol=1e-5)
    assert np.abs(parameters["weight"].array - weight).max() > 0.3
