"""Attention of a block of queries to several contexts at once, with one softmax over all of them.

Training (shared prefix and own slot), prefill, and decoding (prefix, prompt and generated tokens) are this one function.

Scores never exist whole: the queries go through in blocks whose scores fit into a processor's cache, and the backward pass
makes each block's scores again (Rabe and Staats 2021, arXiv:2112.05682; Dao et al. 2022, arXiv:2205.14135). Only queries are cut
into blocks, and no mesh shards these.
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from math import prod
from operator import add

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
from haliax import Axis, AxisSelector, NamedArray
from haliax.jax_utils import tree_checkpoint_name

from sofit.blocks import block_bytes

ATTENDED = "attended"
"""What the results of attention are called where gradient checkpointing chooses what to keep."""

_QUERY, _BLOCK = "query", "block"
_BLOCK_BYTES = 8 << 20
"""The most that the scores of a block take on a processor, where its length allows."""
_CAUSAL_PARTS = 4
"""Causal attention is cut into so many parts, each without the keys that come later than all of its queries."""
_LEAST_PART = 128
"""The shortest part, in queries' places, that is worth its own products."""


class Context(eqx.Module):
    """Keys and values that queries may look at. key, value: (..., Key, kv_head, head_size)."""

    key: NamedArray
    value: NamedArray
    visible: NamedArray
    """Which queries see which keys: bool over Key and any axes of the queries."""
    Key: Axis = eqx.field(static=True)
    causal_along: str | None = eqx.field(static=True, default=None)
    """The axis of the queries, if any, on which none sees a key of a later index; `visible` says so too."""


@jax.custom_vjp
def attend(query: NamedArray, contexts: Sequence[Context]) -> NamedArray:
    """Returns softmax(query · keys / sqrt(head_size)) · values over the keys of all contexts together.

    query: (..., kv_head, group, head_size); axes that it shares with a context are matched, not summed. Scores and softmax
    are float32; the weights are rounded to the query's dtype, in which they meet the values. A query that sees no key at all
    (padding) gets some mean of the values.
    """
    return _attend(query, contexts)[0]


def _attend(query: NamedArray, contexts: Sequence[Context]) -> tuple[NamedArray, NamedArray]:
    """Returns what `attend` does, and the logarithms of the softmax's sums: (axes of query but head_size), float32."""
    mixed, logs = zip(*(_mix(_Matrices.of(context, query)) for context in contexts), strict=True)
    total: NamedArray = reduce(hax.logaddexp, logs)
    shares = [one * hax.exp(log - total) for one, log in zip(mixed, logs, strict=True)]
    result = reduce(add, shares).astype(query.dtype).rearrange(query.axes)
    return tree_checkpoint_name((result, total), ATTENDED)


_Saved = tuple[NamedArray, Sequence[Context], NamedArray, NamedArray]


def _attend_forward(query: NamedArray, contexts: Sequence[Context]) -> tuple[NamedArray, _Saved]:
    result, total = _attend(query, contexts)
    return result, (query, contexts, result, total)


def _attend_backward(saved: _Saved, gradient: NamedArray) -> tuple[NamedArray, list[Context]]:
    query, contexts, result, total = saved
    # What the softmax takes off the gradient of each weight of a query: (axes of query but head_size).
    offset = hax.dot(gradient, result, axis="head_size", preferred_element_type=jnp.float32)
    query_gradients, context_gradients = [], []
    for context in contexts:
        matrices = _Matrices.of(context, query)
        of_query, of_key, of_value = _mix_backward(matrices, *map(matrices.flatten, (gradient, total, offset)))
        query_gradients.append(matrices.unflatten(of_query).rearrange(query.axes))
        of_key, of_value = (array.astype(query.dtype).rearrange(context.key.axes) for array in (of_key, of_value))
        nothing = context.visible.astype(jax.dtypes.float0)
        context_gradients.append(Context(of_key, of_value, nothing, context.Key, context.causal_along))
    return (reduce(add, query_gradients) * _scale(query)).astype(query.dtype), context_gradients


attend.defvjp(_attend_forward, _attend_backward)


def _scale(query: NamedArray) -> float:
    return query.axis_size("head_size") ** -0.5


