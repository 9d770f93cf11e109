"""Examples that are tokens and nothing else, for the laws of batches."""

from collections.abc import Iterable
from typing import SupportsInt

import numpy as np

from sofit.labels import Labels
from sofit.supervision import Supervised, TokenizedPrompt
from sofit.task import Example

_NOTHING = Example(id="", input="", target="")


def supervised(
    prompt: Iterable[SupportsInt],
    completion: Iterable[SupportsInt],
    roles: Iterable[int] | None = None,
    carries_loss: Iterable[bool] | None = None,
) -> Supervised:
    """Returns an example whose completion, the end token included, carries loss, and is of role 0 unless `roles` says more."""
    prompt_ids, completion_ids = _ids(prompt), _ids(completion)
    labels = Labels(
        np.zeros(len(completion_ids), np.uint8) if roles is None else np.array(list(roles), np.uint8),
        np.ones(len(completion_ids), bool) if carries_loss is None else np.array(list(carries_loss), bool),
    )
    return Supervised(_NOTHING, np.concatenate([prompt_ids, completion_ids]), len(prompt_ids), labels)


def tokenized_prompt(ids: Iterable[SupportsInt]) -> TokenizedPrompt:
    """Returns a prompt to generate from."""
    return TokenizedPrompt(_NOTHING, _ids(ids), "")


def _ids(tokens: Iterable[SupportsInt]) -> np.ndarray:
    return np.array([int(token) for token in tokens], np.int32)
