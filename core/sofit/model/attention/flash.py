"""Attention to one context by kernels for a TPU, whose scores never leave the memory beside the units that make them.

FlashAttention-2 (Dao 2023, arXiv:2307.08691) with the softmax's sums of all contexts handed to the backward pass. Elsewhere than
on a TPU the kernels can only be interpreted, for tests.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import haliax as hax
import jax
import jax.numpy as jnp
from haliax import NamedArray
from jax.sharding import PartitionSpec

from sofit.model.attention.blocks import InBlocks
from sofit.model.attention.flash_kernels import LANES, mix_backward, mix_forward
from sofit.model.attention.matrices import LEAST_QUERIES, QUERY, Matrices
from sofit.model.partitioning import Partitioning

_BATCH = ("row", "kv_head", "slot")


@dataclass(frozen=True)
class InKernels:
    """A `Mixer` for TPUs. Few queries beside each other are taken in blocks instead."""

    partitioning: Partitioning | None = None
    """How rows and heads lie over several devices: each computes its own. None on one."""
    interpret: bool = False
    """Run the kernels step by step in JAX, on any device, very slowly."""

    def mix(self, matrices: Matrices) -> tuple[NamedArray, NamedArray]:
        """Does what `Mixer` says."""
        if matrices.Query.size < LEAST_QUERIES:
            return InBlocks().mix(matrices)
        laid_out = _LaidOut(matrices)
        forward = laid_out.on_each_device(partial(mix_forward, interpret=self.interpret), "qkkm", "qs", self.partitioning)
        mixed, logs = forward(*laid_out.arrays)
        return matrices.unflatten(laid_out.of_queries(mixed)), matrices.unflatten(laid_out.of_queries(logs))

    def mix_backward(
        self, matrices: Matrices, gradient: NamedArray, total: NamedArray, offset: NamedArray
    ) -> tuple[NamedArray, NamedArray, NamedArray]:
        """Does what `Mixer` says."""
        if matrices.Query.size < LEAST_QUERIES:
            return InBlocks().mix_backward(matrices, gradient, total, offset)
        laid_out = _LaidOut(matrices)
        given = (*laid_out.arrays, *map(laid_out.queries, (gradient, total, offset)))
        backward = laid_out.on_each_device(partial(mix_backward, interpret=self.interpret), "qkkmqss", "qkk", self.partitioning)
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
    room[along] = (0, -array.shape[along] % LANES)
    return jnp.pad(array, room)
