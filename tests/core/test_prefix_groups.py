"""Examples are grouped so that the fewest tokens are left to compute."""

from collections.abc import Iterator, Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sofit.prefix import GROUP_COST_TOKENS, PrefixGroup, common_length, group_by_prefix

# Long stretches of equal tokens, so that prefixes worth sharing, and some just not worth it, are frequent.
STRETCHES = st.builds(np.full, st.sampled_from([1, 7, 16, 31, 33, 40, 65, 100]), st.integers(0, 1))
SEQUENCES = st.lists(STRETCHES, min_size=1, max_size=4).map(lambda stretches: np.concatenate(stretches))


@st.composite
def batches(draw: st.DrawFn, max_size: int) -> tuple[list[np.ndarray], list[int]]:
    """Draws sequences, and the length up to which each may be shared."""
    sequences = draw(st.lists(SEQUENCES, min_size=1, max_size=max_size))
    return sequences, [draw(st.integers(0, len(sequence) - 1)) for sequence in sequences]


def tokens_left(sequences: Sequence[np.ndarray], groups: Sequence[PrefixGroup]) -> int:
    """Returns the tokens to compute: each prefix once, and the rest of every sequence."""
    prefixes = sum(group.prefix_length for group in groups)
    return prefixes + sum(len(sequences[member]) - group.prefix_length for group in groups for member in group.members)


def cost(sequences: Sequence[np.ndarray], groups: Sequence[PrefixGroup]) -> int:
    return tokens_left(sequences, groups) + GROUP_COST_TOKENS * sum(group.prefix_length > 0 for group in groups)


@given(batches(max_size=12))
def test_every_sequence_is_in_exactly_one_group(batch: tuple[list[np.ndarray], list[int]]) -> None:
    sequences, shareable = batch
    members = [member for group in group_by_prefix(sequences, shareable) for member in group.members]
    assert sorted(members) == list(range(len(sequences)))


@given(batches(max_size=12))
def test_the_members_of_a_group_begin_with_its_prefix_and_may_share_it(batch: tuple[list[np.ndarray], list[int]]) -> None:
    sequences, shareable = batch
    for group in group_by_prefix(sequences, shareable):
        prefix = sequences[group.members[0]][: group.prefix_length]
        for member in group.members:
            np.testing.assert_array_equal(sequences[member][: group.prefix_length], prefix)
            assert group.prefix_length <= shareable[member]


@given(batches(max_size=12))
def test_groups_come_longest_prefix_first_with_members_in_order_and_share_something(
    batch: tuple[list[np.ndarray], list[int]],
) -> None:
    groups = group_by_prefix(*batch)
    assert [group.prefix_length for group in groups] == sorted((group.prefix_length for group in groups), reverse=True)
    assert all(list(group.members) == sorted(group.members) for group in groups)
    assert all(len(group.members) > 1 for group in groups if group.prefix_length)
    assert sum(group.prefix_length == 0 for group in groups) <= 1


@given(batches(max_size=12))
def test_sharing_never_leaves_more_tokens_than_not_sharing(batch: tuple[list[np.ndarray], list[int]]) -> None:
    sequences, shareable = batch
    assert tokens_left(sequences, group_by_prefix(sequences, shareable)) <= sum(map(len, sequences))


@settings(max_examples=300)
@given(batches(max_size=6))
def test_no_other_grouping_is_cheaper(batch: tuple[list[np.ndarray], list[int]]) -> None:
    sequences, shareable = batch
    heads = [sequence[:length] for sequence, length in zip(sequences, shareable, strict=True)]

    def group(part: list[int], is_shared: bool) -> PrefixGroup:
        shared = min(common_length(heads[part[0]], heads[index]) for index in part)
        return PrefixGroup(shared if is_shared else 0, tuple(part))

    others = (
        [group(part, is_shared) for part, is_shared in choice]
        for partition in _partitions(list(range(len(sequences))))
        for choice in _choices(partition)
    )
    cheapest = min(cost(sequences, groups) for groups in others)
    assert cost(sequences, group_by_prefix(sequences, shareable)) == cheapest


