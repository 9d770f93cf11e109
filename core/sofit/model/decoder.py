"""A decoder-only transformer (Llama family) that reads several streams of tokens at once, each seeing the ones before it."""

from collections.abc import Sequence

import equinox as eqx
import haliax as hax
import haliax.nn as hnn
import jax
import jax.numpy as jnp
from haliax import Axis, NamedArray
from haliax.nn import Stacked

from sofit.model.attention import Attend, Context, attend
from sofit.model.config import DecoderConfig
from sofit.model.linear import Linear
from sofit.model.partitioning import Partitioning
from sofit.model.remat import REMAT_POLICIES
from sofit.model.rotary import Rotary


class Stream(eqx.Module):
    """Tokens that run through the decoder together, several sequences to a stretch of `Pos` if need be.

    tokens, positions, segments: int32 over Pos and any batch axes. Tokens see earlier tokens of their own segment; segment 0
    is padding. Positions count from the start of the prompt, so they go on where the stream before ended.
    """

    tokens: NamedArray
    positions: NamedArray
    segments: NamedArray
    Pos: Axis = eqx.field(static=True)

    @property
    def Key(self) -> Axis:
        """The axis of the stream's keys, as its own queries see them."""
        return self.Pos.alias(f"{self.Pos.name}_key")

    def own_visibility(self, window: int | None) -> NamedArray:
        """Returns which of its own tokens each token sees: bool over Pos, Key and any batch axes."""

        def as_key(array: NamedArray) -> NamedArray:
            return array.rename({self.Pos: self.Key}).broadcast_axis(self.Pos)

        def as_query(array: NamedArray) -> NamedArray:
            return array.broadcast_axis(self.Key)

        index = hax.arange(self.Pos)
        same_segment = as_query(self.segments) == as_key(self.segments)
        visible = same_segment & (as_query(index) >= as_key(index))
        return visible if window is None else visible & (as_query(self.positions) - as_key(self.positions) < window)


class KeyValues(eqx.Module):
    """What attention looks at. key, value: (..., Pos, kv_head, head_size)."""

    key: NamedArray
    value: NamedArray

    def as_context(self, visible: NamedArray, Key: Axis, causal_along: str | None = None) -> Context:
        """Returns them for queries that see what `visible` says."""
        return Context(self.key, self.value, visible, Key, causal_along)

    def head_first(self) -> "KeyValues":
        """Returns them in the order in which attention reads them, so that it need not bring them into it at every step."""
        order = [axis.name for axis in self.key.axes if axis.name not in ("row", "kv_head", "slot", "layer")]
        first = [name for name in ("layer", "row", "kv_head", "slot") if name in {axis.name for axis in self.key.axes}]
        return KeyValues(self.key.rearrange((*first, *order)), self.value.rearrange((*first, *order)))

    def rename(self, old: Axis, new: Axis) -> "KeyValues":
        """Returns them over another axis."""
        return KeyValues(self.key.rename({old: new}), self.value.rename({old: new}))


class Cache(eqx.Module):
    """The keys and values that a stream left in every layer."""

    key_values: KeyValues
    """Over layer, and the axes of the stream."""
    positions: NamedArray
    filled: NamedArray
    """Which entries hold a token: bool over Pos and any batch axes."""
    Pos: Axis = eqx.field(static=True)


