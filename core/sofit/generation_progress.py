"""How far generation has come, for whoever watches: a bar on a terminal, a line now and then in a log."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from sofit.outputs.times import duration

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

LOG_EVERY_SECONDS = 10.0
_FIRST_SECONDS = 1.0
"""What comes this soon after the first tokens was written with them: what it took is compiling, too."""


def make_bar(stream: TextIO, *, transient: bool = False) -> "Bar":
    """Makes a bar whose tasks are shown as what they are, how many of how many, and the text of their field `figures`.

    A transient one leaves nothing behind.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    what, figures = TextColumn("{task.description}"), TextColumn("{task.fields[figures]}")
    # The elapsed time moves even while something compiles, which takes long.
    columns = (what, MofNCompleteColumn(), BarColumn(), TimeElapsedColumn(), figures)
    return Progress(*columns, console=Console(file=stream), transient=transient)


class GenerationProgress:
    """Shows one generation after another. As a context manager it takes its bar away at the end."""

    def __init__(self, stream: TextIO | None = None, bar: "Bar | None" = None) -> None:
        """Writes to `stream`, by default the standard error, or into a bar that somebody else started there."""
        self._stream = stream or sys.stderr
        self._bar = bar
        self._owns_bar = False
        self._task: TaskID | None = None
        self._last_line = 0.0
        self._first: float | None = None
        self._measured_from = (0.0, 0, 0.0)

    def __enter__(self) -> "GenerationProgress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None and self._owns_bar:
            self._bar.stop()

    def show(self, name: str, done: int, n: int, share: float) -> None:
        """Shows that `done` of `n` outputs are written, and the `share` of the work; a generation begins with a share of 0.

        How long it takes is measured from the first tokens on, since the time before these is mostly that of compiling.
        """
        now = time.monotonic()
        if share == 0:
            self._begin(name, n, now)
            return
        figures = self._figures(done, share, now)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, figures=figures)
            if done == n:
                self._bar.remove_task(self._task)
                self._task = None
        elif now - self._last_line >= LOG_EVERY_SECONDS and done < n:
            self._last_line = now
            self._stream.write(f"{name}: {done}/{n}  {figures}".rstrip() + "\n")
            self._stream.flush()

    def _figures(self, done: int, share: float, now: float) -> str:
        self._first = now if self._first is None else self._first
        if now - self._first < _FIRST_SECONDS:
            self._measured_from = now, done, share
            return ""
        start, done_before, share_before = self._measured_from
        per_second = (done - done_before) / (now - start)
        rate = f"{per_second:.3g} outputs/s" if per_second else ""
        # It can fall, where outputs turn out to be longer than the ones before them.
        if share <= share_before:
            return rate
        return f"{rate}  {duration((now - start) * (1 - share) / (share - share_before))} left".lstrip()

    def _begin(self, name: str, n: int, now: float) -> None:
        self._last_line, self._first = now, None
        if self._bar is None and self._stream.isatty():
            self._bar, self._owns_bar = make_bar(self._stream, transient=True), True
            self._bar.start()
        if self._bar is not None:
            self._task = self._bar.add_task(name, total=n, figures="")
