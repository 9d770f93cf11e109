"""Every target of Snips and BFCL is in the grammar of its own schema, but for those that contradict their documents."""

import json
from collections import Counter
from pathlib import Path

import pytest

from sofit import Record
from sofit.testing import check_task
from sofit_json import JsonTask
from sofit_json.sources import call_example


def test_every_snips_target_satisfies_the_schema_and_renders_back_to_itself(shared_data: Path):
    task = JsonTask(data=str(shared_data / "snips"))
    rows = [json.loads(line) for line in (shared_data / "snips" / "dev.jsonl").read_text(encoding="utf-8").splitlines()]
    examples = list(task.load("validation"))
    assert len(examples) == len(rows) == 699
    for example, row in zip(examples, rows, strict=True):
        assert json.loads(example.target) == row["json"]
        assert task.grammar_for(example).accepts(example.target)
        assert task.canonical(example.target, example) == example.target


@pytest.mark.slow
def test_every_snips_training_target_satisfies_the_schema(shared_data: Path):
    task = JsonTask(data=str(shared_data / "snips"))
    examples = list(task.load("train"))
    assert len(examples) == 13073
    assert all(task.grammar_for(e).accepts(e.target) and task.canonical(e.target, e) == e.target for e in examples)


@pytest.mark.slow
def test_the_schemas_of_bfcl_constrain_and_the_targets_satisfy_them_but_for_those_that_contradict_their_documents(
    shared_data: Path,
):
    task, contradictions, count = JsonTask(), Counter[str](), 0
    for file in sorted((shared_data / "bfcl").glob("*.jsonl")):
        for index, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
            example = call_example(Record(json.loads(line), f"{file.name}:{index + 1}"), "0")
            grammar, count = task.grammar_for(example), count + 1
            assert grammar.flaws == (), example.where
            if example.target and grammar.problem(example.target) is not None:
                contradictions[file.stem] += 1
            elif example.target:
                assert task.canonical(example.target, example) == example.target
    assert count == 1874
    # A value that is none of the enum, or of another type than declared: names of variables in Java and JavaScript.
    expected = {
        "live_multiple": 10,
        "live_parallel_multiple": 1,
        "parallel_multiple": 1,
        "simple_java": 5,
        "simple_javascript": 2,
    }
    assert contradictions == expected


@pytest.mark.slow
def test_real_functions_keep_the_contract_of_a_task(shared_data: Path):
    check_task(JsonTask(data=str(shared_data / "bfcl" / "simple_python.jsonl")))
