"""Sharing a prefix and packing change neither the loss nor any gradient.

The references know nothing of either: transformers' model with PEFT's adapters in float64, and our own model on one plain
sequence at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from haliax import Axis
from peft import LoraConfig, get_peft_model
from random_models import decoder_of, torch_model, with_live_adapters
from token_examples import supervised

from sofit.batches import to_arrays
from sofit.loss import losses_by_role
from sofit.model import (
    Decoder,
    DecoderConfig,
    LoraSpec,
    Stream,
    adapter_tensors,
    from_hf_tensors,
    is_adapter_array,
    to_hf_tensors,
)
from sofit.packing import MicroBatch, Packer
from sofit.pretrained import Pretrained
from sofit.supervision import Supervised, supervise
from sofit_viggo.task import ViggoTask

pytestmark = pytest.mark.usefixtures("quick_compilation")

SPEC = LoraSpec(rank=3, alpha=6.0)
FEW = LoraSpec(rank=3, alpha=6.0, target_modules=("q_proj", "o_proj", "down_proj"))
TOLERANCE = 1e-5

Gradients = Mapping[str, np.ndarray]
"""By Hugging Face's name of the tensor, or PEFT's of the adapter."""


def examples_of(shared_lengths: Sequence[int], sizes: Sequence[tuple[int, int]]) -> list[Supervised]:
    """Returns examples in turn behind prompts of these lengths; each adds a number of own prompt tokens and completion tokens."""
    rng = np.random.default_rng(0)
    prompts = [rng.integers(4, 61, length) for length in shared_lengths]
    return [
        supervised([*prompts[index % len(prompts)], *rng.integers(4, 61, own)], [*rng.integers(4, 61, completion - 1), 3])
        for index, (own, completion) in enumerate(sizes)
    ]


BATCHES: Mapping[str, list[Supervised]] = {
    "nothing in common": examples_of([0], [(7, 5), (1, 11), (10, 2), (4, 1), (6, 6)]),
    "one prompt": examples_of([48], [(7, 5), (1, 11), (10, 2), (4, 8), (11, 1), (6, 6), (9, 3), (2, 10)]),
    "several prompts": examples_of([40, 48, 0], [(own, 12 - own) for own in (7, 11, 8, 2, 3, 6, 1, 4, 10, 5, 9, 7)]),
}


@dataclass(frozen=True)
class Layout:
    """A way to lay a batch out, and whether it came out as the test means it to."""

    batch: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    is_meant: Any = lambda micro_batches: True

    def packed(self) -> list[MicroBatch]:
        """Returns the micro-batches."""
        batch = BATCHES[self.batch]
        settings: dict[str, Any] = {"share_prefix": True, "micro_batch_tokens": 8192, **self.settings}
        return Packer([batch], **settings).pack(batch)


def prefixes(micro_batches: Sequence[MicroBatch]) -> int:
    """Returns how many rows share something."""
    return sum(len(row.prefix) > 0 for micro in micro_batches for row in micro.rows)


def fullest_slot(micro_batches: Sequence[MicroBatch]) -> int:
    """Returns the most examples in one slot."""
    return max(len(slot) for micro in micro_batches for row in micro.rows for slot in row.slots)


LAYOUTS = {
    "an empty prefix": Layout("nothing in common", {}, lambda packed: prefixes(packed) == 0 and fullest_slot(packed) > 1),
    "one prefix": Layout("one prompt", {}, lambda packed: prefixes(packed) == 1 and fullest_slot(packed) > 1),
    "several prefixes": Layout("several prompts", {}, lambda packed: prefixes(packed) == 2 and fullest_slot(packed) > 1),
    "several micro-batches": Layout("one prompt", {"micro_batch_tokens": 100}, lambda packed: prefixes(packed) > 1),
    "rows for 2 devices": Layout("several prompts", {"row_multiple": 2}, lambda packed: packed[0].shape.rows == 2),
    "rows for 4 devices": Layout("one prompt", {"row_multiple": 4}, lambda packed: packed[0].shape.rows == 4),
    "no sharing": Layout("several prompts", {"share_prefix": False}, lambda packed: prefixes(packed) == 0),
}


@eqx.filter_jit
def _value_and_gradient(trainable: Decoder, frozen: Decoder, batch: Any) -> tuple[jax.Array, Decoder]:
    return eqx.filter_value_and_grad(lambda trainable: losses_by_role(eqx.combine(trainable, frozen), batch).sum())(trainable)


def packed_loss(model: Decoder, micro_batches: Sequence[MicroBatch], is_trained: Any) -> tuple[float, Gradients]:
    """Returns the loss, a mean over the completion tokens, and its gradients, added up over micro-batches."""
    trainable, frozen = eqx.partition(model, is_trained)
    parts = [_value_and_gradient(trainable, frozen, to_arrays(micro)) for micro in micro_batches]
    count = sum(row.targets for micro in micro_batches for row in micro.rows)
    loss, gradients = jax.tree.map(lambda *values: sum(values) / count, *parts)
    return float(loss), by_name(gradients)


def by_name(gradients: Decoder) -> Gradients:
    named = dict(adapter_tensors(gradients))
    if gradients.embeddings.array is not None:
        named |= {name: make() for name, make in to_hf_tensors(gradients)}
    return named


def torch_loss(model: Any, examples: Sequence[Supervised]) -> tuple[float, Gradients]:
    """Returns what transformers makes of each example alone, with labels of -100 on the prompt."""
    count = sum(example.completion_length for example in examples)
    total = torch.zeros((), dtype=torch.float64)
    for example in examples:
        ids = torch.tensor(example.ids[None].astype(np.int64))
        labels = torch.where(torch.arange(len(example)) < example.prompt_length, -100, ids)
        total = total + model(ids, labels=labels).loss * example.completion_length / count
    total.backward()
    found = {name: parameter.grad.numpy() for name, parameter in model.named_parameters() if parameter.grad is not None}
    return total.item(), {
        name.removeprefix("base_model.model.").replace(".base_layer", "").replace(".default", ""): gradient
        for name, gradient in found.items()
    }


def torch_adapted(model: Any, adapted: Decoder, spec: LoraSpec) -> Any:
    """Returns transformers' model in float64 with the adapters in PEFT's implementation."""
    config = LoraConfig(r=spec.rank, lora_alpha=int(spec.alpha), target_modules=list(spec.target_modules))
    peft_model = get_peft_model(model, config).double()
    tensors = dict(adapter_tensors(adapted))
    for name, parameter in peft_model.named_parameters():
        parameter.requires_grad_(True)
        if "lora_" in name:
            parameter.data = torch.tensor(tensors[name.removeprefix("base_model.model.").replace(".default", "")]).double()
    return peft_model


@cache
def reference(family: str, batch: str, spec: LoraSpec) -> tuple[Decoder, float, Gradients]:
    """Returns our model with live adapters, and loss and gradients of everything, adapters included, by PEFT."""
    adapted = with_live_adapters(decoder_of(torch_model(family)), spec)
    return adapted, *torch_loss(torch_adapted(torch_model(family), adapted, spec), BATCHES[batch])


def assert_equal(loss: float, gradients: Gradients, expected_loss: float, expected: Gradients) -> None:
    """Checks loss and gradients, each leaf by the norm of its difference over its norm."""
    assert loss == pytest.approx(expected_loss, rel=TOLERANCE)
    assert gradients.keys() == expected.keys()
    whole = np.sqrt(sum((gradient.astype(np.float64) ** 2).sum() for gradient in expected.values()))
    for name, gradient in expected.items():
        difference, size = np.linalg.norm(gradients[name].astype(np.float64) - gradient), np.linalg.norm(gradient)
        assert size > 0, name
        assert difference <= TOLERANCE * max(size, whole / 1000), name


def everything(model: Decoder) -> Any:
    """Returns the filter that trains base and adapters alike."""
    return jax.tree.map(eqx.is_inexact_array, model)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_loss_and_every_gradient_are_those_of_each_example_alone(layout: Layout) -> None:
    micro_batches = layout.packed()
    assert layout.is_meant(micro_batches)
    model, expected_loss, expected = reference("smollm2", layout.batch, FEW)
    assert_equal(*packed_loss(model, micro_batches, everything(model)), expected_loss, expected)


# Mistral's window of 7 ends within the prefix, within the example, and at the border between them.
@pytest.mark.parametrize("family", ["mistral", "qwen3"])
def test_that_holds_with_a_sliding_window_and_with_norms_of_queries_and_keys(family: str) -> None:
    model, expected_loss, expected = reference(family, "several prompts", SPEC)
    micro_batches = LAYOUTS["several prefixes"].packed()
    assert_equal(*packed_loss(model, micro_batches, everything(model)), expected_loss, expected)


def test_loss_and_every_gradient_are_those_of_our_own_model_on_plain_sequences() -> None:
    model = with_live_adapters(decoder_of(torch_model("smollm2")), FEW)
    batch = BATCHES["several prompts"]
    count = sum(example.completion_length for example in batch)

    @eqx.filter_jit
    def one(model: Decoder, ids: np.ndarray, is_target: np.ndarray) -> tuple[jax.Array, Decoder]:
        Row, Pos = Axis("row", 1), Axis("position", len(ids))
        positions = hax.arange(Pos).broadcast_axis(Row)

        def loss(model: Decoder) -> jax.Array:
            (hidden,), _ = model([Stream(hax.named(ids[None], (Row, Pos)), positions, hax.ones_like(positions), Pos)])
            logits = model.logits(hidden).rearrange(("row", "position", "vocab")).array[0]
            of_next = jnp.take_along_axis(jax.nn.log_softmax(logits[:-1]), ids[1:, None], axis=-1)[:, 0]
            return -jnp.sum(jnp.where(is_target[1:], of_next, 0)) / count

        return eqx.filter_value_and_grad(loss)(model)

    parts = [one(model, example.ids, np.arange(len(example)) >= example.prompt_length) for example in batch]
    expected_loss, gradients = jax.tree.map(lambda *values: sum(values), *parts)
    packed = packed_loss(model, LAYOUTS["several prefixes"].packed(), everything(model))
    assert_equal(*packed, float(expected_loss), by_name(gradients))


def real_rows(smollm2: Pretrained, shared_data: Path, count: int) -> list[Supervised]:
    """Returns rows of ViGGO behind the long prompt."""
    task = ViggoTask(data=str(shared_data / "viggo"))
    examples = [example for example, _ in zip(task.load("validation"), range(count), strict=False)]
    return supervise(task, examples, smollm2.tokenizer, 2048)


@pytest.mark.parametrize("layers", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_the_real_model_learns_the_same_with_and_without_sharing(smollm2: Pretrained, shared_data: Path, layers: int) -> None:
    batch = real_rows(smollm2, shared_data, 3)
    config = DecoderConfig.from_hf({**smollm2.config, "num_hidden_layers": layers})
    kept = [name for name in smollm2.tensors if not name.startswith("model.layers.") or int(name.split(".")[2]) < layers]
    model = with_live_adapters(from_hf_tensors(config, {name: smollm2.tensors[name] for name in kept}), FEW)
    losses = []
    for share_prefix in (True, False):
        packed = Packer([batch], share_prefix=share_prefix, micro_batch_tokens=4096).pack(batch)
        assert (prefixes(packed) > 0) == share_prefix
        losses.append(packed_loss(model, packed, is_adapter_array(model)))
    (loss, gradients), (expected_loss, expected) = losses
    assert_equal(loss, gradients, expected_loss, expected)
