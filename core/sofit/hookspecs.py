"""The hooks that a plugin may implement. A plugin marks its functions with `sofit.hookimpl`.

Registration hooks run once, before any array exists. Life-cycle hooks run on process 0 only, between steps and never inside
a compiled function, so they may read and write whatever they like.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from sofit.grammar import Grammar
    from sofit.run import EvaluationProgress, Outcome, Report, Run, StepRecord
    from sofit.task import Task

hookspec = pluggy.HookspecMarker("sofit")
hookimpl = pluggy.HookimplMarker("sofit")


@hookspec
def sofit_register_tasks(register: "Callable[[type[Task]], None]") -> None:
    """Called at start: call `register(MyTask)` for each task class."""


@hookspec
def sofit_register_grammars(register: "Callable[[Grammar], None]") -> None:
    """Called at start: call `register(grammar)` for each grammar that `--grammar NAME` shall find."""


@hookspec
def sofit_register_observers(run: "Run", register: Callable[[object], None]) -> None:
    """Called before training: call `register(observer)` for each object whose methods implement life-cycle hooks for this run."""


@hookspec
def sofit_train_start(run: "Run", first_step: int) -> None:
    """Called once the model is loaded and before step `first_step`, which is above 1 in a resumed run."""


@hookspec
def sofit_step_end(run: "Run", step: "StepRecord") -> None:
    """Called after each optimiser step."""


@hookspec
def sofit_evaluate_progress(run: "Run", progress: "EvaluationProgress") -> None:
    """Called when an evaluation begins, and then now and then while its outputs are written."""


@hookspec
def sofit_evaluate_end(run: "Run", report: "Report") -> None:
    """Called after each evaluation, whether before, during or after training."""


@hookspec
def sofit_checkpoint_saved(run: "Run", step: "StepRecord", path: Path) -> None:
    """Called when a checkpoint is on disk, whole."""


@hookspec(firstresult=True)
def sofit_should_stop(run: "Run", step: "StepRecord") -> str | None:
    """Called after each step: return the reason to end training early, or None to go on. The first reason counts."""


@hookspec
def sofit_train_end(run: "Run", outcome: "Outcome") -> None:
    """Called last, also when training failed."""
