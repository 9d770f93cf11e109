"""The rate of decoding beside the machine's: of matrix products, and of reading memory, which limits small batches."""

import time
from statistics import median

import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
from haliax import Axis

from sofit.batches import ROW, SLOT
from sofit.decoding.engine import CHUNK_STEPS, Sampling, compute_prefix, decode_chunk, fill_slots
from sofit.decoding.layout import prefix_stream, rest_stream
from sofit.decoding.masks import WORD_BITS
from sofit.flops import flops_per_decoded_token
from sofit.model import Decoder

_REST_LENGTH = 48
"""How long the prompts' own parts are."""


def decoding_figures(model: Decoder, lanes: int, prefix_length: int, peak: float, repeats: int) -> str:
    """Returns a line on decoding in `lanes` lanes behind a prefix, without a grammar."""
    config, rng = model.config, np.random.default_rng(0)
    prefix = compute_prefix(model, prefix_stream(rng.integers(0, config.vocab_size, prefix_length))) if prefix_length else None
    rests = [rng.integers(0, config.vocab_size, _REST_LENGTH) for _ in range(lanes)]
    stream = rest_stream(rests, lanes, _REST_LENGTH, prefix_length)
    slots = fill_slots(model, prefix, stream, _REST_LENGTH + CHUNK_STEPS)
    Lanes = (Axis(ROW, 1), Axis(SLOT, lanes))
    everything = hax.full((*Lanes, Axis("word", -(-config.vocab_size // WORD_BITS))), -1, dtype=jnp.int32)
    never = hax.zeros(config.Vocab, dtype=bool)
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        written = decode_chunk(model, prefix, slots, everything, never, Sampling(), jax.random.key(0), jnp.int32(CHUNK_STEPS))
        jax.block_until_ready(written)
        times.append((time.perf_counter() - start) / CHUNK_STEPS)
    step = median(times[1:])
    context = prefix_length + _REST_LENGTH + CHUNK_STEPS // 2
    flops = lanes * flops_per_decoded_token(config, context)
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(model))
    read, copied = weights / step, _copy_rate()
    return (
        f"decode step, {lanes} lanes, context {context}: {step * 1e3:.0f} ms, {lanes / step:.0f} tokens/s,"
        f" {flops / step / peak:.0%} of the peak; the weights are read at {read / 1e9:.1f} GB/s,"
        f" {read / copied:.0%} of what copying an array reads and writes"
    )


def _copy_rate() -> float:
    """Returns the bytes a second that a simple pass over a large array reads and writes."""
    array = jnp.zeros(1 << 26, jnp.float32)
    add = jax.jit(lambda array: array + 1)
    jax.block_until_ready(add(array))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(add(array))
        times.append(time.perf_counter() - start)
    return 2 * array.nbytes / min(times)
