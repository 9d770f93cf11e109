"""How much a step has to compute, and how long that takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from sofit.config import Config, TrainerConfig
from sofit.feed import Feed
from sofit.flops import flops_per_step
from sofit.model import DecoderConfig, LoraSpec, Partitioning
from sofit.outputs import JsonLines
from sofit.packing import BatchShape
from sofit.supervision import Supervised
from sofit.training_examples import LoadedSource

_SAMPLED_STEPS = 8


@dataclass(frozen=True, kw_only=True)
class StepWork:
    """What a step computes; means over the first steps."""

    micro_batches: float
    """Passes through the model."""
    tokens: float
    """Tokens that go through the model, padding included."""
    is_shared: bool
    """Whether shared prefixes are computed once, as `trainer.share_prefix` says; passes, tokens and operations are counted so."""
    tokens_with_sharing: float
    tokens_without_sharing: float
    flops: float
    """Floating-point operations of the step's matrix products, on all devices together."""


def sampled_shapes(
    examples: Sequence[Supervised], config: TrainerConfig, steps: int, partitioning: Partitioning | None
) -> list[list[BatchShape]]:
    """Returns the shapes of the micro-batches of each of the first steps."""
    row_multiple = 1 if partitioning is None else partitioning.data_size
    with Feed(LoadedSource(examples), config, steps, row_multiple=row_multiple) as feed:
        return [[micro.shape for micro in feed.micro_batches(step)] for step in range(1, min(steps, _SAMPLED_STEPS) + 1)]


def step_work(
    examples: Sequence[Supervised],
    config: TrainerConfig,
    steps: int,
    model: DecoderConfig,
    lora: LoraSpec | None,
    partitioning: Partitioning | None = None,
) -> StepWork:
    """Lays the first steps out, with shared prefixes and without, and counts."""
    shared, unshared = (
        sampled_shapes(examples, config.model_copy(update={"share_prefix": share}), steps, partitioning)
        for share in (True, False)
    )
    taken = shared if config.share_prefix else unshared
    return StepWork(
        micro_batches=mean(map(len, taken)),
        tokens=_mean_tokens(taken),
        is_shared=config.share_prefix,
        tokens_with_sharing=_mean_tokens(shared),
        tokens_without_sharing=_mean_tokens(unshared),
        flops=mean(flops_per_step(model, shapes, lora) for shapes in taken),
    )


def _mean_tokens(steps: Sequence[Sequence[BatchShape]]) -> float:
    return mean(sum(shape.tokens for shape in shapes) for shapes in steps)


def earlier_seconds_per_step(config: Config) -> float | None:
    """Returns the median time of the steps that the run folder tells of; None where no run with it has begun."""
    lines = JsonLines(Path(config.out) / "metrics.jsonl").read() if config.out else []
    return median(line["seconds"] for line in lines) if lines else None
