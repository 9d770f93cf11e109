"""Frozen weights in few bits, under adapters that are not (QLoRA: Dettmers et al. 2023, arXiv:2305.14314).

The arithmetic is qwix's. Its arrays keep the order and the meaning of the weight's axes, so they carry the same names here, and
lie over a mesh as the weight would.
"""

from functools import partial
from typing import Literal

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
from haliax import NamedArray

from sofit.errors import SofitError

Quantization = Literal["int8", "nf4"]

_MOST_IN_TILE = 64
"""The weights that share a scale, at most; the block size of QLoRA."""


class Quantized(eqx.Module):
    """A weight in few bits.

    codes: over the axes of the weight. scale: over the same ones, float32, with an entry a tile along the last.
    """

    codes: NamedArray
    scale: NamedArray
    kind: Quantization = eqx.field(static=True)

    @property
    def size(self) -> int:
        """How many numbers the weight has; none where its arrays are left out."""
        return sum(codes.size for codes in jax.tree.leaves(self.codes))

    def restored(self, dtype: jnp.dtype) -> NamedArray:
        """Returns the weight, to within the rounding."""
        from qwix import QArray, dequantize

        array = dequantize(QArray(self.codes.array, self.scale.array, qtype=self.kind))
        return hax.named(array.astype(dtype), self.codes.axes)


@partial(jax.jit, static_argnames="kind")
def quantize(weight: NamedArray, kind: Quantization) -> Quantized:
    """Rounds a weight.

    Raises:
        SofitError: qwix is not installed.
    """
    try:
        from qwix import quantize as round_array
    except ImportError as error:
        raise SofitError("lora.quantize_base needs qwix. Install it with: pip install 'sofit-jax[qlora]'.") from error
    *others, Last = weight.axes
    tile = next(size for size in range(min(_MOST_IN_TILE, Last.size), 0, -1) if Last.size % size == 0)
    rounded = round_array(
        weight.array, kind, channelwise_axes=range(len(others)), tiled_axes={len(others): tile}, scale_dtype=jnp.float32
    )
    return Quantized(
        hax.named(rounded.qvalue, weight.axes), hax.named(rounded.scale, (*others, Last.resize(Last.size // tile))), kind
    )
