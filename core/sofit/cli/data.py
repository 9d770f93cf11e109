"""`sofit data`: a task's examples as files."""

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from sofit.cli import options
from sofit.errors import SofitError

_LINE_EVERY_SECONDS = 10.0


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The JSONL file to write, or - for the standard output.")],
    task: options.Task = None,
    data: options.Data = None,
    split: Annotated[Literal["train", "validation", "test"], typer.Option(help="The split.")] = "train",
    settings: options.Settings = None,
    plugin: options.PluginFiles = None,
) -> None:
    """Write a task's examples as JSONL for instruction tuning: {"instruction": ..., "input": ..., "output": ...}.

    Other trainers read the file. `sofit train --data FILE` does where the task's rows may have this form, as those of viggo may.
    """
    loaded, plugins = options.configure(config=None, settings=settings, plugin=plugin, overrides={"task": task, "data": data})
    from sofit.outputs import as_json, check_output, write_text

    chosen = plugins.make_task(loaded)
    if str(file) != "-":
        check_output(file, chosen.data)
    lines = "".join(f"{as_json(chosen.instruction_row(example))}\n" for example in chosen.load(split))
    if not lines:
        raise SofitError(f"Task {chosen.name!r} has no example in split {split!r} of {chosen.data}.")
    if str(file) == "-":
        typer.echo(lines, nl=False)
        return
    write_text(file, lines)
    typer.echo(f"{lines.count(chr(10))} examples written to {file}", err=True)


def tokenize(
    task: options.Task = None,
    data: options.Data = None,
    model: options.Model = None,
    cache: Annotated[str | None, typer.Option(metavar="FOLDER", help="A folder or fsspec address (data_cache_dir).")] = None,
    config: options.ConfigFile = None,
    settings: options.Settings = None,
    plugin: options.PluginFiles = None,
    allow_invalid_targets: Annotated[
        bool, typer.Option("--allow-invalid-targets", help="Leave out training targets that the grammar refuses.")
    ] = False,
) -> None:
    """Check all training examples and keep them tokenised, so that no run has to.

    What an earlier call or run has kept is not made again. Without this command, a run keeps what it comes to.
    """
    overrides = {"task": task, "data": data, "model": model, "data_cache_dir": cache}
    loaded, plugins = options.configure(config=config, settings=settings, plugin=plugin, overrides=overrides)
    from sofit.tokenize_data import tokenize_data

    done, last_line = 0, time.monotonic()
    for done in tokenize_data(loaded, plugins, allow_invalid=allow_invalid_targets):
        if time.monotonic() - last_line >= _LINE_EVERY_SECONDS:
            last_line = time.monotonic()
            typer.echo(f"{done} examples", err=True)
    typer.echo(f"{done} examples are checked, and kept tokenised in {loaded.data_cache_dir}", err=True)
