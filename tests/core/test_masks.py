"""The grammar's say in decoding, with the real tokenizer."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sofit import Grammar, SofitError
from sofit.decoding.masks import WORD_BITS, Matcher, TokenMasks, free_text_slices, is_allowed
from sofit.pretrained import Pretrained
from sofit_grammars import builtin_grammar

# Recursion, an enumeration and bounded free text: what output grammars are made of.
CALLS = Grammar(
    "calls",
    r"""
start: call
call: name "(" (argument (", " argument)*)? ")"
name: "inform" | "request"
argument: KEY "[" value "]"
value: TEXT | call
KEY: /[a-z_]{1,8}/
TEXT: /<[^<>\[\]\r\n]{0,12}>/
""",
)
VOCAB_SIZE = 49152


@pytest.fixture(scope="module")
def masks(smollm2: Pretrained) -> TokenMasks:
    return TokenMasks(smollm2.tokenizer, VOCAB_SIZE)


def _allowed(matcher: Matcher) -> np.ndarray:
    words = np.zeros(VOCAB_SIZE // WORD_BITS, np.int32)
    matcher.fill(words)
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))


@pytest.mark.parametrize("lead", ["", " "])
@pytest.mark.parametrize("seed", range(10))
def test_a_random_walk_under_the_mask_ends_in_text_that_the_grammar_accepts(
    masks: TokenMasks, smollm2: Pretrained, lead: str, seed: int
):
    random, matcher, written = np.random.default_rng(seed), masks.matcher(CALLS, lead), []
    while True:
        token = int(random.choice(_allowed(matcher)))
        assert matcher.accept([token]) == 1
        if token == smollm2.tokenizer.eos_id:
            break
        written.append(token)
        if len(written) == 60:
            written += matcher.closing()
            break
    text = smollm2.tokenizer.decode_continuation(written)
    assert text.startswith(lead)
    assert CALLS.accepts(text.removeprefix(lead))


def test_a_chunk_is_taken_up_to_the_first_token_that_a_mask_forbids(masks: TokenMasks, smollm2: Pretrained):
    tokens = smollm2.tokenizer.encode_continuation(" inform(name[<Tetris>] and more")
    matcher, step_by_step = masks.matcher(CALLS, " "), masks.matcher(CALLS, " ")
    expected = 0
    while _is_next(step_by_step, tokens[expected]):
        step_by_step.accept([tokens[expected]])
        expected += 1
    assert matcher.accept(tokens) == expected
    assert smollm2.tokenizer.decode_continuation(tokens[:expected]) == " inform(name[<Tetris>]"
    assert _allowed(matcher).tolist() == _allowed(step_by_step).tolist()


def _is_next(matcher: Matcher, token: int) -> bool:
    words = np.zeros(VOCAB_SIZE // WORD_BITS, np.int32)
    matcher.fill(words)
    return is_allowed(words, token)


def test_only_the_end_may_follow_a_whole_output(masks: TokenMasks, smollm2: Pretrained):
    matcher = masks.matcher(CALLS)
    tokens = smollm2.tokenizer.encode_continuation("request()")
    assert matcher.accept(tokens) == len(tokens)
    assert _allowed(matcher).tolist() == [smollm2.tokenizer.eos_id]
    assert matcher.accept([smollm2.tokenizer.eos_id]) == 1


def test_the_end_may_not_come_before_the_output_is_whole(masks: TokenMasks, smollm2: Pretrained):
    matcher = masks.matcher(CALLS, " ")
    for token in smollm2.tokenizer.encode_continuation(" inform(name[<Tetris>])"):
        assert smollm2.tokenizer.eos_id not in _allowed(matcher)
        assert matcher.accept([smollm2.tokenizer.eos_id]) == 0
        assert matcher.accept([token]) == 1


def test_each_of_several_end_tokens_may_end_an_output(smollm2: Pretrained):
    tokenizer = replace(smollm2.tokenizer, eos_ids=(smollm2.tokenizer.eos_id, 0))
    matcher = TokenMasks(tokenizer, VOCAB_SIZE).matcher(CALLS)
    matcher.accept(tokenizer.encode_continuation("request()"))
    assert _allowed(matcher).tolist() == sorted(tokenizer.eos_ids)
    assert [matcher.copy().accept([end]) for end in tokenizer.eos_ids] == [1, 1]


def test_free_text_holds_no_special_token(masks: TokenMasks, smollm2: Pretrained):
    added = [token["id"] for token in json.loads(smollm2.tokenizer.json)["added_tokens"]]
    # Its text, "<|im_start|>", would be free text like any other.
    matcher = masks.matcher(Grammar("anything", "start: /.{1,20}/"))
    assert added
    assert not set(_allowed(matcher)) & set(added)


def test_a_token_that_is_refused_leaves_a_matcher_where_it_was(masks: TokenMasks, smollm2: Pretrained):
    matcher, untouched = masks.matcher(CALLS), masks.matcher(CALLS)
    assert matcher.accept(smollm2.tokenizer.encode_continuation("[")) == 0
    assert _allowed(matcher).tolist() == _allowed(untouched).tolist()


def test_a_matcher_that_llguidance_gave_up_is_an_error_and_not_a_mask(masks: TokenMasks, smollm2: Pretrained):
    matcher = masks.matcher(CALLS)
    with pytest.raises(SofitError, match="The grammar's matcher failed"):
        matcher._consume(smollm2.tokenizer.encode_continuation("[")[0])
    with pytest.raises(SofitError, match="The grammar's matcher failed"):
        _allowed(matcher)


def test_a_mask_overwrites_what_stood_in_its_place(masks: TokenMasks):
    clean, dirty = np.zeros(VOCAB_SIZE // WORD_BITS, np.int32), np.full(VOCAB_SIZE // WORD_BITS, -1, np.int32)
    for words in (clean, dirty):
        masks.matcher(CALLS).fill(words)
    assert clean.tolist() == dirty.tolist()
    assert clean.any()


@pytest.mark.parametrize("lead", ["", " "])
def test_masks_leave_real_targets_as_their_tokenizer_splits_them(
    masks: TokenMasks, smollm2: Pretrained, shared_data: Path, lead: str
):
    # Otherwise the grammar would correct what a model has learnt from them.
    tokenizer, matcher = smollm2.tokenizer, masks.matcher(builtin_grammar("viggo"), lead)
    with (shared_data / "viggo" / "validation.csv").open(encoding="utf-8", newline="") as file:
        targets = [row["mr"] for row in csv.DictReader(file)][:200]
    for target in targets:
        tokens = [*tokenizer.encode_continuation(lead + target), tokenizer.eos_id]
        assert matcher.copy().accept(tokens) == len(tokens), target


def test_copies_go_their_own_ways(masks: TokenMasks, smollm2: Pretrained):
    matcher = masks.matcher(CALLS)
    before = _allowed(matcher).tolist()
    assert matcher.copy().accept(smollm2.tokenizer.encode_continuation("inform(")) > 0
    assert _allowed(matcher).tolist() == before


@pytest.mark.parametrize("text", ["", "inf", "inform(a[", "inform(a[<b", "inform(a[request(b[<c>], d"])
def test_an_output_that_was_cut_off_is_completed_to_one_that_parses(masks: TokenMasks, smollm2: Pretrained, text: str):
    matcher = masks.matcher(CALLS)
    tokens = smollm2.tokenizer.encode_continuation(text) if text else []
    assert matcher.accept(tokens) == len(tokens)
    completed = text + smollm2.tokenizer.decode_continuation(matcher.closing())
    assert CALLS.accepts(completed)
    assert len(completed) <= len(text) + 40


def test_slices_are_the_free_text_of_the_grammar():
    assert free_text_slices(CALLS) == [r"[^<>\[\]\r\n]{1,20}", r"[^<>\[\]\r\n]+"]


def test_slices_change_no_mask(masks: TokenMasks, smollm2: Pretrained, monkeypatch: pytest.MonkeyPatch):
    tokens = smollm2.tokenizer.encode_continuation("inform(name[<Dark Souls")
    sliced, whole = masks.matcher(CALLS), TokenMasks(smollm2.tokenizer, VOCAB_SIZE)
    monkeypatch.setattr("sofit.decoding.masks.free_text_slices", lambda grammar: [])
    plain = whole.matcher(CALLS)
    for token in tokens:
        assert _allowed(sliced).tolist() == _allowed(plain).tolist()
        assert (sliced.accept([token]), plain.accept([token])) == (1, 1)


def test_a_grammar_that_cannot_constrain_is_refused_with_the_reason(masks: TokenMasks):
    with pytest.raises(SofitError, match=r"'ahead' cannot constrain decoding: 2:6: A lookahead.*--no-constrained"):
        masks.matcher(Grammar("ahead", "start: A\nA: /a(?=b)b/"))


WEATHER = {
    "type": "object",
    "properties": {
        "place": {"type": "string", "maxLength": 12},
        "days": {"type": "array", "items": {"enum": [1, 2]}, "maxItems": 3},
    },
    "required": ["place"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("lead", ["", " "])
@pytest.mark.parametrize("seed", range(5))
def test_a_random_walk_under_the_mask_of_a_schema_ends_in_json_that_it_describes(
    masks: TokenMasks, smollm2: Pretrained, lead: str, seed: int
):
    grammar = Grammar.from_json_schema(WEATHER)
    random, matcher, written = np.random.default_rng(seed), masks.matcher(grammar, lead), []
    while (token := int(random.choice(_allowed(matcher)))) != smollm2.tokenizer.eos_id:
        assert matcher.accept([token]) == 1
        written.append(token)
    text = smollm2.tokenizer.decode_continuation(written)
    assert text.startswith(lead)
    assert grammar.problem(text.removeprefix(lead)) is None


def test_a_target_as_the_masks_spell_it_is_allowed_token_by_token(masks: TokenMasks, smollm2: Pretrained):
    grammar = Grammar.from_json_schema(WEATHER)
    target = grammar.spelling({"days": [2, 1], "place": "Köln"})
    assert target == '{"place": "Köln", "days": [2, 1]}'
    tokens = smollm2.tokenizer.encode_continuation(" " + target)
    assert masks.matcher(grammar, " ").accept(tokens) == len(tokens)


def test_grammars_of_different_schemas_have_masks_of_their_own(masks: TokenMasks):
    number, text = (masks.matcher(Grammar.from_json_schema({"type": kind})) for kind in ("integer", "string"))
    assert not set(_allowed(number)) & set(_allowed(text))


def test_a_schema_that_masks_would_half_enforce_is_refused_with_the_reason(masks: TokenMasks):
    with pytest.raises(SofitError, match=r"cannot constrain decoding: .*uniqueItems.*It still validates"):
        masks.matcher(Grammar.from_json_schema({"type": "array", "uniqueItems": True}))


@pytest.mark.parametrize("text", ["", '{"', '{"place": "Kö', '{"place": "[[', '{"place": "a", "days": [1', '{"place": "a\\'])
def test_json_that_was_cut_off_is_completed_too(masks: TokenMasks, smollm2: Pretrained, text: str):
    grammar = Grammar.from_json_schema(WEATHER)
    matcher = masks.matcher(grammar)
    assert matcher.accept(tokens := smollm2.tokenizer.encode_continuation(text) if text else []) == len(tokens)
    completed = text + smollm2.tokenizer.decode_continuation(matcher.closing())
    assert grammar.problem(completed) is None
    assert len(completed) <= len(text) + 40


def test_a_number_that_was_cut_off_is_followed_by_what_must_come(masks: TokenMasks, smollm2: Pretrained):
    numbers = {"a": {"type": "integer"}, "b": {"type": "integer"}}
    grammar = Grammar.from_json_schema({"type": "object", "properties": numbers, "required": ["a", "b"]})
    matcher = masks.matcher(grammar)
    tokens = smollm2.tokenizer.encode_continuation('{"a": 12')
    assert matcher.accept(tokens) == len(tokens)
    completed = '{"a": 12' + smollm2.tokenizer.decode_continuation(matcher.closing())
    assert grammar.problem(completed) is None
