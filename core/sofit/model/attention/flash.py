"""Attention to one context by kernels for a TPU, whose scores never leave the memory beside the units that make them.

FlashAttention-2 (Dao 2023, arXiv:2307.08691) with the softmax's sums of all contexts handed to the backward pass. The grid goes
over row, kv_head, slot, and blocks of queries and of keys; the last of these is the one that a result is summed over. Blocks in
which no query sees a key are passed over. Elsewhere than on a TPU the kernels can only be interpreted, for tests.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import haliax as hax
import jax
import jax.numpy as jnp
from haliax import NamedArray
from jax.experimental import pallas as pl
from jax.sharding import PartitionSpec

from sofit.model.attention.matrices import QUERY, Matrices
from sofit.model.partitioning import Partitioning

_BATCH = ("row", "kv_head", "slot")
_LANES = 128
"""Lengths of queries and keys are filled up to a multiple of it."""
_BLOCKS = (512, 256, 128)
_NOWHERE = -1e30
"""The score of a key that is not seen; finite, so that a query that sees none has no NaN."""


@dataclass(frozen=True)
class InKernels:
    """A `Mixer` for TPUs."""

    partitioning: Partitioning | None = None
    """How rows and heads lie over several devices: each computes its own. None on one."""
    interpret: bool = False
    """Run the kernels step by step in JAX, on any device, very slowly."""

    def mix(self, matrices: Matrices) -> tuple[NamedArray, NamedArray]:
        """Does what `Mixer` says."""
        laid_out = _LaidOut(matrices)
        forward = laid_out.on_each_device(partial(_forward, interpret=self.interpret), "qkkm", "qs", self.partitioning)
        mixed, logs = forward(*laid_out.arrays)
        return matrices.unflatten(laid_out.of_queries(mixed)), matrices.unflatten(laid_out.of_queries(logs))

    def mix_backward(
        self, matrices: Matrices, gradient: NamedArray, total: NamedArray, offset: NamedArray
    ) -> tuple[NamedArray, NamedArray, NamedArray]:
        """Does what `Mixer` says."""
        laid_out = _LaidOut(matrices)
        given = (*laid_out.arrays, *map(laid_out.queries, (gradient, total, offset)))
        backward = laid_out.on_each_device(partial(_backward, interpret=self.interpret), "qkkmqss", "qkk", self.partitioning)
        of_query, of_key, of_value = backward(*given)
        return laid_out.of_queries(of_query), laid_out.of_keys(of_key), laid_out.of_keys(of_value)


class _LaidOut:
    """Matrices in the one form that the kernels take, and the way back.

    Queries are (row, kv_head, slot, query, head_size), keys and values (row, kv_head, slot, key, head_size), what each query has
    one number of (row, kv_head, slot, query, 1), and what is visible int8 over (row, slot, query, key). Axes that are not there
    have one place, and lengths are filled up to a multiple of the lanes with what nothing sees.
    """

    def __init__(self, matrices: Matrices) -> None:
        self._matrices = matrices
        self._common = {axis.name: axis for axis in matrices.query.axes[:-2]}
        self.arrays = (self.queries(matrices.query), self._keys(matrices.key), self._keys(matrices.value), self._visible())

    def queries(self, array: NamedArray) -> jax.Array:
        """Lays out what there is of each query, over head_size or not."""
        has_size = any(axis.name == "head_size" for axis in array.axes)
        raw = array.array if has_size else array.array[..., None]
        return _filled(raw.reshape(*self._batch, *raw.shape[-2:]), 3)

    def of_queries(self, raw: jax.Array) -> NamedArray:
        """Undoes `queries`."""
        Query, HeadSize = self._matrices.query.axes[-2:]
        raw = raw[:, :, :, : Query.size]
        axes = (*self._common.values(), Query, *([HeadSize] if raw.shape[-1] == HeadSize.size else []))
        return hax.named(raw.reshape([axis.size for axis in axes]), axes)

    def of_keys(self, raw: jax.Array) -> NamedArray:
        """Undoes the layout of keys and values."""
        return hax.named(raw[:, :, :, : self._matrices.Key.size].reshape(self._matrices.key.array.shape), self._matrices.key.axes)

    def on_each_device(
        self, kernels: Callable[..., Any], given: str, made: str, partitioning: Partitioning | None
    ) -> Callable[..., Any]:
        """Returns the kernels for a mesh, since XLA cannot divide them.

        A letter tells what an array is: q of queries, s one number for each, k of keys, m what is visible.
        """
        if partitioning is None:
            return kernels
        over = dict(zip(self._common, partitioning.of_activation(tuple(self._common.values())).spec, strict=True))
        row, kv_head, slot = (over.get(name) for name in _BATCH)
        by_row = PartitionSpec(row, kv_head, slot, None, None)
        of_mask = PartitionSpec(*(at if self.arrays[3].shape[place] > 1 else None for place, at in ((0, row), (1, slot))))
        specs = {"q": by_row, "s": by_row, "k": by_row, "m": of_mask}
        return jax.shard_map(
            kernels,
            mesh=partitioning.mesh,
            in_specs=tuple(specs[kind] for kind in given),
            out_specs=tuple(specs[kind] for kind in made),
            check_vma=False,
        )

    @property
    def _batch(self) -> list[int]:
        return [self._common[name].size if name in self._common else 1 for name in _BATCH]

    def _keys(self, array: NamedArray) -> jax.Array:
        return _filled(array.array.reshape(*self._batch, *array.array.shape[-2:]), 3)

    def _visible(self) -> jax.Array:
        visible, Key = self._matrices.visible, self._matrices.Key
        over = [visible.resolve_axis(name) for name in ("row", "slot", QUERY) if name in {axis.name for axis in visible.axes}]
        sizes = {axis.name: axis.size for axis in over}
        raw = visible.rearrange((*over, Key)).array.reshape([*(sizes.get(name, 1) for name in ("row", "slot", QUERY)), Key.size])
        raw = _filled(raw.astype(jnp.int8), 3)
        return _filled(raw, 2) if QUERY in sizes else raw


def _filled(array: jax.Array, along: int) -> jax.Array:
    room = [(0, 0)] * array.ndim
    room[along] = (0, -array.shape[along] % _LANES)
    return jnp.pad(array, room)


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
        """Runs a kernel over the grid. Letters are those of `on_each_device`; everything that is made is float32."""
        from jax.experimental.pallas import tpu

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


def _forward(
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


def _backward(
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
