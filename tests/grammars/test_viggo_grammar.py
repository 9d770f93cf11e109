"""The grammar of ViGGO: what it takes, what it refuses, and what it says."""

import csv
from pathlib import Path

import pytest

from sofit import SofitError, load_plugins
from sofit_grammars import builtin_grammar

VIGGO = builtin_grammar("viggo")


def test_it_accepts_every_gold_target_and_keeps_every_letter_in_the_tree(shared_data: Path):
    for split, count in (("train", 5103), ("validation", 714)):
        with (shared_data / "viggo" / f"{split}.csv").open(encoding="utf-8", newline="") as file:
            targets = [row["mr"] for row in csv.DictReader(file)]
        assert len(targets) == count
        rendered = ["".join(VIGGO.parse(target).scan_values(lambda token: True)) for target in targets]
        assert rendered == targets


@pytest.mark.parametrize(
    "text",
    [
        "inform(name[Dead or Alive (5)])",
        "inform(developer[Spectrum HoloByte, Inc.])",
        "request(specifier[never seen before])",
        "recommend(name[Ōkami], genres[cooking, driving/racing])",
        "suggest(specifier[x], name[Any order], name[twice])",
        "request_attribute(esrb[], genres[])",
        "confirm(name[" + "x" * 100 + "])",
    ],
)
def test_it_leaves_open_what_unseen_data_may_bring(text: str):
    assert VIGGO.problem(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "inform",
        "inform()",
        "inform(name[])",
        "inform(name[A],genres[B])",
        "inform(name[A] , genres[B])",
        "inform(name[A]))",
        "inform(name[A]) ",
        " inform(name[A])",
        "Inform(name[A])",
        "describe(name[A])",
        "inform(title[A])",
        "inform(name[ A])",
        "inform(name[A[B]])",
        "inform(name[A\nB])",
        "inform(release_year[94])",
        "inform(esrb[T])",
        "inform(rating[superb])",
        "inform(has_multiplayer[maybe])",
        "inform(genres[a, , b])",
        "request_attribute(esrb[T (for Teen)])",
        "confirm(name[" + "x" * 101 + "])",
    ],
)
def test_it_refuses_what_is_no_call(text: str):
    assert not VIGGO.accepts(text)
    assert VIGGO.problem(text) is not None


def test_a_closed_value_is_spelled_out_in_the_message():
    problem = VIGGO.problem("inform(name[A], esrb[E 10+])")
    assert problem is not None
    assert problem.column == 22
    assert "E 10+ (for Everyone 10 and Older)" in problem.expected


def test_it_is_registered_by_the_stem_of_its_file_and_compiled_once_for_all():
    plugins = load_plugins()
    assert plugins.grammar("viggo") is VIGGO
    assert plugins.task("viggo").grammar is VIGGO
    assert plugins.origin("grammar", "viggo") == "sofit-jax"


def test_a_grammar_that_is_not_there_is_an_error():
    with pytest.raises(SofitError, match=r"There is no grammar file .*nothing\.lark"):
        builtin_grammar("nothing")
