"""The SQL task: where its examples come from, what the model reads, and that it keeps the contract of a task."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from city_database import CITY, CREATE, ROW, columns, make_database

from sofit import Record, SofitError
from sofit.task import make_task
from sofit.testing import check_task
from sofit_sql import SqlTask
from sofit_sql.demo import SIZES, demo_folder, demo_split
from sofit_sql.sources import example_from
from sofit_sqlite import execute


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """Makes the demo's database in a folder of the test's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    demo_folder.cache_clear()


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
