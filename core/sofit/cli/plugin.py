"""`sofit plugin`: work on plugins."""

from pathlib import Path
from typing import Annotated

import typer

from sofit.cli import options
from sofit.errors import SofitError

app = typer.Typer(no_args_is_help=True, help="Work on plugins.")


@app.callback()
def plugin() -> None:
    """Work on plugins."""


@app.command(epilog="Example: sofit plugin new lights")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the task shall be called.")],
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The folder to make; sofit-NAME if not given.")] = None,
) -> None:
    """Write a package with a small task of your own, whose tests pass and which trains, to be changed from there."""
    from sofit.scaffold import write_plugin

    plugins = options.load(())
    if name in plugins.tasks:
        raise SofitError(f"{plugins.origin('task', name)} has a task called {name!r} already. Choose another name.")
    folder = out or Path(f"sofit-{name}")
    for path in write_plugin(name, folder):
        typer.echo(path)
    task = next(folder.glob("src/*/task.py")).relative_to(folder)
    typer.echo(f"\nTry it: cd {folder} && pytest && sofit train --task {name} --plugin {task}", err=True)
