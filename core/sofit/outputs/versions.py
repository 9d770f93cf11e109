"""What was installed when a run was made."""

import importlib.metadata
import platform

_NAMES = "sofit-jax jax jaxlib equinox marin-haliax optax transformers tokenizers llguidance lark"


def installed_versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that decide a run's numbers."""
    versions = {"python": platform.python_version()}
    for name in _NAMES.split():
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
