"""Prompts as the arrays that decoding reads."""

from collections.abc import Sequence

import haliax as hax
import numpy as np
from haliax import Axis

from sofit.batches import POSITION, PREFIX_POSITION, ROW, SLOT
from sofit.model import Stream
from sofit.packing import round_up

LENGTH_STEP = 16
"""Lengths are rounded up to this, so that few shapes are compiled."""


def prefix_stream(prefix: np.ndarray) -> Stream:
    """Lays a shared prefix out in one row: (row, prefix_position)."""
    Row, Pos = Axis(ROW, 1), Axis(PREFIX_POSITION, round_up(len(prefix), LENGTH_STEP))
    tokens, segments = np.zeros((2, 1, Pos.size), np.int32)
    tokens[0, : len(prefix)], segments[0, : len(prefix)] = prefix, 1
    positions = np.arange(Pos.size, dtype=np.int32)[None]
    return Stream(*(hax.named(array, (Row, Pos)) for array in (tokens, positions, segments)), Pos=Pos)


def rest_length(longest: int) -> int:
    """Returns the length of slots for prompts of up to `longest` tokens: 16, 32, 48, 64, 96, 128, 192 and so on."""
    length = LENGTH_STEP
    while length < longest:
        # A power of two, or the half of the way to the next.
        length += LENGTH_STEP if length == LENGTH_STEP else 1 << (length.bit_length() - 2)
    return length


def rest_stream(rests: Sequence[np.ndarray], slots: int, length: int, start: int) -> Stream:
    """Lays what prompts have beyond their prefix out in slots of `length` positions: (row, slot, position).

    Positions count on from `start`, the length of the prefix. Slots without a prompt are padding.
    """
    Row, Slot, Pos = Axis(ROW, 1), Axis(SLOT, slots), Axis(POSITION, length)
    tokens, segments = np.zeros((2, 1, slots, length), np.int32)
    for slot, rest in enumerate(rests):
        tokens[0, slot, : len(rest)], segments[0, slot, : len(rest)] = rest, 1
    positions = np.broadcast_to(start + np.arange(length, dtype=np.int32), tokens.shape)
    return Stream(*(hax.named(array, (Row, Slot, Pos)) for array in (tokens, positions, segments)), Pos=Pos)
