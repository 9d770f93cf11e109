"""Tells whoever watches how the run goes: a bar on a terminal, a line now and then in a log."""

import sys
import time
from typing import TYPE_CHECKING, TextIO

from sofit.generation_progress import LOG_EVERY_SECONDS, GenerationProgress, make_bar
from sofit.hookspecs import hookimpl
from sofit.outputs.comparison import occasion
from sofit.outputs.results import demo_notice, example_counts
from sofit.outputs.times import duration
from sofit.run import EvaluationProgress, Outcome, Report, Run, StepRecord

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

_NEWEST_WEIGHT = 0.1
_SHOWN_METRICS = 3


class Progress:
    """Writes to `stream`, which is the standard error unless given, so that the standard output stays for results."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._bar: Bar | None = None
        self._bar_task: TaskID | None = None
        self._generation = GenerationProgress(self._stream)
        self._first_step = 1
        self._seconds_per_step = 0.0
        self._last_line = 0.0
        self._tokens_computed = self._tokens_saved = 0

    @hookimpl
    def sofit_train_start(self, run: Run, first_step: int) -> None:
        """Says what is trained on what, and where."""
        self._say(f"{run.task.name}: {run.config.method} fine-tuning of {run.model_name} into {run.folder}")
        counts = example_counts(run)
        self._say(f"data: {run.task.data}{f' ({counts})' if counts else ''}")
        if run.task.is_demo:
            self._say(f"demo data: {demo_notice(run.task)}")
        if first_step > run.last_step:
            self._say(f"training was finished already: all {run.last_step} steps are taken")
        elif first_step > 1:
            self._say(f"going on with step {first_step} of {run.last_step}")
        if "peak_flops_per_second" in run.info:
            peak = run.info["peak_flops_per_second"] / 1e12
            self._say(f"peak: {peak:.3g} TFLOP/s in matrix products of this model's sizes, measured now")
        self._first_step = first_step
        if self._stream.isatty():
            self._start_bar(run, first_step)
        self._generation = GenerationProgress(self._stream, self._bar)

    @hookimpl
    def sofit_step_end(self, run: Run, step: StepRecord) -> None:
        """Moves the bar on, or writes a line if the last one is some time ago."""
        # A running mean, since batches differ in shape; the first step compiles, so the second one starts it anew.
        weight = 1.0 if step.step <= self._first_step + 1 else _NEWEST_WEIGHT
        self._seconds_per_step += weight * (step.seconds - self._seconds_per_step)
        left = duration(self._seconds_per_step * (run.last_step - step.step))
        self._tokens_computed += step.computed_tokens
        self._tokens_saved += step.saved_tokens
        figures = f"loss {step.loss:.4f}  {step.examples_per_second:.3g} examples/s  MFU {step.mfu:.0%}  {left} left"
        now = time.monotonic()
        if self._bar is not None and self._bar_task is not None:
            self._bar.update(self._bar_task, completed=step.step, figures=figures)
        elif step.step in (self._first_step, run.last_step) or now - self._last_line >= LOG_EVERY_SECONDS:
            self._last_line = now
            self._say(f"step {step.step}/{run.last_step}  {figures}")

    @hookimpl
    def sofit_evaluate_progress(self, progress: EvaluationProgress) -> None:
        """Moves the bar of the evaluation on, which stands below that of the steps."""
        name = occasion(progress.when, progress.step, progress.constrained)
        self._generation.show(name, progress.done, progress.n, progress.share)

    @hookimpl
    def sofit_evaluate_end(self, run: Run, report: Report) -> None:
        """Writes the first metrics of an evaluation in a line."""
        names = [name for name in run.task.headline if name in report.scores.metrics] or list(report.scores.metrics)
        metrics = "  ".join(f"{name} {report.scores.metrics[name]:.3f}" for name in names[:_SHOWN_METRICS])
        name = occasion(report.when, report.step, report.constrained)
        self._say(f"{name}: {metrics}  ({report.n} of {report.split}, step {report.step})")

    @hookimpl
    def sofit_train_end(self, run: Run, outcome: Outcome) -> None:
        """Takes the bar away and says how it ended, where that is not plain."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._tokens_saved > 0:
            self._say(f"tokens: {self._tokens_computed:,} computed; sharing prompts saved {self._tokens_saved:,}")
        if outcome.status != "finished":
            reason = f": {outcome.reason}" if outcome.reason else ""
            self._say(f"training {outcome.status} after step {outcome.step}{reason}")

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            self._stream.write(f"{line}\n")
            self._stream.flush()

    def _start_bar(self, run: Run, first_step: int) -> None:
        self._bar = make_bar(self._stream)
        self._bar_task = self._bar.add_task("step", total=run.last_step, completed=first_step - 1, figures="")
        self._bar.start()
