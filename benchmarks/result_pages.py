"""Keeps the results of runs beside the pages of docs/results, and writes the pages' tables and pictures from them.

    python benchmarks/result_pages.py store runs/viggo-full docs/results/viggo/full.json
    python benchmarks/result_pages.py write

A page says what it shows between two comments; the stored files are named without their suffix:

    <!-- scores viggo/base viggo/full viggo/lora -->     the table of `sofit compare`; of one run, before and after
    <!-- training viggo/full viggo/lora -->              what each run was and cost
    <!-- curves viggo/full -->                           the loss, whole and by role, as pictures
    <!-- confusion viggo/full -->                        classes expected and written, as a picture
    <!-- errors viggo/full -->                           how each part of the outputs fared
    <!-- end -->

Where a stored file is missing, the page says so below what there is. A test writes the pages anew and compares.
"""

import html
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sofit import Example, Prediction, load_plugins
from sofit.outputs import as_json, compare, compare_runs, read_results, write_text
from sofit.outputs.breakdown import breakdown_tables
from sofit.outputs.chart_frame import thin
from sofit.outputs.entries import same_evaluation
from sofit.outputs.files import JsonLines
from sofit.outputs.loss_curve import loss_curve, role_curves
from sofit.outputs.report import deciding_evaluation

PAGES = Path(__file__).parents[1] / "docs" / "results"
_BLOCK = re.compile(r"<!-- (scores|training|curves|confusion|errors) ([^>]+?) -->\n.*?<!-- end -->", re.DOTALL)
_STYLE = (
    "<style>text{font:12px system-ui,sans-serif;fill:#777}.grid{stroke:#8884}.loss{fill:none;stroke:#0b7e7e;stroke-width:2}"
    ".faint{stroke-width:1;opacity:.35}.role{fill:none;stroke-width:2}.cell{fill:#0b7e7e}</style>"
)
_CAPTIONS = {
    "loss": "loss over the steps",
    "roles": "loss by role over the steps",
    "confusion": "rows expected, columns written",
}
_CELL, _NAMES, _HEAD = 44, 170, 150
"""Pixels of the confusion matrix: of a cell, of the rows' names, of the columns' names."""


def store(run: Path) -> dict[str, Any]:
    """Returns what pages need of a run folder, or of what `sofit eval --format json` printed, without the machine's paths."""
    results = read_results(run)
    results.pop("model_source", None)
    results["model"] = Path(results["model"]).name
    results["data"]["source"] = Path(results["data"]["source"]).name
    if run.is_dir():
        results["evaluations"] = [_with_breakdown(entry, results["task"], run) for entry in results["evaluations"]]
        results["curves"] = [
            {
                "step": line["step"],
                "loss": _rounded(line["loss"]),
                "loss_by_role": {role: _rounded(loss) for role, loss in line.get("loss_by_role", {}).items()},
            }
            for line in thin(JsonLines(run / "metrics.jsonl").read())
        ]
    return results


def _with_breakdown(entry: dict[str, Any], task_name: str, run: Path) -> dict[str, Any]:
    """Counts the parts' outcomes from the predictions, where a run was made before evaluations had them."""
    if "breakdown" in entry:
        return entry
    task = load_plugins().task(task_name)()
    lines = [line for line in JsonLines(run / "predictions.jsonl").read() if same_evaluation(line, entry)]
    if not all(isinstance(line["input"], str) for line in lines):
        return entry
    predictions = [
        Prediction(example=Example(id=line["id"], input=line["input"], target=line["target"]), text=line["output"])
        for line in lines
    ]
    return {**entry, "breakdown": task.score(predictions).breakdown}


def _rounded(loss: float | None) -> float | None:
    return None if loss is None else float(f"{loss:.4g}")


def files_of(page: Path) -> dict[Path, str]:
    """Returns a page as its stored results have it, and the pictures in it, by path."""
    pictures: dict[Path, str] = {}

    def fill(match: re.Match[str]) -> str:
        kind, names = match[1], match[2].split()
        stored = {name: page.parent / f"{name}.json" for name in names}
        runs = {name: read_results(file) for name, file in stored.items() if file.is_file()}
        content = [_content(kind, runs, page, pictures)] if runs else []
        if missing := [name for name in names if name not in runs]:
            content.append(f"Not measured yet: {', '.join(missing)}.")
        shown = "\n\n".join(content)
        return f"<!-- {match[1]} {match[2]} -->\n{shown}\n<!-- end -->"

    text = _BLOCK.sub(fill, page.read_text(encoding="utf-8"))
    return {page: text, **pictures}


