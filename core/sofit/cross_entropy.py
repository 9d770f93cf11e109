"""Cross-entropy over the vocabulary in blocks, so that the scores of all tokens for all words never exist together.

Blocks are stretches of the vocabulary, with a running softmax (Milakov and Gimelshein 2018, arXiv:1805.02867). The gradient of
the hidden states, but for the factor that arrives from behind, is made with the loss, so frozen words cost no product more than
whole scores would; trained words cost one, since their gradient needs the scores again.
"""

import haliax as hax
import jax
import jax.numpy as jnp
from haliax import NamedArray

from sofit.blocks import block_bytes

_BLOCK_BYTES = 32 << 20
"""The most that the scores of a block take on a processor, unless it would be shorter than `_LEAST_BLOCK` words."""
_LEAST_BLOCK = 1024


def cross_entropy(hidden: NamedArray, words: NamedArray, target_id: NamedArray) -> NamedArray:
    """Returns the cross-entropy of each target, in nats, float32, over the axes of `target_id`.

    Args:
        hidden: normed hidden states, (axes of target_id, embed).
        words: what each word of the vocabulary is multiplied by, (vocab, embed).
        target_id: the words to predict, int32.
    """
    flat_hidden = hidden.rearrange((*target_id.axes, "embed")).array.reshape(-1, hidden.axis_size("embed"))
    losses = _losses(flat_hidden, words.rearrange(("vocab", "embed")).array, target_id.array.reshape(-1))
    return hax.named(losses.reshape(target_id.array.shape), target_id.axes)


@jax.custom_vjp
def _losses(hidden: jax.Array, words: jax.Array, target_id: jax.Array) -> jax.Array:
    """hidden: (token, embed); words: (vocab, embed); target_id: (token). Returns (token)."""
    nowhere = jnp.zeros(len(target_id), jnp.float32)

    def add(sums: _Sums, first: jax.Array) -> tuple[_Sums, None]:
        return _add_block(sums, _Block(hidden, words, target_id, first))[0], None

    (highest, total, of_target), _ = jax.lax.scan(add, (nowhere - jnp.inf, nowhere, nowhere), _firsts(hidden, words))
    return highest + jnp.log(total) - of_target


_Sums = tuple[jax.Array, jax.Array, jax.Array]
"""Of the words so far, each (token), float32: the highest score, the sum of e^(score - highest), the target's score."""
_Saved = tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array]


class _Block:
    """The scores of the tokens for some words. The last block begins early where the vocabulary is no multiple of its size."""

    def __init__(self, hidden: jax.Array, words: jax.Array, target_id: jax.Array, first: jax.Array):
        size = _block_size(hidden, words)
        self.start = jnp.minimum(first, len(words) - size)
        self.words = jax.lax.dynamic_slice_in_dim(words, self.start, size)
        word = self.start + jnp.arange(size)
        scores = jnp.einsum("te,ve->tv", hidden, self.words, preferred_element_type=jnp.float32)
        # Words that an earlier block had do not count again.
        self.scores = jnp.where(word >= first, scores, -jnp.inf)
        self.is_target = (word == target_id[:, None]) & (word >= first)


def _block_size(hidden: jax.Array, words: jax.Array) -> int:
    tokens = max(len(hidden), 1)  # A micro-batch may have none that carries loss.
    return min(len(words), max(_LEAST_BLOCK, block_bytes(_BLOCK_BYTES) // (4 * tokens)))


def _firsts(hidden: jax.Array, words: jax.Array) -> jax.Array:
    """Returns the first word of each block."""
    return jnp.arange(0, len(words), _block_size(hidden, words))


def _add_block(sums: _Sums, block: _Block) -> tuple[_Sums, jax.Array, jax.Array]:
    """Returns the sums with a block's words, e^(score - highest) of these, (token, word), and what rescales earlier sums."""
    highest, total, of_target = sums
    new_highest = jnp.maximum(highest, block.scores.max(axis=1))
    weights = jnp.exp(block.scores - new_highest[:, None])
    rescale = jnp.exp(highest - new_highest)
    of_target = of_target + jnp.where(block.is_target, block.scores, 0).sum(axis=1)
    return (new_highest, total * rescale + weights.sum(axis=1), of_target), weights, rescale


def _losses_forward(hidden: jax.Array, words: jax.Array, target_id: jax.Array) -> tuple[jax.Array, _Saved]:
    nowhere = jnp.zeros(len(target_id), jnp.float32)

    def add(carry: tuple[_Sums, jax.Array], first: jax.Array) -> tuple[tuple[_Sums, jax.Array], None]:
        sums, mixed = carry
        block = _Block(hidden, words, target_id, first)
        sums, weights, rescale = _add_block(sums, block)
        # Without the target, whose share is close to 1 once it is learnt: beside it the rest would be lost in rounding.
        others = jnp.where(block.is_target, 0, weights).astype(words.dtype)
        return (sums, mixed * rescale[:, None] + jnp.dot(others, block.words, preferred_element_type=jnp.float32)), None

    start = ((nowhere - jnp.inf, nowhere, nowhere), jnp.zeros(hidden.shape, jnp.float32))
    ((highest, total, of_target), mixed), _ = jax.lax.scan(add, start, _firsts(hidden, words))
    log_total = highest + jnp.log(total)
    losses = log_total - of_target
    missing = -jnp.expm1(-losses)[:, None]  # 1 less the target's probability.
    of_hidden = mixed / total[:, None] - missing * words[target_id].astype(jnp.float32)
    return losses, (of_hidden.astype(hidden.dtype), hidden, words, target_id, log_total)


def _losses_backward(saved: _Saved, gradient: jax.Array) -> tuple[jax.Array, jax.Array, None]:
    of_hidden, hidden, words, target_id, log_total = saved
    size = _block_size(hidden, words)

    def add(of_words: jax.Array, first: jax.Array) -> tuple[jax.Array, None]:
        block = _Block(hidden, words, target_id, first)
        shares = jnp.exp(block.scores - log_total[:, None]) - block.is_target
        of_scores = (shares * gradient[:, None]).astype(hidden.dtype)
        of_block = jnp.dot(of_scores.T, hidden, preferred_element_type=jnp.float32)
        so_far = jax.lax.dynamic_slice_in_dim(of_words, block.start, size)
        return jax.lax.dynamic_update_slice_in_dim(of_words, so_far + of_block, block.start, 0), None

    # Unused, and so not computed, where the words are frozen.
    of_words, _ = jax.lax.scan(add, jnp.zeros(words.shape, jnp.float32), _firsts(hidden, words))
    return (of_hidden * gradient[:, None]).astype(hidden.dtype), of_words.astype(words.dtype), None


_losses.defvjp(_losses_forward, _losses_backward)
