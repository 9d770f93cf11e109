"""The check of a grammar: flaws are found where the engines part, and a grammar without flaws never parts them."""

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from sofit import Example, Grammar, Prediction, Scores, SofitError, Task, load_plugins
from sofit.cli.grammar import app
from sofit.grammar.engine import ByteMatcher
from sofit.grammar_check import check_grammar
from sofit.grammar_check.mutants import mutants
from sofit.testing import check_task
from sofit_grammars import builtin_grammar

VIGGO = builtin_grammar("viggo")

FLAWED = [
    # A check, a grammar, where the flaw is, a word of its message, and a text that one engine alone accepts.
    ("bounded", "start: /[^x]+/", (1, 9), "no greatest length", None),
    ("bounded", "%import common.INT\nstart: INT", (1, 16), "no greatest length", None),
    ("compiles", "start: missing", None, "missing", None),
    ("compiles", "start: a | b\na: X\nb: X\nX: /x/", None, "Reduce/Reduce", None),
    ("conflicts", 'start: pair*\npair: "a" "a"?', (2, 1), "the rule pair ends before 'a'", None),
    ("conflicts", 'start: b "x" | "x"\nb: "y"?', (2, 1), "after nothing", None),
    ("collisions", 'start: "select" "." | NAME "!"\nNAME: /[a-z]{1,9}/', (2, 1), "before 'select' can take 'select'", "select!"),
    ("collisions", 'start: ("NOT" | "NOT IN") /[a-z]| x/', (1, 9), "After 'NOT', ' '", "NOT x"),
    ("collisions", 'start: N "."\nN: /[0-9]{1,3}(\\.[0-9]{1,3})?/', (2, 1), "After '0', '.'", "1."),
    ("collisions", 'start: A "b"?\nA: /x(?:a|ab)/', (2, 1), "Of 'xab'", "xabb"),
    # Two contexts, one parser state: `= ` is tried where only `=` can stand.
    ("collisions", 'start: "(" x "= " | "[" x EQ " "\nx: NAME\nEQ: "="\nNAME: /[a-z]/', (3, 1), "only '=' can stand", "[a= "),
]  # fmt: skip


@pytest.mark.parametrize(("check", "text", "place", "words", "shown_by"), FLAWED, ids=[text for _, text, *_ in FLAWED])
def test_a_flaw_is_named_with_its_place_and_is_one(
    check: str, text: str, place: tuple[int, int] | None, words: str, shown_by: str | None
):
    grammar = Grammar("flawed", text)
    flaw = grammar.flaws[0]
    assert flaw.check == check
    assert words.lower() in flaw.message.lower()
    assert (flaw.line, flaw.column) == (place or (None, None))
    if shown_by is not None:
        assert grammar.accepts(shown_by) != ByteMatcher(grammar.constraint()).accepts(shown_by)


@pytest.mark.parametrize("flag", ["", "i"])
def test_an_alternative_that_hides_a_longer_one_is_found_among_many(flag: str):
    words = [f"{first}{second}x" for first in "bcdfghjklmpqrstvwz" for second in "abcdefghijklmnopq"]
    for position in range(0, len(words), 20):
        alternatives = "|".join([*words[:position], "new|newyork", *words[position:]])
        (flaw,) = Grammar("cities", f"start: CITY\nCITY: /{alternatives}/{flag}").flaws
        assert "Of 'newyork'" in flaw.message


def test_a_literal_that_only_a_merged_state_confuses_is_harmless_where_nothing_follows_it():
    # OP is tried where only "=" can stand; but after that "=" the output ends, so no text shows it.
    assert Grammar("fine", 'start: "(" x "=" | "[" x OP "]"\nx: NAME\nOP: /=[=>]/\nNAME: /[a-z]/').flaws == ()


def test_a_grammar_outside_the_subset_still_judges_outputs():
    grammar = Grammar("lazy", r"start: /a+?/ /\w+/")
    assert grammar.accepts("ab")
    assert {flaw.check for flaw in grammar.flaws} == {"subset"}


def test_an_error_of_llguidance_alone_is_named_with_its_place():
    [flaw] = Grammar("strange", "start: /\\é/").flaws
    assert flaw.message.startswith("llguidance refuses the grammar: invalid regex")
    assert (flaw.line, flaw.column) == (1, 8)


