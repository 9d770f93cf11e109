"""sofit's own cache folder."""

import os
import sys
from pathlib import Path


def default_cache_folder() -> Path:
    """Returns the environment variable SOFIT_CACHE, or the folder "sofit" where the platform keeps caches."""
    if folder := os.environ.get("SOFIT_CACHE"):
        return Path(folder).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "sofit" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sofit"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sofit"
