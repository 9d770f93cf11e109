"""What queries look at."""

import equinox as eqx
from haliax import Axis, NamedArray


class Context(eqx.Module):
    """Keys and values that queries may look at. key, value: (..., Key, kv_head, head_size)."""

    key: NamedArray
    value: NamedArray
    visible: NamedArray
    """Which queries see which keys: bool over Key and any axes of the queries."""
    Key: Axis = eqx.field(static=True)
    causal_along: str | None = eqx.field(static=True, default=None)
    """The axis of the queries, if any, on which none sees a key of a later index; `visible` says so too."""
