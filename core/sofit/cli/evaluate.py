"""`sofit eval`: how good a model is at a task."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sofit.cli import options
from sofit.cli.tables import show_scores

if TYPE_CHECKING:
    from sofit.run import EvaluationProgress


def evaluate(
    task: options.Task = None,
    data: options.Data = None,
    model: options.Model = None,
    split: Annotated[
        Literal["train", "validation", "test"] | None, typer.Option(help="The split; validation unless set otherwise.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="The most examples, the first ones; --set evaluation.limit=null takes all.")
    ] = None,
    constrained: options.Constrained = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    seed: options.DrawingSeed = None,
    output_format: Annotated[Literal["table", "json"], typer.Option("--format", help="What to print.")] = "table",
    predictions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write every prediction with its scores to this JSONL file.")
    ] = None,
    config: options.ConfigFile = None,
    settings: options.Settings = None,
    plugin: options.PluginFiles = None,
) -> None:
    """Let a model write the outputs of a split, and score them.

    Unless --constrained or --no-constrained is given, it does both and shows them side by side. A run folder as --model brings
    the task, options and data that it was trained with.
    """
    loaded, plugins = options.configure_for_model(
        task=task,
        data=data,
        model=model,
        config=config,
        settings=settings,
        plugin=plugin,
        overrides={
            "evaluation.split": split,
            "evaluation.limit": limit,
            "evaluation.constrained": constrained,
            **options.drawing(temperature, top_p, seed),
        },
    )
    from sofit.evaluate import evaluate_model
    from sofit.generation_progress import GenerationProgress
    from sofit.outputs import as_json, check_output, evaluation_entry, prediction_entries, tabulate, write_text

    asked, chosen = loaded.evaluation, plugins.make_task(loaded)
    if predictions is not None:
        check_output(predictions, chosen.data)  # An error now, not after the generation.
    with GenerationProgress() as shown:

        def show(progress: "EvaluationProgress") -> None:
            shown.show(_column(progress.constrained), progress.done, progress.n, progress.share)

        reports = evaluate_model(
            loaded, plugins, split=asked.split, limit=asked.limit, constrained=asked.constrained, on_progress=show
        )
    entries = [evaluation_entry(report) for report in reports]
    if predictions is not None:
        lines = (as_json(entry) for report in reports for entry in prediction_entries(report))
        write_text(predictions, "".join(f"{line}\n" for line in lines))
    if output_format == "json":
        about = {"task": chosen.name, "model": loaded.model, "data": {"source": chosen.data, "demo": chosen.is_demo}}
        typer.echo(as_json({**about, "evaluations": entries}, indent=2))
        return
    columns = {_column(entry["constrained"]): entry for entry in entries}
    show_scores(tabulate(columns, chosen.headline), is_demo=chosen.is_demo)


def _column(constrained: bool) -> str:
    return "constrained" if constrained else "unconstrained"
