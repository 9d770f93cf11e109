"""How sofit sets JAX up. What the user set in JAX's own environment variables stays."""

import os

import jax

from sofit.cache_folder import default_cache_folder

_VECTOR_WIDTH = "xla_cpu_prefer_vector_width"
_LAST_JAX_WITH_VECTOR_WIDTH = (0, 12)
"""XLA ends a process that sets an option which it does not know, so it is set where it is known to be there."""


def apply_jax_settings() -> None:
    """Keeps compiled code between runs, and lets products of float32 be float32 and processors use their widest vectors.

    By default JAX leaves out bits of products: a GPU computes in TF32, with 10 bits of mantissa, a TPU in bfloat16 with 7.
    Whoever wants that speed asks for bfloat16 by `trainer.mp`. Of vectors of 512 bits XLA uses 256 where nothing is said.

    It must be called before JAX looks for devices.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(default_cache_folder() / "compiled"))
    if "JAX_DEFAULT_MATMUL_PRECISION" not in os.environ:
        jax.config.update("jax_default_matmul_precision", "highest")
    flags = os.environ.get("XLA_FLAGS", "")
    if _VECTOR_WIDTH not in flags and jax.__version_info__[:2] <= _LAST_JAX_WITH_VECTOR_WIDTH:
        os.environ["XLA_FLAGS"] = f"{flags} --{_VECTOR_WIDTH}=512".lstrip()
