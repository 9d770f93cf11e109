"""JSON texts of any kind, and the expressions of schemas: each gets the verdict of the standard."""

import contextlib
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sofit import Grammar
from sofit.grammar.engine import ByteMatcher
from sofit.json_schema.ecma_regex import UnknownSyntax, translate
from sofit.json_schema.json_text import JSON


def test_formats_count_as_the_draft_says_or_as_asked():
    schema = {"type": "string", "format": "date"}
    today = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    for grammar, counts in (
        (Grammar.from_json_schema(schema), True),
        (Grammar.from_json_schema(today), False),
        (Grammar.from_json_schema(schema, formats=False), False),
        (Grammar.from_json_schema(today, formats=True), True),
    ):
        assert grammar.flaws == ()
        for text, is_date in (('"2022-02-28"', True), ('"2022-02-30"', False), ('"soon"', False)):
            assert grammar.accepts(text) == (is_date or not counts)
            assert ByteMatcher(grammar.constraint()).accepts(text) == grammar.accepts(text)


@pytest.mark.parametrize(
    ("expression", "inside", "outside"),
    [
        (r"^\d\w\s$", ["1a ", "1_\ufeff"], ["٣a ", "1é ", "1a\x1c"]),
        (r"^a$", ["a"], ["a\n", "ab"]),
        (r"^.$", ["é", "\x85"], ["\n", "\r", "\u2028"]),
        (r"^[\w-]+$", ["a-b"], ["a b", "é"]),
        (r"^[^\s,]*$", ["", "é"], ["a b", "\u00a0"]),
        (r"^[a&&b[]$", ["&", "[", "a"], ["c"]),
        (r"^[+--]$", [",", "+"], ["."]),
        (r"^[--/]$", ["-", ".", "/"], [","]),
        (r"^[a-d-z]$", ["c", "-", "z"], ["e"]),
        (r"^[]", [], ["", "a"]),
        (r"^[^]$", ["a", "\n"], ["ab"]),
        (r"^[^\0-\ud7ff\ue000-\u{10ffff}]$", [], ["", "a"]),
        (r"^\/\-\<\x41\u00e9\cA\u{1F600}$", ["/-<Aé\x01😀"], ["\\/"]),
        (r"^a{,2}$", ["a{,2}"], ["aa"]),
        (r"\bfoo\b", ["a foo b", "éfoo"], ["afoo"]),
        (r"^(?<year>\d)\k<year>$", ["11"], ["12"]),
        (r"^a|b$", ["ax", "xb"], ["xax"]),
    ],
)
def test_expressions_mean_what_javascript_means_by_them(expression: str, inside: list[str], outside: list[str]):
    grammar = Grammar.from_json_schema({"type": "string", "pattern": expression})
    for text, is_inside in [(text, True) for text in inside] + [(text, False) for text in outside]:
        assert grammar.accepts(json.dumps(text)) == is_inside, text
        if not grammar.flaws:
            assert (grammar.spelling(text) is not None) == is_inside, text


@given(st.text(alphabet=r"ab1-^$.*+?()[]{}|\dwsbBxu&~,/é ", max_size=14))
@settings(max_examples=400)
def test_an_expression_is_translated_or_refused(expression: str):
    with contextlib.suppress(UnknownSyntax):
        pattern = translate(expression)
        re.compile(pattern.python)


@given(st.text(max_size=40) | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(json.dumps) | st.binary().map(repr))
@settings(max_examples=400)
def test_any_text_gets_the_verdict_of_pythons_json(text: str):
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=refuse)
        is_json = True
    except ValueError:
        is_json = False
    anything = Grammar.from_json_schema(True)
    assert anything.accepts(text) == is_json
    assert (anything.problem(text) is None) == is_json
    assert JSON.accepts(text) == is_json


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "1" * 10_000, "1e" + "9" * 1_000, "-1e400", '{"a":' * 3_000, "[" * 5_000 + "]" * 5_000]
)
def test_extreme_texts_get_a_verdict(text: str):
    for schema in (True, {"type": "integer", "multipleOf": 3}, {"type": "number", "maximum": 5}):
        grammar = Grammar.from_json_schema(schema)
        assert (grammar.problem(text) is None) == grammar.accepts(text)
