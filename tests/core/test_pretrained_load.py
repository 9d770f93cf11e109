import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sofit import SofitError
from sofit.pretrained import Pretrained, load_pretrained, save_hf_model
from sofit.pretrained.config import normalise_config

SIZES = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture
def folder(tmp_path: Path, smollm2: Pretrained) -> Path:
    config = normalise_config({"model_type": "llama", **SIZES}, "test")
    save_hf_model(tmp_path / "model", config, {"model.embed_tokens.weight": np.eye(8, dtype=np.float32)}, smollm2.tokenizer)
    return tmp_path / "model"


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_is_named_as_its_own_source(folder: Path) -> None:
    model = load_pretrained(str(folder))
    assert (model.name, model.source, model.reference) == (str(folder), str(folder), str(folder))


def test_a_run_folder_stands_for_the_model_in_it(folder: Path) -> None:
    run_folder = folder.parent
    (run_folder / "adapter").mkdir()
    model = load_pretrained(str(run_folder))
    assert np.array_equal(model.tensors["model.embed_tokens.weight"], np.eye(8))
    assert model.reference == str(folder)


def test_a_part_of_a_tensor_is_that_of_the_whole(folder: Path) -> None:
    tensors = load_pretrained(str(folder)).tensors
    name = "model.embed_tokens.weight"
    assert tensors.shape(name) == (8, 8)
    for place in ((slice(2, 5), slice(None)), (slice(None), slice(1, 4)), (slice(2, 5), slice(1, 4))):
        np.testing.assert_array_equal(tensors.part(name, place), tensors[name][place])
    assert tensors.part(name, (slice(2, 5),)).sum() == 3


def test_a_run_folder_with_only_an_adapter_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    with pytest.raises(SofitError, match="holds an adapter but no model/"):
        load_pretrained(str(tmp_path))


def test_an_adapter_folder_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(SofitError, match="PEFT adapter, not a model"):
        load_pretrained(str(tmp_path))


def test_an_adapter_beside_its_model_is_an_error_that_says_so(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(SofitError, match="holds an adapter beside a whole model"):
        load_pretrained(str(folder))


@pytest.mark.parametrize("name", ["./missing", "missing.gguf", "/nowhere/at/all", "gpt2", "smollm2-135"])
def test_a_name_that_is_nothing_lists_what_a_model_can_be(name: str) -> None:
    with pytest.raises(SofitError, match=r"There is no model .*short name \(smollm2-135m\).*folder.*\.gguf file.*Hub") as error:
        load_pretrained(name)
    assert ("Did you mean 'smollm2-135m'?" in str(error.value)) == (name == "smollm2-135")


def test_a_file_that_is_no_gguf_is_an_error(folder: Path) -> None:
    with pytest.raises(SofitError, match=r"config\.json is not a model"):
        load_pretrained(str(folder / "config.json"))


def test_a_folder_without_a_config_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SofitError, match=r"neither a config\.json"):
        load_pretrained(str(tmp_path))


