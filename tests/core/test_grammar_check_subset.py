"""The subset of Lark: what is outside is named with its place, and is outside for a reason that both engines show."""

import random

import lark
import pytest
from llguidance import LLMatcher

from sofit import Grammar, SofitError
from sofit.grammar.engine import ByteMatcher, byte_tokenizer, lark_constraint
from sofit.grammar.subset import leaving_the_subset

OUTSIDE = [
    # A grammar with one construct; where it stands; a word of the message; texts of which one shows why.
    ('start: "a" "b"\n%ignore " "', (2, 1), "%ignore", ["a b", " ab"]),
    ('%declare X\nstart: "a"', (1, 1), "%declare", ["a"]),
    ('start: "a"\n%override start: "b"', (2, 1), "%override", ["b"]),
    ('start: "a"\n%extend start: "b"', (2, 1), "%extend", ["b"]),
    ("%import python.NAME\nstart: NAME", (1, 1), "%import from python", ["a"]),
    ("%import .other.NAME\nstart: NAME", (1, 1), "%import from other", ["a"]),
    ("%import common.ESCAPED_STRING\nstart: ESCAPED_STRING", (1, 16), "ESCAPED_STRING", ['"a"', '"a\nb"']),
    ("%import common (DIGIT, ESCAPED_STRING)\nstart: ESCAPED_STRING", (1, 24), "ESCAPED_STRING", ['"a\nb"']),
    ('start: A\nA.2: "a"', (2, 1), "priority", ["a"]),
    ('start: pair{"a"}\npair{x}: x x', (1, 8), "template pair", ["aa"]),
    ('start: A{1,3}\nA: "a"', (1, 8), "braces", ["a"]),
    ('start: "a"\n  // why\n  | "b"', (2, 3), "comment", ["a"]),
    (r'''start: "\'"''', (1, 9), r"escape \'", ["'"]),
    (r'start: "a\/b"', (1, 10), r"escape \/", ["a/b"]),
    (r'start: "a\bb"', (1, 10), r"escape \b", ["a\bb"]),
    (r'start: "\U0001F600"', (1, 9), r"escape \U", ["😀"]),
    ('start: "a\tb"', (1, 10), "control character", ["a\tb"]),
    ("start: /a(?=b)/ /b/", (1, 10), "lookahead", ["ab"]),
    ("start: /a(?!c)/ /b/", (1, 10), "negative lookahead", ["ab"]),
    ("start: /a/ /(?<=a)b/", (1, 13), "lookbehind", ["ab"]),
    ("start: /a/ /(?<!c)b/", (1, 13), "negative lookbehind", ["ab"]),
    (r"start: /a\b/", (1, 10), r"\b", ["a"]),
    (r"start: /\<a/", (1, 9), r"\<", ["<a"]),
    (r"start: /a\Z/", (1, 10), r"\Z", ["a"]),
    (r"start: /(a)\1/", (1, 12), "backreference", ["aa"]),
    (r"start: /(?P<x>a)(?P=x)/", (1, 17), "backreference", ["aa"]),
    ("start: /(?>a)/", (1, 9), "atomic", ["a"]),
    ("start: /(?#b)a/", (1, 9), "comment", ["a"]),
    ("start: /(?i)a/", (1, 9), "Flags", ["A"]),
    ("start: /a+?/", (1, 10), "+?", ["a", "aa"]),
    ("start: /a??b?/", (1, 10), "??", ["ab"]),
    ("start: /a{1,2}?/", (1, 10), "{1,2}?", ["aa"]),
    ("start: /a{,2}b/", (1, 10), "{,2}", ["ab"]),
    ("start: /[a&&b]/", (1, 11), "&&", ["a"]),
    ("start: /[a~~b]/", (1, 11), "~~", ["~"]),
    ("start: /[+--]/", (1, 11), "--", [","]),
    ("start: /[a[b]/", (1, 11), "bare [", ["["]),
    ("start: /[[:alpha:]]/", (1, 10), "bare [", ["a"]),
    (r"start: /[\b]/", (1, 10), r"\b in a set", ["\b"]),
    ("start: /[a b]{1,3}/x", (1, 11), "' ' in a set", ["a b"]),
    ("start: /a [^\\\\#]/x", (1, 15), "'#' in a set", ["a#", "ab"]),
    ("start: /(?ix:[a b])/", (1, 16), "' ' in a set", [" "]),
    ('start: "^".."z"', (1, 11), "ends of a range", ["A"]),
    ('start: "!".."]"', (1, 11), "ends of a range", ["A"]),
    (r'start: "\uD83D\uDE00"', (1, 9), "half of a character", ["😀", "\ud83d\ude00"]),
    (r"start: /\0/", (1, 9), r"\0", ["\0"]),
    (r"start: /\N{DIGIT ONE}/", (1, 9), r"\N", ["1"]),
    (r"start: /\p{L}/", (1, 9), r"\p", ["a"]),
    (r"start: /\w/", (1, 9), r"\w", ["‿", "a"]),
    (r"start: /\W/", (1, 9), r"\W", ["‿", "a"]),
    (r"start: /\s/", (1, 9), r"\s", ["\x1c", " "]),
    (r"start: /[\S]/", (1, 10), r"\S", ["\x1c"]),
    (r"start: /\d/", (1, 9), r"\d", ["1", "\U00010d40"]),
]

