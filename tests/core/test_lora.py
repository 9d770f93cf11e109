"""Adapters change nothing at first, learn alone, and leave as PEFT and transformers know them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from haliax import Axis
from peft import AutoPeftModelForCausalLM
from random_models import decoder_of, logits_of, torch_logits, torch_model, with_live_adapters
from token_examples import supervised
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from sofit import SofitError
from sofit.batches import to_arrays
from sofit.config import Config, OptimizerConfig
from sofit.loading import load_decoder
from sofit.loss import losses_by_role
from sofit.model import (
    Decoder,
    LoraSpec,
    adapter_tensors,
    add_adapters,
    from_hf_tensors,
    is_adapter_array,
    merged_tensors,
    to_hf_tensors,
)
from sofit.model.linear import Adapter
from sofit.model.lora import adapters_by_layer
from sofit.optimizer import make_optimizer, make_schedule
from sofit.packing import Packer
from sofit.precision import Precision
from sofit.pretrained import load_pretrained
from sofit.pretrained.checkpoint import Tensors
from sofit.saving import save_model
from sofit.trainer import Trainer

pytestmark = pytest.mark.usefixtures("quick_compilation")

LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
TOKENS = np.random.default_rng(0).integers(0, 61, (2, 20))


@pytest.fixture(scope="module")
def base() -> Decoder:
    return decoder_of(torch_model("llama, biases"))


def merge(base: Decoder, adapted: Decoder) -> Decoder:
    """Returns the base with the adapters in its weights, as they are in the model of a run folder."""
    (scale,) = {adapter.scale for adapter in adapters_by_layer(adapted).values()}
    stored = {name: make() for name, make in to_hf_tensors(base)}
    merged = merged_tensors(base.config, stored, dict(adapter_tensors(adapted)), scale)
    return from_hf_tensors(base.config, {name: make() for name, make in merged})


def test_a_fresh_adapter_changes_nothing(base: Decoder) -> None:
    adapted = add_adapters(base, LoraSpec(4, 8.0), key=jax.random.key(0))
    np.testing.assert_array_equal(logits_of(adapted, TOKENS), logits_of(base, TOKENS))


def test_a_fresh_adapter_starts_as_peft_s_does(base: Decoder) -> None:
    adapters = adapters_by_layer(add_adapters(base, LoraSpec(4, 8.0), key=jax.random.key(0)))
    assert tuple(adapters) == LAYERS
    for name, inputs in [("q_proj", 32), ("o_proj", 32), ("down_proj", 48)]:
        down, up = adapters[name].down.array, adapters[name].up.array
        assert np.all(up == 0)
        # The Kaiming bound for a = sqrt(5), within which all values are equally likely.
        assert 0.95 / math.sqrt(inputs) < np.abs(down).max() <= 1 / math.sqrt(inputs)
        assert np.abs(down).mean() == pytest.approx(0.5 / math.sqrt(inputs), rel=0.1)
    different = {float(np.ravel(adapter.down.array)[0]) for adapter in adapters.values()}
    assert len(different) == len(LAYERS)


@pytest.mark.parametrize(("rank_stabilised", "scale"), [(False, 8 / 4), (True, 8 / math.sqrt(4))])
def test_an_adapter_adds_the_scaled_product_of_its_factors(base: Decoder, rank_stabilised: bool, scale: float) -> None:
    adapted = with_live_adapters(base, LoraSpec(4, 8.0, rank_stabilised=rank_stabilised))
    adapter = adapters_by_layer(adapted)["up_proj"]
    merged = merge(base, adapted).blocks.stacked.mlp.up_proj.weight.array
    expected = base.blocks.stacked.mlp.up_proj.weight.array + scale * jnp.einsum(
        "lor,lri->loi", adapter.up.array, adapter.down.array
    )
    np.testing.assert_allclose(merged, expected, atol=1e-6)


def test_a_merged_model_computes_what_the_adapted_one_does(base: Decoder) -> None:
    adapted = with_live_adapters(base, LoraSpec(4, 8.0))
    merged = merge(base, adapted)
    assert adapters_by_layer(merged) == {}
    assert np.abs(logits_of(adapted, TOKENS) - logits_of(base, TOKENS)).max() > 0.1
    np.testing.assert_allclose(logits_of(merged, TOKENS), logits_of(adapted, TOKENS), atol=1e-5)


def test_only_the_target_modules_get_adapters(base: Decoder) -> None:
    spec = LoraSpec(4, 8.0, target_modules=("v_proj", "down_proj"))
    adapted = with_live_adapters(base, spec)
    assert set(adapters_by_layer(adapted)) == {"v_proj", "down_proj"}
    np.testing.assert_allclose(logits_of(merge(base, adapted), TOKENS), logits_of(adapted, TOKENS), atol=1e-5)


def test_a_target_module_that_does_not_exist_is_an_error_that_names_the_nearest(base: Decoder) -> None:
    with pytest.raises(SofitError, match=r"No linear layer is called 'q_prj'\. Layers: q_proj, .*Did you mean 'q_proj'\?"):
        add_adapters(base, LoraSpec(4, 8.0, target_modules=("q_prj",)), key=jax.random.key(0))


def test_only_adapters_learn_and_only_they_have_optimiser_state(base: Decoder) -> None:
    adapted = add_adapters(base, LoraSpec(4, 8.0, target_modules=("q_proj", "up_proj")), key=jax.random.key(0))
    # With decay, which must leave the frozen weights alone as well.
    config = OptimizerConfig(weight_decay=0.1, warmup=0)
    trainer, state = Trainer.start(
        adapted, make_optimizer(config, make_schedule(config, 0.1, 10)), Precision(), adapters_only=True
    )
    adapter_sizes = sorted(leaf.size for adapter in adapters_by_layer(adapted).values() for leaf in jax.tree.leaves(adapter))
    assert len(adapter_sizes) == 4
    assert sorted(leaf.size for leaf in jax.tree.leaves(state.trainable)) == adapter_sizes
    moments = [leaf.size for leaf in jax.tree.leaves(state.optimizer_state) if leaf.ndim]
    assert sorted(moments) == sorted(2 * adapter_sizes)

    batch = [supervised([5, 6, 7], [8, 9, 3])]
    (micro,) = Packer([batch], share_prefix=True, micro_batch_tokens=100).pack(batch)
    state, _, _ = trainer.step(state, [to_arrays(micro)], 3, jax.random.key(0))
    learnt = trainer.model(state)
    for before, after, is_adapter in zip(
        jax.tree.leaves(adapted), jax.tree.leaves(learnt), jax.tree.leaves(is_adapter_array(adapted)), strict=True
    ):
        assert is_adapter or np.array_equal(before, after)
    ups = [adapter.up.array for adapter in adapters_by_layer(learnt).values()]
    assert all(np.any(up != 0) for up in ups)


def test_dropout_is_off_without_a_key_and_the_same_for_the_same_key(base: Decoder) -> None:
    adapted = with_live_adapters(base, LoraSpec(4, 8.0, dropout=0.5))
    batch = [supervised([5, 6, 7], [8, 9, 3])]
    (micro,) = Packer([batch], share_prefix=True, micro_batch_tokens=100).pack(batch)

    @eqx.filter_jit
    def loss(model: Decoder, batch: Any, key: jax.Array | None) -> jax.Array:
        return losses_by_role(model, batch, key=key).sum()

    def loss_of(model: Decoder, seed: int | None) -> float:
        return float(loss(model, to_arrays(micro), None if seed is None else jax.random.key(seed)))

    without = merge(base, adapted)
    assert loss_of(adapted, None) == pytest.approx(loss_of(without, None), rel=1e-5)
    assert loss_of(adapted, 0) == loss_of(adapted, 0)
    assert abs(loss_of(adapted, 0) - loss_of(adapted, None)) > 1e-3
    assert abs(loss_of(adapted, 0) - loss_of(adapted, 1)) > 1e-3


def test_dropout_is_unbiased() -> None:
    In, Out, Rank, Token = Axis("in", 64), Axis("out", 3), Axis("rank", 2), Axis("token", 50)
    keys = jax.random.split(jax.random.key(0), 5)
    down, up, x = (hax.random.normal(key, axes) for key, axes in zip(keys, [(Rank, In), (Out, Rank), (Token, In)], strict=False))
    exact = Adapter(down, up, 2.0, 0.0)(x, In, keys[3])
    dropping = Adapter(down, up, 2.0, 0.25)
    draws = hax.vmap(lambda key: dropping(x, In, key), Axis("draw", 2000))(jax.random.split(keys[4], 2000))
    error = hax.mean(draws, "draw") - exact
    spread = hax.std(draws, "draw") / math.sqrt(2000)
    assert hax.max(hax.abs(error / spread)).item() < 5
    # Dropping inputs with probability p adds the variance p / (1 - p) of each input's part.
    parts = (hax.dot(up, down, axis=Rank) * 2.0) ** 2
    expected = hax.sqrt(hax.dot(x**2, parts, axis=In) * (0.25 / 0.75))
    np.testing.assert_allclose(hax.std(draws, "draw").array, expected.rearrange(draws.axes[1:]).array, rtol=0.15)


@pytest.mark.parametrize(
    "lora",
    [{"r": 4, "alpha": 6.5}, {"r": 2, "alpha": 8, "rslora": True, "target_modules": ["o_proj", "gate_proj", "k_proj"]}],
    ids=["all layers", "some layers, rank-stabilised"],
)
def test_a_saved_adapter_and_its_merged_model_compute_the_same_in_peft_and_transformers(
    tiny_model_folder: Path, tmp_path: Path, lora: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    config = Config.model_validate({"lora": lora})
    assert config.lora is not None
    pretrained = load_pretrained(str(tiny_model_folder))
    spec = LoraSpec(
        config.lora.r, config.lora.alpha, rank_stabilised=config.lora.rslora, target_modules=config.lora.target_modules
    )
    adapted = with_live_adapters(load_decoder(pretrained), spec)
    save_model(tmp_path, config, pretrained, eqx.filter(adapted, is_adapter_array(adapted)))

    tokens = np.random.default_rng(0).integers(0, 49152, (1, 12))
    expected = logits_of(adapted, tokens)
    assert np.abs(expected - logits_of(load_decoder(pretrained), tokens)).max() > 0.1
    transformers_logging.enable_propagation()
    with caplog.at_level("WARNING"):
        peft_model = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "adapter")  # It finds the base model itself.
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert not caplog.records
    np.testing.assert_allclose(torch_logits(peft_model.eval(), tokens), expected, atol=1e-4)
    np.testing.assert_allclose(torch_logits(merged.eval(), tokens), expected, atol=1e-4)
    np.testing.assert_allclose(logits_of(load_decoder(load_pretrained(str(tmp_path))), tokens), expected, atol=1e-5)


@dataclass(frozen=True)
class Watched(Tensors):
    """The tensors of a checkpoint; whenever one is read, it is noted how much lies on the devices."""

    tensors: Tensors
    bytes_on_devices: list[int] = field(default_factory=list)

    def __getitem__(self, name: str) -> np.ndarray:
        self.bytes_on_devices.append(sum(array.nbytes for array in jax.live_arrays()))
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


def test_saving_an_adapter_puts_nothing_of_the_base_on_a_device(tiny_model_folder: Path, tmp_path: Path) -> None:
    config = Config.model_validate({"lora": {"r": 4}})
    pretrained = load_pretrained(str(tiny_model_folder))
    adapted = with_live_adapters(load_decoder(pretrained), LoraSpec(4, 8.0))
    adapters, watched = eqx.filter(adapted, is_adapter_array(adapted)), Watched(pretrained.tensors)
    before, own = (sum(array.nbytes for array in arrays) for arrays in (jax.live_arrays(), jax.tree.leaves(adapters)))
    save_model(tmp_path, config, replace(pretrained, tensors=watched), adapters)
    assert len(watched.bytes_on_devices) == len([*to_hf_tensors(adapted)])  # Each is read once.
    assert max(watched.bytes_on_devices) <= before + own  # On a processor, the host's copy of the adapters counts too.
