"""Writes down what happens in a run as it happens: config.yaml, metrics.jsonl, evaluations.jsonl and predictions.jsonl."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from sofit.config_reference import as_yaml
from sofit.hookspecs import hookimpl
from sofit.outputs import JsonLines, evaluation_entry, installed_versions, prediction_entries, same_evaluation, write_text
from sofit.run import Report, Run, StepRecord


class RunFiles:
    """Keeps the files of the run folder; a resumed run goes on with them as if it had never stopped."""

    @hookimpl(tryfirst=True)  # The other observers read these files.
    def sofit_train_start(self, run: Run, first_step: int) -> None:
        """Writes config.yaml, and cuts what an interrupted run wrote after the checkpoint that it goes on from."""
        versions = ", ".join(f"{name} {version}" for name, version in installed_versions().items())
        write_text(run.folder / "config.yaml", as_yaml(run.config, f"The settings of a run made with {versions}."))
        JsonLines(run.folder / "metrics.jsonl").keep(lambda entry: entry["step"] < first_step)

        def still_holds(entry: Mapping[str, Any]) -> bool:
            return entry["step"] < first_step and entry["when"] != "after"

        JsonLines(run.folder / "evaluations.jsonl").keep(still_holds)
        JsonLines(run.folder / "predictions.jsonl").keep(still_holds)

    @hookimpl
    def sofit_step_end(self, run: Run, step: StepRecord) -> None:
        """Adds a line to metrics.jsonl."""
        JsonLines(run.folder / "metrics.jsonl").append([dataclasses.asdict(step)])

    @hookimpl
    def sofit_evaluate_end(self, run: Run, report: Report) -> None:
        """Adds the evaluation and its predictions; a repeated evaluation takes the place of the earlier one."""
        entry = evaluation_entry(report)
        evaluations, predictions = JsonLines(run.folder / "evaluations.jsonl"), JsonLines(run.folder / "predictions.jsonl")
        if any(same_evaluation(entry, earlier) for earlier in evaluations.read()):
            evaluations.keep(lambda earlier: not same_evaluation(entry, earlier))
            predictions.keep(lambda earlier: not same_evaluation(entry, earlier))
        predictions.append(prediction_entries(report))
        evaluations.append([entry])
