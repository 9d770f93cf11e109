"""Finding the token prefixes that examples share, so that each is computed once.

Attention is causal, so what a prompt computes does not depend on what follows it: examples with a common prefix can attend to
one copy of it, and the gradients that reach the copy add up to those of separate ones. Sharing is by tokens, not by text, so
it can never change how an example is split into tokens. (The same idea for reinforcement learning: PrefixGrouper,
arXiv:2506.05433; for DPO: arXiv:2410.20305.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
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
    """Groups sequences so that the fewest tokens are left to compute: each group's prefix once, and every member's rest.

    No other grouping leaves fewer, where each prefix counts `GROUP_COST_TOKENS` more than it has tokens.

    Args:
        sequences: the token ids of each sequence.
        shareable: the length up to which each may be shared. A position that predicts a target must stay outside, so this
            is at most the prompt's length less one.

    Returns:
        the groups, longest prefix first; those that share nothing are one group with prefix length 0.
    """
    heads = [sequence[:length] for sequence, length in zip(sequences, shareable, strict=True)]
    order = sorted(range(len(heads)), key=lambda index: heads[index].astype(">i4").tobytes())
    # Neighbours in sorted order share the longest prefixes.
    shared = [common_length(heads[left], heads[right]) for left, right in pairwise(order)]
    members: dict[_Node, list[int]] = {}
    for node, prefix in _best_prefixes(_trie(order, shared)):
        members.setdefault(prefix, []).extend(node.members)
    groups = [PrefixGroup(prefix.length, tuple(sorted(found))) for prefix, found in members.items() if found]
    return sorted(groups, key=lambda group: (-group.prefix_length, group.members))


def common_length(a: np.ndarray, b: np.ndarray) -> int:
    """Returns how many of their first tokens two sequences share."""
    length = min(len(a), len(b))
    differs = np.nonzero(a[:length] != b[:length])[0]
    return int(differs[0]) if len(differs) else length


@dataclass(eq=False)
class _Node:
    """A place in the trie of the sequences where they part: those below it share `length` tokens."""

    length: int
    children: "list[_Node]" = field(default_factory=list)
    members: list[int] = field(default_factory=list)
    """The sequences that share no more than this with any other."""


def _trie(order: Sequence[int], shared: Sequence[int]) -> _Node:
    """Returns the root, of length 0, of the trie of sequences in sorted order, neighbours of which share `shared` tokens."""
    root = _Node(0)
    path = [root]
    for member, before, after in zip(order, [0, *shared], [*shared, 0], strict=False):
        while path[-1].length > before:
            path.pop()
        if path[-1].length < before:
            # The last child parts from its neighbour only here.
            path.append(_Node(before, [path[-1].children.pop()]))
            path[-2].children.append(path[-1])
        if after > before:
            path.append(_Node(after))
            path[-2].children.append(path[-1])
        path[-1].members.append(member)
    return root


def _best_prefixes(root: _Node) -> list[tuple[_Node, _Node]]:
    """Pairs every node with the prefix that its members take: the longest of those chosen that lie on its path.

    Whether a node is worth choosing depends only on what is chosen below it and on the longest prefix chosen above it, so the
    best choice is found from the leaves up, for each prefix that may stand above.
    """
    visits = _paths(root)
    saved: dict[_Node, np.ndarray] = {}
    """The most tokens that can be saved below a node, for each node above it as the longest prefix chosen so far."""
    gain: dict[_Node, np.ndarray] = {}
    """What the node itself as a prefix adds to that; below 0 where it is better left out."""
    for node, above in reversed(visits):
        lengths = np.array([prefix.length for prefix in (*above, node)])
        below = len(node.members) * lengths + sum(saved[child] for child in node.children)
        as_prefix = below[-1] - node.length - GROUP_COST_TOKENS
        gain[node] = as_prefix - below[:-1]
        saved[node] = np.maximum(below[:-1], as_prefix)
    prefix_of: dict[_Node, _Node] = {}
    for node, above in visits:
        nearest = prefix_of[above[-1]] if above else root
        is_chosen = above and gain[node][above.index(nearest)] > 0
        prefix_of[node] = node if is_chosen else nearest
    return list(prefix_of.items())


def _paths(root: _Node) -> list[tuple[_Node, tuple[_Node, ...]]]:
    """Returns every node, parents first, with the nodes above it from the root down."""
    found: list[tuple[_Node, tuple[_Node, ...]]] = []
    left: list[tuple[_Node, tuple[_Node, ...]]] = [(root, ())]
    while left:
        node, above = left.pop()
        found.append((node, above))
        left += [(child, (*above, node)) for child in node.children]
    return found
