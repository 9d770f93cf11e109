"""The loss of a micro-batch: cross-entropy on completion tokens, and only there."""

import haliax as hax
import jax
from haliax import NamedArray

from sofit.batches import POSITION, ROW, SLOT, TARGET, PrefixBatch
from sofit.cross_entropy import cross_entropy
from sofit.model import Decoder


def completion_losses(model: Decoder, batch: PrefixBatch, *, key: jax.Array | None = None) -> NamedArray:
    """Returns the cross-entropy of each completion token, in nats, float32: (row, target), 0 on padding.

    The vocabulary is scored only where there is a target. `key` turns the adapters' dropout on.
    """
    streams = [batch.suffix] if batch.prefix is None else [batch.prefix, batch.suffix]
    hidden, _ = model(streams, key=key)
    places = hidden[-1].flatten_axes((SLOT, POSITION), "place")
    losses = cross_entropy(places["place", batch.target_place], model.words, batch.target_id)
    return hax.where(batch.is_target, losses.rearrange((ROW, TARGET)), 0.0)


def summed_loss(model: Decoder, batch: PrefixBatch, *, key: jax.Array | None = None) -> jax.Array:
    """Returns the sum of `completion_losses`: divided by the completion tokens of the whole batch, it is the training loss."""
    return hax.sum(completion_losses(model, batch, key=key)).scalar()
