"""Attention in blocks against the formula, written out over all keys at once."""

from collections.abc import Callable, Sequence
from functools import partial

import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from haliax import Axis, NamedArray

from sofit.blocks import blocks_of_accelerators
from sofit.model.attention import Attend, Context, Joined, Merged, attend
from sofit.model.attention.blocks import blocks_of, causal_parts
from sofit.model.attention.flash import InKernels
from sofit.model.attention.matrices import Matrices

pytestmark = pytest.mark.usefixtures("quick_compilation")

Row, Heads, Group, Size = Axis("row", 2), Axis("kv_head", 3), Axis("group", 3), Axis("head_size", 8)
Slot, Pos, Prefix = Axis("slot", 4), Axis("position", 64), Axis("prefix_position", 512)
OwnKey, PrefixKey = Pos.alias("position_key"), Prefix.alias("prefix_position_key")


Case = Callable[[], tuple[NamedArray, list[Context]]]


def random(seed: int, *axes: Axis) -> NamedArray:
    return hax.random.normal(jax.random.key(seed), axes)


def causal(queries: Axis, keys: Axis, batch: tuple[Axis, ...]) -> NamedArray:
    return (hax.arange(queries).broadcast_axis(keys) >= hax.arange(keys).broadcast_axis(queries)).broadcast_axis(batch)


def prefix_case() -> tuple[NamedArray, list[Context]]:
    query = random(0, Row, Prefix, Heads, Group, Size)
    key, value = (random(seed, Row, PrefixKey, Heads, Size) for seed in (1, 2))
    return query, [Context(key, value, causal(Prefix, PrefixKey, (Row,)), PrefixKey, Prefix.name)]


def slots_case() -> tuple[NamedArray, list[Context]]:
    query = random(3, Row, Slot, Pos, Heads, Group, Size)
    key, value = (random(seed, Row, Prefix, Heads, Size) for seed in (4, 5))
    own_key, own_value = (random(seed, Row, Slot, OwnKey, Heads, Size) for seed in (6, 7))
    filled = (hax.arange(Prefix) < 500).broadcast_axis(Row)
    return query, [
        Context(key, value, filled, Prefix),
        Context(own_key, own_value, causal(Pos, OwnKey, (Row, Slot)), OwnKey, Pos.name),
    ]


def windowed_case() -> tuple[NamedArray, list[Context]]:
    """Slots whose places see different parts of the prefix, and the first of them nothing."""
    query, (prefix, own) = slots_case()
    near = (hax.arange(Pos).broadcast_axis(Prefix) * 8 > hax.arange(Prefix).broadcast_axis(Pos)).broadcast_axis(Row)
    return query, [Context(prefix.key, prefix.value, near & prefix.visible, Prefix), own]


WAYS: dict[str, Attend] = {
    "in blocks": attend,
    "in one call": Joined("xla"),
    "in kernels": Merged(InKernels(interpret=True)),
}
CASES = {
    "a prefix sees itself": prefix_case,
    "slots see the prefix and themselves": slots_case,
    "slots in a window": windowed_case,
}


def by_the_formula(query: NamedArray, contexts: Sequence[Context]) -> NamedArray:
    """Writes softmax(q k / sqrt(d)) v out, each context's keys beside the others'."""
    scores = [
        hax.where(context.visible, hax.dot(query, context.key, axis="head_size") / np.sqrt(Size.size), -jnp.inf)
        .rename({context.Key.name: "all"})
        .rearrange((..., "all"))
        for context in contexts
    ]
    order = scores[0].axes[:-1]
    weights = hax.nn.softmax(hax.concatenate("all", [score.rearrange((*order, "all")) for score in scores]), "all")
    result, start = 0.0, 0
    for context in contexts:
        part = weights["all", start : start + context.Key.size].rename({"all": context.Key.name})
        result += hax.dot(part, context.value, axis=context.Key)
        start += context.Key.size
    assert isinstance(result, NamedArray)
    return result.rearrange(query.axes)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_attention_and_its_gradients_are_those_of_the_formula(case: Case, way: Attend) -> None:
    query, contexts = case()
    direction = random(9, *query.axes)

    def loss(implementation: Attend, query: NamedArray, arrays: list[NamedArray]) -> jax.Array:
        filled = [
            Context(key, value, context.visible, context.Key, context.causal_along)
            for key, value, context in zip(arrays[::2], arrays[1::2], contexts, strict=True)
        ]
        return hax.sum(implementation(query, filled) * direction).scalar()

    arrays = [array for context in contexts for array in (context.key, context.value)]
    both = [jax.jit(jax.value_and_grad(partial(loss, one), argnums=(0, 1))) for one in (way, by_the_formula)]
    found, expected = (jax.tree.leaves(value_and_gradients(query, arrays)) for value_and_gradients in both)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * float(jnp.abs(other).max()))


def test_the_cases_above_are_cut_into_parts_and_blocks() -> None:
    query, (context,) = prefix_case()
    assert len(list(causal_parts(Matrices.of(context, query)))) == 4
    query, contexts = slots_case()
    assert blocks_of(Matrices.of(contexts[0], query)).size > 1


def test_accelerators_get_larger_blocks() -> None:
    query, contexts = slots_case()
    with blocks_of_accelerators():
        assert blocks_of(Matrices.of(contexts[0], query)).size == 1
    assert blocks_of(Matrices.of(contexts[0], query)).size > 1


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_queries_that_see_nothing_give_numbers_and_take_no_part_in_gradients(way: Attend) -> None:
    query, contexts = slots_case()
    blind = [
        Context(context.key, context.value, hax.zeros_like(context.visible), context.Key, context.causal_along)
        for context in contexts
    ]
    assert bool(jnp.isfinite(way(query, blind).array).all())
    gradients = jax.grad(lambda q: (way(q, blind) * 0.0).sum().scalar())(query)
    np.testing.assert_array_equal(gradients.array, 0)


@pytest.mark.parametrize("way", [Joined("cudnn"), Merged(InKernels())], ids=["in one call", "in kernels"])
def test_few_queries_need_no_kernel(way: Attend) -> None:
    # Neither kernel runs on a processor.
    One, key = Axis("position", 1), random(1, Row, Slot, OwnKey, Heads, Size)
    contexts = [Context(key, key, hax.ones((Row, Slot, OwnKey), dtype=bool), OwnKey)]
    query = random(0, Row, Slot, One, Heads, Group, Size)
    np.testing.assert_array_equal(way(query, contexts).array, attend(query, contexts).array)
