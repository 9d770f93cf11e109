"""The compiler for TPUs, which needs none, takes attention's kernels. Install libtpu for it."""

from collections.abc import Iterator
from typing import Any

import haliax as hax
import jax
import jax.numpy as jnp
import pytest
from haliax import Axis, NamedArray
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

from sofit.model.attention import Context, Merged
from sofit.model.attention.flash import InKernels

pytestmark = pytest.mark.slow

Row, Slot, Pos, Prefix = Axis("row", 2), Axis("slot", 11), Axis("position", 160), Axis("prefix_position", 960)
Heads, Group, Own = Axis("kv_head", 3), Axis("group", 3), Pos.alias("position_key")


@pytest.fixture(autouse=True)
def nothing_from_the_cache() -> Iterator[None]:
    """What is compiled for another device cannot be read from the cache without it."""
    jax.config.update("jax_enable_compilation_cache", False)
    yield
    jax.config.update("jax_enable_compilation_cache", True)


@pytest.mark.parametrize("chip", ["v4:2x2x1", "v5e:2x2", "v6e:2x2"])
@pytest.mark.parametrize("head_size", [64, 128])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32], ids=["bfloat16", "float32"])
def test_forwards_and_backwards_compile(chip: str, head_size: int, dtype: jnp.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("libtpu")
    monkeypatch.setenv("TPU_SKIP_MDS_QUERY", "1")
    monkeypatch.setenv("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    device = topologies.get_topology_desc(chip, "tpu").devices[0]
    Size = Axis("head_size", head_size)

    def array(*axes: Axis, of: jnp.dtype = dtype) -> NamedArray:
        shape: Any = jax.ShapeDtypeStruct([axis.size for axis in axes], of, sharding=SingleDeviceSharding(device))
        return NamedArray(shape, axes)

    def loss(query: NamedArray, prefix: NamedArray, own: NamedArray, filled: NamedArray, causal: NamedArray) -> jax.Array:
        contexts = [Context(prefix, prefix, filled, Prefix), Context(own, own, causal, Own, Pos.name)]
        return hax.sum(Merged(InKernels())(query, contexts).astype(jnp.float32)).scalar()

    queries, keys = (Row, Slot, Pos, Heads, Group, Size), [(Row, Prefix, Heads, Size), (Row, Slot, Own, Heads, Size)]
    visible = [array(Row, Prefix, of=jnp.bool_), array(Row, Slot, Pos, Own, of=jnp.bool_)]
    # sofit asks for whole products of float32.
    with jax.default_matmul_precision("highest"):
        lowered = jax.jit(jax.grad(loss, argnums=(0, 1, 2))).lower(array(*queries), *(array(*axes) for axes in keys), *visible)
        # A kernel forwards and two backwards, for each of the contexts.
        assert str(lowered.compile().as_text()).count("tpu_custom_call") >= 6
