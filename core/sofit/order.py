"""The order in which examples are seen: a function of seed and step alone, so that a run can go on from any step."""

import functools

import numpy as np


def batch_indices(count: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    """Returns the indices of the examples of a step, which counts from 1.

    The examples are shuffled anew in every epoch; batches run on from one epoch into the next.
    """
    places = np.arange((step - 1) * batch_size, step * batch_size)
    epochs, within = np.divmod(places, count)
    return np.array([_order(count, seed, epoch)[place] for epoch, place in zip(epochs.tolist(), within.tolist(), strict=True)])


@functools.lru_cache(2)  # The batch between two epochs needs both. A million examples are shuffled in some 20 ms.
def _order(count: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(count)
