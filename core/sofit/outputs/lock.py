"""Keeping a run folder to the process that trains into it."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from sofit.errors import SofitError

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a lock on a folder, `.NAME.lock` beside it, which ends with the process at the latest.

    Where a file system has no locks, or nothing may be written beside the folder, it goes on without one and says so.

    Raises:
        SofitError: another process holds it.
    """
    from filelock import FileLock, SoftFileLock, Timeout

    place = folder.resolve()  # "." has no name.
    path = place.with_name(f".{place.name}.lock")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise SofitError(
            f"Another process trains into {folder}. Name another folder with --out, or wait for its end."
            " Processes of one run need --distributed or --coordinator."
        ) from error
    except (OSError, NotImplementedError) as error:
        _log.warning("%s cannot be locked, so nothing keeps another process from training into it: %s", folder, error)
        yield
        return
    if isinstance(lock, SoftFileLock):
        # What filelock takes where there are no locks would outlive a process that is killed.
        lock.release()
    try:
        yield
    finally:
        if lock.is_locked:
            # While it is held, so that nobody holds a lock on a file that is gone.
            with contextlib.suppress(OSError):
                path.unlink()
            lock.release()
