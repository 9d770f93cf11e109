"""`sofit plugin new`: a package whose own tests pass at once and whose task trains."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tiny_runs import run_sofit
from typer.testing import CliRunner

from sofit.cli.app import app


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    result = run_sofit("plugin", "new", "door-bell", cwd=folder)
    assert "sofit-door-bell/src/sofit_door_bell/task.py" in result.stdout.split()
    return folder / "sofit-door-bell"


def test_its_own_tests_pass_at_once(package: Path):
    result = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=package, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert "7 passed" in result.stdout


def test_its_task_trains(package: Path, tiny_model_folder: Path, tmp_path: Path):
    plugin = package / "src" / "sofit_door_bell" / "task.py"
    options = ["--set", "trainer.train_batch_size=4", "--set", "evaluation.limit=2", "--set", "evaluation.max_new_tokens=8"]
    task = ["--task", "door-bell", "--plugin", str(plugin), "--model", str(tiny_model_folder)]
    result = run_sofit("train", *task, "--steps", "2", "--out", "run", *options, cwd=tmp_path)
    assert "exact_match" in result.stdout


def test_its_entry_point_leads_to_a_task_of_the_name(package: Path, tmp_path: Path):
    project = tomllib.loads((package / "pyproject.toml").read_text())
    entry_points = project["project"]["entry-points"]["sofit"]
    lines = ["[sofit]", *(f"{name} = {module}" for name, module in entry_points.items())]
    metadata = tmp_path / "sofit_door_bell-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['project']['name']}\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    path = os.pathsep.join([str(tmp_path), str(package / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    result = run_sofit("tasks", cwd=tmp_path, PYTHONPATH=path)
    assert "door-bell" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["viggo"], "sofit-jax has a task called 'viggo' already."),
        (["grammars"], "A package sofit_grammars is installed already."),
        (["My_Task"], "A task cannot be called 'My_Task'. Use small letters"),
        (["x", "--out", "."], ". is there already. Name another folder with --out"),
    ],
)
def test_what_cannot_be_written_is_said(arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["plugin", "new", *arguments])
    assert result.exit_code == 2
    assert f"error: {message}" in result.stderr
    assert list(tmp_path.iterdir()) == []
