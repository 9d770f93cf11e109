"""Runs of several processes: how they find each other, agree, and end together.

Each process drives its own devices and runs the whole program; what they compute on all devices together keeps them in step.
Process 0 alone writes and talks. What could differ between them, because it depends on time or on plugins, process 0 decides.
"""

import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from sofit.errors import SofitError

if TYPE_CHECKING:
    import jax
    import numpy as np

HEARTBEAT_SECONDS = 20
"""A process that has not been heard of for so long is taken for dead, and ends the others."""
_CONNECT_SECONDS = 300
_ANSWER_SECONDS = 24 * 3600
"""How long to wait for what process 0 decides; long, since a process that dies ends the wait anyway."""
_WATCH_SECONDS = 0.5
_FAILURE = "sofit/failure"
_agreements = count()


@dataclass(frozen=True)
class ProcessAddress:
    """Where a process finds the others; None for what the cluster tells (SLURM, Open MPI, Kubernetes, TPU pods)."""

    coordinator: str | None = None
    """HOST:PORT, where process 0 listens."""
    process_id: int | None = None
    """From 0."""
    num_processes: int | None = None


def connect(address: ProcessAddress) -> None:
    """Joins the other processes of the run, and waits for them. Must come before anything is computed.

    Raises:
        SofitError: the address is incomplete outside a cluster that JAX knows, or the others cannot be reached.
    """
    import jax

    given = (address.coordinator, address.num_processes, address.process_id)
    if jax.config.jax_cpu_collectives_implementation is None:  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # It would take SIGTERM for a warning, to which nothing here listens.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            *given,
            # Else a complete address is mixed with what the cluster says.
            cluster_detection_method="deactivate" if None not in given else None,
            initialization_timeout=_CONNECT_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (ValueError, TypeError) as error:
        raise SofitError(
            f"Cannot tell the processes of the run: {error}"
            " Give --coordinator HOST:PORT, --process-id and --num-processes to each."
        ) from error
    except RuntimeError as error:
        where = address.coordinator or "the coordinator"
        raise SofitError(
            f"Cannot reach the other processes at {where}: {str(error).partition(chr(10))[0]}."
            f" Each must be started within {_CONNECT_SECONDS} s, and process 0 must be reachable at that address."
        ) from error
    if not is_main():
        logging.getLogger("sofit").setLevel(logging.WARNING)


def is_main() -> bool:
    """Whether this process writes and talks: it is the only one, or number 0."""
    import jax

    return jax.process_index() == 0


def agree(value: Any) -> Any:
    """Returns what process 0 gives, a value that JSON can carry. All processes must ask for the same things in the same order."""
    client = _client()
    if client is None:
        return value
    name = f"sofit/agreement/{next(_agreements)}"
    if is_main():
        client.key_value_set(name, json.dumps(value))
        return value
    return json.loads(client.blocking_key_value_get(name, _ANSWER_SECONDS * 1000))


def whole(array: "jax.Array") -> "np.ndarray":
    """Returns an array that may lie on several processes' devices; all of them must ask for it."""
    import numpy as np
    from jax.experimental.multihost_utils import process_allgather

    if array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    return process_allgather(array, tiled=True)


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
    """Ends all processes with the first error of any: the others would wait for it for ever.

    The process with the error writes it to the standard error, and so do the others as soon as they hear of it. All exit with 2
    for a SofitError, with 130 for Ctrl-C, and else with 1. One that dies without a word is missed after HEARTBEAT_SECONDS.
    """
    import jax

    client = _client()
    if client is None:
        yield
        return
    is_over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(client, is_over), daemon=True)
    watcher.start()
    try:
        yield
    except BaseException as error:
        is_over.set()
        _fail(client, error)
    is_over.set()
    watcher.join()
    jax.distributed.shutdown()  # Waits until all have come here.


def _fail(client: Any, error: BaseException) -> None:
    """Tells the others of an error, or takes over theirs if it came first, and exits."""
    import jax

    code, reason = 1, f"{type(error).__name__}: {error}"
    if isinstance(error, SofitError):
        code, reason = 2, str(error)
    elif isinstance(error, KeyboardInterrupt) or hasattr(error, "exit_code"):
        code, reason = 130, "interrupted"  # The command line turns Ctrl-C into an exception with an exit code.
    else:
        # An error of another process reaches this one as a broken connection, too; its own message is on the way.
        time.sleep(3 * _WATCH_SECONDS)
    failure = _failure(client)
    if failure is None:
        failure = {"process": jax.process_index(), "code": code, "reason": reason}
        with contextlib.suppress(Exception):  # Another one was faster, or process 0 is gone.
            client.key_value_set(_FAILURE, json.dumps(failure))
    if is_main():
        time.sleep(4 * _WATCH_SECONDS)  # What the others ask of it ends with this process.
    _exit(failure)


def _watch(client: Any, is_over: threading.Event) -> None:
    """Exits as soon as another process has failed."""
    while not is_over.wait(_WATCH_SECONDS):
        failure = _failure(client)
        if failure is not None and not is_over.is_set():
            if is_main():
                time.sleep(4 * _WATCH_SECONDS)
            _exit(failure)


def _failure(client: Any) -> dict[str, Any] | None:
    try:
        return json.loads(client.key_value_try_get(_FAILURE))
    except Exception:  # None has failed, or process 0 is gone; JAX itself ends this process then.
        return None


def _exit(failure: dict[str, Any]) -> None:
    sys.stderr.write(f"error: process {failure['process']}: {failure['reason']}\n")
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # Not by an exception: the main thread may wait for devices that never answer.
    os._exit(failure["code"])


def _client() -> Any:
    """Returns the key-value store that all processes share; None where there is one process."""
    # JAX has no public name for it; Orbax takes it from here too.
    from jax._src.distributed import global_state

    return global_state.client
