"""Schemas that are written as CREATE TABLE statements, as SQLite reads them or nearly so."""

import functools
import re
from collections.abc import Iterator
from typing import Any

from sofit import SofitError
from sofit_sqlite.database import Column, Schema

_CREATE_TABLE = re.compile(r"CREATE\s+(TEMP\w*\s+)?TABLE\b", re.IGNORECASE)
_WITHOUT_ROWID = re.compile(r"\)(\s*STRICT\s*,)?\s*WITHOUT\s+ROWID\b(\s*,\s*STRICT\b)?", re.IGNORECASE)
"""What sqlglot cannot read; it changes no column."""


@functools.lru_cache(10_000)
def schema_of_statements(text: str, name: str) -> Schema:
    """Reads CREATE TABLE statements.

    Raises:
        SofitError: there is none, or one cannot be read.
    """
    from sqlglot import exp, parse
    from sqlglot.errors import SqlglotError

    try:
        statements = parse(_WITHOUT_ROWID.sub(")", text.removeprefix("\ufeff")), read="sqlite")
    except SqlglotError as error:
        raise SofitError(f"Cannot read the CREATE TABLE statements {text[:60]!r}: {str(error).splitlines()[0]}") from error
    if unread := [s.sql() for s in statements if isinstance(s, exp.Command) and _CREATE_TABLE.match(s.sql())]:
        raise SofitError(f"Cannot read the statement {unread[0][:60]!r}. Expected CREATE TABLE NAME (COLUMN TYPE, ...).")
    tables = [s.this for s in statements if isinstance(s, exp.Create) and isinstance(s.this, exp.Schema)]
    columns = [(table.this.name, column) for table in tables for column in _columns(table)]
    if not columns:
        raise SofitError(f"Expected CREATE TABLE statements. Got {text[:60]!r}.")
    keys: dict[str, list[str]] = {}
    for owner, column in columns:
        keys.setdefault(owner.lower(), []).extend([column.name] if column.is_key else [])
    references = [
        (f"{table.this.name}.{source}", f"{other}.{target}")
        for table in tables
        for sources, other, targets in _references(table)
        # Where no columns are named, those of the primary key are meant.
        for source, target in zip(sources, targets or keys.get(other.lower()) or sources, strict=False)
    ]
    return Schema.of(name, columns, dict.fromkeys(references))


def _columns(table: Any) -> Iterator[Column]:
    """Yields the columns of a CREATE TABLE, which is an `exp.Schema`."""
    from sqlglot import exp

    keys = {column.name.lower() for key in table.find_all(exp.PrimaryKey) for column in key.expressions}
    for part in table.expressions:
        if isinstance(part, exp.ColumnDef | exp.Identifier):  # The latter where it has no type and nothing else.
            kind = part.args.get("kind")
            is_key = part.name.lower() in keys or part.find(exp.PrimaryKeyColumnConstraint) is not None
            yield Column(part.name, kind.sql("sqlite").lower() if kind else "", is_key)


def _references(table: Any) -> Iterator[tuple[list[str], str, list[str]]]:
    """Yields the foreign keys of a CREATE TABLE: columns, the other table, and its columns, which need not be named."""
    from sqlglot import exp

    for reference in table.find_all(exp.Reference):
        holder = reference.find_ancestor(exp.ForeignKey, exp.ColumnDef)
        sources = [holder] if isinstance(holder, exp.ColumnDef) else holder.expressions
        other = reference.this.find(exp.Table)
        targets = reference.this.expressions if isinstance(reference.this, exp.Schema) else []
        yield [column.name for column in sources], other.name, [column.name for column in targets]
