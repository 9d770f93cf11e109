"""The grammar's say in decoding: which tokens may come next, by llguidance.

llguidance reports errors by a flag and never raises, and a matcher that has met one is lost. So everything that could put it
in that state is checked here first.
"""

import random
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sofit.errors import SofitError
from sofit.grammar import Grammar
from sofit.grammar.engine import limits
from sofit.json_schema.grammar import JsonSchemaGrammar

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

    from sofit.pretrained import Tokenizer

WORD_BITS = 32
"""Tokens in one word of a packed mask."""
_CLOSERS = (b"])}>\"'", b"\"'])}>", b"\"'])}>,:")
"""What ends a part, in the orders to try. In free text a bracket may go on for ever where a quote ends it, or the other way
round; and a number goes on for ever where only a comma ends it, since more must follow."""
_CLOSING_LENGTHS = (40, 400, 4000)
_CLOSING_TRIES, _CLOSING_SHARE, _CLOSER_COUNT = 20, 0.7, len(_CLOSERS[0])
_TEXT_CLASS = re.compile(r"(\[\^(?:\\.|[^\]\\])*\])(?:\{\d+,\d+\}|[+*])")


class Matcher:
    """Follows one output and knows what may come next."""

    def __init__(self, matcher: "LLMatcher", word_count: int, closing_orders: Sequence[Sequence[int]]):
        self._matcher = matcher
        self._words = np.zeros(word_count, np.int32)
        self._closing_orders = closing_orders

    def copy(self) -> "Matcher":
        """Returns a matcher that stands where this one does and goes its own way."""
        return Matcher(self._matcher.deep_copy(), len(self._words), self._closing_orders)

    def accept(self, tokens: Sequence[int]) -> int:
        """Takes tokens up to the first one that the mask forbids, an end token included, and returns how many it took.

        The masks decide, not what the grammar could read: where the text is forced, they allow one way only to split it.
        """
        for count, token in enumerate(tokens):
            self.fill(self._words)
            if not is_allowed(self._words, token):
                return count
            self._consume(token)
        return len(tokens)

    def forced(self, tokens: Sequence[int]) -> np.ndarray:
        """Reads tokens, an end token included, and returns at which of them the mask leaves no other way: (token), bool.

        A token that the mask forbids is none of these, and neither is any after it: no output under masks comes there.
        """
        is_forced = np.zeros(len(tokens), bool)
        for place, token in enumerate(tokens):
            self.fill(self._words)
            if not is_allowed(self._words, token):
                break
            is_forced[place] = _is_only_one(self._words)
            self._consume(token)
        return is_forced

    def fill(self, mask: np.ndarray) -> None:
        """Writes a bit for each token that may come next into a row of words: (word), int32."""
        assert mask.dtype == np.int32, mask.dtype
        assert mask.flags["C_CONTIGUOUS"], "llguidance writes through a pointer"
        mask[:] = 0
        self._matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes)
        self._check()

    def closing(self) -> list[int]:
        """Returns a short run of tokens that completes the output: what ends a part, wherever that may come.

        Where that goes on for ever in every order, as `"` in SQL opens a text as well as it closes one, the shortest of some runs
        drawn by chance.

        Raises:
            SofitError: it led to no end within some thousand tokens.
        """
        chance = random.Random(0)
        for longest in _CLOSING_LENGTHS:
            for order in self._closing_orders:
                tokens = self.copy()._closed_by(lambda ahead, order=order: ahead._first_of(order), longest)
                if tokens is not None:
                    return tokens
            runs = (self.copy()._closed_by(lambda ahead: ahead._drawn(chance), longest) for _ in range(_CLOSING_TRIES))
            if tokens := min(filter(None, runs), key=len, default=None):
                return tokens
        raise SofitError("The grammar offers no short way to complete an output that was cut off.")

    def _first_of(self, order: Sequence[int]) -> int | None:
        return next((token for token in order if is_allowed(self._words, token)), None)

    def _drawn(self, chance: random.Random) -> int | None:
        allowed = [token for token in self._closing_orders[0] if is_allowed(self._words, token)]
        # What ends a part comes first in the order, and is drawn more often than not.
        return chance.choice(allowed[: _CLOSER_COUNT if chance.random() < _CLOSING_SHARE else None]) if allowed else None

    def _closed_by(self, choose: "Callable[[Matcher], int | None]", longest: int) -> list[int] | None:
        """Goes on to the end with what `choose` takes of what may come; returns what it took, None where that is too much."""
        tokens: list[int] = []
        while not self._matcher.is_accepting():
            if len(tokens) == longest:
                return None
            self.fill(self._words)
            token = choose(self)
            # Where the text is forced, the only token may be a longer one.
            tokens.append(_first_allowed(self._words) if token is None else token)
            self._consume(tokens[-1])
        return tokens

    def _consume(self, token: int) -> None:
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise SofitError(f"The grammar's matcher failed: {self._matcher.get_error()}")


