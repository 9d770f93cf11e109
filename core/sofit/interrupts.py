"""Ctrl-C that is never lost."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from sofit.hookspecs import hookimpl
from sofit.run import Run, StepRecord


class Interrupts:
    """Raises KeyboardInterrupt on Ctrl-C, and after the step under way where that exception was dropped.

    Python drops exceptions in finalisers and in callbacks of its garbage collector, and jax has such callbacks. This is a context
    manager, and a plugin that is told of steps.
    """

    def __init__(self) -> None:
        self._pressed = False
        self._earlier: Any = None

    def __enter__(self) -> "Interrupts":
        # A process in the background may have been told to ignore Ctrl-C, and only the main thread may ask for signals.
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            self._earlier = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._earlier is not None:
            signal.signal(signal.SIGINT, self._earlier)

    def _press(self, number: int, frame: FrameType | None) -> None:
        self._pressed = True
        raise KeyboardInterrupt

    @hookimpl(trylast=True)  # The files of the run get the step first.
    def sofit_step_end(self, run: Run, step: StepRecord) -> None:
        """Raises KeyboardInterrupt where Ctrl-C was pressed."""
        if self._pressed:
            raise KeyboardInterrupt
