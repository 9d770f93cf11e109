"""A progress bar on the standard error, for files that take more than a moment."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sofit.validation.sources import Source

_PATIENCE_SECONDS = 1.0


@contextmanager
def progress_bar(sources: Sequence[Source]) -> Iterator[Callable[[int], None]]:
    """Gives what to tell of the bytes that were read. Shows nothing during the first second, nor outside a terminal."""
    if not sys.stderr.isatty():
        yield lambda size_bytes: None
        return
    bar = _Bar(sources)
    try:
        yield bar.advance
    finally:
        bar.stop()


class _Bar:
    def __init__(self, sources: Sequence[Source]):
        self._sources = sources
        self._start_seconds = time.monotonic()
        self._read_bytes = 0
        self._stop: Callable[[], None] | None = None
        self._show: Callable[[int], None] | None = None

    def advance(self, size_bytes: int) -> None:
        self._read_bytes += size_bytes
        if self._show is not None:
            self._show(self._read_bytes)
        elif time.monotonic() - self._start_seconds > _PATIENCE_SECONDS:
            self._begin()

    def stop(self) -> None:
        if self._stop is not None:
            self._stop()

    def _begin(self) -> None:
        # Not before it is needed: most validations are over sooner than rich is imported.
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

        sizes = [source.size_bytes for source in self._sources]
        total = sum(size for size in sizes if size is not None) if None not in sizes else None
        progress = Progress(
            "Validating", BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
        )
        task = progress.add_task("", total=total)
        progress.start()
        self._stop = progress.stop
        self._show = lambda size_bytes: progress.update(task, completed=size_bytes)
