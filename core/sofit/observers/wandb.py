"""Shows a run in Weights & Biases."""

from pathlib import Path

from sofit.config import WandbConfig
from sofit.errors import SofitError
from sofit.hookspecs import hookimpl
from sofit.observers.tracked import evaluation_figures, step_figures
from sofit.outputs import write_text
from sofit.run import Outcome, Report, Run, StepRecord

_OFF = "or leave wandb out (--set trainer.wandb=null)"


class WandbTracker:
    """Logs to a project of Weights & Biases, or to a folder that `wandb sync` uploads later.

    A resumed run goes on with the same wandb run, whose id the run folder keeps.

    Raises:
        SofitError: the package wandb is not installed, or does not start.
    """

    def __init__(self, run: Run, config: WandbConfig) -> None:
        try:
            import wandb
        except ImportError as error:
            raise SofitError(f"trainer.wandb needs the package wandb. Install it (pip install wandb), {_OFF}.") from error
        id_file = run.folder / "wandb_id"
        try:
            self._run = wandb.init(
                project=config.project,
                entity=config.entity,
                name=config.name or run.folder.name,
                group=config.group,
                tags=list(config.tags),
                mode=config.mode,
                dir=str(run.folder),
                id=_read(id_file),
                resume="allow",
                config=run.config.model_dump(mode="json"),
            )
        except wandb.Error as error:
            remedy = "Log in (wandb login), keep it on this machine (WANDB_MODE=offline)"
            raise SofitError(f"wandb does not start: {str(error).rstrip('.')}. {remedy}, {_OFF}.") from error
        write_text(id_file, self._run.id + "\n")

    @hookimpl
    def sofit_step_end(self, run: Run, step: StepRecord) -> None:
        """Logs the figures of a step."""
        self._run.log(step_figures(step), step=step.step)

    @hookimpl
    def sofit_evaluate_end(self, run: Run, report: Report) -> None:
        """Logs the metrics of an evaluation."""
        self._run.log(evaluation_figures(report), step=report.step)

    @hookimpl
    def sofit_train_end(self, run: Run, outcome: Outcome) -> None:
        """Ends the wandb run, as failed where training failed."""
        self._run.finish(exit_code=1 if outcome.status == "failed" else 0)


def _read(id_file: Path) -> str | None:
    return id_file.read_text(encoding="utf-8").strip() if id_file.exists() else None
