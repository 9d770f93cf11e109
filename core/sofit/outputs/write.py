"""Writing results.json, report.html and the model card once a run has ended."""

from typing import Any

from sofit.config import EvaluationConfig
from sofit.outputs.comparison import compare
from sofit.outputs.entries import same_evaluation
from sofit.outputs.files import JsonLines, as_json, write_text
from sofit.outputs.rendering import render
from sofit.outputs.report import deciding_evaluation, report_page
from sofit.outputs.results import demo_notice, example_counts, results_of
from sofit.run import Outcome, Run


def write_outputs(run: Run, outcome: Outcome) -> dict[str, Any]:
    """Writes results.json, report.html and README.md, and returns the results.

    Takes them from the lines that the run wrote into its folder (metrics.jsonl, evaluations.jsonl, predictions.jsonl), so that
    a resumed run is reported whole.

    Raises:
        SofitError: a file cannot be written.
    """
    steps, evaluations, predictions = (
        JsonLines(run.folder / f"{name}.jsonl").read() for name in ("metrics", "evaluations", "predictions")
    )
    results = results_of(run, outcome, steps, evaluations)
    comparison = compare(evaluations, run.task.headline)
    deciding = deciding_evaluation(evaluations)
    judged = [entry for entry in predictions if deciding is not None and same_evaluation(entry, deciding)]
    card = {
        "results": results,
        "comparison": comparison,
        "decoding": _decoding(run.config.evaluation),
        "demo_notice": demo_notice(run.task),
        "description": run.task.description,
        "counts": example_counts(run),
    }
    write_text(run.folder / "results.json", as_json(results, indent=2) + "\n")
    write_text(run.folder / "report.html", report_page(run, results, comparison, steps, judged))
    write_text(run.folder / "README.md", render("README.md.jinja", card))
    return results


def _decoding(config: EvaluationConfig) -> str:
    if config.temperature == 0:
        return "greedy decoding"
    nucleus = f" and top-p {config.top_p:g}" if config.top_p < 1 else ""
    return f"drawn at temperature {config.temperature:g}{nucleus}"
