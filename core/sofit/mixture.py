"""Several tasks learnt at once, each example under the prompt, the grammar and the metrics of its own.

A mixture is a task like any other, so nothing else knows of it. An example's id begins with the name of its part, as in
"calls:train-17". How often a part comes is settled by its length in an epoch: the shuffle that is the same for every task then
draws from the parts by weight.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, zip_longest
from typing import ClassVar

from sofit.errors import SofitError
from sofit.grammar import Grammar, Problem
from sofit.records.lazy import LazySequence
from sofit.task import Example, Message, Prediction, Scores, Task

_OVERALL = "mean"
"""The metric of all parts together: the mean of the first metric of each."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A task in a mixture."""

    task: Task
    weight: float
    """How much of the training it gets, in proportion to the other parts' weights."""


@dataclass(frozen=True, kw_only=True)
class MixtureTask(Task):
    """The parts of a mixture as one task."""

    name: ClassVar[str] = "mixture"
    parts: Mapping[str, Part]

    @property
    def headline(self) -> Sequence[str]:  # pyright: ignore[reportIncompatibleVariableOverride]  # A class cannot know the parts.
        """The mean, and the first metric of each part that has a headline."""
        return (_OVERALL, *(f"{name}/{part.task.headline[0]}" for name, part in self.parts.items() if part.task.headline))

    @property
    def is_demo(self) -> bool:
        """Whether the examples of some part are made up."""
        return any(part.task.is_demo for part in self.parts.values())

    def load(self, split: str) -> Sequence[Example]:
        """Returns the examples to train on, as often as the weights want them; of other splits, the parts' in turn."""
        loaded = {name: _sequence(part.task.load(split)) for name, part in self.parts.items()}
        if split == "train":
            return _Weighted(loaded, [part.weight for part in self.parts.values()])
        return _InTurn(loaded)

    def prompt(self, example: Example) -> str | Sequence[Message]:
        """Returns the prompt of the example's own task."""
        task, own = self._of(example)
        return task.prompt(own)

    def grammar_for(self, example: Example) -> Grammar:
        """Returns the grammar of the example's own task."""
        task, own = self._of(example)
        return task.grammar_for(own)

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """Scores the predictions of each part by its own metrics, called "part/metric", and their first ones together."""
        metrics: dict[str, float] = {}
        confusion: dict[str, Mapping[str, int]] = {}
        per_example: list[Mapping[str, object]] = [{} for _ in predictions]
        firsts: list[float] = []
        for name, part in self.parts.items():
            places = [index for index, prediction in enumerate(predictions) if _part_of(prediction.example) == name]
            if not places:
                continue
            own = [replace(predictions[place], example=self._of(predictions[place].example)[1]) for place in places]
            scores = part.task.score(own)
            firsts.append(scores.metrics[next(iter(part.task.headline), next(iter(scores.metrics)))])
            metrics |= {f"{name}/{metric}": value for metric, value in scores.metrics.items()}
            confusion |= {f"{name}/{expected}": found for expected, found in scores.confusion.items()}
            for place, entry in zip(places, scores.per_example, strict=False):
                per_example[place] = {f"{name}/{metric}": value for metric, value in entry.items()}
        overall = {_OVERALL: math.fsum(firsts) / len(firsts)} if firsts else {}
        return Scores(metrics=overall | metrics, per_example=per_example, confusion=confusion)

    def check_for(self, example: Example, text: str) -> Iterable[Problem]:
        """Yields the broken rules of the example's own task."""
        task, own = self._of(example)
        return task.check_for(own, text)

    def example_for(self, text: str) -> Example:
        """Refuses: a text alone does not say which task it is for."""
        raise SofitError(f"Which task of the mixture is the text for? Name one with --task: {', '.join(self.parts)}.")

    def instruction_row(self, example: Example) -> Mapping[str, str]:
        """Returns the row of the example's own task."""
        task, own = self._of(example)
        return task.instruction_row(own)

    def canonical(self, text: str, example: Example) -> str:
        """Returns the canonical form of the example's own task."""
        task, own = self._of(example)
        return task.canonical(text, own)

    def _of(self, example: Example) -> tuple[Task, Example]:
        """Returns the task of an example, and the example as that task made it."""
        name = _part_of(example)
        return self.parts[name].task, replace(example, id=example.id.removeprefix(f"{name}:"))


def make_mixture(parts: Mapping[str, Part]) -> MixtureTask:
    """Makes a task of several; reports call its data by those of the parts."""
    return MixtureTask(parts=parts, data=", ".join(f"{name}: {part.task.data}" for name, part in parts.items()))


def _part_of(example: Example) -> str:
    return example.id.partition(":")[0]


def _sequence(examples: Iterable[Example]) -> Sequence[Example]:
    return examples if isinstance(examples, Sequence) else list(examples)


class _Weighted(LazySequence[Example]):
    """The parts one after the other, each as long as its weight wants, and none shorter than it is."""

    def __init__(self, parts: Mapping[str, Sequence[Example]], weights: Sequence[float]) -> None:
        self._names, self._parts = list(parts), list(parts.values())
        if empty := [name for name, part in parts.items() if not len(part)]:
            raise SofitError(f"Part {empty[0]!r} of the mixture has no examples to train on.")
        # The part that is longest for its weight comes whole once an epoch, and the others come again and again.
        per_weight = max(len(part) / weight for part, weight in zip(self._parts, weights, strict=True))
        lengths = [round(per_weight * weight) for weight in weights]
        self._ends = list(accumulate(lengths))

    def __len__(self) -> int:
        return self._ends[-1]

    def _at(self, index: int) -> Example:
        part = bisect_right(self._ends, index)
        start = self._ends[part - 1] if part else 0
        return _named(self._names[part], self._parts[part][(index - start) % len(self._parts[part])])


class _InTurn(LazySequence[Example]):
    """One example of each part, then the next one of each, so that the first few are of all parts."""

    def __init__(self, parts: Mapping[str, Sequence[Example]]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts.values()))

    def __iter__(self) -> Iterator[Example]:
        for row in zip_longest(*self._parts.values()):
            for name, example in zip(self._parts, row, strict=True):
                if example is not None:
                    yield _named(name, example)

    def _at(self, index: int) -> Example:
        return next(example for place, example in enumerate(self) if place == index)


def _named(part: str, example: Example) -> Example:
    return replace(example, id=f"{part}:{example.id}")
