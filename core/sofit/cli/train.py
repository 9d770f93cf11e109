"""`sofit train`: fine-tune a model and show how good it was before and is after."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sofit.cli import options
from sofit.cli.dry_run import dry_run as show_plan
from sofit.cli.tables import show_scores
from sofit.errors import SofitError

if TYPE_CHECKING:
    from sofit.config import Config
    from sofit.plugins import Plugins
    from sofit.processes import ProcessAddress

_PLANNING = "With --dry-run"


def train(
    task: options.Task = None,
    data: options.Data = None,
    model: options.Model = None,
    method: options.Method = None,
    config: options.ConfigFile = None,
    settings: options.Settings = None,
    steps: options.Steps = None,
    batch_size: options.BatchSize = None,
    seed: options.Seed = None,
    constrained: options.Constrained = None,
    out: options.Out = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, with its own settings.")] = False,
    plugin: options.PluginFiles = None,
    allow_invalid_targets: Annotated[
        bool, typer.Option("--allow-invalid-targets", help="Leave out training targets that the grammar refuses.")
    ] = False,
    coordinator: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="One of several processes that train together: where process 0 listens."),
    ] = None,
    process_id: Annotated[int | None, typer.Option(help="With --coordinator: which of the processes this is, from 0.")] = None,
    num_processes: Annotated[int | None, typer.Option(help="With --coordinator: how many processes there are.")] = None,
    distributed: Annotated[
        bool,
        typer.Option(
            "--distributed",
            help="One of several processes that find each other: under SLURM, Open MPI, Kubernetes, or a TPU pod.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Compile and say what the run would need, without weights; train nothing.")
    ] = False,
    simulate_devices: Annotated[
        int | None, typer.Option(min=1, help="Plan for so many devices.", rich_help_panel=_PLANNING)
    ] = None,
    memory_per_device: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="What a device holds, as 16GB; else what it reports.", rich_help_panel=_PLANNING),
    ] = None,
    flops_per_second: Annotated[
        float | None,
        typer.Option(help="Operations that a device does a second, as 150e12; for the time.", rich_help_panel=_PLANNING),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Count tokens as this model does; else as the model.", rich_help_panel=_PLANNING),
    ] = None,
    example_tokens: Annotated[
        int | None, typer.Option(min=2, help="Plan as if every example had so many tokens.", rich_help_panel=_PLANNING)
    ] = None,
    output_format: Annotated[
        Literal["text", "json"] | None, typer.Option("--format", help="What to print.", rich_help_panel=_PLANNING)
    ] = None,
) -> None:
    """Fine-tune a model on a task, and compare it before and after.

    Without options it trains adapters for SmolLM2-135M and leaves everything in a new folder under runs/. Settings come from
    --config, then --set, then the other options, each over the one before.
    """
    planning = {
        "--simulate-devices": simulate_devices,
        "--memory-per-device": memory_per_device,
        "--flops-per-second": flops_per_second,
        "--tokenizer": tokenizer,
        "--example-tokens": example_tokens,
        "--format": output_format,
    }
    if not dry_run and (given := [name for name, value in planning.items() if value is not None]):
        raise SofitError(f"{given[0]} is for planning. Give --dry-run too, or leave it out.")
    address = _address(coordinator, process_id, num_processes, distributed=distributed)
    if resume and config is None and out is not None:
        config = _config_of(out)
    overrides = options.for_training(
        task=task, data=data, model=model, steps=steps, batch_size=batch_size, seed=seed, constrained=constrained, out=out
    )
    loaded, plugins = options.configure(config=config, settings=settings, plugin=plugin, overrides=overrides, method=method)
    if dry_run:
        show_plan(
            loaded,
            plugins,
            simulate_devices=simulate_devices,
            memory_per_device=memory_per_device,
            flops_per_second=flops_per_second,
            tokenizer=tokenizer,
            example_tokens=example_tokens,
            output_format=output_format or "text",
            allow_invalid_targets=allow_invalid_targets,
        )
        return
    from sofit.processes import connect, ending_together

    if address is not None:
        connect(address)
    with ending_together():
        _train(loaded, plugins, resume=resume, allow_invalid_targets=allow_invalid_targets)


def _config_of(run_folder: str) -> str | None:
    """Returns where a run folder keeps its settings; None where no run has begun in it."""
    from sofit.outputs import RemoteRun, has_begun, is_remote

    if is_remote(run_folder):
        run = RemoteRun.at(run_folder)
        return f"{run.address}/config.yaml" if run.holds_run() else None
    return str(Path(run_folder, "config.yaml")) if has_begun(Path(run_folder)) else None


def _address(
    coordinator: str | None, process_id: int | None, num_processes: int | None, *, distributed: bool
) -> "ProcessAddress | None":
    """Returns where the other processes are; None for a run of one process."""
    from sofit.processes import ProcessAddress

    given = [value is not None for value in (coordinator, process_id, num_processes)]
    if not any(given):
        return ProcessAddress() if distributed else None
    if distributed:
        raise SofitError(
            "--distributed asks the cluster for what --coordinator, --process-id and --num-processes say. Leave it out."
        )
    if not all(given):
        raise SofitError(
            "--coordinator, --process-id and --num-processes belong together. Give all three, or --distributed alone."
        )
    return ProcessAddress(coordinator, process_id, num_processes)


def _train(config: "Config", plugins: "Plugins", *, resume: bool, allow_invalid_targets: bool) -> None:
    """Trains, and shows the scores before and after."""
    from sofit.interrupts import Interrupts
    from sofit.outputs import compare, has_begun, is_remote, open_remote_run, open_run_folder
    from sofit.processes import agree, is_main
    from sofit.train import train as run

    with contextlib.ExitStack() as opened:
        plugins.manager.register(opened.enter_context(Interrupts()))
        remote = None
        if config.out is not None and is_remote(config.out):
            remote = opened.enter_context(open_remote_run(config.out, resume=resume))
            plugins.manager.register(remote)
            folder, place = remote.local, remote.address
        else:
            own = str(opened.enter_context(open_run_folder(config, resume=resume))) if is_main() else ""
            place = agree(own)
            folder = Path(place)
        try:
            results = run(
                config.model_copy(update={"out": place}),
                plugins,
                folder=folder,
                resume=resume,
                allow_invalid_targets=allow_invalid_targets,
            )
        except BaseException as error:
            begun = has_begun(folder)
            if begun and remote is not None:
                remote.send_or_warn()
            if not isinstance(error, KeyboardInterrupt):
                raise
            typer.echo(f"interrupted. Go on with: sofit train --resume --out {place}" if begun else "interrupted", err=True)
            raise typer.Exit(130) from None
        if remote is not None:
            remote.send()
    if not is_main():
        return
    comparison = compare(results["evaluations"], plugins.make_task(config).headline)
    if comparison is not None:
        show_scores(comparison, is_demo=results["data"]["demo"])
    typer.echo(f"Report: {place}/report.html")
