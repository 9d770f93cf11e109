"""Compiled code, kept between runs."""

import os

import jax

from sofit.cache_folder import default_cache_folder


def use_compilation_cache() -> None:
    """Lets JAX keep what it compiles in sofit's cache folder, so that the second start of a run is quick."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(default_cache_folder() / "compiled"))
