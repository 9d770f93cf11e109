"""Small models with random weights, in transformers' own implementation and in ours."""

import copy
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import torch
from haliax import Axis
from transformers import AutoConfig, AutoModelForCausalLM

from sofit.model import Decoder, DecoderConfig, LoraSpec, Stream, add_adapters, from_hf_tensors, is_adapter_array

torch.set_num_threads(1)  # On matrices this small, threads only wait for each other.

_SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "tie_word_embeddings": False,
    "bos_token_id": None,
    "eos_token_id": 3,
    "pad_token_id": None,
}
_LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "llama 2": {"model_type": "llama", "num_key_value_heads": 4},
    "llama 3": {"model_type": "llama", "rope_parameters": {**_LLAMA3, "rope_theta": 5e5}, "rms_norm_eps": 1e-5},
    "llama, linear scaling": {
        "model_type": "llama",
        "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4},
    },
    "llama, biases": {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
    "smollm2": {
        "model_type": "llama",
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e5},
    },
    "mistral": {"model_type": "mistral", "sliding_window": 7, "head_dim": 6},
    "qwen2": {"model_type": "qwen2", "tie_word_embeddings": True},
    "qwen2, sliding window": {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 0},
    "qwen2.5": {"model_type": "qwen2", "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "rms_norm_eps": 1e-5},
    "qwen3": {"model_type": "qwen3", "head_dim": 16},
}
"""What config.json says of each family, beyond the sizes; in the spelling of transformers 5."""


def torch_model(family: str, **changes: Any) -> Any:
    """Returns transformers' model of a family, float32, with weights so large that its logits are of order 1."""
    config = AutoConfig.for_model(**copy.deepcopy({**_SIZES, **FAMILIES[family], **changes}))
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    for name, parameter in model.named_parameters():
        is_vector = parameter.ndim == 1
        torch.nn.init.normal_(parameter, mean=1.0 if name.endswith("norm.weight") else 0.0, std=0.3 if is_vector else 0.2)
    return model


def tensors_of(model: Any) -> dict[str, np.ndarray]:
    """Returns the tensors of a model of transformers by name."""
    return {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}


def decoder_of(model: Any, dtype: Any = jnp.float32) -> Decoder:
    """Returns our decoder with the config and the weights of a model of transformers."""
    return from_hf_tensors(DecoderConfig.from_hf(model.config.to_dict()), tensors_of(model), dtype)


def logits_of(model: Decoder, tokens: np.ndarray) -> np.ndarray:
    """Returns our decoder's logits, (row, position, vocab), of whole sequences (row, position)."""
    Row, Pos = (Axis(name, size) for name, size in zip(("row", "position"), tokens.shape, strict=True))
    positions = hax.arange(Pos).broadcast_axis(Row)
    stream = Stream(hax.named(tokens, (Row, Pos)), positions, hax.ones_like(positions), Pos)
    return np.asarray(_run(model, stream))


@eqx.filter_jit
def _run(model: Decoder, stream: Stream) -> jax.Array:
    (hidden,), _ = model([stream])
    return model.logits(hidden).rearrange(("row", "position", "vocab")).array


def torch_logits(model: Any, tokens: np.ndarray) -> np.ndarray:
    """Returns the logits, (row, position, vocab), of a model of transformers."""
    with torch.no_grad():
        return model(torch.tensor(tokens)).logits.numpy()


def with_live_adapters(model: Decoder, spec: LoraSpec) -> Decoder:
    """Returns the model with adapters of random values: those that `add_adapters` makes change nothing yet."""
    adapted = add_adapters(model, spec, key=jax.random.key(1))
    rng = np.random.default_rng(1)

    def fill(is_adapter: bool, array: jax.Array) -> jax.Array:
        return jnp.asarray(rng.normal(size=array.shape).astype(np.float32) * 0.1) if is_adapter else array

    return jax.tree.map(fill, is_adapter_array(adapted), adapted)
