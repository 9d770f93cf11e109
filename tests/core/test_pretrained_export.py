import copy
import json
import os
import resource
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging as transformers_logging

from sofit.errors import SofitError
from sofit.pretrained import PeftSettings, Pretrained, load_pretrained, save_hf_model, save_peft_adapter
from sofit.pretrained.config import normalise_config
from sofit.pretrained.writing import write_json, write_safetensors, written_whole

SIZES = {
    "vocab_size": 49152,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama", "rope_theta": 5e5, "rope_scaling": LLAMA3_SCALING},
    "tied llama": {"model_type": "llama", "tie_word_embeddings": True},
    "mistral": {"model_type": "mistral", "sliding_window": None},
    "qwen2": {"model_type": "qwen2", "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
    "qwen3": {"model_type": "qwen3", "head_dim": 8},
}


def make_config(kind: str) -> dict[str, Any]:
    return normalise_config({**SIZES, **CONFIGS[kind]}, kind)


def random_tensors(config: dict[str, Any]) -> dict[str, np.ndarray]:
    """Returns tensors with the names and shapes that transformers gives to such a model."""
    torch.manual_seed(0)
    # transformers writes into the dicts that it is given.
    state = AutoModelForCausalLM.from_config(AutoConfig.for_model(**copy.deepcopy(config))).state_dict()
    tensors = {name: torch.randn_like(tensor).numpy() for name, tensor in state.items()}
    if config["tie_word_embeddings"]:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    return tensors


@pytest.mark.parametrize("kind", CONFIGS)
def test_transformers_loads_a_saved_model_with_the_same_tensors(tmp_path: Path, smollm2: Pretrained, kind: str) -> None:
    config = make_config(kind)
    tensors = random_tensors(config)
    save_hf_model(tmp_path / "model", config, tensors, smollm2.tokenizer)
    loaded: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "model", output_loading_info=True)
    model, found = loaded
    assert not any(found.values()), found
    state = model.state_dict()
    assert state.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(state[name].numpy(), tensor, err_msg=name)


@pytest.mark.parametrize("kind", CONFIGS)
def test_transformers_reads_the_config_as_it_was_meant(tmp_path: Path, smollm2: Pretrained, kind: str) -> None:
    config = make_config(kind)
    save_hf_model(tmp_path / "model", config, {}, smollm2.tokenizer)
    read = AutoConfig.from_pretrained(tmp_path / "model")
    rope = {"rope_type": "default", **(config["rope_scaling"] or {}), "rope_theta": config["rope_theta"]}
    assert read.rope_parameters == rope
    same = [*SIZES, "rms_norm_eps", "tie_word_embeddings", "hidden_act"]
    assert {key: getattr(read, key) for key in same} == {key: config[key] for key in same}
    assert read.dtype == torch.float32
    assert getattr(read, "sliding_window", None) == config["sliding_window"]


# For qwen2, transformers splits text as Qwen does, whatever tokenizer.json says.
@pytest.mark.parametrize("kind", sorted(CONFIGS.keys() - {"qwen2"}))
def test_the_saved_tokenizer_is_the_model_s_own_whatever_the_family(tmp_path: Path, smollm2: Pretrained, kind: str) -> None:
    save_hf_model(tmp_path / "model", make_config(kind), {}, smollm2.tokenizer)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    text = "a  2024 I've é\n\n ☃ release_year[2012]"
    assert tokenizer(text)["input_ids"] == smollm2.tokenizer.encode_prompt(text)
    assert GenerationConfig.from_pretrained(tmp_path / "model").eos_token_id == smollm2.tokenizer.eos_id


def test_sofit_loads_what_it_saved(tmp_path: Path, smollm2: Pretrained) -> None:
    config = make_config("llama")
    tensors = random_tensors(config)
    save_hf_model(tmp_path / "model", config, tensors, smollm2.tokenizer)
    loaded = load_pretrained(str(tmp_path / "model"))
    assert loaded.config == {**config, "torch_dtype": "float32"}
    assert loaded.tokenizer.fingerprint == smollm2.tokenizer.fingerprint
    assert loaded.tokenizer.eos_ids == smollm2.tokenizer.eos_ids
    assert all(np.array_equal(loaded.tensors[name], tensors[name]) for name in tensors)


def test_a_model_saved_in_bfloat16_is_rounded_once(tmp_path: Path, smollm2: Pretrained) -> None:
    config = make_config("qwen3")
    tensors = random_tensors(config)
    save_hf_model(tmp_path / "model", config, tensors, smollm2.tokenizer, "bfloat16")
    loaded = load_pretrained(str(tmp_path / "model"))
    state = AutoModelForCausalLM.from_pretrained(tmp_path / "model").state_dict()
    for name, tensor in tensors.items():
        assert loaded.tensors[name].dtype == ml_dtypes.bfloat16
        assert state[name].dtype == torch.bfloat16
        rounded = torch.from_numpy(tensor).bfloat16().float().numpy()
        np.testing.assert_array_equal(loaded.tensors[name].astype(np.float32), rounded)
        np.testing.assert_array_equal(state[name].float().numpy(), rounded)


