"""The plan of a run: the data's way up to the first step, with shapes in place of the model's arrays."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax

from sofit.blocks import blocks_of_accelerators
from sofit.config import Config
from sofit.defaults import with_defaults
from sofit.errors import SofitError
from sofit.jax_settings import apply_jax_settings
from sofit.mesh import make_partitioning
from sofit.model import Decoder, DecoderConfig, Partitioning, decoder_template, quantize_base
from sofit.optimizer import make_optimizer, make_schedule
from sofit.packing import BatchShape
from sofit.plan.devices import device_memory_bytes
from sofit.plan.halves import halves_of_accelerators
from sofit.plan.lengthen import lengthen
from sofit.plan.levers import Lever, devices_needed, levers, with_settings
from sofit.plan.memory import StepMemory, step_memory
from sofit.plan.work import StepWork, earlier_seconds_per_step, sampled_shapes, step_work
from sofit.plugins import Plugins
from sofit.precision import parse_precision
from sofit.pretrained import PretrainedOutline, Tokenizer, outline_pretrained
from sofit.start import lora_spec, parameter_counts, start_trainer
from sofit.supervision import Supervised
from sofit.trainer import Trainer, TrainState
from sofit.training_examples import STREAMED_FROM, Source, load_training_examples

_STAND_IN_TOKENIZER = "smollm2-135m"
_SAMPLED_EXAMPLES = 10_000
"""Examples that are read of data so large that it is streamed."""


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """What to plan for, beyond the configuration."""

    is_simulated: bool = False
    """Whether the devices are simulated, so that their memory says nothing."""
    memory_bytes_per_device: int | None = None
    """What a device holds; by default what it reports."""
    flops_per_second: float | None = None
    """The operations that a device does in a second of training."""
    tokenizer: str | None = None
    """The model whose tokenizer to take; by default the model's own."""
    example_tokens: int | None = None
    """Lengthen every example to so many tokens."""


@dataclass(frozen=True, kw_only=True)
class TriedLever:
    """Settings that save memory, and what a step needs with them."""

    settings: Mapping[str, Any]
    cost: str
    peak: int
    """Bytes on each device."""
    fits: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run will need."""

    task: str
    method: str
    model: str
    devices: int
    platform: str
    """What XLA compiled for."""
    parameters: Mapping[str, int]
    """`total`, and `trained` among them."""
    stand_in_tokenizer: str | None
    """The model whose tokenizer stood in for the model's own, so that all counts of tokens are approximate."""
    examples: int
    longest_example: int
    """In tokens."""
    steps: int
    batch_size: int
    steps_per_epoch: float
    work: StepWork
    """Of a step."""
    memory: StepMemory
    memory_bytes_per_device: int | None
    """What a device holds; None where that is not known."""
    fits: bool | None
    levers: Sequence[TriedLever]
    """What would take less memory, where the run does not fit: one by one, and at the end all together."""
    devices_needed: int | None
    """About how many devices would hold the run, where it does not fit and more of them would help."""
    seconds_per_step: float | None
    """None where no rate is known."""
    seconds: float | None
    """Of all steps; evaluation, loading and compiling come on top."""


def plan_training(config: Config, plugins: Plugins, request: PlanRequest, *, allow_invalid_targets: bool = False) -> Plan:
    """Plans the run that `config` asks for, without the model's weights. Writes nothing.

    Raises:
        SofitError: what would end the run before its first step.
    """
    apply_jax_settings()
    task = plugins.make_task(config)
    examples = load_training_examples(task, config.data_streaming, allow_invalid=allow_invalid_targets)
    config = with_defaults(config, len(examples), is_demo=task.is_demo)
    outline = outline_pretrained(config.model)
    model = DecoderConfig.from_hf(outline.config)
    tokenizer, stand_in = _tokenizer(outline, request.tokenizer)
    supervised = _sample(examples.tokenized(tokenizer, config))
    if request.example_tokens is not None:
        supervised = lengthen(supervised, request.example_tokens)

    steps, batch_size = config.trainer.num_train_steps, config.trainer.train_batch_size
    assert steps is not None, "with_defaults fills it in"
    work = step_work(supervised, config.trainer, steps, model, lora_spec(config), make_partitioning(config.trainer, model))
    memory = plan_memory(config, model, supervised, is_simulated=request.is_simulated)
    capacity = request.memory_bytes_per_device or (None if request.is_simulated else device_memory_bytes())
    is_too_much = capacity is not None and memory.peak > capacity
    seconds = _seconds_per_step(config, work, request.flops_per_second)
    return Plan(
        task=task.name,
        method=config.method,
        model=config.model,
        devices=jax.device_count(),
        platform=jax.default_backend(),
        parameters=parameter_counts(*describe_start(config, model)),
        stand_in_tokenizer=stand_in,
        examples=len(examples),
        longest_example=max(map(len, supervised)),
        steps=steps,
        batch_size=batch_size,
        steps_per_epoch=len(examples) / batch_size,
        work=work,
        memory=memory,
        memory_bytes_per_device=capacity,
        fits=None if capacity is None else not is_too_much,
        levers=_tried(config, model, supervised, memory, capacity, is_simulated=request.is_simulated) if is_too_much else (),
        devices_needed=devices_needed(memory, capacity, jax.device_count()) if capacity and is_too_much else None,
        seconds_per_step=seconds,
        seconds=None if seconds is None else seconds * steps,
    )


