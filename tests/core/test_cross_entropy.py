"""Cross-entropy in blocks is the formula, in value and gradients, for any vocabulary and any number of blocks."""

from typing import Any

import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from haliax import Axis, NamedArray
from jax.extend.core import jaxprs_in_params

import sofit.cross_entropy
from sofit.cross_entropy import cross_entropy

Row, Target, Embed = Axis("row", 2), Axis("target", 12), Axis("embed", 16)


def inputs(vocab_size: int, dtype: Any = jnp.float32) -> tuple[NamedArray, NamedArray, NamedArray, NamedArray]:
    """Returns hidden states, words, targets and weights of the losses."""
    Vocab = Axis("vocab", vocab_size)
    keys = jax.random.split(jax.random.key(0), 4)
    hidden = hax.random.normal(keys[0], (Row, Target, Embed)).astype(dtype)
    words = hax.random.normal(keys[1], (Vocab, Embed)).astype(dtype)
    return hidden, words, hax.random.randint(keys[2], (Row, Target), 0, vocab_size), hax.random.normal(keys[3], (Row, Target))


def formula(hidden: NamedArray, words: NamedArray, target_id: NamedArray) -> NamedArray:
    logits = hax.dot(hidden, words, axis="embed", preferred_element_type=jnp.float32)
    return hax.nn.logsumexp(logits, "vocab") - logits["vocab", target_id]


def gradients(losses: Any, hidden: NamedArray, words: NamedArray, target_id: NamedArray, weights: NamedArray) -> Any:
    def total(hidden: NamedArray, words: NamedArray) -> jax.Array:
        return hax.sum(losses(hidden, words, target_id) * weights).scalar()

    return jax.grad(total, argnums=(0, 1))(hidden, words)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes blocks of 10 words."""
    monkeypatch.setattr(sofit.cross_entropy, "_BLOCK_BYTES", 0)
    monkeypatch.setattr(sofit.cross_entropy, "_LEAST_BLOCK", 10)


@pytest.mark.parametrize("vocab_size", [7, 10, 30, 41])
def test_losses_and_gradients_are_those_of_the_formula(small_blocks: None, vocab_size: int) -> None:
    hidden, words, target_id, weights = inputs(vocab_size)
    np.testing.assert_allclose(
        cross_entropy(hidden, words, target_id).array, formula(hidden, words, target_id).array, rtol=1e-5, atol=1e-5
    )
    expected = gradients(formula, hidden, words, target_id, weights)
    for found, wanted in zip(gradients(cross_entropy, hidden, words, target_id, weights), expected, strict=True):
        np.testing.assert_allclose(found.array, wanted.array, rtol=1e-4, atol=1e-5)


def test_where_no_token_carries_loss_there_is_none_and_no_gradient() -> None:
    hidden, words, target_id, weights = (
        array["target", 0:0] if "target" in [axis.name for axis in array.axes] else array for array in inputs(41)
    )
    assert cross_entropy(hidden, words, target_id).array.size == 0
    of_hidden, of_words = gradients(cross_entropy, hidden, words, target_id, weights)
    assert of_hidden.array.size == 0
    assert not np.any(of_words.array)


def test_the_loss_with_gradients_is_the_loss_without(small_blocks: None) -> None:
    hidden, words, target_id, _ = inputs(41)
    alone = cross_entropy(hidden, words, target_id)
    with_gradients, _ = jax.vjp(lambda hidden: cross_entropy(hidden, words, target_id), hidden)
    np.testing.assert_array_equal(alone.array, with_gradients.array)


def test_a_target_that_is_learnt_has_an_exact_gradient_in_bfloat16(small_blocks: None) -> None:
    hidden, words, target_id, weights = inputs(41, jnp.bfloat16)
    # The hidden state is that of the target's own word, so that its probability is close to 1.
    hidden = words["vocab", target_id] * 2
    probability = hax.exp(-formula(hidden, words, target_id)).array
    assert float(jnp.max(probability)) > 0.999
    exact = gradients(formula, hidden.astype(jnp.float32), words.astype(jnp.float32), target_id, weights)
    found = gradients(cross_entropy, hidden, words, target_id, weights)
    for one, other in zip(found, exact, strict=True):
        difference = np.linalg.norm(np.asarray(one.array, np.float32) - np.asarray(other.array))
        assert difference < 0.02 * np.linalg.norm(np.asarray(other.array))


def test_no_array_holds_the_scores_of_all_tokens_for_all_words(small_blocks: None) -> None:
    hidden, words, target_id, weights = inputs(400)

    def sizes(jaxpr: Any) -> set[int]:
        inner = [size for equation in jaxpr.eqns for found in jaxprs_in_params(equation.params) for size in sizes(found)]
        return {*inner, *(variable.aval.size for equation in jaxpr.eqns for variable in equation.outvars)}

    def run(losses: Any) -> set[int]:
        return sizes(jax.make_jaxpr(lambda *arrays: gradients(losses, *arrays))(hidden, words, target_id, weights).jaxpr)

    scores = Row.size * Target.size * 400
    assert max(run(formula)) == scores
    assert max(run(cross_entropy)) == 400 * Embed.size < scores
