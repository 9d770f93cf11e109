"""`sofit inspect`: the training data as the model sees it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sofit.cli import options
from sofit.cli.tables import show_columns

if TYPE_CHECKING:
    from sofit.inspection import InspectedExample, Inspection

_MOST_CHARACTERS = 300
_MOST_NAMED = 10


def inspect(
    task: options.Task = None,
    data: options.Data = None,
    model: options.Model = None,
    count: Annotated[int, typer.Option(min=0, help="How many examples to show.")] = 3,
    full: Annotated[bool, typer.Option("--full", help="Show prompts whole, however long.")] = False,
    config: options.ConfigFile = None,
    settings: options.Settings = None,
    plugin: options.PluginFiles = None,
) -> None:
    """Show the training data as the model sees it: what is shared, what is read, what carries loss, and what is too long."""
    overrides = {"task": task, "data": data, "model": model}
    loaded, plugins = options.configure(config=config, settings=settings, plugin=plugin, overrides=overrides)
    from sofit.inspection import inspect_task

    inspection = inspect_task(loaded, plugins, count)
    for example in inspection.shown:
        _show_example(example, None if full else _MOST_CHARACTERS)
    _show_figures(inspection, loaded.trainer.train_batch_size)


def _show_example(example: "InspectedExample", most_characters: int | None) -> None:
    typer.secho(example.id, bold=True)
    for name, tokens, colour in (
        ("shared prefix", example.prefix, typer.colors.BRIGHT_BLACK),
        ("own prompt", example.prompt, None),
        ("with loss", example.completion, typer.colors.GREEN),
    ):
        # Where each token ends matters only where it is predicted.
        text = "│".join(tokens) if name == "with loss" else "".join(tokens)
        typer.secho(f"  {name}, {len(tokens)} tokens", dim=True)
        for line in _shortened(text, most_characters).splitlines():
            typer.secho(f"    {line}", fg=colour)
    typer.echo()


def _shortened(text: str, most_characters: int | None) -> str:
    if most_characters is None or len(text) <= most_characters:
        return text
    half = most_characters // 2
    return f"{text[:half]} […] {text[-half:]}"


def _show_figures(inspection: "Inspection", batch_size: int) -> None:
    lengths = (("prompt", inspection.prompt), ("completion, with loss", inspection.completion), ("together", inspection.total))
    rows = [(name, f"{length.mean:.1f}", str(length.longest)) for name, length in lengths]
    all_of_them = inspection.looked_at == inspection.count
    examples = f"{inspection.count}" if all_of_them else f"{inspection.looked_at} OF {inspection.count}"
    show_columns([(f"TOKENS OF {examples} EXAMPLES", "MEAN", "LONGEST"), *rows])
    shared, unshared = inspection.tokens_with_sharing, inspection.tokens_without_sharing
    if shared:
        typer.echo(
            f"\nA batch of {batch_size} takes {shared:,.0f} tokens through the model, padding included, and {unshared:,.0f}"
            f" without shared prefixes: {unshared / shared:.1f} times as many."
        )
    if inspection.too_long:
        typer.secho(
            f"\n{len(inspection.too_long)} examples are longer than trainer.max_length = {inspection.max_length}."
            " Training refuses them; it never cuts one:",
            fg=typer.colors.RED,
        )
        _show_too_long(inspection.too_long)
    else:
        typer.echo(f"None is longer than trainer.max_length = {inspection.max_length}.")


def _show_too_long(examples: Sequence[tuple[str, int]]) -> None:
    for name, tokens in examples[:_MOST_NAMED]:
        typer.echo(f"  {name}: {tokens} tokens")
    if len(examples) > _MOST_NAMED:
        typer.echo(f"  and {len(examples) - _MOST_NAMED} more")
