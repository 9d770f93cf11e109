"""How much of a result too large to exist whole is made at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

_ON_ACCELERATOR = 512 << 20
_is_for_accelerators = ContextVar("_is_for_accelerators", default=False)


def block_bytes(on_processor: int) -> int:
    """Returns the most bytes of a block: on a processor what its cache holds, as given; on a GPU or TPU 512 MiB.

    An accelerator has no such cache, and is quick only at large products: in blocks of 8 MiB, a step takes a third longer on
    an H100.
    """
    return on_processor if is_for_processors() else _ON_ACCELERATOR


def is_for_processors() -> bool:
    """Tells whether what is compiled now is for processors, and not for a GPU or TPU."""
    return jax.default_backend() == "cpu" and not _is_for_accelerators.get()


@contextmanager
def blocks_of_accelerators() -> Iterator[None]:
    """Lets what is compiled in here have the blocks of accelerators, to plan for them on a processor."""
    before = _is_for_accelerators.set(True)
    try:
        yield
    finally:
        _is_for_accelerators.reset(before)
