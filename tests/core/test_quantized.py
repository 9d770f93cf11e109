"""A frozen base in few bits takes less memory, computes nearly the same, and leaves the adapters exact."""

import sys
from typing import get_args

import haliax as hax
import jax
import numpy as np
import pytest
from haliax import Axis
from random_models import tensors_of, torch_model
from token_examples import supervised

from sofit.batches import to_arrays
from sofit.config_loading import load_config
from sofit.errors import SofitError
from sofit.model import Decoder, DecoderConfig, Quantization, Quantized, from_hf_tensors, quantize_base
from sofit.model.quantized import quantize
from sofit.optimizer import make_schedule
from sofit.packing import Packer
from sofit.plan.memory import bytes_per_device
from sofit.start import parameter_counts, start_trainer

KINDS = get_args(Quantization)
TORCH = torch_model("llama 3", hidden_size=64, intermediate_size=128)
CONFIG = DecoderConfig.from_hf(TORCH.config.to_dict())
BATCH = [supervised([*range(4, 54), *range(10, 11 + index)], [*range(20, 24 + index), 3]) for index in range(6)]


def loaded(kind: Quantization | None) -> Decoder:
    return from_hf_tensors(CONFIG, tensors_of(TORCH), quantization=kind)


def weight_of(seed: int, last: int) -> hax.NamedArray:
    axes = Axis("layer", 2), Axis("mlp", 24), Axis("embed", last)
    return hax.named(jax.random.normal(jax.random.key(seed), [axis.size for axis in axes]), axes)


# A tile reaches to its largest weight: 127 steps of int8, and at most 0.15 of the way between two numbers of nf4.
@pytest.mark.parametrize(("kind", "most"), [("int8", 0.5 / 127), ("nf4", 0.16)])
@pytest.mark.parametrize("last", [128, 96, 7])
def test_a_weight_is_restored_to_within_its_tiles_rounding(kind: Quantization, most: float, last: int) -> None:
    weight = weight_of(0, last)
    rounded = quantize(weight, kind)
    tile = last // rounded.scale.axis_size("embed")
    assert tile == max(size for size in range(1, 65) if last % size == 0)
    restored = np.asarray(rounded.restored(np.dtype("float32")).rearrange(weight.axes).array)
    tiles = [array.reshape(2, 24, -1, tile) for array in (np.asarray(weight.array), restored)]
    error = np.abs(tiles[0] - tiles[1]).max(-1) / np.abs(tiles[0]).max(-1)
    assert 0 < error.max() <= most * 1.01


@pytest.mark.usefixtures("quick_compilation")
def test_losses_are_nearly_those_of_the_exact_base() -> None:
    exact, int8, nf4 = (losses_of(kind) for kind in (None, "int8", "nf4"))
    assert int8 == pytest.approx(exact, rel=0.01)
    assert nf4 == pytest.approx(exact, rel=0.15)
    assert exact != int8 != nf4
    assert nf4[-1] < nf4[0]


def losses_of(kind: Quantization | None) -> list[float]:
    config = load_config(None, ["optimizer.learning_rate=1e-2", "trainer.num_train_steps=10"], method="lora")
    trainer, state = start_trainer(config, loaded(kind), make_schedule(config.optimizer, 1e-2, 10))
    assert parameter_counts(trainer, state)["total"] == parameter_counts(*start_exact())["total"]
    (micro,) = Packer([BATCH], share_prefix=True, micro_batch_tokens=8192).pack(BATCH)
    count, losses = sum(example.completion_length for example in BATCH), []
    for step in range(4):
        state, loss, _ = trainer.step(state, [to_arrays(micro)], count, jax.random.key(step))
        losses.append(float(loss.sum()))
    assert {leaf.dtype for leaf in jax.tree.leaves(state.trainable)} == {np.dtype("float32")}
    return losses


def start_exact():
    config = load_config(None, [], method="lora")
    return start_trainer(config, loaded(None), make_schedule(config.optimizer, 1e-2, 10))


@pytest.mark.parametrize("kind", KINDS)
def test_loading_in_few_bits_is_loading_and_then_rounding(kind: Quantization) -> None:
    read, rounded = loaded(kind), quantize_base(loaded(None), kind)
    assert jax.tree.structure(read) == jax.tree.structure(rounded)
    for array, other in zip(jax.tree.leaves(read), jax.tree.leaves(rounded), strict=True):
        np.testing.assert_array_equal(np.asarray(array, np.float32), np.asarray(other, np.float32))
    assert isinstance(read.blocks.stacked.attention.q_proj.stored, Quantized)


def test_int8_takes_a_quarter_of_float32_and_its_scales() -> None:
    exact = bytes_per_device(loaded(None).blocks.stacked.mlp)
    assert bytes_per_device(loaded("int8").blocks.stacked.mlp) == exact / 4 + exact / 64


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qwix", None)
    with pytest.raises(SofitError, match=r"needs qwix\. Install it with: pip install 'sofit-jax\[qlora\]'"):
        quantize(weight_of(1, 9), "int8")
