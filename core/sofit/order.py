"""The order in which examples are seen: a function of seed and step alone, so that a run can go on from any step."""

import numpy as np


def batch_indices(count: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    """Returns the indices of the examples of a step, which counts from 1.

    The examples are shuffled anew in every epoch; batches run on from one epoch into the next.
    """
    places = np.arange((step - 1) * batch_size, step * batch_size)
    epochs, within = np.divmod(places, count)
    orders = {epoch: np.random.default_rng([seed, epoch]).permutation(count) for epoch in np.unique(epochs).tolist()}
    return np.array([orders[epoch][place] for epoch, place in zip(epochs.tolist(), within.tolist(), strict=True)])
