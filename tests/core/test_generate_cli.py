"""What `sofit generate` prints: which output belongs to which text is never in doubt."""

import io
import json
import sys

import pytest

from sofit import Example, Prediction
from sofit.cli.generate import _jsonl, _standard_input, _text
from sofit.errors import SofitError


class Input:
    """A standard input of these bytes."""

    def __init__(self, content: bytes):
        self.buffer = io.BytesIO(content)


@pytest.mark.parametrize("content", [b"a\nb c\n", b"a\r\nb c\r\n", b"\xef\xbb\xbfa\nb c"], ids=["unix", "windows", "mark"])
def test_the_lines_of_the_standard_input_are_the_same_from_every_system(content: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", Input(content))
    assert list(_standard_input()) == ["a", "b c"]


def test_a_line_that_is_not_utf_8_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", Input(b"a\n\xff\xfe\n"))
    with pytest.raises(SofitError, match="Line 2 of the standard input is not UTF-8"):
        list(_standard_input())


def test_a_closed_standard_input_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SofitError, match="The standard input is closed"):
        list(_standard_input())


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
