"""Shows a run in TensorBoard."""

import functools
from collections.abc import Mapping

from sofit.config import TensorBoardConfig
from sofit.errors import SofitError
from sofit.hookspecs import hookimpl
from sofit.observers.tracked import evaluation_figures, step_figures
from sofit.run import Outcome, Report, Run, StepRecord


class TensorBoardTracker:
    """Writes event files that `tensorboard --logdir` reads.

    Raises:
        SofitError: the package tensorboardX is not installed.
    """

    def __init__(self, run: Run, config: TensorBoardConfig) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise SofitError(
                "trainer.tensorboard needs the package tensorboardX. Install it (pip install tensorboardX),"
                " or leave TensorBoard out (--set trainer.tensorboard=null)."
            ) from error
        self._make_writer = functools.partial(SummaryWriter, config.folder or str(run.folder / "tensorboard"))
        self._writer: SummaryWriter | None = None

    @hookimpl
    def sofit_train_start(self, run: Run, first_step: int) -> None:
        """Hides what an interrupted run showed after the checkpoint that it goes on from."""
        if self._writer is None and first_step > 1:
            self._writer = self._make_writer(purge_step=first_step)

    @hookimpl
    def sofit_step_end(self, run: Run, step: StepRecord) -> None:
        """Writes the figures of a step."""
        self._add(step_figures(step), step.step)

    @hookimpl
    def sofit_evaluate_end(self, run: Run, report: Report) -> None:
        """Writes the metrics of an evaluation."""
        self._add(evaluation_figures(report), report.step)

    @hookimpl
    def sofit_train_end(self, run: Run, outcome: Outcome) -> None:
        """Closes the event file."""
        if self._writer is not None:
            self._writer.close()

    def _add(self, figures: Mapping[str, float], step: int) -> None:
        if self._writer is None:
            self._writer = self._make_writer()
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)
