"""Laying the examples of a batch out in rows of one prefix and several slots, in few distinct shapes.

A row holds a prefix and slots of equal length; a slot holds the rests of several examples, one after the other. Every
distinct shape is compiled once, so shapes are merged until few are left, at the price of some padding.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sofit.prefix import PrefixGroup, group_by_prefix
from sofit.supervision import Supervised

_FEW_SHAPES, _MAX_SHAPES = 3, 5
"""So few shapes are kept apart in any case, and so many if merging two of them would cost `_WORTH_COMPILING`."""
_WORTH_COMPILING = 0.02
"""The share of a run's work that merging two shapes may add, before compiling both takes less."""
_MERGED_SHAPES = 48
"""How many different shapes are compared with each other when they are merged: the most frequent ones."""
_ROW_WASTE = 1.25
"""Rows of different sizes run together as long as padding them alike costs at most this much."""
_ATTENTION_TOKENS = 3500
"""The slot length at which attention inside the slot costs as much as everything else that a token goes through."""


@dataclass(frozen=True)
class BatchShape:
    """The sizes of a micro-batch. Two micro-batches of one shape share their compiled code."""

    rows: int
    prefix_length: int
    slots: int
    slot_length: int
    targets: int
    """Places in each row for tokens that carry loss."""

    @property
    def tokens(self) -> int:
        """Tokens that go through the model, padding included."""
        return self.rows * (self.prefix_length + self.slots * self.slot_length)

    @property
    def work(self) -> float:
        """What it costs, in tokens: to score the vocabulary for a target takes about half of what a token takes in all layers."""
        return self.tokens + self.rows * self.targets / 2

    def covers(self, other: "BatchShape") -> bool:
        """Whether what has the shape `other` can be laid out in this one."""
        return self.slot_length == other.slot_length and self.merge(other) == self

    def merge(self, other: "BatchShape") -> "BatchShape":
        """Returns the smallest shape that covers both."""
        assert self.slot_length == other.slot_length
        return BatchShape(
            max(self.rows, other.rows),
            max(self.prefix_length, other.prefix_length),
            max(self.slots, other.slots),
            self.slot_length,
            max(self.targets, other.targets),
        )


@dataclass(frozen=True, eq=False)
class Row:
    """A prefix and the slots that attend to it."""

    prefix: np.ndarray
    """Token ids, int32; empty where nothing is shared."""
    slots: tuple[tuple[Supervised, ...], ...]

    @property
    def targets(self) -> int:
        """The tokens in the row that carry loss."""
        return sum(example.loss_tokens for slot in self.slots for example in slot)


@dataclass(frozen=True)
class MicroBatch:
    """Rows that go through the model together, and the shape that they are padded to."""

    rows: tuple[Row, ...]
    shape: BatchShape


@dataclass(frozen=True, eq=False)
class _Slots:
    """The examples behind a prefix, in slots."""

    prefix: np.ndarray
    slots: Sequence[tuple[Supervised, ...]]
    most: int
    """The most of them that one row may have."""


