"""What trackers are told of a run, by the names that their pages group by."""

import dataclasses
from collections.abc import Mapping

from sofit.run import Report, StepRecord


def step_figures(step: StepRecord) -> dict[str, float]:
    """Returns the figures of a step: "train/loss", "train/loss_by_role/value" and so on."""
    figures: dict[str, float] = {}
    for name, value in dataclasses.asdict(step).items():
        if isinstance(value, Mapping):
            figures |= {f"train/{name}/{key}": part for key, part in value.items()}
        elif name != "step":
            figures[f"train/{name}"] = value
    return figures


def evaluation_figures(report: Report) -> dict[str, float]:
    """Returns the metrics of an evaluation: "validation/exact_match", or "validation_constrained/exact_match"."""
    group = f"{report.split}_constrained" if report.constrained else report.split
    return {f"{group}/{name}": value for name, value in report.scores.metrics.items()}
