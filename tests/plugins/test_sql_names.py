"""The grammar of one database: no query names what the database does not have, in either engine."""

import json
import sqlite3
from pathlib import Path

import pytest

from sofit.grammar.engine import ByteMatcher
from sofit.grammar_check import check_grammar
from sofit_grammars.sql_names import quoted, sql_grammar_of
from sofit_grammars.sql_words import AGGREGATES, RESERVED
from sofit_sql import SqlTask
from sofit_sql.rules import check_names
from sofit_sqlite import Column, Schema, Table

SHOP = Schema(
    "shop",
    (
        Table("item", (Column("id", "integer", True), Column("name", "text"), Column("price/unit", "real"), Column("order"))),
        Table("item list", (Column("item_id"), Column("note"))),
    ),
)
GRAMMAR = sql_grammar_of("shop", SHOP.table_names, (*SHOP.column_names, "total"))
MATCHER = ByteMatcher(GRAMMAR.constraint())


def test_the_grammar_of_a_schema_has_no_flaw():
    assert GRAMMAR.flaws == ()


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("SELECT name FROM item", True),
        ("SELECT NAME FROM Item", True),
        ("SELECT names FROM item", False),
        ("SELECT nam FROM item", False),
        ("SELECT colour FROM item", False),
        ("SELECT name FROM items", False),
        ("SELECT name FROM ite", False),
        ('SELECT "price/unit", "NAME", [note], `id` FROM "item list"', True),
        ('SELECT "price" FROM item', False),
        ("SELECT [price] FROM item", False),
        ("SELECT price/unit FROM item", False),
        ('SELECT name FROM "item lists"', False),
        ("SELECT T1.name FROM item AS T1", True),
        ("SELECT T1.colour FROM item AS T1", False),
        ('SELECT T1."order", T1.order FROM item AS T1', True),
        ("SELECT order FROM item", False),
        ('SELECT name FROM item WHERE name = "anything at all"', True),
        ('SELECT name FROM item WHERE "anything" = name', False),
        ("SELECT count(*) AS total FROM item ORDER BY total", True),
        ("SELECT count(*) AS number FROM item", True),
        ("SELECT count(*) AS number FROM item ORDER BY number", False),
        ("SELECT name FROM item WHERE id = NULL OR id = true", True),
        ("SELECT max(id), avg (id), frobnicate(name) FROM item", True),
        ("SELECT max(idx) FROM item", False),
        ("SELECT nameFROM item", False),
        ("SELECT name FROM itemWHERE id = 1", False),
        ("SELECT name AND id FROM item", True),
        ("SELECT nameAND id FROM item", False),
        ("SELECT name FROM item WHERE id > `price/unit` AND id = [order]", True),
        ("SELECT name FROM item WHERE id > `price`", False),
    ],
)
def test_names_are_closed_in_both_engines(text: str, is_one: bool):
    assert GRAMMAR.accepts(text) == MATCHER.accepts(text) == is_one
    assert (GRAMMAR.problem(text) is None) == is_one
    assert (GRAMMAR.recogniser.accepts(text)) == is_one


def test_both_engines_agree_on_mutants_of_queries_to_a_database(shared_data: Path):
    task = SqlTask(data=str(shared_data / "geoquery"))
    examples = list(task.load("validation"))
    grammar = task.grammar_for(examples[0])
    report = check_grammar(grammar, [(e.id, e.target) for e in examples], mutant_count=1_000, walk_count=50)
    assert report.flaws == []
    assert report.walks == 50


def test_odd_headers_are_closed_too(shared_data: Path):
    task = SqlTask(data=str(shared_data / "wikisql"))
    examples = list(task.load("validation"))[::5]
    assert len(examples) == 200
    assert [example.target for example in examples if not task.grammar_for(example).accepts(example.target)] == []
    for example in examples[::20]:
        matcher = ByteMatcher(task.grammar_for(example).constraint())
        column = example.input.schema.tables[0].columns[0].name
        invented = example.target.replace('SELECT "', 'SELECT "X').replace('("', '("X')
        assert matcher.accepts(example.target), column
        assert not matcher.accepts(invented)
        assert not task.grammar_for(example).accepts(invented)


def test_a_schema_has_one_grammar_however_many_questions_ask_it(shared_data: Path):
    task = SqlTask(data=str(shared_data / "scholar"))
    assert len({id(task.grammar_for(example)) for example in task.load("train")}) == 1


def test_a_schema_whose_names_all_need_quotes_still_has_a_grammar():
    grammar = sql_grammar_of("odd", ("my table",), ("a b", "c[d]"))
    assert grammar.flaws == ()
    assert grammar.accepts('SELECT "a b", `c[d]` FROM "my table"')
    assert not grammar.accepts("SELECT a FROM my")