def test_a_longer_terminal_is_no_flaw_where_what_follows_would_make_it_whole():
    # After "a", the "b" of Y begins X again; but Y goes on with "c", so that both engines read "abc" as one X.
    grammar = Grammar("same way", "start: X Y\nX: /a(bc)?/\nY: /bc?/")
    assert [flaw.check for flaw in grammar.flaws] == ["collisions"]
    grammar = Grammar("same way", "start: X Y\nX: /a(bc)?/\nY: /bc[.]/")
    assert grammar.flaws == ()
    matcher = ByteMatcher(grammar.constraint())
    for text in ("abc.", "abcbc.", "abcbc"):
        assert grammar.accepts(text) == matcher.accepts(text) == (text == "abcbc.")


class GrammarMaker:
    """Makes small grammars by chance: some are ambiguous, some collide, some are fine."""

    def __init__(self, seed: int):
        self.chance = random.Random(seed)

    def grammar(self) -> Grammar:
        terminals = [f"T{index}" for index in range(self.chance.randint(1, 3))]
        count = self.chance.randint(1, 3)
        rules = [f"r{index}: {self._alternatives(index, count, terminals)}" for index in range(count)]
        definitions = [f"{terminal}: /{self._expression()}/" for terminal in terminals]
        return Grammar("random", "\n".join(["start: r0", *rules, *definitions]))

    def _expression(self, depth: int = 0) -> str:
        kind = self.chance.randrange(8 if depth < 2 else 3)
        if kind <= 1:
            return "".join(self.chance.choice("ab-1 ") for _ in range(self.chance.randint(1, 2)))
        if kind == 2:
            return self.chance.choice(["[ab]", "[^a]", "[a1]", "[0-9]", "[^ab]"])
        one, other = self._expression(depth + 1), self._expression(depth + 1)
        return [f"{one}{other}", f"({one}|{other})", f"({one}){{1,2}}", f"({one})?{other}", f"({one}){{0,2}}{other}"][kind - 3]

    def _symbol(self, rule: int, count: int, terminals: list[str]) -> str:
        kind = self.chance.random()
        if kind < 0.35:
            return self.chance.choice(terminals)
        if kind < 0.7 or rule + 1 == count:
            return '"' + "".join(self.chance.choice("ab-1 ") for _ in range(self.chance.randint(1, 3))) + '"'
        return f"r{self.chance.randrange(rule + 1, count)}"

    def _alternatives(self, rule: int, count: int, terminals: list[str]) -> str:
        alternatives = []
        for _ in range(self.chance.randint(1, 3)):
            symbols = [self._symbol(rule, count, terminals) for _ in range(self.chance.randint(1, 3))]
            shapes = ["{}"] * 7 + ["{}?", "({})~1..2", "({} {})*"]
            alternatives.append(" ".join(self.chance.choice(shapes).format(symbol, symbol) for symbol in symbols))
        return " | ".join(alternatives)


@pytest.mark.parametrize("count", [60, pytest.param(3000, marks=pytest.mark.slow)])
def test_a_grammar_without_flaws_gets_the_same_verdicts_from_both_engines(count: int):
    maker = GrammarMaker(seed=count)
    tried = 0
    while tried < count:
        grammar = maker.grammar()
        if grammar.flaws:
            continue
        report = check_grammar(grammar, mutant_count=200, walk_count=20)
        if any("gives up" in flaw.message or "do not end" in flaw.message for flaw in report.flaws):
            continue  # The rules repeat without end: the check says so, and there is nothing to compare.
        tried += 1
        assert report.flaws == [], grammar.text
        assert report.walks == 20


def test_real_targets_and_ten_thousand_mutants_get_the_same_verdict_from_both_engines(shared_data: Path):
    from sofit_viggo import ViggoTask

    task = ViggoTask(data=str(shared_data / "viggo"))
    targets = [(example.where, example.target) for split in ("train", "validation") for example in task.load(split)]
    report = check_grammar(VIGGO, targets)
    assert report.flaws == []
    assert (report.targets, report.rejected_by_lark, report.rejected_by_llguidance) == (5103 + 714, 0, 0)
    assert (report.mutants, report.differing_mutants) == (10_000, 0)
    assert 500 < report.accepted_mutants < 5_000, "mutants of one verdict only would show nothing"
    assert (report.walks, report.rejected_walks) == (200, 0)


