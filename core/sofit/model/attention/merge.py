"""One softmax over all contexts, from what each gives alone: the means of its values and the logarithms of its softmax's sums."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Protocol

import haliax as hax
import jax
import jax.numpy as jnp
from haliax import NamedArray
from haliax.jax_utils import tree_checkpoint_name

from sofit.model.attention.blocks import InBlocks
from sofit.model.attention.context import Context
from sofit.model.attention.matrices import Matrices, scale_of

ATTENDED = "attended"
"""What the results of attention are called where gradient checkpointing chooses what to keep."""

Attend = Callable[[NamedArray, Sequence[Context]], NamedArray]
"""Returns softmax(query · keys / sqrt(head_size)) · values over the keys of all contexts together, in the query's axes and type.

query: (..., kv_head, group, head_size); axes that it shares with a context are matched, not summed.
"""


class Mixer(Protocol):
    """What is done with one context."""

    def mix(self, matrices: Matrices) -> tuple[NamedArray, NamedArray]:
        """Returns softmax(query · keys) · values, float32, and the logarithms of the softmax's sums, over the queries' axes."""
        ...

    def mix_backward(
        self, matrices: Matrices, gradient: NamedArray, total: NamedArray, offset: NamedArray
    ) -> tuple[NamedArray, NamedArray, NamedArray]:
        """Returns the gradients of the scaled queries, the keys and the values, float32, in any order of their axes.

        Args:
            matrices: the queries and a context.
            gradient: of what came out, in the order of `matrices.query`.
            total: the logarithms of the softmax's sums over all contexts, (..., query).
            offset: gradient · result, (..., query).
        """
        ...


@dataclass(frozen=True)
class Merged:
    """An `Attend` that takes the contexts one by one.

    Scores and softmax are float32; the weights are rounded to the query's dtype, in which they meet the values. A query that sees
    no key at all (padding) gets some numbers.
    """

    mixer: Mixer

    def __call__(self, query: NamedArray, contexts: Sequence[Context]) -> NamedArray:
        """Does what `Attend` says."""
        return _attend(self.mixer, query, contexts)


def _result(mixer: Mixer, query: NamedArray, contexts: Sequence[Context]) -> NamedArray:
    return _merge(mixer, query, contexts)[0]


def _merge(mixer: Mixer, query: NamedArray, contexts: Sequence[Context]) -> tuple[NamedArray, NamedArray]:
    """Returns the result, and the logarithms of the softmax's sums: (axes of query but head_size), float32."""
    mixed, logs = zip(*(mixer.mix(Matrices.of(context, query)) for context in contexts), strict=True)
    total: NamedArray = reduce(hax.logaddexp, logs)
    shares = [one * hax.exp(log - total) for one, log in zip(mixed, logs, strict=True)]
    result = reduce(add, shares).astype(query.dtype).rearrange(query.axes)
    return tree_checkpoint_name((result, total), ATTENDED)


_Saved = tuple[NamedArray, Sequence[Context], NamedArray, NamedArray]


def _forward(mixer: Mixer, query: NamedArray, contexts: Sequence[Context]) -> tuple[NamedArray, _Saved]:
    result, total = _merge(mixer, query, contexts)
    return result, (query, contexts, result, total)


def _backward(mixer: Mixer, saved: _Saved, gradient: NamedArray) -> tuple[NamedArray, list[Context]]:
    query, contexts, result, total = saved
    # What the softmax takes off the gradient of each weight of a query: (axes of query but head_size).
    offset = hax.dot(gradient, result, axis="head_size", preferred_element_type=jnp.float32)
    query_gradients, context_gradients = [], []
    for context in contexts:
        matrices = Matrices.of(context, query)
        of_query, of_key, of_value = mixer.mix_backward(matrices, *map(matrices.flatten, (gradient, total, offset)))
        query_gradients.append(matrices.unflatten(of_query).rearrange(query.axes))
        of_key, of_value = (array.astype(query.dtype).rearrange(context.key.axes) for array in (of_key, of_value))
        nothing = context.visible.astype(jax.dtypes.float0)
        context_gradients.append(Context(of_key, of_value, nothing, context.Key, context.causal_along))
    return (reduce(add, query_gradients) * scale_of(query)).astype(query.dtype), context_gradients


_attend = jax.custom_vjp(_result, nondiff_argnums=(0,))
_attend.defvjp(_forward, _backward)

attend = Merged(InBlocks())
"""The `Attend` that every device can compute."""
