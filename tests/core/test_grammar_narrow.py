"""Grammars some of whose terminals match less: the same verdicts as a grammar written so, and as llguidance gives."""

import pytest

from sofit import Grammar, SofitError
from sofit.decoding.masks import TokenMasks
from sofit.grammar.engine import ByteMatcher
from sofit.pretrained import Pretrained

WIDE = Grammar(
    "calls",
    """
start: NAME "(" argument (", " argument)* ")"
argument: KEY ["=" VALUE]
NAME: /[a-z]{1,20}/
KEY: /[A-Z]{1,20}/
VALUE: /[0-9]{1,3}/
""",
)
EXPRESSIONS = {"NAME": "/play|pause/", "KEY": '"SONG" | "ARTIST"'}
NARROW = WIDE.narrow("player", EXPRESSIONS)
WRITTEN = Grammar("written", WIDE.text.replace("/[a-z]{1,20}/", "/play|pause/").replace("/[A-Z]{1,20}/", '"SONG" | "ARTIST"'))
TEXTS = [
    "play(SONG)",
    "play(SONG=12, ARTIST)",
    "pause(ARTIST=1)",
    "stop(SONG)",
    "play(ALBUM)",
    "play(SONGS)",
    "playe(SONG)",
    "pla(SONG)",
    "",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_narrowed_grammar_is_the_one_that_is_written_so(text: str):
    assert NARROW.accepts(text) == WRITTEN.accepts(text) == ByteMatcher(NARROW.constraint()).accepts(text)
    assert NARROW.recogniser.accepts(text) == NARROW.accepts(text)
    assert str(NARROW.problem(text)) == str(WRITTEN.problem(text))
    if NARROW.accepts(text):
        assert "".join(NARROW.parse(text).scan_values(lambda token: True)) == text


def test_what_is_not_in_it_does_not_parse_and_the_message_names_what_is():
    with pytest.raises(SofitError, match="Expected one of 'ARTIST', 'SONG', but found 'ALBUM'"):
        NARROW.parse("play(ALBUM)")


def test_the_grammar_that_is_narrowed_stays_as_it_is():
    assert WIDE.accepts("stop(SONG)")
    assert WIDE.flaws == NARROW.flaws == ()


def test_grammars_narrowed_alike_are_equal():
    assert WIDE.narrow("player", EXPRESSIONS) == NARROW
    assert hash(WIDE.narrow("player", EXPRESSIONS)) == hash(NARROW)
    assert WIDE.narrow("player", {"NAME": "/play/"}) != NARROW


def test_a_flaw_of_a_narrowed_terminal_is_found():
    # Alternatives in the wrong order: one engine takes "pla" of "play".
    (flaw,) = WIDE.narrow("player", {"NAME": "/pla|play/"}).flaws
    assert flaw.check == "collisions"
    (flaw, *_) = WIDE.narrow("player", {"NAME": "/[a-z]+/"}).flaws
    assert flaw.check == "bounded"


def test_a_terminal_that_is_not_there_is_an_error_that_lists_those_that_are():
    with pytest.raises(SofitError, match=r"defines no terminal 'NAMES' on one line\. It has: NAME, KEY, VALUE\."):
        WIDE.narrow("player", {"NAMES": "/a/"})


def test_a_terminal_is_narrowed_however_its_line_is_written():
    for line in ("NAME : /[a-z]{1,20}/", "  NAME: /[a-z]{1,20}/ // a name\n  // more", "NAME: /[a-z]{1,20}/\r"):
        narrow = Grammar("calls", WIDE.text.replace("NAME: /[a-z]{1,20}/", line)).narrow("player", EXPRESSIONS)
        assert narrow.flaws == ()
        matcher = ByteMatcher(narrow.constraint())
        for text in TEXTS:
            assert narrow.accepts(text) == matcher.accepts(text) == NARROW.accepts(text)


@pytest.mark.parametrize("more", ['\n  | "zz"', '\n\n  // or\n  | "zz"', ' |\n "zz"'])
def test_a_terminal_of_several_lines_is_not_narrowed(more: str):
    with pytest.raises(SofitError, match="'NAME' on one line"):
        Grammar("calls", f"start: NAME\nNAME: /[a-c]/{more}\n").narrow("player", {"NAME": "/b/"})


def test_a_terminal_that_another_one_is_made_of_is_not_narrowed_alone():
    grammar = Grammar("made", 'start: "<" (A | "(" B ")") ">"\nA: B "x"\nB: /[a-c]{1,3}/\n%import common.LF -> END')
    with pytest.raises(SofitError, match="'B' of grammar 'made' cannot match less: 'A' is made of it"):
        grammar.narrow("less", {"B": "/b/"})
    assert [grammar.narrow("less", {"B": "/b/", "A": "/bx/"}).accepts(text) for text in ("<bx>", "<ax>", "<(b)>")] == [
        True,
        False,
        True,
    ]


def test_a_placeholder_leaves_no_gap_in_the_tree():
    assert "".join(WIDE.parse("play(SONG)").scan_values(lambda token: True)) == "play(SONG)"


def test_an_output_is_completed_where_ending_parts_in_order_never_ends(smollm2: Pretrained):
    # Every quote closes a text and may open the next one, and a bracket is text: only a draw finds the way out.
    grammar = Grammar(
        "quotes",
        r"""
start: TEXT (" and " TEXT)* " end"
TEXT: /"(?:[^"\x00-\x1f]|""){0,3000}"/
""",
    )
    matcher = TokenMasks(smollm2.tokenizer, 49152).matcher(grammar)
    written = list(smollm2.tokenizer.encode_continuations(['"one" and "two'])[0])
    assert matcher.accept(written) == len(written)
    completed = smollm2.tokenizer.decode_continuation(written + matcher.closing())
    assert grammar.accepts(completed)
