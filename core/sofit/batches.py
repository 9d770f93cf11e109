"""The arrays of a micro-batch: the streams that the model reads, and where it is to predict what."""

from typing import cast

import equinox as eqx
import jax
import numpy as np
from haliax import Axis, NamedArray

from sofit.model import Stream
from sofit.packing import MicroBatch, Row

ROW, SLOT, POSITION, PREFIX_POSITION, TARGET = "row", "slot", "position", "prefix_position", "target"


class PrefixBatch(eqx.Module):
    """A micro-batch on its way to the device."""

    prefix: Stream | None
    """(row, prefix_position); None where nothing is shared."""
    suffix: Stream
    """(row, slot, position)"""
    target_place: NamedArray
    """(row, target): where in its row a token is predicted, counted over slots and positions together; int32."""
    target_id: NamedArray
    """(row, target): the token to predict; int32."""
    target_role: NamedArray
    """(row, target): what it is, a number of `Labeller.roles`; int32."""
    is_target: NamedArray
    """(row, target): False on padding."""


def to_arrays(micro: MicroBatch) -> PrefixBatch:
    """Lays a micro-batch out in NumPy arrays of its shape."""
    shape = micro.shape
    Rows, Slots, Pos = Axis(ROW, shape.rows), Axis(SLOT, shape.slots), Axis(POSITION, shape.slot_length)
    PrefixPos, Targets = Axis(PREFIX_POSITION, shape.prefix_length), Axis(TARGET, shape.targets)
    prefix, suffix = np.zeros((3, Rows.size, PrefixPos.size), np.int32), np.zeros((3, Rows.size, Slots.size, Pos.size), np.int32)
    targets, is_target = np.zeros((3, Rows.size, Targets.size), np.int32), np.zeros((Rows.size, Targets.size), bool)
    for index, row in enumerate(micro.rows):
        length = len(row.prefix)
        _write(prefix[:, index, :length], row.prefix, 0, 1)
        count = _fill_row(row, suffix[:, index], targets[:, index])
        is_target[index, :count] = True
    return PrefixBatch(
        _stream(prefix, (Rows, PrefixPos), PrefixPos) if PrefixPos.size else None,
        _stream(suffix, (Rows, Slots, Pos), Pos),
        _named(targets[0], (Rows, Targets)),
        _named(targets[1], (Rows, Targets)),
        _named(targets[2], (Rows, Targets)),
        _named(is_target, (Rows, Targets)),
    )


def _fill_row(row: Row, suffix: np.ndarray, targets: np.ndarray) -> int:
    """Writes a row's slots, (3, slot, position), and targets, (3, target); returns the number of targets."""
    prefix_length, count = len(row.prefix), 0
    slot_length = suffix.shape[2]
    for slot_index, slot in enumerate(row.slots):
        start = 0
        for segment, example in enumerate(slot, start=1):
            inputs = example.ids[prefix_length:-1]
            end = start + len(inputs)
            _write(suffix[:, slot_index, start:end], inputs, prefix_length, segment)
            first = slot_index * slot_length + start + example.prompt_length - 1 - prefix_length
            places = np.arange(first, first + example.completion_length)
            carries_loss, length = example.labels.carries_loss, example.loss_tokens
            predicted = np.stack([places, example.ids[example.prompt_length :], example.labels.roles])
            targets[:, count : count + length] = predicted[:, carries_loss]
            start, count = end, count + length
    return count


def _write(stretch: np.ndarray, ids: np.ndarray, first_position: int, segment: int) -> None:
    """Fills a stretch of tokens, positions and segments: (3, position)."""
    stretch[0], stretch[1], stretch[2] = ids, np.arange(first_position, first_position + len(ids)), segment


def _stream(arrays: np.ndarray, axes: tuple[Axis, ...], Pos: Axis) -> Stream:
    return Stream(*(_named(array, axes) for array in arrays), Pos=Pos)


def _named(array: np.ndarray, axes: tuple[Axis, ...]) -> NamedArray:
    # `hax.named` would make an array of JAX of it, and compile for its shape.
    return NamedArray(cast(jax.Array, array), axes)
