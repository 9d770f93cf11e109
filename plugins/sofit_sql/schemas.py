"""What the schemas of data sets are written in, if not in an SQLite file."""

import csv
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sofit import SofitError
from sofit_sqlite import Column, Schema, schema_of_statements


def schema_of_file(path: Path, name: str) -> Schema:
    """Reads schema.sql, which has CREATE TABLE statements, or schema.csv.

    Raises:
        SofitError: the file is not of that kind.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        return schema_of_csv(text, name) if path.suffix == ".csv" else schema_of_statements(text, name)
    except (OSError, UnicodeDecodeError, csv.Error, SofitError) as error:
        raise SofitError(f"Cannot read the schema in {path}: {error}") from error


def schema_of_csv(text: str, name: str) -> Schema:
    """Reads a table of columns, as the text2sql-data collection has it: table, field, keys and type; rows of dashes divide it."""
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(keepends=True), skipinitialspace=True)]
    header = [cell.title() for cell in rows[0]] if rows else []
    columns = []
    for row in rows[1:]:
        named = dict(zip(header, row, strict=False))
        table, column = named.get("Table Name", ""), named.get("Field Name", "")
        if column and table not in ("", "-"):
            # Some of these files say where the key is in another column than they do it in.
            is_key = "PRI" in row or named.get("Is Primary Key", "").lower() in ("y", "yes")
            columns.append((table, Column(column, named.get("Type", "").lower().split("(")[0].split(" ")[0], is_key)))
    if not columns:
        raise SofitError("It lists no columns. Expected a header line with Table Name, Field Name, Type.")
    return Schema.of(name, columns)


@functools.lru_cache(100)
def schemas_of_json(path: Path) -> Sequence[Schema]:
    """Reads the schemas of many databases: JSON lines with `db` and `tables`, or Spider's tables.json.

    Raises:
        SofitError: the file is not of that kind.
    """
    try:
        text = path.read_text(encoding="utf-8")
        rows = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines() if line.strip()]
        return [_spider_schema(row) if "db_id" in row else _schema(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise SofitError(f"Cannot read the schemas in {path}: {type(error).__name__}: {error}.") from error


def _schema(row: Mapping[str, Any]) -> Schema:
    named = [(table["table"], column["name"], column.get("type", "")) for table in row["tables"] for column in table["columns"]]
    keys = row.get("primary_keys", ())
    columns = [(table, Column(name, kind, f"{table}.{name}" in keys)) for table, name, kind in named]
    return Schema.of(row["db"], columns, [(source, target) for source, target in row.get("foreign_keys", ())])


def _spider_schema(row: Mapping[str, Any]) -> Schema:
    names = row["table_names_original"]
    numbers = {number for key in row["primary_keys"] for number in (key if isinstance(key, list) else [key])}
    columns = [
        (names[table], Column(name, kind, number in numbers))
        for number, ((table, name), kind) in enumerate(zip(row["column_names_original"], row["column_types"], strict=True))
        if table >= 0  # `*` is a column of no table.
    ]
    full = [f"{names[table]}.{name}" for table, name in row["column_names_original"]]
    return Schema.of(row["db_id"], columns, [(full[source], full[target]) for source, target in row["foreign_keys"]])
