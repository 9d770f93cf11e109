"""Attention of a block of queries to several contexts at once, with one softmax over all of them.

Training (shared prefix and own slot), prefill, and decoding (prefix, prompt and generated tokens) are this one function.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
from haliax import Axis, NamedArray


class Context(eqx.Module):
    """Keys and values that queries may look at. key, value: (..., Key, kv_head, head_size)."""

    key: NamedArray
    value: NamedArray
    visible: NamedArray
    """Which queries see which keys: bool over Key and any axes of the queries."""
    Key: Axis = eqx.field(static=True)


def attend(query: NamedArray, contexts: Sequence[Context]) -> NamedArray:
    """Returns softmax(query · keys / sqrt(head_size)) · values over the keys of all contexts together.

    query: (..., kv_head, group, head_size); axes that it shares with a context are matched, not summed. Scores and softmax
    are float32. A query that sees no key at all (padding) gets the plain mean of the values.
    """
    # All heads' queries lie side by side from here on, so that no array of scores is ever transposed.
    order = _head_first(query)
    scaled = (query * query.axis_size("head_size") ** -0.5).rearrange((*order, "head_size"))
    scores = [_scores(scaled, context) for context in contexts]
    maxima = [hax.max(score, context.Key) for score, context in zip(scores, contexts, strict=True)]
    highest = maxima[0]
    for maximum in maxima[1:]:
        highest = hax.maximum(highest, maximum)
    weights = [hax.exp(score - jax.lax.stop_gradient(highest)) for score in scores]
    totals = [hax.sum(weight, context.Key) for weight, context in zip(weights, contexts, strict=True)]
    mixed = [_mix(weight.astype(query.dtype), context) for weight, context in zip(weights, contexts, strict=True)]
    return (reduce(add, mixed) / reduce(add, totals)).astype(query.dtype).rearrange(query.axes)


def _head_first(query: NamedArray) -> list[str]:
    """Orders the axes of queries: first those that a context may share, which number the matrices, then the others."""
    names = [axis.name for axis in query.axes if axis.name != "head_size"]
    batch = [name for name in ("row", "kv_head", "slot") if name in names]
    return batch + [name for name in names if name not in batch]


def _scores(query: NamedArray, context: Context) -> NamedArray:
    """Returns query · key where visible: (axes of the query but head_size, Key)."""
    key, own_axes = _matrices(context.key, context, query)
    scores = hax.dot(query.flatten_axes(own_axes, "query"), key, axis="head_size", preferred_element_type=jnp.float32)
    # Finite, so that a query that sees nothing has no NaN; e^-1e30 is exactly 0 beside any visible key.
    return hax.where(context.visible, scores.unflatten_axis("query", own_axes), -1e30)


def _mix(weights: NamedArray, context: Context) -> NamedArray:
    """Returns weights · value: (axes of the query, head_size)."""
    value, own_axes = _matrices(context.value, context, weights)
    mixed = hax.dot(weights.flatten_axes(own_axes, "query"), value, axis=context.Key, preferred_element_type=jnp.float32)
    return mixed.unflatten_axis("query", own_axes)


def _matrices(array: NamedArray, context: Context, query: NamedArray) -> tuple[NamedArray, tuple[Axis, ...]]:
    """Returns keys or values as matrices (shared axes, Key, head_size), and the axes that only the queries have."""
    shared = [axis for axis in query.axes if axis in array.axes and axis.name not in ("head_size", context.Key.name)]
    own = tuple(axis for axis in query.axes if axis not in shared and axis.name not in ("head_size", context.Key.name))
    return array.rearrange((*shared, context.Key, "head_size")), own
