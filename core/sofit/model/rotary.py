"""Rotary position embeddings (Su et al. 2021, arXiv:2104.09864), in the half-split layout of Hugging Face weights."""

import equinox as eqx
import haliax as hax
import jax.numpy as jnp
import numpy as np
from haliax import NamedArray

from sofit.model.config import DecoderConfig, inverse_frequencies


class Rotary(eqx.Module):
    """The rotation of each position. cos, sin: positions' axes and head_size, float32."""

    cos: NamedArray
    sin: NamedArray

    @staticmethod
    def at(positions: NamedArray, config: DecoderConfig) -> "Rotary":
        """Makes the rotations of integer positions, which count from 0 at the start of the prompt."""
        Half = config.HeadSize.resize(config.head_size // 2)
        frequencies = hax.named(jnp.asarray(np.array(inverse_frequencies(config), np.float32)), Half)
        angles = positions.astype(jnp.float32).broadcast_axis(Half) * frequencies
        angles = hax.concatenate(config.HeadSize, [angles, angles])
        return Rotary(hax.cos(angles), hax.sin(angles))

    def __call__(self, x: NamedArray) -> NamedArray:
        """Rotates queries or keys (..., head_size) in float32 and returns them in their own dtype."""
        x32 = x.astype(jnp.float32)
        return (x32 * self.cos + _quarter_turn(x32) * self.sin).astype(x.dtype)


def _quarter_turn(x: NamedArray) -> NamedArray:
    """Turns each pair (i, i + head_size / 2) by 90 degrees."""
    HeadSize = x.resolve_axis("head_size")
    half = HeadSize.size // 2
    first, second = x["head_size", :half], x["head_size", half:]
    return hax.concatenate(HeadSize, [-second, first])
