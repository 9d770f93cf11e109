"""Decoding on the device: a prefix computed once, prompts laid side by side in slots, and tokens in chunks.

The token that a slot read or wrote last is pending: it goes through the model at the start of the next step. So a slot goes
back to an earlier place by taking a smaller length and the token that stood there, and nothing else.
"""

from functools import partial

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
from haliax import Axis, NamedArray

from sofit.batches import POSITION, ROW, SLOT
from sofit.decoding.masks import WORD_BITS
from sofit.model import Cache, Decoder, KeyValues, Partitioning, Stream

CACHE_POSITION, STEP = "cache_position", "step"
CHUNK_STEPS = 16
"""The most tokens that a slot writes before the host looks."""


class Slots(eqx.Module):
    """Where each slot stands."""

    key_values: KeyValues
    """(layer, row, kv_head, slot, cache_position, head_size): of the tokens that follow the shared prefix."""
    lengths: NamedArray
    """(row, slot): how many cache positions hold a token; int32."""
    pending: NamedArray
    """(row, slot): the last token, which is not in the cache yet; int32."""
    done: NamedArray
    """(row, slot): whether the output has ended; bool."""

    @property
    def CachePos(self) -> Axis:
        return self.key_values.key.resolve_axis(CACHE_POSITION)

    def emptied(self, count: int) -> "Slots":
        """Returns `count` slots of the same size that nothing was read into."""

        def empty(array: NamedArray) -> NamedArray:
            return hax.zeros([axis.resize(count) if axis.name == SLOT else axis for axis in array.axes], array.dtype)

        return jax.tree.map(empty, self, is_leaf=lambda node: isinstance(node, NamedArray))


class Sampling(eqx.Module):
    """How the next token is chosen."""

    temperature: float = eqx.field(static=True, default=0.0)
    """0 takes the likeliest token."""
    top_p: float = eqx.field(static=True, default=1.0)
    """Only the likeliest tokens that reach this probability together are drawn from (Holtzman et al. 2019, arXiv:1904.09751)."""


@eqx.filter_jit
def compute_prefix(model: Decoder, prefix: Stream) -> Cache:
    """Runs a shared prefix, (row, prefix_position), and returns its keys and values."""
    (cache,) = model([prefix])[1]
    return eqx.tree_at(lambda c: c.key_values, cache, cache.key_values.head_first())


@eqx.filter_jit
def fill_slots(model: Decoder, prefix: Cache | None, rests: Stream, capacity: int) -> Slots:
    """Reads what prompts have beyond the prefix, but for their last tokens, into slots with room for `capacity` tokens.

    rests: (row, slot, position), padded at the end. The slots that are returned are not done, and their pending token is 0.
    """
    _, (cache,) = model([rests], [] if prefix is None else [prefix])
    room = capacity - rests.Pos.size

    def with_room(array: NamedArray) -> NamedArray:
        return hax.pad(array.rename({POSITION: CACHE_POSITION}), {CACHE_POSITION: (0, room)})

    lengths = hax.sum(cache.filled.astype(jnp.int32), POSITION)
    nothing = hax.zeros_like(lengths)
    left = cache.key_values.head_first()
    slots = Slots(KeyValues(with_room(left.key), with_room(left.value)), lengths, nothing, nothing.astype(bool))
    return slots if model.partitioning is None else model.partitioning.place_batch(slots)


class Chunk(eqx.Module):
    """What `decode_chunk` wrote."""

    tokens: NamedArray
    """(row, slot, step): -1 where a slot was done before, or the step was not taken."""
    free_choice: NamedArray
    """(row, slot): the first token as it would have been without a mask."""
    removed_mass: NamedArray
    """(row, slot): the probability that the mask took from the first token's choice."""


