"""What is written down of an evaluation: one spelling for results.json, evaluations.jsonl and predictions.jsonl."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from sofit.run import Report


def evaluation_entry(report: Report) -> dict[str, Any]:
    """Returns an evaluation without its predictions."""
    return {
        **_occasion(report),
        "n": report.n,
        "metrics": dict(report.scores.metrics),
        "confusion": {expected: dict(found) for expected, found in report.scores.confusion.items()},
        "breakdown": {
            kind: {part: dict(outcomes) for part, outcomes in parts.items()} for kind, parts in report.scores.breakdown.items()
        },
        "seconds": report.seconds,
        "details": dict(report.details),
    }


def prediction_entries(report: Report) -> Iterator[dict[str, Any]]:
    """Yields every prediction of an evaluation with its own scores."""
    for prediction, scores in zip_longest(report.predictions, report.scores.per_example, fillvalue={}):
        assert not isinstance(prediction, Mapping), "the task scored more predictions than there are"
        yield {
            **_occasion(report),
            "id": prediction.example.id,
            "input": prediction.example.input,
            "target": prediction.example.target,
            "output": prediction.text,
            "finished": prediction.finished,
            "scores": scores,
        }


def same_evaluation(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two entries are of one evaluation, or of it and its repetition after `--resume`."""
    return all(one[key] == other[key] for key in ("when", "step", "split", "constrained"))


def _occasion(report: Report) -> dict[str, Any]:
    return {"when": report.when, "step": report.step, "split": report.split, "constrained": report.constrained}
