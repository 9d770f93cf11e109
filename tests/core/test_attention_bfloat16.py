"""Attention in bfloat16, compiled as in training: XLA chooses other products, by shape and by the number of blocks."""

from functools import partial

import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from haliax import Axis, NamedArray

from sofit.model.attention import Context, attend

Heads, Group, Size = Axis("kv_head", 3), Axis("group", 3), Axis("head_size", 64)


def gradients(context: Context, query: NamedArray, gradient: NamedArray) -> list[np.ndarray]:
    """Returns what attention makes, and the gradients of queries, keys and values."""

    @jax.jit
    def run(query: NamedArray, key: NamedArray, value: NamedArray) -> tuple[NamedArray, tuple[NamedArray, ...]]:
        def attended(query: NamedArray, key: NamedArray, value: NamedArray) -> NamedArray:
            return attend(query, [Context(key, value, context.visible, context.Key, context.causal_along)])

        result, pull = jax.vjp(attended, query, key, value)
        return result, pull(gradient.astype(result.dtype))

    result, pulled = run(query, context.key, context.value)
    return [np.asarray(array.array, np.float32) for array in (result, *pulled)]


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("places", [48, 624, 960])
def test_it_is_that_of_float32_but_for_rounding(rows: int, places: int) -> None:
    Row, Pos = Axis("row", rows), Axis("position", places)
    Key = Pos.alias("position_key")
    keys = jax.random.split(jax.random.key(0), 4)
    query, gradient = (hax.random.normal(key, (Row, Pos, Heads, Group, Size)) for key in keys[:2])
    key, value = (hax.random.normal(key, (Row, Key, Heads, Size)) for key in keys[2:])
    visible = (hax.arange(Pos).broadcast_axis(Key) >= hax.arange(Key).broadcast_axis(Pos)).broadcast_axis(Row)
    context = partial(Context, visible=visible, Key=Key, causal_along=Pos.name)
    # The same rounded inputs for both.
    halves = [array.astype(jnp.bfloat16) for array in (query, gradient, key, value)]
    query, gradient, key, value = (array.astype(jnp.float32) for array in halves)
    exact = gradients(context(key, value), query, gradient)
    rounded = gradients(context(halves[2], halves[3]), halves[0], halves[1])
    for expected, found in zip(exact, rounded, strict=True):
        assert np.linalg.norm(found - expected) < 0.01 * np.linalg.norm(expected)