@eqx.filter_jit
def decode_chunk(
    model: Decoder,
    prefix: Cache | None,
    slots: Slots,
    mask: NamedArray,
    ends_output: NamedArray,
    sampling: Sampling,
    key: jax.Array,
    steps: jax.Array | np.integer,
) -> tuple[Slots, Chunk]:
    """Writes up to `steps` tokens in every slot that is not done.

    Args:
        model: the model, in the dtype to compute in.
        prefix: what the prompts share.
        slots: where each slot stands; there must be room for `steps` more tokens.
        mask: (row, slot, word), int32: a bit for each token that may come first, 32 tokens to a word. Later tokens of the
            chunk are free.
        ends_output: (vocab): which tokens end an output.
        sampling: how to choose.
        key: decides what is drawn.
        steps: the length of the chunk, at most CHUNK_STEPS.
    """
    unwritten = hax.full((*slots.pending.axes, Axis(STEP, CHUNK_STEPS)), -1, dtype=jnp.int32)

    def write(slots: Slots, tokens: NamedArray, step: jax.Array, logits: NamedArray) -> tuple[Slots, NamedArray]:
        chosen = _choose(logits, sampling, jax.random.fold_in(key, step))
        written = hax.where(slots.done, -1, chosen).broadcast_axis(Axis(STEP, 1))
        tokens = hax.updated_slice(tokens, {STEP: step}, written)
        done = slots.done | ends_output["vocab", chosen]
        return eqx.tree_at(lambda s: (s.pending, s.done), slots, (chosen, done)), tokens

    def goes_on(state: tuple[jax.Array, Slots, NamedArray]) -> jax.Array:
        step, slots, _ = state
        return (step < steps) & ~hax.all(slots.done).scalar()

    def advance(state: tuple[jax.Array, Slots, NamedArray]) -> tuple[jax.Array, Slots, NamedArray]:
        step, slots, tokens = state
        logits, slots = _read_pending(model, prefix, slots)
        return step + 1, *write(slots, tokens, step, logits)

    logits, slots = _read_pending(model, prefix, slots)
    allowed = _unpack(mask, model.config.Vocab)
    removed_mass = hax.sum(hax.where(allowed, 0.0, hax.nn.softmax(logits, "vocab")), "vocab")
    free_choice = hax.argmax(logits, "vocab").astype(jnp.int32)
    slots, tokens = write(slots, unwritten, jnp.int32(0), hax.where(allowed, logits, -jnp.inf))
    _, slots, tokens = jax.lax.while_loop(goes_on, advance, (jnp.int32(1), slots, tokens))
    chunk = Chunk(tokens, free_choice, removed_mass)
    if model.partitioning is None:
        return slots, chunk
    # The host of every process reads the chunk.
    return model.partitioning.place_batch(slots), model.partitioning.replicate(chunk)


@partial(jax.jit, static_argnames="partitioning", donate_argnames="slots")
def replace_slots(partitioning: Partitioning | None, slots: Slots, fresh: Slots, places: NamedArray) -> Slots:
    """Puts fresh slots in the place of old ones, in their memory.

    Args:
        partitioning: how the slots lie over several devices.
        slots: the slots that are running; not to be used again.
        fresh: as many as `places`, over an axis "slot" of their own size.
        places: (slot): where each fresh one goes; a place beyond the slots drops it.
    """

    def put(old: NamedArray, new: NamedArray) -> NamedArray:
        before = (slice(None),) * [axis.name for axis in old.axes].index(SLOT)
        names = tuple(axis.name for axis in old.axes)
        return hax.named(old.array.at[(*before, places.array)].set(new.rearrange(names).array, mode="drop"), old.axes)

    merged = jax.tree.map(put, slots, fresh, is_leaf=lambda node: isinstance(node, NamedArray))
    return merged if partitioning is None else partitioning.place_batch(merged)


