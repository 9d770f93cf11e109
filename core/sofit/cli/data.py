"""`sofit data`: a task's examples as files."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from sofit.cli import options
from sofit.errors import SofitError


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The JSONL file to write, or - for the standard output.")],
    task: options.Task = None,
    data: options.Data = None,
    split: Annotated[Literal["train", "validation", "test"], typer.Option(help="The split.")] = "train",
    settings: options.Settings = None,
    plugin: options.PluginFiles = None,
) -> None:
    """Write a task's examples as JSONL for instruction tuning: {"instruction": ..., "input": ..., "output": ...}.

    `sofit train --data FILE` reads the file again, and so do other trainers.
    """
    loaded, plugins = options.configure(config=None, settings=settings, plugin=plugin, overrides={"task": task, "data": data})
    from sofit.outputs import as_json, write_text

    chosen = plugins.make_task(loaded)
    lines = "".join(f"{as_json(chosen.instruction_row(example))}\n" for example in chosen.load(split))
    if not lines:
        raise SofitError(f"Task {chosen.name!r} has no example in split {split!r} of {chosen.data}.")
    if str(file) == "-":
        typer.echo(lines, nl=False)
        return
    write_text(file, lines)
    typer.echo(f"{lines.count(chr(10))} examples written to {file}", err=True)
