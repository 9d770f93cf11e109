"""No target that its grammar refuses is trained on or judged by."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest

from sofit import Example, Grammar, Prediction, Scores, SofitError, Task
from sofit.data_check import checked_examples
from sofit.evaluate import load_examples


@dataclass(frozen=True, kw_only=True)
class LetterTask(Task):
    """Each example has a grammar of its own: its input, any number of times."""

    name: ClassVar[str] = "letters"

    def load(self, split: str) -> Iterable[Example]:
        count = 3 if split == "train" else 0
        return [example("a", "a" * (index + 1)) for index in range(count)]

    def prompt(self, example: Example) -> str:
        return "Write: "

    def grammar_for(self, example: Example) -> Grammar:
        return Grammar("letters", f'start: "{example.input}"+')

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        return Scores(metrics={})


def example(letter: str, target: str, where: str = "") -> Example:
    return Example(id=f"row of {letter}", input=letter, target=target, where=where)


GOOD, OTHER = example("a", "aaa"), example("b", "bb")
BAD, NAMED = example("a", "ab"), example("b", "a", where="rows.csv:7")


def test_targets_are_judged_by_the_grammar_of_their_own_example() -> None:
    assert checked_examples(LetterTask(), [GOOD, OTHER], "train", allow_invalid=False) == [GOOD, OTHER]


def test_refused_targets_are_counted_and_named_by_where_they_stand() -> None:
    with pytest.raises(SofitError) as error:
        checked_examples(LetterTask(), [GOOD, BAD, OTHER, NAMED], "train", allow_invalid=False)
    message = str(error.value)
    assert message.startswith("2 of 4 train targets are not in the grammar of task 'letters':\n")
    assert "  row of a: target 1:1: " in message
    assert "  rows.csv:7: target 1:1: " in message
    assert message.endswith("Mend the data, or leave these rows out with --allow-invalid-targets.")


def test_at_most_ten_are_shown() -> None:
    with pytest.raises(SofitError, match="12 of 13 train targets") as error:
        checked_examples(LetterTask(), [GOOD, *[BAD] * 12], "train", allow_invalid=False)
    assert str(error.value).count("row of a: target") == 10
    assert "  and 2 more\n" in str(error.value)


def test_refused_targets_are_left_out_only_on_demand_and_with_a_notice(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        kept = checked_examples(LetterTask(), [GOOD, BAD, OTHER, NAMED], "validation", allow_invalid=True)
    assert kept == [GOOD, OTHER]
    (record,) = caplog.records
    assert record.getMessage().startswith("Left out 2 of 4 validation examples, whose targets do not parse:\n")
    assert "rows.csv:7" in record.getMessage()


def test_there_must_be_something_left() -> None:
    with pytest.raises(SofitError, match=r"2 of 2 train targets are not in the grammar(.|\n)*Mend the data\.$"):
        checked_examples(LetterTask(), [BAD, NAMED], "train", allow_invalid=True)


def test_a_split_without_examples_is_an_error() -> None:
    assert [example.target for example in load_examples(LetterTask(), "train", 2)] == ["a", "aa"]
    assert len(load_examples(LetterTask(), "train")) == 3
    with pytest.raises(SofitError, match="Task 'letters' has no validation examples in demo"):
        load_examples(LetterTask(), "validation")
