"""The folder of a run and its files: whose they are, and that what is written stays whole."""

import contextlib
import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sofit.config import Config
from sofit.errors import SofitError
from sofit.outputs import JsonLines, check_output, open_run_folder, write_text


def test_a_new_run_takes_the_first_free_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    lora, full = Config.model_validate({"lora": {}}), Config()
    with open_run_folder(lora) as first, open_run_folder(lora) as second, open_run_folder(full) as third:
        assert [str(first), str(second), str(third)] == ["runs/viggo-lora-1", "runs/viggo-lora-2", "runs/viggo-full-1"]


def test_a_folder_that_holds_a_run_is_not_written_over(tmp_path: Path):
    config = Config(out=str(tmp_path / "run"))
    with open_run_folder(config) as folder:
        (folder / "config.yaml").write_text("task: viggo\n")
    with pytest.raises(SofitError, match="--resume, or name another folder with --out"), open_run_folder(config):
        pass
    with open_run_folder(config, resume=True) as resumed:
        assert resumed == folder


@pytest.mark.parametrize("out", [None, "run", "."])
def test_a_folder_is_one_process_s_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str | None):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with open_run_folder(Config(out=out)) as folder:
        config = Config(out=str(folder))
        with pytest.raises(SofitError, match=f"Another process trains into {folder}\\..*--distributed"), open_run_folder(config):
            pass
        assert list(folder.iterdir()) == []
        (folder / "config.yaml").write_text("task: viggo\n")
        with pytest.raises(SofitError, match="Another process trains into"), open_run_folder(config, resume=True):
            pass
    with open_run_folder(config, resume=True):
        pass
    assert [path.name for path in tmp_path.rglob(".*.lock")] == []


def test_only_a_run_can_be_resumed(tmp_path: Path):
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "notes.txt").write_text("")
    for out, message in (
        (tmp_path / "some", "There is no run in .* to resume. It holds files, but no config.yaml. .* name another folder"),
        (tmp_path / "none", "There is no run in .* to resume. Leave --resume out"),
        (None, "name its folder with --out"),
    ):
        config = Config(out=None if out is None else str(out))
        with pytest.raises(SofitError, match=message), open_run_folder(config, resume=True):
            pass
    assert not (tmp_path / "none").exists()
    with pytest.raises(SofitError, match="holds files already, and no run"), open_run_folder(Config(out=str(tmp_path / "some"))):
        pass


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_new_folder_is_taken_away_unless_a_run_has_begun_in_it(tmp_path: Path, has_begun: bool):
    folder = tmp_path / "run"
    with contextlib.suppress(KeyboardInterrupt), open_run_folder(Config(out=str(folder))):
        (folder / "wandb").mkdir()
        if has_begun:
            (folder / "config.yaml").write_text("task: viggo\n")
        raise KeyboardInterrupt
    assert folder.exists() == has_begun


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    config = Config(out=str(tmp_path / "file" / "run"))
    with pytest.raises(SofitError, match=r"Cannot make the run folder .*file/run"), open_run_folder(config):
        pass


@pytest.fixture
def no_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Works in tmp_path as a user who may only read there."""
    monkeypatch.chdir(tmp_path)
    user = os.geteuid()
    (tmp_path / "run").mkdir()
    for folder in (tmp_path, tmp_path / "run"):
        folder.chmod(0o555)
    if user == 0:
        os.seteuid(65534)  # For root, the rights of a folder count for nothing.
    yield
    os.seteuid(user)
    tmp_path.chmod(0o755)


@pytest.mark.usefixtures("no_rights")
def test_a_folder_that_cannot_be_written_into_is_named_before_anything_is_loaded(caplog: pytest.LogCaptureFixture):
    with pytest.raises(SofitError, match="Cannot write into the run folder run: "), open_run_folder(Config(out="run")):
        pass
    assert "run cannot be locked, so nothing keeps another process from training into it: " in caplog.text


def test_a_file_keeps_its_content_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "results.json"
    write_text(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SofitError, match=r"Cannot write .*results\.json: No space left on device"):
        write_text(path, "new")
    assert path.read_text() == "old"


def test_a_link_stays_one_and_a_file_keeps_its_mode(tmp_path: Path):
    target, link = tmp_path / "target", tmp_path / "link"
    write_text(target, "old")
    target.chmod(0o600)
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink()
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("new", 0o600)


def test_a_pipe_takes_the_text_and_stays_one(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_text)
        write_text(pipe, "text")
        assert read.result(timeout=10) == "text"
    assert pipe.is_fifo()


def test_what_cannot_be_written_is_told_before_and_what_is_there_is_left_alone(tmp_path: Path):
    file = tmp_path / "predictions.jsonl"
    file.write_text("precious")
    check_output(file, "demo")
    for data in (str(tmp_path), str(file), file.as_uri()):
        with pytest.raises(SofitError, match="is among the data"):
            check_output(file, data)
    with pytest.raises(SofitError, match=r"Cannot write .*No such file or directory"):
        check_output(tmp_path / "none" / "predictions.jsonl", "demo")
    assert file.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("line", ['{"step": 3, "lo', "3"])
def test_a_broken_line_within_a_file_is_named(tmp_path: Path, line: str):
    lines = JsonLines(tmp_path / "metrics.jsonl")
    lines.path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 4}}\n')
    with pytest.raises(SofitError, match=r"metrics\.jsonl:2: this is (not JSON|no JSON object)"):
        lines.read()


def test_half_a_surrogate_pair_in_the_data_does_not_end_a_run(tmp_path: Path):
    lines = JsonLines(tmp_path / "predictions.jsonl")
    lines.append([{"input": "a\ud800b"}])
    assert lines.read() == [{"input": "a?b"}]


def test_a_line_that_a_crash_cut_off_is_no_entry(tmp_path: Path):
    lines = JsonLines(tmp_path / "metrics.jsonl")
    lines.append([{"step": 1}, {"step": 2, "loss": float("nan")}])
    with lines.path.open("a") as stream:
        stream.write('{"step": 3, "lo')
    assert lines.read() == [{"step": 1}, {"step": 2, "loss": None}]
    lines.keep(lambda entry: entry["step"] < 2)
    assert lines.path.read_text() == '{"step": 1}\n'


def test_a_line_may_be_cut_off_within_a_character(tmp_path: Path):
    lines = JsonLines(tmp_path / "predictions.jsonl")
    lines.append([{"output": "é"}, {"output": "é"}])
    content = lines.path.read_bytes()
    lines.path.write_bytes(content[: content.rindex("é".encode()) + 1])
    assert lines.read() == [{"output": "é"}]


def test_a_line_separator_in_an_output_does_not_cut_its_line(tmp_path: Path):
    lines = JsonLines(tmp_path / "predictions.jsonl")
    lines.append([{"output": "a\u2028b\x85c"}])
    assert lines.read() == [{"output": "a\u2028b\x85c"}]
