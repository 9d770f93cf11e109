"""The devices that a plan is for: those of the machine, or simulated ones."""

import os

import jax

from sofit.errors import SofitError


def simulate_devices(count: int) -> None:
    """Lets JAX see so many devices, which share this machine's processor. To be called before JAX first looks for devices.

    Raises:
        SofitError: JAX has looked already.
    """
    try:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError as error:
        raise SofitError(f"{count} devices cannot be simulated any more: JAX runs already. Start a new process.") from error


def device_memory_bytes() -> int | None:
    """Returns what one of this machine's devices holds, as it reports itself; None where it does not."""
    device, *_ = jax.local_devices()
    reported = (device.memory_stats() or {}).get("bytes_limit")
    if reported is None and device.platform == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // len(jax.local_devices())
    return reported
