"""The grammar: verdicts equal lark's own, and messages name the place and the word."""

import csv
import random
from pathlib import Path

import lark
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sofit import Grammar, SofitError
from sofit.grammar.terminals import values_of
from sofit_grammars import builtin_grammar

VIGGO = builtin_grammar("viggo")

# Left recursion, an empty rule, ignored text, a keyword that a name would also match, and merged LALR states.
EXPRESSIONS = Grammar(
    "expressions",
    r"""
    start: sum empty
    sum: sum "+" product | product
    product: product "*" atom | atom
    atom: NAME | "if" atom "then" atom | "(" sum ")" | NUMBER
    empty: | ";"
    NAME: /[a-z]{1,8}/
    NUMBER: /[0-9]{1,4}/
    %ignore /[ \n]{1,9}/
    """,
)


def lark_accepts(grammar: Grammar, text: str) -> bool:
    try:
        grammar.parser.parse(text)
    except lark.exceptions.UnexpectedInput:
        return False
    return True


@given(st.text(alphabet="ab if then+*();\n 09é", max_size=30))
def test_a_verdict_equals_that_of_larks_own_parser(text: str):
    assert EXPRESSIONS.accepts(text) == lark_accepts(EXPRESSIONS, text)


@given(st.lists(st.sampled_from(["a", "if", "then", "+", "*", "(", ")", " ", "12", ";", "ifs"]), max_size=12))
def test_a_verdict_on_near_programs_equals_that_of_larks_own_parser(tokens: list[str]):
    text = " ".join(tokens)
    assert EXPRESSIONS.accepts(text) == lark_accepts(EXPRESSIONS, text)
    assert (EXPRESSIONS.problem(text) is None) == EXPRESSIONS.accepts(text)


def test_verdicts_on_real_targets_and_their_mutants_equal_those_of_larks_own_parser(shared_data: Path):
    chance = random.Random(0)
    with (shared_data / "viggo" / "validation.csv").open(encoding="utf-8", newline="") as file:
        targets = [row["mr"] for row in csv.DictReader(file)]
    for target in targets:
        assert VIGGO.accepts(target), target
        place = chance.randrange(len(target))
        mutant = target[:place] + chance.choice(["", "]", "[", ", ", "x", "é", ")"]) + target[place + chance.randrange(3) :]
        assert VIGGO.accepts(mutant) == lark_accepts(VIGGO, mutant), mutant
        assert (VIGGO.problem(mutant) is None) == VIGGO.accepts(mutant), mutant


def test_the_expected_words_are_all_that_can_follow_and_no_others():
    problem = EXPRESSIONS.problem("( a + ) ")
    assert problem is not None
    assert problem.expected == ("(", "if", "NAME /[a-z]{1,8}/", "NUMBER /[0-9]{1,4}/")
    for word in ("(", "if", "abc", "123"):
        further = EXPRESSIONS.problem(f"( a + {word}")
        assert further is not None
        assert further.code == "SOF003", "what was expected was read, and more was wanted"


