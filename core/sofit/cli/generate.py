"""`sofit generate`: what a model writes for texts that you give it."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sofit.cli import options
from sofit.errors import SofitError

if TYPE_CHECKING:
    from sofit.task import Prediction


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
    output_format: Annotated[
        Literal["text", "jsonl"],
        typer.Option("--format", help="text, for people; jsonl: for each text a line with input, output and finished."),
    ] = "text",
    config: options.ConfigFile = None,
    settings: options.Settings = None,
    plugin: options.PluginFiles = None,
) -> None:
    """Write the output for each text, a line each; under a heading each where one of several outputs is longer than a line.

    A run folder as --model brings the task and the options that it was trained with.
    """
    if "-" in texts and texts != ["-"]:
        raise SofitError("Give texts, or - for the standard input, not both.")
    inputs = list(_standard_input()) if texts == ["-"] else texts
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
        predictions = generate_texts(
            loaded,
            plugins,
            inputs,
            constrained=bool(constrained),
            on_progress=lambda done, share: progress.show("generating", done, len(inputs), share),
        )
    for line in _jsonl(inputs, predictions) if output_format == "jsonl" else _text(inputs, predictions):
        typer.echo(line)


def _standard_input() -> Iterator[str]:
    """Yields the lines of the standard input, without what ends them on any system."""
    if sys.stdin is None:
        raise SofitError("The standard input is closed. Give it a file or a pipe, or give the texts as arguments.")
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            # Some editors begin a file with a byte order mark.
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise SofitError(f"Line {number} of the standard input is not UTF-8: {error.reason}. Convert it first.") from error


def _jsonl(inputs: Sequence[str], predictions: "Sequence[Prediction]") -> Iterator[str]:
    for text, prediction in zip(inputs, predictions, strict=True):
        # `finished` tells an output that the limit on new tokens cut off.
        line = {"input": text, "output": prediction.text, "finished": prediction.finished}
        yield json.dumps(line, ensure_ascii=False)


def _text(inputs: Sequence[str], predictions: "Sequence[Prediction]") -> Iterator[str]:
    need_headings = len(inputs) > 1 and any(len(prediction.text.splitlines()) > 1 for prediction in predictions)
    for text, prediction in zip(inputs, predictions, strict=True):
        if need_headings:
            yield f"==> {text} <=="
        yield prediction.text
