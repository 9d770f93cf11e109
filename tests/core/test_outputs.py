"""Laws of what a run leaves behind, and of the tables that show it."""

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from recorded_run import RecordedRun, make_report, make_run, make_step

from sofit.outputs import JsonLines, compare, tabulate, write_outputs
from sofit.outputs.breakdown import breakdown_tables
from sofit.outputs.errors_shown import worst_errors
from sofit.outputs.loss_curve import loss_curve, role_curves
from sofit.run import Outcome, Run


def finished_run(folder: Path, steps: int = 10, **settings: Any) -> tuple[Run, dict[str, Any]]:
    """Returns a run of the demo that got better, and its results."""
    recorded = RecordedRun(make_run(folder, last_step=steps, **settings))
    recorded.start()
    for constrained in (False, True):
        recorded.evaluate(make_report("before", 0, right=2, constrained=constrained))
    for step in range(1, steps + 1):
        recorded.step(step)
    for constrained in (False, True):
        recorded.evaluate(make_report("after", steps, right=17, constrained=constrained, junk="inform(name[<i>])"))
    return recorded.run, write_outputs(recorded.run, recorded.end())


def test_results_have_the_keys_that_scripts_rely_on(tmp_path: Path):
    _, results = finished_run(tmp_path)
    assert json.loads((tmp_path / "results.json").read_text()) == results
    assert {name: results[name] for name in ("task", "method", "model")} == {"task": "viggo", "method": "lora", "model": "tiny"}
    assert results["data"] == {"source": "demo", "demo": True, "counts": {"train": 1200, "validation": 20}}
    assert results["train"]["steps"] == 10
    assert results["train"]["examples_per_second"] == 15.5  # The median of 11 to 20.
    assert results["train"]["tokens"] == {"with_sharing": 20_000, "without_sharing": 160_000, "saved": 140_000}
    assert results["train"]["mfu"] == pytest.approx(0.555)  # The median of 0.51 to 0.60.
    assert results["peak_flops_per_second"] == 2e11
    first = results["evaluations"][0]
    occasion = {key: first[key] for key in ("when", "split", "n", "constrained")}
    assert occasion == {"when": "before", "split": "validation", "n": 20, "constrained": False}
    names = "function_name_accuracy attribute_set_accuracy attribute_value_accuracy overall_accuracy exact_match valid"
    assert set(names.split()) <= set(first["metrics"])
    assert first["metrics"]["exact_match"] == 0.1


def test_the_tables_have_the_numbers_of_the_results(tmp_path: Path):
    run, results = finished_run(tmp_path)
    table = compare(results["evaluations"], run.task.headline)
    assert table is not None
    assert table.columns == ("before", "before, constrained", "after", "after, constrained")
    assert dict(table.rows)["exact_match"] == ("0.100", "0.100", "0.850", "0.850")
    assert [name for name, _ in table.rows][: len(run.task.headline)] == list(run.task.headline)
    for name, cells in table.rows:
        assert "| " + " | ".join([name, *cells]) + " |" in (tmp_path / "README.md").read_text()
        assert re.search(rf"^{name} +{' +'.join(cells)}$", table.as_text(), re.MULTILINE)


def test_the_table_compares_the_first_evaluation_with_the_last(tmp_path: Path):
    entries = [
        {"when": when, "step": step, "constrained": False, "split": "validation", "n": 20, "metrics": {"valid": step / 10}}
        for when, step in (("before", 0), ("step", 5), ("step", 8))
    ]
    table = compare(entries)
    assert table is not None
    assert (table.columns, table.rows) == (("before", "step 8"), (("valid", ("0.000", "0.800")),))
    assert compare([]) is None


def test_a_metric_that_was_not_measured_is_a_dash():
    table = tabulate(
        {"a": {"split": "test", "n": 1, "metrics": {"x": 1.0}}, "b": {"split": "test", "n": 1, "metrics": {"y": 0.5}}}
    )
    assert table.rows == (("x", ("1.000", "–")), ("y", ("–", "0.500")))


def test_the_table_ends_with_what_the_grammar_had_to_say():
    alone = {"split": "test", "n": 1, "metrics": {"x": 0.5}, "details": {"new_tokens": 9}}
    constrained = {**alone, "details": {"mask_changed_share": 0.125, "mask_removed_mass": 0.5, "new_tokens": 9}}
    table = tabulate({"unconstrained": alone, "constrained": constrained})
    assert table.rows[1:] == (("mask_changed_share", ("–", "0.125")), ("mask_removed_mass", ("–", "0.500")))
    assert tabulate({"unconstrained": alone}).rows == (("x", ("0.500",)),)


