"""`sofit tasks` and `sofit grammars`: what is installed."""

import dataclasses
from typing import Annotated

import typer

from sofit.cli import options
from sofit.cli.tables import show_columns

_MOST_SHOWN = 40


def tasks(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show the options of this task.")] = None,
    plugin: options.PluginFiles = None,
) -> None:
    """List the tasks, or the options of one."""
    plugins = options.load(plugin or ())
    if name is None:
        rows = [(task.name, task.description, plugins.origin("task", task.name)) for _, task in sorted(plugins.tasks.items())]
        show_columns([("TASK", "DESCRIPTION", "FROM"), *rows])
        return
    task = plugins.task(name)
    typer.echo(f"{name}: {task.description}\n")
    fields = dataclasses.fields(task)
    rows = [(field.name, _shortened(repr(field.default)), str(field.metadata.get("help", ""))) for field in fields]
    show_columns([("OPTION", "DEFAULT", "MEANING"), *rows])
    typer.echo("\nSet an option with --set task_options.OPTION=VALUE, data also with --data.")


def grammars(plugin: options.PluginFiles = None) -> None:
    """List the grammars that `sofit validate --grammar NAME` knows."""
    plugins = options.load(plugin or ())
    rows = [(name, plugins.origin("grammar", name)) for name in sorted(plugins.grammars)]
    show_columns([("GRAMMAR", "FROM"), *rows])


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
