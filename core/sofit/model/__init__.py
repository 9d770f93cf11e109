"""The decoder, its adapters, and the way its weights come and go."""

from sofit.model.config import DecoderConfig
from sofit.model.decoder import Cache, Decoder, KeyValues, Stream
from sofit.model.lora import LoraSpec, add_adapters, is_adapter_array, quantize_base
from sofit.model.partitioning import Partitioning
from sofit.model.quantized import Quantization, Quantized
from sofit.model.remat import with_remat
from sofit.model.weights import adapter_tensors, decoder_template, from_hf_tensors, merged_tensors, to_hf_tensors

__all__ = [
    "Cache",
    "Decoder",
    "DecoderConfig",
    "KeyValues",
    "LoraSpec",
    "Partitioning",
    "Quantization",
    "Quantized",
    "Stream",
    "adapter_tensors",
    "add_adapters",
    "decoder_template",
    "from_hf_tensors",
    "is_adapter_array",
    "merged_tensors",
    "quantize_base",
    "to_hf_tensors",
    "with_remat",
]
