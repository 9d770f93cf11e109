"""Running queries that a model wrote, which may be anything, on a database that must stay as it is.

A process of its own opens the file read-only and lets SQLite run a SELECT with functions that only compute. Time, rows and
memory are bounded; a process that does not answer in time is ended.
"""

import functools
import json
import subprocess
import sys
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sofit_sqlite.database import read_only_uri

TIMEOUT_SECONDS, MOST_ROWS, MEMORY_BYTES = 5.0, 10_000, 512 * 1024 * 1024
_GRACE_SECONDS = 2.0
"""What the process may take beyond a query's own time, for its start and for what SQLite does between two checks."""


@dataclass(frozen=True)
class Result:
    """The rows of a query, or why there are none."""

    rows: tuple[tuple[Any, ...], ...] = ()
    error: str = ""


class Sandbox:
    """Runs queries on one database file."""

    def __init__(self, database: str, timeout_seconds: float = TIMEOUT_SECONDS, most_rows: int = MOST_ROWS):
        worker = Path(__file__).with_name("worker.py")
        limits = [str(timeout_seconds), str(most_rows), str(MEMORY_BYTES)]
        self._command = [sys.executable, "-I", "-S", str(worker), read_only_uri(database), *limits]
        self._patience_seconds = timeout_seconds + _GRACE_SECONDS
        self._process: subprocess.Popen[str] | None = None

    def run(self, sql: str) -> Result:
        """Runs a query and returns its rows, or the error."""
        if "\x00" in sql or (not sql.isascii() and any(0xD800 <= ord(character) <= 0xDFFF for character in sql)):
            return Result(error="not text that SQLite reads")
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        overdue = threading.Timer(self._patience_seconds, process.kill)
        overdue.start()
        try:
            process.stdin.write(json.dumps(sql) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError:
            answer = ""
        finally:
            overdue.cancel()
        if not answer.endswith("\n"):
            self.close()
            return Result(error="the process was ended: out of time or memory")
        found = json.loads(answer)
        return Result(tuple(map(tuple, found.get("rows", ()))), found.get("error", ""))

    def close(self) -> None:
        """Ends the process; the next query starts another."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)

    def _started(self) -> "subprocess.Popen[str]":
        if self._process is None:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                self._command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, encoding="utf-8", cwd="/", env={}
            )
            weakref.finalize(self, _end, self._process)
        return self._process


def _end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


@functools.lru_cache(200_000)
def execute(query: str, database: str) -> Result:
    """Runs a query in a sandbox that is kept for its database; the same query is run once only."""
    return _sandbox(database).run(query)


@functools.lru_cache(64)
def _sandbox(database: str) -> Sandbox:
    return Sandbox(database)