def test_a_target_that_is_not_in_the_language_is_named():
    report = check_grammar(VIGGO, [("data.csv:7", "inform(nmae[x])")], mutant_count=10, walk_count=1)
    [flaw] = report.flaws_of("targets")
    assert flaw.message.startswith("data.csv:7: the target 'inform(nmae[x])' is not in the language: 1:8: SOF001")
    assert (report.rejected_by_lark, report.rejected_by_llguidance) == (1, 1)


def test_a_tree_that_loses_text_is_named():
    grammar = Grammar("spaces", 'start: "a" "b"\n%ignore " "')
    report = check_grammar(grammar, [("here", "a b")])
    assert "renders as 'ab'" in report.flaws_of("targets")[0].message


def test_rules_that_repeat_without_end_are_named():
    report = check_grammar(Grammar("endless", 'start: "a" start'), mutant_count=10)
    assert "llguidance gives up" in report.flaws_of("walks")[0].message
    report = check_grammar(Grammar("long", 'start: line* "."\nline: /[^.]{1000}/'), mutant_count=10)
    assert "do not end within" in report.flaws_of("walks")[0].message


def test_mutants_are_distinct_new_and_as_many_as_asked_for():
    texts = ["inform(name[Portal])", "request(specifier[best])"]
    made = list(mutants(texts, ["name", "["], 2_000))
    assert len(set(made) - set(texts)) == 2_000
    assert made == list(mutants(texts, ["name", "["], 2_000)), "the seed decides"
    script = (
        "import sys; from sofit.grammar_check.mutants import mutants; print(list(mutants(sys.argv[1:], ['name', '['], 2_000)))"
    )
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        process = subprocess.run(
            [sys.executable, "-c", script, *texts], env=environment, capture_output=True, text=True, check=True
        )
        assert process.stdout == f"{made}\n"


def check(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_the_command_lists_each_check_and_exits_by_the_verdict(tmp_path: Path):
    code, output = check("viggo", "--mutants", "100", "--walks", "5")
    assert code == 0
    lines = output.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["ok", name] for name in ("subset", "compiles", "bounded", "conflicts", "collisions", "targets", "mutants", "walks")
    ]
    assert "100 mutants: 0 with different verdicts" in output
    path = tmp_path / "flawed.lark"
    path.write_text("start: /a+/", encoding="utf-8")
    code, output = check(str(path), "--mutants", "100")
    assert code == 1
    assert "1:9: /a+/ has no greatest length" in output


def test_the_command_says_what_it_needs(tmp_path: Path):
    with pytest.raises(SofitError, match="No grammar is called 'vigo'"):
        check("vigo")
    path = tmp_path / "own.lark"
    path.write_text('start: "a"', encoding="utf-8")
    with pytest.raises(SofitError, match="--data and --set concern a task"):
        check(str(path), "--data", "demo")
    code, output = check(str(path), "--task", "viggo")
    assert code == 1
    assert "rejected by python-lark" in output


@dataclass(frozen=True, kw_only=True)
class Echo(Task):
    """To say what was said, in a grammar whose text never ends."""

    name: ClassVar[str] = "echo"
    grammar: ClassVar[Grammar | None] = Grammar("echo", "start: /[a-z]+/")

    def load(self, split: str) -> list[Example]:
        return [Example(id=f"{split}-{word}", input=word[::-1], target=word) for word in ("hello", "world")]

    def prompt(self, example: Example) -> str:
        return f"Turn around {example.input}: "

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        right = [{"right": float(prediction.text == prediction.example.target)} for prediction in predictions]
        return Scores(metrics={"right": sum(entry["right"] for entry in right) / len(right)}, per_example=right)


def test_the_contract_of_a_task_includes_a_grammar_that_can_constrain():
    with pytest.raises(AssertionError, match=r"grammar 'echo': 1:9: .* has no greatest length"):
        check_task(Echo())


def test_the_checks_of_every_grammar_that_is_installed_find_nothing():
    for grammar in load_plugins().grammars.values():
        assert grammar.flaws == ()
