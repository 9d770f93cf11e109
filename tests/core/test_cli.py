"""The command line as its users meet it: in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tiny_runs import environment, heeding_ctrl_c, train_options, write_rows

from sofit import load_plugins
from sofit.config import Config
from sofit.outputs import JsonLines

TASKS = ", ".join(sorted(load_plugins().tasks))

Sofit = Callable[..., subprocess.CompletedProcess[str]]

BLOCKING = """
import time
from dataclasses import dataclass
from typing import ClassVar
from sofit import Example, Grammar, Scores, Task, hookimpl

@dataclass(frozen=True, kw_only=True)
class BlockingTask(Task):
    name: ClassVar[str] = "blocking"
    grammar: ClassVar[Grammar | None] = Grammar("blocking", 'start: "a"')

    def load(self, split):
        print("loading", flush=True)
        time.sleep(60)
        yield Example(id="1", input="a", target="a")

    def prompt(self, example):
        return "Write a: "

    def score(self, predictions):
        return Scores(metrics={})

@hookimpl
def sofit_register_tasks(register):
    register(BlockingTask)
"""


@pytest.fixture
def sofit(tmp_path: Path) -> Sofit:
    """Runs `sofit` in an empty folder."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sofit", *arguments]
        environment = {**os.environ, "TERM": "dumb", "COLUMNS": "200"}
        return subprocess.run(command, cwd=tmp_path, env=environment, input=stdin, capture_output=True, text=True, timeout=120)

    return run


def error(result: subprocess.CompletedProcess[str]) -> str:
    """Returns the one line of an error after "error: ", having checked that it is one."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--task", "vigo"], f"No task is called 'vigo'. Installed: {TASKS}. Did you mean 'viggo'?"),
        (["train", "--set", "trainer.sed=1"], "--set: unknown key 'trainer.sed'. Did you mean 'seed'?"),
        (
            ["train", "--steps", "0"],
            "command line: trainer.num_train_steps must be a whole number of at least 1, or null. Got 0.",
        ),
        (
            ["train", "--seed", str(2**63)],
            "command line: trainer.seed must be a whole number from 0 to below 9223372036854775808.",
        ),
        (["train", "--config", "none.yaml"], "There is no configuration file none.yaml."),
        (["train", "--plugin", "none.py"], "There is no plugin file none.py. --plugin takes the path of a Python file."),
        (["train", "--resume"], "--resume goes on with a run: name its folder with --out."),
        (["train", "--resume", "--out", "none"], "There is no run in none to resume. Leave --resume out to start one."),
        (
            ["config", "--set", "task_options.prompt_stile=long"],
            "Task 'viggo' has no option 'prompt_stile'. Options: data, demo_seed, prompt_style. Did you mean 'prompt_style'?",
        ),
        (["tasks", "vigo"], f"No task is called 'vigo'. Installed: {TASKS}. Did you mean 'viggo'?"),
        (["data", "export", "--data", "nowhere", "out.jsonl"], "There is no data at nowhere."),
        (
            ["generate", "--temperature", "-1", "x"],
            "command line: evaluation.temperature must be a number of at least 0. Got -1.",
        ),
        (["eval", "--top-p", "0"], "command line: evaluation.top_p must be a number above 0, at most 1. Got 0."),
        (["generate", "--seed", "3", "x"], "--top-p and --seed decide what is drawn, and at temperature 0 nothing is."),
        (["data", "export", "."], "Cannot write .: it is a folder."),
        (["validate", "x", "--grammar", "viggo", "--data", "demo"], "--data, --split and --set concern a task"),
        (["validate", "x", "--task", "viggo", "--data", "demo"], "--data and --split are read where each example has its own"),
        (["validate", "x", "--task", "sql", "--set", "task_options.skemas=x"], "Task 'sql' has no option 'skemas'."),
        (["grammar", "check", "sql", "--set", "task_options.skemas=x"], "Task 'sql' has no option 'skemas'."),
        (["validate", "x", "--grammar", "viggo", "--min-valid", "0.5", "--max-errors", "1"], "--min-valid needs all outputs"),
        (
            ["validate", "x", "--grammar", "viggo", "--statistics", "--output-format", "json"],
            "--output-format is how",
        ),
        (["generate", "-"], "The standard input holds no text"),
        (["plugin", "new", "x", "--out", "/proc/x"], "Cannot write /proc/x/pyproject.toml: "),
        (
            ["train", "--dry-run", "--flops-per-second", "0"],
            "--flops-per-second 0: give a number above 0, as in 300e12.",
        ),
        (["generate", "-", "text"], "Give texts, or - for the standard input, not both."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_one_line_and_exit_code_2(sofit: Sofit, arguments: list[str], message: str):
    assert error(sofit(*arguments)).startswith(message)


def test_a_missing_data_folder_leaves_no_run_behind(sofit: Sofit, tmp_path: Path):
    assert "nowhere" in error(sofit("train", "--data", "nowhere"))
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize("arguments", [["--debug", "tasks", "x"], ["tasks", "x", "--debug"]])
def test_debug_adds_the_traceback(sofit: Sofit, arguments: list[str]):
    result = sofit(*arguments)
    assert result.returncode == 2
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: No task is called 'x'.")


@pytest.mark.parametrize("arguments", [["trian"], ["train", "--method", "lor"], ["train", "--stepz", "3"], ["generate"]])
def test_a_misspelt_command_or_option_is_a_usage_error(sofit: Sofit, arguments: list[str]):
    result = sofit(*arguments)
    assert result.returncode == 2
    assert "Usage: sofit" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_broken_installed_plugin_is_a_warning(sofit: Sofit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    distribution = tmp_path / "broken-1.0.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (distribution / "entry_points.txt").write_text("[sofit]\nbroken = a_module_that_is_not_there\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = sofit("tasks")
    assert result.returncode == 0
    assert "viggo" in result.stdout
    assert result.stderr.startswith("warning: Plugin 'broken' of broken does not load and is left out: ModuleNotFoundError")


def interrupted(arguments: list[str], folder: Path) -> tuple[int, str]:
    """Starts `sofit`, presses Ctrl-C once it loads the data, and returns exit code and standard error."""
    (folder / "blocking.py").write_text(BLOCKING)
    command = [sys.executable, "-m", "sofit", *arguments, "--task", "blocking", "--plugin", "blocking.py"]
    with heeding_ctrl_c():
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        started = process.stdout.readline()
        time.sleep(0.1)  # It says so before it sleeps.
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert started == "loading\n", stderr
    return process.returncode, stderr


def test_ctrl_c_ends_in_one_line(tmp_path: Path):
    assert interrupted(["data", "export", "out.jsonl"], tmp_path) == (130, "interrupted\n")


def test_ctrl_c_says_how_to_go_on_with_a_run_that_has_begun(tmp_path: Path):
    assert interrupted(["train"], tmp_path) == (130, "interrupted\n")
    assert list((tmp_path / "runs").iterdir()) == []
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "config.yaml").write_text("task: blocking\n")
    code, stderr = interrupted(["train", "--resume", "--out", "begun"], tmp_path)
    assert (code, stderr) == (130, "interrupted. Go on with: sofit train --resume --out begun\n")


DROPPING = """
import os, signal
from sofit import hookimpl

