"""The demo set of JSON: enough of it, all different, and the same every time."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from sofit import Example, SofitError
from sofit_json import JsonTask
from sofit_json.demo_words import TEMPLATES


def load(split: str, seed: int = 0) -> list[Example]:
    return list(JsonTask(demo_seed=seed).load(split))


@pytest.mark.parametrize("seed", [0, 1])
def test_there_are_a_thousand_training_and_two_hundred_held_out_examples_and_no_text_twice(seed: int):
    splits = {split: load(split, seed) for split in ("train", "validation", "test")}
    assert len(splits["train"]) >= 1000
    assert min(len(splits["validation"]), len(splits["test"])) >= 200
    # Politeness and punctuation do not make another text.
    texts = [example.input.lower().rstrip(".!?") for examples in splits.values() for example in examples]
    bare = [text.removeprefix("please ").removeprefix("hey, ").removeprefix("could you ") for text in texts]
    assert len(set(bare)) == len(bare)


def test_every_intent_is_in_every_split():
    for split in ("train", "validation", "test"):
        intents = Counter(example.target.split('"')[3] for example in load(split))
        assert intents.keys() == TEMPLATES.keys()
        assert min(intents.values()) >= 10


def test_the_same_seed_gives_the_same_set_in_another_process_and_another_seed_another_set():
    code = "from sofit_json import JsonTask; print(*(e.input + e.target for e in JsonTask().load('validation')), sep='\\n')"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONIOENCODING": "utf-8"}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=True)
    assert shown.stdout.splitlines() == [example.input + example.target for example in load("validation")]
    assert not {e.input for e in load("train", seed=1)} >= {e.input for e in load("train")}


def test_a_split_that_the_demo_set_does_not_have_is_an_error():
    with pytest.raises(SofitError, match=r"no split 'dev'\. It has: train, validation, test"):
        load("dev")
