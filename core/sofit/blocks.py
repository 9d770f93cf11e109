"""How much of a result too large to exist whole is made at a time."""

import jax

_ON_ACCELERATOR = 512 << 20


def block_bytes(on_processor: int) -> int:
    """Returns the most bytes of a block: on a processor what its cache holds, as given; on a GPU or TPU 512 MiB.

    An accelerator has no such cache, and is quick only at large products: in blocks of 8 MiB, a step takes a third longer on
    an H100.
    """
    return on_processor if jax.default_backend() == "cpu" else _ON_ACCELERATOR
