"""Examples that are tokens and nothing else, for the laws of batches."""

from collections.abc import Iterable
from typing import SupportsInt

import numpy as np

from sofit.supervision import Supervised, TokenizedPrompt
from sofit.task import Example

_NOTHING = Example(id="", input="", target="")


def supervised(prompt: Iterable[SupportsInt], completion: Iterable[SupportsInt]) -> Supervised:
    """Returns an example whose completion, the end token included, carries loss."""
    prompt_ids = _ids(prompt)
    return Supervised(_NOTHING, np.concatenate([prompt_ids, _ids(completion)]), len(prompt_ids))


def tokenized_prompt(ids: Iterable[SupportsInt]) -> TokenizedPrompt:
    """Returns a prompt to generate from."""
    return TokenizedPrompt(_NOTHING, _ids(ids), "")


def _ids(tokens: Iterable[SupportsInt]) -> np.ndarray:
    return np.array([int(token) for token in tokens], np.int32)
