"""Runs queries for `sofit_sqlite.sandbox`, as a process of its own that may do nothing but read one database.

It needs the standard library only and runs without site packages. A line of standard input is a query as JSON; a line of
standard output is {"rows": [...]} or {"error": "..."}.
"""

import json
import sqlite3
import sys
import time

SAFE_FUNCTIONS = frozenset(
    """abs avg ceil ceiling char coalesce concat concat_ws count current_date current_time current_timestamp date datetime exp
    floor format glob group_concat hex ifnull iif instr julianday length like ln log log10 log2 lower ltrim max min mod nullif
    pi pow power printf quote replace round rtrim sign sqrt strftime string_agg substr substring sum time total trim trunc
    typeof unicode unixepoch upper""".split()  # noqa: SIM905
)
"""They compute a value from their arguments and nothing else."""

_MOST_BYTES_A_VALUE, _STEPS_BETWEEN_CHECKS = 1_000_000, 1_000


def _authorize(action: int, first: str | None, second: str | None, database: str | None, source: str | None) -> int:
    if action == sqlite3.SQLITE_SELECT:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_READ:  # A table's name; virtual tables and the schema's own are no data.
        return sqlite3.SQLITE_DENY if (first or "").lower().startswith(("sqlite_", "pragma_", "json_")) else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in SAFE_FUNCTIONS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _bound_memory(memory_bytes: int) -> None:
    """Bounds what the process may take, where the system can; SQLite's own bound holds everywhere."""
    try:
        import resource
    except ImportError:
        return
    for limit, value in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        try:
            resource.setrlimit(limit, (value, value))
        except (ValueError, OSError):
            continue


def _open(uri: str, memory_bytes: int) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    connection.execute(f"PRAGMA hard_heap_limit = {memory_bytes // 2}")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES_A_VALUE)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)
    connection.set_authorizer(_authorize)
    return connection


def _run(
    connection: sqlite3.Connection, sql: str, timeout_seconds: float, most_rows: int, memory_bytes: int
) -> dict[str, object]:
    if not sql.lstrip("( \t\r\n")[:6].lower().startswith(("select", "with ", "values")):
        return {"error": "no SELECT"}
    deadline = time.monotonic() + timeout_seconds
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_CHECKS)
    rows, left = [], memory_bytes // 8
    try:
        for row in connection.execute(sql):
            values = [value.hex() if isinstance(value, bytes) else value for value in row]
            left -= sum(len(value) if isinstance(value, str) else 8 for value in values)
            rows.append(values)
            if len(rows) > most_rows or left < 0:
                return {"error": f"more than {most_rows} rows, or too many bytes in them"}
    except (sqlite3.Error, sqlite3.Warning, MemoryError, ValueError, OverflowError) as error:
        return {"error": "timed out" if time.monotonic() > deadline else f"{error}" or type(error).__name__}
    return {"rows": rows}


def main() -> None:
    """Serves queries until standard input ends."""
    uri, timeout_seconds, most_rows, memory_bytes = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    connection = _open(uri, memory_bytes)
    _bound_memory(memory_bytes)
    for line in sys.stdin:
        print(json.dumps(_run(connection, json.loads(line), timeout_seconds, most_rows, memory_bytes)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
