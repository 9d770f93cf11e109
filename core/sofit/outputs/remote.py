"""Run folders elsewhere: a run writes on this machine, and its folder is mirrored to any fsspec address.

Only files that have changed are sent, when there is a new checkpoint and at the end. Last comes a list of what makes up the
folder, and only then is what is no longer in it deleted. So what the list names is there at any moment, and a run that is killed
while it sends is resumed from the checkpoint before.

What could not be sent is on this machine alone. A mark says so, until all of it has been sent, and where another run comes in its
place, it is set aside.
"""

import hashlib
import json
import logging
import shutil
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sofit.cache_folder import default_cache_folder
from sofit.errors import SofitError
from sofit.hookspecs import hookimpl
from sofit.records.filesystems import open_filesystem
from sofit.run import Run, StepRecord

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

LIST_NAME = ".sofit-files.json"
_log = logging.getLogger(__name__)


def is_remote(folder: str) -> bool:
    """Whether a folder is named by an address."""
    return "://" in folder


@dataclass(eq=False)
class RemoteRun:
    """A run folder at an address, and its original on this machine. An observer that sends it at every checkpoint."""

    address: str
    local: Path
    """In sofit's cache folder, under a name made from the address."""
    _sent: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Size and time of each file, by its path in the folder, as it was sent."""

    @classmethod
    def at(cls, address: str) -> "RemoteRun":
        """Returns the run folder at an address, of which nothing is read yet."""
        address = address.rstrip("/")
        name = hashlib.sha256(address.encode()).hexdigest()[:16]
        return cls(address, default_cache_folder() / "runs" / name)

    def exists(self) -> bool:
        """Whether something is there.

        Raises:
            SofitError: that cannot be told.
        """
        filesystem, folder = open_filesystem(self.address)
        try:
            return bool(filesystem.exists(folder) and filesystem.ls(folder))
        except Exception as error:  # Each kind of storage raises its own.
            raise self._error("read", error) from error

    def holds_run(self) -> bool:
        """Whether a run has been sent there.

        Raises:
            SofitError: that cannot be told.
        """
        filesystem, folder = open_filesystem(self.address)
        try:
            return filesystem.exists(f"{folder}/{LIST_NAME}")
        except Exception as error:
            raise self._error("read", error) from error

    def fetch(self) -> None:
        """Makes the original on this machine what the address has.

        Raises:
            SofitError: no run is there, or it cannot be read.
        """
        if not self.holds_run():
            remedy = "It holds files of none; empty it first." if self.exists() else "Leave --resume out to start one."
            if self._unsent.exists():
                remedy = f"What was never sent is in {self.local}: --resume --out {self.local} goes on with it."
            raise SofitError(f"There is no run in {self.address} to resume. {remedy}")
        filesystem, folder = open_filesystem(self.address)
        self.clear()
        try:
            for name in json.loads(filesystem.cat_file(f"{folder}/{LIST_NAME}")):
                file = self.local / name
                file.parent.mkdir(parents=True, exist_ok=True)
                filesystem.get_file(f"{folder}/{name}", str(file))
                self._sent[name] = _version(file)
        except Exception as error:
            raise self._error("read", error) from error

    def clear(self) -> None:
        """Makes the original on this machine an empty folder, and sets aside what was there and never sent."""
        if self._unsent.exists() and self.local.exists():
            aside = next(path for path in map(self._aside, count(1)) if not path.exists())
            self.local.rename(aside)
            _log.warning(
                "An earlier run was not sent to %s as a whole. Its files are in %s now: --resume --out %s goes on with it.",
                self.address,
                aside,
                aside,
            )
        shutil.rmtree(self.local, ignore_errors=True)
        self._unsent.unlink(missing_ok=True)
        self.local.mkdir(parents=True)

    def send(self) -> None:
        """Makes the address have what the original on this machine has.

        Raises:
            SofitError: it cannot be written.
        """
        filesystem, folder = open_filesystem(self.address)
        now = {
            str(PurePosixPath(file.relative_to(self.local))): _version(file) for file in self.local.rglob("*") if file.is_file()
        }
        try:
            self._unsent.touch()
            for name, version in now.items():
                if self._sent.get(name) != version:
                    _put(filesystem, self.local / name, f"{folder}/{name}")
            filesystem.makedirs(folder, exist_ok=True)
            filesystem.pipe_file(f"{folder}/{LIST_NAME}", json.dumps(sorted(now), indent=0).encode())
            for name in self._sent.keys() - now.keys():
                if filesystem.exists(f"{folder}/{name}"):
                    filesystem.rm_file(f"{folder}/{name}")
        except Exception as error:
            raise self._error("written", error) from error
        self._sent = now
        self._unsent.unlink(missing_ok=True)

    def send_or_warn(self) -> None:
        """Does as `send`, and tells a failure: one on the way must not end the run, nor one at its end hide why it ended."""
        try:
            self.send()
        except SofitError as error:
            _log.warning("%s", error)

    @hookimpl(trylast=True)  # After whatever else writes into the folder.
    def sofit_checkpoint_saved(self, run: Run, step: StepRecord, path: Path) -> None:
        """Sends the folder. Where that fails, it is tried again at the next checkpoint."""
        self.send_or_warn()

    @property
    def _unsent(self) -> Path:
        """The mark that the original on this machine has what the address has not."""
        return self.local.with_name(f"{self.local.name}.unsent")

    def _aside(self, number: int) -> Path:
        return self.local.with_name(f"{self.local.name}-unsent-{number}")

    def _error(self, what: str, error: Exception) -> SofitError:
        reason = " ".join(str(error).split()) or type(error).__name__
        files = f" The files of the run are in {self.local}." if what == "written" else ""
        return SofitError(f"{self.address} cannot be {what}: {reason}.{files}")


def _version(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


def _put(filesystem: "AbstractFileSystem", file: Path, path: str) -> None:
    filesystem.makedirs(filesystem._parent(path), exist_ok=True)
    filesystem.put_file(str(file), path)
