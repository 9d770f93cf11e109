"""A training run without a model: real observers on a real plugin manager, told of steps and of evaluations on the demo data."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pluggy

from sofit import Example, Prediction, load_plugins
from sofit.config import Config
from sofit.observers import builtin_observers
from sofit.run import EvaluationProgress, Outcome, Report, Run, StepRecord
from sofit_viggo.task import ViggoTask

TASK = ViggoTask()
EXAMPLES: Sequence[Example] = list(TASK.load("validation"))[:20]


def make_run(folder: Path, last_step: int = 10, **settings: Any) -> Run:
    """Returns a LoRA run of ViGGO's demo in a folder."""
    config = Config.model_validate({"lora": {}, **settings})
    counts = {"examples": {"train": 1200, "validation": 20}, "parameters": {"total": 100, "trained": 10}}
    info = {**counts, "peak_flops_per_second": 2e11}
    return Run(folder=folder, config=config, task=TASK, model_name="tiny", last_step=last_step, info=info)


def make_step(step: int) -> StepRecord:
    """Returns the figures of a step, the same ones whenever it is taken."""
    return StepRecord(
        step=step,
        loss=2.0 * math.exp(-step / 5),
        loss_by_role={"first": 4.0 * math.exp(-step / 5), "value": 1.5 * math.exp(-step / 5)},
        tokens_by_role={"first": 100, "value": 400},
        learning_rate=1e-3,
        gradient_norm=1.0,
        examples=16,
        completion_tokens=500,
        computed_tokens=2_000,
        example_tokens=16_000,
        examples_per_second=10.0 + step,
        seconds=1.5,
        mfu=0.5 + step / 100,
    )


def make_report(
    when: Literal["before", "step", "after"], step: int, right: int, *, constrained: bool = False, junk: str = "<b>no</b>"
) -> Report:
    """Returns an evaluation in which the first `right` of 20 outputs are right, and the others are junk."""
    predictions = [
        Prediction(example=example, text=example.target if index < right else junk, finished=index < right)
        for index, example in enumerate(EXAMPLES)
    ]
    return Report(
        when=when,
        step=step,
        split="validation",
        constrained=constrained,
        scores=TASK.score(predictions),
        predictions=predictions,
        seconds=2.0,
        details={"new_tokens": 700},
    )


@dataclass
class RecordedRun:
    """The hooks of a run, called as training calls them."""

    run: Run
    manager: pluggy.PluginManager = field(default_factory=lambda: load_plugins().manager)

    def __post_init__(self) -> None:
        for observer in builtin_observers(self.run):
            self.manager.register(observer)

    def start(self, first_step: int = 1) -> None:
        self.manager.hook.sofit_train_start(run=self.run, first_step=first_step)

    def step(self, step: int) -> str | None:
        """Takes a step and returns the reason to stop after it, if there is one."""
        record = make_step(step)
        self.manager.hook.sofit_step_end(run=self.run, step=record)
        return self.manager.hook.sofit_should_stop(run=self.run, step=record)

    def evaluate(self, report: Report) -> None:
        for done in range(report.n + 1):
            share = done / report.n
            progress = EvaluationProgress(
                when=report.when, step=report.step, constrained=report.constrained, done=done, n=report.n, share=share
            )
            self.manager.hook.sofit_evaluate_progress(run=self.run, progress=progress)
        self.manager.hook.sofit_evaluate_end(run=self.run, report=report)

    def end(self, outcome: Outcome | None = None) -> Outcome:
        outcome = outcome or Outcome(status="finished", step=self.run.last_step)
        self.manager.hook.sofit_train_end(run=self.run, outcome=outcome)
        return outcome
