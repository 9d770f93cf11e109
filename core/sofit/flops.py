"""How many floating-point operations training and decoding need, counted from shapes.

Only matrix products count: one of (m, k) and (k, n) takes 2 m k n. Its backward pass has one product as large for each factor
that needs a gradient, so trained weights take three times the forward pass, and frozen ones twice (Kaplan et al. 2020,
arXiv:2001.08361, section 2.1; Chowdhery et al. 2022, arXiv:2204.02311, appendix B, whose share of the peak is called MFU).

Counted is what the formulas need at the shapes that run: padding counts, what gradient checkpointing computes again does not, and
causal attention counts each pair of a query and a key that it sees once. A slot counts as one sequence, and a sliding window as
if it were none.
"""

from collections.abc import Sequence

from sofit.model import DecoderConfig, LoraSpec
from sofit.packing import BatchShape

_FORWARD, _FORWARD_AND_INPUTS, _TRAINED = 1, 2, 3
"""How often a product is taken: not differentiated, with the gradient of its input, with that of the weight too."""


def flops_per_step(config: DecoderConfig, shapes: Sequence[BatchShape], lora: LoraSpec | None = None) -> int:
    """Returns the operations of an optimiser step, but for the update, which is small.

    Args:
        config: the model's sizes.
        shapes: those of the step's micro-batches.
        lora: the adapters that are trained; None where all weights are.
    """
    return sum(sum(flops_by_part(config, shape, lora).values()) for shape in shapes)


def flops_by_part(config: DecoderConfig, shape: BatchShape, lora: LoraSpec | None = None) -> dict[str, int]:
    """Returns the operations of a micro-batch, forwards and backwards, by part of the model."""
    weights = _TRAINED if lora is None else _FORWARD_AND_INPUTS
    prefixes, slots = shape.rows * shape.prefix_length, shape.rows * shape.slots * shape.slot_length
    # Two products forwards, of queries with keys and of weights with values; both factors have gradients.
    pair = _TRAINED * 2 * _attention_flops(config)
    sizes = _linear_sizes(config)
    layers = 2 * shape.tokens * config.num_layers
    return {
        "attention in the prefix": pair * prefixes * (shape.prefix_length + 1) // 2,
        "attention to the prefix": pair * slots * shape.prefix_length,
        "attention in slots": pair * slots * (shape.slot_length + 1) // 2,
        "attention projections": weights * layers * sum(i * o for name, (i, o) in sizes.items() if name in _OF_ATTENTION),
        "MLP": weights * layers * sum(i * o for name, (i, o) in sizes.items() if name not in _OF_ATTENTION),
        "adapters": 0 if lora is None else _TRAINED * layers * lora.rank * sum(sum(sizes[name]) for name in lora.target_modules),
        "head": weights * 2 * shape.rows * shape.targets * config.vocab_size * config.embed_size,
    }


def flops_per_decoded_token(config: DecoderConfig, context_length: int) -> int:
    """Returns the operations of writing one token that looks at `context_length` tokens, itself included."""
    linear = config.num_layers * sum(i * o for i, o in _linear_sizes(config).values())
    attention = 2 * _attention_flops(config) * context_length
    return _FORWARD * (2 * (linear + config.vocab_size * config.embed_size) + attention)


_OF_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def _attention_flops(config: DecoderConfig) -> int:
    """Returns the operations of one product of one query with one key, over all heads and layers."""
    return 2 * config.num_layers * config.num_heads * config.head_size


def _linear_sizes(config: DecoderConfig) -> dict[str, tuple[int, int]]:
    """Returns the inputs and outputs of a block's linear layers, by the names of `LoraSpec.target_modules`."""
    embed, mlp = config.embed_size, config.mlp_size
    queries, keys = config.num_heads * config.head_size, config.num_kv_heads * config.head_size
    return {
        "q_proj": (embed, queries),
        "k_proj": (embed, keys),
        "v_proj": (embed, keys),
        "o_proj": (queries, embed),
        "gate_proj": (embed, mlp),
        "up_proj": (embed, mlp),
        "down_proj": (mlp, embed),
    }