def is_allowed(words: np.ndarray, token: int) -> bool:
    """Reads a token's bit in a packed mask."""
    return bool(words[token // WORD_BITS] >> (token % WORD_BITS) & 1)


def _is_only_one(words: np.ndarray) -> bool:
    """Whether a packed mask allows one token and no other."""
    filled = words[words != 0].view(np.uint32)
    return len(filled) == 1 and int(filled[0]).bit_count() == 1


def _first_allowed(words: np.ndarray) -> int:
    word = int(np.flatnonzero(words)[0])
    return word * WORD_BITS + next(bit for bit in range(WORD_BITS) if words[word] >> bit & 1)


class TokenMasks:
    """Matchers for one tokenizer. Each grammar is compiled once."""

    def __init__(self, tokenizer: "Tokenizer", vocab_size: int):
        """Reads the tokenizer's vocabulary; `vocab_size` is that of the model, which may have more logits than tokens."""
        from llguidance import LLTokenizer

        self._tokenizer: LLTokenizer = LLTokenizer(
            tokenizer.json, n_vocab=vocab_size, eos_token=list(tokenizer.eos_ids), slices=[]
        )
        self._word_count = -(-vocab_size // WORD_BITS)
        self._closing_orders = [_closing_order(self._tokenizer, closers) for closers in _CLOSERS]
        self._compiled: dict[tuple[Grammar, str], Matcher] = {}

    def matcher(self, grammar: Grammar, lead: str = "") -> Matcher:
        """Returns a matcher at the start of an output, which `lead` precedes: the space that the prompt ended in.

        Raises:
            SofitError: the grammar has flaws, so that what the masks allow might not be what it accepts.
        """
        key = grammar, lead
        if key not in self._compiled:
            self._compiled[key] = self._compile(grammar, lead)
        return self._compiled[key].copy()

    def _compile(self, grammar: Grammar, lead: str) -> Matcher:
        from llguidance import LLMatcher

        if grammar.flaws:
            flaw, *more = grammar.flaws
            others = f" (and {len(more)} more)" if more else ""
            raise SofitError(
                f"Grammar {grammar.path or grammar.name!r} cannot constrain decoding: {flaw}{others} It still validates;"
                " --no-constrained goes without it, and `sofit grammar check` tells what to change."
            )
        tokenizer = self._tokenizer.with_slices(free_text_slices(grammar))
        matcher = LLMatcher(tokenizer, grammar.constraint(lead), log_level=0, limits=limits())
        assert not matcher.is_error(), matcher.get_error()
        return Matcher(matcher, self._word_count, self._closing_orders)


def free_text_slices(grammar: Grammar) -> list[str]:
    """Returns the parts of the vocabulary for which llguidance may reuse masks: what the free text of this grammar is made of."""
    if isinstance(grammar, JsonSchemaGrammar):
        from llguidance import LLTokenizer

        return LLTokenizer.json_slices()
    classes = dict.fromkeys(match[1] for match in _TEXT_CLASS.finditer(grammar.text))
    return [pattern for text in classes for pattern in (f"{text}{{1,20}}", f"{text}+")]


def _closing_order(tokenizer: "LLTokenizer", closers: bytes) -> list[int]:
    """Returns the tokens of one byte: what ends a part first, then letters and digits, then the rest."""
    rest = sorted(range(32, 127), key=lambda byte: (not chr(byte).isalnum(), byte))
    in_order = dict.fromkeys([*closers, *rest])
    tokens = [tokenizer.greedy_tokenize(chr(byte)) for byte in in_order]
    return [token[0] for token in tokens if len(token) == 1]