class Attention(eqx.Module):
    """Grouped-query self-attention."""

    q_proj: Linear
    k_proj: Linear
    v_proj: Linear
    o_proj: Linear
    q_norm: hnn.RmsNorm | None
    k_norm: hnn.RmsNorm | None

    @staticmethod
    def init(config: DecoderConfig, *, key: jax.Array) -> "Attention":
        keys = jax.random.split(key, 4)
        Heads, KV = (config.KVHeads, config.Group, config.HeadSize), (config.KVHeads, config.HeadSize)
        return Attention(
            Linear.init(config.Embed, Heads, use_bias=config.qkv_bias, key=keys[0]),
            Linear.init(config.Embed, KV, use_bias=config.qkv_bias, key=keys[1]),
            Linear.init(config.Embed, KV, use_bias=config.qkv_bias, key=keys[2]),
            Linear.init(Heads, config.Embed, use_bias=config.o_bias, key=keys[3]),
            _norm(config.HeadSize, config) if config.qk_norm else None,
            _norm(config.HeadSize, config) if config.qk_norm else None,
        )

    def project(self, x: NamedArray, rotary: Rotary, keys: Sequence[jax.Array | None]) -> tuple[NamedArray, KeyValues]:
        """Returns queries (..., kv_head, group, head_size), and keys and values (..., kv_head, head_size)."""
        query, key, value = self.q_proj(x, key=keys[0]), self.k_proj(x, key=keys[1]), self.v_proj(x, key=keys[2])
        if self.q_norm is not None and self.k_norm is not None:
            query, key = self.q_norm(query), self.k_norm(key)
        return rotary(query), KeyValues(rotary(key), value)


class Mlp(eqx.Module):
    """The gated feed-forward layer, SwiGLU (Shazeer 2020, arXiv:2002.05202)."""

    gate_proj: Linear
    up_proj: Linear
    down_proj: Linear

    @staticmethod
    def init(config: DecoderConfig, *, key: jax.Array) -> "Mlp":
        keys = jax.random.split(key, 3)
        return Mlp(
            Linear.init(config.Embed, config.Mlp, use_bias=config.mlp_bias, key=keys[0]),
            Linear.init(config.Embed, config.Mlp, use_bias=config.mlp_bias, key=keys[1]),
            Linear.init(config.Mlp, config.Embed, use_bias=config.mlp_bias, key=keys[2]),
        )

    def __call__(self, x: NamedArray, keys: Sequence[jax.Array | None]) -> NamedArray:
        gate = hnn.silu(self.gate_proj(x, key=keys[0]))
        return self.down_proj(gate * self.up_proj(x, key=keys[1]), key=keys[2])


class Block(eqx.Module):
    """One layer: attention and feed-forward, each behind a norm and added to its input."""

    attention_norm: hnn.RmsNorm
    attention: Attention
    mlp_norm: hnn.RmsNorm
    mlp: Mlp

    @staticmethod
    def init(config: DecoderConfig, *, key: jax.Array) -> "Block":
        attention_key, mlp_key = jax.random.split(key)
        return Block(
            _norm(config.Embed, config),
            Attention.init(config, key=attention_key),
            _norm(config.Embed, config),
            Mlp.init(config, key=mlp_key),
        )

    def __call__(
        self,
        x: NamedArray,
        stream: Stream,
        rotary: Rotary,
        own_visible: NamedArray,
        contexts: Sequence[Context],
        attend: Attend,
        key: jax.Array | None,
    ) -> tuple[NamedArray, KeyValues]:
        """Returns the stream's next hidden states (..., embed) and its keys and values in this layer."""
        keys = [None] * 7 if key is None else list(jax.random.split(key, 7))
        query, key_values = self.attention.project(self.attention_norm(x), rotary, keys)
        own = key_values.rename(stream.Pos, stream.Key).as_context(own_visible, stream.Key, stream.Pos.name)
        attended = attend(query, [*contexts, own])
        x = x + self.attention.o_proj(attended, key=keys[3])
        return x + self.mlp(self.mlp_norm(x), keys[4:]), key_values


