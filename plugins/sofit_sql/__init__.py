"""SQL: questions to a database to the SELECT that answers them."""

from collections.abc import Callable

from sofit import Task, hookimpl
from sofit_sql.task import SqlTask


@hookimpl
def sofit_register_tasks(register: Callable[[type[Task]], None]) -> None:
    """Registers the task "sql"."""
    register(SqlTask)
