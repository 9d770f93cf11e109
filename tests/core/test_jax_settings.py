"""What the user set in the environment stays, and what sofit adds to it takes effect."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os
from sofit.jax_settings import apply_jax_settings
apply_jax_settings()
import jax
print(jax.device_count(), os.environ["XLA_FLAGS"])
"""


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (None, "1 --xla_cpu_prefer_vector_width=512"),
        ("--xla_cpu_prefer_vector_width=128", "1 --xla_cpu_prefer_vector_width=128"),
        (
            "--xla_force_host_platform_device_count=2",
            "2 --xla_force_host_platform_device_count=2 --xla_cpu_prefer_vector_width=512",
        ),
    ],
)
def test_the_flags_of_the_user_stay(flags: str | None, expected: str):
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    environment |= {"JAX_PLATFORMS": "cpu"} | ({} if flags is None else {"XLA_FLAGS": flags})
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
