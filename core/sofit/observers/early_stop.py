"""Ends training once evaluations stop getting better."""

from collections.abc import Mapping
from typing import Any

from sofit.hookspecs import hookimpl
from sofit.outputs import JsonLines, evaluation_entry
from sofit.run import Report, Run, StepRecord


class EarlyStop:
    """Asks for an end after `patience` evaluations in a row that did not beat the best one before them."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self._scores: dict[int, float] = {}
        """The deciding score by step; that of the model alone where it was evaluated with the grammar too."""

    @hookimpl
    def sofit_train_start(self, run: Run, first_step: int) -> None:
        """Takes in what was evaluated before the run was interrupted."""
        for entry in JsonLines(run.folder / "evaluations.jsonl").read():
            if entry["step"] < first_step:
                self._take_in(run, entry)

    @hookimpl
    def sofit_evaluate_end(self, run: Run, report: Report) -> None:
        """Remembers the score."""
        self._take_in(run, evaluation_entry(report))

    @hookimpl
    def sofit_should_stop(self, run: Run, step: StepRecord) -> str | None:
        """Gives the reason once patience has run out."""
        scores = [self._scores[step] for step in sorted(self._scores)]
        best = max(scores, default=0.0)
        if not scores or len(scores) - 1 - scores.index(best) < self.patience:
            return None
        return f"{self.patience} evaluations in a row were not better than {best:.3f} (evaluation.patience)"

    def _take_in(self, run: Run, entry: Mapping[str, Any]) -> None:
        is_of_model_alone = not entry["constrained"] or entry["step"] not in self._scores
        if entry["when"] != "after" and is_of_model_alone:
            self._scores[entry["step"]] = run.deciding_score(entry["metrics"])
