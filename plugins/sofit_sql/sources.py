"""Where the questions, the queries and the schemas of data come from.

question and query         {"question": "...", "sql": "SELECT ..."}      also query, answer; WikiSQL's own parts of a query
the database, in the row   {"db": "geo"}                                 also db_id; where the data has several
the schema, in the row     {"table": "t", "columns": ["a", "b"]}         or {"context": "CREATE TABLE ..."}
beside the rows            NAME.sqlite, database/NAME/NAME.sqlite, schemas.jsonl, tables.json (Spider's), schema.sql, schema.csv
"""

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sofit import Example, Record, SofitError
from sofit_grammars.sql_names import quoted
from sofit_sql.schemas import schema_of_file, schemas_of_json
from sofit_sqlite import Column, Schema, read_schema, schema_of_statements

_QUESTIONS, _QUERIES = ("question", "input"), ("sql", "query", "answer", "output")
_DATABASES = (".sqlite", ".sqlite3", ".db")
_AGGREGATES, _OPERATORS = ("", "MAX", "MIN", "COUNT", "SUM", "AVG"), ("=", ">", "<")

RESULT_ALIAS = "derived_fieldalias"
"""Begins the names that data gives to results, in any letter case."""

SCHEMA_REMEDY = (
    "Put there an SQLite file, schemas.jsonl, tables.json, schema.sql or schema.csv; or give the folder that has it with"
    " --set task_options.schemas=FOLDER; or write it into the rows as `context`."
)


class Question(str):
    """What is asked; it knows of which database, and is text wherever a report shows it."""

    schema: Schema

    def __new__(cls, text: str, schema: Schema) -> "Question":
        """Makes the question `text` to a database."""
        question = super().__new__(cls, text)
        question.schema = schema
        return question


def example_from(record: Record, id: str, folder: str) -> Example:
    """Makes an example of a row; `folder` has the databases and schemas that rows only name.

    Raises:
        SofitError: the row lacks the question, the query or the schema; names its file and line.
    """
    database = record.text("db", "db_id") if record.first("db", "db_id") else ""
    try:
        schema = _schema_in(record) or schema_in_folder(folder, database)
        if schema is None:
            asked = f" of database {database!r}" if database else ""
            raise SofitError(f"no schema{asked} in {folder}. {SCHEMA_REMEDY}")
        target = _query(record, schema)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise SofitError(f"{record.where}: the row is not as WikiSQL's are: {type(error).__name__}: {error}.") from error
    except SofitError as error:
        raise SofitError(f"{record.where}: {str(error).removeprefix(f'{record.where}: ')}") from error
    return Example(id=id, input=Question(record.text(*_QUESTIONS).strip(), schema), target=target, where=record.where)


def _schema_in(record: Record) -> Schema | None:
    """Reads the schema that a row brings along."""
    fields, table = record.fields, record.fields.get("table")
    if isinstance(table, Mapping):  # WikiSQL on the Hub.
        name = "table_" + table["id"].replace("-", "_")
        return Schema.of(name, [(name, Column(*header)) for header in zip(table["header"], table["types"], strict=True)])
    if isinstance(fields.get("columns"), list):
        name = record.text("table")
        return Schema.of(name, [(name, Column(str(column))) for column in fields["columns"]])
    written = record.text("context", "schema") if record.first("context", "schema") else ""
    return schema_of_statements(written, "the row's tables") if written else None


def _query(record: Record, schema: Schema) -> str:
    parts = record.fields.get("sql")
    if isinstance(parts, Mapping) and "sel" in parts:
        return _wikisql_query(parts, schema)
    # Where `sql` is the tree of the query, as in Spider's own rows, another field has its text.
    return record.text(*_QUERIES[isinstance(parts, Mapping) :]).strip()


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
    return value if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value) else "'" + value.replace("'", "''") + "'"


@functools.lru_cache(10_000)
def schema_in_folder(folder: str, database: str) -> Schema | None:
    """Finds the schema of a database, or of the only one where `database` is ""; None where there is none, or several."""
    path = Path(folder)
    if files := _database_files(path, database):
        return read_schema(files[0], database)
    files = [path / name for name in ("schemas.jsonl", "tables.json") if (path / name).is_file()]
    many = {schema.name: schema for file in files for schema in schemas_of_json(file)}
    if database in many or len(many) == 1:
        return many.get(database) or next(iter(many.values()))
    files = [path / name for name in ("schema.sql", "schema.csv") if (path / name).is_file()]
    return schema_of_file(files[0], database or path.name) if files else None


def _database_files(folder: Path, database: str) -> list[Path]:
    """Returns the SQLite files that a row may mean, the likeliest first."""
    named = [place / f"{database}{suffix}" for place in (folder, folder / "database" / database) for suffix in _DATABASES]
    if found := [path for path in named if database and path.is_file()]:
        return found
    files = sorted((path for path in folder.glob("*") if path.suffix in _DATABASES), key=lambda path: len(path.stem))
    # Copies of a file are called like it and something more.
    return files[:1] if all(path.stem.startswith(files[0].stem) for path in files) else []
