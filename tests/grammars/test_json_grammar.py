"""The grammar of JSON: RFC 8259, no less and no more, and within what both engines read alike."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sofit.grammar_check import check_grammar
from sofit_grammars import builtin_grammar

JSON = builtin_grammar("json")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts),
    max_leaves=10,
)


@given(VALUES, st.sampled_from([None, 0, 2]), st.booleans())
def test_it_takes_every_json_text_and_keeps_every_letter(value: object, indent: int | None, ascii_only: bool):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert "".join(JSON.parse(text).scan_values(lambda token: True)) == text


@pytest.mark.parametrize("text", ["-0", "1E+2", "0.0e-1", ' \t\r\n"\\/\\u00e9" ', "[[[]],{}]", '"' + "é" * 1000 + '"', '"\x7f"'])
def test_it_takes_what_is_rare(text: str):
    assert JSON.problem(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "01", "1.", ".5", "+1", "1e", "NaN", "Infinity", "True", "'a'", '"\n"', '"\\x"', '"\\u00g0"', '"a'),
        *("[1,]", "[,1]", "[1 2]", "{1: 2}", '{"a"}', '{"a": 1,}', '{"a": 1 "b": 2}', "[", "]", "{}}", "[] //", "\ufeff[]"),
    ],
)
def test_it_refuses_everything_else(text: str):
    assert JSON.problem(text) is not None


def test_both_engines_read_it_alike():
    targets = ['{"name": "f", "arguments": {"x": [1, -2.5e3, "\\u00e9\\"é"], "y": {}}}', "[true, false, null, []]"]
    report = check_grammar(JSON, [(f"{n}", target) for n, target in enumerate(targets)], mutant_count=3000, walk_count=0)
    assert [str(flaw) for flaw in report.flaws] == []
    assert report.mutants == 3000
