"""Examples as long as one likes, to plan for data that is longer than what is at hand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sofit.supervision import Supervised


def lengthen(examples: Sequence[Supervised], length: int) -> list[Supervised]:
    """Returns the examples with tokens of its own added to each prompt until it has `length` tokens; longer ones as they are."""
    return [_lengthen(example, length, np.random.default_rng(index)) for index, example in enumerate(examples)]


def _lengthen(example: Supervised, length: int, rng: np.random.Generator) -> Supervised:
    missing = length - len(example)
    if missing <= 0:
        return example
    prompt, completion = np.split(example.ids, [example.prompt_length])
    # No two examples get the same, so that they share no more than before.
    added = rng.integers(0, 2**31, missing, dtype=np.int32)
    return replace(example, ids=np.concatenate([prompt, added, completion]), prompt_length=example.prompt_length + missing)
