"""The SQL task: where its examples come from, what the model reads, and that it keeps the contract of a task."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sofit import Record, SofitError
from sofit.task import make_task
from sofit.testing import check_task
from sofit_sql import SqlTask
from sofit_sql.demo import SIZES, demo_folder, demo_split
from sofit_sql.schemas import schema_of_file, schemas_of_json
from sofit_sql.sources import example_from
from sofit_sqlite import Schema, execute, read_schema, schema_of_statements

ROW = {"question": "How many cities are there?", "sql": "SELECT count(*) FROM city"}
CREATE = (
    "CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT, state TEXT REFERENCES state(code)); CREATE TABLE state (code TEXT)"
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """Makes the demo's database in a folder of the test's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    demo_folder.cache_clear()


def make_database(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.executescript(CREATE)
        connection.executemany("INSERT INTO city VALUES (?, ?, ?)", [(1, "Dayton", "OH"), (2, "Akron", "OH"), (3, "Reno", "NV")])
    connection.close()
    return path


def columns(schema: Schema) -> dict[str, list[tuple[str, str, bool]]]:
    return {table.name: [(c.name, c.type, c.is_key) for c in table.columns] for table in schema.tables}


CITY = {"city": [("id", "integer", True), ("name", "text", False), ("state", "text", False)], "state": [("code", "text", False)]}


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


@pytest.mark.parametrize(
    "fields",
    [
        ROW | {"context": CREATE},
        {"question": ROW["question"], "answer": ROW["sql"], "context": CREATE},
        {"question": ROW["question"], "query": ROW["sql"] + "\n", "schema": CREATE},
        # Spider's own rows have the query's tree too.
        {"question": ROW["question"], "query": ROW["sql"], "sql": {"select": [False, []], "from": {}}, "schema": CREATE},
    ],
)
def test_a_row_may_bring_its_schema(fields: dict[str, Any], tmp_path: Path):
    example = example_from(Record(fields, "data:3"), "train-1", str(tmp_path))
    assert (example.input, example.target, example.where) == (ROW["question"], ROW["sql"], "data:3")
    assert columns(example.input.schema) == CITY


def test_wikisqls_own_rows_become_queries(tmp_path: Path):
    row = {
        "question": "Who wears 3?",
        "table": {"id": "1-10015132-16", "header": ["Player", "No."], "types": ["text", "real"]},
        "sql": {"sel": 0, "agg": 3, "conds": {"column_index": [1, 0], "operator_index": [1, 0], "condition": ["3", "O'Neal"]}},
    }
    example = example_from(Record(row, "data:1"), "train-1", str(tmp_path))
    assert example.target == 'SELECT COUNT("Player") FROM table_1_10015132_16 WHERE "No." > 3 AND "Player" = \'O\'\'Neal\''
    assert SqlTask().grammar_for(example).accepts(example.target)


@pytest.mark.parametrize(
    ("table", "conditions"),
    [
        ({"types": ["text"]}, {}),
        ({}, {"operator_index": [1, 0]}),
        ({}, {"operator_index": [9]}),
        ({}, {"condition": [3.5]}),
    ],
)
def test_a_ragged_row_of_wikisql_is_named(table: dict[str, Any], conditions: dict[str, Any], tmp_path: Path):
    row = {
        "question": "Who wears 3?",
        "table": {"id": "1-10", "header": ["Player", "No."], "types": ["text", "real"]} | table,
        "sql": {"sel": 0, "agg": 0, "conds": {"column_index": [1], "operator_index": [1], "condition": ["3"]} | conditions},
    }
    with pytest.raises(SofitError, match="data:3: the row is not as WikiSQL's are"):
        example_from(Record(row, "data:3"), "train-1", str(tmp_path))


@pytest.mark.parametrize("place", ["shop.sqlite", "other.db", "database/shop/shop.sqlite"])
def test_a_database_beside_the_rows_is_found(place: str, tmp_path: Path):
    database = make_database(tmp_path / place)
    (tmp_path / "train.jsonl").write_text(json.dumps(ROW | {"db": "shop"}) + "\n")
    (example,) = SqlTask(data=str(tmp_path)).load("train")
    assert example.input.schema.database == str(database)
    assert execute(example.target, example.input.schema.database).rows == ((3,),)


def test_a_copy_beside_a_database_is_not_taken_for_it(shared_data: Path):
    (example, *_) = SqlTask(data=str(shared_data / "geoquery")).load("validation")
    assert example.input.schema.database == str(shared_data / "geoquery" / "geography.sqlite")


def test_schemas_may_lie_in_another_folder(tmp_path: Path):
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "schema.sql").write_text(CREATE)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(ROW | {"question": f"{i}?"}) + "\n" for i in range(20)))
    task = SqlTask(data=str(tmp_path / "rows.jsonl"), schemas=str(tmp_path / "schemas"))
    assert [columns(example.input.schema) for example in task.load("validation")] == [CITY, CITY]


