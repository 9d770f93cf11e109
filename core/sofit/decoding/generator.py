"""Generation for many prompts: grouped by what they share, decoded side by side in lanes, each filled anew when it is done.

The device writes a chunk of tokens in every lane. The host then looks: where a grammar forbids a token, the lane goes back to
the place before it and chooses again under the grammar's mask. For greedy decoding that gives the tokens that a mask at every
step would give, and a model that has learnt the grammar hardly ever goes back.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import haliax as hax
import jax
import numpy as np
from haliax import Axis

from sofit.batches import ROW, SLOT
from sofit.decoding.engine import (
    CHUNK_STEPS,
    STEP,
    Chunk,
    Sampling,
    Slots,
    compute_prefix,
    decode_chunk,
    fill_slots,
    replace_slots,
)
from sofit.decoding.layout import LENGTH_STEP, prefix_stream, rest_length, rest_stream
from sofit.decoding.masks import WORD_BITS, Matcher, is_allowed
from sofit.decoding.outputs import Generated, GenerationCounts, Outputs
from sofit.model import Cache, Decoder
from sofit.model.partitioning import Tree
from sofit.packing import round_up
from sofit.prefix import group_by_prefix
from sofit.supervision import TokenizedPrompt

_READ_SHARE = 4
"""One lane in so many must be free before new prompts are read, since reading runs for all of these at once."""
_LANES_STEP = 4
"""The number of lanes is rounded up to this, so that few shapes are compiled."""
_PATIENCE = 4
"""Chunks get shorter when more than one lane in so many had to go back."""


@dataclass(frozen=True)
class GenerationSettings:
    """How much to write, and how."""

    max_new_tokens: int
    batch_size: int = 64
    """Prompts decoded side by side."""
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    mask_every_step: bool = False
    """Look at the grammar before every token, not after a chunk of them. Slower, for the same tokens; sampling always does."""


@dataclass
class _Lane:
    """An output under way in a slot."""

    member: int
    matcher: Matcher | None
    length: int
    """Tokens of the prompt and the output that the slot's cache holds."""
    pending: int
    needs_mask: bool
    written: list[int] = field(default_factory=list)


def generate(
    model: Decoder,
    prompts: Sequence[TokenizedPrompt],
    settings: GenerationSettings,
    eos_ids: Sequence[int],
    matchers: Sequence[Matcher] | None = None,
    on_progress: Callable[[int, float], None] = lambda done, share: None,
) -> tuple[list[Generated], GenerationCounts]:
    """Writes an output for each prompt, in the order of the prompts.

    A prefix that prompts share is computed once for all of them; the outputs are what they would be without that.

    Args:
        model: the model, in the dtype to compute in.
        prompts: what to go on from.
        settings: how much to write, and how.
        eos_ids: the tokens that end an output.
        matchers: what each output must follow, at its start; None leaves the model free.
        on_progress: told now and then how many outputs are done, and which share of all the writing is, as far as can be told.
    """
    ids = [prompt.ids for prompt in prompts]
    outputs = Outputs(len(prompts), settings.max_new_tokens, on_progress)
    counts = GenerationCounts()
    for number, group in enumerate(group_by_prefix(ids, [len(prompt) - 1 for prompt in ids])):
        prefix_ids = ids[group.members[0]][: group.prefix_length]
        rests = {member: ids[member][group.prefix_length :] for member in group.members}
        _Group(model, prefix_ids, rests, settings, eos_ids, matchers, counts, number).run(outputs)
    return outputs.in_order(), counts