@pytest.mark.parametrize(
    ("name", "marks"),
    [("a\nb", ""), ("a\tb", ""), ("", ""), ("a`b", '["'), ("a[b", '`"'), ("a]b", '`"'), ("a" * 101, '"'), ('a"b', '`["')],
)
def test_a_name_stands_in_the_quotes_that_take_it(name: str, marks: str):
    grammar = sql_grammar_of("odd", ("t", name), ("plain", name))
    matcher = ByteMatcher(grammar.constraint())
    assert grammar.flaws == ()
    assert grammar.accepts("SELECT `plain` FROM t")
    for mark, written in {"`": f"`{name}`", "[": f"[{name}]", '"': '"' + name.replace('"', '""') + '"'}.items():
        for text in (f"SELECT plain FROM {written}", f"SELECT {written} FROM t", f"SELECT plain FROM t WHERE {written} > 1"):
            assert grammar.accepts(text) == matcher.accepts(text) == (mark in marks)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [("count",), AGGREGATES])
def test_the_grammar_of_columns_that_are_called_as_functions_has_no_flaw(columns: tuple[str, ...]):
    assert sql_grammar_of("odd", ("t",), columns).flaws == ()


@pytest.mark.parametrize("columns", [("Avg",), tuple(map(str.lower, AGGREGATES))])
def test_a_column_may_be_called_as_a_function_which_then_takes_no_space(columns: tuple[str, ...]):
    grammar = sql_grammar_of("odd", ("t",), (*columns, "a"))
    matcher = ByteMatcher(grammar.constraint())
    for word in map(str.lower, AGGREGATES):
        is_column = word in map(str.lower, columns)
        for text in (f"SELECT {word} FROM t", f"SELECT sum({word}) AS n FROM t WHERE a = {word} ORDER BY {word} DESC"):
            assert grammar.accepts(text) == matcher.accepts(text) == is_column
        assert grammar.accepts(f"SELECT {word} (a) FROM t") == matcher.accepts(f"SELECT {word} (a) FROM t") == (not is_column)
        assert grammar.accepts(f"SELECT {word}(a), frobnicate(a) FROM t")


@pytest.mark.parametrize("word", [*RESERVED, "CHECK", "INDEX", "TO", "CAST", "date", "avg", "end"])
def test_a_name_is_shown_as_sqlite_and_the_grammar_take_it(word: str):
    shown = quoted(word)
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE t ({shown} TEXT)")
    connection.execute(f"SELECT {shown} FROM t")
    connection.close()
    assert sql_grammar_of("odd", ("t",), (word,)).accepts(f"SELECT {shown} FROM t")


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("SELECT T1.name FROM item AS T1", []),
        ("SELECT item.name FROM item", []),
        ("SELECT T1.name FROM item T1 WHERE T2.id = 1", ["SOF101"]),
        ("SELECT item.name FROM item AS T1", ["SOF101"]),
        ("SELECT T1.note FROM item AS T1", ["SOF102"]),
        ('SELECT T2.note, T2.id FROM "item list" AS T2', ["SOF102"]),
        ("SELECT T1.* FROM item AS T1", []),
        ("SELECT T2.* FROM item AS T1", ["SOF101"]),
        ("SELECT T1.name FROM item T1 WHERE EXISTS (SELECT 1 FROM item T2 WHERE T2.id = T1.id)", []),
        ("SELECT T1.name FROM item T1 WHERE T1.id IN (SELECT T2.id FROM item T2) AND T2.id = 1", ["SOF101"]),
        ("SELECT D.total FROM (SELECT T1.id AS total FROM item T1) AS D", []),
        ("SELECT T1.id FROM (SELECT T1.id AS total FROM item T1) AS D", ["SOF101"]),
        ("SELECT T1.id FROM item T1, (SELECT T1.id AS total FROM item T2) AS D", ["SOF101"]),
        ("SELECT T1.id FROM item T1 WHERE T1.id IN (SELECT T2.id FROM item T2) ORDER BY T1.name", []),
        ("SELECT T1.id FROM item T1 UNION SELECT T2.id FROM item T2 ORDER BY T1.id", []),
        ("SELECT T1.id FROM item T1 UNION SELECT T1.id FROM item T2", ["SOF101"]),
    ],
)
def test_a_qualified_column_must_be_of_its_table(text: str, codes: list[str]):
    assert GRAMMAR.problem(text) is None
    assert [problem.code for problem in check_names(text, GRAMMAR, SHOP)] == codes


def test_a_broken_rule_says_where_and_what_there_is():
    (problem,) = check_names("SELECT T1.note FROM item AS T1", GRAMMAR, SHOP)
    assert (problem.column, problem.found) == (11, "note")
    assert problem.message == "'t1' has no column 'note'. It has: id, name, order, price/unit."


def test_gold_queries_break_no_rule_but_those_that_do_not_run(shared_data: Path):
    task = SqlTask(data=str(shared_data / "geoquery"))
    files = [shared_data / "geoquery" / f"{name}.jsonl" for name in ("train", "dev")]
    rows = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    does_not_run = {row["sql"].strip() for row in rows if not row["executable"]}
    for split in ("train", "validation"):
        for example in task.load(split):
            if list(task.check_for(example, example.target)):
                assert example.target in does_not_run


def test_what_the_closed_grammar_accepts_names_only_what_sqlite_finds(tmp_path: Path):
    connection = sqlite3.connect(":memory:")
    connection.execute('CREATE TABLE item (id, name, "price/unit", "order")')
    for text in ('SELECT "price/unit", T1."order" FROM item AS T1', "SELECT name FROM item WHERE id = 1 ORDER BY name"):
        assert GRAMMAR.accepts(text)
        connection.execute(text)
    connection.close()
