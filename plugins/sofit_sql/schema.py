"""The tables and columns of a database, and what they can be read from."""

import csv
import json
import sqlite3
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def schema_of_database(path: Path, name: str) -> Schema:
    """Reads the schema of an SQLite file.

    Raises:
        SofitError: it is no SQLite file, or has no table.
    """
    try:
        with closing(sqlite3.connect(read_only_uri(path), uri=True)) as connection:
            return _introspect(connection, name, str(path))
    except sqlite3.Error as error:
        raise SofitError(f"Cannot read the database {path}: {error}.") from error


def _introspect(connection: sqlite3.Connection, name: str, database: str) -> Schema:
    tables, foreign_keys = [], []
    named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    for (table,) in connection.execute(named).fetchall():
        rows = connection.execute("SELECT name, lower(type), pk FROM pragma_table_info(?)", (table,)).fetchall()
        tables.append(Table(table, tuple(Column(column, kind, bool(key)) for column, kind, key in rows)))
        keys = connection.execute('SELECT "from", "table", "to" FROM pragma_foreign_key_list(?)', (table,)).fetchall()
        foreign_keys += [(f"{table}.{source}", f"{target}.{column or source}") for source, target, column in keys]
    if not tables:
        raise SofitError(f"The database {database} has no table.")
    return Schema(name, tuple(tables), tuple(foreign_keys), database)


def schema_of_statements(text: str, name: str) -> Schema:
    """Reads CREATE TABLE statements.

    Raises:
        SofitError: there is none, or one cannot be read.
    """
    from sqlglot import exp, parse
    from sqlglot.errors import SqlglotError

    try:
        statements = [statement for statement in parse(text, read="sqlite") if isinstance(statement, exp.Create)]
    except SqlglotError as error:
        raise SofitError(f"Cannot read the CREATE TABLE statements {text[:60]!r}: {str(error).splitlines()[0]}") from error
    if not statements:
        raise SofitError(f"Expected CREATE TABLE statements. Got {text[:60]!r}.")
    tables = [
        Table(
            next(statement.find_all(exp.Table)).name,
            tuple(
                Column(c.name, c.kind.sql("sqlite").lower() if c.kind else "", c.find(exp.PrimaryKeyColumnConstraint) is not None)
                for c in statement.find_all(exp.ColumnDef)
            ),
        )
        for statement in statements
    ]
    return Schema(name, tuple(tables))


def schema_of_csv(path: Path, name: str) -> Schema:
    """Reads a table of columns, as the text2sql-data collection has it: table, field, keys and type; rows of dashes divide it."""
    tables: dict[str, list[Column]] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = [[cell.strip() for cell in row] for row in csv.reader(file, skipinitialspace=True) if row]
    kind_at = header.index("Type") if "Type" in header else len(header)
    for row in rows:
        if len(row) > 1 and row[0] != "-":
            # Some of these files say where the key is in another column than they do it in.
            is_key = "PRI" in row or dict(zip(header, row, strict=False)).get("Is Primary Key", "").lower() in ("y", "yes")
            kind = row[kind_at].lower().split("(")[0].split(" ")[0] if kind_at < len(row) else ""
            tables.setdefault(row[0], []).append(Column(row[1], kind, is_key))
    if not tables:
        raise SofitError(f"{path} lists no columns. Expected a header line with Table Name, Field Name, Type.")
    return Schema(name, tuple(Table(table, tuple(columns)) for table, columns in tables.items()))


def schemas_of_json(path: Path) -> Iterator[Schema]:
    """Reads the schemas of many databases: JSON lines with `db` and `tables`, or Spider's tables.json.

    Raises:
        SofitError: the file is not of that kind.
    """
    try:
        text = path.read_text(encoding="utf-8")
        rows = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines() if line.strip()]
        for row in rows:
            keys = row.get("foreign_keys", ())
            if "db_id" in row:
                yield _spider_schema(row)
                continue
            tables = {
                table["table"]: [(column["name"], column.get("type", "")) for column in table["columns"]]
                for table in row["tables"]
            }
            yield _schema(row["db"], tables, set(row.get("primary_keys", ())), [(source, target) for source, target in keys])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise SofitError(f"Cannot read the schemas in {path}: {type(error).__name__}: {error}.") from error


def _spider_schema(row: Mapping[str, Any]) -> Schema:
    names, types = row["table_names_original"], row["column_types"]
    full = ["*" if table < 0 else f"{names[table]}.{column}" for table, column in row["column_names_original"]]
    tables: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
    for (table, column), kind in zip(row["column_names_original"], types, strict=True):
        if table >= 0:
            tables[names[table]].append((column, kind))
    keys = {full[key] for keys in row["primary_keys"] for key in (keys if isinstance(keys, list) else [keys])}
    return _schema(row["db_id"], tables, keys, [(full[source], full[target]) for source, target in row["foreign_keys"]])


def _schema(
    name: str, tables: Mapping[str, Sequence[tuple[str, str]]], keys: Set[str], foreign_keys: Sequence[tuple[str, str]]
) -> Schema:
    made = (
        Table(table, tuple(Column(column, kind, f"{table}.{column}" in keys) for column, kind in columns))
        for table, columns in tables.items()
    )
    return Schema(name, tuple(made), tuple(foreign_keys))
