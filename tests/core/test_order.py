"""The order of the examples is a function of seed and step."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sofit.order import batch_indices


@given(count=st.integers(1, 50), batch_size=st.integers(1, 60), seed=st.integers(0, 2**32), epochs=st.integers(1, 3))
def test_every_example_comes_once_an_epoch(count: int, batch_size: int, seed: int, epochs: int) -> None:
    steps = -(-count * epochs // batch_size)
    order = np.concatenate([batch_indices(count, batch_size, seed, step) for step in range(1, steps + 1)])
    for epoch in range(epochs):
        assert sorted(order[epoch * count : (epoch + 1) * count]) == list(range(count))


@given(batch_size=st.integers(1, 20), step=st.integers(1, 1000))
def test_a_step_has_the_same_examples_whatever_was_asked_for_before(batch_size: int, step: int) -> None:
    first = batch_indices(100, batch_size, 7, step)
    batch_indices(100, batch_size, 8, step + 1)
    np.testing.assert_array_equal(batch_indices(100, batch_size, 7, step), first)


def test_epochs_and_seeds_are_shuffled_differently() -> None:
    orders = [tuple(batch_indices(100, 100, seed, step).tolist()) for seed in (0, 1) for step in (1, 2)]
    assert len(set(orders)) == 4
    assert tuple(range(100)) not in orders
