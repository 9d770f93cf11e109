"""How a run computes attention: as its device does it best, where that agrees with what any device can do and is quicker."""

import logging
import time
from dataclasses import dataclass

import haliax as hax
import jax
import jax.numpy as jnp
from haliax import Axis, NamedArray

from sofit.config import AttentionKind
from sofit.errors import SofitError
from sofit.model import DecoderConfig, Partitioning
from sofit.model.attention import Attend, Context, Joined, Merged, attend
from sofit.precision import DType
from sofit.processes import agree

_OF_PLATFORM: dict[str, AttentionKind] = {"gpu": "cudnn", "tpu": "flash"}
_NEEDS = {"cudnn": "an NVIDIA GPU", "flash": "a TPU"}
_PREFIX, _SLOTS, _PLACES = 1024, 8, 128
"""The tokens of the trial: a prefix, and slots of so many places that look at it and at themselves."""
_REPEATS = 5
_LARGEST_DIFFERENCE: dict[DType, float] = {"bfloat16": 0.02, "float32": 1e-3}
"""Of results and gradients together, relative, by their norms. Two ways of rounding to bfloat16 differ by less than 0.01."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """What came of computing attention in two ways, forwards and backwards."""

    speed: float
    """How many times as fast as in blocks."""
    difference: float
    """From the results and gradients in blocks, relative, by their norms."""


def choose_attention(asked: AttentionKind, model: DecoderConfig, dtype: DType, partitioning: Partitioning | None) -> Attend:
    """Returns what is to compute attention, the same in all processes. Where there is a choice, both ways are tried, for seconds.

    Raises:
        SofitError: what is asked for cannot be had on these devices, or in this type.
    """
    platform = jax.default_backend()
    own = _OF_PLATFORM.get(platform)
    if asked not in ("auto", "blocks", own):
        raise SofitError(f"trainer.attention: {asked} needs {_NEEDS[asked]}, and this is a {platform}. Set it to auto.")
    takes_type = own != "cudnn" or dtype == "bfloat16"
    if asked == "cudnn" and not takes_type:
        raise SofitError("trainer.attention: cudnn takes bfloat16 alone. Set trainer.mp to p=f32,c=bfloat16, or it to auto.")
    if own is None or asked == "blocks" or not takes_type:
        return attend
    found = _kernels(own, partitioning)
    if asked == own:
        return found
    is_better, why = agree(judge(_kernels(own, None), model, dtype))
    _log.info("attention: %s (%s %s)", own if is_better else "in blocks", own, why)
    return found if is_better else attend


def _kernels(kind: AttentionKind, partitioning: Partitioning | None) -> Attend:
    if kind == "cudnn":
        return Joined("cudnn", partitioning)
    # Only a TPU needs them, and to import them takes a while.
    from sofit.model.attention.flash import InKernels

    return Merged(InKernels(partitioning))


def judge(candidate: Attend, model: DecoderConfig, dtype: DType) -> tuple[bool, str]:
    """Returns whether to take a candidate rather than blocks, and what was found of it, to end a sentence that it begins."""
    try:
        trial = compare(candidate, model, dtype)
    except Exception as error:  # A kernel refuses devices, versions and sizes in as many ways as there are kernels.
        return False, f"failed: {str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}"
    if not trial.difference <= _LARGEST_DIFFERENCE[dtype]:
        return False, f"differs from it by {trial.difference:.2g}"
    return trial.speed > 1, f"takes {1 / trial.speed:.2g} of the time"


def compare(candidate: Attend, model: DecoderConfig, dtype: DType) -> Trial:
    """Computes attention of slots to a prefix and to themselves, as in training, in both ways."""
    Row, Prefix, Slot, Place = Axis("row", 1), Axis("prefix", _PREFIX), Axis("slot", _SLOTS), Axis("place", _PLACES)
    Own, heads = Place.alias("place_key"), (model.KVHeads, model.HeadSize)
    axes = [(Row, Slot, Place, model.KVHeads, model.Group, model.HeadSize)]
    axes += [(Row, Prefix, *heads)] * 2 + [(Row, Slot, Own, *heads)] * 2
    keys = jax.random.split(jax.random.key(0), len(axes))
    arrays = [hax.random.normal(key, over).astype(dtype) for key, over in zip(keys, axes, strict=True)]
    direction = hax.random.normal(jax.random.key(1), axes[0]).astype(dtype)
    filled = (hax.arange(Prefix) < _PREFIX - 1).broadcast_axis(Row)
    causal = (hax.arange(Place).broadcast_axis(Own) >= hax.arange(Own).broadcast_axis(Place)).broadcast_axis((Row, Slot))

    def tried(way: Attend) -> tuple[list[jax.Array], float]:
        @jax.jit
        def run(arrays: list[NamedArray]) -> tuple[NamedArray, tuple[list[NamedArray]]]:
            def attended(arrays: list[NamedArray]) -> NamedArray:
                query, key, value, own_key, own_value = arrays
                contexts = [Context(key, value, filled, Prefix), Context(own_key, own_value, causal, Own, Place.name)]
                return way(query, contexts)

            result, pull = jax.vjp(attended, arrays)
            return result, pull(direction)

        made = jax.block_until_ready(run(arrays))
        times = []
        for _ in range(_REPEATS):
            start = time.perf_counter()
            jax.block_until_ready(run(arrays))
            times.append(time.perf_counter() - start)
        return [leaf.astype(jnp.float32) for leaf in jax.tree.leaves(made)], min(times)

    (found, seconds), (expected, in_blocks) = tried(candidate), tried(attend)
    off = sum(float(jnp.sum((one - other) ** 2)) for one, other in zip(found, expected, strict=True))
    whole = sum(float(jnp.sum(other**2)) for other in expected)
    return Trial(in_blocks / seconds, (off / whole) ** 0.5)
