"""A context and its queries as batches of matrices, which is how products and kernels take them."""

import equinox as eqx
from haliax import Axis, NamedArray

from sofit.model.attention.context import Context

QUERY = "query"
LEAST_QUERIES = 16
"""So few queries beside each other, as in decoding, are not worth a kernel: blocks take them."""


class Matrices(eqx.Module):
    """A context and its queries as batches of matrices."""

    query: NamedArray
    """(axes that the context has too, query, head_size), scaled."""
    key: NamedArray
    """(axes that the queries have too, Key, head_size)"""
    value: NamedArray
    visible: NamedArray
    """Over Key, query if it matters, and any of the common axes."""
    Key: Axis = eqx.field(static=True)
    own_axes: tuple[Axis, ...] = eqx.field(static=True)
    """The axes that only the queries have, which make up the axis `query`."""
    is_causal: bool = eqx.field(static=True)
    """Whether places of queries and of keys are the same, and none sees a later one."""

    @staticmethod
    def of(context: Context, query: NamedArray) -> "Matrices":
        """Brings queries (..., kv_head, group, head_size) and a context into this form."""
        common = [axis for axis in query.axes if axis in context.key.axes and axis.name != "head_size"]
        # In this order they number the matrices without a transposition of the scores.
        common.sort(key=lambda axis: ("row", "kv_head", "slot").index(axis.name))
        own = tuple(axis for axis in query.axes if axis not in common and axis.name != "head_size")
        visible = context.visible
        if any(axis in visible.axes for axis in own):
            missing = [axis for axis in own if axis not in visible.axes]
            seen_over = [axis for axis in common if axis in visible.axes]
            visible = visible.broadcast_axis(missing).rearrange((*seen_over, *own, context.Key)).flatten_axes(own, QUERY)
        return Matrices(
            (query * scale_of(query)).rearrange((*common, *own, "head_size")).flatten_axes(own, QUERY),
            context.key.rearrange((*common, context.Key, "head_size")),
            context.value.rearrange((*common, context.Key, "head_size")),
            visible,
            context.Key,
            own,
            own[0].name == context.causal_along,
        )

    @property
    def Query(self) -> Axis:
        """The axis `query`."""
        return self.query.resolve_axis(QUERY)

    def flatten(self, array: NamedArray) -> NamedArray:
        """Brings an array over the axes of the queries, with or without head_size, into the order of `query`."""
        last = [axis for axis in array.axes if axis.name == "head_size"]
        return array.rearrange((*self.query.axes[:-2], *self.own_axes, *last)).flatten_axes(self.own_axes, QUERY)

    def unflatten(self, array: NamedArray) -> NamedArray:
        """Undoes `flatten`, but for the order of the axes."""
        return array.unflatten_axis(QUERY, self.own_axes)


def scale_of(query: NamedArray) -> float:
    """Returns what scores are multiplied by."""
    return query.axis_size("head_size") ** -0.5
