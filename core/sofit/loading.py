"""From the name of a model to a decoder with its weights."""

from typing import TYPE_CHECKING

from sofit.config import Config
from sofit.mesh import make_partitioning
from sofit.model import Decoder, DecoderConfig, Partitioning, Quantization, from_hf_tensors
from sofit.precision import parse_precision

if TYPE_CHECKING:
    from sofit.pretrained import Pretrained, Tokenizer


def load_decoder(
    pretrained: "Pretrained",
    dtype: str = "float32",
    partitioning: Partitioning | None = None,
    quantization: Quantization | None = None,
) -> Decoder:
    """Makes the decoder of a pretrained model, stored as `dtype`, its linear layers in few bits if `quantization` says so.

    Under a partitioning each device gets its parts alone.

    Raises:
        SofitError: the model is of a kind that is not supported, or lacks a tensor.
    """
    return from_hf_tensors(DecoderConfig.from_hf(pretrained.config), pretrained.tensors, dtype, partitioning, quantization)


def load_for_inference(config: Config) -> "tuple[Decoder, Tokenizer]":
    """Loads the configured model in the dtype to compute in, and its tokenizer."""
    from sofit.jax_settings import apply_jax_settings
    from sofit.pretrained import load_pretrained

    apply_jax_settings()
    pretrained = load_pretrained(config.model)
    partitioning = make_partitioning(config.trainer, DecoderConfig.from_hf(pretrained.config))
    return load_decoder(pretrained, parse_precision(config.trainer.mp).compute, partitioning), pretrained.tokenizer