def _partitions(items: list[int]) -> Iterator[list[list[int]]]:
    """Yields every way to divide items into sets."""
    if not items:
        yield []
        return
    for rest in _partitions(items[1:]):
        yield [[items[0]], *rest]
        for index, part in enumerate(rest):
            yield [*rest[:index], [items[0], *part], *rest[index + 1 :]]


def _choices(partition: list[list[int]]) -> Iterator[list[tuple[list[int], bool]]]:
    """Yields every way to let each set share its prefix or not; a set of one has nothing to share."""
    if not partition:
        yield []
        return
    for rest in _choices(partition[1:]):
        for is_shared in (False, True) if len(partition[0]) > 1 else (False,):
            yield [(partition[0], is_shared), *rest]


def test_a_common_prompt_is_computed_once() -> None:
    prompt = np.arange(900)
    sequences = [np.concatenate([prompt, np.full(40, 1000 + index)]) for index in range(16)]
    (group,) = group_by_prefix(sequences, [910] * 16)
    assert group == PrefixGroup(900, tuple(range(16)))


def test_each_of_several_prompts_is_a_prefix_of_its_own_and_strangers_have_none() -> None:
    first, second = np.arange(300), np.arange(1000, 1400)
    sequences = [np.append(first, 1), np.append(second, 1), np.append(first, 2), np.array([7, 8, 9]), np.append(second, 2)]
    groups = group_by_prefix(sequences, [len(sequence) - 1 for sequence in sequences])
    assert groups == [PrefixGroup(400, (1, 4)), PrefixGroup(300, (0, 2)), PrefixGroup(0, (3,))]


def test_a_longer_prefix_is_taken_out_of_a_group_only_where_that_saves_tokens() -> None:
    def grouped(extra: int) -> list[PrefixGroup]:
        """Groups three sequences that share 100 tokens, two of which share `extra` more."""
        prompt = np.zeros(100, int)
        pair = [np.concatenate([prompt, np.ones(extra, int), [2 + index]]) for index in range(2)]
        sequences = [*pair, *(np.append(prompt, 10 + index) for index in range(2))]
        return group_by_prefix(sequences, [len(sequence) - 1 for sequence in sequences])

    # Of its own, the pair shares `extra` tokens more, but needs the first 100 once more and a row.
    assert grouped(132) == [PrefixGroup(100, (0, 1, 2, 3))]
    assert grouped(133) == [PrefixGroup(233, (0, 1)), PrefixGroup(100, (2, 3))]


def test_a_grouping_that_is_best_among_a_few_is_given_up_for_one_that_is_best_among_all() -> None:
    lengths = [133, 70, 133, 40]
    sequences = [np.zeros(length, int) for length in lengths]
    assert group_by_prefix(sequences[:3], lengths[:3]) == [PrefixGroup(70, (0, 1, 2))]
    assert group_by_prefix(sequences, lengths) == [PrefixGroup(133, (0, 2)), PrefixGroup(40, (1, 3))]


def test_what_may_not_be_shared_is_not() -> None:
    same = np.arange(200)
    assert group_by_prefix([same, same], [150, 60]) == [PrefixGroup(60, (0, 1))]
    assert group_by_prefix([same, same], [150, 0]) == [PrefixGroup(0, (0, 1))]


def test_nothing_is_grouped_into_nothing() -> None:
    assert group_by_prefix([], []) == []


def test_thousands_of_nested_prompts_are_grouped_in_a_moment() -> None:
    text = np.zeros(1500, int)
    sequences = [np.append(text[:length], 1) for length in range(1500)]
    groups = group_by_prefix(sequences, [len(sequence) for sequence in sequences])
    assert tokens_left(sequences, groups) < sum(map(len, sequences)) / 10
