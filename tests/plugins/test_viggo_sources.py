"""Where ViGGO examples come from: the CSV of the data set, instruction JSONL, columns of the Hub."""

import json
from pathlib import Path
from typing import get_args

import pytest

from sofit import Example, Record, SofitError
from sofit.testing import check_task
from sofit_viggo import ViggoTask
from sofit_viggo.prompt import PromptStyle
from sofit_viggo.sources import example_from

SENTENCE, CALL = "Have you tried Doom?", "recommend(name[Doom])"


@pytest.mark.parametrize(
    "fields",
    [
        {"mr": CALL, "ref": SENTENCE},
        {"instruction": "Write a call.", "input": SENTENCE, "output": CALL},
        {"instruction_field": "Write a call.", "input": f" {SENTENCE}\n", "output": CALL},
        {"gem_id": "x-1", "meaning_representation": CALL, "target": SENTENCE, "references": [SENTENCE]},
    ],
)
def test_every_kind_of_row_becomes_the_same_example(fields: dict[str, object]):
    example = example_from(Record(fields, "data:3"), id="train-1")
    assert example == Example(id="train-1", input=SENTENCE, target=CALL, where="data:3")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mr": CALL}, "data:3: the row has no field 'ref' or 'input' or 'target'. Its fields: mr."),
        ({"mr": CALL, "ref": " "}, "data:3: the sentence in field 'ref' is empty."),
        ({"input": SENTENCE, "output": ""}, "data:3: the function call in field 'output' is empty."),
        ({"mr": 3, "ref": SENTENCE}, "data:3: field 'mr' must be text. Got int: 3."),
    ],
)
def test_a_row_that_lacks_something_is_named(fields: dict[str, object], message: str):
    with pytest.raises(SofitError) as error:
        example_from(Record(fields, "data:3"), id="train-1")
    assert str(error.value) == message


def test_the_real_data_loads_whole_with_the_place_of_every_row(shared_data: Path):
    task = ViggoTask(data=str(shared_data / "viggo"))
    train = list(task.load("train"))
    assert (len(train), len(list(task.load("validation")))) == (5103, 714)
    assert train[0].id == "train-0"
    assert train[0].where == f"{shared_data}/viggo/train.csv:2"
    assert train[0].target.startswith("inform(name[Dirt: Showdown], release_year[2012]")
    assert not task.is_demo


def test_an_instruction_file_is_split_into_training_and_validation(tmp_path: Path):
    file = tmp_path / "viggo.jsonl"
    demo = list(ViggoTask().load("train"))[:100]
    file.write_text("".join(json.dumps({"instruction": "", "input": e.input, "output": e.target}) + "\n" for e in demo))
    task = ViggoTask(data=str(file))
    train, validation = list(task.load("train")), list(task.load("validation"))
    assert (len(train), len(validation)) == (90, 10)
    assert {e.input for e in train} | {e.input for e in validation} == {e.input for e in demo}


@pytest.mark.parametrize("style", get_args(PromptStyle))
def test_what_a_task_exports_as_instruction_rows_it_loads_again_with_the_same_prompts(tmp_path: Path, style: PromptStyle):
    task = ViggoTask(prompt_style=style)
    demo = list(task.load("validation"))[:20]
    rows = [task.instruction_row(example) for example in demo]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded = list(ViggoTask(data=str(tmp_path), prompt_style=style).load("train"))
    assert [(task.prompt(e), e.target) for e in loaded] == [(task.prompt(e), e.target) for e in demo]
    assert all(task.prompt(e).startswith(row["instruction"]) for e, row in zip(demo, rows, strict=True))


def test_the_demo_set_keeps_the_contract_of_a_task():
    check_task(ViggoTask())


def test_the_real_data_keeps_the_contract_of_a_task(shared_data: Path):
    check_task(ViggoTask(data=str(shared_data / "viggo"), prompt_style="short"))
