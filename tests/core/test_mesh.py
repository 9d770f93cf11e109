"""A model that is spread over 8 simulated devices learns what it learns on one, and each device holds its part alone."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sharded_runs
from filelock import FileLock
from tiny_runs import environment

MESHES = [name for name in sharded_runs.MESHES if name != "one device"]
METHODS = ["lora", "full"]
BRIEFLY = {"lora": ("one device", "FSDP and tensor parallel"), "full": ()}
"""Adapters over the mesh that uses every axis; the slow tests train on all meshes, and all weights too."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came out of every mesh, by method; trained on were the meshes of `BRIEFLY`."""
    return {method: trained(method, BRIEFLY[method], tmp_path_factory) for method in METHODS}


@pytest.fixture(scope="module")
def all_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same, trained on every mesh."""
    return {method: trained(method, sharded_runs.TRAINED, tmp_path_factory) for method in METHODS}


def trained(method: str, meshes: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Returns what came out of one process with 8 devices, which the workers of a test run share."""
    shared = tmp_path_factory.getbasetemp().parent
    if "PYTEST_XDIST_WORKER" not in os.environ:
        shared = tmp_path_factory.getbasetemp()
    kept = shared / f"{method}-{len(meshes)}.json"
    with FileLock(f"{kept}.lock"):
        if not kept.exists():
            environ = environment(
                XLA_FLAGS="--xla_force_host_platform_device_count=8", PYTHONPATH=str(Path(sharded_runs.__file__).parent)
            )
            command = [sys.executable, sharded_runs.__file__, str(tmp_path_factory.mktemp("weights")), method, *meshes]
            result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=500)
            assert result.returncode == 0, result.stderr
            kept.write_text(result.stdout)
    return json.loads(kept.read_text())


def sizes_of(mesh: str) -> tuple[int, int]:
    """Returns the devices along `data` and along `model`."""
    devices, config = sharded_runs.MESHES[mesh]
    model = config.mesh.get("model", 1)
    model = devices // config.mesh.get("data", 1) if model == -1 else model
    return devices // model, model


def assert_same_training(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert len(found["losses"]) == 5
    for (loss, norm), (expected_loss, expected_norm) in zip(found["losses"], expected["losses"], strict=True):
        assert (loss, norm) == pytest.approx((expected_loss, expected_norm), rel=1e-5)
    assert max(found["differences"].values()) < 1e-5


def test_losses_and_weights_are_those_of_one_device(runs: dict[str, Any]) -> None:
    for mesh in BRIEFLY["lora"][1:]:
        assert_same_training(runs["lora"][mesh], runs["lora"]["one device"])


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mesh", sharded_runs.TRAINED[1:])
def test_losses_and_weights_are_those_of_one_device_over_every_mesh(all_runs: dict[str, Any], mesh: str, method: str) -> None:
    assert_same_training(all_runs[method][mesh], all_runs[method]["one device"])
    assert all_runs[method][mesh]["shardings_after"] == all_runs[method][mesh]["shardings"]


@pytest.mark.slow
def test_outputs_of_tensor_parallelism_alone_are_those_of_one_device(all_runs: dict[str, Any]) -> None:
    assert all_runs["lora"]["tensor parallel"]["outputs"] == all_runs["lora"]["one device"]["outputs"]


def test_outputs_are_those_of_one_device(runs: dict[str, Any]) -> None:
    outputs = runs["lora"]["FSDP and tensor parallel"]["outputs"]
    assert outputs == runs["lora"]["one device"]["outputs"]
    assert max(map(len, outputs)) > 4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mesh", MESHES)
def test_every_large_array_is_split_as_the_mesh_says_and_stays_so(runs: dict[str, Any], mesh: str, method: str) -> None:
    config, (data, model) = sharded_runs.MESHES[mesh][1], sizes_of(mesh)
    split = {"mlp": model if "mlp" in config.tensor_parallel_axes else 1}
    split["kv_head"] = model if "heads" in config.tensor_parallel_axes else 1
    split["embed"] = data if config.fsdp_axis else 1
    result = runs[method][mesh]
    large = 0
    for name, axes in result["shardings"].items():
        assert {axis: size // part for axis, size, part in axes if size != part} == {
            axis: split[axis] for axis, *_ in axes if split.get(axis, 1) > 1
        }, name
        large += any(axis in split for axis, *_ in axes)
    assert large > 30
    assert result.get("shardings_after", result["shardings"]) == result["shardings"]


@pytest.mark.parametrize("method", METHODS)
def test_the_bytes_on_a_device_fall_as_the_mesh_grows(runs: dict[str, Any], method: str) -> None:
    taken = {mesh: result["bytes"] for mesh, result in runs[method].items()}
    assert taken["data parallel"] == taken["one device"]
    assert taken["FSDP"] < 0.3 * taken["one device"] < taken["FSDP on 2"] < 0.6 * taken["one device"]
    assert taken["tensor parallel"] < taken["mlp alone"] < taken["one device"]
    assert taken["data and tensor parallel"] == taken["tensor parallel"]
    assert taken["FSDP and tensor parallel"] < 0.3 * taken["one device"]


def test_rows_lie_over_the_data_axis(runs: dict[str, Any]) -> None:
    for mesh in BRIEFLY["lora"][1:]:
        (data, _), found = sizes_of(mesh), runs["lora"][mesh]
        assert all(rows % data == 0 for rows in found["rows"]), mesh
        assert found["rows_on_a_device"] == [rows // data for rows in found["rows"]]
