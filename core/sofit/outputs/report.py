"""report.html: a run on one page that needs nothing else, not even a network."""

from collections.abc import Mapping, Sequence
from typing import Any

from sofit.config_reference import as_yaml
from sofit.outputs.breakdown import breakdown_tables
from sofit.outputs.comparison import Comparison, occasion
from sofit.outputs.errors_shown import worst_errors
from sofit.outputs.loss_curve import loss_curve, role_curves
from sofit.outputs.rendering import render
from sofit.outputs.results import demo_notice
from sofit.outputs.times import duration
from sofit.run import Run


def report_page(
    run: Run,
    results: Mapping[str, Any],
    comparison: Comparison | None,
    steps: Sequence[Mapping[str, Any]],
    predictions: Sequence[Mapping[str, Any]],
) -> str:
    """Returns the page.

    Args:
        run: the run.
        results: what results.json holds.
        comparison: the table before and after.
        steps: the lines of metrics.jsonl.
        predictions: the lines of predictions.jsonl of the evaluation that `deciding_evaluation` returns.
    """
    judged = deciding_evaluation(results["evaluations"])
    confusion = judged["confusion"] if judged else {}
    values = {
        "results": results,
        "comparison": comparison,
        "demo_notice": demo_notice(run.task),
        "figures": _figures(results),
        "curve": loss_curve([step["step"] for step in steps], [_number(step["loss"]) for step in steps]),
        "role_curves": role_curves([step["step"] for step in steps], [step.get("loss_by_role", {}) for step in steps]),
        "confusion": confusion,
        # The expected classes first, so that right answers stand on the diagonal; then whatever else was written.
        "confusion_columns": list(dict.fromkeys([*confusion, *(name for found in confusion.values() for name in found)])),
        "breakdowns": breakdown_tables(judged.get("breakdown", {}) if judged else {}),
        "errors": worst_errors(predictions, list(judged["metrics"]) if judged else []),
        "judged": occasion(judged["when"], judged["step"], judged["constrained"]) if judged else "",
        "config": as_yaml(run.config),
    }
    return render("report.html.jinja", values)


def deciding_evaluation(evaluations: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Returns the last evaluation, the one without the grammar where there are two: it shows what the model learnt itself."""
    if not evaluations:
        return None
    last = evaluations[-1]
    together = [entry for entry in evaluations if (entry["when"], entry["step"]) == (last["when"], last["step"])]
    return min(together, key=lambda entry: entry["constrained"])


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _figures(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the figures to show large, a caption and a value each; those that were not measured are left out."""
    train, tokens = results["train"], results["train"]["tokens"]
    figures = [("steps", f"{train['steps']:,}")]
    if train["examples_per_second"] is not None:
        figures.append(("examples a second", f"{train['examples_per_second']:.3g}"))
        figures.append(("time of the steps", duration(train["seconds"])))
    if train.get("mfu") is not None:
        figures.append(("of the machine's peak", f"{train['mfu']:.0%}"))
    if tokens.get("with_sharing") and tokens.get("without_sharing"):
        figures.append(("fewer tokens by shared prefixes", f"{tokens['without_sharing'] / tokens['with_sharing']:.1f}×"))
    if train["last_loss"] is not None:
        figures.append(("last loss", f"{train['last_loss']:.4f}"))
    return figures
