"""The shape of a decoder, read from a Hugging Face config: Llama 2 and 3, SmolLM2, Mistral, Qwen2, Qwen2.5 and Qwen3."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from haliax import Axis

from sofit.errors import SofitError
from sofit.pretrained.config import normalise_config


@dataclass(frozen=True)
class RopeScaling:
    """How rotary frequencies are stretched for long contexts."""

    kind: str
    """"linear" (Chen et al. 2023, arXiv:2306.15595) or "llama3" (Llama Team 2024, arXiv:2407.21783)."""
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position_embeddings: int = 8192


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes of a decoder; each property that is an axis has the axis' only spelling."""

    model_type: str
    vocab_size: int
    embed_size: int
    mlp_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    rope_theta: float
    norm_epsilon: float
    tied_head: bool
    qkv_bias: bool
    o_bias: bool
    mlp_bias: bool
    qk_norm: bool
    sliding_window: int | None
    rope_scaling: RopeScaling | None

    @property
    def Vocab(self) -> Axis:
        return Axis("vocab", self.vocab_size)

    @property
    def Embed(self) -> Axis:
        return Axis("embed", self.embed_size)

    @property
    def Mlp(self) -> Axis:
        return Axis("mlp", self.mlp_size)

    @property
    def Layers(self) -> Axis:
        return Axis("layer", self.num_layers)

    @property
    def KVHeads(self) -> Axis:
        return Axis("kv_head", self.num_kv_heads)

    @property
    def Group(self) -> Axis:
        """The query heads that share a key/value head (grouped-query attention, arXiv:2305.13245)."""
        return Axis("group", self.num_heads // self.num_kv_heads)

    @property
    def HeadSize(self) -> Axis:
        return Axis("head_size", self.head_size)

    @classmethod
    def from_hf(cls, config: Mapping[str, Any]) -> "DecoderConfig":
        """Reads a Hugging Face config.json, of transformers 4 or 5.

        Raises:
            SofitError: the config asks for something that this decoder does not compute.
        """
        config = normalise_config(config, "The model")
        model_type = config["model_type"]
        if config["hidden_act"] != "silu":
            raise SofitError(f"The activation {config['hidden_act']!r} is not supported. Expected 'silu'.")
        is_qwen2 = model_type == "qwen2"
        attention_bias = bool(config["attention_bias"])
        return cls(
            model_type=model_type,
            vocab_size=config["vocab_size"],
            embed_size=config["hidden_size"],
            mlp_size=config["intermediate_size"],
            num_layers=config["num_hidden_layers"],
            num_heads=config["num_attention_heads"],
            num_kv_heads=config["num_key_value_heads"],
            head_size=config["head_dim"],
            rope_theta=config["rope_theta"],
            norm_epsilon=config["rms_norm_eps"],
            tied_head=config["tie_word_embeddings"],
            qkv_bias=is_qwen2 or attention_bias,
            o_bias=attention_bias and not is_qwen2,
            mlp_bias=bool(config["mlp_bias"]),
            qk_norm=model_type == "qwen3",
            sliding_window=_sliding_window(config),
            rope_scaling=_rope_scaling(config["rope_scaling"]),
        )


def _rope_scaling(settings: Mapping[str, Any] | None) -> RopeScaling | None:
    if settings is None:
        return None
    kind = settings["rope_type"]
    if kind == "linear":
        return RopeScaling("linear", settings["factor"])
    if kind == "llama3":
        return RopeScaling(
            "llama3",
            settings["factor"],
            settings["low_freq_factor"],
            settings["high_freq_factor"],
            settings["original_max_position_embeddings"],
        )
    raise SofitError(f"Rotary scaling of type {kind!r} is not supported. Supported: default, linear, llama3.")


def _sliding_window(config: Mapping[str, Any]) -> int | None:
    window = config["sliding_window"]
    if window is None or config["model_type"] == "llama":
        return None
    kinds = set(config.get("layer_types") or _layer_types(config))
    if kinds == {"full_attention"}:
        return None
    if kinds != {"sliding_attention"}:
        raise SofitError("A sliding window in only some of the layers is not supported. Set use_sliding_window to false.")
    return int(window)


def _layer_types(config: Mapping[str, Any]) -> list[str]:
    """Returns what transformers takes the layers for where the config does not say."""
    layers = config["num_hidden_layers"]
    # Qwen's window applies from layer `max_window_layers` on.
    full = 0 if config["model_type"] == "mistral" else min(config.get("max_window_layers", 28), layers)
    return ["full_attention"] * full + ["sliding_attention"] * (layers - full)


def inverse_frequencies(config: DecoderConfig) -> list[float]:
    """Returns the head_size / 2 rotary frequencies, in radians a position (Su et al. 2021, arXiv:2104.09864)."""
    frequencies = [config.rope_theta ** (-index / config.head_size) for index in range(0, config.head_size, 2)]
    scaling = config.rope_scaling
    if scaling is None:
        return frequencies
    if scaling.kind == "linear":
        return [frequency / scaling.factor for frequency in frequencies]
    return [_llama3_frequency(frequency, scaling) for frequency in frequencies]


def _llama3_frequency(frequency: float, scaling: RopeScaling) -> float:
    """Keeps high frequencies, divides low ones by the factor, and goes smoothly from one to the other between."""
    turns = scaling.original_max_position_embeddings * frequency / (2 * math.pi)
    kept = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    kept = min(max(kept, 0.0), 1.0)
    return kept * frequency + (1 - kept) * frequency / scaling.factor
