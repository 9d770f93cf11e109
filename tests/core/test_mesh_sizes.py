"""A mesh that does not fit the devices or the model is an error that says what would."""

from typing import Any

import jax
import pytest
from random_models import torch_model

from sofit import SofitError
from sofit.config import TrainerConfig
from sofit.mesh import make_partitioning
from sofit.model import DecoderConfig

MODEL = DecoderConfig.from_hf(torch_model("smollm2").config.to_dict())
"""Axes: embed 32, mlp 48, 2 key/value heads."""


def test_one_device_needs_no_mesh() -> None:
    assert make_partitioning(TrainerConfig(), MODEL, jax.devices()[:1]) is None


@pytest.mark.parametrize(
    ("mesh", "devices", "message"),
    [
        ({"data": 3}, 8, r"trainer.mesh {data: 3} needs 3 devices, and there are 8. Set the sizes so that they multiply to that"),
        ({"data": 4, "model": 4}, 8, r"trainer.mesh {data: 4, model: 4} needs 16 devices, and there are 8."),
        ({"data": -1, "model": 3}, 8, r"trainer.mesh {data: -1, model: 3} needs a multiple of 3 devices, and there are 8."),
        ({"data": 2}, 1, r"trainer.mesh {data: 2} needs 2 devices, and there is 1."),
    ],
)
def test_a_mesh_that_does_not_fit_the_devices_is_named(mesh: Any, devices: int, message: str) -> None:
    config = TrainerConfig(mesh=mesh, tensor_parallel_axes=("mlp",))
    with pytest.raises(SofitError) as caught:
        make_partitioning(config, MODEL, jax.devices()[:1] * devices)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("settings", "devices", "message"),
    [
        (
            {"mesh": {"data": 5}},
            5,
            "The model's embed axis, 32, does not divide by the 5 devices along mesh axis 'data'. Set trainer.mesh.data to one"
            " of 1, 2, 4, 8, 16, 32, or trainer.fsdp_axis to null, which keeps the parameters whole on each.",
        ),
        (
            {"mesh": {"model": 4}, "tensor_parallel_axes": ("mlp", "heads")},
            4,
            "The model's number of key/value heads, 2, does not divide by the 4 devices along mesh axis 'model'. Set"
            " trainer.mesh.model to one of 1, 2, or take 'heads' out of trainer.tensor_parallel_axes.",
        ),
        (
            {"mesh": {"model": 5}, "tensor_parallel_axes": ("mlp",)},
            5,
            "The model's mlp axis, 48, does not divide by the 5 devices along mesh axis 'model'. Set trainer.mesh.model to one"
            " of 1, 2, 3, 4, 6, 8, 12, 16, 24, 48, or take 'mlp' out of trainer.tensor_parallel_axes.",
        ),
        (
            {"mesh": {"model": 2}},
            2,
            "trainer.mesh has 2 devices along axis 'model', but trainer.tensor_parallel_axes names nothing to split over them."
            " Set it to [mlp, heads], or take the axis out of the mesh.",
        ),
    ],
    ids=["embed", "heads", "mlp", "nothing to split"],
)
def test_a_size_that_does_not_divide_is_named_with_those_that_do(settings: dict, devices: int, message: str) -> None:
    with pytest.raises(SofitError) as caught:
        make_partitioning(TrainerConfig(**settings), MODEL, jax.devices()[:1] * devices)
    assert str(caught.value) == message