@pytest.mark.parametrize("text", ["{", "[]", '"\\ud800"'])
def test_a_broken_config_is_an_error_that_names_it(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(SofitError, match=r"config\.json"):
        load_pretrained(str(folder))


def test_a_config_without_a_size_is_an_error_that_names_it(folder: Path) -> None:
    change_json(folder / "config.json", num_attention_heads=None)
    with pytest.raises(SofitError, match=r"lacks num_attention_heads\."):
        load_pretrained(str(folder))


def test_an_unsupported_family_is_an_error_that_lists_the_supported_ones(folder: Path) -> None:
    change_json(folder / "config.json", model_type="gpt_neox")
    with pytest.raises(SofitError, match=r"type 'gpt_neox'. Supported types: llama, mistral, qwen2, qwen3\."):
        load_pretrained(str(folder))


def test_a_quantised_model_is_refused(folder: Path) -> None:
    change_json(folder / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(SofitError, match=r"quantised \(method 'gptq'\)"):
        load_pretrained(str(folder))


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(SofitError, match=r"pickles only \(pytorch_model\.bin\)"):
        load_pretrained(str(folder))


def test_a_folder_without_weights_is_an_error(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(SofitError, match=r"no \*\.safetensors file"):
        load_pretrained(str(folder))


def test_a_missing_shard_is_named(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {
        "model.embed_tokens.weight": "model-00001-of-00002.safetensors",
        "lm_head.weight": "model-00002-of-00002.safetensors",
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(SofitError, match=r"lacks model-00002-of-00002\.safetensors"):
        load_pretrained(str(folder))


def test_weights_cut_short_are_an_error(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-10])
    with pytest.raises(SofitError, match=r"model\.safetensors is not a whole safetensors file"):
        load_pretrained(str(folder))


def test_a_broken_tokenizer_is_an_error_that_names_its_folder(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(SofitError, match="Cannot read the tokenizer in"):
        load_pretrained(str(folder))


def test_a_tokenizer_without_tokenizer_json_is_made_from_its_older_files(folder: Path, smollm2: Pretrained) -> None:
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    (folder / "merges.txt").write_text("\n".join(" ".join(pair) for pair in model["merges"]))
    (folder / "tokenizer.json").unlink()
    change_json(folder / "tokenizer_config.json", tokenizer_class="GPT2Tokenizer")
    text = "inform(name[Dirt: Showdown], esrb[E 10+ (for Everyone 10 and Older)])"
    assert load_pretrained(str(folder)).tokenizer.encode_prompt(text) == smollm2.tokenizer.encode_prompt(text)


def test_a_folder_without_any_tokenizer_is_an_error(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(SofitError, match=r"tokenizer\.json"):
        load_pretrained(str(folder))


def test_every_token_that_the_generation_config_ends_at_ends_an_output(folder: Path) -> None:
    change_json(folder / "generation_config.json", eos_token_id=[0, 2])
    assert load_pretrained(str(folder)).tokenizer.eos_ids == (2, 0), "the tokenizer's own comes first"


@pytest.mark.parametrize(
    ("spelling", "theta", "scaling"),
    [
        ({}, 10000.0, None),
        ({"rope_theta": 5e5, "rope_scaling": None}, 5e5, None),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}, 5e5, None),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, 10000.0, {"rope_type": "linear", "factor": 2.0}),
        (
            {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "type": "llama3", "factor": 8.0}},
            5e5,
            {"rope_type": "llama3", "factor": 8.0},
        ),
        (
            {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0}},
            5e5,
            {"rope_type": "llama3", "factor": 8.0},
        ),
    ],
)
def test_the_rotary_embedding_is_spelled_one_way(spelling: dict[str, Any], theta: float, scaling: dict[str, Any] | None) -> None:
    config = normalise_config({"model_type": "llama", **SIZES, **spelling}, "test")
    assert (config["rope_theta"], config["rope_scaling"]) == (theta, scaling)
    assert "rope_parameters" not in config


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
def test_what_a_config_leaves_out_is_what_transformers_assumes(family: str) -> None:
    from transformers import AutoConfig

    sizes = SIZES | {"num_attention_heads": 32, "hidden_size": 256, "num_key_value_heads": 8}
    config = normalise_config({"model_type": family, **sizes}, "test")
    reference = AutoConfig.for_model(family, **sizes)
    assert config["rope_theta"] == reference.rope_parameters["rope_theta"]
    assert config["head_dim"] == (getattr(reference, "head_dim", None) or 256 // 32)
    for key in ("rms_norm_eps", "hidden_act", "tie_word_embeddings", "sliding_window", "attention_bias", "mlp_bias"):
        if hasattr(reference, key):
            assert config[key] == getattr(reference, key), key
    minimal = {"model_type": family, **SIZES, "num_attention_heads": 32, "hidden_size": 256}
    keys_without = AutoConfig.for_model(**minimal).num_key_value_heads
    assert normalise_config(minimal, "test")["num_key_value_heads"] == keys_without


def test_neither_torch_nor_jax_is_needed_to_load_a_model(folder: Path) -> None:
    check = """
import sys
from sofit.pretrained import load_pretrained
model = load_pretrained(sys.argv[1])
dict(model.tensors)
model.tokenizer.encode_prompt([{"role": "user", "content": "Hello"}])
print(sorted({"jax", "torch"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", check, str(folder)], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
    assert run.stderr == ""
