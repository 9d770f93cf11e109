import os
import subprocess
import sys

import pytest

from sofit.errors import SofitError
from sofit.precision import Precision, parse_precision


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("p=f32,c=bfloat16", Precision("float32", "bfloat16")),
        ("params=full, compute=bf16, output=f32", Precision("float32", "bfloat16")),
        ("c=half", Precision("float32", "bfloat16")),
        ("p=bf16", Precision("bfloat16", "bfloat16")),
        ("bfloat16", Precision("bfloat16", "bfloat16")),
        ("f32", Precision()),
    ],
)
def test_a_policy_means_what_it_means_to_jmp(policy: str, expected: Precision):
    assert parse_precision(policy) == expected


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("q=f32", "unknown part 'q'"),
        ("c=f8", "unknown type 'f8'"),
        ("c=", "unknown type ''"),
        ("c=f32,compute=bf16", "sets compute twice"),
        ("c=float16", "loss scaling"),
        ("c=bf16,o=bf16", "output in bfloat16"),
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused(policy: str, message: str):
    with pytest.raises(SofitError, match=message):
        parse_precision(policy)


_COMPILED = """
import jax
import jax.numpy as jnp
from sofit.jax_settings import apply_jax_settings
apply_jax_settings()
print(jax.jit(jnp.dot).lower(jnp.ones((2, 2)), jnp.ones((2, 2))).as_text())
"""


@pytest.mark.parametrize(("asked_for", "expected"), [(None, "HIGHEST"), ("tensorfloat32", "HIGH"), ("bfloat16", "DEFAULT")])
def test_products_of_float32_are_float32_on_every_device_unless_the_user_asks_jax_for_less(asked_for: str | None, expected: str):
    environment = {name: value for name, value in os.environ.items() if name != "JAX_DEFAULT_MATMUL_PRECISION"}
    if asked_for is not None:
        environment["JAX_DEFAULT_MATMUL_PRECISION"] = asked_for
    result = subprocess.run([sys.executable, "-c", _COMPILED], env=environment, capture_output=True, text=True, check=True)
    assert f"precision = [{expected}, {expected}]" in result.stdout