class Finaliser:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(10))  # Where Python comes to the signal.

@hookimpl
def sofit_step_end(run, step):
    if step.step == 2:
        Finaliser()
"""
"""A plugin that presses Ctrl-C where Python drops exceptions."""


def test_ctrl_c_ends_a_training_where_python_drops_exceptions(tmp_path: Path, tiny_model_folder: Path):
    write_rows(tmp_path / "rows", 40)
    (tmp_path / "dropping.py").write_text(DROPPING)
    options = train_options(tiny_model_folder, "run", "--steps", "100", "--plugin", "dropping.py")
    with heeding_ctrl_c():
        result = subprocess.run(
            [sys.executable, "-m", "sofit", *options],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert result.returncode == 130, result.stderr
    assert "Exception ignored in" in result.stderr
    assert result.stderr.endswith("interrupted. Go on with: sofit train --resume --out run\n")
    assert [entry["step"] for entry in JsonLines(tmp_path / "run" / "metrics.jsonl").read()] == [1, 2]


def test_a_resumed_run_has_its_own_settings(sofit: Sofit, tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("task: viggo\ntrainer: {sede: 1}\n")
    assert "run/config.yaml:2: unknown key 'trainer.sede'" in error(sofit("train", "--resume", "--out", "run"))


def test_a_run_folder_as_the_model_brings_the_settings_of_the_run(sofit: Sofit, tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("task: viggo\ntask_options: {prompt_stile: short}\n")
    assert "no option 'prompt_stile'" in error(sofit("eval", "--model", "run"))
    assert "no option 'prompt_stile'" in error(sofit("generate", "--model", "run", "text"))
    assert "No task is called 'other'" in error(sofit("eval", "--model", "run", "--task", "other"))


def test_the_printed_settings_are_those_of_the_options(sofit: Sofit, tmp_path: Path):
    (tmp_path / "settings.yaml").write_text("trainer: {seed: 1, train_batch_size: 2}\nlora: {r: 4}\n")
    options = ["--config", "settings.yaml", "--set", "trainer.seed=7", "--data", "my_data", "--method", "lora", "--steps", "5"]
    result = sofit("config", *options)
    config = Config.model_validate(yaml.safe_load(result.stdout))
    assert config.lora is not None
    assert config.trainer.num_train_steps == 5
    assert (config.trainer.seed, config.trainer.train_batch_size, config.data, config.lora.r) == (7, 2, "my_data", 4)
    assert "# Examples in one step." in result.stdout
    assert (result.returncode, result.stderr) == (0, "")


def test_the_options_of_a_task_are_listed(sofit: Sofit):
    listed = sofit("tasks", "viggo").stdout
    assert re.search(r"^data +'demo' +demo, a folder, a file, or hf:NAME$", listed, re.MULTILINE)
    assert re.search(r"^prompt_style +'long' ", listed, re.MULTILINE)


def test_the_grammars_are_listed_with_where_they_come_from(sofit: Sofit):
    assert re.search(r"^viggo +sofit-jax$", sofit("grammars").stdout, re.MULTILINE)


def test_exported_rows_have_an_instruction_an_input_and_an_output(sofit: Sofit, tmp_path: Path):
    result = sofit("data", "export", "--task", "viggo", "train.jsonl")
    assert (result.returncode, result.stderr) == (0, "1200 examples written to train.jsonl\n")
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert {tuple(row) for row in rows} == {("instruction", "input", "output")}
    assert len({row["instruction"] for row in rows}) == 1
    again = sofit("data", "export", "--task", "viggo", "--data", "train.jsonl", "-")
    exported = [json.loads(line) for line in again.stdout.splitlines()]
    assert len(exported) == 1080  # A tenth of a single file is held out.
    assert all(row in rows for row in exported)
    assert "train.jsonl is among the data of train.jsonl" in error(
        sofit("data", "export", "--task", "viggo", "--data", "train.jsonl", "train.jsonl")
    )
    address = (tmp_path / "train.jsonl").as_uri()
    assert "is among the data" in error(sofit("data", "export", "--task", "viggo", "--data", address, "train.jsonl"))
    assert "is among the data" in error(sofit("eval", "--task", "viggo", "--data", "train.jsonl", "--predictions", "train.jsonl"))
    assert len((tmp_path / "train.jsonl").read_text().splitlines()) == 1200


def test_outputs_that_are_judged_by_the_demo_set_are_told_so(sofit: Sofit, tmp_path: Path):
    (tmp_path / "out.jsonl").write_text('{"id": "validation-0", "output": "SELECT"}\n')
    result = sofit("validate", "out.jsonl", "--task", "sql", "--statistics")
    assert result.returncode == 1
    assert result.stderr.startswith("warning: without --data the outputs are taken for those of the task's demo set.")


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["train"],
        ["eval"],
        ["generate"],
        ["validate"],
        ["inspect"],
        ["tasks"],
        ["grammars"],
        ["config"],
        ["data", "export"],
        ["grammar", "check"],
    ],
)
def test_every_command_explains_itself(sofit: Sofit, command: list[str]):
    result = sofit(*command, "--help")
    assert result.returncode == 0
    assert f"Usage: sofit {' '.join(command)}".strip() in result.stdout
    assert "Example: sofit" in result.stdout or not command


def test_a_notice_is_printed_once_whatever_logging_a_library_sets_up(tmp_path: Path):
    program = "import logging; from sofit.cli import main; logging.basicConfig(level='INFO'); main()"
    command = [sys.executable, "-c", program, "generate", "--task", "viggo", "--model", "some/model", "Was Portal any good?"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert result.stderr.count("Looking for some/model on the Hugging Face Hub.") == 1


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["validate", "outputs.txt", "--grammar", "viggo"], ["tasks"]]
)
def test_quick_commands_import_nothing_heavy(tmp_path: Path, arguments: list[str]):
    (tmp_path / "outputs.txt").write_text("inform(name[Portal])\n")
    command = [sys.executable, "-X", "importtime", "-m", "sofit", *arguments]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if line.startswith("import time:")}
    assert "sofit.cli.app" in imported
    heavy = {"jax", "numpy", "haliax", "transformers", "datasets", "torch", "llguidance", "fsspec", "sofit.config", "wandb"}
    assert imported & heavy == set()
