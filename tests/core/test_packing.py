"""Batches are laid out so that every completion token is predicted once, from its own example, within the budget."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_examples import supervised

from sofit.batches import PrefixBatch, to_arrays
from sofit.packing import BatchShape, MicroBatch, Packer, first_fit_decreasing
from sofit.supervision import Supervised


@dataclass(frozen=True)
class Case:
    """Batches, and how to lay them out."""

    batches: list[list[Supervised]]
    share_prefix: bool
    micro_batch_tokens: int
    row_multiple: int

    def packer(self, sampled: int) -> Packer:
        """Returns a packer that has seen the first `sampled` batches."""
        return Packer(
            self.batches[:sampled],
            share_prefix=self.share_prefix,
            micro_batch_tokens=self.micro_batch_tokens,
            row_multiple=self.row_multiple,
        )

    def packed(self) -> list[tuple[list[Supervised], list[MicroBatch]]]:
        """Pairs each batch with its micro-batches; the last batch comes as a surprise to the packer."""
        packer = self.packer(max(1, len(self.batches) - 1))
        return [(batch, packer.pack(batch)) for batch in self.batches]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draws batches of examples from a few prompts. A token is (example, place) in one number, so that all differ."""
    prompt_lengths = draw(st.lists(st.sampled_from([0, 3, 40, 90, 300]), min_size=1, max_size=3))
    prompts = [np.arange(length) + 1000 * index for index, length in enumerate(prompt_lengths)]
    number = 0
    batches = []
    for size in draw(st.lists(st.integers(1, 8), min_size=1, max_size=3)):
        batch = []
        for _ in range(size):
            number += 1
            own, completion = draw(st.integers(1, 60)), draw(st.integers(1, 20))
            tokens = 10_000 * number + np.arange(own + completion)
            batch.append(supervised([*draw(st.sampled_from(prompts)), *tokens[:own]], tokens[own:].tolist()))
        batches.append(batch)
    return Case(batches, draw(st.booleans()), draw(st.sampled_from([32, 200, 1000, 8192])), draw(st.sampled_from([1, 2, 4])))


def slots_of(micro_batches: Sequence[MicroBatch]) -> list[tuple[MicroBatch, int, tuple[Supervised, ...]]]:
    """Returns every slot with its micro-batch and the length of its prefix."""
    return [(micro, len(row.prefix), slot) for micro in micro_batches for row in micro.rows for slot in row.slots]


@given(cases())
def test_every_example_is_in_exactly_one_slot_behind_its_own_prefix(case: Case) -> None:
    for batch, micro_batches in case.packed():
        placed = [example for _, _, slot in slots_of(micro_batches) for example in slot]
        assert Counter(map(id, placed)) == Counter(map(id, batch))
        for micro in micro_batches:
            for row in micro.rows:
                for example in (example for slot in row.slots for example in slot):
                    np.testing.assert_array_equal(example.ids[: len(row.prefix)], row.prefix)
                    assert len(row.prefix) < example.prompt_length


@given(cases())
def test_slots_never_overflow_and_shapes_cover_what_they_hold(case: Case) -> None:
    for _, micro_batches in case.packed():
        for micro, prefix_length, slot in slots_of(micro_batches):
            assert sum(len(example) - prefix_length - 1 for example in slot) <= micro.shape.slot_length
        for micro in micro_batches:
            assert len(micro.rows) <= micro.shape.rows
            for row in micro.rows:
                assert len(row.prefix) <= micro.shape.prefix_length
                assert len(row.slots) <= micro.shape.slots
                assert row.targets <= micro.shape.targets


@given(cases())
def test_a_micro_batch_is_within_the_budget_unless_one_slot_a_row_is_beyond_it(case: Case) -> None:
    for _, micro_batches in case.packed():
        for micro in micro_batches:
            one_slot_a_row = micro.shape.slots == 1 and micro.shape.rows == case.row_multiple
            assert micro.shape.tokens <= case.micro_batch_tokens or one_slot_a_row


@given(cases())
def test_every_device_gets_as_many_rows(case: Case) -> None:
    assert all(micro.shape.rows % case.row_multiple == 0 for _, micro_batches in case.packed() for micro in micro_batches)


@given(cases())
def test_batches_that_were_looked_at_need_no_further_shape(case: Case) -> None:
    packer = case.packer(len(case.batches))
    for batch in case.batches:
        assert {micro.shape for micro in packer.pack(batch)} <= set(packer.shapes)


@given(cases())
def test_a_batch_is_laid_out_alike_whatever_was_laid_out_before_it(case: Case) -> None:
    *_, (batch, micro_batches) = case.packed()
    alone = case.packer(max(1, len(case.batches) - 1)).pack(batch)
    assert [micro.shape for micro in alone] == [micro.shape for micro in micro_batches]
    for one, other in zip(alone, micro_batches, strict=True):
        assert [row.slots for row in one.rows] == [row.slots for row in other.rows]


def predictions(batch: PrefixBatch) -> list[tuple[int, int, int, int]]:
    """Returns what the arrays say of every target: token read, token to predict, position, and place in the row."""
    tokens, positions = (array.array.reshape(array.array.shape[0], -1) for array in (batch.suffix.tokens, batch.suffix.positions))
    places, ids, is_target = batch.target_place.array, batch.target_id.array, batch.is_target.array
    rows, columns = np.nonzero(is_target)
    return [
        (int(tokens[row, place]), int(ids[row, column]), int(positions[row, place]), int(place))
        for row, column in zip(rows, columns, strict=True)
        for place in [places[row, column]]
    ]


