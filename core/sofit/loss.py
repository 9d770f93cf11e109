"""The loss of a micro-batch: cross-entropy on the tokens that carry loss, and only there, role by role."""

import haliax as hax
import jax
from haliax import NamedArray

from sofit.batches import POSITION, ROW, SLOT, TARGET, PrefixBatch
from sofit.cross_entropy import cross_entropy
from sofit.labels import MOST_ROLES
from sofit.model import Decoder


def completion_losses(model: Decoder, batch: PrefixBatch, *, key: jax.Array | None = None) -> NamedArray:
    """Returns the cross-entropy of each token that carries loss, in nats, float32: (row, target), 0 on padding.

    The vocabulary is scored only where there is a target. `key` turns the adapters' dropout on.
    """
    streams = [batch.suffix] if batch.prefix is None else [batch.prefix, batch.suffix]
    hidden, _ = model(streams, key=key)
    places = hidden[-1].flatten_axes((SLOT, POSITION), "place")
    losses = cross_entropy(places["place", batch.target_place], model.words, batch.target_id)
    return hax.where(batch.is_target, losses.rearrange((ROW, TARGET)), 0.0)


def losses_by_role(model: Decoder, batch: PrefixBatch, *, key: jax.Array | None = None) -> jax.Array:
    """Returns the sum of `completion_losses` over the tokens of each role: (role), `MOST_ROLES` of them.

    Their sum, divided by the tokens of the whole batch that carry loss, is the training loss.
    """
    losses = completion_losses(model, batch, key=key)
    roles = batch.target_role.rearrange(losses.axes)
    return jax.ops.segment_sum(losses.array.ravel(), roles.array.ravel(), MOST_ROLES)