class Page(HTMLParser):
    """Collects what a page asks for, and whether its elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_needs_nothing_but_itself(tmp_path: Path):
    finished_run(tmp_path)
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert page.addresses == []
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert "://" not in text
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text


def test_the_report_shows_what_happened(tmp_path: Path):
    finished_run(tmp_path)
    page = Page((tmp_path / "report.html").read_text())
    assert "Demo data. The plugin of task 'viggo' made these examples up." in page.text
    assert "8.0×" in page.text
    assert {"svg", "polyline"} <= set(page.tags)
    assert page.tags.count("article") == 3
    assert "After. Rows: expected. Columns: written." in page.text
    assert "train_batch_size: 16" in page.text


def test_the_report_shows_the_loss_of_each_role(tmp_path: Path):
    _, results = finished_run(tmp_path, steps=40)
    page = Page((tmp_path / "report.html").read_text())
    last = make_step(40).loss_by_role
    assert results["train"]["last_loss_by_role"] == dict(last)
    assert page.tags.count("polyline") == 4  # The loss, its running mean, and two roles.
    assert re.search(r"first \d.*value \d", page.text.replace("\n", " "))


def test_the_report_counts_the_errors_of_each_part(tmp_path: Path):
    _, results = finished_run(tmp_path)
    page = Page((tmp_path / "report.html").read_text())
    (attributes,) = (table for table in breakdown_tables(results["evaluations"][-1]["breakdown"]) if table.kind == "attribute")
    assert attributes.outcomes[0] == "right"
    assert "missing" in attributes.outcomes
    errors = [sum(counts[1:]) for _, counts in attributes.rows]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0
    shown = page.text[page.text.index("Errors by attribute") :]
    places = [shown.index(f"\n{name}") for name, _ in attributes.rows]
    assert places == sorted(places)


def test_the_report_escapes_what_a_model_wrote(tmp_path: Path):
    finished_run(tmp_path)
    page = Page((tmp_path / "report.html").read_text())
    assert "<i>" in page.text.replace("\n", "")
    assert "i" not in page.tags


def test_a_run_that_failed_before_its_first_step_is_reported(tmp_path: Path):
    run = make_run(tmp_path)
    results = write_outputs(run, Outcome(status="failed", step=0, reason="ValueError: <no>"))
    page = Page((tmp_path / "report.html").read_text())
    assert (results["train"]["status"], results["train"]["examples_per_second"]) == ("failed", None)
    assert results["evaluations"] == []
    assert "ValueError: <no>" in page.text
    assert "Training failed: ValueError: <no>." in (tmp_path / "README.md").read_text()


def test_the_model_card_has_a_header_that_the_hub_reads(tmp_path: Path):
    finished_run(tmp_path)
    _, header, body = (tmp_path / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(header) == {
        "base_model": "tiny",
        "library_name": "peft",
        "tags": ["sofit", "structured-output", "viggo"],
    }
    assert "> **Demo data.**" in body
    assert 'PeftModel.from_pretrained(base_model, "adapter")' in body


def test_only_what_is_wrong_is_shown_the_worst_first():
    def entry(name: str, output: str, score: float) -> dict[str, Any]:
        return {
            "id": name,
            "input": "",
            "target": "a b c",
            "output": output,
            "finished": True,
            "scores": {"f1": score, "note": "x"},
        }

    entries = [entry("right", "a b c", 1.0), entry("bad", "q", 0.0), entry("close", "a x c", 0.6), entry("as good", "a c b", 1.0)]
    shown = worst_errors(entries, ["f1"])
    assert [error.id for error in shown] == ["bad", "close"]
    assert shown[1].target == (("a ", False), ("b", True), (" c", False))
    assert shown[1].output == (("a ", False), ("x", True), (" c", False))


@pytest.mark.parametrize("count", [2, 19, 40, 5000])
def test_the_loss_curve_stays_inside_its_frame(count: int):
    drawing = loss_curve(range(1, count + 1), [3.0 / step for step in range(1, count + 1)])
    points = [tuple(map(float, pair.split(","))) for line in re.findall(r'points="([^"]*)"', drawing) for pair in line.split()]
    assert len(points) >= 2
    assert all(0 <= x <= 720 and 0 <= y <= 260 for x, y in points)
    assert len(drawing) < 20_000
    assert f"step {count}<" in drawing


@pytest.mark.parametrize("count", [2, 19, 40, 5000])
def test_the_curves_of_the_roles_stay_inside_their_frame(count: int):
    losses = [{"first": 3.0 / step, "<end>": 0.0, **({"value": 1e-3} if step % 2 else {})} for step in range(1, count + 1)]
    drawing = role_curves(range(1, count + 1), losses)
    points = [tuple(map(float, pair.split(","))) for line in re.findall(r'points="([^"]*)"', drawing) for pair in line.split()]
    assert all(0 <= x <= 720 and 0 <= y <= 260 for x, y in points)
    assert drawing.count("<polyline") == (2 if count == 2 else 3)
    assert "&lt;end&gt; 1e-05<" in drawing
    assert len(drawing) < 40_000


@pytest.mark.parametrize("losses", [[], [{}, {}], [{"a": 1.0}], [{"a": None}, {"a": 2.0}]])
def test_nothing_to_draw_makes_no_curves(losses: list[dict[str, float | None]]):
    assert role_curves(range(1, len(losses) + 1), losses) == ""


@pytest.mark.parametrize("losses", [[], [1.0], [float("nan"), 2.0]])
def test_fewer_than_two_losses_make_no_curve(losses: list[float]):
    assert loss_curve(range(1, len(losses) + 1), losses) == ""


@pytest.mark.parametrize("losses", [[1.0, 1.0], [0.0, 0.0], [float("nan"), 2.0, 1.0], [1e-9, 1e9]])
def test_any_losses_can_be_drawn(losses: list[float]):
    assert loss_curve(range(1, len(losses) + 1), losses).endswith("</svg>")


def test_lines_of_a_version_that_did_not_measure_mfu_are_reported_without_it(tmp_path: Path):
    run, _ = finished_run(tmp_path)
    lines = JsonLines(tmp_path / "metrics.jsonl")
    entries = [{key: value for key, value in line.items() if key != "mfu"} for line in lines.read()]
    lines.path.unlink()
    lines.append(entries)
    assert write_outputs(run, Outcome(status="finished", step=10))["train"]["mfu"] is None
    assert "of the machine's peak" not in html.unescape((tmp_path / "report.html").read_text())
