"""Generation for many prompts: grouped by what they share, laid out in slots, decoded together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import haliax as hax
import jax
import numpy as np
from haliax import Axis

from sofit.batches import POSITION, PREFIX_POSITION, ROW, SLOT
from sofit.decoding.engine import Sampling, Slots, compute_prefix, decode_chunk, fill_slots
from sofit.model import Cache, Decoder, Stream
from sofit.packing import round_up
from sofit.prefix import group_by_prefix
from sofit.supervision import TokenizedPrompt

_LENGTH_STEP = 16
"""Lengths are rounded up to this, so that few shapes are compiled."""


@dataclass(frozen=True)
class Generated:
    """What the model wrote after a prompt."""

    ids: tuple[int, ...]
    """The tokens, without the one that ended the output."""
    finished: bool
    """Whether the model ended the output itself."""


@dataclass(frozen=True)
class GenerationSettings:
    """How much to write, and how."""

    max_new_tokens: int
    batch_size: int = 32
    """Prompts decoded side by side."""
    sampling: Sampling = Sampling()
    seed: int = 0


def generate(
    model: Decoder,
    prompts: Sequence[TokenizedPrompt],
    settings: GenerationSettings,
    eos_ids: Sequence[int],
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[Generated]:
    """Writes an output for each prompt, in the order of the prompts.

    A prefix that prompts share is computed once for all of them; the outputs are what they would be without that.

    Args:
        model: the model, in the dtype to compute in.
        prompts: what to go on from.
        settings: how much to write, and how.
        eos_ids: the tokens that end an output.
        on_progress: told, after each batch, how many prompts are done.
    """
    Vocab = model.config.Vocab
    ends_output = hax.named(np.isin(np.arange(Vocab.size), list(eos_ids)), Vocab)
    outputs: list[Generated | None] = [None] * len(prompts)
    key = jax.random.key(settings.seed)
    ids = [prompt.ids for prompt in prompts]
    for group in group_by_prefix(ids, [len(prompt) - 1 for prompt in ids]):
        prefix = _prefix_cache(model, ids[group.members[0]][: group.prefix_length])
        rests = {member: ids[member][group.prefix_length :] for member in group.members}
        longest = round_up(max(map(len, rests.values())) - 1, _LENGTH_STEP)
        for members in _batches(rests, settings.batch_size):
            key, batch_key = jax.random.split(key)
            size = _slot_count(len(members), len(rests), settings.batch_size)
            slots = _fill(model, prefix, [rests[member] for member in members], size, longest, settings.max_new_tokens, group.prefix_length)
            _, tokens = decode_chunk(
                model, prefix, slots, None, ends_output, settings.sampling, batch_key, settings.max_new_tokens
            )
            written = np.asarray(tokens.rearrange((ROW, SLOT, "step")).array)[0]
            for member, row in zip(members, written[: len(members)], strict=True):
                outputs[member] = _cut(row, eos_ids)
            on_progress(sum(output is not None for output in outputs))
    return [output for output in outputs if output is not None]


def _batches(rests: dict[int, np.ndarray], batch_size: int) -> Iterator[list[int]]:
    """Yields the members in batches, alike in length."""
    ordered = sorted(rests, key=lambda member: (-len(rests[member]), member))
    for start in range(0, len(ordered), batch_size):
        yield ordered[start : start + batch_size]


def _slot_count(members: int, group_size: int, batch_size: int) -> int:
    """Returns the slots to compile for: the batch size in large groups, the next power of two in small ones."""
    return batch_size if group_size > batch_size else min(batch_size, 1 << (members - 1).bit_length())


def _prefix_cache(model: Decoder, prefix: np.ndarray) -> Cache | None:
    if len(prefix) == 0:
        return None
    Row, Pos = Axis(ROW, 1), Axis(PREFIX_POSITION, round_up(len(prefix), _LENGTH_STEP))
    tokens, positions, segments = np.zeros((3, 1, Pos.size), np.int32)
    tokens[0, : len(prefix)], positions[0], segments[0, : len(prefix)] = prefix, np.arange(Pos.size), 1
    axes = (Row, Pos)
    return compute_prefix(model, Stream(hax.named(tokens, axes), hax.named(positions, axes), hax.named(segments, axes), Pos))


def _fill(
    model: Decoder, prefix: Cache | None, rests: Sequence[np.ndarray], size: int, longest: int, max_new_tokens: int, start: int
) -> Slots:
    """Lays the rests of prompts, all but their last tokens, in `size` slots; the slots that are left repeat the first prompt."""
    Row, Slot, Pos = Axis(ROW, 1), Axis(SLOT, size), Axis(POSITION, max(longest, _LENGTH_STEP))
    tokens, positions, segments = np.zeros((3, 1, Slot.size, Pos.size), np.int32)
    pending = np.zeros((1, Slot.size), np.int32)
    positions[:] = start + np.arange(Pos.size)
    for slot in range(size):
        rest = rests[slot if slot < len(rests) else 0]
        tokens[0, slot, : len(rest) - 1], segments[0, slot, : len(rest) - 1] = rest[:-1], 1
        pending[0, slot] = rest[-1]
    axes = (Row, Slot, Pos)
    stream = Stream(hax.named(tokens, axes), hax.named(positions, axes), hax.named(segments, axes), Pos)
    capacity = round_up(Pos.size + max_new_tokens, _LENGTH_STEP)
    return fill_slots(model, prefix, stream, hax.named(pending, (Row, Slot)), capacity)


def _cut(row: np.ndarray, eos_ids: Sequence[int]) -> Generated:
    """Ends an output at its first end token; -1 marks steps that were not taken."""
    ends = np.nonzero(np.isin(row, list(eos_ids)) | (row < 0))[0]
    if len(ends) == 0:
        return Generated(tuple(row.tolist()), finished=False)
    return Generated(tuple(row[: ends[0]].tolist()), finished=bool(row[ends[0]] >= 0))
