"""The decoder, its adapters, and the way its weights come and go."""

from sofit.model.config import DecoderConfig
from sofit.model.decoder import Cache, Decoder, KeyValues, Stream
from sofit.model.lora import LoraSpec, add_adapters, is_adapter_array, merge_adapters
from sofit.model.weights import adapter_tensors, from_hf_tensors, to_hf_tensors

__all__ = [
    "Cache",
    "Decoder",
    "DecoderConfig",
    "KeyValues",
    "LoraSpec",
    "Stream",
    "adapter_tensors",
    "add_adapters",
    "from_hf_tensors",
    "is_adapter_array",
    "merge_adapters",
    "to_hf_tensors",
]
