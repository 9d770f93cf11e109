"""Outputs made by chance under the masks, a byte at a time: whatever the masks allow, lark must accept."""

import random
from typing import TYPE_CHECKING

from sofit.grammar.engine import ByteMatcher, byte_tokenizer

if TYPE_CHECKING:
    from llguidance import LLMatcher

LONGEST_BYTES = 2_000
TRIES = 10
_CLOSERS = b"])}>\"'"
_CLOSING_SHARE = 0.7


class GivesUp(Exception):
    """llguidance refuses to go on with a text that its masks allowed."""


def random_output(
    matcher: ByteMatcher, chance: random.Random, longest_bytes: int = LONGEST_BYTES, tries: int = TRIES
) -> str | None:
    """Returns a text that the masks allow from beginning to end; None where each try ran on too long.

    Each byte that a mask allows is as likely as any other, and so is the end. Past half the length, what ends a part is likelier
    and the end comes at the first chance, so that a language in which parts nest for ever is walked to an end too.

    Raises:
        GivesUp: llguidance does; the message says why.
    """
    for _ in range(tries):
        written = _walk(matcher.copy(), chance, longest_bytes)
        if written is not None:
            return written.decode("utf-8", "surrogateescape")
    return None


def _walk(matcher: "LLMatcher", chance: random.Random, longest_bytes: int) -> bytes | None:
    end = byte_tokenizer().eos_token
    written = bytearray()
    while len(written) < longest_bytes:
        mask = matcher.compute_bitmask()
        allowed = [token for token in range(256) if mask[token >> 3] >> (token & 7) & 1]
        is_end_allowed = bool(mask[end >> 3] >> (end & 7) & 1)
        is_late = len(written) > longest_bytes // 2
        closers = [byte for byte in allowed if byte in _CLOSERS] if is_late and chance.random() < _CLOSING_SHARE else []
        choice = chance.randrange(len(allowed) + is_end_allowed)
        if choice == len(allowed) or (is_late and is_end_allowed):
            return bytes(written)
        byte = chance.choice(closers or allowed[choice : choice + 1])
        written.append(byte)
        if not matcher.consume_token(byte):
            raise GivesUp(matcher.get_error().split("\n", 1)[0])
    return None
