"""`sofit compare`: the scores of several runs in one table."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from sofit.cli.tables import show_scores


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders, results.json files, or what `sofit eval --format json` printed."),
    ],
    output_format: Annotated[
        Literal["table", "markdown", "json"], typer.Option("--format", help="What to print; markdown is for a page.")
    ] = "table",
) -> None:
    """Show the last scores of several runs side by side: the base model, full fine-tuning and LoRA, for instance.

    A run that was scored with and without its grammar has two columns. Examples that the base model alone was scored on come
    from `sofit eval --model smollm2-135m --task viggo --data data/viggo --format json > base.json`.
    """
    from sofit.outputs import as_json, compare_runs, read_results

    results = {str(run): read_results(run) for run in runs}
    comparison = compare_runs(results)
    if output_format == "json":
        typer.echo(as_json([{"run": run, **result} for run, result in results.items()], indent=2))
    elif output_format == "markdown":
        typer.echo(f"{comparison.title}\n\n{comparison.as_markdown()}")
    else:
        show_scores(comparison, is_demo=all(result["data"]["demo"] for result in results.values()))
