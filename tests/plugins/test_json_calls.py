"""The match of function calls, by a table worked out by hand, and beside the checker of the leaderboard itself."""

import importlib
import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from sofit import Record
from sofit_grammars.function_calls import Function
from sofit_json.calls import mismatch
from sofit_json.sources import CallRequest, call_example

CATEGORIES = ("simple_python", "multiple", "parallel", "parallel_multiple", "live_simple", "live_multiple", "live_parallel")
DOCUMENT = {
    "name": "book",
    "parameters": {
        "type": "dict",
        "properties": {
            "city": {"type": "string"},
            "nights": {"type": "integer"},
            "price": {"type": "float"},
            "extras": {"type": "array", "items": {"type": "string"}},
            "guest": {"type": "dict", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}},
            "stops": {"type": "array", "items": {"type": "dict"}},
        },
        "required": ["city"],
    },
}
ACCEPTED = {
    "book": {
        "city": ["New York", "NYC"],
        "nights": [2],
        "price": [99.5, 100.0, ""],
        "extras": [["late check-out", "breakfast"], ""],
        "guest": [{"name": ["Ann", "A."], "age": [40, ""]}, ""],
        "stops": [[{"at": ["Rome"]}, {"at": ["Oslo"]}], ""],
    }
}


def request(*accepted: Mapping[str, Any]) -> CallRequest:
    fields = {"question": "?", "function": [DOCUMENT, {"name": "other"}], "ground_truth": list(accepted)}
    return call_example(Record(fields, "rows:1"), "0").input


def reason(arguments: Any, name: str = "book") -> str:
    wanted = request(ACCEPTED)
    assert wanted.accepted is not None
    return mismatch([{"name": name, "arguments": arguments}], wanted.accepted, wanted.functions)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"city": "nyc"},
        {"city": "new-york."},
        {"price": 100},
        {"price": 99.5},
        {"extras": ["Late check out", "breakfast"]},
        {"guest": {"name": "ann"}},
        {"guest": {"age": 40, "name": "A."}},
        {"stops": [{"at": "rome"}, {"at": "Oslo"}]},
        # What may be left out may be empty as well.
        {"extras": []},
    ],
)
def test_calls_that_are_accepted(changes: Mapping[str, Any]):
    assert reason({"city": "New York", "nights": 2, **changes}) == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"nights": 2}, "book lacks city"),
        ({"city": "NYC"}, "book lacks nights"),
        ({"city": "Boston", "nights": 2}, "book has the wrong city"),
        ({"city": "NYC", "nights": 3}, "book has the wrong nights"),
        ({"city": "NYC", "nights": "2"}, "book has the wrong nights"),
        ({"city": "NYC", "nights": True}, "book has the wrong nights"),
        ({"city": "NYC", "nights": 2, "pets": 1}, "book has pets"),
        ({"city": "NYC", "nights": 2, "price": 98}, "book has the wrong price"),
        ({"city": "NYC", "nights": 2, "extras": ["breakfast", "late check-out"]}, "book has the wrong extras"),
        ({"city": "NYC", "nights": 2, "extras": "breakfast"}, "book has the wrong extras"),
        ({"city": "NYC", "nights": 2, "guest": {"age": 40}}, "book has the wrong guest"),
        ({"city": "NYC", "nights": 2, "guest": {"name": "Ann", "size": 1}}, "book has the wrong guest"),
        ({"city": "NYC", "nights": 2, "stops": [{"at": "Oslo"}, {"at": "Rome"}]}, "book has the wrong stops"),
        ("NYC", "book has no arguments"),
    ],
)
def test_calls_that_are_wrong_and_why(arguments: Any, said: str):
    assert reason(arguments) == said


def test_another_function_is_wrong():
    assert reason({}, "other") == "book is not called"


def test_parallel_calls_match_in_any_order_and_each_once():
    wanted = request(ACCEPTED, {"other": {}})
    book = {"name": "book", "arguments": {"city": "NYC", "nights": 2}}
    other = {"name": "other", "arguments": {}}
    assert wanted.accepted is not None
    verdicts = [mismatch(calls, wanted.accepted, wanted.functions) for calls in ([other, book], [book, book], [book], [])]
    assert [verdict == "" for verdict in verdicts] == [True, False, False, False]


