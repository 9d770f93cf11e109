"""`sofit compare`: results of several runs in one table."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sofit.cli.app import app
from sofit.cli.tables import show_scores
from sofit.outputs import compare_runs, read_results


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def results(task: str, overall: float, **more: Any) -> dict[str, Any]:
    def evaluation(when: str, step: int, constrained: bool, value: float) -> dict[str, Any]:
        metrics = {"overall_accuracy": value, "valid": 1.0}
        return {"when": when, "step": step, "split": "validation", "n": 714, "constrained": constrained, "metrics": metrics}

    evaluations = [
        evaluation("before", 0, False, 0.1),
        evaluation("after", 9, False, overall),
        evaluation("after", 9, True, 0.99),
    ]
    return {"task": task, "model": "tiny", "data": {"source": "rows", "demo": False}, "evaluations": evaluations, **more}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name, overall in (("full", 0.97), ("lora", 0.95)):
        (tmp_path / name).mkdir()
        content = results("viggo", overall, train={"steps": 9, "seconds": 90.0, "peak_memory_bytes": 2_340_000_000})
        (tmp_path / name / "results.json").write_text(json.dumps(content))
    (tmp_path / "base.json").write_text(json.dumps(results("viggo", 0.02)))
    return tmp_path


def compare(*arguments: Any) -> tuple[int, str]:
    outcome = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    return outcome.exit_code, outcome.output


def test_the_last_scores_of_each_run_stand_side_by_side(runs: Path) -> None:
    code, text = compare(runs / "base.json", runs / "full", runs / "lora", "--format", "markdown")
    assert code == 0
    rows = {cells[0]: cells[1:] for line in text.splitlines() if (cells := [cell.strip() for cell in line.split("|")[1:-1]])}
    assert rows["metric"] == ["base", "base, constrained", "full", "full, constrained", "lora", "lora, constrained"]
    assert rows["overall_accuracy"] == ["0.020", "0.990", "0.970", "0.990", "0.950", "0.990"]
    assert rows["training steps"] == ["–", "–", "9", "9", "9", "9"]
    assert rows["peak memory, GB"] == ["–", "–", "2.3", "2.3", "2.3", "2.3"]
    assert rows["training minutes"] == ["–", "–", "1.5", "1.5", "1.5", "1.5"]


def test_the_table_has_the_numbers_of_the_page(runs: Path) -> None:
    code, text = compare(runs / "full", runs / "lora")
    assert code == 0
    assert text.splitlines()[0] == "validation, 714 examples"
    assert ["overall_accuracy", "0.970", "0.990", "0.950", "0.990"] in [line.split() for line in text.splitlines()]


def test_scores_on_other_examples_are_marked(runs: Path) -> None:
    other = json.loads((runs / "base.json").read_text())
    for evaluation in other["evaluations"]:
        evaluation["n"] = 20
    other["data"]["source"] = "somewhere/other.jsonl"
    (runs / "other.json").write_text(json.dumps(other))
    code, text = compare(runs / "base.json", runs / "other.json", "--format", "markdown")
    assert code == 0
    rows = {cells[0]: cells[1:] for line in text.splitlines() if (cells := [cell.strip() for cell in line.split("|")[1:-1]])}
    assert rows["data"][::2] == [Path(json.loads((runs / "base.json").read_text())["data"]["source"]).name, "other.jsonl"]
    assert rows["examples"][::2] == ["validation, 714", "validation, 20"]
    assert "| data" not in compare(runs / "full", runs / "lora", "--format", "markdown")[1]


def test_runs_of_the_same_name_are_told_apart(runs: Path) -> None:
    (runs / "later").mkdir()
    (runs / "full").rename(runs / "later" / "lora")
    code, text = compare(runs / "lora", runs / "later" / "lora", "--format", "markdown")
    assert code == 0
    assert f"| {runs / 'lora'} |" in text
    assert f"| {runs / 'later' / 'lora'} |" in text


def test_what_cannot_be_compared_is_an_error_that_says_why(runs: Path) -> None:
    (runs / "sql.json").write_text(json.dumps(results("sql", 0.5)))
    (runs / "list.json").write_text("[]")
    (runs / "broken.json").write_text("{")
    (runs / "empty").mkdir()
    (runs / "unscored.json").write_text(json.dumps(results("viggo", 0.5) | {"evaluations": []}))
    for name, message in {
        "sql.json": "Only runs of one task can be compared",
        "list.json": "these are not the results of a run",
        "broken.json": "this is not JSON",
        "empty": "results.json: there is no such file",
        "unscored.json": "nothing was evaluated",
    }.items():
        code, text = compare(runs / "full", runs / name)
        assert code == 2
        assert message in text


def test_an_evaluation_that_lacks_something_is_named(runs: Path) -> None:
    broken = json.loads((runs / "base.json").read_text())
    del broken["evaluations"][1]["step"]
    (runs / "base.json").write_text(json.dumps(broken))
    code, text = compare(runs / "base.json")
    assert code == 2
    assert "base.json: evaluation 2 lacks step" in text


@pytest.mark.parametrize("width", [200, 80, 45])
def test_no_figure_is_cut_off_on_a_narrow_terminal(runs: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    paths = [runs / name for name in ("base.json", "full", "lora")]
    table = compare_runs({path.name: read_results(path) for path in paths})
    show_scores(table, is_demo=False)
    shown = terminal.getvalue()
    assert all(cell in shown for _, cells in table.rows for cell in cells)
    assert all(column in shown for column in table.columns)
