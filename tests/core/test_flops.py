"""What is counted from shapes is what the program multiplies."""

from math import prod
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from random_models import decoder_of, torch_model, with_live_adapters
from token_examples import supervised

from sofit.batches import to_arrays
from sofit.flops import flops_by_part, flops_per_decoded_token, flops_per_step
from sofit.loss import losses_by_role
from sofit.model import Decoder, LoraSpec, is_adapter_array
from sofit.packing import BatchShape, MicroBatch, Packer

LORA = LoraSpec(rank=2, alpha=4.0)


def micro_batch(prefix_length: int = 48) -> MicroBatch:
    """Returns six examples behind one prefix, or none."""
    rng = np.random.default_rng(0)
    prompt = rng.integers(4, 61, prefix_length)
    examples = [supervised([*prompt, *rng.integers(4, 61, 9)], [*rng.integers(4, 61, 6), 3]) for _ in range(6)]
    (micro,) = Packer([examples], share_prefix=True, micro_batch_tokens=8192).pack(examples)
    assert micro.shape.prefix_length == prefix_length
    return micro


def multiplied(jaxpr: Any) -> int:
    """Returns the operations of all matrix products of a program."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += 2 * prod(equation.outvars[0].aval.shape) * prod(left[axis] for axis in contracted)
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        total += times * sum(multiplied(inner) for inner in jaxprs_in_params(equation.params))
    return total


def multiplied_by_a_step(model: Decoder, micro: MicroBatch, *, adapters_only: bool) -> int:
    is_trained = is_adapter_array(model) if adapters_only else jax.tree.map(eqx.is_inexact_array, model)
    trainable, frozen = eqx.partition(model, is_trained)

    def loss(trainable: Decoder) -> jax.Array:
        return losses_by_role(eqx.combine(trainable, frozen), to_arrays(micro)).sum()

    return multiplied(jax.make_jaxpr(eqx.filter_grad(loss))(trainable).jaxpr)


def attention_beyond_need(model: Decoder, shape: BatchShape) -> int:
    """Returns what attention multiplies beyond what is counted.

    The backward pass makes the scores again, a seventh product of each pair, and multiplies each query's result with its
    gradient; and short sequences are not cut by causality.
    """
    heads = 2 * model.config.num_layers * model.config.num_heads * model.config.head_size
    prefixes, slots = shape.rows * shape.prefix_length, shape.rows * shape.slots * shape.slot_length
    whole = prefixes * shape.prefix_length + slots * (shape.prefix_length + shape.slot_length)
    needed = prefixes * (shape.prefix_length + 1) // 2 + slots * shape.prefix_length + slots * (shape.slot_length + 1) // 2
    return heads * (7 * whole - 6 * needed + prefixes + slots)


def scores_of_words(model: Decoder, shape: BatchShape) -> int:
    """Returns what one product of the head multiplies."""
    return 2 * shape.rows * shape.targets * model.config.vocab_size * model.config.embed_size


@pytest.mark.parametrize("prefix_length", [0, 48])
@pytest.mark.parametrize("family", ["smollm2", "qwen3"])
def test_a_step_on_all_weights_multiplies_what_is_counted(family: str, prefix_length: int) -> None:
    model, micro = decoder_of(torch_model(family)), micro_batch(prefix_length)
    counted = flops_per_step(model.config, [micro.shape])
    # The scores of words are made twice.
    beyond = attention_beyond_need(model, micro.shape) + scores_of_words(model, micro.shape)
    assert multiplied_by_a_step(model, micro, adapters_only=False) == counted + beyond


def test_a_step_on_adapters_multiplies_what_is_counted() -> None:
    model, micro = with_live_adapters(decoder_of(torch_model("llama 3")), LORA), micro_batch()
    counted = flops_per_step(model.config, [micro.shape], LORA)
    # The gradient of the frozen words, two products, is in the program, and dropped when it is compiled.
    beyond = attention_beyond_need(model, micro.shape) + 2 * scores_of_words(model, micro.shape)
    assert multiplied_by_a_step(model, micro, adapters_only=True) == counted + beyond


def test_adapters_cost_the_weight_gradients_of_what_they_leave_frozen() -> None:
    config = decoder_of(torch_model("llama 3")).config
    shape = micro_batch().shape
    full, lora = flops_by_part(config, shape), flops_by_part(config, shape, LORA)
    for part in ("MLP", "attention projections", "head"):
        assert lora[part] * 3 == full[part] * 2
    assert {part for part in full if full[part] == lora[part]} >= {name for name in full if name.startswith("attention ")} - {
        "attention projections"
    }
    assert full["adapters"] == 0 < lora["adapters"]


def test_micro_batches_add_up() -> None:
    config, shape = decoder_of(torch_model("llama 3")).config, micro_batch().shape
    assert flops_per_step(config, [shape, shape]) == 2 * flops_per_step(config, [shape])


def test_a_decoded_token_takes_a_third_of_a_trained_one() -> None:
    config = decoder_of(torch_model("llama 3")).config
    one_token = BatchShape(rows=1, prefix_length=0, slots=1, slot_length=1, targets=1)
    assert flops_per_decoded_token(config, 1) * 3 == flops_per_step(config, [one_token])
