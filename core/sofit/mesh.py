"""The mesh of devices that a configuration asks for, checked against the devices that there are and the model's sizes."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import jax
from jax.sharding import AxisType

from sofit.config import TrainerConfig
from sofit.errors import SofitError
from sofit.model import DecoderConfig
from sofit.model.partitioning import DATA, MODEL, Device, Partitioning

# The query heads of one key/value head stay together, so that attention needs nothing from another device.
_SPLIT_BY = {"mlp": "mlp", "heads": "kv_head"}


def make_partitioning(
    config: TrainerConfig, model: DecoderConfig, devices: Sequence[Device] | None = None
) -> Partitioning | None:
    """Returns how the model lies over the devices, all of them unless given; None for a single one, which needs no mesh.

    Raises:
        SofitError: the mesh does not fit the devices, or a size of the model does not divide by its mesh axis.
    """
    found = list(devices) if devices is not None else jax.devices()
    sizes = _mesh_sizes(config.mesh, len(found))
    if len(found) == 1:
        return None
    fsdp_axis = config.fsdp_axis if sizes[DATA] > 1 else None
    tensor_parallel = config.tensor_parallel_axes if sizes[MODEL] > 1 else ()
    if sizes[MODEL] > 1 and not tensor_parallel:
        raise SofitError(
            f"trainer.mesh has {sizes[MODEL]} devices along axis 'model', but trainer.tensor_parallel_axes names nothing to"
            " split over them. Set it to [mlp, heads], or take the axis out of the mesh."
        )
    _check_sizes(model, sizes, fsdp_axis, tensor_parallel)
    mesh = jax.make_mesh((sizes[DATA], sizes[MODEL]), (DATA, MODEL), axis_types=(AxisType.Auto, AxisType.Auto), devices=found)
    return Partitioning(mesh, fsdp_axis, tuple(_SPLIT_BY[name] for name in tensor_parallel))


def _mesh_sizes(asked: Mapping[Any, int], device_count: int) -> dict[str, int]:
    """Returns the devices along both axes, with -1 filled in; an axis that is not asked for has 1."""
    sizes = {DATA: 1, MODEL: 1, **asked}
    given = prod(size for size in sizes.values() if size != -1)
    takes_rest = -1 in sizes.values()
    if device_count % given or (not takes_rest and device_count != given):
        shown = ", ".join(f"{name}: {size}" for name, size in asked.items())
        wanted = f"a multiple of {given} devices" if takes_rest and given > 1 else f"{given} device{'s' * (given != 1)}"
        remedy = "Set the sizes so that they multiply to that, with -1 on one axis for all devices that are left."
        raise SofitError(f"trainer.mesh {{{shown}}} needs {wanted}, and there {_are(device_count)}. {remedy}")
    return {name: device_count // given if size == -1 else size for name, size in sizes.items()}


def _are(device_count: int) -> str:
    return "is 1" if device_count == 1 else f"are {device_count}"


def _check_sizes(model: DecoderConfig, sizes: dict[str, int], fsdp_axis: str | None, tensor_parallel: Sequence[str]) -> None:
    if fsdp_axis is not None and model.embed_size % sizes[DATA]:
        raise SofitError(
            f"The model's embed axis, {model.embed_size}, does not divide by the {sizes[DATA]} devices along mesh axis 'data'."
            f" {_sizes_that_fit(model.embed_size, DATA)}, or trainer.fsdp_axis to null, which keeps the parameters whole on each."
        )
    for name, size, what in (
        ("mlp", model.mlp_size, "mlp axis"),
        ("heads", model.num_kv_heads, "number of key/value heads"),
    ):
        if name in tensor_parallel and size % sizes[MODEL]:
            raise SofitError(
                f"The model's {what}, {size}, does not divide by the {sizes[MODEL]} devices along mesh axis 'model'."
                f" {_sizes_that_fit(size, MODEL)}, or take {name!r} out of trainer.tensor_parallel_axes."
            )


def _sizes_that_fit(size: int, axis: str) -> str:
    fitting = [str(count) for count in range(1, min(size, 512) + 1) if size % count == 0]
    return f"Set trainer.mesh.{axis} to one of {', '.join(fitting[:12])}{', ...' * (len(fitting) > 12)}"
