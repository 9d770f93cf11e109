"""A small database of cities, as a file and as statements, and a row of data that asks about it."""

import sqlite3
from pathlib import Path

from sofit_sqlite import Schema

ROW = {"question": "How many cities are there?", "sql": "SELECT count(*) FROM city"}
CREATE = (
    "CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT, state TEXT REFERENCES state(code)); CREATE TABLE state (code TEXT)"
)

CITY = {"city": [("id", "integer", True), ("name", "text", False), ("state", "text", False)], "state": [("code", "text", False)]}


def make_database(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.executescript(CREATE)
        connection.executemany("INSERT INTO city VALUES (?, ?, ?)", [(1, "Dayton", "OH"), (2, "Akron", "OH"), (3, "Reno", "NV")])
    connection.close()
    return path


def columns(schema: Schema) -> dict[str, list[tuple[str, str, bool]]]:
    return {table.name: [(c.name, c.type, c.is_key) for c in table.columns] for table in schema.tables}
