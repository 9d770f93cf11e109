"""Settings that make a step take less memory, those that cost least first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from sofit.config import Config
from sofit.plan.memory import StepMemory
from sofit.precision import parse_precision


@dataclass(frozen=True)
class Lever:
    """Settings by dotted key, and what they cost."""

    settings: Mapping[str, Any]
    cost: str


def levers(config: Config, memory: StepMemory, capacity: int, longest_example: int) -> Iterator[Lever]:
    """Yields the settings that `config` leaves unused and that would help, given what a step needs and a device holds.

    Fewer tokens at a time and rematerialisation only help with what a pass makes; they are left out where that is little.
    """
    is_half = parse_precision(config.trainer.mp).compute == "bfloat16"
    if not is_half:
        yield Lever({"trainer.mp": "p=f32,c=bfloat16"}, "products in bfloat16")
    if memory.activations > capacity / 20:
        fewer = _fewer_tokens(config, memory, capacity, longest_example)
        if fewer is not None:
            yield Lever({"trainer.micro_batch_tokens": fewer}, "more, smaller passes")
        if config.trainer.remat_policy != "full":
            yield Lever({"trainer.remat_policy": "full"}, "a third more operations at most")
    if config.lora is not None and config.lora.quantize_base is None and find_spec("qwix") is not None:
        yield Lever({"lora.quantize_base": "int8"}, "rounded weights under the adapters")
    if config.lora is None:
        if config.optimizer.mu_dtype is None:
            yield Lever({"optimizer.mu_dtype": "bfloat16"}, "a rounded mean of the gradients")
        yield Lever({"lora": {}}, "trains adapters instead of all weights")


def with_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """Returns the configuration with settings by dotted key in place of its own."""
    values = config.model_dump()
    for key, value in settings.items():
        *sections, name = key.split(".")
        holder = values
        for section in sections:
            holder = holder[section]
        holder[name] = value
    return Config.model_validate(values)


def devices_needed(memory: StepMemory, capacity: int, devices: int) -> int | None:
    """Returns about how many devices hold the run if parameters, gradients and optimiser state are divided among them.

    None where what every device has for itself, the batch and its activations, does not fit alone.
    """
    room = capacity - memory.activations - memory.batch
    return None if room <= 0 else -(-memory.lasting * devices // room)


def _fewer_tokens(config: Config, memory: StepMemory, capacity: int, longest_example: int) -> int | None:
    """Returns the largest half, quarter, ... of micro_batch_tokens that probably fits, or the least that holds an example."""
    tokens, activations = config.trainer.micro_batch_tokens, memory.activations
    while tokens // 2 >= longest_example and memory.peak - memory.activations + activations > capacity:
        tokens, activations = tokens // 2, activations // 2
    return tokens if tokens < config.trainer.micro_batch_tokens else None
