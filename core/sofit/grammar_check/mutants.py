"""Texts that are nearly right: targets with a few edits, which two engines should judge alike."""

import random
from collections.abc import Iterator, Sequence

_MOST_EDITS = 3
_LONGEST_CUT = 6
_STRANGE = '\n\r\t\x00\x7f"\\é€日\u00a0\u2028😀'


def mutants(texts: Sequence[str], literals: Sequence[str], count: int, seed: int = 0) -> Iterator[str]:
    """Yields `count` distinct texts that are none of `texts`, or fewer where so many cannot be found.

    An edit leaves out, doubles, swaps or puts in a few characters; what it puts in is a literal of the grammar, a piece of
    another text, or a character that occurs in no text.
    """
    chance = random.Random(seed)
    seen = set(texts)
    pieces = [*literals, *_STRANGE, *sorted({character for text in texts[:1000] for character in text})]
    for _ in range(20 * count):
        if count == 0:
            return
        text = chance.choice(texts)
        for _ in range(chance.randint(1, _MOST_EDITS)):
            text = _edit(text, chance.choice(texts), pieces, chance)
        if text not in seen:
            seen.add(text)
            count -= 1
            yield text


def _edit(text: str, other: str, pieces: Sequence[str], chance: random.Random) -> str:
    start = chance.randint(0, len(text))
    end = min(len(text), start + chance.randint(0, _LONGEST_CUT))
    cut = text[start:end]
    kind = chance.randrange(6)
    if kind == 0:
        return text[:start] + text[end:]
    if kind == 1:
        return text[:end] + cut + text[end:]
    if kind == 2:
        return text[:start] + chance.choice(pieces) + text[start:]
    if kind == 3:
        return text[:start] + chance.choice(pieces) + text[end:]
    if kind == 4:
        place = chance.randint(0, len(other))
        return text[:start] + other[place : place + chance.randint(1, _LONGEST_CUT)] + text[end:]
    # What comes after the cut changes places with the cut.
    further = min(len(text), end + chance.randint(1, _LONGEST_CUT))
    return text[:start] + text[end:further] + cut + text[further:]
