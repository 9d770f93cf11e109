"""What the model reads: the schema first, so that all questions to a database share it, then the question.

Write the SQLite query that answers the question.
Tables:
city(name text, state text, population int)
  name: Boston, Denver
Question: What is the biggest city in Ohio?
SQL: SELECT ...
"""

import functools
from typing import Literal

from sofit_grammars.sql_names import quoted
from sofit_sqlite import Schema, Table, frequent_values

SchemaStyle = Literal["compact", "create"]
_LONGEST_VALUE = 30


def prompt_for(question: str, schema: Schema, style: SchemaStyle, sample_values: int) -> str:
    """Returns the whole prompt for a question."""
    return f"{described(schema, style, sample_values)}\n\nQuestion: {question}\nSQL: "


@functools.lru_cache(10_000)
def described(schema: Schema, style: SchemaStyle, sample_values: int) -> str:
    """Returns what stands before every question to a database: what to do, and its tables."""
    compact = style == "compact"
    lines = ["Write the SQLite query that answers the question.", "", "Tables:" if compact else "Database:"]
    for table in schema.tables:
        lines.append(_compact(table) if compact else _create(table, schema))
        if sample_values and schema.database:
            values = frequent_values(schema.database, table, sample_values, _LONGEST_VALUE)
            lines += [f"  {column}: {', '.join(texts)}" for column, texts in values.items()]
    if compact:
        lines += [f"{source} refers to {target}" for source, target in schema.foreign_keys]
    return "\n".join(lines)


def _compact(table: Table) -> str:
    columns = ", ".join(f"{quoted(column.name)} {column.type}".rstrip() for column in table.columns)
    return f"{quoted(table.name)}({columns})"


def _create(table: Table, schema: Schema) -> str:
    parts = [f"{quoted(c.name)} {c.type}".rstrip() + (" PRIMARY KEY" if c.is_key else "") for c in table.columns]
    for source, target in schema.foreign_keys:
        (owner, _, column), (other, _, key) = source.partition("."), target.partition(".")
        if owner == table.name:
            parts.append(f"FOREIGN KEY ({quoted(column)}) REFERENCES {quoted(other)}({quoted(key)})")
    return f"CREATE TABLE {quoted(table.name)} ({', '.join(parts)});"
