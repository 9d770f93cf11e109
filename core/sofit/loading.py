"""From the name of a model to a decoder with its weights."""

from typing import TYPE_CHECKING

from sofit.config import Config
from sofit.model import Decoder, DecoderConfig, from_hf_tensors
from sofit.precision import parse_precision

if TYPE_CHECKING:
    from sofit.pretrained import Pretrained, Tokenizer


def load_decoder(pretrained: "Pretrained", dtype: str = "float32") -> Decoder:
    """Makes the decoder of a pretrained model, stored as `dtype`.

    Raises:
        SofitError: the model is of a kind that is not supported, or lacks a tensor.
    """
    return from_hf_tensors(DecoderConfig.from_hf(pretrained.config), pretrained.tensors, dtype)


def load_for_inference(config: Config) -> "tuple[Decoder, Tokenizer]":
    """Loads the configured model in the dtype to compute in, and its tokenizer."""
    from sofit.compilation_cache import use_compilation_cache
    from sofit.pretrained import load_pretrained

    use_compilation_cache()
    pretrained = load_pretrained(config.model)
    return load_decoder(pretrained, parse_precision(config.trainer.mp).compute), pretrained.tokenizer