INSIDE = [
    ('start: "a" | "b" -> b // why\n  # and why\n\n// more\n\n!rest: "c"', ["a", "b", "c"]),
    ('?start: _x ["b"] "c"~2 ("d"~1..2)? ("e" "f")* "g"+\n_x: "a"', ["acceffg"[:4], "abccdefg", "accg", "accddgg"]),
    ('start: "A"i "b".."d" /e/i /[f-h]/i', ["abeF", "ACEg", "adeh", "AbEi"]),
    (r'start: "\"" "\\" "\n" "\t" "\r" "\f" "\x41" "\u00e9"', ['"\\\n\t\r\fAé', '"']),
    (r"start: /[\[\]\\\/^-]/ /\./ /\$/ /\^/ /[^\x00-\x1f\"]/ /\u4e2d/ /\U0001F600/", ["[.$^é中😀", '[.$^"中😀']),
    (r"start: /(?:a|b){2}c{0,2}(?P<name>d)(?i:e)(?s:.)/", ["abcdE\n", "badex", "acde1"]),
    ("%import common.DIGIT\n%import common (HEXDIGIT, LETTER)\nstart: DIGIT HEXDIGIT LETTER", ["1fZ", "٣fz", "1g2"]),
    ("%import common.CR\n%import common.LF -> END\nstart: CR END", ["\r\n", "\n"]),
    ("start: list\nlist: list item | item\nitem: /[0-9]/ | \"(\" list \")\"", ["1(23)4", "()", "(1"]),
    (r"start: /[a\ \x20\#] b/x", ["#b", " b", "# b", "a b", "ab"]),
    (r'start: "\x5e".."z" "!".."\x5d" "[".."^"', ["^A[", "A]]", "a^^"]),
    ("start: /[]a]/ /[^]]/", ["]]", "]a", "ab"]),
]  # fmt: skip


def verdict_of_lark(text: str, output: str) -> bool | None:
    """None where lark refuses the grammar."""
    grammar = Grammar("tried", text)
    try:
        return grammar.accepts(output)
    except SofitError:
        return None


def verdict_of_llguidance(text: str, output: str) -> bool | None:
    """None where llguidance refuses the grammar."""
    matcher = LLMatcher(byte_tokenizer(), lark_constraint(text), log_level=0)
    return None if matcher.is_error() else ByteMatcher(lark_constraint(text)).accepts(output)


@pytest.mark.parametrize(("text", "place", "word", "outputs"), OUTSIDE, ids=[text for text, *_ in OUTSIDE])
def test_what_leaves_the_subset_is_named_with_its_place_and_a_remedy(
    text: str, place: tuple[int, int], word: str, outputs: list[str]
):
    flaws = leaving_the_subset(text)
    assert [(flaw.line, flaw.column) for flaw in flaws][:1] == [place]
    assert word in flaws[0].message
    assert flaws[0].remedy
    assert str(flaws[0]).startswith(f"{place[0]}:{place[1]}: ")


@pytest.mark.parametrize(("text", "place", "word", "outputs"), OUTSIDE, ids=[text for text, *_ in OUTSIDE])
def test_what_leaves_the_subset_is_not_read_alike(text: str, place: tuple[int, int], word: str, outputs: list[str]):
    verdicts = [(verdict_of_lark(text, output), verdict_of_llguidance(text, output)) for output in outputs]
    assert any(one != other or one is None for one, other in verdicts), "both read it alike, so nothing speaks against it"


@pytest.mark.parametrize(("text", "outputs"), INSIDE, ids=[text for text, _ in INSIDE])
def test_what_is_in_the_subset_is_read_alike(text: str, outputs: list[str]):
    assert leaving_the_subset(text) == []
    for output in outputs:
        verdict = verdict_of_lark(text, output)
        assert verdict is not None
        assert verdict == verdict_of_llguidance(text, output), output


def test_classes_without_regard_to_case_differ_only_in_two_letters_which_lark_alone_reads():
    # Known and let pass: what the masks allow, lark accepts.
    text = "start: /[a-z]/i"
    pattern = Grammar("case", text)
    matcher = ByteMatcher(lark_constraint(text))
    differing = [chr(code) for code in range(0x3000) if pattern.accepts(chr(code)) != matcher.accepts(chr(code))]
    assert differing == ["İ", "ı"]
    assert all(map(pattern.accepts, differing))


def test_real_terminals_of_lark_are_imported_alike():
    for name in ("DIGIT", "HEXDIGIT", "LETTER", "LCASE_LETTER", "UCASE_LETTER", "CR", "LF"):
        text = f"%import common.{name}\nstart: {name}"
        matcher = ByteMatcher(lark_constraint(text))
        grammar = lark.Lark(text, parser="lalr")
        for code in range(0x250):
            try:
                grammar.parse(chr(code))
                is_accepted = True
            except lark.exceptions.UnexpectedInput:
                is_accepted = False
            assert matcher.accepts(chr(code)) == is_accepted


def test_damaged_expressions_never_break_the_check():
    chance = random.Random(0)
    for text, *_ in OUTSIDE:
        for _ in range(20):
            place = chance.randrange(len(text))
            leaving_the_subset(text[:place] + text[place + chance.randint(1, 3) :])
