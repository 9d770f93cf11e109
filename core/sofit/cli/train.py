"""`sofit train`: fine-tune a model and show how good it was before and is after."""

from pathlib import Path
from typing import Annotated

import typer

from sofit.cli import options
from sofit.cli.tables import show_scores


def train(
    task: options.Task = None,
    data: options.Data = None,
    model: options.Model = None,
    method: options.Method = None,
    config: options.ConfigFile = None,
    settings: options.Settings = None,
    steps: Annotated[int | None, typer.Option("--steps", help="How many steps to train (trainer.num_train_steps).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples in one step (trainer.train_batch_size).")] = None,
    seed: Annotated[int | None, typer.Option(help="What chance starts from (trainer.seed).")] = None,
    constrained: options.Constrained = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="The run folder, or an fsspec address; by default runs/TASK-METHOD-NUMBER."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, with its own settings.")] = False,
    plugin: options.PluginFiles = None,
    allow_invalid_targets: Annotated[
        bool, typer.Option("--allow-invalid-targets", help="Leave out training targets that the grammar refuses.")
    ] = False,
) -> None:
    """Fine-tune a model on a task, and compare it before and after.

    Without options it trains adapters for SmolLM2-135M and leaves everything in a new folder under runs/. Settings come from
    --config, then --set, then the other options, each over the one before.
    """
    from sofit.outputs import choose_run_folder, is_remote, open_remote_run

    if resume and config is None and out is not None and (is_remote(out) or (Path(out) / "config.yaml").is_file()):
        config = f"{out.rstrip('/')}/config.yaml"
    overrides = {
        "task": task,
        "data": data,
        "model": model,
        "trainer.num_train_steps": steps,
        "trainer.train_batch_size": batch_size,
        "trainer.seed": seed,
        "evaluation.constrained": constrained,
        "out": out,
    }
    loaded, plugins = options.configure(config=config, settings=settings, plugin=plugin, overrides=overrides, method=method)
    remote = open_remote_run(loaded.out, resume=resume) if loaded.out is not None and is_remote(loaded.out) else None
    folder = choose_run_folder(loaded, resume=resume) if remote is None else remote.local
    place = str(folder) if remote is None else remote.address
    if remote is not None:
        plugins.manager.register(remote)
    try:
        from sofit.train import train as run

        results = run(
            loaded.model_copy(update={"out": place}),
            plugins,
            folder=folder,
            resume=resume,
            allow_invalid_targets=allow_invalid_targets,
        )
    except BaseException as error:
        begun = any(folder.iterdir())
        if begun and remote is not None:
            remote.send_or_warn()
        if not isinstance(error, KeyboardInterrupt):
            raise
        typer.echo(f"interrupted. Go on with: sofit train --resume --out {place}" if begun else "interrupted", err=True)
        raise typer.Exit(130) from None
    finally:
        if not any(folder.iterdir()):  # Nothing was written, so the folder and its number are free for the next try.
            folder.rmdir()
    if remote is not None:
        remote.send()
    from sofit.outputs import compare

    comparison = compare(results["evaluations"], plugins.make_task(loaded).headline)
    if comparison is not None:
        show_scores(comparison, is_demo=results["data"]["demo"])
    typer.echo(f"Report: {place}/report.html")
