"""`sofit train --dry-run`: what the run would need, on the screen."""

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import typer

from sofit.cli.tables import show_columns
from sofit.errors import SofitError

if TYPE_CHECKING:
    from sofit.config import Config
    from sofit.plan import Plan, TriedLever
    from sofit.plugins import Plugins

_GIGA = 1e9


def dry_run(
    config: "Config",
    plugins: "Plugins",
    *,
    simulate_devices: int | None,
    memory_per_device: str | None,
    flops_per_second: float | None,
    tokenizer: str | None,
    example_tokens: int | None,
    output_format: str,
    allow_invalid_targets: bool,
) -> None:
    """Plans the run and prints the plan.

    Raises:
        SofitError: the run could not start, or a size cannot be read.
    """
    if flops_per_second is not None and not (math.isfinite(flops_per_second) and flops_per_second > 0):
        raise SofitError(f"--flops-per-second {flops_per_second:g}: give a number above 0, as in 300e12.")
    memory = None if memory_per_device is None else _as_bytes(memory_per_device)
    if simulate_devices is not None:
        from sofit.plan.devices import simulate_devices as simulate

        simulate(simulate_devices)
    from sofit.outputs import as_json
    from sofit.plan import PlanRequest, plan_training

    request = PlanRequest(
        is_simulated=simulate_devices is not None,
        memory_bytes_per_device=memory,
        flops_per_second=flops_per_second,
        tokenizer=tokenizer,
        example_tokens=example_tokens,
    )
    plan = plan_training(config, plugins, request, allow_invalid_targets=allow_invalid_targets)
    if output_format == "json":
        typer.echo(as_json(plan, indent=2))
        return
    _show(plan)


def _as_bytes(size: str) -> int:
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        return int(TypeAdapter(ByteSize).validate_python(size))
    except ValidationError as error:
        raise SofitError(f"--memory-per-device takes a size such as 16GB or 80GiB. Got {size!r}.") from error


def _show(plan: "Plan") -> None:
    show_columns([("PLAN", ""), *_facts(plan)])
    memory = plan.memory
    typer.echo()
    show_columns(
        [
            (f"MEMORY OF EACH OF {plan.devices} DEVICES" if plan.devices > 1 else "MEMORY OF THE DEVICE", ""),
            ("parameters", _gigabytes(memory.parameters)),
            ("gradients", _gigabytes(memory.gradients)),
            ("optimiser state", _gigabytes(memory.optimizer_state)),
            ("activations and batch", _gigabytes(memory.activations + memory.batch)),
            ("peak", _gigabytes(memory.peak)),
            *([("there is", _gigabytes(plan.memory_bytes_per_device))] if plan.memory_bytes_per_device else []),
        ]
    )
    for line in _remarks(plan):
        typer.echo(f"\n{line}")
    if plan.levers:
        typer.echo()
        show_columns([("SETTING", "PEAK", "", "COST"), *(_lever_row(lever) for lever in plan.levers)])


def _facts(plan: "Plan") -> Iterator[tuple[str, str]]:
    work, parameters = plan.work, plan.parameters
    share = parameters["trained"] / parameters["total"]
    yield "task, model, method", f"{plan.task}, {plan.model}, {plan.method}"
    yield "parameters", f"{parameters['total']:,}, of which {parameters['trained']:,} ({share:.2%}) are trained"
    yield "examples", f"{plan.examples:,}, the longest of {plan.longest_example:,} tokens"
    yield "steps", f"{plan.steps:,} of {plan.batch_size} examples; {plan.steps_per_epoch:,.1f} an epoch"
    yield "passes a step", f"{work.micro_batches:.1f}"
    yield "tokens a step", f"{work.tokens_with_sharing:,.0f} with shared prefixes, {work.tokens_without_sharing:,.0f} without"
    yield "operations a step", f"{work.flops / 1e12:,.3g} TFLOP, {'with' if work.is_shared else 'without'} shared prefixes"
    if plan.seconds is not None and plan.seconds_per_step is not None:
        yield "time", f"{_duration(plan.seconds)} at {plan.seconds_per_step:.3g} s a step, without evaluation"


def _remarks(plan: "Plan") -> Iterator[str]:
    if plan.stand_in_tokenizer is not None:
        yield f"Tokens are counted with the tokenizer of {plan.stand_in_tokenizer}, so their numbers are approximate."
    if plan.seconds is None:
        yield "No rate is known. For the time, give --flops-per-second, what a device does in training, such as 150e12."
    if plan.fits is None:
        yield "What a device holds is not known. Give --memory-per-device, such as 16GB, to see whether the run fits."
    elif plan.fits:
        yield "It fits."
    else:
        yield "It does not fit."
        if plan.devices_needed is not None:
            yield f"About {plan.devices_needed} devices would hold it (trainer.mesh={{data: {plan.devices_needed}}})."


def _lever_row(lever: "TriedLever") -> tuple[str, str, str, str]:
    settings = ", ".join(f"{key}={value}" for key, value in lever.settings.items())
    shown = "--method lora" if "lora" in lever.settings else settings
    return shown, _gigabytes(lever.peak), "fits" if lever.fits else "", lever.cost


def _gigabytes(size: int) -> str:
    return f"{size / _GIGA:,.2f} GB"


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
