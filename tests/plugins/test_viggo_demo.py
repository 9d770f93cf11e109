"""The demo set: enough of it, all different, the same every time, and learnable."""

import math
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict

import pytest

from sofit import Example, SofitError
from sofit_viggo import ViggoTask
from sofit_viggo.calls import ATTRIBUTES, FunctionCall, parse_call
from sofit_viggo.prompt import FUNCTIONS


def load(split: str, seed: int = 0) -> list[Example]:
    return list(ViggoTask(demo_seed=seed).load(split))


def call(example: Example) -> FunctionCall:
    found = parse_call(example.target)
    assert found is not None, example.target
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_there_are_a_thousand_training_and_two_hundred_held_out_examples_and_no_sentence_twice(seed: int):
    splits = {split: load(split, seed) for split in ("train", "validation", "test")}
    assert len(splits["train"]) >= 1000
    assert min(len(splits["validation"]), len(splits["test"])) >= 200
    sentences = [example.input for examples in splits.values() for example in examples]
    assert len(set(sentences)) == len(sentences)


def test_every_split_has_all_functions_and_attributes_and_so_have_the_first_hundred_validation_examples():
    for examples in (load("train"), load("validation"), load("test"), load("validation")[:100]):
        calls = [call(example) for example in examples]
        assert {call.function for call in calls} == set(FUNCTIONS)
        assert {name for call in calls for name in call.values} == set(ATTRIBUTES)


def test_the_values_of_open_attributes_stand_in_the_sentence():
    for example in load("train"):
        for name, value in call(example).attributes:
            if name in ("name", "developer", "release_year", "exp_release_date", "specifier"):
                assert value.lower() in example.input.lower()


def test_the_same_seed_gives_the_same_set_in_another_process_and_another_seed_another_set():
    code = "from sofit_viggo import ViggoTask; print(*(e.input + e.target for e in ViggoTask().load('train')), sep='\\n')"
    shown = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines() == [example.input + example.target for example in load("train")]
    assert not {example.input for example in load("train", seed=1)} >= {example.input for example in load("train")}


def test_the_sentences_tell_the_functions_apart():
    """Even naive Bayes on single words, which knows nothing of English, learns the functions of held-out sentences."""
    words_of, seen = defaultdict(Counter), Counter()
    for example in load("train")[:600]:
        seen[call(example).function] += 1
        words_of[call(example).function].update(words(example.input))
    vocabulary = {word for counts in words_of.values() for word in counts}

    def log_probability(function: str, sentence: str) -> float:
        counts = words_of[function]
        size = counts.total() + len(vocabulary)
        return math.log(seen[function]) + sum(math.log((counts[word] + 1) / size) for word in words(sentence))

    held_out = load("validation")
    right = [max(words_of, key=lambda name: log_probability(name, e.input)) == call(e).function for e in held_out]
    assert sum(right) / len(right) > 0.95


def words(sentence: str) -> list[str]:
    return re.findall(r"\w+|[?.]", sentence.lower())


def test_a_split_that_the_demo_set_does_not_have_is_an_error():
    with pytest.raises(SofitError, match=r"no split 'dev'\. It has: train, validation, test"):
        load("dev")
