"""Model-written SQL is hostile: each attack fails, nothing changes, and the next query still gets its answer."""

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sofit_sqlite import Sandbox


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A folder with one small database and a file that nobody may read or change."""
    path = tmp_path / "data" / "shop.sqlite"
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL)")
        connection.executemany("INSERT INTO item VALUES (?, ?, ?)", [(i, f"thing {i}", i / 3) for i in range(200)])
    connection.close()
    (path.parent / "secret.txt").write_text("the secret")
    return path


@pytest.fixture
def sandbox(database: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(str(database), timeout_seconds=0.5, most_rows=1_000)
    yield sandbox
    sandbox.close()


def fingerprint(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


ATTACKS = {
    "another file is attached": "ATTACH DATABASE '{folder}/secret.txt' AS other",
    "another file is made": "ATTACH DATABASE '{folder}/made.sqlite' AS other",
    "the database is copied": "VACUUM INTO '{folder}/copy.sqlite'",
    "rows are deleted": "DELETE FROM item",
    "rows are changed": "UPDATE item SET price = 0",
    "rows are added": "INSERT INTO item VALUES (999, 'x', 1)",
    "rows are replaced": "REPLACE INTO item VALUES (1, 'x', 1)",
    "rows are deleted and returned": "DELETE FROM item RETURNING id",
    "a table is dropped": "DROP TABLE item",
    "a table is made": "CREATE TABLE made (id INTEGER)",
    "a temporary table is made": "CREATE TEMP TABLE made AS SELECT * FROM item",
    "a trigger is made": "CREATE TEMP TRIGGER t AFTER INSERT ON item BEGIN SELECT 1; END",
    "a virtual table is made": "CREATE VIRTUAL TABLE made USING fts5(text)",
    "a setting is changed": "PRAGMA writable_schema = ON",
    "a setting is read": "PRAGMA database_list",
    "a setting is read by a function": "SELECT * FROM pragma_database_list",
    "the paths of files are read": "SELECT file FROM pragma_database_list()",
    "the schema's table is read": "SELECT sql FROM sqlite_master",
    "an extension is loaded": "SELECT load_extension('{folder}/evil.so')",
    "a file is read": "SELECT readfile('{folder}/secret.txt')",
    "a file is written": "SELECT writefile('{folder}/made.txt', 'x')",
    "an editor is started": "SELECT edit('x', 'sh')",
    "a tokenizer's address is told": "SELECT fts3_tokenizer('simple')",
    "the compilation is told": "SELECT sqlite_compileoption_get(0)",
    "a transaction is begun": "BEGIN IMMEDIATE",
    "a savepoint is made": "SAVEPOINT s",
    "two statements are given": "SELECT 1; DROP TABLE item",
    "the statement is hidden in a comment": "/* SELECT */ DELETE FROM item -- SELECT",
    "the plan is asked for": "EXPLAIN SELECT * FROM item",
    "a table calls itself for ever": "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    "a table calls itself for long": "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT 9000) SELECT * FROM t",
    "it takes for ever": "SELECT count(*) FROM item a, item b, item c, item d, item e WHERE a.price * b.price > c.price",
    "one value takes for ever": "SELECT max(replace(hex(a.name || b.name), '0', c.name)) FROM item a, item b, item c, item",
    "there are too many rows": "SELECT a.id FROM item AS a, item AS b",
    "a value is too long": "SELECT zeroblob(1000000000)",
    "a value grows too long": "SELECT printf('%.*c', 900000000, 'x')",
    "a value is made of too many": "SELECT group_concat(a.name || b.name || c.name) FROM item a, item b, item c",
    "sorting takes all memory": "SELECT a.name || b.name || c.name || d.name AS x FROM item a, item b, item c, item d ORDER BY x",
    "it nests too deep": "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
    "it is too long": "SELECT " + " + ".join(["1"] * 100_000),
    "it holds a zero": "SELECT 1\x00; DROP TABLE item",
    "it is half of a character": "SELECT '\ud83d'",
    "it is nothing": "",
    "it is a comment": "-- SELECT 1",
    "it is no SQL": "I do not know.",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_gives_an_error_or_nothing_and_changes_nothing(attack: str, sandbox: Sandbox, database: Path):
    before = fingerprint(database.parent)
    start = time.monotonic()
    result = sandbox.run(attack.replace("{folder}", str(database.parent)))
    assert time.monotonic() - start < 6
    told = {value for row in result.rows for value in row}
    assert result.error or told <= {None}  # printf answers NULL where its text grew too long before the time was up.
    assert fingerprint(database.parent) == before
    assert sandbox.run("SELECT count(*) FROM item").rows == ((200,),)


def test_nothing_but_the_rows_can_be_learnt_of_a_query_that_is_allowed(sandbox: Sandbox):
    result = sandbox.run("SELECT upper(name), round(price, 2), NULL, x'00ff' FROM item WHERE id IN (3, 4) ORDER BY id DESC")
    assert result.error == ""
    assert result.rows == (("THING 4", 1.33, None, "00ff"), ("THING 3", 1.0, None, "00ff"))


def test_text_in_double_quotes_is_a_string_where_it_is_no_column(sandbox: Sandbox):
    assert sandbox.run('SELECT id FROM item WHERE name = "thing 7"').rows == ((7,),)


def test_the_date_of_today_is_no_secret(sandbox: Sandbox):
    query = "SELECT CURRENT_DATE = date('now'), CURRENT_TIME LIKE '__:__:__', CURRENT_TIMESTAMP LIKE '____-__-__ %'"
    assert sandbox.run(query).rows == ((1, 1, 1),)


def test_a_process_that_was_killed_is_replaced(sandbox: Sandbox):
    assert sandbox.run("SELECT 1").rows == ((1,),)
    assert sandbox._process is not None
    sandbox._process.kill()
    sandbox._process.wait()
    assert "ended" in sandbox.run("SELECT 1").error
    assert sandbox.run("SELECT 1").rows == ((1,),)


def test_a_database_that_is_not_there_is_an_error_of_each_query(tmp_path: Path):
    sandbox = Sandbox(str(tmp_path / "nothing.sqlite"))
    assert sandbox.run("SELECT 1").error
    assert list(tmp_path.iterdir()) == []


def test_the_process_knows_no_environment_and_no_packages(database: Path):
    sandbox = Sandbox(str(database))
    assert sandbox.run("SELECT 1").rows
    assert sandbox._process is not None
    environment = Path(f"/proc/{sandbox._process.pid}/environ")
    if environment.exists():
        assert environment.read_bytes() == b""
    assert sandbox._command[1:3] == ["-I", "-S"]
    sandbox.close()
