"""What trackers are told of a run, by the names that their pages group by."""

import dataclasses

from sofit.run import Report, StepRecord


def step_figures(step: StepRecord) -> dict[str, float]:
    """Returns the figures of a step: "train/loss" and so on."""
    return {f"train/{name}": value for name, value in dataclasses.asdict(step).items() if name != "step"}


def evaluation_figures(report: Report) -> dict[str, float]:
    """Returns the metrics of an evaluation: "validation/exact_match", or "validation_constrained/exact_match"."""
    group = f"{report.split}_constrained" if report.constrained else report.split
    return {f"{group}/{name}": value for name, value in report.scores.metrics.items()}
