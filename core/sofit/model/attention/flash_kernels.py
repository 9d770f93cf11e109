"""Kernels for a TPU, written in Pallas: attention to one context, and its gradients.

The grid goes over row, kv_head, slot, and blocks of queries and of keys; along the last of these a result is summed. Blocks in
which no query sees a key are passed over.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu

LANES = 128
"""Lengths of queries and keys are multiples of it."""
_BLOCKS = (512, 256, 128)
_NOWHERE = -1e30
"""The score of a key that is not seen; finite, so that a query that sees none has no NaN."""


class _Grid:
    """The blocks of queries and of keys, and which of them lie at a place of the grid (row, kv_head, slot, outer, inner)."""

    def __init__(self, arrays: Sequence[jax.Array], *, keys_are_inner: bool, interpret: bool) -> None:
        query, key, _, visible = arrays[:4]
        self._batch, self._queries, self._keys = query.shape[:3], query.shape[3], key.shape[3]
        self._of_query, self._of_key = (next(size for size in _BLOCKS if n % size == 0) for n in (self._queries, self._keys))
        self._mask_sizes, self._head_size = visible.shape[:3], query.shape[4]
        self._keys_are_inner, self._interpret = keys_are_inner, interpret

    def _spec(self, kind: str) -> Any:
        def blocks(outer: Any, inner: Any) -> tuple[Any, Any]:
            return (outer, inner) if self._keys_are_inner else (inner, outer)

        def at(row: Any, head: Any, slot: Any, outer: Any, inner: Any) -> tuple[Any, ...]:
            of_query, of_key = blocks(outer, inner)
            return row, head, slot, of_key if kind == "k" else of_query, 0

        def at_mask(row: Any, head: Any, slot: Any, outer: Any, inner: Any) -> tuple[Any, ...]:
            place = (row, slot, *blocks(outer, inner))
            return *(at if size > 1 else 0 for at, size in zip(place[:3], self._mask_sizes, strict=True)), place[3]

        if kind == "m":
            of_query = self._of_query if self._mask_sizes[2] > 1 else 1
            return pl.BlockSpec((None, None, of_query, self._of_key), at_mask)
        return pl.BlockSpec((None, None, None, *self._block(kind)), at)

    def _block(self, kind: str) -> tuple[int, int]:
        return {"q": (self._of_query, self._head_size), "s": (self._of_query, 1), "k": (self._of_key, self._head_size)}[kind]

    def run(self, kernel: Callable[..., None], given: str, made: str, scratch: str, arrays: Sequence[jax.Array]) -> Any:
        """Runs a kernel over the grid. Everything that is made is float32.

        A letter tells what an array is: q of queries, s one number for each, k of keys, m what is visible.
        """
        outer, inner = self._queries // self._of_query, self._keys // self._of_key
        if not self._keys_are_inner:
            outer, inner = inner, outer
        lengths = {"q": (self._queries, self._head_size), "s": (self._queries, 1), "k": (self._keys, self._head_size)}
        return pl.pallas_call(
            kernel,
            grid=(*self._batch, outer, inner),
            in_specs=[self._spec(kind) for kind in given],
            out_specs=[self._spec(kind) for kind in made],
            out_shape=[jax.ShapeDtypeStruct((*self._batch, *lengths[kind]), jnp.float32) for kind in made],
            scratch_shapes=[tpu.VMEM(self._block(kind), jnp.float32) for kind in scratch],
            interpret=self._interpret,
        )(*arrays)


def _product(left: jax.Array, right: jax.Array, left_axis: int, right_axis: int) -> jax.Array:
    """Sums over an axis of each, in float32."""
    over = (((left_axis,), (right_axis,)), ((), ()))
    # The compiler of kernels refuses bfloat16 where more than its own precision is asked for.
    precision = jax.lax.Precision.HIGHEST if left.dtype == jnp.float32 else jax.lax.Precision.DEFAULT
    return jax.lax.dot_general(left, right, over, precision=precision, preferred_element_type=jnp.float32)


def mix_forward(
    query: jax.Array, key: jax.Array, value: jax.Array, visible: jax.Array, *, interpret: bool
) -> tuple[jax.Array, jax.Array]:
    """Returns the means of the values (row, kv_head, slot, query, head_size) and the logarithms of the sums (..., query, 1)."""
    arrays = (query, key, value, visible)
    return tuple(_Grid(arrays, keys_are_inner=True, interpret=interpret).run(_forward_kernel, "qkkm", "qs", "ssq", arrays))


def _forward_kernel(
    query: Any, key: Any, value: Any, visible: Any, mixed: Any, log: Any, highest: Any, total: Any, sums: Any
) -> None:
    @pl.when(pl.program_id(4) == 0)
    def _() -> None:
        highest[...] = jnp.full(highest.shape, _NOWHERE)
        total[...] = jnp.zeros(total.shape)
        sums[...] = jnp.zeros(sums.shape)

    seen = visible[...].astype(jnp.int32) != 0

    @pl.when(jnp.any(seen))
    def _() -> None:
        scores = jnp.where(seen, _product(query[...], key[...], 1, 1), _NOWHERE)
        new_highest = jnp.maximum(highest[...], scores.max(axis=1, keepdims=True))
        weights = jnp.where(seen, jnp.exp(scores - new_highest), 0).astype(value.dtype)
        rescale = jnp.exp(highest[...] - new_highest)
        total[...] = total[...] * rescale + weights.astype(jnp.float32).sum(axis=1, keepdims=True)
        sums[...] = sums[...] * rescale + _product(weights, value[...], 1, 0)
        highest[...] = new_highest

    @pl.when(pl.program_id(4) == pl.num_programs(4) - 1)
    def _() -> None:
        some = jnp.where(total[...] > 0, total[...], 1)
        mixed[...] = sums[...] / some
        log[...] = highest[...] + jnp.log(some)


def mix_backward(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    visible: jax.Array,
    gradient: jax.Array,
    total: jax.Array,
    offset: jax.Array,
    *,
    interpret: bool,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns the gradients of queries, keys and values."""
    arrays = (query, key, value, visible, gradient, total, offset)
    of_query = _Grid(arrays, keys_are_inner=True, interpret=interpret).run(_query_kernel, "qkkmqss", "q", "q", arrays)
    of_keys = _Grid(arrays, keys_are_inner=False, interpret=interpret).run(_key_kernel, "qkkmqss", "kk", "kk", arrays)
    return *of_query, *of_keys