class _Matrices(eqx.Module):
    """A context and its queries as batches of matrices."""

    query: NamedArray
    """(axes that the context has too, query, head_size), scaled."""
    key: NamedArray
    """(axes that the queries have too, Key, head_size)"""
    value: NamedArray
    visible: NamedArray
    """Over Key, query if it matters, and any of the common axes."""
    Key: Axis = eqx.field(static=True)
    own_axes: tuple[Axis, ...] = eqx.field(static=True)
    """The axes that only the queries have, which make up the axis `query`."""
    is_causal: bool = eqx.field(static=True)
    """Whether places of queries and of keys are the same, and none sees a later one."""

    @staticmethod
    def of(context: Context, query: NamedArray) -> "_Matrices":
        common = [axis for axis in query.axes if axis in context.key.axes and axis.name != "head_size"]
        # In this order they number the matrices without a transposition of the scores.
        common.sort(key=lambda axis: ("row", "kv_head", "slot").index(axis.name))
        own = tuple(axis for axis in query.axes if axis not in common and axis.name != "head_size")
        visible = context.visible
        if any(axis in visible.axes for axis in own):
            missing = [axis for axis in own if axis not in visible.axes]
            seen_over = [axis for axis in common if axis in visible.axes]
            visible = visible.broadcast_axis(missing).rearrange((*seen_over, *own, context.Key)).flatten_axes(own, _QUERY)
        return _Matrices(
            (query * _scale(query)).rearrange((*common, *own, "head_size")).flatten_axes(own, _QUERY),
            context.key.rearrange((*common, context.Key, "head_size")),
            context.value.rearrange((*common, context.Key, "head_size")),
            visible,
            context.Key,
            own,
            own[0].name == context.causal_along,
        )

    @property
    def Query(self) -> Axis:
        return self.query.resolve_axis(_QUERY)

    def flatten(self, array: NamedArray) -> NamedArray:
        """Brings an array over the axes of the queries, with or without head_size, into the order of `query`."""
        last = [axis for axis in array.axes if axis.name == "head_size"]
        return array.rearrange((*self.query.axes[:-2], *self.own_axes, *last)).flatten_axes(self.own_axes, _QUERY)

    def unflatten(self, array: NamedArray) -> NamedArray:
        """Undoes `flatten`, but for the order of the axes."""
        return array.unflatten_axis(_QUERY, self.own_axes)

    def parts(self) -> Iterator[tuple["_Matrices", slice]]:
        """Cuts causal attention into parts that leave later keys out; tells which queries each holds."""
        places = self.Key.size // _CAUSAL_PARTS
        if not self.is_causal or places < _LEAST_PART or self.Key.size % _CAUSAL_PARTS:
            yield self, slice(None)
            return
        queries = self.Query.size // _CAUSAL_PARTS
        for number in range(_CAUSAL_PARTS):
            own, seen = slice(number * queries, (number + 1) * queries), slice(0, (number + 1) * places)
            query, visible = self.query[_QUERY, own], self.visible[_QUERY, own, self.Key, seen]
            key, value = self.key[self.Key, seen], self.value[self.Key, seen]
            yield _Matrices(query, key, value, visible, key.resolve_axis(self.Key.name), self.own_axes, False), own

    def blocks(self) -> Axis:
        """Returns how many blocks the queries are cut into."""
        bytes_of_query = 4 * self.Key.size * prod(axis.size for axis in self.query.axes[:-2])
        longest = max(1, block_bytes(_BLOCK_BYTES) // bytes_of_query)
        size = self.Query.size
        return Axis(_BLOCK, next(count for count in range(1, size + 1) if size % count == 0 and size // count <= longest))


def _scores(query: NamedArray, matrices: _Matrices, visible: NamedArray) -> NamedArray:
    """Returns query · key where visible: (..., query, Key)."""
    scores = hax.dot(query, matrices.key, axis="head_size", preferred_element_type=jnp.float32)
    # Finite, so that a query that sees nothing has no NaN; e^-1e30 is exactly 0 beside any visible key.
    return hax.where(visible, scores, -1e30)


def _written_out(weights: NamedArray) -> NamedArray:
    """Returns the weights, which are rounded to the type to compute in before anything uses them.

    Otherwise XLA would write them in float32, twice the bytes, and read them once more to round them.
    """
    return jax.lax.optimization_barrier(weights)


def _mix(whole: _Matrices) -> tuple[NamedArray, NamedArray]:
    """Returns softmax(query · keys) · values, and the logarithms of the softmax's sums, over the axes of the queries."""
    results = []
    for part, _ in whole.parts():

        def mix(
            _: None, query: NamedArray, visible: NamedArray, part: _Matrices = part
        ) -> tuple[None, tuple[NamedArray, NamedArray]]:
            scores = _scores(query, part, visible)
            highest = hax.max(scores, part.Key)
            weights = _written_out(hax.exp(scores - highest).astype(query.dtype))
            total = hax.sum(weights.astype(jnp.float32), part.Key)
            mixed = hax.dot(weights, part.value, axis=part.Key, preferred_element_type=jnp.float32)
            return None, (mixed / total, highest + hax.log(total))

        Block = part.blocks()
        _, blocks = hax.scan(mix, Block)(None, *_in_blocks(Block, part.query, part.visible))
        results.append([_joined(Block, array) for array in blocks])
    mixed, logs = (hax.concatenate(_QUERY, arrays) for arrays in zip(*results, strict=True))
    return whole.unflatten(mixed), whole.unflatten(logs)


def _mix_backward(
    whole: _Matrices, gradient: NamedArray, total: NamedArray, offset: NamedArray
) -> tuple[NamedArray, NamedArray, NamedArray]:
    """Returns the gradients of the scaled queries, the keys and the values, float32.

    Args:
        whole: the queries and a context.
        gradient: of what came out, in the order of `whole.query`.
        total: the logarithms of the softmax's sums over all contexts, (..., query).
        offset: gradient · result, (..., query).
    """
    of_queries = []
    of_key = of_value = _turned_zeros(whole.key)
    for part, own in whole.parts():

        def back(
            sums: tuple[NamedArray, NamedArray],
            query: NamedArray,
            query_as_factor: NamedArray,
            visible: NamedArray,
            gradient: NamedArray,
            gradient_as_factor: NamedArray,
            total: NamedArray,
            offset: NamedArray,
            part: _Matrices = part,
        ) -> tuple[tuple[NamedArray, NamedArray], NamedArray]:
            weights = _written_out(hax.exp(_scores(query, part, visible) - total).astype(query.dtype))
            of_weights = hax.dot(gradient, part.value, axis="head_size", preferred_element_type=jnp.float32)
            of_scores = (weights.astype(jnp.float32) * (of_weights - offset)).astype(query.dtype)
            # One factor is transposed, and should be the smaller, so the sums are over (..., head_size, Key).
            of_key = hax.dot(query_as_factor, of_scores, axis=_QUERY, preferred_element_type=jnp.float32)
            of_value = hax.dot(gradient_as_factor, weights, axis=_QUERY, preferred_element_type=jnp.float32)
            of_query = hax.dot(of_scores, part.key, axis=part.Key, preferred_element_type=jnp.float32)
            return (sums[0] + of_key, sums[1] + of_value), of_query

        Block = part.blocks()
        nothing = _turned_zeros(part.key)
        of_result = gradient[_QUERY, own]
        inputs = (part.query, _as_factor(part.query), part.visible, of_result, _as_factor(of_result))
        inputs = (*inputs, total[_QUERY, own], offset[_QUERY, own])
        (key_sum, value_sum), of_query = hax.scan(back, Block)((nothing, nothing), *_in_blocks(Block, *inputs))
        of_queries.append(_joined(Block, of_query))
        room: dict[AxisSelector, tuple[int, int]] = {part.Key: (0, whole.Key.size - part.Key.size)}
        of_key = of_key + hax.pad(key_sum, room)
        of_value = of_value + hax.pad(value_sum, room)
    return hax.concatenate(_QUERY, of_queries), of_key, of_value


def _as_factor(array: NamedArray) -> NamedArray:
    """Returns an array over (..., query, head_size) as a product that sums over the queries reads it fastest.

    XLA has products of two bytes a number on processors, but none that transposes a factor: that one takes float32 and three
    times as long. The barrier is needed. Without it XLA moves the transposition into a product that it has already chosen to
    have in two bytes, and ends with an error.
    """
    *common, Query, HeadSize = array.axes
    if array.dtype.itemsize > 2:
        return array
    return jax.lax.optimization_barrier(array.rearrange((*common, HeadSize, Query)))


def _turned_zeros(key: NamedArray) -> NamedArray:
    """Returns zeros for the gradient of keys or values (..., Key, head_size): (..., head_size, Key)."""
    *common, Key, HeadSize = key.axes
    return hax.zeros((*common, HeadSize, Key), dtype=jnp.float32)


def _in_blocks(Block: Axis, *arrays: NamedArray) -> list[NamedArray]:
    """Cuts the queries, in those arrays that have them, into blocks."""

    def cut(array: NamedArray) -> NamedArray:
        if _QUERY not in {axis.name for axis in array.axes}:
            return array
        return array.unflatten_axis(_QUERY, (Block, Axis(_QUERY, array.axis_size(_QUERY) // Block.size)))

    return [cut(array) for array in arrays]


def _joined(Block: Axis, array: NamedArray) -> NamedArray:
    """Puts the blocks of queries together again."""
    others = [axis for axis in array.axes if axis.name not in (_BLOCK, _QUERY, "head_size")]
    last = [axis for axis in array.axes if axis.name == "head_size"]
    Query = array.resolve_axis(_QUERY)
    return array.rearrange((*others, Block, Query, *last)).flatten_axes((Block, Query), _QUERY)
