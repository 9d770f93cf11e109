"""A Hugging Face config.json in one spelling, whichever version of transformers wrote it."""

from collections.abc import Mapping
from typing import Any

from sofit.errors import SofitError

# What config.json may leave out, by the classes' defaults in transformers; heads and head_dim follow from other keys.
_COMMON = {"hidden_act": "silu", "rms_norm_eps": 1e-6, "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": False}
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "llama": _COMMON,
    "mistral": {**_COMMON, "num_key_value_heads": 8, "sliding_window": 4096},
    "qwen2": {**_COMMON, "num_key_value_heads": 32},
    "qwen3": {**_COMMON, "num_key_value_heads": 32, "head_dim": 128},
}
_SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
MODEL_TYPES = tuple(_DEFAULTS)
"""The families of models that sofit can train."""

_DEFAULT_ROPE_THETA = 10000.0


def normalise_config(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Returns the config with every default filled in, in the spelling that transformers 4 and 5 both read.

    `rope_theta` is a number, and `rope_scaling` is None or a dict with `rope_type`; there is no `rope_parameters`, and the type
    of the weights is `torch_dtype`. `sliding_window` is None where the model does not use one.

    Raises:
        SofitError: the model is of a family that sofit does not support, or quantised, or a size is missing; `where` names it.
    """
    family = config.get("model_type")
    if not isinstance(family, str) or family not in _DEFAULTS:
        raise SofitError(f"{where} is a model of type {family!r}. Supported types: {', '.join(MODEL_TYPES)}.")
    if missing := [size for size in _SIZES if not isinstance(config.get(size), int)]:
        raise SofitError(f"The config of {where} lacks {', '.join(missing)}.")
    if config.get("quantization_config"):
        method = config["quantization_config"].get("quant_method", "unknown")
        raise SofitError(f"{where} is quantised (method {method!r}). Use the original model, or a .gguf file of it.")
    normal = {**_DEFAULTS[family], **config}
    if normal.get("num_key_value_heads") is None:
        normal["num_key_value_heads"] = normal["num_attention_heads"]
    if normal.get("head_dim") is None:
        normal["head_dim"] = normal["hidden_size"] // normal["num_attention_heads"]
    if family.startswith("qwen") and not normal.get("use_sliding_window"):
        normal["sliding_window"] = None
    normal.setdefault("sliding_window", None)

    rope = normal.pop("rope_parameters", None) or {}
    scaling = {**(normal.get("rope_scaling") or {}), **rope}
    normal["rope_theta"] = float(scaling.pop("rope_theta", None) or normal.get("rope_theta") or _DEFAULT_ROPE_THETA)
    kind = scaling.pop("rope_type", None) or scaling.pop("type", None) or "default"
    scaling.pop("type", None)
    normal["rope_scaling"] = None if kind == "default" else {"rope_type": kind, **scaling}
    if dtype := normal.pop("dtype", None):
        normal["torch_dtype"] = dtype
    return normal
