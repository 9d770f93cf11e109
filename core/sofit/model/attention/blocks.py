"""Attention to one context in blocks of queries, by XLA's own products, on any device.

Scores never exist whole: the queries go through in blocks whose scores fit into a processor's cache, and the backward pass
makes each block's scores again (Rabe and Staats 2021, arXiv:2112.05682; Dao et al. 2022, arXiv:2205.14135). Only queries are cut
into blocks, and no mesh shards these.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import haliax as hax
import jax
import jax.numpy as jnp
from haliax import Axis, AxisSelector, NamedArray

from sofit.blocks import block_bytes, is_for_processors
from sofit.model.attention.matrices import QUERY, Matrices

_BLOCK = "block"
_BLOCK_BYTES = 4 << 20
"""The most that the scores of a block take on a processor, where its length allows.

More is slower where causal attention has parts of one block each: XLA unrolls a loop of one turn, and computes all parts beside
each other, whose scores together do not stay in the cache.
"""
_CAUSAL_PARTS = 4
"""Causal attention is cut into so many parts, each without the keys that come later than all of its queries."""
_LEAST_PART = 128
"""The shortest part, in queries' places, that is worth its own products."""


@dataclass(frozen=True)
class InBlocks:
    """A `Mixer` that takes some queries after the others."""

    def mix(self, matrices: Matrices) -> tuple[NamedArray, NamedArray]:
        """Does what `Mixer` says."""
        return _mix(matrices)

    def mix_backward(
        self, matrices: Matrices, gradient: NamedArray, total: NamedArray, offset: NamedArray
    ) -> tuple[NamedArray, NamedArray, NamedArray]:
        """Does what `Mixer` says."""
        return _mix_backward(matrices, gradient, total, offset)


def causal_parts(whole: Matrices) -> Iterator[tuple[Matrices, slice]]:
    """Cuts causal attention into parts that leave later keys out; tells which queries each holds."""
    places = whole.Key.size // _CAUSAL_PARTS
    if not whole.is_causal or places < _LEAST_PART or whole.Key.size % _CAUSAL_PARTS:
        yield whole, slice(None)
        return
    queries = whole.Query.size // _CAUSAL_PARTS
    for number in range(_CAUSAL_PARTS):
        own, seen = slice(number * queries, (number + 1) * queries), slice(0, (number + 1) * places)
        query, visible = whole.query[QUERY, own], whole.visible[QUERY, own, whole.Key, seen]
        key, value = whole.key[whole.Key, seen], whole.value[whole.Key, seen]
        yield Matrices(query, key, value, visible, key.resolve_axis(whole.Key.name), whole.own_axes, False), own


