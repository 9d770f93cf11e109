"""A linear layer has the gradients of its formula, whichever factor its rule transposes."""

from math import prod

import haliax as hax
import jax
import numpy as np
import pytest
from haliax import Axis, NamedArray

from sofit.model.linear import Linear

EMBED, HEAD, SIZE, TOKEN = Axis("embed", 12), Axis("head", 2), Axis("head_size", 3), Axis("token", 7)


@pytest.mark.parametrize(
    ("In", "Out"),
    [
        (EMBED, (HEAD, SIZE)),
        ((HEAD, SIZE), EMBED),
        (EMBED, Axis("wide", 30)),
        (Axis("wide", 30), EMBED),
        (EMBED, Axis("as_wide", 12)),
    ],
)
def test_the_gradients_are_those_of_the_product(In: Axis | tuple[Axis, ...], Out: Axis | tuple[Axis, ...]) -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    layer = Linear.init(In, Out, key=keys[0])
    x, pulled = (
        hax.random.normal(key, (TOKEN, *hax.concat_axis_specs((), spec))) for key, spec in zip(keys[1:], (In, Out), strict=True)
    )

    def loss(layer: Linear, x: NamedArray) -> jax.Array:
        return hax.sum(layer(x) * pulled).scalar()

    of_layer, of_x = jax.grad(loss, argnums=(0, 1))(layer, x)
    size = prod(axis.size for axis in hax.concat_axis_specs((), In))
    weight, flat_x, flat_pulled = layer.weight.array.reshape(-1, size), x.array.reshape(7, -1), pulled.array.reshape(7, -1)
    np.testing.assert_allclose(of_layer.weight.array.reshape(-1, size), flat_pulled.T @ flat_x, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of_x.array.reshape(7, -1), flat_pulled @ weight, rtol=1e-5, atol=1e-6)
    assert of_layer.weight.axes == layer.weight.axes
    assert of_x.axes == x.axes
