"""Function calls: what the grammar and the regular expression read, and that they read the same."""

import csv
import random
from pathlib import Path

import pytest

from sofit_viggo.calls import FunctionCall, parse_call, read_call


@pytest.fixture(scope="module")
def gold(shared_data: Path) -> list[str]:
    targets = []
    for split in ("train", "validation"):
        with (shared_data / "viggo" / f"{split}.csv").open(encoding="utf-8", newline="") as file:
            targets += [row["mr"] for row in csv.DictReader(file)]
    return targets


def mutants(targets: list[str], count: int, seed: int) -> list[str]:
    """Returns targets with a letter dropped, put in, doubled or in another case, or with a piece of another target."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        text = chance.choice(targets)
        start, end = sorted(chance.randrange(len(text) + 1) for _ in range(2))
        edits = (
            text[:start] + text[start + 1 :],
            text[:start] + chance.choice("aZ[](), é3") + text[start:],
            text[:start] + text[start:end].swapcase() + text[end:],
            text.replace("], ", "], name[X], ", 1),
            text[:start] + chance.choice(targets)[start:],
        )
        found.append(chance.choice(edits))
    return found


def test_a_call_is_read_into_its_function_and_attributes():
    call = parse_call("confirm(name[Hitman 2], exp_release_date[November 13, 2018], platforms[PlayStation, Xbox])")
    assert call == FunctionCall(
        "confirm",
        (("name", "Hitman 2"), ("exp_release_date", "November 13, 2018"), ("platforms", "PlayStation, Xbox")),
    )


def test_an_attribute_that_is_asked_for_has_an_empty_value():
    assert parse_call("request_attribute(developer[])") == FunctionCall("request_attribute", (("developer", ""),))


def test_every_gold_target_parses_and_renders_back_exactly(gold: list[str]):
    assert len(gold) == 5817
    assert [target for target in gold if str(parse_call(target)) != target] == []


def test_every_gold_target_is_in_the_order_of_the_data(gold: list[str]):
    assert [target for target in gold if str((parse_call(target) or read_call(target)).in_order()) != target] == []


def test_both_readings_agree_on_every_gold_target(gold: list[str]):
    assert [target for target in gold if (call := parse_call(target)) is None or call.lower() != read_call(target)] == []


def test_both_readings_agree_on_mutated_targets_that_parse(gold: list[str]):
    calls = {text: parse_call(text) for text in mutants(gold, count=6000, seed=1)}
    parsed = {text: call for text, call in calls.items() if call is not None}
    assert 1000 < len(parsed) < 5000
    assert [text for text, call in parsed.items() if call.lower() != read_call(text)] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", FunctionCall("", ())),
        ("Sure! inform(name[Doom])", FunctionCall("inform", (("name", "doom"),))),
        ("inform(name[Doom], esrb[M", FunctionCall("inform", (("name", "doom"),))),
        ("inform (name[Doom])", FunctionCall("", (("name", "doom"),))),
        ("INFORM(Name[Doom] rating[GOOD]", FunctionCall("inform", (("name", "doom"), ("rating", "good")))),
        ("name[early] inform(rating[poor])", FunctionCall("inform", (("rating", "poor"),))),
    ],
)
def test_the_regular_expression_finds_calls_in_text_that_does_not_parse(text: str, expected: FunctionCall):
    assert parse_call(text) is None
    assert read_call(text) == expected


def test_ordering_keeps_repeated_attributes_and_the_order_inside_lists():
    call = FunctionCall("inform", (("genres", "b, a"), ("name", "Y"), ("name", "X")))
    assert call.in_order() == FunctionCall("inform", (("name", "Y"), ("name", "X"), ("genres", "b, a")))
