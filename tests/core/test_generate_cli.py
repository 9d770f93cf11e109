"""What `sofit generate` prints: which output belongs to which text is never in doubt."""

import json

import pytest

from sofit import Example, Prediction
from sofit.cli.generate import _jsonl, _text


def predictions(*outputs: str) -> list[Prediction]:
    return [Prediction(example=Example(id="input", input="", target=""), text=output) for output in outputs]


@pytest.mark.parametrize(
    ("texts", "outputs", "lines"),
    [
        (["a", "b"], ["1", "2"], ["1", "2"]),
        (["a"], ["1\n2"], ["1\n2"]),
        (["a", "b"], ["1\n2", "3"], ["==> a <==", "1\n2", "==> b <==", "3"]),
    ],
)
def test_outputs_of_several_lines_stand_under_their_texts(texts: list[str], outputs: list[str], lines: list[str]):
    assert list(_text(texts, predictions(*outputs))) == lines


def test_json_lines_hold_outputs_of_several_lines_in_one():
    assert [json.loads(line) for line in _jsonl(["a", "ö"], predictions("1\n2", "3"))] == [
        {"input": "a", "output": "1\n2", "finished": True},
        {"input": "ö", "output": "3", "finished": True},
    ]
