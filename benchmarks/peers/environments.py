"""An environment for each peer, made once, from the package index that pip is set up with."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sofit.errors import SofitError


@dataclass(frozen=True)
class Peer:
    """A trainer to compare with."""

    script: str
    python: str
    """The version that its packages need."""
    packages: tuple[tuple[str, ...], ...]
    """What pip is asked for, one call after the other: later ones mend what earlier ones resolve to."""
    micro_tokens: int
    """How many tokens go through at once where it is fastest on 2 cores."""
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    averages: str = "tokens"
    """What its loss is the mean of: all completion `tokens` of the batch, or the means of its `micro` batches."""


PEERS: Mapping[str, Peer] = {
    "trl": Peer(
        "run_trl.py", "3.11", (("torch==2.13.0", "transformers==5.23.0", "trl==1.16.0", "peft==0.21.2"),), micro_tokens=4352
    ),
    "levanter": Peer(
        "run_levanter.py",
        "3.12",
        (
            ("--pre", "levanter==1.2.dev1644"),
            ("GitPython", "chex", "jax==0.7.2", "jaxlib==0.7.2", "flax<0.12.3"),
        ),
        micro_tokens=4352,
        averages="micro",
    ),
    "tunix": Peer(
        "run_tunix.py", "3.12", (("google-tunix==0.1.7",),), micro_tokens=1088, precisions=("float32",), averages="micro"
    ),
}


def python_of(name: str, folder: Path) -> Path:
    """Returns the interpreter of a peer's environment, made in `folder` if it is not there.

    Raises:
        SofitError: the version of Python that it needs is not installed, or pip fails.
    """
    peer, home = PEERS[name], folder / name
    python = home / "bin" / "python"
    if (home / "installed").is_file():
        return python
    of_version = _interpreter(peer.python)
    if of_version is None:
        raise SofitError(
            f"{name} needs Python {peer.python}, and there is no python{peer.python}. Install it, or leave {name} out."
        )
    print(f"making the environment of {name} in {home}", flush=True)
    subprocess.run([of_version, "-m", "venv", "--clear", str(home)], check=True)
    for packages in peer.packages:
        done = subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=False)
        if done.returncode != 0:
            raise SofitError(f"pip could not install {' '.join(packages)} for {name}. What it says stands above.")
    (home / "installed").touch()
    return python


def _interpreter(version: str) -> str | None:
    """Returns an interpreter of that version that starts; pyenv puts names on the path that do not."""
    if sys.version.startswith(f"{version}."):
        return sys.executable
    found = shutil.which(f"python{version}")
    starts = found is not None and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
    return found if starts else None
