"""A run folder at an address has what the one on this machine has, and a run goes on from there on any machine."""

import re
from pathlib import Path

import fsspec
import pytest
from tiny_runs import json_lines, set_options, write_rows
from typer.testing import CliRunner

from sofit import SofitError
from sofit.cli import app
from sofit.outputs import open_remote_run
from sofit.outputs.remote import LIST_NAME, RemoteRun

INTERRUPTION = """
import os
from sofit import hookimpl

@hookimpl(trylast=True)
def sofit_step_end(run, step):
    if str(step.step) == os.environ.get("INTERRUPT_AFTER"):
        raise KeyboardInterrupt
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOFIT_CACHE", str(tmp_path / "machine"))
    return tmp_path / "machine"


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"memory://{tmp_path.name}/bucket/run"


def contents(address: str) -> dict[str, bytes]:
    filesystem, folder = fsspec.core.url_to_fs(address)
    found = {path.removeprefix(f"{folder}/"): filesystem.cat_file(path) for path in filesystem.find(folder)}
    found.pop(LIST_NAME)
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_sent_is_what_is_there_and_only_changes_are_sent_again(machine: Path, address: str) -> None:
    run = RemoteRun.at(address)
    (run.local / "checkpoints" / "1").mkdir(parents=True)
    (run.local / "checkpoints" / "1" / "arrays").write_text("one")
    (run.local / "metrics.jsonl").write_text("a\n")
    run.send()
    assert contents(address) == files(run.local) == {"checkpoints/1/arrays": b"one", "metrics.jsonl": b"a\n"}

    (run.local / "checkpoints" / "1").rename(run.local / "checkpoints" / "2")
    with (run.local / "metrics.jsonl").open("a") as stream:
        stream.write("b\n")
    run.send()
    assert contents(address) == files(run.local) == {"checkpoints/2/arrays": b"one", "metrics.jsonl": b"a\nb\n"}
    filesystem, folder = fsspec.core.url_to_fs(address)
    before = {path: filesystem.info(path)["created"] for path in filesystem.find(folder)}
    run.send()
    changed = [path for path in before if filesystem.info(path)["created"] != before[path]]
    assert changed == [f"{folder}/{LIST_NAME}"]


def test_files_of_a_sending_that_was_cut_off_are_not_fetched(machine: Path, address: str) -> None:
    run = RemoteRun.at(address)
    run.local.mkdir(parents=True)
    (run.local / "config.yaml").write_text("task: viggo\n")
    run.send()
    filesystem, folder = fsspec.core.url_to_fs(address)
    filesystem.pipe_file(f"{folder}/checkpoints/latest/7/half", b"")
    again = RemoteRun.at(address)
    again.fetch()
    assert files(again.local) == {"config.yaml": b"task: viggo\n"}


def test_an_address_without_a_run_is_not_resumed(machine: Path, address: str) -> None:
    with pytest.raises(SofitError, match=r"There is no run in memory://.* to resume"):
        RemoteRun.at(address).fetch()


def test_what_was_never_sent_survives_resuming_where_nothing_is(machine: Path, address: str) -> None:
    run = RemoteRun.at(address)
    unsent = begin_a_run_that_cannot_be_sent(run)
    remedy = f"What was never sent is in {run.local}: --resume --out {run.local} goes on with it."
    with pytest.raises(SofitError, match=re.escape(remedy)):
        RemoteRun.at(address).fetch()
    assert files(run.local) == unsent
    result = CliRunner().invoke(app, ["train", "--resume", "--out", address])
    assert (result.exit_code, remedy in result.stderr) == (2, True)


@pytest.mark.parametrize("resume", [True, False])
def test_what_was_never_sent_is_set_aside_where_another_run_takes_its_place(
    machine: Path, address: str, caplog: pytest.LogCaptureFixture, resume: bool
) -> None:
    run = RemoteRun.at(address)
    if resume:
        run.clear()
        (run.local / "config.yaml").write_text("task: viggo\n")
        run.send()
    unsent = begin_a_run_that_cannot_be_sent(run)
    if not resume:
        with pytest.raises(SofitError, match="holds files already, and no run"), open_remote_run(address):
            pass
        filesystem, folder = fsspec.core.url_to_fs(address)
        filesystem.rm(folder, recursive=True)
    with open_remote_run(f"{address}/", resume=resume) as again:
        assert again.local == run.local
        assert files(again.local) == ({"config.yaml": b"task: viggo\n"} if resume else {})
        again.send()
    aside = run.local.with_name(f"{run.local.name}-unsent-1")
    assert f"Its files are in {aside} now: --resume --out {aside} goes on with it." in caplog.text
    assert files(aside) == unsent
    RemoteRun.at(address).fetch()  # All has been sent now, so there is nothing else to keep.
    assert sorted(path for path in run.local.parent.iterdir() if path.is_dir()) == sorted([aside, run.local])


def test_a_run_at_an_address_is_one_process_s_at_a_time(machine: Path, address: str) -> None:
    with (
        open_remote_run(address) as run,
        pytest.raises(SofitError, match=f"Another process trains into {run.local}"),
        open_remote_run(address),
    ):
        pass


def begin_a_run_that_cannot_be_sent(run: RemoteRun) -> dict[str, bytes]:
    """Writes files of a run whose address refuses them, and returns them."""
    run.local.mkdir(parents=True, exist_ok=True)
    (run.local / "config.yaml").write_text("task: viggo\n")
    (run.local / "model").mkdir()
    (run.local / "model" / "weights").write_text("the only copy")
    filesystem, folder = fsspec.core.url_to_fs(run.address)
    filesystem.pipe_file(f"{folder}/model", b"")  # Where a folder is to be.
    with pytest.raises(SofitError, match=f"cannot be written: .*The files of the run are in {run.local}"):
        run.send()
    filesystem.rm_file(f"{folder}/model")
    return files(run.local)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_a_run_is_resumed_on_another_machine_from_what_it_sent(
    machine: Path, address: str, tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "interruption.py").write_text(INTERRUPTION)
    asked = set_options(data=write_rows(tmp_path / "rows", 4), model=tiny_model_folder)
    asked += ["--steps", "4", "--set", "trainer.checkpoint_every=2", "--plugin", str(tmp_path / "interruption.py")]

    def sofit(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["train", *arguments])
        return f"{result.exit_code}: {result.output}"

    whole = tmp_path / "whole"
    assert sofit(*asked, "--out", str(whole)).startswith("0: ")
    monkeypatch.setenv("INTERRUPT_AFTER", "3")
    stopped = sofit(*asked, "--out", address)
    assert stopped.startswith("130: ")
    assert f"interrupted. Go on with: sofit train --resume --out {address}" in stopped
    assert "holds a run already" in sofit(*asked, "--out", address)

    monkeypatch.setenv("SOFIT_CACHE", str(tmp_path / "another machine"))
    monkeypatch.delenv("INTERRUPT_AFTER")
    resumed = sofit("--resume", "--out", address)
    assert resumed.startswith("0: ")
    assert f"Report: {address}/report.html" in resumed
    local = RemoteRun.at(address).local
    assert local.is_relative_to(tmp_path / "another machine")
    found = contents(address)
    assert found == files(local)
    assert f"out: {address}" in found["config.yaml"].decode()
    losses = [[line["loss"] for line in json_lines(folder / "metrics.jsonl")] for folder in (whole, local)]
    assert losses[0] == losses[1]
    assert found["adapter/adapter_model.safetensors"] == (whole / "adapter" / "adapter_model.safetensors").read_bytes()
