"""The share of the machine's rate of matrix products that training reaches: what is called MFU, with a measured peak.

The peak is measured at the model's own sizes and in its own type, so it holds on any device; a vendor's figure is higher.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sofit.flops import flops_per_step
from sofit.model import DecoderConfig, LoraSpec
from sofit.model.partitioning import Device
from sofit.packing import BatchShape

_TOKENS = 2048
"""The rows of the products that are measured: about the tokens of a batch with a long prefix."""
_LEAST_SECONDS = 0.1
"""How long one measurement takes at least, so that starting it costs nothing."""
_MEASUREMENTS = 4


@dataclass(frozen=True)
class Utilisation:
    """What training is compared with."""

    peak_flops_per_second: float
    """Of all devices together."""
    config: DecoderConfig
    lora: LoraSpec | None
    """The adapters that are trained; None where all weights are."""

    @staticmethod
    def measure(config: DecoderConfig, lora: LoraSpec | None, dtype: str, devices: Sequence[Device]) -> "Utilisation":
        """Measures the devices for about a second, in the type to compute in."""
        return Utilisation(gemm_peak(config, dtype, devices), config, lora)

    def share(self, shapes: Sequence[BatchShape], seconds: float) -> float:
        """Returns the share of the peak that a step on micro-batches of these shapes reaches: at most about 1."""
        return flops_per_step(self.config, shapes, self.lora) / seconds / self.peak_flops_per_second


def gemm_peak(config: DecoderConfig, dtype: str, devices: Sequence[Device]) -> float:
    """Returns the operations a second of products of the size of the MLP's, taken on all devices at once.

    Devices of other processes count as much as those of this one.
    """
    local = [device for device in devices if device.process_index == jax.process_index()]
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = ((_TOKENS, config.embed_size), (config.embed_size, config.mlp_size), (config.mlp_size, config.embed_size))
    arrays = [jax.random.normal(key, shape).astype(dtype) for key, shape in zip(keys, shapes, strict=True)]
    on_devices = [jax.device_put(arrays, device) for device in local]
    flops = 2 * 2 * _TOKENS * config.embed_size * config.mlp_size * len(local)

    def seconds(repeats: int) -> float:
        start = time.perf_counter()
        jax.block_until_ready([_products(*on_device, repeats) for on_device in on_devices])
        return time.perf_counter() - start

    repeats = 1
    seconds(repeats)  # Compiles.
    while seconds(repeats) < _LEAST_SECONDS:
        repeats *= 2
    fastest = min(seconds(repeats) for _ in range(_MEASUREMENTS))
    return flops * repeats / fastest * len(devices) / len(local)


@jax.jit
def _products(hidden: jax.Array, up: jax.Array, down: jax.Array, repeats: int) -> jax.Array:
    """Takes hidden (token, embed) through up (embed, mlp) and down (mlp, embed), again and again."""

    def once(_: int, hidden: jax.Array) -> jax.Array:
        mixed = hidden @ up @ down
        # Else the numbers would outgrow their type, or become so small that processors are slow at them.
        return mixed * jax.lax.rsqrt(jnp.mean(jnp.square(mixed.astype(jnp.float32)))).astype(mixed.dtype)

    return jax.lax.fori_loop(0, repeats, once, hidden)
