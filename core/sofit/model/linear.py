"""A linear layer that may carry a low-rank adapter."""

import equinox as eqx
import haliax as hax
import jax
from haliax import AxisSpec, NamedArray
from haliax.axis import AxisSelection
from haliax.jax_utils import tree_checkpoint_name

from sofit.model.quantized import Quantized

PROJECTED = "projected"
"""What the outputs of linear layers, and the narrow ones of adapters, are called where gradient checkpointing keeps them."""


class Adapter(eqx.Module):
    """A low-rank update of a weight (Hu et al. 2021, arXiv:2106.09685): scale * up · down.

    down: (rank, In); up: (Out, rank). The scale is part of the structure, not of the parameters.
    """

    down: NamedArray
    up: NamedArray
    scale: float = eqx.field(static=True)
    dropout: float = eqx.field(static=True)

    def __call__(self, x: NamedArray, In: AxisSpec, key: jax.Array | None) -> NamedArray:
        if self.dropout > 0 and key is not None:
            keep = hax.random.bernoulli(key, x.axes, 1 - self.dropout)
            x = hax.where(keep, x / (1 - self.dropout), 0)
        # Scaled while it is narrow: on wide arrays, forwards and backwards, the scale would cost more than both products.
        low = _product(In, x, self.down) * self.scale
        return _product("rank", tree_checkpoint_name(low, PROJECTED), self.up)


def _contracted(In: AxisSelection, x: NamedArray, weight: NamedArray) -> NamedArray:
    """Returns weight · x over the axes In: (tokens' axes, Out)."""
    return hax.dot(x, weight, axis=In)


def _product_forward(In: AxisSelection, x: NamedArray, weight: NamedArray) -> tuple[NamedArray, tuple[NamedArray, NamedArray]]:
    return _contracted(In, x, weight), (x, weight)


def _product_backward(
    In: AxisSelection, saved: tuple[NamedArray, NamedArray], gradient: NamedArray
) -> tuple[NamedArray, NamedArray]:
    x, weight = saved
    Tokens, Out = (hax.eliminate_axes(array.axes, In) for array in saved)
    of_x = hax.dot(gradient, weight, axis=Out).rearrange(x.axes)
    # One factor is transposed, and that should be the smaller. Without the barrier XLA would take the other, to have the
    # axes of the result in their order at once.
    smaller, larger = sorted((x, gradient), key=lambda factor: factor.array.size)
    of_weight = hax.dot(smaller, larger, axis=Tokens)
    return of_x, jax.lax.optimization_barrier(of_weight).rearrange(weight.axes)


_product = jax.custom_vjp(_contracted, nondiff_argnums=(0,))
_product.defvjp(_product_forward, _product_backward)


@jax.custom_vjp
def _gradient_made_once(y: NamedArray) -> NamedArray:
    """Returns y, whose gradient is written out before anything uses it.

    The gradient of a weight is a product with the transposed gradient of y. Left alone, XLA makes that from the element-wise
    operations behind it again, down the columns of all their inputs, which takes several times as long as the product.
    """
    return y


def _gradient_made_once_forward(y: NamedArray) -> tuple[NamedArray, None]:
    return y, None


def _gradient_made_once_backward(saved: None, gradient: NamedArray) -> tuple[NamedArray]:
    return (jax.lax.optimization_barrier(gradient),)


_gradient_made_once.defvjp(_gradient_made_once_forward, _gradient_made_once_backward)


class Linear(eqx.Module):
    """y = weight · x + bias, and the adapter's part. stored: the weight, (Out, In); bias: (Out)."""

    stored: NamedArray | Quantized
    bias: NamedArray | None
    adapter: Adapter | None
    In: AxisSpec = eqx.field(static=True)
    Out: AxisSpec = eqx.field(static=True)

    @staticmethod
    def init(In: AxisSpec, Out: AxisSpec, *, use_bias: bool = False, key: jax.Array) -> "Linear":
        """Makes a layer with normal weights of deviation 0.02 and no bias yet learnt."""
        weight = hax.random.normal(key, hax.concat_axis_specs(Out, In)) * 0.02
        return Linear(weight, hax.zeros(Out) if use_bias else None, None, In, Out)

    @property
    def weight(self) -> NamedArray:
        """The weight as it was loaded; a quantised one is never asked for, since merging reads the base anew."""
        assert isinstance(self.stored, NamedArray)
        return self.stored

    def __call__(self, x: NamedArray, *, key: jax.Array | None = None) -> NamedArray:
        """Maps the axes In of x to Out. `key` decides the adapter's dropout; None turns it off."""
        weight = self.stored.restored(x.dtype) if isinstance(self.stored, Quantized) else self.stored
        # Under an adapter a weight is frozen, and has no gradient to make a rule for.
        y = _product(self.In, x, weight) if self.adapter is None else hax.dot(x, weight, axis=self.In)
        if self.bias is not None:
            y = y + self.bias
        if self.adapter is not None:
            y = y + self.adapter(x, self.In, key)
        return _gradient_made_once(tree_checkpoint_name(y, PROJECTED))
