"""The schema of a database, read from the database itself, from statements and from other files."""

import json
import sqlite3
from pathlib import Path

import pytest
from city_database import CITY, CREATE, ROW, columns, make_database

from sofit import Record, SofitError
from sofit_sql.schemas import schema_of_file, schemas_of_json
from sofit_sql.sources import example_from
from sofit_sqlite import execute, read_schema, schema_of_statements


def test_a_schema_is_the_same_from_a_database_and_from_its_statements(tmp_path: Path):
    found = read_schema(make_database(tmp_path / "a.sqlite"), "a")
    assert columns(found) == columns(schema_of_statements(CREATE, "a")) == CITY
    assert found.foreign_keys == (("city.state", "state.code"),)


@pytest.mark.parametrize(
    ("keys", "target"), [("id INTEGER PRIMARY KEY", "b.id"), ("x INT, id INT, PRIMARY KEY (id)", "b.id"), ("id INT", "b.x")]
)
def test_a_reference_without_columns_means_the_primary_key(keys: str, target: str, tmp_path: Path):
    statements = f"CREATE TABLE a (x INT REFERENCES b); CREATE TABLE b ({keys})"
    with sqlite3.connect(tmp_path / "a.sqlite") as connection:
        connection.executescript(statements)
    connection.close()
    assert read_schema(tmp_path / "a.sqlite").foreign_keys == (("a.x", target),)
    assert schema_of_statements(statements, "a").foreign_keys == (("a.x", target),)


def test_a_database_has_its_views_and_its_computed_columns(tmp_path: Path):
    with sqlite3.connect(tmp_path / "a.sqlite") as connection:
        connection.executescript(
            "CREATE TABLE item (price REAL, tax REAL AS (price / 5)); INSERT INTO item VALUES (5); CREATE TABLE gone (a);"
            "CREATE VIEW dear AS SELECT price AS cost FROM item; CREATE VIEW broken AS SELECT a FROM gone; DROP TABLE gone"
        )
    connection.close()
    found = columns(read_schema(tmp_path / "a.sqlite"))
    assert found == {"item": [("price", "real", False), ("tax", "real", False)], "dear": [("cost", "real", False)]}
    assert execute("SELECT cost, tax FROM dear, item", str(tmp_path / "a.sqlite")).rows == ((5.0, 1.0),)


def test_a_database_whose_last_changes_are_not_in_its_file_is_refused(tmp_path: Path):
    path = tmp_path / "a.sqlite"
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.executescript(CREATE)
    with pytest.raises(SofitError, match=r"a\.sqlite has changes that are only in .*a\.sqlite-wal yet.*wal_checkpoint"):
        read_schema(path)
    writer.close()
    assert columns(read_schema(path)) == CITY


def test_a_table_that_is_written_in_two_letter_cases_is_one():
    assert columns(schema_of_statements("CREATE TABLE City (a); CREATE TABLE city (b)", "x")) == {
        "City": [("a", "", False), ("b", "", False)]
    }


@pytest.mark.parametrize(
    "statements",
    [
        "CREATE TABLE a (x, y)",
        "CREATE TABLE a (x INT, y)",
        "CREATE TABLE a (x INT, y TEXT, PRIMARY KEY (x, Y))",
        "CREATE TABLE a (x INT PRIMARY KEY, y TEXT) WITHOUT ROWID; CREATE TABLE b (z TEXT) STRICT",
        "CREATE TABLE a (x TEXT PRIMARY KEY, y TEXT) STRICT, WITHOUT ROWID",
        "CREATE TABLE a (x INT, y INT, CONSTRAINT k FOREIGN KEY (x, y) REFERENCES b(p, q) ON DELETE CASCADE)",
        "CREATE TABLE b (p INT, q INT, PRIMARY KEY (p, q)); CREATE TABLE a (x INT, y INT, FOREIGN KEY (x, y) REFERENCES b)",
        'CREATE TABLE a (x INT REFERENCES b, y INT REFERENCES [c d]("e f")); CREATE TABLE b (id INTEGER PRIMARY KEY)',
        "CREATE TABLE a (x INT REFERENCES b)",
        "\ufeffCREATE TABLE a (x INT)",
    ],
)
def test_statements_lose_nothing_that_sqlite_reads_in_them(statements: str, tmp_path: Path):
    with sqlite3.connect(tmp_path / "a.sqlite") as connection:
        connection.executescript(statements.removeprefix("\ufeff"))
    connection.close()
    found, wanted = schema_of_statements(statements, "a"), read_schema(tmp_path / "a.sqlite", "a")
    keys = {table: [(name, is_key) for name, _, is_key in rows] for table, rows in columns(found).items()}
    assert keys == {table: [(name, is_key) for name, _, is_key in rows] for table, rows in columns(wanted).items()}
    assert sorted(found.foreign_keys) == sorted(wanted.foreign_keys)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("schema.sql", "CREATE TABLE t (café TEXT)".encode("latin-1"), "'utf-8' codec"),
        ("schema.sql", b"CREATE TABLE t (a INT) CREATE TABLE u (b INT)", "Cannot read the statement"),
        ("schema.csv", "Table Name, Field Name\nt, café\n".encode("latin-1"), "'utf-8' codec"),
        ("schema.csv", b"", "lists no columns"),
        ("schema.csv", b"Table, Field\nt, a\n", "Expected a header line with Table Name, Field Name, Type"),
    ],
)
def test_a_schema_file_that_cannot_be_read_is_named(name: str, content: bytes, message: str, tmp_path: Path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SofitError, match=rf"data:3: Cannot read the schema in .*{name}: .*{message}"):
        example_from(Record(ROW, "data:3"), "train-1", str(tmp_path))


def test_the_header_of_a_csv_file_says_which_column_is_which(tmp_path: Path):
    (tmp_path / "schema.csv").write_text("Field Name, table name, Type, Is Primary Key\nid, city, INT(11), Y\n-,-,-,-\n\n")
    assert columns(schema_of_file(tmp_path / "schema.csv", "a")) == {"city": [("id", "int", True)]}


def test_a_schema_is_read_from_the_columns_of_a_csv_file(shared_data: Path):
    scholar = columns(schema_of_file(shared_data / "scholar" / "schema.csv", "scholar"))
    assert scholar["AUTHOR"] == [("AUTHORID", "int", True), ("AUTHORNAME", "varchar", False)]
    advising = columns(schema_of_file(shared_data / "advising" / "schema.csv", "advising"))
    assert ("COURSE_ID", "int", True) in advising["COURSE"]
    assert "-" not in advising


def test_spiders_own_file_gives_the_same_schemas_as_lines(tmp_path: Path):
    line = {
        "db": "a",
        "tables": [{"table": "city", "columns": [{"name": "id", "type": "number"}, {"name": "name", "type": "text"}]}],
        "primary_keys": ["city.id"],
        "foreign_keys": [],
    }
    spider = {
        "db_id": "a",
        "table_names_original": ["city"],
        "column_names_original": [[-1, "*"], [0, "id"], [0, "name"]],
        "column_types": ["text", "number", "text"],
        "primary_keys": [1],
        "foreign_keys": [],
    }
    (tmp_path / "schemas.jsonl").write_text(json.dumps(line) + "\n")
    (tmp_path / "tables.json").write_text(json.dumps([spider]))
    assert list(schemas_of_json(tmp_path / "schemas.jsonl")) == list(schemas_of_json(tmp_path / "tables.json"))
