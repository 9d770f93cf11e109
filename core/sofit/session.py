"""What happens around the steps of a run: observers are told, the model is evaluated, checkpoints are kept."""

import logging
import math
from types import TracebackType
from typing import Any, Literal

from sofit.checkpoints import Checkpoints
from sofit.errors import SofitError
from sofit.evaluate import Evaluator
from sofit.observers import builtin_observers
from sofit.outputs import write_outputs
from sofit.plugins import Plugins
from sofit.processes import agree, is_main
from sofit.run import Outcome, Report, Run, StepRecord
from sofit.trainer import Trainer, TrainState

_log = logging.getLogger(__name__)


class Session:
    """A run under way. As a context manager it tells the observers when training fails."""

    def __init__(self, run: Run, plugins: Plugins, trainer: Trainer, evaluator: Evaluator) -> None:
        self.run = run
        self._trainer = trainer
        self._evaluator = evaluator
        self._manager = plugins.manager
        self._observers: list[object] = []
        self._last_step = 0
        self._best_score = float("-inf")
        self._stop_reason = ""

    def __enter__(self) -> "Session":
        if is_main():
            for observer in builtin_observers(self.run):
                self._register(observer)
            self._manager.hook.sofit_register_observers(run=self.run, register=self._register)
        # Only now, since an observer that cannot start, such as a tracker, must leave an empty folder behind.
        self._checkpoints = Checkpoints(self.run.folder / "checkpoints", self.run.config.trainer.keep_checkpoints)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            reason = "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
            self._tell_end("failed", reason)
        self._checkpoints.close()
        for observer in self._observers:
            self._manager.unregister(observer)

    def begin(self, state: TrainState, *, resume: bool) -> tuple[TrainState, int]:
        """Starts, or goes on from the newest checkpoint; returns the state and the first step to take.

        Raises:
            SofitError: the checkpoint does not fit the run.
        """
        if resume:
            state = self._restore(state)
        first_step = self._last_step + 1
        self._tell("sofit_train_start", first_step=first_step)
        if first_step == 1:
            # Asked for now, so that a metric that does not exist, or a grammar that cannot constrain, ends the run before it has
            # cost anything.
            if self.run.config.evaluation.before:
                self._score(self._evaluate(state, "before"))
            else:
                rehearsed = self._evaluator.rehearse(constrained=self.run.config.evaluation.constrained)
                self.run.deciding_score(rehearsed.metrics)
        return state, first_step

    def _restore(self, state: TrainState) -> TrainState:
        """Returns the newest checkpoint's state, or the given one where there is none yet."""
        if self._checkpoints.last_step is None:
            _log.info("%s has no checkpoint yet. Starting from step 1.", self.run.folder)
        else:
            state = self._checkpoints.restore(state)
            self._last_step = self._checkpoints.last_step
        self._checkpoints.drop_best_after(self._last_step)
        if self._checkpoints.best_step is not None:
            self._best_score = self._checkpoints.restore_best(state)[1]
        return state

    def after_step(self, state: TrainState, record: StepRecord) -> bool:
        """Tells the observers, evaluates and saves where it is time to; returns whether to stop.

        Raises:
            SofitError: the loss ran away. The observers have been told of the step, and nothing of it is saved.
        """
        self._last_step = record.step
        self._tell("sofit_step_end", step=record)
        # The same in all processes, since loss and norm are those of the whole batch.
        if not (math.isfinite(record.loss) and math.isfinite(record.gradient_norm)):
            raise SofitError(
                f"Step {record.step}: loss {record.loss:.4g}, gradient norm {record.gradient_norm:.4g}. Nothing of it is saved."
                " Lower optimizer.learning_rate or optimizer.max_grad_norm, and go on from the last checkpoint with --resume,"
                " or start again."
            )
        config, is_last = self.run.config, record.step == self.run.last_step
        if config.evaluation.every and record.step % config.evaluation.every == 0 and not is_last:
            self._keep_if_best(state, self._evaluate(state, "step"))
        reason = agree(self._tell("sofit_should_stop", step=record))
        every = config.trainer.checkpoint_every or max(1, self.run.last_step // 10)
        if record.step % every == 0 or is_last or reason is not None:
            path = self._checkpoints.save(record.step, state)
            self._tell("sofit_checkpoint_saved", step=record, path=path)
        self._stop_reason = reason or ""
        return reason is not None

    def finish(self, state: TrainState) -> TrainState:
        """Evaluates the model, goes back to an earlier one if that was better, and returns what to give away."""
        score = self._score(self._evaluate(state, "after"))
        if score < self._best_score:
            state, _ = self._checkpoints.restore_best(state)
            self._evaluate(state, "after", step=self._checkpoints.best_step)
        return state

    def end(self) -> dict[str, Any]:
        """Writes the reports, and returns what results.json holds; in processes but the main one, nothing."""
        outcome = self._tell_end("stopped" if self._stop_reason else "finished", self._stop_reason)
        return write_outputs(self.run, outcome) if is_main() else {}

    def _evaluate(self, state: TrainState, when: Literal["before", "step", "after"], step: int | None = None) -> Report:
        """Evaluates as configured, and returns the report that decides: that of the model alone, where there is one."""
        reports = self._evaluator.reports(
            self._trainer.model(state),
            when=when,
            step=self._last_step if step is None else step,
            constrained=self.run.config.evaluation.constrained,
            on_progress=lambda progress: self._tell("sofit_evaluate_progress", progress=progress),
        )
        told = []
        for report in reports:
            self._tell("sofit_evaluate_end", report=report)
            told.append(report)
        return told[0]

    def _keep_if_best(self, state: TrainState, report: Report) -> None:
        score = self._score(report)
        if score > self._best_score:
            self._best_score = score
            self._checkpoints.save_best(report.step, state, score)

    def _score(self, report: Report) -> float:
        """Returns the metric that decides, as the main process has it: a task may score under a time limit."""
        return agree(self.run.deciding_score(report.scores.metrics))

    def _tell(self, hook: str, **facts: Any) -> Any:
        """Calls a hook of the life cycle, in the main process alone."""
        return getattr(self._manager.hook, hook)(run=self.run, **facts) if is_main() else None

    def _tell_end(self, status: Literal["finished", "stopped", "failed"], reason: str) -> Outcome:
        outcome = Outcome(status=status, step=self._last_step, reason=reason)
        self._tell("sofit_train_end", outcome=outcome)
        return outcome

    def _register(self, observer: object) -> None:
        self._manager.register(observer)
        self._observers.append(observer)