def _sample(source: Source) -> list[Supervised]:
    """Returns all examples, or, where that would take long, the first ones."""
    with contextlib.closing(source):
        count = len(source)
        return source.at(range(count if count < STREAMED_FROM else _SAMPLED_EXAMPLES))


def _tokenizer(outline: PretrainedOutline, asked: str | None) -> tuple[Tokenizer, str | None]:
    """Returns the tokenizer to count with, and the name of its model where that is not the one to train."""
    if asked is None and outline.tokenizer is not None:
        return outline.tokenizer, None
    name = asked or _STAND_IN_TOKENIZER
    found = outline_pretrained(name).tokenizer
    if found is None:
        raise SofitError(f"The model {name} has no tokenizer. Name another one with --tokenizer.")
    return found, name


def describe_start(config: Config, model: DecoderConfig, partitioning: Partitioning | None = None) -> tuple[Trainer, TrainState]:
    """Returns what a run starts from with a `jax.ShapeDtypeStruct` for every array, which says how it lies over the mesh."""
    learning_rate, steps = config.optimizer.learning_rate, config.trainer.num_train_steps
    assert learning_rate is not None, "with_defaults fills it in"
    assert steps is not None, "with_defaults fills it in"
    schedule = make_schedule(config.optimizer, learning_rate, steps)

    def start(loaded: Decoder) -> tuple[Decoder, TrainState]:
        if config.lora is not None and config.lora.quantize_base is not None:
            loaded = quantize_base(loaded, config.lora.quantize_base)
        trainer, state = start_trainer(config, loaded, schedule)
        return trainer.frozen, state

    frozen, state = eqx.filter_eval_shape(start, decoder_template(model, partitioning))
    if partitioning is not None:
        frozen, state = partitioning.place_shapes((frozen, state))
    return Trainer(frozen, make_optimizer(config.optimizer, schedule), parse_precision(config.trainer.mp)), state


def plan_memory(config: Config, model: DecoderConfig, examples: Sequence[Supervised], *, is_simulated: bool) -> StepMemory:
    """Compiles a step of the run for the largest of its first micro-batches, and returns what it needs.

    Where the devices are simulated, the plan is for accelerators; see `halves_of_accelerators` and `blocks_of_accelerators`.

    Raises:
        SofitError: the mesh does not fit the devices or the model.
    """
    steps = config.trainer.num_train_steps
    assert steps is not None, "with_defaults fills it in"
    partitioning = make_partitioning(config.trainer, model)
    by_step = sampled_shapes(examples, config.trainer, steps, partitioning)
    found = {shape for shapes in by_step for shape in shapes}
    largest = {max(found, key=lambda shape: shape.tokens), max(found, key=_targets)}
    trainer, state = describe_start(config, model, partitioning)
    if is_simulated:
        trainer, state = halves_of_accelerators(trainer, state)
    with blocks_of_accelerators() if is_simulated else contextlib.nullcontext():
        return step_memory(trainer, state, sorted(largest, key=_targets), is_accumulated=max(map(len, by_step)) > 1)


def _targets(shape: BatchShape) -> int:
    return shape.rows * shape.targets


def _tried(
    config: Config,
    model: DecoderConfig,
    examples: Sequence[Supervised],
    memory: StepMemory,
    capacity: int | None,
    *,
    is_simulated: bool,
) -> list[TriedLever]:
    """Plans anew with each lever, and with all of them."""
    assert capacity is not None, "only then is it known that the run does not fit"

    def tried(settings: Mapping[str, Any], cost: str) -> TriedLever:
        peak = plan_memory(with_settings(config, settings), model, examples, is_simulated=is_simulated).peak
        return TriedLever(settings=settings, cost=cost, peak=peak, fits=peak <= capacity)

    found = list(levers(config, memory, capacity, max(map(len, examples))))
    # Adapters are another run, with little left to save.
    joined = [lever.settings for lever in found if "lora" not in lever.settings]
    if len(joined) > 1:
        found.append(Lever({key: value for settings in joined for key, value in settings.items()}, "all of these together"))
    return [tried(lever.settings, lever.cost) for lever in found]


def _seconds_per_step(config: Config, work: StepWork, flops_per_second: float | None) -> float | None:
    if flops_per_second is not None:
        return work.flops / (flops_per_second * jax.device_count())
    return earlier_seconds_per_step(config)