class _Group:
    """The prompts that share a prefix, on their way through the lanes."""

    def __init__(
        self,
        model: Decoder,
        prefix_ids: np.ndarray,
        rests: dict[int, np.ndarray],
        settings: GenerationSettings,
        eos_ids: Sequence[int],
        matchers: Sequence[Matcher] | None,
        counts: GenerationCounts,
        number: int,
    ):
        self._model, self._settings, self._eos_ids, self._counts = model, settings, frozenset(eos_ids), counts
        self._matchers, self._rests = matchers, rests
        self._start = len(prefix_ids)
        self._prefix: Cache | None = None
        if len(prefix_ids):
            self._prefix = compute_prefix(model, self._placed(prefix_stream(prefix_ids)))
        # The longest first: then the last ones to run are short.
        self._queue = deque(sorted(rests, key=lambda member: (-len(rests[member]), member)))
        self._key = jax.random.fold_in(jax.random.key(settings.seed), number)
        Vocab = model.config.Vocab
        self._ends_output = self._placed(hax.named(np.isin(np.arange(Vocab.size), list(eos_ids)), Vocab))
        longest = max(len(rest) for rest in rests.values()) - 1
        # A chunk may run past the limit before the host looks.
        self._capacity = round_up(rest_length(longest) + settings.max_new_tokens + CHUNK_STEPS, LENGTH_STEP)
        devices = 1 if model.partitioning is None else model.partitioning.data_size
        size = round_up(min(settings.batch_size, round_up(len(rests), _LANES_STEP)), devices)
        self._lanes: list[_Lane | None] = [None] * size
        self._masks = np.full((1, size, -(-Vocab.size // WORD_BITS)), -1, np.int32)
        self._read_size = min(size, round_up(max(_LANES_STEP, size // _READ_SHARE), devices))
        self._chunk_steps = CHUNK_STEPS
        chunks_differ = settings.mask_every_step or settings.sampling.temperature > 0
        self._masks_every_step = matchers is not None and chunks_differ

    def run(self, outputs: Outputs) -> None:
        """Writes all outputs."""
        slots = self._fill(None)
        while any(lane is not None for lane in self._lanes):
            steps = self._steps()
            self._key, key = jax.random.split(self._key)
            slots, chunk = decode_chunk(
                self._model,
                self._prefix,
                self._placed(self._with_positions(slots)),
                self._placed(self._filled_masks()),
                self._ends_output,
                self._settings.sampling,
                self._placed(key),
                self._placed(np.int32(steps)),
            )
            self._take_in(chunk, outputs)
            outputs.tell_progress([len(lane.written) for lane in self._lanes if lane is not None])
            slots = self._fill(slots)

    def _fill(self, slots: Slots | None) -> Slots:
        """Puts prompts from the queue into free lanes; None are the slots of lanes that were never used."""
        while self._queue:
            free = [place for place, lane in enumerate(self._lanes) if lane is None]
            if len(free) < min(self._read_size, len(self._queue)):
                break
            places = free[: self._read_size]
            fresh = self._read(places)
            targets = places + [len(self._lanes)] * (self._read_size - len(places))
            where = hax.named(np.array(targets, np.int32), Axis(SLOT, self._read_size))
            slots = self._placed(fresh.emptied(len(self._lanes))) if slots is None else slots
            slots = replace_slots(self._model.partitioning, slots, fresh, self._placed(where))
        assert slots is not None, "there is a prompt at first"
        return slots

    def _read(self, places: Sequence[int]) -> Slots:
        """Takes prompts from the queue into the lanes at `places`, and reads them."""
        rests = []
        for place in places:
            if self._queue:
                member = self._queue.popleft()
                rest = self._rests[member]
                matcher = self._matchers[member].copy() if self._matchers is not None else None
                self._lanes[place] = _Lane(member, matcher, len(rest) - 1, int(rest[-1]), needs_mask=matcher is not None)
                rests.append(rest[:-1])
        stream = rest_stream(rests, self._read_size, rest_length(max(map(len, rests))), self._start)
        return fill_slots(self._model, self._prefix, self._placed(stream), self._capacity)

    def _placed(self, tree: Tree) -> Tree:
        """Lays arrays over the devices of the model."""
        return tree if self._model.partitioning is None else self._model.partitioning.place_batch(tree)

    def _steps(self) -> int:
        """Returns how long the next chunk may be."""
        if self._masks_every_step:
            return 1
        left = max(self._settings.max_new_tokens - len(lane.written) for lane in self._lanes if lane is not None)
        return min(self._chunk_steps, left)

    def _with_positions(self, slots: Slots) -> Slots:
        """Puts where each lane stands into the slots; a lane without an output is done."""
        lengths, pending = np.zeros((2, 1, len(self._lanes)), np.int32)
        done = np.ones((1, len(self._lanes)), bool)
        for place, lane in enumerate(self._lanes):
            if lane is not None:
                lengths[0, place], pending[0, place], done[0, place] = lane.length, lane.pending, False
        axes = (Axis(ROW, 1), Axis(SLOT, len(self._lanes)))
        return Slots(slots.key_values, *(hax.named(array, axes) for array in (lengths, pending, done)))

    def _filled_masks(self) -> hax.NamedArray:
        """Returns what the grammars allow next; everything in lanes that may go on freely."""
        self._masks[:] = -1
        for place, lane in enumerate(self._lanes):
            if lane is not None and lane.matcher is not None and lane.needs_mask:
                lane.matcher.fill(self._masks[0, place])
        axes = (Axis(ROW, 1), Axis(SLOT, len(self._lanes)), Axis("word", self._masks.shape[-1]))
        return hax.named(self._masks.copy(), axes)

    def _take_in(self, chunk: Chunk, outputs: Outputs) -> None:
        """Lets the grammars judge what was written, and ends what has ended."""
        tokens = np.asarray(chunk.tokens.rearrange((ROW, SLOT, STEP)).array)[0]
        free_choice, removed = (
            np.asarray(array.rearrange((ROW, SLOT)).array)[0] for array in (chunk.free_choice, chunk.removed_mass)
        )
        active = went_back = 0
        for place, lane in enumerate(self._lanes):
            if lane is None:
                continue
            if not is_allowed(self._masks[0, place], int(free_choice[place])):
                self._counts.changed += 1
                self._counts.removed_mass += float(removed[place])
            left = self._settings.max_new_tokens - len(lane.written)
            written = [token for token in tokens[place].tolist() if token >= 0][:left]
            accepted = written[: len(written) if lane.matcher is None else lane.matcher.accept(written)]
            active += 1
            went_back += len(accepted) < len(written)
            lane.needs_mask = self._masks_every_step or len(accepted) < len(written)
            self._advance(place, lane, accepted, outputs)
        # Chunks grow while the grammars agree, and shrink where a model has yet to learn them.
        shorter, longer = max(1, self._chunk_steps // 2), min(CHUNK_STEPS, self._chunk_steps * 2)
        self._chunk_steps = shorter if went_back * _PATIENCE > active else longer

    def _advance(self, place: int, lane: _Lane, accepted: list[int], outputs: Outputs) -> None:
        """Adds tokens to a lane, and frees it where they end its output."""
        self._counts.tokens += len(accepted)
        lane.written += accepted
        if accepted and accepted[-1] in self._eos_ids:
            self._lanes[place] = None
            outputs.add(lane.member, Generated(tuple(lane.written[:-1]), finished=True))
        elif len(lane.written) >= self._settings.max_new_tokens:
            completion = lane.matcher.closing() if lane.matcher is not None else []
            self._counts.completed += lane.matcher is not None
            self._lanes[place] = None
            outputs.add(lane.member, Generated((*lane.written, *completion), finished=False))
        elif accepted:
            lane.length += len(accepted)
            lane.pending = accepted[-1]
