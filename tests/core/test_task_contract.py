"""The contract of a task: what a class must have, and what `check_task` finds in a task that breaks it."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest

from sofit import Example, Grammar, Message, Prediction, Problem, Scores, SofitError, Task
from sofit.task import check_task_class, make_task
from sofit.testing import check_task


@dataclass(frozen=True, kw_only=True)
class Spell(Task):
    """To spell out a number, which is as small as a task can be and keeps the contract."""

    name: ClassVar[str] = "spell"
    grammar: ClassVar[Grammar | None] = Grammar("spell", 'start: "one" | "two" | "three" | "four" | "ONE"')
    headline: ClassVar[Sequence[str]] = ("right",)

    greeting: str = "Spell"
    shots: int = 0
    share: float = 0.5
    loud: bool = False

    def load(self, split: str) -> Iterable[Example]:
        numbers = {"train": {1: "one", 2: "two", 3: "three"}, "validation": {4: "four"}}[split]
        return [Example(id=f"{split}-{number}", input=number, target=word) for number, word in numbers.items()]

    def prompt(self, example: Example) -> str | Sequence[Message]:
        return f"{self.greeting}. 1: one\n{example.input}: "

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        per_example = [{"right": float(p.text == p.example.target)} for p in predictions]
        return Scores(metrics={"right": mean(per_example)}, per_example=per_example)


def mean(per_example: Sequence[dict[str, Any]]) -> float:
    return sum(entry["right"] for entry in per_example) / len(per_example)


@dataclass(frozen=True, kw_only=True)
class EmptySplit(Spell):
    def load(self, split: str) -> Iterable[Example]:
        return super().load(split) if split == "train" else []


@dataclass(frozen=True, kw_only=True)
class UnreadableSplit(Spell):
    def load(self, split: str) -> Iterator[Example]:
        yield from super().load(split)
        raise SofitError("numbers.csv:7: not a number")


@dataclass(frozen=True, kw_only=True)
class RepeatedId(Spell):
    def load(self, split: str) -> Iterable[Example]:
        return [dataclasses.replace(example, id="same") for example in super().load(split)]


@dataclass(frozen=True, kw_only=True)
class OtherEveryTime(Spell):
    count: list[int] = field(default_factory=list)

    def load(self, split: str) -> Iterable[Example]:
        self.count.append(0)
        return [dataclasses.replace(example, id=f"{example.id}-{len(self.count)}") for example in super().load(split)]


class BackwardsByNumber(list[Example]):
    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(-1 - index)


@dataclass(frozen=True, kw_only=True)
class OtherByNumber(Spell):
    def load(self, split: str) -> Iterable[Example]:
        return BackwardsByNumber(super().load(split))


@dataclass(frozen=True, kw_only=True)
class WrongTarget(Spell):
    def load(self, split: str) -> Iterable[Example]:
        return [dataclasses.replace(e, target=e.target + "!", where=f"numbers.csv:{e.input}") for e in super().load(split)]


@dataclass(frozen=True, kw_only=True)
class IgnoredText(Spell):
    grammar: ClassVar[Grammar | None] = Grammar("spell", 'start: "one" | "tw" | "three" | "four"\n%ignore "o"')


@dataclass(frozen=True, kw_only=True)
class UnknownRole(Spell):
    roles: ClassVar[Mapping[str, str]] = {"start": "number", "satrt": "number"}


@dataclass(frozen=True, kw_only=True)
class BrokenRule(Spell):
    rules: ClassVar[Mapping[str, str]] = {"SOF101": "A number is above three."}

    def check(self, text: str) -> Iterable[Problem]:
        yield Problem.at(text, 0, "SOF102", "That is a word.", severity="warning")
        if text == "four":
            yield Problem.at(text, 0, "SOF101", "That is more than three.")


@dataclass(frozen=True, kw_only=True)
class RestlessCanonical(Spell):
    def canonical(self, text: str, example: Example) -> str:
        return {"one": "two", "two": "one"}.get(text, text)


@dataclass(frozen=True, kw_only=True)
class UnparsableCanonical(Spell):
    def canonical(self, text: str, example: Example) -> str:
        return text.capitalize()


@dataclass(frozen=True, kw_only=True)
class AnswerInInput(Spell):
    def load(self, split: str) -> Iterable[Example]:
        return [dataclasses.replace(example, input=f"{example.input} {example.target}") for example in super().load(split)]


@dataclass(frozen=True, kw_only=True)
class AnswerInMessages(Spell):
    def prompt(self, example: Example) -> Sequence[Message]:
        return [{"role": "system", "content": "Spell."}, {"role": "user", "content": f"{example.input} {len(example.target)}"}]


@dataclass(frozen=True, kw_only=True)
class NoInput(Spell):
    def prompt(self, example: Example) -> str:
        return "Spell: "


@dataclass(frozen=True, kw_only=True)
class JunkScores(Spell):
    def score(self, predictions: Sequence[Prediction]) -> Scores:
        per_example = [{"right": 1.0} for _ in predictions]
        return Scores(metrics={"right": 1.0}, per_example=per_example)


@dataclass(frozen=True, kw_only=True)
class TargetsScoreLess(Spell):
    def score(self, predictions: Sequence[Prediction]) -> Scores:
        per_example = [{"right": 0.9 * (p.text == p.example.target)} for p in predictions]
        return Scores(metrics={"right": mean(per_example)}, per_example=per_example)


@dataclass(frozen=True, kw_only=True)
class NotTheMean(Spell):
    def score(self, predictions: Sequence[Prediction]) -> Scores:
        scores = super().score(predictions)
        return dataclasses.replace(scores, metrics={"right": scores.metrics["right"] ** 2})


@dataclass(frozen=True, kw_only=True)
class OutOfPlace(Spell):
    def score(self, predictions: Sequence[Prediction]) -> Scores:
        scores = super().score(predictions)
        return dataclasses.replace(scores, per_example=sorted(scores.per_example, key=lambda entry: entry["right"]))


@dataclass(frozen=True, kw_only=True)
class NothingPerExample(Spell):
    def score(self, predictions: Sequence[Prediction]) -> Scores:
        return dataclasses.replace(super().score(predictions), per_example=())


@dataclass(frozen=True, kw_only=True)
class OfAllTogether(Spell):
    def score(self, predictions: Sequence[Prediction]) -> Scores:
        right = sum(p.text == p.example.target for p in predictions)
        # None of one prediction: it is high as long as most of them are right.
        return Scores.averaged(super().score(predictions).per_example, together={"most": float(2 * right > len(predictions))})


@dataclass(frozen=True, kw_only=True)
class MissingInSome(Spell):
    def score(self, predictions: Sequence[Prediction]) -> Scores:
        scores = super().score(predictions)
        return dataclasses.replace(scores, per_example=[{}, *scores.per_example[1:]])


@dataclass(frozen=True, kw_only=True)
class Mood(Spell):
    mood: Literal["calm", "loud"] = "calm"


@dataclass(frozen=True, kw_only=True)
class UnknownHeadline(Spell):
    headline: ClassVar[Sequence[str]] = ("wright",)


def test_a_task_that_keeps_the_contract_passes():
    check_task(Spell())
    check_task(Spell(greeting="Write out"))


def test_a_metric_may_be_of_all_predictions_together():
    check_task(OfAllTogether())


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        (EmptySplit, "split 'validation' is empty"),
        (UnreadableSplit, "numbers.csv:7: not a number"),
        (RepeatedId, "4 examples have the id 'same'"),
        (OtherEveryTime, "load() gives other examples when called again"),
        (OtherByNumber, "load('train') gives other examples by number than in order"),
        (WrongTarget, "numbers.csv:1: the target 'one!' does not parse: 1:4: SOF"),
        (IgnoredText, "train-2: the parse tree of 'two' renders as 'tw'"),
        (UnknownRole, "roles name 'satrt', which is no rule or terminal of the grammar. Did you mean 'start'?"),
        (BrokenRule, "validation-4: the target 'four' breaks a rule of the task: 1:1: SOF101 That is more than three."),
        (RestlessCanonical, "train-1: the canonical form 'two' has itself another one"),
        (UnparsableCanonical, "train-1: the canonical form 'One' of 'one' does not parse"),
        (AnswerInInput, "train-1: the prompt contains the target 'one'"),
        (AnswerInMessages, "train-1: the prompt depends on the target"),
        (NoInput, "all prompts are the same: they leave out the input"),
        (JunkScores, "metric 'right' gives '' 1.0 and the targets 1"),
        (TargetsScoreLess, "metric 'right' gives the targets 0.9 instead of 1"),
        (NotTheMean, "metric 'right' is 0.25, which is not the mean of its values per example"),
        (OutOfPlace, "metric 'right' of one prediction depends on the other predictions"),
        (NothingPerExample, "score() gives 0 entries per_example for 4 predictions"),
        (MissingInSome, "metric 'right' is missing in some entries of per_example"),
        (UnknownHeadline, "headline names 'wright', which score() does not give; it gives right"),
    ],
)
def test_a_broken_contract_is_named(task: type[Task], fault: str):
    with pytest.raises(AssertionError) as error:
        check_task(task())
    assert str(error.value).startswith("Task 'spell' breaks the contract of a task:\n- ")
    assert f"\n- {fault}" in str(error.value)


def test_all_faults_are_listed_but_of_one_kind_only_the_first_three():
    @dataclass(frozen=True, kw_only=True)
    class Faulty(WrongTarget):
        headline: ClassVar[Sequence[str]] = ("wright",)

    with pytest.raises(AssertionError) as error:
        check_task(Faulty())
    assert str(error.value).count("does not parse") == 3
    assert "- ... and 1 more like it\n- headline names" in str(error.value)


def test_options_are_set_by_name_and_keep_their_defaults():
    assert make_task(Spell, {"greeting": "Hello", "share": 1}) == Spell(greeting="Hello", share=1)
    assert make_task(Spell, {}).is_demo
    assert not make_task(Spell, {"data": "numbers.csv"}).is_demo


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"greting": "x"}, r"Task 'spell' has no option 'greting'\. Options: data, greeting, .*Did you mean 'greeting'\?"),
        ({"shots": "many"}, r"Option 'shots' of task 'spell' must be of type int\. Got 'many'\."),
        ({"loud": "yes"}, r"Option 'loud' of task 'spell' must be of type bool\. Got 'yes'\."),
        ({"shots": True}, r"Option 'shots' of task 'spell' must be of type int\. Got True\."),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], message: str):
    with pytest.raises(SofitError, match=message):
        make_task(Spell, options)


def test_an_option_of_a_literal_type_takes_its_values_only():
    assert make_task(Mood, {"mood": "loud"}) == Mood(mood="loud")
    with pytest.raises(SofitError, match=r"Option 'mood' must be one of calm, loud\. Got 'low'\."):
        make_task(Mood, {"mood": "low"})


def test_a_class_that_lacks_parts_is_refused_with_all_of_them():
    class Mutable(Spell):
        pass

    @dataclass(frozen=True, kw_only=True)
    class Required(Spell):
        grammar: ClassVar[Grammar | None] = None
        language: str

    check_task_class(Spell)
    with pytest.raises(SofitError, match="it is not a @dataclass"):
        check_task_class(Mutable)
    with pytest.raises(SofitError, match=r"neither `grammar` nor grammar_for\(\) is defined; option 'language' has no default"):
        check_task_class(Required)
