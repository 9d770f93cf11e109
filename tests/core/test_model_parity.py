"""The decoder computes what transformers' own implementation computes, for every family that it covers."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from random_models import FAMILIES, decoder_of, logits_of, tensors_of, torch_logits, torch_model
from transformers import AutoConfig, AutoModelForCausalLM

from sofit import SofitError
from sofit.loading import load_decoder
from sofit.model import DecoderConfig, from_hf_tensors, to_hf_tensors
from sofit.pretrained import Pretrained
from sofit_viggo.task import ViggoTask

TOKENS = np.random.default_rng(0).integers(0, 61, (2, 40))


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_transformers(family: str) -> None:
    reference = torch_model(family)
    expected = torch_logits(reference, TOKENS)
    assert 0.5 < expected.std() < 5
    np.testing.assert_allclose(logits_of(decoder_of(reference), TOKENS), expected, atol=1e-4)


@pytest.mark.parametrize("family", ["mistral", "qwen2, sliding window"])
def test_the_sliding_window_is_shorter_than_the_text(family: str) -> None:
    reference = torch_model(family)
    whole = decoder_of(torch_model(family, sliding_window=None))
    expected = torch_logits(reference, TOKENS)
    window = reference.config.sliding_window
    np.testing.assert_allclose(logits_of(whole, TOKENS)[:, :window], expected[:, :window], atol=1e-4)
    assert np.abs(logits_of(whole, TOKENS)[:, window:] - expected[:, window:]).max() > 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_come_from_hugging_face_s_tensors_and_go_back_unchanged(family: str) -> None:
    tensors = tensors_of(torch_model(family))
    returned = {name: make() for name, make in to_hf_tensors(decoder_of(torch_model(family)))}
    tied = {"lm_head.weight"} if FAMILIES[family].get("tie_word_embeddings") else set()
    assert returned.keys() == tensors.keys() - tied
    for name, tensor in returned.items():
        np.testing.assert_array_equal(tensor, tensors[name], err_msg=name)


def test_weights_can_be_stored_in_bfloat16() -> None:
    reference = torch_model("llama 3")
    model = decoder_of(reference, jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(model)} == {jnp.dtype(jnp.bfloat16)}
    expected = torch_logits(reference, TOKENS)
    difference = logits_of(model, TOKENS) - expected
    assert logits_of(model, TOKENS).dtype == np.float32
    assert np.sqrt((difference**2).mean()) < 0.05 * expected.std()


def test_the_real_smollm2_has_the_logits_of_transformers(smollm2: Pretrained, shared_data: Path) -> None:
    config = AutoConfig.for_model(**copy.deepcopy(dict(smollm2.config)))
    reference = AutoModelForCausalLM.from_config(config).eval()
    state = {name: torch.tensor(smollm2.tensors[name]) for name in smollm2.tensors}
    missing, unexpected = reference.load_state_dict(state, strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])  # It is tied to the embeddings.
    task = ViggoTask(data=str(shared_data / "viggo"), prompt_style="none")
    example = next(iter(task.load("validation")))
    ids = smollm2.tokenizer.encode_prompt(task.prompt(example)) + smollm2.tokenizer.encode_continuation(example.target)
    expected = torch_logits(reference, np.array([ids]))
    logits = logits_of(load_decoder(smollm2), np.array([ids]))
    assert len(ids) > 60
    # Sums of 30 layers round differently in another order: the scale of the logits, which is 6 and not 1, is what counts.
    np.testing.assert_allclose(logits / expected.std(), expected / expected.std(), atol=1e-4)
    np.testing.assert_array_equal(logits.argmax(-1), expected.argmax(-1))


CONFIG = {
    "model_type": "llama",
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
}
SCALING = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}


def test_the_configs_of_transformers_4_and_5_are_read_alike() -> None:
    new = {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, **SCALING}, "dtype": "float32"}
    old = {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **SCALING}, "torch_dtype": "float32"}
    older = {"rope_theta": 5e5, "rope_scaling": {"type": "llama3", **SCALING}}
    read = [DecoderConfig.from_hf({**CONFIG, **spelling}) for spelling in (new, old, older)]
    assert read[0] == read[1] == read[2]
    assert read[0].rope_theta == 5e5
    assert read[0].rope_scaling is not None
    assert read[0].rope_scaling.factor == 8.0


def test_what_a_config_leaves_out_is_what_transformers_takes_for_it() -> None:
    for model_type in ("llama", "mistral", "qwen2", "qwen3"):
        # A key/value head has to divide the heads, and qwen's default is 32 of them.
        sparse = {**CONFIG, "model_type": model_type, "num_attention_heads": 32, "hidden_size": 256}
        full = AutoConfig.for_model(**copy.deepcopy(sparse)).to_dict()
        assert DecoderConfig.from_hf(sparse) == DecoderConfig.from_hf(full)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "Rotary scaling of type 'yarn' is not supported."),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "Rotary scaling of type 'dynamic' is not supported."),
        ({"hidden_act": "gelu"}, "The activation 'gelu' is not supported. Expected 'silu'."),
        ({"model_type": "gpt2"}, "type 'gpt2'. Supported types: llama, mistral, qwen2, qwen3."),
        ({"quantization_config": {"quant_method": "awq"}}, "is quantised"),
        (
            {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
            "only some of the layers",
        ),
        (
            {
                "model_type": "qwen3",
                "use_sliding_window": True,
                "sliding_window": 4,
                "layer_types": ["full_attention", "sliding_attention", "full_attention"],
            },
            "only some of the layers",
        ),
    ],
    ids=lambda value: "" if isinstance(value, Mapping) else str(value)[:30],
)
def test_what_the_decoder_does_not_compute_is_an_error(changes: Mapping[str, Any], message: str) -> None:
    with pytest.raises(SofitError) as error:
        DecoderConfig.from_hf({**CONFIG, **changes})
    assert message in str(error.value)


def test_a_window_that_applies_to_no_layer_is_none() -> None:
    qwen = {**CONFIG, "model_type": "qwen2", "sliding_window": 4}
    assert DecoderConfig.from_hf(qwen).sliding_window is None
    assert DecoderConfig.from_hf({**qwen, "use_sliding_window": True, "max_window_layers": 3}).sliding_window is None
    assert (
        DecoderConfig.from_hf({**qwen, "use_sliding_window": True, "layer_types": ["full_attention"] * 3}).sliding_window is None
    )
    assert DecoderConfig.from_hf({**qwen, "use_sliding_window": True, "max_window_layers": 0}).sliding_window == 4


def test_a_tensor_that_is_missing_or_of_another_shape_is_named() -> None:
    config = DecoderConfig.from_hf(torch_model("llama 2").config.to_dict())
    tensors = tensors_of(torch_model("llama 2"))
    name = "model.layers.1.mlp.down_proj.weight"
    with pytest.raises(SofitError, match=f"no tensor '{name}', which a llama model needs"):
        from_hf_tensors(config, {key: tensor for key, tensor in tensors.items() if key != name})
    for wrong in (tensors[name][:-1], tensors[name].T):
        with pytest.raises(SofitError, match=f"Tensor '{name}' of the checkpoint has shape"):
            from_hf_tensors(config, {**tensors, name: wrong})


@pytest.mark.parametrize(
    "name", ["model.layers.0.self_attn.q_proj.bias", "model.layers.9.input_layernorm.weight", "v_head.weight"]
)
def test_a_tensor_without_a_place_in_the_model_is_named(name: str) -> None:
    config = DecoderConfig.from_hf(torch_model("llama 2").config.to_dict())
    tensors = tensors_of(torch_model("llama 2"))
    stored_by_older_versions = {"model.layers.0.self_attn.rotary_emb.inv_freq": np.zeros(4, np.float32)}
    from_hf_tensors(config, {**tensors, **stored_by_older_versions})
    with pytest.raises(SofitError, match=f"no place for: {name}"):
        from_hf_tensors(config, {**tensors, name: np.zeros(4, np.float32)})
