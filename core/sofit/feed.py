"""What each step is fed: its examples in their order, laid out in micro-batches."""

from collections.abc import Sequence

from sofit.batches import PrefixBatch, to_arrays
from sofit.config import TrainerConfig
from sofit.order import batch_indices
from sofit.packing import MicroBatch, Packer
from sofit.supervision import Supervised

_SAMPLED_EXAMPLES, _LEAST_BATCHES = 2048, 32
"""How many examples, and at least how many batches, are looked at to choose shapes: one that is missing takes long to compile."""


class Feed:
    """The batches of a run."""

    def __init__(self, examples: Sequence[Supervised], config: TrainerConfig, steps: int):
        """Settles on a layout after a look at the first batches."""
        sampled = max(_LEAST_BATCHES, _SAMPLED_EXAMPLES // config.train_batch_size)
        self._examples = examples
        self._config = config
        self._packer = Packer(
            [self.examples(step) for step in range(1, min(sampled, steps) + 1)],
            share_prefix=config.share_prefix,
            micro_batch_tokens=config.micro_batch_tokens,
        )

    def examples(self, step: int) -> list[Supervised]:
        """Returns the examples of a step, which counts from 1."""
        indices = batch_indices(len(self._examples), self._config.train_batch_size, self._config.seed, step)
        return [self._examples[index] for index in indices.tolist()]

    def micro_batches(self, step: int) -> list[MicroBatch]:
        """Returns the examples of a step, laid out in rows."""
        return self._packer.pack(self.examples(step))


def arrays_of(micro_batches: Sequence[MicroBatch]) -> list[PrefixBatch]:
    """Lays micro-batches out in arrays."""
    return [to_arrays(micro) for micro in micro_batches]