class Packer:
    """Lays batches out, after having looked at a sample of them to settle slot length and shapes."""

    def __init__(
        self, sample: Sequence[Sequence[Supervised]], *, share_prefix: bool, micro_batch_tokens: int, row_multiple: int = 1
    ):
        """Settles on a layout.

        Args:
            sample: some batches, or all of them.
            share_prefix: whether to compute common prefixes once.
            micro_batch_tokens: the most tokens to run at once. A micro-batch has more only if one slot in each row has.
            row_multiple: the number of devices along the data axis; micro-batches have a multiple of it as rows.
        """
        self.share_prefix = share_prefix
        self.micro_batch_tokens = micro_batch_tokens
        self.row_multiple = row_multiple
        grouped = [(batch, self._groups(batch)) for batch in sample]
        self.slot_length = _best_slot_length([_rest_lengths(batch, groups) for batch, groups in grouped], row_multiple)
        needed = [micro.shape for batch, groups in grouped for micro in self._micro_batches(batch, groups)]
        self.shapes = _merge_shapes(needed, micro_batch_tokens)

    def pack(self, batch: Sequence[Supervised]) -> list[MicroBatch]:
        """Lays a batch out, in a way that depends on the batch and the sample alone, so that a resumed run repeats it."""
        packed = []
        for micro in self._micro_batches(batch, self._groups(batch)):
            # A batch unlike those of the sample may need a shape of its own.
            fitting = [shape for shape in self.shapes if shape.covers(micro.shape)] or [self._coarse(micro.shape)]
            packed.append(MicroBatch(micro.rows, min(fitting, key=lambda shape: (shape.tokens, shape.targets))))
        return packed

    def _coarse(self, shape: BatchShape) -> BatchShape:
        """Returns a somewhat larger shape within the budget, one of few, so that others that are like it become the same."""
        prefix_length, targets = round_up(shape.prefix_length, 128), round_up(shape.targets, 256)
        larger = (
            BatchShape(shape.rows, prefix_length, slots, shape.slot_length, targets)
            for slots in (round_up(shape.slots, 4), shape.slots)
        )
        return next((other for other in larger if other.tokens <= self.micro_batch_tokens), shape)

    def _groups(self, batch: Sequence[Supervised]) -> list[PrefixGroup]:
        if not self.share_prefix:
            return [PrefixGroup(0, tuple(range(len(batch))))]
        # The last prompt token predicts the first completion token, so it must be each example's own.
        return group_by_prefix([example.ids for example in batch], [example.prompt_length - 1 for example in batch])

    def _micro_batches(self, batch: Sequence[Supervised], groups: Sequence[PrefixGroup]) -> list[MicroBatch]:
        rows = self._rows([self._slots(batch, group) for group in groups])
        return [
            MicroBatch(tuple(part), _shape(part, self.slot_length, self.row_multiple))
            for part in _partition(rows, self.slot_length, self.micro_batch_tokens, self.row_multiple)
        ]

    def _slots(self, batch: Sequence[Supervised], group: PrefixGroup) -> _Slots:
        prefix = batch[group.members[0]].ids[: group.prefix_length]
        lengths = [_rest_length(batch[member], group.prefix_length) for member in group.members]
        slot_length = round_up(max(self.slot_length, max(lengths)), 16)
        bins = first_fit_decreasing(lengths, slot_length)
        slots = [tuple(batch[group.members[index]] for index in members) for members in bins]
        most = max(1, (self.micro_batch_tokens // self.row_multiple - round_up(len(prefix), 16)) // slot_length)
        return _Slots(prefix, slots, most)

    def _rows(self, groups: Sequence[_Slots]) -> list[Row]:
        """Spreads the slots behind each prefix evenly over as few rows as the budget allows, and every device has one."""
        counts = [-(-len(group.slots) // group.most) for group in groups]
        while sum(counts) % self.row_multiple:
            divisible = [index for index, group in enumerate(groups) if counts[index] < len(group.slots)]
            if not divisible:
                break
            counts[max(divisible, key=lambda index: len(groups[index].slots) / counts[index])] += 1
        rows = [
            Row(group.prefix, tuple(group.slots[start::count]))
            for group, count in zip(groups, counts, strict=True)
            for start in range(count)
        ]
        return sorted(rows, key=lambda row: (-len(row.prefix), -len(row.slots)))


def first_fit_decreasing(sizes: Sequence[int], capacity: int) -> list[list[int]]:
    """Packs items into bins (Johnson 1973): the largest first, each into the first bin that has room. Returns their indices."""
    bins: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        place = next((place for place, left in enumerate(room) if left >= sizes[index]), None)
        if place is None:
            place = len(bins)
            bins.append([])
            room.append(capacity)
        bins[place].append(index)
        room[place] -= sizes[index]
    return bins


def _rest_length(example: Supervised, prefix_length: int) -> int:
    """The tokens of an example that stand in its slot: what follows the prefix, but for the last, which predicts nothing."""
    return len(example.ids) - prefix_length - 1


def _rest_lengths(batch: Sequence[Supervised], groups: Sequence[PrefixGroup]) -> list[list[int]]:
    return [[_rest_length(batch[member], group.prefix_length) for member in group.members] for group in groups]


def _best_slot_length(batches: Sequence[Sequence[Sequence[int]]], row_multiple: int) -> int:
    """Chooses the slot length that makes the batches cheapest, with padding, attention inside slots and idle devices counted."""
    longest = max(length for batch in batches for group in batch for length in group)
    shortest = round_up(longest, 16)
    candidates = sorted({round_up(round(shortest * (1 + step / 4)), 16) for step in range(13)})

    def cost(slot_length: int) -> float:
        counts = (sum(len(first_fit_decreasing(group, slot_length)) for group in batch) for batch in batches)
        slots = sum(round_up(count, row_multiple) for count in counts)
        return slots * slot_length * (1 + slot_length / _ATTENTION_TOKENS)

    return min(candidates, key=cost)


def round_up(number: int, multiple: int) -> int:
    """Returns the next multiple that is not below `number`."""
    return -(-number // multiple) * multiple


def _shape(rows: Sequence[Row], slot_length: int, row_multiple: int) -> BatchShape:
    longest = max(sum(_rest_length(example, len(row.prefix)) for example in slot) for row in rows for slot in row.slots)
    return BatchShape(
        rows=round_up(len(rows), row_multiple),
        prefix_length=round_up(max(len(row.prefix) for row in rows), 16),
        slots=max(len(row.slots) for row in rows),
        slot_length=max(slot_length, round_up(longest, 16)),
        targets=round_up(max(row.targets for row in rows), 32),
    )


def _partition(rows: Sequence[Row], slot_length: int, most_tokens: int, row_multiple: int) -> list[list[Row]]:
    """Cuts rows, which are sorted by size, into runs that fit the budget and waste little on padding or idle devices."""
    parts: list[list[Row]] = []
    for row in rows:
        if parts:
            joined = [*parts[-1], row]
            padded = _shape(joined, slot_length, row_multiple).tokens
            own = sum(len(r.prefix) + len(r.slots) * slot_length for r in joined)
            incomplete = len(parts[-1]) % row_multiple != 0
            if padded <= most_tokens and (incomplete or padded <= own * _ROW_WASTE):
                parts[-1] = joined
                continue
        parts.append([row])
    return parts


def _merge_shapes(needed: Sequence[BatchShape], most_tokens: int) -> list[BatchShape]:
    """Merges shapes until few are left, each time the two whose merging adds the least work, as often as they run.

    More are left where merging them would make one of more than `most_tokens`.
    """
    by_frequency = Counter(needed).most_common()
    counts = dict(by_frequency[:_MERGED_SHAPES])
    whole = sum(count * shape.work for shape, count in counts.items())

    def added_work(pair: tuple[BatchShape, BatchShape]) -> float:
        merged = pair[0].merge(pair[1])
        return sum(counts[shape] * (merged.work - shape.work) for shape in pair)

    while len(counts) > _FEW_SHAPES:
        shapes = list(counts)
        pairs = [
            (a, b)
            for index, a in enumerate(shapes)
            for b in shapes[index + 1 :]
            if a.slot_length == b.slot_length and a.merge(b).tokens <= max(most_tokens, a.tokens, b.tokens)
        ]
        if not pairs:
            break
        first, second = min(pairs, key=added_work)
        if len(counts) <= _MAX_SHAPES and added_work((first, second)) > _WORTH_COMPILING * whole:
            break
        count = counts.pop(first) + counts.pop(second)
        merged = first.merge(second)
        counts[merged] = counts.get(merged, 0) + count
    return _grown(list(counts), [shape for shape, _ in by_frequency[_MERGED_SHAPES:]], most_tokens)


def _grown(shapes: list[BatchShape], rare: Sequence[BatchShape], most_tokens: int) -> list[BatchShape]:
    """Lets shapes grow until they cover the rare ones too, each time the one that grows least, within the budget."""
    for shape in rare:
        if any(other.covers(shape) for other in shapes):
            continue
        likes = [other for other in shapes if other.slot_length == shape.slot_length]
        fitting = [other for other in likes if other.merge(shape).tokens <= max(most_tokens, other.tokens, shape.tokens)]
        if fitting:
            least = min(fitting, key=lambda other: (other.merge(shape).tokens - other.tokens, other.targets))
            shapes = [other for other in shapes if other != least] + [least.merge(shape)]
        else:
            shapes = [*shapes, shape]
    return shapes
