"""The most memory that this process has used."""

import sys


def peak_memory_bytes() -> int | None:
    """Returns the peak of the fullest device; where devices keep no count, as processors do, that of the whole process.

    None where the system does not tell.
    """
    import jax

    counts = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [count["peak_bytes_in_use"] for count in counts if "peak_bytes_in_use" in count]
    if peaks:
        return max(peaks)
    try:
        import resource
    except ImportError:  # Windows.
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
