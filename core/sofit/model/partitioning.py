"""How arrays lie over a mesh of devices, told by the names of their axes.

The mesh axis `data` takes the rows of a batch, and one axis of every parameter (FSDP: Rajbhandari et al. 2020, arXiv:1910.02054);
`model` takes the heads and the inner axis of the feed-forward layer (tensor parallelism: Shoeybi et al. 2019, arXiv:1909.08053).
XLA adds the communication that follows from this (GSPMD: Xu et al. 2021, arXiv:2105.04663).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from haliax import Axis, NamedArray
from jax.sharding import Mesh, NamedSharding, PartitionSpec

DATA, MODEL = "data", "model"
"""The axes of a mesh."""
BATCH_AXES = ("row", "slot")
"""The axes of a batch that `data` may split: rows in training; slots in decoding, where there is one row."""

Tree = TypeVar("Tree")
Device = Any
"""A `jax.Device`, which is no type to a type checker."""


@dataclass(frozen=True)
class Partitioning:
    """A mesh, and which axes of the model it splits."""

    mesh: Mesh
    fsdp_axis: str | None
    """The axis of parameters and of their optimiser state that `data` splits; None leaves them whole on each device."""
    tensor_parallel_axes: tuple[str, ...]
    """The axes of parameters and of activations that `model` splits."""

    @property
    def data_size(self) -> int:
        """The devices along `data`: micro-batches have a multiple of it as rows."""
        return self.mesh.shape[DATA]

    def of_parameter(self, axes: Sequence[Axis]) -> NamedSharding:
        """Returns how a parameter with these axes lies, and its gradient and its optimiser state with it.

        An axis that does not divide, as that of the scales of a quantised weight may not, is left whole.
        """

        def mesh_axis(axis: Axis) -> str | None:
            is_fsdp = axis.name == self.fsdp_axis and axis.size % self.data_size == 0
            return DATA if is_fsdp else self._tensor_parallel(axis)

        return self._sharding(map(mesh_axis, axes))

    def of_activation(self, axes: Sequence[Axis]) -> NamedSharding:
        """Returns how an array of a batch lies: its tokens, what the layers make of them, or keys and values."""
        divisible = (axis for axis in axes if axis.name in BATCH_AXES and axis.size % self.data_size == 0)
        split = next(divisible, None)
        return self._sharding(DATA if axis == split else self._tensor_parallel(axis) for axis in axes)

    @property
    def replicated(self) -> NamedSharding:
        """How an array lies that every device has whole."""
        return self._sharding(())

    def place_parameters(self, tree: Tree) -> Tree:
        """Lays parameters, gradients or optimiser state over the mesh, inside jit or outside; arrays without names whole."""
        return self._place(tree, self.of_parameter)

    def place_batch(self, tree: Tree) -> Tree:
        """Lays the arrays of a batch, or activations, over the mesh, inside jit or outside."""
        return self._place(tree, self.of_activation)

    def place_shapes(self, tree: Tree) -> Tree:
        """Says of shapes without values (`jax.ShapeDtypeStruct`) how the parameters lie that they stand for."""

        def place(leaf: Any) -> Any:
            if not isinstance(leaf, NamedArray):
                return self._shape(leaf, self.replicated)
            # Where a part of a model leaves an array out, its axes are not to be had.
            is_there = hasattr(leaf.array, "shape")
            return NamedArray(self._shape(leaf.array, self.of_parameter(leaf.axes)), leaf.axes) if is_there else leaf

        return jax.tree.map(place, tree, is_leaf=lambda node: isinstance(node, NamedArray))

    def replicate(self, tree: Tree) -> Tree:
        """Gives every device the whole arrays, inside jit or outside."""
        return self._place(tree, lambda axes: self.replicated)

    def make(self, axes: Sequence[Axis], read: Callable[[Any], np.ndarray]) -> NamedArray:
        """Makes a parameter of the parts that this process's devices hold, each of which `read` returns for its place."""
        shape, sharding = tuple(axis.size for axis in axes), self.of_parameter(axes)
        return NamedArray(jax.make_array_from_callback(shape, sharding, read), tuple(axes))

    def _place(self, tree: Tree, sharding_of: Callable[[Sequence[Axis]], NamedSharding]) -> Tree:
        def place(leaf: Any) -> Any:
            if isinstance(leaf, NamedArray):
                return NamedArray(_placed(leaf.array, sharding_of(leaf.axes)), leaf.axes) if _is_array(leaf.array) else leaf
            return _placed(leaf, self.replicated) if _is_array(leaf) else leaf

        return jax.tree.map(place, tree, is_leaf=lambda node: isinstance(node, NamedArray))

    @staticmethod
    def _shape(array: Any, sharding: NamedSharding) -> Any:
        return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding) if hasattr(array, "shape") else array

    def _tensor_parallel(self, axis: Axis) -> str | None:
        divides = axis.size % self.mesh.shape[MODEL] == 0
        return MODEL if axis.name in self.tensor_parallel_axes and divides else None

    def _sharding(self, spec: Any) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(*spec))


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def _placed(array: jax.Array | np.ndarray, sharding: NamedSharding) -> jax.Array:
    if isinstance(array, jax.core.Tracer):
        return jax.lax.with_sharding_constraint(array, sharding)
    if jax.process_count() == 1 or (isinstance(array, jax.Array) and not array.is_fully_addressable):
        return jax.device_put(array, sharding)
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        data = _placed(jax.random.key_data(array), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
    # Every process has the whole array, and copies its own parts to its own devices.
    whole = np.asarray(array)
    return jax.make_array_from_callback(whole.shape, sharding, lambda place: whole[place])


def bytes_on_each_device(tree: Any) -> dict[Device, int]:
    """Returns the bytes that the arrays of a tree take on each device of this process."""
    found: dict[Device, int] = {}
    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, jax.Array):
            for shard in leaf.addressable_shards:
                found[shard.device] = found.get(shard.device, 0) + prod(shard.data.shape) * shard.data.dtype.itemsize
    return found
