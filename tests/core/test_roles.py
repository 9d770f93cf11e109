"""What the parts of an output are to its grammar, for the grammars of the built-in tasks and for anyone's."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import pytest

from sofit import Grammar, Task
from sofit_json import JsonTask
from sofit_sql import SqlTask
from sofit_viggo import ViggoTask

LIGHTS = Grammar(
    "lights",
    """
start: "light" "(" room ", " STATE ")"
room: "hall" | OTHER
OTHER: /[A-Z]{1,9}/
STATE: "on" | "off"
""",
)


def parts(grammar: Grammar, text: str, roles: Mapping[str, str] = {}) -> list[tuple[str, str]]:
    """Returns each part of an output with its role."""
    return [(text[span.start : span.end], span.role) for span in grammar.role_spans(text, roles)]


def test_without_names_literals_are_keywords_or_punctuation_and_terminals_are_called_by_their_own_names() -> None:
    roles = dict(parts(LIGHTS, "light(ATTIC, on)"))
    assert roles == {
        "light": "keyword",
        "(": "punctuation",
        "ATTIC": "other",
        ", ": "punctuation",
        "on": "state",
        ")": "punctuation",
    }


def test_a_named_rule_gives_its_words_a_role_but_not_its_punctuation() -> None:
    assert parts(LIGHTS, "light(hall, on)", {"start": "command", "room": "place"}) == [
        ("light", "command"),
        ("(", "punctuation"),
        ("hall", "place"),
        (", ", "punctuation"),
        ("on", "command"),
        (")", "punctuation"),
    ]


def test_a_named_terminal_goes_before_the_rule_around_it() -> None:
    assert ("ATTIC", "elsewhere") in parts(LIGHTS, "light(ATTIC, on)", {"room": "place", "OTHER": "elsewhere"})


def test_a_text_that_does_not_parse_is_text() -> None:
    assert parts(LIGHTS, "light(hall") == [("light(hall", "text")]


@pytest.mark.parametrize(
    ("task", "target", "expected"),
    [
        (
            ViggoTask(),
            "give_opinion(name[Doom], esrb[T (for Teen)], genres[puzzle, indie])",
            "give_opinion:function (:punctuation name:attribute [:punctuation Doom:value ]:punctuation ,_:punctuation"
            " esrb:attribute [:punctuation T_(for_Teen):value ]:punctuation ,_:punctuation genres:attribute [:punctuation"
            " puzzle:value ,_:punctuation indie:value ]:punctuation ):punctuation",
        ),
        (
            ViggoTask(),
            "request_attribute(esrb[])",
            "request_attribute:function (:punctuation esrb:attribute [:punctuation ]:punctuation ):punctuation",
        ),
    ],
)
def test_the_parts_of_calls_are_functions_attributes_and_values(task: Task, target: str, expected: str) -> None:
    assert task.grammar is not None
    found = " ".join(f"{part}:{role}".replace(" ", "_") for part, role in parts(task.grammar, target, task.roles))
    assert found == expected


def test_the_parts_of_sql_are_keywords_names_functions_and_values() -> None:
    task = SqlTask()
    example = next(iter(task.load("train")))
    schema = example.input.schema
    table = schema.table_names[0]
    grammar = task.grammar_for(example)
    assert parts(grammar, f"SELECT COUNT(*) FROM {table} LIMIT 3;", task.roles) == [
        ("SELECT ", "keyword"),
        ("COUNT(", "function"),
        ("*", "punctuation"),
        (")", "punctuation"),
        (" FROM ", "keyword"),
        (table, "name"),
        (" LIMIT ", "keyword"),
        ("3", "value"),
        (";", "punctuation"),
    ]


def test_the_parts_of_json_are_keys_and_values_under_any_schema() -> None:
    grammar = Grammar.from_json_schema({"type": "object"})
    assert parts(grammar, '{"a": [1, true], "b": "c"}') == [
        ("{", "punctuation"),
        ('"a"', "key"),
        (":", "punctuation"),
        (" ", "punctuation"),
        ("[", "punctuation"),
        ("1", "value"),
        (",", "punctuation"),
        (" ", "punctuation"),
        ("true", "value"),
        ("]", "punctuation"),
        (",", "punctuation"),
        (" ", "punctuation"),
        ('"b"', "key"),
        (":", "punctuation"),
        (" ", "punctuation"),
        ('"c"', "value"),
        ("}", "punctuation"),
    ]


@pytest.mark.parametrize("data", ["viggo", "geoquery", "snips", "demo"])
def test_the_roles_of_a_target_cover_it_and_are_all_foreseen(data: str, request: pytest.FixtureRequest) -> None:
    tasks = {"viggo": ViggoTask, "geoquery": SqlTask, "snips": JsonTask, "demo": JsonTask}
    source = data if data == "demo" else str(Path(request.getfixturevalue("shared_data")) / data)
    task = tasks[data](data=source)
    for example in islice(task.load("train"), 60):
        grammar = task.grammar_for(example)
        spans = grammar.role_spans(example.target, task.roles)
        assert "".join(example.target[span.start : span.end] for span in spans) == example.target
        assert {span.role for span in spans} <= set(grammar.role_names(task.roles))
        assert not {span.role for span in spans} & {"text"}