def _read_pending(model: Decoder, prefix: Cache | None, slots: Slots) -> tuple[NamedArray, Slots]:
    """Runs the pending tokens; returns the scores of what may follow, (row, slot, vocab), and the longer slots."""
    Now, CachePos = Axis(POSITION, 1), slots.CachePos
    Row = slots.lengths.resolve_axis(ROW)
    start = hax.zeros(Row, dtype=jnp.int32) if prefix is None else hax.sum(prefix.filled.astype(jnp.int32), prefix.Pos)
    index = hax.arange(CachePos)
    filled = index.broadcast_axis(slots.lengths.axes) < slots.lengths.broadcast_axis(CachePos)
    own = Cache(slots.key_values, index.broadcast_axis(Row) + start.broadcast_axis(CachePos), filled, CachePos)
    stream = Stream(
        slots.pending.broadcast_axis(Now),
        (slots.lengths + start.broadcast_axis(slots.lengths.axes)).broadcast_axis(Now),
        hax.ones_like(slots.pending).broadcast_axis(Now),
        Now,
    )
    (hidden,), (new,) = model([stream], [own] if prefix is None else [prefix, own])
    logits = model.logits(hidden[POSITION, 0]).rearrange((*slots.lengths.axes, model.config.Vocab))
    return logits, Slots(
        KeyValues(
            _write(slots.key_values.key, new.key_values.key, slots.lengths),
            _write(slots.key_values.value, new.key_values.value, slots.lengths),
        ),
        hax.where(slots.done, slots.lengths, slots.lengths + 1),
        slots.pending,
        slots.done,
    )


def _write(cache: NamedArray, new: NamedArray, places: NamedArray) -> NamedArray:
    """Puts one entry a slot, (layer, row, slot, position of size 1, ...), where `places` (row, slot) says."""
    rows, slots = jnp.arange(places.axis_size(ROW))[:, None], jnp.arange(places.axis_size(SLOT))[None, :]
    # The places come first in what is set, since they are not neighbours in the cache.
    entry = new[POSITION, 0].rearrange((ROW, SLOT, "layer", "kv_head", "head_size")).array
    order = ("layer", ROW, "kv_head", SLOT, CACHE_POSITION, "head_size")
    array = cache.rearrange(order).array.at[:, rows, :, slots, places.array].set(entry)
    return hax.named(array, cache.rearrange(order).axes)


def _choose(logits: NamedArray, sampling: Sampling, key: jax.Array) -> NamedArray:
    if sampling.temperature == 0:
        return hax.argmax(logits, "vocab").astype(jnp.int32)
    logits = logits / sampling.temperature
    if sampling.top_p < 1:
        logits = hax.where(_nucleus(logits, sampling.top_p), logits, -jnp.inf)
    return hax.random.categorical(key, logits, "vocab").astype(jnp.int32)


def _nucleus(logits: NamedArray, top_p: float) -> NamedArray:
    """Tells the fewest likeliest tokens that reach the probability `top_p` together."""
    probabilities = hax.nn.softmax(logits, "vocab")
    Vocab = logits.resolve_axis("vocab")
    array = probabilities.rearrange((..., Vocab)).array
    ordered = jnp.sort(array, axis=-1)[..., ::-1]
    # The last token that is needed: those before it have not reached top_p yet.
    needed = jnp.cumsum(ordered, axis=-1) - ordered < top_p
    least = jnp.min(jnp.where(needed, ordered, jnp.inf), axis=-1, keepdims=True)
    return hax.named(array >= least, probabilities.rearrange((..., Vocab)).axes)


def _unpack(mask: NamedArray, Vocab: Axis) -> NamedArray:
    """Unpacks (row, slot, word) to bool (row, slot, vocab)."""
    batch = tuple(axis for axis in mask.axes if axis.name != "word")
    words = mask.rearrange((*batch, "word")).array
    bits = (words[..., None] >> jnp.arange(WORD_BITS, dtype=jnp.int32)) & 1
    flat = bits.reshape(*words.shape[:-1], -1)[..., : Vocab.size]
    return hax.named(flat.astype(bool), (*batch, Vocab))