def _weights_and_gradient(
    query: Any, key: Any, value: Any, seen: jax.Array, gradient: Any, total: Any, offset: Any
) -> tuple[jax.Array, jax.Array]:
    """Returns the weights of a block, and the gradients of its scores: (query, key), in the type to compute in."""
    scores = _product(query[...], key[...], 1, 1)
    weights = jnp.where(seen, jnp.exp(jnp.where(seen, scores, _NOWHERE) - total[...]), 0).astype(query.dtype)
    of_weights = _product(gradient[...], value[...], 1, 1)
    return weights, (weights.astype(jnp.float32) * (of_weights - offset[...])).astype(query.dtype)


def _query_kernel(
    query: Any, key: Any, value: Any, visible: Any, gradient: Any, total: Any, offset: Any, of_query: Any, sums: Any
) -> None:
    @pl.when(pl.program_id(4) == 0)
    def _() -> None:
        sums[...] = jnp.zeros(sums.shape)

    seen = visible[...].astype(jnp.int32) != 0

    @pl.when(jnp.any(seen))
    def _() -> None:
        _, of_scores = _weights_and_gradient(query, key, value, seen, gradient, total, offset)
        sums[...] += _product(of_scores, key[...], 1, 0)

    @pl.when(pl.program_id(4) == pl.num_programs(4) - 1)
    def _() -> None:
        of_query[...] = sums[...]


def _key_kernel(
    query: Any,
    key: Any,
    value: Any,
    visible: Any,
    gradient: Any,
    total: Any,
    offset: Any,
    of_key: Any,
    of_value: Any,
    key_sums: Any,
    value_sums: Any,
) -> None:
    @pl.when(pl.program_id(4) == 0)
    def _() -> None:
        key_sums[...] = jnp.zeros(key_sums.shape)
        value_sums[...] = jnp.zeros(value_sums.shape)

    seen = visible[...].astype(jnp.int32) != 0

    @pl.when(jnp.any(seen))
    def _() -> None:
        weights, of_scores = _weights_and_gradient(query, key, value, seen, gradient, total, offset)
        key_sums[...] += _product(of_scores, query[...], 0, 0)
        value_sums[...] += _product(weights, gradient[...], 0, 0)

    @pl.when(pl.program_id(4) == pl.num_programs(4) - 1)
    def _() -> None:
        of_key[...], of_value[...] = key_sums[...], value_sums[...]
