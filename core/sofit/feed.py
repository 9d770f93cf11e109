"""What each step is fed: its examples in their order, laid out in micro-batches."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from sofit.batches import PrefixBatch, to_arrays
from sofit.config import TrainerConfig
from sofit.order import batch_indices
from sofit.packing import MicroBatch, Packer
from sofit.supervision import Supervised
from sofit.training_examples import Source

_SAMPLED_EXAMPLES, _LEAST_BATCHES = 2048, 32
"""How many examples, and at least how many batches, are looked at to choose shapes: one that is missing takes long to compile."""
_STEPS_AHEAD = 4
"""Steps that are made ready while the device works."""


@dataclass(frozen=True)
class _Step:
    examples: list[Supervised]
    micro_batches: list[MicroBatch]


class Feed:
    """The batches of a run, made in a thread that stays some steps ahead. A context manager, which ends it."""

    def __init__(self, source: Source, config: TrainerConfig, steps: int, *, row_multiple: int = 1):
        """Settles on a layout after a look at the first batches. `row_multiple`: the devices that the rows lie over."""
        self._source, self._config, self._steps = source, config, steps
        sampled = max(_LEAST_BATCHES, _SAMPLED_EXAMPLES // config.train_batch_size)
        self._sample = {step: self._read(step) for step in range(1, min(sampled, steps) + 1)}
        self._packer = Packer(
            list(self._sample.values()),
            share_prefix=config.share_prefix,
            micro_batch_tokens=config.micro_batch_tokens * row_multiple,
            row_multiple=row_multiple,
        )
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="feed")
        self._ready: dict[int, Future[_Step]] = {}

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._source.close()

    def examples(self, step: int) -> list[Supervised]:
        """Returns the examples of a step, which counts from 1.

        Raises:
            SofitError: one of them cannot be read or trained on; names its place.
        """
        return self._get(step).examples

    def micro_batches(self, step: int) -> list[MicroBatch]:
        """Returns the examples of a step, laid out in rows."""
        return self._get(step).micro_batches

    def _get(self, step: int) -> _Step:
        for wanted in range(step, min(step + _STEPS_AHEAD, self._steps) + 1):
            if wanted not in self._ready:
                self._ready[wanted] = self._thread.submit(self._make, wanted)
        for past in [other for other in self._ready if other < step]:
            del self._ready[past]
        return self._ready[step].result()

    def _make(self, step: int) -> _Step:
        examples = self._sample.pop(step, None) or self._read(step)
        return _Step(examples, self._packer.pack(examples))

    def _read(self, step: int) -> list[Supervised]:
        indices = batch_indices(len(self._source), self._config.train_batch_size, self._config.seed, step)
        return self._source.at(indices.tolist())


def arrays_of(micro_batches: Sequence[MicroBatch]) -> list[PrefixBatch]:
    """Lays micro-batches out in arrays."""
    return [to_arrays(micro) for micro in micro_batches]