def test_no_call_is_matched_by_none_alone():
    assert mismatch([], [], ()) == ""
    assert mismatch([{"name": "f", "arguments": {}}], [], ()) == "1 calls where 0 are wanted"


@pytest.fixture(scope="module")
def published() -> Iterator[Callable[..., bool]]:
    """The leaderboard's own checker."""
    pytest.importorskip("bfcl_eval", reason="needs the leaderboard's checker: pip install --no-deps bfcl-eval")
    # Its table of models imports the clients of every provider. Of it, the checker asks only for how dots are written.
    place = "bfcl_eval.constants.model_config"
    table: Any = ModuleType(place)
    table.MODEL_CONFIG_MAPPING = {"m": SimpleNamespace(underscore_to_dot=False)}
    sys.modules[place] = table
    checker = importlib.import_module("bfcl_eval.eval_checker.ast_eval.ast_checker")
    python = importlib.import_module("bfcl_eval.constants.enums").Language.PYTHON
    yield lambda functions, calls, accepted, category: checker.ast_checker(functions, calls, accepted, python, category, "m")[
        "valid"
    ]
    del sys.modules[place]


@pytest.mark.slow
def test_the_verdicts_are_those_of_the_published_checker(shared_data: Path, published: Callable[..., bool]):
    chance, compared, right, different = random.Random(0), 0, 0, []
    for category in CATEGORIES:
        for line in (shared_data / "bfcl" / f"{category}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            example = call_example(Record(row, row["id"]), row["id"])
            for calls in [json.loads(example.target), *mutants(json.loads(example.target), chance)]:
                ours = not mismatch(calls, example.input.accepted, example.input.functions)
                theirs = published(row["function"], as_python(calls, example.input.functions), row["ground_truth"], category)
                compared, right = compared + 1, right + ours
                if ours != theirs:
                    different.append(row["id"])
    assert compared > 4000
    assert 1000 < right < compared / 2
    # Where the accepted values of a list are none at all, the checker accepts nothing.
    assert set(different) <= {"live_simple_106-63-0", "live_simple_112-68-0"}


def mutants(calls: Sequence[Mapping[str, Any]], chance: random.Random) -> Iterator[Any]:
    """Yields damaged calls, among them some that are right still: other letter case, other order."""
    yield [{**call, "name": "no_such_function"} for call in calls]
    yield [*calls, calls[0]]
    yield calls[1:]
    yield calls[::-1]
    for change in (_wrong_value, _other_case, _dropped, _extra):
        index = chance.randrange(len(calls))
        arguments = change(dict(calls[index]["arguments"]), chance)
        yield [*calls[:index], {**calls[index], "arguments": arguments}, *calls[index + 1 :]]


def _wrong_value(arguments: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    if arguments:
        name = chance.choice(list(arguments))
        arguments[name] = chance.choice(["wrong", 12345, -1.5, True, None, [], ["x"], {}, {"x": 1}])
    return arguments


def _other_case(arguments: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    return {name: value.upper() + "." if isinstance(value, str) else value for name, value in arguments.items()}


def _dropped(arguments: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    if arguments:
        del arguments[chance.choice(list(arguments))]
    return arguments


def _extra(arguments: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    return {**arguments, "no_such_parameter": 1}


def as_python(calls: Sequence[Mapping[str, Any]], functions: Sequence[Function]) -> list[dict[str, Any]]:
    """Writes calls as the checker reads them: whole numbers as floats where floats are declared, which JSON does not tell."""
    properties = {function.name: function.properties for function in functions}
    return [
        {
            call["name"]: {
                name: _with_floats(value, properties.get(call["name"], {}).get(name, {}))
                for name, value in call["arguments"].items()
            }
        }
        for call in calls
    ]


def _with_floats(value: Any, schema: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_with_floats(part, schema.get("items", {})) for part in value]
    is_float = schema.get("type") in ("number", ["number", "null"])
    return float(value) if is_float and isinstance(value, int) and not isinstance(value, bool) else value
