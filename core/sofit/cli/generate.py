"""`sofit generate`: what a model writes for texts that you give it."""

import sys
from typing import Annotated

import typer

from sofit.cli import options
from sofit.errors import SofitError


def generate(
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="Inputs of the task, or - for one a line of the standard input.")
    ],
    task: options.Task = None,
    model: options.Model = None,
    constrained: options.Constrained = True,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    seed: options.DrawingSeed = None,
    config: options.ConfigFile = None,
    settings: options.Settings = None,
    plugin: options.PluginFiles = None,
) -> None:
    """Write the output for each text, a line each.

    A run folder as --model brings the task and the options that it was trained with.
    """
    if "-" in texts and texts != ["-"]:
        raise SofitError("Give texts, or - for the standard input, not both.")
    inputs = [line.rstrip("\n") for line in sys.stdin] if texts == ["-"] else texts
    if not inputs:
        raise SofitError("The standard input holds no text to write an output for.")
    loaded, plugins = options.configure_for_model(
        task=task,
        data=None,
        model=model,
        config=config,
        settings=settings,
        plugin=plugin,
        overrides=options.drawing(temperature, top_p, seed),
    )
    from sofit.generate import generate_texts
    from sofit.generation_progress import GenerationProgress

    with GenerationProgress() as progress:
        outputs = generate_texts(
            loaded,
            plugins,
            inputs,
            constrained=bool(constrained),
            on_progress=lambda done: progress.show("generating", done, len(inputs)),
        )
    for output in outputs:
        typer.echo(output)