def test_a_large_model_is_saved_in_shards(tmp_path: Path, smollm2: Pretrained) -> None:
    config = make_config("llama")
    tensors = random_tensors(config)
    save_hf_model(tmp_path / "model", config, tensors, smollm2.tokenizer, max_shard_bytes=3_150_000)
    shards = sorted(path.name for path in (tmp_path / "model").glob("*.safetensors"))
    assert shards == [f"model-{number:05}-of-00003.safetensors" for number in (1, 2, 3)]
    loaded = load_pretrained(str(tmp_path / "model"))
    state = AutoModelForCausalLM.from_pretrained(tmp_path / "model").state_dict()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(loaded.tensors[name], tensor, err_msg=name)
        np.testing.assert_array_equal(state[name].numpy(), tensor, err_msg=name)


def test_a_transposed_array_is_saved_as_it_reads(tmp_path: Path, smollm2: Pretrained) -> None:
    tensors = {"x": np.arange(6, dtype=np.float32).reshape(2, 3).T}
    save_hf_model(tmp_path / "model", make_config("llama"), tensors, smollm2.tokenizer)
    np.testing.assert_array_equal(load_pretrained(str(tmp_path / "model")).tensors["x"], tensors["x"])


def test_a_folder_stays_as_it_was_when_its_replacement_fails(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with written_whole(folder) as partial:
        (partial / "weights").write_text("old")
    with pytest.raises(IsADirectoryError), written_whole(folder) as partial:
        partial.write_text("a folder takes no text")
    assert (folder / "weights").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_replaced_folder_holds_nothing_of_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for name in ("old", "new"):
        with written_whole(folder) as partial:
            (partial / name).touch()
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_was_set_aside_when_the_process_died_comes_back(tmp_path: Path) -> None:
    (tmp_path / ".model.replaced").mkdir()
    (tmp_path / ".model.replaced" / "weights").write_text("old")
    with pytest.raises(IsADirectoryError), written_whole(tmp_path / "model") as partial:
        partial.write_text("a folder takes no text")
    assert (tmp_path / "model" / "weights").read_text() == "old"


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT asks transformers for it.
@pytest.mark.parametrize("rslora", [False, True])
def test_peft_loads_a_saved_adapter_whole(
    tmp_path: Path, smollm2: Pretrained, rslora: bool, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config("llama")
    base_tensors = random_tensors(config)
    save_hf_model(tmp_path / "base", config, base_tensors, smollm2.tokenizer)
    generator = np.random.default_rng(0)
    rank, alpha, targets = 3, 12.0, ("q_proj", "v_proj", "down_proj")
    adapter = {}
    for name, tensor in base_tensors.items():
        if name.split(".")[-2] in targets:
            out_size, in_size = tensor.shape
            module = name.removesuffix(".weight")
            adapter[f"{module}.lora_A.weight"] = generator.normal(size=(rank, in_size)).astype(np.float32)
            adapter[f"{module}.lora_B.weight"] = generator.normal(size=(out_size, rank)).astype(np.float32)
    settings = PeftSettings(
        base_model=str(tmp_path / "base"), r=rank, alpha=alpha, dropout=0.0, rslora=rslora, target_modules=targets
    )
    save_peft_adapter(tmp_path / "adapter", settings, adapter)

    transformers_logging.enable_propagation()
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    with caplog.at_level("WARNING"):
        model = PeftModel.from_pretrained(base, tmp_path / "adapter")
    assert not caplog.records
    assert len([name for name in model.state_dict() if "lora_" in name]) == len(adapter)
    merged = model.merge_and_unload().state_dict()
    scale = alpha / (rank**0.5 if rslora else rank)
    for name, tensor in base_tensors.items():
        module = name.removesuffix(".weight")
        change = (
            adapter[f"{module}.lora_B.weight"] @ adapter[f"{module}.lora_A.weight"] if f"{module}.lora_A.weight" in adapter else 0
        )
        np.testing.assert_allclose(merged[name].numpy(), tensor + scale * change, rtol=1e-5, atol=1e-5, err_msg=name)
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"] == str(
        tmp_path / "base"
    )


@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_weights_may_be_read_by_whoever_may_read_the_other_files(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        (tmp_path / "plain").write_text("")
        write_safetensors(tmp_path / "weights", {"a": np.ones(3)})
    finally:
        os.umask(before)
    assert (tmp_path / "weights").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_weights_for_which_there_is_no_space_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(SofitError, match=r"Cannot write .*weights: .*too large"):
            write_safetensors(tmp_path / "weights", {"a": np.ones(1000)})
        with pytest.raises(SofitError, match=r"Cannot write .*config\.json: .*too large"):
            write_json(tmp_path / "config.json", {"a": "b" * 1000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
