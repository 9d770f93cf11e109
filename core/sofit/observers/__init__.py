"""The observers that come with sofit. Each is an object whose methods implement life-cycle hooks, as a plugin's are."""

from sofit.observers.early_stop import EarlyStop
from sofit.observers.progress import Progress
from sofit.observers.run_files import RunFiles
from sofit.observers.tensorboard import TensorBoardTracker
from sofit.observers.wandb import WandbTracker
from sofit.run import Run


def builtin_observers(run: Run) -> list[object]:
    """Returns the observers that the run's configuration asks for, to be registered on the plugin manager.

    Raises:
        SofitError: a tracker is asked for whose package is not installed.
    """
    trainer = run.config.trainer
    observers: list[object] = [RunFiles(), Progress()]
    if run.config.evaluation.patience is not None:
        observers.append(EarlyStop(run.config.evaluation.patience))
    if trainer.tensorboard is not None:
        observers.append(TensorBoardTracker(run, trainer.tensorboard))
    if trainer.wandb is not None:
        observers.append(WandbTracker(run, trainer.wandb))
    return observers
