"""What `sofit train` says of a run that cannot start."""

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_runs import environment, train_options, write_rows
from typer.testing import CliRunner

from sofit.cli.app import app

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which has data."""
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "rows", 4)
    return tmp_path


def error_of(*arguments: str) -> str:
    """Runs `sofit` in this process, and returns its error, having checked that it is one and no traceback."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 2, result.stderr
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.stderr
    assert result.stderr.count("error: ") == 1
    return result.stderr.partition("error: ")[2]


GOOD = "inform(name[Doom]),Doom is a game."
BAD = "infrm(name[Doom]),What is it?"


@pytest.mark.parametrize(
    ("split", "name", "content", "message"),
    [
        ("train", "train.csv", f"mr,ref\n{GOOD}\ninform(name[Doom]),Doom, a game.\n", "train.csv:3: the row has 3 columns"),
        ("train", "train.jsonl", '{"input": "Doom.", "output": "inform(name[Doom])"}\n{"input": "D', "train.jsonl:2: not JSON"),
        ("train", "train.jsonl", '{"text": "Doom."}\n', "train.jsonl:1: "),
        ("train", "train.csv", f"mr,ref\n{GOOD}\n{BAD}\n{GOOD}\n", "1 of 3 train targets are not in the grammar of task 'viggo'"),
        ("validation", "validation.csv", f"mr,ref\n{BAD}\n{GOOD}\n", "1 of 2 validation targets are not in the grammar"),
    ],
    ids=["a CSV row", "a JSONL row", "fields", "a target", "a held-out target"],
)
def test_a_bad_row_is_named_by_file_and_line(workplace: Path, split: str, name: str, content: str, message: str) -> None:
    (workplace / "rows" / f"{split}.csv").unlink()
    (workplace / "rows" / name).write_text(content)
    error = error_of("train", "--task", "viggo", "--data", "rows")
    assert message in error
    if BAD in content:
        assert f"rows/{name}:{2 if split == 'validation' else 3}: target 1:1: " in error
    assert not list((workplace / "runs").iterdir())


def test_a_row_that_is_too_long_is_named_and_never_cut(workplace: Path, tiny_model_folder: Path) -> None:
    message = error_of(*train_options(tiny_model_folder, "long", trainer__max_length=40))
    assert "rows/train.csv:2: " in message
    assert "more than trainer.max_length = 40" in message
    assert not (workplace / "long").exists()


def test_a_metric_that_does_not_exist_ends_the_run_before_its_first_step(workplace: Path, tiny_model_folder: Path) -> None:
    message = error_of(*train_options(tiny_model_folder, "metric", evaluation__metric="exact_mach"))
    assert "no metric is called 'exact_mach'" in message
    assert "Did you mean 'exact_match'?" in message
    assert not (workplace / "metric" / "metrics.jsonl").exists()


def test_a_model_that_is_not_there_is_an_error_that_lists_what_a_model_can_be(workplace: Path) -> None:
    message = error_of("train", "--data", "rows", "--model", "./no-model")
    assert message.startswith("There is no model './no-model'. A model is a short name")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "hf:GEM/viggo"], "Cannot reach the Hugging Face Hub for hf:GEM/viggo"),
        (
            ["--data", "rows", "--model", "org/name"],
            "There is no folder org/name. Cannot get org/name from the Hugging Face Hub",
        ),
    ],
)
def test_a_hub_out_of_reach_is_one_clear_error(workplace: Path, tmp_path: Path, options: list[str], message: str) -> None:
    changes = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-m", "sofit", "train", *options]
    result = subprocess.run(command, cwd=workplace, env=environment(**changes), capture_output=True, text=True, timeout=100)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith(f"error: {message}")
    assert result.stderr.count("error: ") == 1
