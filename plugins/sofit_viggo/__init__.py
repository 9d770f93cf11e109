"""ViGGO, the reference plugin: sentences about video games to function calls."""

from collections.abc import Callable

from sofit import Task, hookimpl
from sofit_viggo.task import ViggoTask


@hookimpl
def sofit_register_tasks(register: Callable[[type[Task]], None]) -> None:
    """Registers the task "viggo"."""
    register(ViggoTask)
