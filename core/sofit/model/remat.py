"""What the forward pass keeps for the backward pass, and what is computed again instead.

The field calls it rematerialisation, or gradient checkpointing (Chen et al. 2016, arXiv:1604.06174).
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from haliax.nn import ScanCheckpointPolicy

from sofit.model.attention import ATTENDED
from sofit.model.linear import PROJECTED

if TYPE_CHECKING:
    from sofit.model.decoder import Decoder

RematPolicy = Literal["none", "products", "attention", "full"]

REMAT_POLICIES: Mapping[RematPolicy, ScanCheckpointPolicy] = {
    "none": ScanCheckpointPolicy(disable=True),
    "products": ScanCheckpointPolicy(save_block_internals=[PROJECTED, ATTENDED]),
    "attention": ScanCheckpointPolicy(save_block_internals=[ATTENDED]),
    "full": ScanCheckpointPolicy(simple=True),
}


def with_remat(model: "Decoder", policy: RematPolicy) -> "Decoder":
    """Returns the model, which computes the same, with another choice of what it keeps in training.

    none: everything. products: what matrix products and attention made. attention: each layer's input and what its attention
    made. full: each layer's input alone.
    """
    blocks = dataclasses.replace(model.blocks, gradient_checkpointing=REMAT_POLICIES[policy])
    return dataclasses.replace(model, blocks=blocks)
