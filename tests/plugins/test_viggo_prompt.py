"""The prompt: what it says, and what it must not give away."""

import re
from pathlib import Path
from typing import get_args

import pytest

from sofit import Example, SofitError
from sofit_viggo import ViggoTask
from sofit_viggo.calls import ATTRIBUTES, parse_call
from sofit_viggo.prompt import FUNCTIONS, PromptStyle, shared_prompt

EXAMPLE = Example(id="x", input="Have you tried Doom?", target="recommend(name[Doom])")


@pytest.mark.parametrize("style", get_args(PromptStyle))
def test_every_prompt_ends_with_the_sentence_and_where_the_call_begins(style: PromptStyle):
    prompt = ViggoTask(prompt_style=style).prompt(EXAMPLE)
    assert prompt == shared_prompt(style) + "Sentence: Have you tried Doom?\nOutput: "
    assert style == "none" or shared_prompt(style).endswith("\n\n")


def test_the_styles_grow_from_the_sentence_alone_to_worked_examples():
    none, short, long = (len(shared_prompt(style)) for style in ("none", "short", "long"))
    assert none == 0 < short < long / 5


@pytest.mark.parametrize("style", ["short", "long"])
def test_all_functions_and_attributes_are_named_in_the_order_of_the_data(style: PromptStyle):
    instruction = shared_prompt(style).partition("Sentence: ")[0]
    places = [re.search(rf"(- |: |, ){name}\b", instruction) for name in (*FUNCTIONS, *ATTRIBUTES)]
    starts = [place.start() for place in places if place]
    assert len(starts) == 9 + 14
    assert starts == sorted(starts)


def test_the_worked_examples_parse_and_show_every_function_and_attribute():
    calls = [parse_call(text) for text in re.findall(r"^Output: (.*)$", shared_prompt("long"), re.MULTILINE)]
    assert None not in calls
    assert {call.function for call in calls if call} == set(FUNCTIONS)
    assert {name for call in calls if call for name in call.values} == set(ATTRIBUTES)
    assert all(call == call.in_order() for call in calls if call)


def test_the_worked_examples_are_about_games_that_no_data_has(shared_data: Path):
    shown = set(re.findall(r"\(name\[([^]]*)\]", shared_prompt("long")))
    assert len(shown) == 7
    for data in ("demo", str(shared_data / "viggo")):
        task = ViggoTask(data=data)
        targets = [example.target for split in ("train", "validation") for example in task.load(split)]
        used = {name for target in targets for name in re.findall(r"\(name\[([^]]*)\]", target)}
        assert used
        assert not shown & used


def test_an_unknown_style_is_an_error_that_lists_the_styles():
    with pytest.raises(SofitError, match=r"must be one of none, short, long\. Got 'huge'"):
        ViggoTask(prompt_style="huge")  # pyright: ignore[reportArgumentType]
