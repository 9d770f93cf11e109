"""The rules of ViGGO that its grammar leaves open."""

from pathlib import Path

import pytest

from sofit_viggo import ViggoTask


def findings(text: str) -> list[tuple[str, str, str | None, str]]:
    problems = list(ViggoTask().check(text))
    for problem in problems:
        assert text[problem.offset :].startswith(problem.found)
        assert (problem.line, problem.column) == (1, problem.offset + 1)
    return [(problem.code, problem.found, problem.suggestion, problem.severity) for problem in problems]


@pytest.mark.parametrize(
    "text",
    ["inform(name[A, B], genres[action, puzzle], platforms[PC])", "request_attribute(genres[])", "not a call", ""],
)
def test_a_call_as_the_data_writes_it_breaks_no_rule_and_neither_does_what_is_no_call(text: str):
    assert findings(text) == []


def test_an_attribute_out_of_order_is_named():
    assert findings("inform(genres[puzzle], platforms[PC], name[A])") == [("SOF101", "name", None, "error")]


def test_a_repeated_attribute_is_named():
    assert findings("inform(name[A], genres[puzzle], name[B])") == [("SOF102", "name", None, "error")]


def test_a_value_outside_the_ontology_is_a_warning_with_the_nearest_known_one():
    assert findings("inform(name[A], genres[action, puzzel, cooking], platforms[X-box, PC])") == [
        ("SOF103", "puzzel", "puzzle", "warning"),
        ("SOF103", "cooking", None, "warning"),
        ("SOF103", "X-box", "Xbox", "warning"),
    ]


def test_every_code_is_described():
    text = "inform(genres[puzzel], name[A], name[B])"
    assert {code for code, *_ in findings(text)} == set(ViggoTask.rules)


def test_real_targets_break_no_rule(shared_data: Path):
    task = ViggoTask(data=str(shared_data / "viggo"))
    assert [problem for example in task.load("train") for problem in task.check(example.target)] == []