@given(cases())
def test_exactly_the_completion_tokens_carry_loss_the_first_one_and_the_end_included(case: Case) -> None:
    for batch, micro_batches in case.packed():
        found = [prediction[:3] for micro in micro_batches for prediction in predictions(to_arrays(micro))]
        expected = [
            (int(example.ids[place]), int(example.ids[place + 1]), place)
            for example in batch
            for place in range(example.prompt_length - 1, len(example) - 1)
        ]
        assert Counter(found) == Counter(expected)


@given(cases())
def test_the_arrays_hold_each_prefix_once_and_each_rest_whole(case: Case) -> None:
    for _, micro_batches in case.packed():
        for micro in micro_batches:
            arrays = to_arrays(micro)
            assert (arrays.prefix is None) == (micro.shape.prefix_length == 0)
            for index, row in enumerate(micro.rows):
                if arrays.prefix is not None:
                    filled = arrays.prefix.segments.array[index] > 0
                    np.testing.assert_array_equal(arrays.prefix.tokens.array[index][filled], row.prefix)
                    np.testing.assert_array_equal(arrays.prefix.positions.array[index][filled], np.arange(len(row.prefix)))
                for slot_index, slot in enumerate(row.slots):
                    segments = arrays.suffix.segments.array[index, slot_index]
                    for segment, example in enumerate(slot, start=1):
                        own = segments == segment
                        rest = np.arange(len(row.prefix), len(example) - 1)
                        np.testing.assert_array_equal(arrays.suffix.tokens.array[index, slot_index][own], example.ids[rest])
                        np.testing.assert_array_equal(arrays.suffix.positions.array[index, slot_index][own], rest)
                    assert segments.max() == len(slot)


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(50, 80))
def test_first_fit_decreasing_fills_bins_to_at_most_their_capacity_and_opens_none_without_need(
    sizes: list[int], capacity: int
) -> None:
    bins = first_fit_decreasing(sizes, capacity)
    assert sorted(index for members in bins for index in members) == list(range(len(sizes)))
    loads = [sum(sizes[index] for index in members) for members in bins]
    assert all(load <= capacity for load in loads)
    # What opened a later bin had no room in an earlier one.
    firsts = [sizes[members[0]] for members in bins]
    assert all(load + first > capacity for place, load in enumerate(loads) for first in firsts[place + 1 :])


def test_a_long_prompt_that_all_share_is_laid_out_once() -> None:
    prompt = range(921)
    batch = [supervised([*prompt, *(2000 + 100 * index + np.arange(33))], [1] * 37) for index in range(16)]
    packer = Packer([batch], share_prefix=True, micro_batch_tokens=8192)
    (micro,) = packer.pack(batch)
    assert (micro.shape.rows, micro.shape.prefix_length) == (1, 928)
    assert micro.shape.tokens < 1.2 * (921 + 16 * 69)
    plain = Packer([batch], share_prefix=False, micro_batch_tokens=8192).pack(batch)
    assert sum(part.shape.tokens for part in plain) > 16 * 900


def test_shapes_are_merged_until_few_are_left_but_never_beyond_the_budget() -> None:
    rng = np.random.default_rng(0)
    batches = [
        [supervised([*range(200 * (index % 4)), *rng.integers(5000, 9000, rng.integers(1, 50))], [1, 2]) for index in range(size)]
        for size in rng.integers(1, 12, 20)
    ]
    assert len(Packer(batches, share_prefix=True, micro_batch_tokens=100_000).shapes) <= 5
    small = Packer(batches, share_prefix=True, micro_batch_tokens=1000)
    assert max(shape.tokens for shape in small.shapes) <= 1000


def test_a_shape_covers_another_only_where_it_is_as_large_in_everything() -> None:
    shape = BatchShape(rows=2, prefix_length=64, slots=3, slot_length=32, targets=96)
    assert shape.covers(shape)
    assert shape.covers(BatchShape(1, 0, 3, 32, 32))
    assert not shape.covers(BatchShape(1, 0, 4, 32, 32))
    assert not shape.covers(BatchShape(1, 0, 1, 16, 32))
    merged = shape.merge(BatchShape(4, 16, 1, 32, 128))
    assert merged == BatchShape(4, 64, 3, 32, 128)
    assert merged.tokens == 4 * (64 + 3 * 32)


def alike(count: int) -> list[Supervised]:
    """Returns examples of one length, of which four fill a slot."""
    return [supervised([5, *range(6, 20)], [7] * 6)] * count


def test_however_many_shapes_are_needed_few_are_left_and_they_cover_all() -> None:
    batches = [alike(count) for count in range(1, 120)]
    packer = Packer(batches, share_prefix=False, micro_batch_tokens=100_000)
    assert len({micro.shape for batch in batches for micro in packer.pack(batch)}) <= len(packer.shapes) == 5


@pytest.mark.parametrize(
    ("counts", "kept"),
    [
        ([4] * 10 + [8] * 10 + [16] * 10 + [32] * 10, {1, 2, 4, 8}),
        ([4] * 100 + [8] + [16] * 10 + [32] * 10, {1, 4, 8}),
        ([4] * 10 + [8] * 10 + [16], {1, 2, 4}),
    ],
)
def test_a_shape_is_compiled_where_merging_it_would_cost_more(counts: list[int], kept: set[int]) -> None:
    packer = Packer([alike(count) for count in counts], share_prefix=False, micro_batch_tokens=100_000)
    assert packer.slot_length == 4 * 20
    assert {shape.slots for shape in packer.shapes} == kept
