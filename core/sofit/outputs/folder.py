"""Where a run writes."""

import shutil
from itertools import count
from pathlib import Path

from sofit.config import Config
from sofit.errors import SofitError
from sofit.outputs.remote import RemoteRun


def choose_run_folder(config: Config, *, resume: bool = False) -> Path:
    """Makes and returns the run folder: `config.out`, or else the first runs/TASK-METHOD-NUMBER that is free.

    Raises:
        SofitError: the folder holds something already and `resume` is not given; no run has begun in it that could be resumed;
            it cannot be made.
    """
    if config.out is None:
        if resume:
            raise SofitError("--resume goes on with a run: name its folder with --out.")
        return _next_folder(f"{'mixture' if config.mixture else config.task}-{config.method}")
    folder = Path(config.out)
    holds_something = folder.is_dir() and any(folder.iterdir())
    if resume and not (folder / "config.yaml").is_file():
        raise SofitError(f"There is no run in {folder} to resume. Leave --resume out to start one.")
    if holds_something and not resume:
        raise SofitError(f"{folder} holds files already. Go on with a run by --resume, or name another folder with --out.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SofitError(f"Cannot make the run folder {folder}: {error.strerror or error}.") from error
    return folder


def open_remote_run(address: str, *, resume: bool = False) -> RemoteRun:
    """Returns the run folder at an fsspec address, with its original on this machine: empty, or what is there to be resumed.

    Raises:
        SofitError: the address cannot be reached; it holds something already and `resume` is not given; no run has begun there
            that could be resumed; or several processes train together, which need a folder that all of them see.
    """
    import jax

    if jax.process_count() > 1:
        raise SofitError(
            f"Several processes write their checkpoints into one folder, which {address} cannot be. Mount it, and name its folder"
            " with --out."
        )
    run = RemoteRun.at(address)
    if resume:
        run.fetch()
    elif run.exists():
        raise SofitError(f"{address} holds files already. Go on with a run by --resume, or name another folder with --out.")
    else:
        shutil.rmtree(run.local, ignore_errors=True)
        run.local.mkdir(parents=True)
    return run


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