def blocks_of(matrices: Matrices) -> Axis:
    """Returns how many blocks the queries are cut into."""
    bytes_of_query = 4 * matrices.Key.size * prod(axis.size for axis in matrices.query.axes[:-2])
    longest = max(1, block_bytes(_BLOCK_BYTES) // bytes_of_query)
    size = matrices.Query.size
    return Axis(_BLOCK, next(count for count in range(1, size + 1) if size % count == 0 and size // count <= longest))


def _scores(query: NamedArray, matrices: Matrices, visible: NamedArray) -> NamedArray:
    """Returns query · key where visible: (..., query, Key)."""
    scores = hax.dot(query, matrices.key, axis="head_size", preferred_element_type=jnp.float32)
    # Finite, so that a query that sees nothing has no NaN; e^-1e30 is exactly 0 beside any visible key.
    return hax.where(visible, scores, -1e30)


def _written_out(weights: NamedArray) -> NamedArray:
    """Returns the weights, which are rounded to the type to compute in before anything uses them.

    Otherwise XLA would write them in float32, twice the bytes, and read them once more to round them.
    """
    return jax.lax.optimization_barrier(weights)


def _mix(whole: Matrices) -> tuple[NamedArray, NamedArray]:
    """Does what `Mixer.mix` says."""
    results = []
    for part, _ in causal_parts(whole):

        def mix(
            _: None, query: NamedArray, visible: NamedArray, part: Matrices = part
        ) -> tuple[None, tuple[NamedArray, NamedArray]]:
            scores = _scores(query, part, visible)
            highest = hax.max(scores, part.Key)
            weights = _written_out(hax.exp(scores - highest).astype(query.dtype))
            total = hax.sum(weights.astype(jnp.float32), part.Key)
            mixed = hax.dot(weights, part.value, axis=part.Key, preferred_element_type=jnp.float32)
            return None, (mixed / total, highest + hax.log(total))

        Block = blocks_of(part)
        _, blocks = hax.scan(mix, Block)(None, *_in_blocks(Block, part.query, part.visible))
        results.append([_joined(Block, array) for array in blocks])
    mixed, logs = (hax.concatenate(QUERY, arrays) for arrays in zip(*results, strict=True))
    return whole.unflatten(mixed), whole.unflatten(logs)


def _mix_backward(
    whole: Matrices, gradient: NamedArray, total: NamedArray, offset: NamedArray
) -> tuple[NamedArray, NamedArray, NamedArray]:
    """Does what `Mixer.mix_backward` says."""
    of_queries = []
    of_key = of_value = _turned_zeros(whole.key)
    for part, own in causal_parts(whole):

        def back(
            sums: tuple[NamedArray, NamedArray],
            query: NamedArray,
            query_as_factor: NamedArray,
            visible: NamedArray,
            gradient: NamedArray,
            gradient_as_factor: NamedArray,
            total: NamedArray,
            offset: NamedArray,
            part: Matrices = part,
        ) -> tuple[tuple[NamedArray, NamedArray], NamedArray]:
            weights = _written_out(hax.exp(_scores(query, part, visible) - total).astype(query.dtype))
            of_weights = hax.dot(gradient, part.value, axis="head_size", preferred_element_type=jnp.float32)
            of_scores = (weights.astype(jnp.float32) * (of_weights - offset)).astype(query.dtype)
            # One factor is transposed, and should be the smaller, so the sums are over (..., head_size, Key).
            of_key = hax.dot(query_as_factor, of_scores, axis=QUERY, preferred_element_type=jnp.float32)
            of_value = hax.dot(gradient_as_factor, weights, axis=QUERY, preferred_element_type=jnp.float32)
            of_query = hax.dot(of_scores, part.key, axis=part.Key, preferred_element_type=jnp.float32)
            return (sums[0] + of_key, sums[1] + of_value), of_query

        Block = blocks_of(part)
        nothing = _turned_zeros(part.key)
        of_result = gradient[QUERY, own]
        inputs = (part.query, _as_factor(part.query), part.visible, of_result, _as_factor(of_result))
        inputs = (*inputs, total[QUERY, own], offset[QUERY, own])
        (key_sum, value_sum), of_query = hax.scan(back, Block)((nothing, nothing), *_in_blocks(Block, *inputs))
        of_queries.append(_joined(Block, of_query))
        room: dict[AxisSelector, tuple[int, int]] = {part.Key: (0, whole.Key.size - part.Key.size)}
        of_key = of_key + hax.pad(key_sum, room)
        of_value = of_value + hax.pad(value_sum, room)
    return hax.concatenate(QUERY, of_queries), of_key, of_value


def _as_factor(array: NamedArray) -> NamedArray:
    """Returns an array over (..., query, head_size) as a product that sums over the queries reads it fastest.

    XLA has products of two bytes a number on processors, but none that transposes a factor: that one takes float32 and three
    times as long. The barrier is needed. Without it XLA moves the transposition into a product that it has already chosen to
    have in two bytes, and ends with an error.
    """
    *common, Query, HeadSize = array.axes
    if array.dtype.itemsize > 2 or not is_for_processors():
        return array
    return jax.lax.optimization_barrier(array.rearrange((*common, HeadSize, Query)))


def _turned_zeros(key: NamedArray) -> NamedArray:
    """Returns zeros for the gradient of keys or values (..., Key, head_size): (..., head_size, Key)."""
    *common, Key, HeadSize = key.axes
    return hax.zeros((*common, HeadSize, Key), dtype=jnp.float32)


def _in_blocks(Block: Axis, *arrays: NamedArray) -> list[NamedArray]:
    """Cuts the queries, in those arrays that have them, into blocks."""

    def cut(array: NamedArray) -> NamedArray:
        if QUERY not in {axis.name for axis in array.axes}:
            return array
        return array.unflatten_axis(QUERY, (Block, Axis(QUERY, array.axis_size(QUERY) // Block.size)))

    return [cut(array) for array in arrays]


def _joined(Block: Axis, array: NamedArray) -> NamedArray:
    """Puts the blocks of queries together again."""
    others = [axis for axis in array.axes if axis.name not in (_BLOCK, QUERY, "head_size")]
    last = [axis for axis in array.axes if axis.name == "head_size"]
    Query = array.resolve_axis(QUERY)
    return array.rearrange((*others, Block, Query, *last)).flatten_axes((Block, Query), QUERY)
