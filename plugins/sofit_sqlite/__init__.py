"""Looking into SQLite files that must stay as they are: their schema, and what queries return that anybody may have written.

    schema = read_schema("shop.sqlite")
    found = execute("SELECT name FROM item WHERE price > 3", "shop.sqlite")
    if found.error or not same_rows([("cup",)], found.rows, ordered=False): ...

A query runs in a process of its own, which may do nothing but read that file, within bounds of time, rows and memory
(`sofit_sqlite.worker`). Nothing here knows what a task or a model is, and but for the errors and the reader of CREATE TABLE
it is the standard library, so that it may serve whatever has to do with queries.
"""

from sofit_sqlite.database import Column, Schema, Table, frequent_values, read_schema
from sofit_sqlite.results import same_rows
from sofit_sqlite.sandbox import Result, Sandbox, execute
from sofit_sqlite.statements import schema_of_statements

__all__ = [
    "Column",
    "Result",
    "Sandbox",
    "Schema",
    "Table",
    "execute",
    "frequent_values",
    "read_schema",
    "same_rows",
    "schema_of_statements",
]
