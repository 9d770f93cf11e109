"""Several processes train as one does, end together, and leave a run that any number of them can go on with."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tiny_runs import environment, heeding_ctrl_c, json_lines, set_options

Processes = list[subprocess.Popen[str]]


@contextlib.contextmanager
def started(folder: Path, arguments: Sequence[str], count: int) -> Iterator[Processes]:
    """Starts `sofit train` in processes that find each other on loopback, and ends what is left of them."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    command = [sys.executable, "-m", "sofit", "train", *arguments]
    if count > 1:
        command += ["--coordinator", address, "--num-processes", str(count)]
    with heeding_ctrl_c():
        processes = [
            subprocess.Popen(
                [*command, *(["--process-id", str(index)] if count > 1 else [])],
                cwd=folder,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for index in range(count)
        ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def train(folder: Path, arguments: Sequence[str], count: int) -> list[tuple[str, str]]:
    """Trains in `count` processes and returns what each wrote to its standard output and error."""
    with started(folder, arguments, count) as processes:
        written = [process.communicate(timeout=300) for process in processes]
        assert [process.returncode for process in processes] == [0] * count, written
    return written


def arguments_for(model: Path, data: Path, out: str, **settings: object) -> list[str]:
    """Returns the options of a short run on ViGGO's own rows."""
    options = ["--task", "viggo", "--data", str(data), "--model", str(model), "--out", out]
    few = {"trainer__num_train_steps": 4, "trainer__checkpoint_every": 2, "evaluation__before": "false"}
    return [*options, *set_options(**{**few, **settings})]


@pytest.fixture
def rows(shared_data: Path, tmp_path: Path) -> Path:
    """The first rows of ViGGO itself."""
    folder = tmp_path / "rows"
    folder.mkdir()
    for split, count in (("train", 40), ("validation", 2)):
        with (shared_data / "viggo" / f"{split}.csv").open(encoding="utf-8", newline="") as lines:
            (folder / f"{split}.csv").write_text("".join(islice(lines, count + 1)), encoding="utf-8", newline="")
    return folder


def assert_same_runs(one: Path, other: Path) -> None:
    """Checks that two runs had the same losses, weights and outputs."""
    for losses, others in zip(
        *([line["loss"] for line in json_lines(run / "metrics.jsonl")] for run in (one, other)), strict=True
    ):
        assert losses == pytest.approx(others, rel=1e-5)
    for name in ("model/model.safetensors", "adapter/adapter_model.safetensors"):
        tensors, others = load_file(one / name), load_file(other / name)
        assert tensors.keys() == others.keys()
        for path, tensor in tensors.items():
            assert np.linalg.norm(tensor - others[path]) <= 1e-5 * np.linalg.norm(others[path]), path
    assert [line["output"] for line in json_lines(one / "predictions.jsonl")] == [
        line["output"] for line in json_lines(other / "predictions.jsonl")
    ]


@pytest.mark.slow
def test_two_processes_train_as_one_and_only_the_first_writes_and_talks(
    tiny_model_folder: Path, rows: Path, tmp_path: Path
) -> None:
    (_, talk), (output, silence) = train(tmp_path, arguments_for(tiny_model_folder, rows, "two"), 2)
    assert "step 4/4" in talk
    assert [line for line in output.splitlines() if not line.startswith("[Gloo]")] == []
    assert "step" not in silence
    train(tmp_path, arguments_for(tiny_model_folder, rows, "one"), 1)
    assert_same_runs(tmp_path / "two", tmp_path / "one")


@pytest.mark.slow
def test_four_processes_train_as_one(tiny_model_folder: Path, rows: Path, tmp_path: Path) -> None:
    for count in (4, 1):
        train(tmp_path, arguments_for(tiny_model_folder, rows, str(count)), count)
    assert_same_runs(tmp_path / "4", tmp_path / "1")


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_killing_a_process_ends_the_other_and_the_run_goes_on_with_one(
    tiny_model_folder: Path, rows: Path, tmp_path: Path, killed: int
) -> None:
    arguments = arguments_for(tiny_model_folder, rows, "run", trainer__num_train_steps=60)
    with started(tmp_path, arguments, 2) as processes:
        wait_for_step(tmp_path / "run", 3)
        processes[killed].send_signal(signal.SIGKILL)
        start = time.monotonic()
        _, message = processes[1 - killed].communicate(timeout=60)
        assert time.monotonic() - start < 30
        assert processes[1 - killed].returncode not in (0, None)
        assert re.search(r"error|JAX distributed service", message), message
    losses = [line["loss"] for line in json_lines(tmp_path / "run" / "metrics.jsonl")]
    assert len(losses) < 60
    train(tmp_path, ["--resume", "--out", "run", "--steps", "60"], 1)
    train(tmp_path, arguments_for(tiny_model_folder, rows, "whole", trainer__num_train_steps=60), 1)
    resumed, whole = ([line["loss"] for line in json_lines(tmp_path / name / "metrics.jsonl")] for name in ("run", "whole"))
    assert resumed == pytest.approx(whole, rel=1e-4)


@pytest.mark.slow
def test_an_error_in_one_process_ends_the_other_with_the_same_words(tiny_model_folder: Path, rows: Path, tmp_path: Path) -> None:
    arguments = arguments_for(tiny_model_folder, rows, "run", trainer__num_train_steps=1000)
    with started(tmp_path, arguments, 2) as processes:
        wait_for_step(tmp_path / "run", 1)
        processes[1].send_signal(signal.SIGINT)
        messages = [process.communicate(timeout=30)[1] for process in processes]
    assert [process.returncode for process in processes] == [130, 130]
    assert all("error: process 1: interrupted" in message for message in messages)


def wait_for_step(run: Path, step: int) -> None:
    """Waits until a run has taken a step."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        if (run / "metrics.jsonl").exists() and len(json_lines(run / "metrics.jsonl")) >= step:
            return
        time.sleep(0.1)
    raise AssertionError(f"{run} took no {step} steps")