def _content(kind: str, runs: Mapping[str, dict[str, Any]], page: Path, pictures: dict[Path, str]) -> str:
    if kind == "scores":
        return _scores(runs)
    if kind == "training":
        return _training(runs)
    parts = []
    for name, results in runs.items():
        if kind == "curves":
            drawings = {"loss": _loss_curve(results), "roles": _role_curves(results)}
        elif kind == "confusion":
            drawings = {"confusion": _confusion(_judged(results).get("confusion", {}))}
        else:
            drawings = {}
            parts += [f"{table.as_markdown()}\n" for table in breakdown_tables(_judged(results).get("breakdown", {}))]
        for suffix, drawing in drawings.items():
            if drawing:
                pictures[page.parent / f"{name}-{suffix}.svg"] = _standalone(drawing)
                parts.append(f"![{Path(name).name}: {_CAPTIONS[suffix]}]({name}-{suffix}.svg)\n")
    return "\n".join(parts).rstrip()


def _judged(results: Mapping[str, Any]) -> Mapping[str, Any]:
    return deciding_evaluation(results["evaluations"]) or {}


def _scores(runs: Mapping[str, dict[str, Any]]) -> str:
    evaluations = [results["evaluations"] for results in runs.values()]
    table = compare(evaluations[0]) if len(runs) == 1 else None
    table = table or compare_runs({f"{name}.json": results for name, results in runs.items()})
    return f"{table.title.capitalize()}:\n\n{table.as_markdown()}"


def _training(runs: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        "| run | examples | steps | minutes | examples/s | peak memory, GB | last loss |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, results in runs.items():
        train, examples = results["train"], results["data"]["counts"].get("train", 0)
        lines.append(
            f"| {Path(name).name} | {examples:,} | {train['steps']} | {train['seconds'] / 60:.1f}"
            f" | {train['examples_per_second']:.2f} | {train['peak_memory_bytes'] / 1e9:.1f} | {train['last_loss']:.4f} |"
        )
    return "\n".join(lines)


def _loss_curve(results: Mapping[str, Any]) -> str:
    curves = results["curves"]
    losses = [float("nan") if line["loss"] is None else line["loss"] for line in curves]
    return loss_curve([line["step"] for line in curves], losses)


def _role_curves(results: Mapping[str, Any]) -> str:
    return role_curves([line["step"] for line in results["curves"]], [line["loss_by_role"] for line in results["curves"]])


def _confusion(confusion: Mapping[str, Mapping[str, int]]) -> str:
    """Draws a matrix of counts: a row for each class that was expected, a column for each that was written."""
    if not confusion:
        return ""
    columns = list(dict.fromkeys([*confusion, *(name for found in confusion.values() for name in found)]))
    parts = []
    for column, name in enumerate(columns):
        x = _NAMES + (column + 0.6) * _CELL
        parts.append(f'<text transform="translate({x:.0f},{_HEAD - 8}) rotate(-50)">{html.escape(name)}</text>')
    for row, (expected, found) in enumerate(confusion.items()):
        y, total = _HEAD + row * 28, sum(found.values())
        parts.append(f'<text x="{_NAMES - 8}" y="{y + 18}" text-anchor="end">{html.escape(expected)}</text>')
        for column, name in enumerate(columns):
            count, x = found.get(name, 0), _NAMES + column * _CELL
            parts.append(
                f'<rect class="cell" x="{x}" y="{y}" width="{_CELL - 2}" height="26" opacity="{0.06 + 0.5 * count / total:.2f}"/>'
            )
            if count:
                parts.append(f'<text x="{x + _CELL / 2 - 1:.0f}" y="{y + 18}" text-anchor="middle">{count}</text>')
    width, height = _NAMES + len(columns) * _CELL + 90, _HEAD + len(confusion) * 28 + 4
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Confusion matrix">{"".join(parts)}</svg>'


def _standalone(drawing: str) -> str:
    """Returns a drawing as a file of its own, with colours that show on light and dark ground."""
    opened, rest = drawing.split(">", 1)
    return f'{opened} xmlns="http://www.w3.org/2000/svg">{_STYLE}{rest}\n'


def main(arguments: Sequence[str]) -> None:
    match list(arguments):
        case ["store", run, target]:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            write_text(Path(target), as_json(store(Path(run)), indent=1) + "\n")
        case ["write"]:
            for page in sorted(PAGES.glob("*.md")):
                for path, content in files_of(page).items():
                    write_text(path, content)
        case _:
            print(__doc__)
            sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
