"""Outputs made by chance under the masks, a byte at a time: whatever the masks allow, lark must accept."""

import random
from typing import TYPE_CHECKING

from sofit.grammar.engine import ByteMatcher, byte_tokenizer

if TYPE_CHECKING:
    from llguidance import LLMatcher

LONGEST_BYTES = 2_000
TRIES = 10


class GivesUp(Exception):
    """llguidance refuses to go on with a text that its masks allowed."""


def random_output(
    matcher: ByteMatcher, chance: random.Random, longest_bytes: int = LONGEST_BYTES, tries: int = TRIES
) -> str | None:
    """Returns a text that the masks allow from beginning to end; None where each try ran on too long.

    Each byte that a mask allows is as likely as any other, and so is the end.

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
        choice = chance.randrange(len(allowed) + is_end_allowed)
        if choice == len(allowed):
            return bytes(written)
        written.append(allowed[choice])
        if not matcher.consume_token(allowed[choice]):
            raise GivesUp(matcher.get_error().split("\n", 1)[0])
    return None
