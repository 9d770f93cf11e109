"""The decoder, its adapters, and the way its weights come and go."""

from sofit.model.config import DecoderConfig
from sofit.model.decoder import Cache, Decoder, KeyValues, Stream
from sofit.model.lora import LoraSpec, add_adapters, is_adapter_array, merge_adapters
from sofit.model.partitioning import Partitioning
from sofit.model.weights import adapter_tensors, decoder_template, from_hf_tensors, to_hf_tensors

__all__ = [
    "Cache",
    "Decoder",
    "DecoderConfig",
    "KeyValues",
    "LoraSpec",
    "Partitioning",
    "Stream",
    "adapter_tensors",
    "add_adapters",
    "decoder_template",
    "from_hf_tensors",
    "is_adapter_array",
    "merge_adapters",
    "to_hf_tensors",
]
