"""How sofit sets JAX up. What the user set in JAX's own environment variables stays."""

import os

import jax

from sofit.cache_folder import default_cache_folder


def apply_jax_settings() -> None:
    """Keeps compiled code between runs, and lets matrix products of float32 be float32 on every device.

    JAX leaves out bits of them by default: a GPU computes in TF32, with 10 bits of mantissa, a TPU in bfloat16 with 7. Whoever
    wants that speed asks for bfloat16 by `trainer.mp`.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(default_cache_folder() / "compiled"))
    if "JAX_DEFAULT_MATMUL_PRECISION" not in os.environ:
        jax.config.update("jax_default_matmul_precision", "highest")
