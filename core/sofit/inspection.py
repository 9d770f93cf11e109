"""Looking at the training data as the model will see it: which tokens it reads, which carry loss, what sharing saves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from sofit.config import Config
from sofit.errors import SofitError
from sofit.order import batch_indices
from sofit.plugins import Plugins
from sofit.prefix import group_by_prefix
from sofit.task import Example
from sofit.training_examples import STREAMED_FROM

if TYPE_CHECKING:
    from sofit.pretrained import Tokenizer
    from sofit.supervision import Supervised

_SAMPLED_BATCHES = 20
_LOOKED_AT = 10_000
"""Examples, of data so large that training streams it."""
_NO_LIMIT = 2**31


@dataclass(frozen=True, kw_only=True)
class InspectedExample:
    """A training example in three stretches, each the texts of its tokens."""

    id: str
    prefix: tuple[str, ...]
    """The part of the prompt that it shares with other examples of its batch."""
    prompt: tuple[str, ...]
    """The rest of the prompt."""
    completion: tuple[str, ...]
    """The tokens that carry loss, the end of the sequence included."""


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Token counts over the training examples."""

    mean: float
    longest: int


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What training would be given."""

    shown: Sequence[InspectedExample]
    count: int
    """All training examples."""
    looked_at: int
    """Those that the figures are of: all, or of large data some, spread evenly."""
    prompt: Lengths
    completion: Lengths
    total: Lengths
    max_length: int
    too_long: Sequence[tuple[str, int]]
    """Examples beyond `max_length`, which training refuses: where each stands, and its tokens."""
    tokens_with_sharing: float
    """Tokens that go through the model in a batch, padding included, the mean of some batches."""
    tokens_without_sharing: float


def inspect_task(config: Config, plugins: Plugins, count: int) -> Inspection:
    """Tokenises the training examples of a task as training does, without running the model.

    Args:
        config: the settings of the run.
        plugins: where the task comes from.
        count: how many examples to return with their tokens.

    Raises:
        SofitError: the data or the tokenizer cannot be had, or a target is empty.
    """
    from sofit.packing import Packer
    from sofit.pretrained import load_tokenizer
    from sofit.supervision import supervise

    task = plugins.make_task(config)
    tokenizer = load_tokenizer(config.model)
    chosen, total = _spread(task.load("train"))
    if not chosen:
        raise SofitError(f"Task {task.name!r} has no training example in {task.data}.")
    examples = supervise(task, chosen, tokenizer, _NO_LIMIT)
    limit = config.trainer.max_length
    batches = _some_batches([example for example in examples if len(example) <= limit], config)

    def tokens(share_prefix: bool) -> float:
        packer = Packer(batches, share_prefix=share_prefix, micro_batch_tokens=config.trainer.micro_batch_tokens)
        return mean(sum(micro.shape.tokens for micro in packer.pack(batch)) for batch in batches)

    return Inspection(
        shown=[_shown(example, prefix, tokenizer) for example, prefix in _with_prefixes(batches[0])[:count]] if batches else [],
        count=total,
        looked_at=len(examples),
        prompt=_lengths([example.prompt_length for example in examples]),
        completion=_lengths([example.completion_length for example in examples]),
        total=_lengths([len(example) for example in examples]),
        max_length=limit,
        too_long=[(_name(example), len(example)) for example in examples if len(example) > limit],
        tokens_with_sharing=tokens(share_prefix=True) if batches else 0.0,
        tokens_without_sharing=tokens(share_prefix=False) if batches else 0.0,
    )


def _spread(loaded: Iterable[Example]) -> tuple[list[Example], int]:
    """Returns the examples to look at, and how many there are."""
    if isinstance(loaded, Sequence) and len(loaded) >= STREAMED_FROM:
        return [loaded[index] for index in range(0, len(loaded), -(-len(loaded) // _LOOKED_AT))], len(loaded)
    examples = list(loaded)
    return examples, len(examples)


def _some_batches(examples: Sequence["Supervised"], config: Config) -> list[list["Supervised"]]:
    """Returns the first batches of training, at most those of one epoch."""
    size = config.trainer.train_batch_size
    count = min(_SAMPLED_BATCHES, -(-len(examples) // size))
    order = [batch_indices(len(examples), size, config.trainer.seed, step) for step in range(1, count + 1)]
    return [[examples[index] for index in indices] for indices in order]


def _with_prefixes(batch: Sequence["Supervised"]) -> list[tuple["Supervised", int]]:
    """Pairs the examples of a batch, in its order, with the length of the prefix that each shares with others."""
    groups = group_by_prefix([example.ids for example in batch], [example.prompt_length - 1 for example in batch])
    lengths = {member: group.prefix_length for group in groups for member in group.members}
    return [(example, lengths[index]) for index, example in enumerate(batch)]


def _shown(example: "Supervised", prefix_length: int, tokenizer: "Tokenizer") -> InspectedExample:
    texts = tuple(tokenizer.fast.batch_decode([[token] for token in example.ids.tolist()]))
    return InspectedExample(
        id=_name(example),
        prefix=texts[:prefix_length],
        prompt=texts[prefix_length : example.prompt_length],
        completion=texts[example.prompt_length :],
    )


def _name(example: "Supervised") -> str:
    return example.example.where or example.example.id


def _lengths(lengths: Sequence[int]) -> Lengths:
    return Lengths(mean=mean(lengths), longest=max(lengths))
