"""Attention to all contexts in one call of cuDNN's kernel, on an NVIDIA GPU.

JAX's function for it gives no gradient of the softmax's sums, without which what each context gives alone cannot be merged in
training. So the keys of all contexts are laid beside each other, the prefix's again for each slot, and one call computes one
softmax over them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Literal

import haliax as hax
import jax
import jax.numpy as jnp
from haliax import Axis, NamedArray
from haliax.jax_utils import tree_checkpoint_name
from jax.sharding import PartitionSpec

from sofit.model.attention.context import Context
from sofit.model.attention.matrices import LEAST_QUERIES
from sofit.model.attention.merge import ATTENDED, attend
from sofit.model.partitioning import BATCH_AXES, DATA, Partitioning

_HEAD_AXES = ("kv_head", "group", "head_size")
_OneCall = Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]


@dataclass(frozen=True)
class Joined:
    """An `Attend` that takes all contexts at once. Few queries beside each other are taken in blocks instead."""

    implementation: Literal["cudnn", "xla"] = "cudnn"
    """xla: the same call, computed with all scores at once, on any device."""
    partitioning: Partitioning | None = None
    """How rows and heads lie over several devices: each computes its own. None on one."""

    def __call__(self, query: NamedArray, contexts: Sequence[Context]) -> NamedArray:
        """Does what `Attend` says."""
        beside = _Beside(query, contexts)
        if beside.queries < LEAST_QUERIES:
            return attend(query, contexts)
        one_call: _OneCall = partial(_one_call, self.implementation)
        if self.partitioning is not None:
            one_call = beside.on_each_device(one_call, self.partitioning)
        keys, values = beside.keys([one.key for one in contexts]), beside.keys([one.value for one in contexts])
        return tree_checkpoint_name(beside.named(one_call(beside.query(), keys, values, beside.visible())), ATTENDED)


def _one_call(
    implementation: Literal["cudnn", "xla"], query: jax.Array, key: jax.Array, value: jax.Array, visible: jax.Array
) -> jax.Array:
    return jax.nn.dot_product_attention(query, key, value, mask=visible, implementation=implementation)


class _Beside:
    """Queries and contexts as `jax.nn.dot_product_attention` takes them.

    Queries are (batch, query, head, head_size), keys and values (batch, key, kv_head, head_size), with the contexts' keys beside
    each other, and what is visible (batch, 1, query, key). The batch is made of all axes that queries share with any context.
    """

    def __init__(self, query: NamedArray, contexts: Sequence[Context]) -> None:
        self._query, self._contexts = query, contexts
        others = [axis for axis in query.axes if axis.name not in _HEAD_AXES]
        self._batch = [axis for axis in others if any(axis in one.key.axes for one in contexts)]
        self._own = [axis for axis in others if axis not in self._batch]
        self._heads = query.resolve_axis(_HEAD_AXES)
        self._count = prod(axis.size for axis in self._batch)
        self.queries = prod(axis.size for axis in self._own)

    def query(self) -> jax.Array:
        KVHead, Group, HeadSize = self._heads
        raw = self._query.rearrange((*self._batch, *self._own, *self._heads)).array
        return raw.reshape(self._count, self.queries, KVHead.size * Group.size, HeadSize.size)

    def named(self, raw: jax.Array) -> NamedArray:
        axes = (*self._batch, *self._own, *self._heads)
        return hax.named(raw.reshape([axis.size for axis in axes]), axes).rearrange(self._query.axes)

    def keys(self, arrays: Sequence[NamedArray]) -> jax.Array:
        KVHead, _, HeadSize = self._heads

        def spread(array: NamedArray, Key: Axis) -> jax.Array:
            whole = array.broadcast_axis([axis for axis in self._batch if axis not in array.axes])
            raw = whole.rearrange((*self._batch, Key, KVHead, HeadSize)).array
            return raw.reshape(self._count, Key.size, KVHead.size, HeadSize.size)

        both = zip(arrays, self._contexts, strict=True)
        return jnp.concatenate([spread(array, context.Key) for array, context in both], axis=1)

    def visible(self) -> jax.Array:
        over = (*self._batch, *self._own)

        def spread(context: Context) -> jax.Array:
            whole = context.visible.broadcast_axis([axis for axis in over if axis not in context.visible.axes])
            return whole.rearrange((*over, context.Key)).array.reshape(self._count, 1, self.queries, context.Key.size)

        return jnp.concatenate([spread(context) for context in self._contexts], axis=3)

    def on_each_device(self, one_call: _OneCall, partitioning: Partitioning) -> _OneCall:
        """Returns the call for a mesh, where each device computes its own rows and heads."""
        first = next((axis for axis in self._batch if axis.size > 1), None)
        is_split = first is not None and first.name in BATCH_AXES and first.size % partitioning.data_size == 0
        rows, heads = (DATA if is_split else None), partitioning.of_activation(self._heads[:1]).spec[0]
        by_head = PartitionSpec(rows, None, heads, None)
        in_specs = (by_head, by_head, by_head, PartitionSpec(rows))
        return jax.shard_map(one_call, mesh=partitioning.mesh, in_specs=in_specs, out_specs=by_head, check_vma=False)
