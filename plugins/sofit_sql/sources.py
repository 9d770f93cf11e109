"""Where the questions, the queries and the schemas of data come from.

question and query         {"question": "...", "sql": "SELECT ..."}      also query, answer; WikiSQL's own parts of a query
the database, in the row   {"db": "geo"}                                 also db_id; where the data has several
the schema, in the row     {"table": "t", "columns": ["a", "b"]}         or {"context": "CREATE TABLE ..."}
beside the rows            NAME.sqlite, database/NAME/NAME.sqlite, schemas.jsonl, tables.json (Spider's), schema.sql, schema.csv
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sofit import Example, Record, SofitError
from sofit_grammars.sql_names import quoted
from sofit_sql.schema import (
    Column,
    Schema,
    Table,
    schema_of_csv,
    schema_of_database,
    schema_of_statements,
    schemas_of_json,
)

_QUESTIONS, _QUERIES = ("question", "input"), ("sql", "query", "answer", "output")
_DATABASES = (".sqlite", ".sqlite3", ".db")
_AGGREGATES, _OPERATORS = ("", "MAX", "MIN", "COUNT", "SUM", "AVG"), ("=", ">", "<")


@dataclass(frozen=True)
class Question:
    """What is asked, and of which database."""

    text: str
    schema: Schema


def example_from(record: Record, id: str, folder: str) -> Example:
    """Makes an example of a row; `folder` has the databases and schemas that rows only name.

    Raises:
        SofitError: the row lacks the question, the query or the schema; names its file and line.
    """
    fields = record.fields
    schema = _schema_in(record) or schema_in_folder(folder, fields.get("db") or fields.get("db_id") or "", record.where)
    parts = fields.get("sql")
    target = _wikisql_query(parts, schema) if isinstance(parts, Mapping) else record.text(*_QUERIES).strip()
    return Example(id=id, input=Question(record.text(*_QUESTIONS).strip(), schema), target=target, where=record.where)


def _schema_in(record: Record) -> Schema | None:
    """Reads the schema that a row brings along."""
    fields, table = record.fields, record.fields.get("table")
    if isinstance(table, Mapping):  # WikiSQL on the Hub.
        header = zip(table["header"], table["types"], strict=True)
        return _of_one_table("table_" + table["id"].replace("-", "_"), [Column(name, kind) for name, kind in header])
    if isinstance(fields.get("columns"), list):
        return _of_one_table(record.text("table"), [Column(str(name)) for name in fields["columns"]])
    if any(fields.get(name) for name in ("context", "schema")):
        return _of_statements(record.text("context", "schema"), record.where)
    return None


def _of_one_table(name: str, columns: list[Column]) -> Schema:
    return Schema(name, (Table(name, tuple(columns)),))


@functools.lru_cache(10_000)
def _of_statements(text: str, where: str) -> Schema:
    return schema_of_statements(text, where, where)


def _wikisql_query(parts: Mapping[str, Any], schema: Schema) -> str:
    """Writes the query that WikiSQL keeps as numbers of columns, aggregates and operators."""
    (table,) = schema.tables
    names = ['"' + column.name.replace('"', '""') + '"' for column in table.columns]
    chosen, aggregate, conditions = names[parts["sel"]], _AGGREGATES[parts["agg"]], parts["conds"]
    places = zip(conditions["column_index"], conditions["operator_index"], conditions["condition"], strict=True)
    wanted = [f"{names[column]} {_OPERATORS[operator]} {_literal(value)}" for column, operator, value in places]
    where = f" WHERE {' AND '.join(wanted)}" if wanted else ""
    return f"SELECT {f'{aggregate}({chosen})' if aggregate else chosen} FROM {quoted(table.name)}{where}"


def _literal(value: str) -> str:
    is_number = (
        value.replace(".", "", 1).isdecimal() and value.isascii() and not value.startswith(".") and not value.endswith(".")
    )
    return value if is_number else "'" + value.replace("'", "''") + "'"


@functools.lru_cache(10_000)
def schema_in_folder(folder: str, database: str, where: str) -> Schema:
    """Finds the schema of a database, or of the only one where `database` is "".

    Raises:
        SofitError: the folder has none, or several of which none is named.
    """
    path = Path(folder)
    files = _database_files(path, database)
    many = {
        schema.name: schema
        for name in ("schemas.jsonl", "tables.json")
        if (path / name).is_file()
        for schema in _all_of(path / name)
    }
    if files:
        return schema_of_database(files[0], database or files[0].stem)
    if database in many or len(many) == 1:
        return many.get(database) or next(iter(many.values()))
    if (path / "schema.sql").is_file():
        return schema_of_statements(
            (path / "schema.sql").read_text(encoding="utf-8"), database or path.name, str(path / "schema.sql")
        )
    if (path / "schema.csv").is_file():
        return schema_of_csv(path / "schema.csv", database or path.name)
    asked = f"of database {database!r} " if database else ""
    raise SofitError(
        f"{where}: no schema {asked}in {folder}. Put there an SQLite file, schemas.jsonl, tables.json, schema.sql or schema.csv;"
        " or give the folder that has it with --set task_options.schemas=FOLDER; or write it into the rows as `context`."
    )


_all_of = functools.lru_cache(100)(lambda path: tuple(schemas_of_json(path)))


def _database_files(folder: Path, database: str) -> list[Path]:
    """Returns the SQLite files that a row may mean, the likeliest first."""
    named = [folder / f"{database}{suffix}" for suffix in _DATABASES]
    named += [folder / "database" / database / f"{database}{suffix}" for suffix in _DATABASES]
    found = [path for path in named if database and path.is_file()]
    files = [path for path in sorted(folder.glob("*")) if path.suffix in _DATABASES and path.is_file()]
    # Copies of a file are called like it and something more.
    shortest = min(files, key=lambda path: len(path.stem), default=None)
    is_one = shortest is not None and all(path.stem.startswith(shortest.stem) for path in files)
    return found or ([shortest] if shortest is not None and is_one else [])