class Decoder(eqx.Module):
    """The model: embeddings, layers, and a head over the vocabulary, which may be the embeddings again."""

    embeddings: NamedArray
    """(vocab, embed)"""
    blocks: Stacked[Block]
    final_norm: hnn.RmsNorm
    head: NamedArray | None
    """(vocab, embed), or None where it is tied to the embeddings."""
    config: DecoderConfig = eqx.field(static=True)
    partitioning: Partitioning | None = eqx.field(static=True, default=None)
    """How it lies over several devices; None on one."""
    attend: Attend = eqx.field(static=True, default=attend)
    """What computes its attention."""

    @staticmethod
    def init(config: DecoderConfig, *, key: jax.Array) -> "Decoder":
        """Makes a model with random weights."""
        embed_key, blocks_key, head_key = jax.random.split(key, 3)
        table = (config.Vocab, config.Embed)
        # Computing all but the products again is cheaper than to store and load it.
        init_blocks = Stacked.init(config.Layers, Block, gradient_checkpointing=REMAT_POLICIES["products"])
        return Decoder(
            hax.random.normal(embed_key, table) * 0.02,
            init_blocks(config, key=jax.random.split(blocks_key, config.num_layers)),
            _norm(config.Embed, config),
            None if config.tied_head else hax.random.normal(head_key, table) * 0.02,
            config,
        )

    def __call__(
        self, streams: Sequence[Stream], past: Sequence[Cache] = (), *, key: jax.Array | None = None
    ) -> tuple[list[NamedArray], list[Cache]]:
        """Runs the streams, each attending to `past`, to all of every stream before it, and causally to itself.

        Returns, a stream each, the normed hidden states (axes of the tokens, embed) and the cache that it leaves.
        `key` turns the adapters' dropout on.
        """
        window = self.config.sliding_window
        rotaries = [Rotary.at(stream.positions, self.config) for stream in streams]
        own = [stream.own_visibility(window) for stream in streams]

        def seen_by(stream: Stream, filled: NamedArray, positions: NamedArray) -> NamedArray:
            if window is None:
                return filled
            distance = stream.positions.broadcast_axis(positions.axes) - positions.broadcast_axis(stream.positions.axes)
            return filled & (distance < window)

        past_visible = [[seen_by(stream, cache.filled, cache.positions) for cache in past] for stream in streams]
        earlier_visible = [
            [seen_by(stream, earlier.segments > 0, earlier.positions) for earlier in streams[:index]]
            for index, stream in enumerate(streams)
        ]

        def layer(
            block: Block, hidden: list[NamedArray], past_key_values: list[KeyValues], layer_key: jax.Array | None
        ) -> tuple[list[NamedArray], list[KeyValues]]:
            outputs: list[NamedArray] = []
            key_values: list[KeyValues] = []
            for index, stream in enumerate(streams):
                contexts = [
                    kept.as_context(visible, cache.Pos)
                    for kept, visible, cache in zip(past_key_values, past_visible[index], past, strict=True)
                ]
                contexts += [
                    left.as_context(visible, earlier.Pos)
                    for left, visible, earlier in zip(key_values, earlier_visible[index], streams[:index], strict=True)
                ]
                stream_key = None if layer_key is None else jax.random.fold_in(layer_key, index)
                x, own_key_values = block(hidden[index], stream, rotaries[index], own[index], contexts, self.attend, stream_key)
                outputs.append(self._laid_out(x))
                key_values.append(own_key_values)
            return outputs, key_values

        embedded = [self._laid_out(self.embeddings.take("vocab", stream.tokens)) for stream in streams]
        layer_keys = None if key is None else jax.random.split(key, self.config.num_layers)
        scan = self.blocks.scan_via(layer)  # pyright: ignore[reportCallIssue, reportArgumentType]
        hidden, key_values = scan(embedded, [cache.key_values for cache in past], layer_keys)
        caches = [
            Cache(left, stream.positions, stream.segments > 0, stream.Pos)
            for left, stream in zip(key_values, streams, strict=True)
        ]
        return [self.final_norm(x) for x in hidden], caches

    @property
    def words(self) -> NamedArray:
        """What hidden states are multiplied by to score the next token: (vocab, embed)."""
        return self.embeddings if self.head is None else self.head

    def _laid_out(self, hidden: NamedArray) -> NamedArray:
        """Says where hidden states lie, so that weights come to the tokens, and not tokens to the weights."""
        return hidden if self.partitioning is None else self.partitioning.place_batch(hidden)

    def logits(self, hidden: NamedArray) -> NamedArray:
        """Returns the scores of the next token, float32, for normed hidden states (..., embed): (..., vocab)."""
        return hax.dot(hidden, self.words, axis="embed", preferred_element_type=jnp.float32)


def _norm(axis: Axis, config: DecoderConfig) -> hnn.RmsNorm:
    return hnn.RmsNorm.init(axis, eps=config.norm_epsilon, use_bias=False, dtype=jnp.float32)
