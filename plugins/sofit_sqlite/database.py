"""The tables and columns of a database, and how to look into a file without changing it."""

import sqlite3
import urllib.parse
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sofit import SofitError


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    type: str = ""
    """As its database declares it, in lower case; "" where that is not known."""
    is_key: bool = False
    """Whether it is of the primary key."""


@dataclass(frozen=True)
class Table:
    """A table with its columns, in order."""

    name: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Schema:
    """What a query may name."""

    name: str
    tables: tuple[Table, ...]
    foreign_keys: tuple[tuple[str, str], ...] = ()
    """Pairs of "table.column": the first refers to the second."""
    database: str = ""
    """The SQLite file, where there is one."""

    @classmethod
    def of(
        cls,
        name: str,
        columns: Iterable[tuple[str, Column]],
        foreign_keys: Iterable[tuple[str, str]] = (),
        database: str | Path = "",
    ) -> "Schema":
        """Makes a schema of columns, each with the name of its table before it, whose letter case does not count."""
        by_table: dict[str, tuple[str, list[Column]]] = {}
        for table, column in columns:
            by_table.setdefault(table.lower(), (table, []))[1].append(column)
        tables = tuple(Table(table, tuple(columns)) for table, columns in by_table.values())
        return cls(name, tables, tuple(foreign_keys), str(database))

    @property
    def table_names(self) -> tuple[str, ...]:
        """The names of all tables."""
        return tuple(table.name for table in self.tables)

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of all columns, each once."""
        return tuple(dict.fromkeys(column.name for table in self.tables for column in table.columns))


def read_only_uri(path: str | Path) -> str:
    """Returns what SQLite opens so that nothing can be written, not even beside the file."""
    return f"file:{urllib.parse.quote(str(Path(path).resolve()))}?mode=ro&immutable=1"


def read_schema(path: str | Path, name: str = "") -> Schema:
    """Reads the schema of an SQLite file, which is called `name`, or by the file's stem.

    Raises:
        SofitError: it is no SQLite file, has no table, or is not all there is of it.
    """
    log = Path(f"{path}-wal")
    if log.is_file() and log.stat().st_size:  # Opened so that nothing can be written, the file is read without it.
        remedy = f"Close what has the database open, or run `sqlite3 {path} 'PRAGMA wal_checkpoint(TRUNCATE)'`."
        raise SofitError(f"The database {path} has changes that are only in {log} yet. {remedy}")
    try:
        with closing(sqlite3.connect(read_only_uri(path), uri=True)) as connection:
            schema = _introspect(connection, name or Path(path).stem, path)
    except sqlite3.Error as error:
        raise SofitError(f"Cannot read the database {path}: {error}.") from error
    if not schema.tables:
        raise SofitError(f"The database {path} has no table.")
    return schema


def _introspect(connection: sqlite3.Connection, name: str, path: str | Path) -> Schema:
    columns, foreign_keys = [], []
    named = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    for (table,) in connection.execute(named).fetchall():
        try:  # Hidden as 1 are arguments of virtual tables; as 2 and 3, columns that are computed.
            rows = connection.execute("SELECT name, lower(type), pk FROM pragma_table_xinfo(?) WHERE hidden <> 1", (table,))
            columns += [(table, Column(column, kind, bool(key))) for column, kind, key in rows]
        except sqlite3.OperationalError:  # A view of a table that is gone.
            continue
        keys = connection.execute(
            # REFERENCES without columns means those of the primary key.
            'SELECT "from", "table", coalesce("to", (SELECT name FROM pragma_table_info("table") WHERE pk = seq + 1))'
            " FROM pragma_foreign_key_list(?)",
            (table,),
        )
        foreign_keys += [(f"{table}.{source}", f"{target}.{column or source}") for source, target, column in keys]
    return Schema.of(name, columns, foreign_keys, path)


def frequent_values(path: str | Path, table: Table, count: int, longest: int) -> dict[str, list[str]]:
    """Returns the most frequent texts of each column that has any of 1 to `longest` characters, in one line."""
    found: dict[str, list[str]] = {}
    with closing(sqlite3.connect(read_only_uri(path), uri=True)) as connection:
        for column in table.columns:
            name, source = (f'"{text.replace(chr(34), chr(34) * 2)}"' for text in (column.name, table.name))
            query = (
                f"SELECT {name} FROM {source} WHERE typeof({name}) = 'text' AND length({name}) BETWEEN 1 AND ?"
                f" GROUP BY {name} ORDER BY count(*) DESC, {name} LIMIT ?"
            )
            if values := [value for (value,) in connection.execute(query, (longest, count)) if "\n" not in value]:
                found[column.name] = values
    return found
