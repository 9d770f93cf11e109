"""Text to JSON under a JSON Schema, and questions to function calls."""

from collections.abc import Callable

from sofit import Task, hookimpl
from sofit_json.task import JsonTask


@hookimpl
def sofit_register_tasks(register: Callable[[type[Task]], None]) -> None:
    """Registers the task "json"."""
    register(JsonTask)