@pytest.mark.parametrize(
    ("text", "code", "column", "found", "suggestion"),
    [
        ("infrom(name[Portal])", "SOF001", 1, "infrom", "inform"),
        ("informs(name[Portal])", "SOF001", 1, "informs", "inform"),
        ("Inform(name[Portal])", "SOF001", 1, "Inform", "inform"),
        ("inform(nme[Portal])", "SOF001", 8, "nme", "name"),
        ("inform(name[Portal], releese_year[2007])", "SOF001", 22, "releese_year", "release_year"),
        ("inform(rating[excelent])", "SOF001", 15, "excelent", "excellent"),
        ("inform(rating[goodish])", "SOF001", 15, "goodish", "good"),
        ("inform(esrb[E (for Everybody)])", "SOF001", 13, "E (for Everybody)", "E (for Everyone)"),
        ("inform(esrb[T])", "SOF001", 13, "T", "T (for Teen)"),
        ("inform(has_multiplayer[maybe])", "SOF001", 24, "maybe", None),
        ("inform(release_year[20077])", "SOF001", 25, "7", "]"),
        ("inform(name[Portal],genres[puzzle])", "SOF001", 20, ",", ", "),
        ("inform(name[Portal], request[])", "SOF002", 22, "request", None),
        ("inform(name[Portal, release_year[2007])", "SOF002", 19, "", "]"),
        ("inform(name[Portal)", "SOF002", 19, "", "]"),
        ("inform(nameP0rtal])", "SOF002", 12, "", "["),
        ("inform(name[Portal]", "SOF003", 20, "", ")"),
        ("inform(name[Portal", "SOF003", 19, "", "])"),
        ("inform(name[Portal], rel", "SOF003", 22, "rel", "release_year"),
        ("inform(name[Portal]) I hope this helps", "SOF004", 21, " I hope this helps", None),
        ("inform(name[Portal])\r", "SOF004", 21, "\r", None),
        ("", "SOF005", 1, "", None),
        (" ", "SOF005", 1, " ", None),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_right_word(
    text: str, code: str, column: int, found: str, suggestion: str | None
):
    problem = VIGGO.problem(text)
    assert problem is not None
    assert (problem.code, problem.line, problem.column, problem.found, problem.suggestion) == (code, 1, column, found, suggestion)
    assert problem.offset == column - 1
    assert problem.end_column == column + len(found)


def test_lines_and_columns_count_from_one_in_characters():
    problem = EXPRESSIONS.problem("a +\n  b é c")
    assert problem is not None
    assert (problem.line, problem.column, problem.offset) == (2, 5, 8)
    assert str(problem) == "2:5: SOF004 Text follows the end of the output: 'é c'."


def test_an_enumeration_is_spelt_out_in_the_message():
    grammar = Grammar("shirts", 'start: "size=" SIZE\nSIZE: "S" | "M" | "X"~0..2 "L"')
    problem = grammar.problem("size=K")
    assert problem is not None
    assert problem.expected == ("L", "M", "S", "XL", "XXL")
    assert "one of 'L', 'M', 'S', 'XL', 'XXL'" in problem.message


def test_a_tree_of_a_text_has_the_text_in_its_leaves():
    text = "inform(name[Portal 2], genres[puzzle, indie])"
    assert "".join(VIGGO.parse(text).scan_values(lambda leaf: True)) == text


def test_parsing_what_is_not_in_the_language_is_an_error_with_its_place():
    with pytest.raises(SofitError, match=r"^1:8: SOF001 .*'nme'"):
        VIGGO.parse("inform(nme[Portal])")


def test_a_grammar_that_does_not_compile_is_an_error_that_names_it(tmp_path: Path):
    path = tmp_path / "broken.lark"
    path.write_text("start: missing", encoding="utf-8")
    with pytest.raises(SofitError, match=r"broken\.lark.*does not compile.*missing"):
        Grammar.from_file(path).accepts("x")
    with pytest.raises(SofitError, match="There is no grammar file"):
        Grammar.from_file(tmp_path / "absent.lark")
    with pytest.raises(SofitError, match=r"Cannot read the grammar .*: Is a directory\."):
        Grammar.from_file(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('start: "a" (\n', "1:13: Unclosed parenthesis."),
        ('start: "a"\n  | fooo\nfoo: "b"', "2:5: 'fooo' is used but not defined. Did you mean 'foo'?"),
        ('strt: "a"', "There is no rule 'start', which says what a whole output is."),
        ('start: "a" |\n x y z', "2:4: Unexpected token"),
    ],
)
def test_what_is_wrong_with_a_grammar_is_said_in_one_line_with_its_place(text: str, message: str):
    with pytest.raises(SofitError) as raised:
        Grammar("wrong", text).accepts("a")
    assert str(raised.value).startswith(f"Grammar 'wrong' does not compile: {message}")
    assert "\n" not in str(raised.value)


def test_terminals_that_only_clash_when_joined_are_an_error_and_no_traceback():
    with pytest.raises(SofitError, match="do not work together"):
        Grammar("groups", r"start: /(a)\1/").accepts("aa")


@pytest.mark.parametrize(
    ("pattern", "values"),
    [
        ("yes|no", ("yes", "no")),
        ("[ab]c?", ("a", "ac", "b", "bc")),
        ("(?:x|y){2}", ("xx", "xy", "yx", "yy")),
        ("(?i:1|2)", ("1", "2")),
        ("(?i:yes)", None),
        ("[0-9]{4}", None),
        ("[^a]", None),
        ("a+", None),
        (r"\d", None),
    ],
)
def test_the_values_of_a_pattern_are_listed_where_they_are_few(pattern: str, values: tuple[str, ...] | None):
    assert values_of(pattern) == values
