"""Finding the token prefixes that examples share, so that each is computed once.

Attention is causal, so what a prompt computes does not depend on what follows it: examples with a common prefix can attend to
one copy of it, and the gradients that reach the copy add up to those of separate ones. Sharing is by tokens, not by text, so
it can never change how an example is split into tokens. (The same idea for reinforcement learning: PrefixGrouper,
arXiv:2506.05433; for DPO: arXiv:2410.20305.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

GROUP_COST_TOKENS = 32
"""What a prefix of its own must save, in tokens: each costs a row of a batch, and rows are padded."""


@dataclass(frozen=True)
class PrefixGroup:
    """Sequences that share their first tokens."""

    prefix_length: int
    """0 where they share nothing worth a prefix."""
    members: tuple[int, ...]
    """Indices of the sequences, ascending."""


def group_by_prefix(sequences: Sequence[np.ndarray], shareable: Sequence[int]) -> list[PrefixGroup]:
    """Groups sequences so that few tokens are left to compute: each group's prefix once, and every member's rest.

    Goes up the trie of the sequences from its leaves. At each node it takes the best of three: leave what is below as it is,
    make the node's path the prefix of all below it, or only of those that no longer prefix has taken.

    Args:
        sequences: the token ids of each sequence.
        shareable: the length up to which each may be shared. A position that predicts a target must stay outside, so this
            is at most the prompt's length less one.

    Returns:
        the groups, longest prefix first; those that share nothing are one group with prefix length 0.
    """
    heads = [sequence[:length] for sequence, length in zip(sequences, shareable, strict=True)]
    order = sorted(range(len(heads)), key=lambda index: heads[index].astype(">i4").tobytes())
    # Neighbours in sorted order share the longest prefixes; joining them, the longest first, walks the trie from its leaves.
    shared = [common_length(heads[left], heads[right]) for left, right in pairwise(order)]
    stretches = {place: _Stretch(place, place, (), (index,)) for place, index in enumerate(order)}
    for place in sorted(range(len(shared)), key=lambda place: -shared[place]):
        left, right = stretches[place], stretches[place + 1]
        joined = _join(left, right, shared[place])
        stretches[joined.first] = stretches[joined.last] = joined
    if not order:
        return []
    best = stretches[0]
    groups = sorted(best.groups, key=lambda group: (-group.prefix_length, group.members))
    return groups + ([PrefixGroup(0, tuple(sorted(best.alone)))] if best.alone else [])


def common_length(a: np.ndarray, b: np.ndarray) -> int:
    """Returns how many of their first tokens two sequences share."""
    length = min(len(a), len(b))
    differs = np.nonzero(a[:length] != b[:length])[0]
    return int(differs[0]) if len(differs) else length


@dataclass(frozen=True)
class _Stretch:
    """Neighbours in sorted order, from `first` to `last`, and the best way found to group them."""

    first: int
    last: int
    groups: tuple[PrefixGroup, ...]
    alone: tuple[int, ...]


def _join(left: _Stretch, right: _Stretch, shared_length: int) -> _Stretch:
    """Joins two stretches whose members all share `shared_length` tokens, in the way that saves most.

    Either they stay as they are, or all share one prefix, or only those share it that no longer prefix has taken.
    """
    groups, alone = left.groups + right.groups, left.alone + right.alone
    longer = tuple(group for group in groups if group.prefix_length > shared_length)
    choices = [groups, _with_group((), shared_length, groups, alone), _with_group(longer, shared_length, groups, alone)]
    best = max(choices, key=_saved_tokens)
    taken = {member for group in best for member in group.members}
    return _Stretch(left.first, right.last, best, tuple(member for member in alone if member not in taken))


def _with_group(
    kept: tuple[PrefixGroup, ...], prefix_length: int, groups: tuple[PrefixGroup, ...], alone: tuple[int, ...]
) -> tuple[PrefixGroup, ...]:
    """Returns the groups that are kept, and one of all the other members."""
    others = alone + tuple(member for group in groups if group not in kept for member in group.members)
    return (*kept, PrefixGroup(prefix_length, tuple(sorted(others)))) if others else kept


def _saved_tokens(groups: Sequence[PrefixGroup]) -> int:
    return sum(group.prefix_length * (len(group.members) - 1) - GROUP_COST_TOKENS for group in groups)
