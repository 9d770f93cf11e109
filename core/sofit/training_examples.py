"""The examples to train on: all checked and tokenised before the first step, or, of large data, each step's as its turn comes."""

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from sofit.config import Config
from sofit.data_check import checked_examples, listing_of, refusal, target_problems
from sofit.errors import SofitError
from sofit.labels import Labeller
from sofit.supervision import Supervised, supervise
from sofit.task import Example, Task
from sofit.token_cache import TokenCache

if TYPE_CHECKING:
    from sofit.pretrained import Tokenizer

STREAMED_FROM = 100_000
"""Examples, from which on they are streamed unless the configuration says otherwise."""

_NAMED = 10
"""Examples left out of a stream that are named; the others are counted."""
_log = logging.getLogger(__name__)


class Source(Protocol):
    """Examples as tokens, by number."""

    @property
    def roles(self) -> Sequence[str]:
        """The roles of completion tokens, by number."""
        ...

    def __len__(self) -> int: ...

    def at(self, indices: Sequence[int]) -> list[Supervised]:
        """Returns the examples of these numbers, but for those that are left out since their target does not parse.

        Raises:
            SofitError: an example cannot be read or trained on; names its place.
        """
        ...

    def close(self) -> None:
        """Ends the reading."""
        ...


class TrainingExamples(Protocol):
    """Examples before there is a tokenizer."""

    def __len__(self) -> int: ...

    def tokenized(self, tokenizer: "Tokenizer", config: Config) -> Source:
        """Tokenises them: now or when they are asked for.

        Raises:
            SofitError: some cannot be trained on; names the first few.
        """
        ...


def load_training_examples(task: Task, streaming: bool | None, *, allow_invalid: bool) -> TrainingExamples:
    """Opens the training data of a task, as `data_streaming` says: None leaves it to the number of examples.

    Raises:
        SofitError: there are none, they cannot be read, or, of those that are not streamed, some targets do not parse; or they
            are to be streamed and the task cannot.
    """
    loaded = task.load("train")
    if _is_streamed(task, loaded, streaming):
        assert isinstance(loaded, Sequence)
        return _StreamedExamples(task, loaded, allow_invalid=allow_invalid)
    examples = list(iter(loaded))  # Of a lazy sequence, `list` alone would ask for the length first, which takes reading it.
    if not examples:
        raise SofitError(f"Task {task.name!r} has no train examples in {task.data}.")
    return _LoadedExamples(task, checked_examples(task, examples, "train", allow_invalid=allow_invalid))


def _is_streamed(task: Task, loaded: Iterable[Example], streaming: bool | None) -> bool:
    if not isinstance(loaded, Sequence):
        if streaming:
            raise SofitError(
                f"data_streaming: task {task.name!r} gives its examples one after the other, so they cannot be streamed in a"
                " shuffled order. Its load() must return a sequence, such as what sofit.read_examples returns."
            )
        return False
    if streaming is None and len(loaded) >= STREAMED_FROM:
        _log.info(
            "%s examples: each is checked and tokenised when its step comes. data_streaming=false does it before the first step.",
            f"{len(loaded):,}",
        )
        return True
    return bool(streaming)


class _LoadedExamples:
    def __init__(self, task: Task, examples: Sequence[Example]) -> None:
        self._task, self._examples = task, examples

    def __len__(self) -> int:
        return len(self._examples)

    def tokenized(self, tokenizer: "Tokenizer", config: Config) -> Source:
        cache = _cache(tokenizer, config)
        labeller = Labeller(self._task, self._examples[0], tokenizer, config.trainer.loss_on)
        try:
            rows = supervise(self._task, self._examples, tokenizer, config.trainer.max_length, cache, labeller)
        finally:
            if cache is not None:
                cache.flush()
        return LoadedSource(rows, labeller.roles)


class LoadedSource:
    """Examples that are in memory."""

    def __init__(self, rows: Sequence[Supervised], roles: Sequence[str] = ()) -> None:
        self._rows = rows
        self.roles = roles

    def __len__(self) -> int:
        return len(self._rows)

    def at(self, indices: Sequence[int]) -> list[Supervised]:
        """Returns the examples of these numbers."""
        return [self._rows[index] for index in indices]

    def close(self) -> None:
        """There is nothing to end."""


class _StreamedExamples:
    def __init__(self, task: Task, examples: Sequence[Example], *, allow_invalid: bool) -> None:
        self._task, self._examples, self._allow_invalid = task, examples, allow_invalid

    def __len__(self) -> int:
        return len(self._examples)

    def tokenized(self, tokenizer: "Tokenizer", config: Config) -> Source:
        return _StreamedSource(self._task, self._examples, tokenizer, config, allow_invalid=self._allow_invalid)


class _StreamedSource:
    """Reads, checks and tokenises examples when they are asked for. None stays in memory."""

    def __init__(
        self, task: Task, examples: Sequence[Example], tokenizer: "Tokenizer", config: Config, *, allow_invalid: bool
    ) -> None:
        self._task, self._examples, self._tokenizer = task, examples, tokenizer
        self._max_length, self._cache = config.trainer.max_length, _cache(tokenizer, config)
        self._labeller = Labeller(task, examples[0], tokenizer, config.trainer.loss_on)
        self._allow_invalid = allow_invalid
        self._left_out: set[int] = set()

    def __len__(self) -> int:
        return len(self._examples)

    @property
    def roles(self) -> Sequence[str]:
        return self._labeller.roles

    def at(self, indices: Sequence[int]) -> list[Supervised]:
        examples = [self._examples[index] for index in indices]
        if problems := target_problems(self._task, examples):
            if not self._allow_invalid or len(problems) == len(examples):
                raise refusal(self._task, examples, problems, "train", allow_invalid=self._allow_invalid)
            self._tell({indices[place] for place in problems}, listing_of(examples, problems))
            examples = [example for place, example in enumerate(examples) if place not in problems]
        return supervise(self._task, examples, self._tokenizer, self._max_length, self._cache, self._labeller)

    def _tell(self, left_out: set[int], listing: str) -> None:
        count = len(self._left_out)
        self._left_out |= left_out
        if count < _NAMED and len(self._left_out) > count:
            more = "\nFurther ones are counted at the end." if len(self._left_out) >= _NAMED else ""
            _log.warning("Left out %d train examples, whose targets do not parse:\n%s%s", len(left_out), listing, more)

    def close(self) -> None:
        if self._cache is not None:
            self._cache.flush()
        if self._left_out:
            _log.warning("In all, %d train examples were left out, whose targets do not parse.", len(self._left_out))


def _cache(tokenizer: "Tokenizer", config: Config) -> TokenCache | None:
    return None if config.data_cache_dir is None else TokenCache(config.data_cache_dir, tokenizer.fingerprint)