def test_a_row_without_a_schema_says_what_to_do(tmp_path: Path):
    with pytest.raises(SofitError, match=r"data:3: no schema of database 'shop' in .*schemas=FOLDER"):
        example_from(Record(ROW | {"db": "shop"}, "data:3"), "train-1", str(tmp_path))
    with pytest.raises(SofitError, match="Expected CREATE TABLE statements"):
        example_from(Record(ROW | {"context": "SELECT 1"}, "data:3"), "train-1", str(tmp_path))
    (tmp_path / "a.sqlite").write_text("not a database at all, and long enough to be looked at")
    with pytest.raises(SofitError, match=r"Cannot read the database .*a\.sqlite"):
        example_from(Record(ROW, "data:3"), "train-1", str(tmp_path))


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (
            {},
            [
                "Tables:",
                "city(id integer, name text, state text)",
                "state(code text)",
                "city.state refers to state.code",
            ],
        ),
        (
            {"schema_style": "create"},
            [
                "Database:",
                "CREATE TABLE city (id integer PRIMARY KEY, name text, state text, FOREIGN KEY (state) REFERENCES state(code));",
                "CREATE TABLE state (code text);",
            ],
        ),
        (
            {"sample_values": 2},
            [
                "Tables:",
                "city(id integer, name text, state text)",
                "  name: Akron, Dayton",
                "  state: OH, NV",
                "state(code text)",
                "city.state refers to state.code",
            ],
        ),
    ],
)
def test_the_prompt_begins_with_the_schema_and_ends_with_the_question(options: dict[str, Any], lines: list[str], tmp_path: Path):
    make_database(tmp_path / "a.sqlite")
    (tmp_path / "train.jsonl").write_text(json.dumps(ROW) + "\n")
    task = make_task(SqlTask, {"data": str(tmp_path), **options})
    (example,) = task.load("train")
    wanted = [
        "Write the SQLite query that answers the question.",
        "",
        *lines,
        "",
        "Question: How many cities are there?",
        "SQL: ",
    ]
    assert task.prompt(example) == "\n".join(wanted)


def test_a_mistaken_option_is_an_error():
    with pytest.raises(SofitError, match="must be one of compact, create"):
        make_task(SqlTask, {"schema_style": "short"})
    with pytest.raises(SofitError, match="must not be negative"):
        SqlTask(sample_values=-1)


def test_a_question_that_a_user_types_goes_to_the_only_database(shared_data: Path):
    for task in (SqlTask(), SqlTask(data=str(shared_data / "geoquery"))):
        example = task.example_for("How many are there?")
        assert task.prompt(example).endswith("Question: How many are there?\nSQL: ")
    with pytest.raises(SofitError, match="has no schema, or several"):
        SqlTask(data=str(shared_data / "spider_dev")).example_for("How many are there?")


def test_open_names_are_an_option(shared_data: Path):
    (example, *_) = SqlTask().load("train")
    assert SqlTask(closed_names=False).grammar_for(example).accepts("SELECT anything FROM anywhere")
    assert not SqlTask().grammar_for(example).accepts("SELECT anything FROM anywhere")
    assert SqlTask(aliases="total").grammar_for(example).accepts("SELECT count(*) AS total FROM book ORDER BY total")


def test_the_demo_set_is_the_same_each_time_and_no_question_comes_twice():
    questions = [record.text("question") for split in SIZES for record in demo_split(split, 0)]
    assert len(questions) == len(set(questions)) == 1680
    assert {split: len(demo_split(split, 0)) for split in SIZES} == SIZES
    demo_split.cache_clear()
    assert [record.text("question") for split in SIZES for record in demo_split(split, 0)] == questions
    assert demo_split("train", 1) != demo_split("train", 0)


def test_the_demos_database_has_the_same_bytes_each_time_and_answers_its_queries():
    path = demo_folder(0) / "library.sqlite"
    before = path.read_bytes()
    path.unlink()
    demo_folder.cache_clear()
    assert (demo_folder(0) / "library.sqlite").read_bytes() == before
    results = [execute(record.text("sql"), str(path)) for record in demo_split("validation", 0)]
    assert all(not result.error for result in results)
    assert sum(bool(result.rows) for result in results) > 0.7 * len(results)


def test_the_demo_set_keeps_the_contract_of_a_task():
    check_task(SqlTask())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["restaurants", "scholar"])
def test_real_data_keeps_the_contract_of_a_task(name: str, shared_data: Path):
    check_task(SqlTask(data=str(shared_data / name)))


def test_what_a_task_exports_names_the_schema_the_question_and_the_query(shared_data: Path):
    task = SqlTask(data=str(shared_data / "geoquery"))
    (example, *_) = task.load("validation")
    row = task.instruction_row(example)
    assert task.prompt(example) == f"{row['instruction']}\n\nQuestion: {row['input']}\nSQL: "
    assert row["output"] == example.target
    assert task.canonical(example.target, example) == task.canonical(example.target.lower(), replace(example, id="y"))
