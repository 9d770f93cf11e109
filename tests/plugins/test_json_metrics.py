"""The metrics of JSON, against values worked out by hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sofit import Example, Prediction, Record, Scores, SofitError
from sofit.testing import check_task
from sofit_json import JsonTask
from sofit_json.sources import call_example

TARGET = '{"intent": "PlayMusic", "slots": {"artist": ["Air", "Beck"], "year": "1998"}}'


@pytest.fixture
def task(shared_data: Path) -> JsonTask:
    return JsonTask(data=str(shared_data / "snips"))


def score(task: JsonTask, *pairs: tuple[str, str]) -> Scores:
    examples = [Example(id=str(index), input="", target=target) for index, (target, _) in enumerate(pairs)]
    return task.score([Prediction(example=example, text=text) for example, (_, text) in zip(examples, pairs, strict=True)])


def test_the_target_itself_scores_1_in_everything(task: JsonTask):
    assert set(score(task, (TARGET, TARGET)).metrics.values()) == {1.0}


@pytest.mark.parametrize(
    ("text", "valid", "schema", "exact", "intent", "slot_f1", "field_f1"),
    [
        # Order and spacing do not count.
        ('{"slots":{"year":"1998","artist":["Air","Beck"]},"intent":"PlayMusic"}', 1, 1, 1, 1, 1, 1),
        # A wrong slot: 2 of 3 slots; with the intent, 3 of 4 fields.
        ('{"intent": "PlayMusic", "slots": {"artist": ["Air", "Beck"], "year": "1999"}}', 1, 1, 0, 1, 2 / 3, 3 / 4),
        # Another intent, whose slots are none of these.
        ('{"intent": "GetWeather", "slots": {"city": "Air"}}', 1, 1, 0, 0, 0, 0),
        # The right slots of an intent that has none of them.
        ('{"intent": "GetWeather", "slots": {"artist": ["Air", "Beck"], "year": "1998"}}', 1, 0, 0, 0, 1, 3 / 4),
        # A missing slot: F1 = 2 * 2 / (3 + 2).
        ('{"intent": "PlayMusic", "slots": {"artist": ["Air", "Beck"]}}', 1, 1, 0, 1, 4 / 5, 6 / 7),
        # An extra slot: F1 = 2 * 3 / (3 + 4).
        (
            '{"intent": "PlayMusic", "slots": {"artist": ["Air", "Beck"], "sort": "x", "year": "1998"}}',
            *(1, 1, 0, 1, 6 / 7, 8 / 9),
        ),
        # Swapped values: one artist is left.
        ('{"intent": "PlayMusic", "slots": {"artist": ["Air", "1998"], "year": "Beck"}}', 1, 1, 0, 1, 1 / 3, 2 / 4),
        # The order in a list counts for the exact match alone.
        ('{"intent": "PlayMusic", "slots": {"artist": ["Beck", "Air"], "year": "1998"}}', 1, 1, 0, 1, 1, 1),
        # A number is not its text.
        ('{"intent": "PlayMusic", "slots": {"artist": ["Air", "Beck"], "year": 1998}}', 1, 0, 0, 1, 2 / 3, 3 / 4),
        # Half of it, and NaN, are no JSON.
        (TARGET[:-1], 0, 0, 0, 0, 0, 0),
        ("NaN", 0, 0, 0, 0, 0, 0),
    ],
)
def test_a_changed_output_scores_what_it_should(
    task: JsonTask, text: str, valid: int, schema: int, exact: int, intent: int, slot_f1: float, field_f1: float
):
    found = score(task, (TARGET, text)).metrics
    names = ("valid_json", "schema_valid", "exact_match", "intent_accuracy", "slot_f1", "field_f1")
    assert [found[name] for name in names] == pytest.approx([valid, schema, exact, intent, slot_f1, field_f1])


def test_fields_are_counted_over_all_outputs_together(task: JsonTask):
    metrics = score(task, (TARGET, TARGET), (TARGET, "{}")).metrics
    # Of 8 fields 4 are found; an empty object counts as one that is wrong.
    assert (metrics["field_recall"], metrics["field_precision"]) == pytest.approx((4 / 8, 4 / 5))


def test_each_field_has_its_own_scores_if_asked_for(shared_data: Path):
    task = JsonTask(data=str(shared_data / "snips"), per_field=True)
    metrics = score(task, (TARGET, '{"intent": "PlayMusic", "slots": {"artist": "Air", "sort": "x"}}')).metrics
    of_artist = [metrics[f"field_{name}[slots.artist]"] for name in ("precision", "recall", "f1")]
    assert of_artist == pytest.approx([1, 1 / 2, 2 / 3])
    assert metrics["field_f1[slots.year]"] == 0
    assert "field_f1[slots.sort]" not in metrics


def test_intents_and_slots_are_scored_where_a_target_leaves_out_its_empty_slots(task: JsonTask):
    metrics = score(task, (TARGET, TARGET), ('{"intent": "stop"}', '{"intent": "stop"}')).metrics
    assert (metrics["intent_accuracy"], metrics["slot_f1"]) == (1, 1)
    assert "slot_f1" not in score(task, ('{"intent": "stop"}', '{"intent": "stop"}')).metrics


def test_where_any_call_is_right_no_field_is_counted():
    def example(answers: Any) -> Example:
        row = {"question": "?", "tools": [{"name": "f", "parameters": {"properties": {"x": {}}}}], "answers": answers}
        return call_example(Record(row, "rows:1"), "0")

    any_, one = (Prediction(example=example(answers), text=calls({"x": 1})) for answers in (None, json.loads(calls({"x": 1}))))
    assert JsonTask().score([any_, one]).metrics["field_f1"] == 1
    assert "field_f1" not in JsonTask().score([any_]).metrics


def test_the_confusion_matrix_counts_intents(task: JsonTask):
    scores = score(task, (TARGET, TARGET), (TARGET, "[]"))
    assert scores.confusion == {"PlayMusic": {"PlayMusic": 1, "no intent": 1}}
    assert "SOF007" in scores.per_example[1]["problem"]


def test_outputs_that_nest_without_end_score_0():
    task = JsonTask(data="demo")
    (example, *_) = task.load("validation")
    # Where Python's own recursion ends depends on who calls, so all depths around that.
    outputs = ["[" * depth + "]" * depth for depth in (250, *range(880, 1_000), 5_000)]
    scores = task.score([Prediction(example=example, text=text) for text in outputs])
    assert scores.metrics["schema_valid"] == scores.metrics["exact_match"] == 0


def test_a_target_that_is_no_json_is_an_error_that_names_it(task: JsonTask):
    with pytest.raises(SofitError, match=r"^0: the target '\{' is no JSON"):
        score(task, ("{", TARGET))


def calls(*values: Mapping[str, Any]) -> str:
    return json.dumps([{"name": "f", "arguments": value} for value in values])


@pytest.mark.parametrize(
    ("answers", "text", "call_match", "exact"),
    [
        ([{"f": {"x": ["One", "1"], "y": [2, ""]}}], calls({"x": "one"}), 1, 0),
        ([{"f": {"x": ["One", "1"], "y": [2, ""]}}], calls({"x": "One"}), 1, 1),
        ([{"f": {"x": ["a"]}}, {"f": {"x": ["b"]}}], calls({"x": "b"}, {"x": "a"}), 1, 1),
        ([{"f": {"x": ["a"]}}], "[]", 0, 0),
        ([], "[]", 1, 1),
        ([], calls({"x": "a"}), 0, 0),
        # Any call is right that fits the schema.
        (None, calls({"x": "a"}), 1, 1),
        (None, calls({"z": "a"}), 0, 0),
        (None, "[]", 0, 0),
        # An empty text is a value; only among several accepted ones does it say that a parameter may be left out.
        ([{"name": "f", "arguments": {"x": "", "o": {"k": ""}}}], calls({"x": "", "o": {"k": ""}}), 1, 1),
        ([{"name": "f", "arguments": {"x": "", "o": {"k": ""}}}], calls({"o": {"k": ""}}), 0, 0),
        ([{"name": "f", "arguments": {"x": "", "o": {"k": ""}}}], calls({"x": "", "o": {}}), 0, 0),
        ([{"name": "f", "arguments": {"x": "", "o": {"k": ""}}}], calls({"x": "a", "o": {"k": ""}}), 0, 0),
    ],
)
def test_calls_are_scored_by_what_is_accepted(answers: Any, text: str, call_match: int, exact: int):
    properties = {"x": {"type": "string"}, "y": {"type": "integer"}, "o": {"type": "object"}}
    function = {"name": "f", "parameters": {"properties": properties}}
    example = call_example(Record({"question": "?", "tools": [function], "ground_truth": answers}, "rows:1"), "0")
    metrics = JsonTask().score([Prediction(example=example, text=text)]).metrics
    assert (metrics["call_match"], metrics["exact_match"]) == (call_match, exact)


def test_gold_scores_1_in_everything_on_real_data(shared_data: Path):
    for data, split in (("snips", "validation"), ("bfcl/parallel.jsonl", "validation"), ("bfcl/irrelevance.jsonl", "validation")):
        task = JsonTask(data=str(shared_data / data))
        gold = [Prediction(example=example, text=example.target) for example in task.load(split)]
        assert set(task.score(gold).metrics.values()) == {1.0}, data


def test_the_demo_set_keeps_the_contract_of_a_task():
    check_task(JsonTask())


@pytest.mark.slow
def test_snips_keeps_the_contract_of_a_task(task: JsonTask):
    check_task(task)
