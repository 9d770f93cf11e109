"""Where a run writes."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from sofit.config import Config
from sofit.errors import SofitError
from sofit.outputs.lock import locked
from sofit.outputs.remote import RemoteRun


def has_begun(folder: Path) -> bool:
    """Whether a run has begun in a folder, and so can be resumed."""
    return (folder / "config.yaml").is_file()


@contextlib.contextmanager
def open_run_folder(config: Config, *, resume: bool = False) -> Iterator[Path]:
    """Makes and gives the run folder: `config.out`, or else the first runs/TASK-METHOD-NUMBER that is free.

    It is locked meanwhile. Where an error comes before the run has begun, a folder that was empty is taken away with whatever
    a tracker has left there, so that it and its number are free for the next try.

    Raises:
        SofitError: the folder holds something already and `resume` is not given; no run has begun in it that could be resumed;
            another process trains into it; it cannot be made or written into.
    """
    if config.out is None:
        if resume:
            raise SofitError("--resume goes on with a run: name its folder with --out.")
        folder = _next_folder(f"{'mixture' if config.mixture else config.task}-{config.method}")
    else:
        folder = Path(config.out)
        if resume and not has_begun(folder):
            raise _nothing_to_resume(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SofitError(f"Cannot make the run folder {folder}: {error.strerror or error}.") from error
    with locked(folder):
        if not resume and _holds_something(folder):
            raise _not_empty(folder, begun=has_begun(folder))
        _check_writing(folder)
        with _taken_away_unless_begun(folder):
            yield folder


@contextlib.contextmanager
def open_remote_run(address: str, *, resume: bool = False) -> Iterator[RemoteRun]:
    """Gives the run folder at an fsspec address, with its original on this machine: empty, or what is there to be resumed.

    Raises:
        SofitError: the address cannot be reached; it holds something already and `resume` is not given; no run has begun there
            that could be resumed; another process on this machine trains into it; or several processes train together, which
            need a folder that all of them see.
    """
    import jax

    if jax.process_count() > 1:
        raise SofitError(
            f"Several processes write their checkpoints into one folder, which {address} cannot be. Mount it, and name its folder"
            " with --out."
        )
    run = RemoteRun.at(address)
    run.local.parent.mkdir(parents=True, exist_ok=True)
    with locked(run.local):
        if resume:
            run.fetch()
        elif run.exists():
            raise _not_empty(address, begun=run.holds_run())
        else:
            run.clear()
        with _taken_away_unless_begun(run.local):
            yield run


@contextlib.contextmanager
def _taken_away_unless_begun(folder: Path) -> Iterator[None]:
    was_empty = not _holds_something(folder)
    try:
        yield
    except BaseException:
        if was_empty and not has_begun(folder):
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _not_empty(folder: Path | str, *, begun: bool) -> SofitError:
    if begun:
        return SofitError(f"{folder} holds a run already. Go on with it by --resume, or name another folder with --out.")
    return SofitError(f"{folder} holds files already, and no run. Empty it, or name another folder with --out.")


def _nothing_to_resume(folder: Path) -> SofitError:
    if _holds_something(folder):
        remedy = "It holds files, but no config.yaml. To start a run, empty it or name another folder with --out."
    else:
        remedy = "Leave --resume out to start one."
    return SofitError(f"There is no run in {folder} to resume. {remedy}")


def _check_writing(folder: Path) -> None:
    """Finds out before all the loading whether files can be made in the folder.

    Raises:
        SofitError: none can.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".sofit-"):
            pass
    except OSError as error:
        raise SofitError(f"Cannot write into the run folder {folder}: {error.strerror or error}.") from error


def _next_folder(name: str) -> Path:
    for number in count(1):
        folder = Path("runs", f"{name}-{number}")
        try:
            folder.mkdir(parents=True)  # Fails where another run took the number a moment ago.
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise SofitError(f"Cannot make the run folder {folder}: {error.strerror or error}. Name one with --out.") from error
    raise AssertionError("unreachable")
