"""The grammar of SQL: what it takes, what it refuses, and that it takes all gold queries of six public sets."""

import json
from pathlib import Path

import pytest

from sofit.grammar_check import check_grammar
from sofit_grammars import builtin_grammar
from sofit_grammars.sql_words import AGGREGATES, RESERVED, name_pattern

SQL = builtin_grammar("sql")


def gold(folder: Path) -> list[str]:
    files = [file for file in folder.glob("*.jsonl") if file.name != "schemas.jsonl"]
    return [json.loads(line)["sql"].strip() for file in files for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    "name", ["geoquery", "restaurants", "scholar", "advising", "spider_dev", "wikisql", "academic", "imdb", "yelp"]
)
def test_it_accepts_every_gold_query_and_keeps_every_letter_in_the_tree(name: str, shared_data: Path):
    queries = gold(shared_data / name)
    assert len(queries) > 80
    assert [query for query in queries if not SQL.accepts(query)] == []
    for query in queries[:: len(queries) // 50]:
        assert "".join(SQL.parse(query).scan_values(lambda token: True)) == query


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "select * from city",
        "SELECT DISTINCT a.name, a.size AS s FROM city a, state AS b WHERE a.id = b.id;",
        "SELECT DISTINCT(name) FROM city",
        "SELECT count(*), count(DISTINCT name), COUNT( DISTINCT ( name ) ), max (size) FROM city",
        "SELECT (a + b) * -2 / 3 - c % 2 || 'x' FROM t",
        "SELECT a FROM t JOIN u ON t.x = u.y LEFT OUTER JOIN v ON u.a = v.a AND v.b > 2 INNER JOIN w USING (a, b) NATURAL JOIN z",
        "SELECT a FROM t WHERE NOT (a = 1 OR b <> 2) AND c != 3 AND d >= 4.5",
        "SELECT a FROM t WHERE a LIKE '%x' AND b NOT LIKE \"_y\" AND c BETWEEN 1 AND 2 + 3 AND d NOT BETWEEN 5 AND 6",
        "SELECT a FROM t WHERE a IN (1, 'two', \"three\") AND b NOT IN(SELECT b FROM u) AND c IS NULL AND d IS NOT NULL",
        "SELECT a FROM t WHERE a = (SELECT max(a) FROM t) AND EXISTS (SELECT 1 FROM u WHERE u.a = t.a)",
        "SELECT a FROM t WHERE b > ALL (SELECT b FROM u)",
        "SELECT x.n FROM (SELECT count(*) AS n FROM t GROUP BY a HAVING count(*) > 1) AS x ORDER BY x.n DESC, 1 LIMIT 5 OFFSET 2",
        "SELECT a FROM t UNION ALL SELECT b FROM u INTERSECT SELECT c FROM v EXCEPT SELECT d FROM w ORDER BY 1 ASC LIMIT 1, 2",
        "SELECT CASE WHEN a > 1 THEN 'x' WHEN a > 0 THEN \"y\" ELSE NULL END, CASE a WHEN 1 THEN 2 END FROM t",
        "SELECT lower(trim(a)), YEAR(CURDATE()) - 8, CAST(a AS integer), coalesce(a, b, 'c') FROM t",
        'SELECT "odd name (%)", `other`, [third one], T1."x ""y""" FROM "a table" AS T1 WHERE "a b" = \'it\'\'s\'',
        "SELECT selected, notes, order_id, caseload, fromage, asset FROM whereabouts AS island",
        "SELECT\n  a\nFROM\n\tt\r\nWHERE  a>=1 ;",
        "SELECT COUNT(*) > 0 FROM t",
        "SELECT a FROM t RIGHT JOIN u ON t.x = u.y FULL OUTER JOIN v USING (a) NATURAL FULL JOIN w",
        "SELECT CAST(a AS DECIMAL(10, 2)), CAST(b AS VARCHAR (9)), CURRENT_DATE FROM t ORDER BY a DESC NULLS LAST, b NULLS FIRST",
        'SELECT a FROM t WHERE a > `b c` AND d = -[e f] * `g` AND h BETWEEN `i` AND c-`j` AND k IN ("x", [l])',
        f"SELECT {'a' * 128}, {'t' * 128}.{'c' * 128} FROM {'t' * 128} {'u' * 128} JOIN v ON x = y WHERE z = 1",
        "SELECT a - -1, a - b * -1, a*-1, -a+-b, a-b - (-c) FROM t WHERE a = -1 AND b = c - -d - 1",
    ],
)
def test_it_accepts(text: str):
    assert SQL.problem(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DELETE FROM city",
        "DROP TABLE city",
        "INSERT INTO city VALUES (1)",
        "UPDATE city SET a = 1",
        "PRAGMA table_info(city)",
        "ATTACH 'x' AS y",
        "WITH t AS (SELECT 1) SELECT * FROM t",
        "SELECT",
        "SELECT FROM city",
        "SELECT a, FROM city",
        "SELECT a FROM",
        "SELECT a FROM city WHERE",
        "SELECT a FROM city WHERE AND b = 1",
        "SELECT a FROM city WHERE b = FROM",
        "SELECT a FROM select",
        "SELECT a FROM city GROUP a",
        "SELECT a FROM city ORDER BY",
        "SELECT a FROM city LIMIT a",
        "SELECT a FROM city; SELECT b FROM city",
        "SELECT a FROM (SELECT b FROM city",
        "SELECT max(a FROM city",
        "SELECT a FROM city WHERE b = 'x",
        "SELECT a FROM city WHERE b = 1AND c = 2",
        "SELECT aFROM city",
        "SELECTa FROM city",
        "SELECT a FROM city -- comment",
        # To SQLite these are comments too.
        "SELECT a--1 FROM city",
        "SELECT a - b --1 FROM city",
        "SELECT --1 FROM city",
        "SELECT a FROM city WHERE b = --1",
        "SELECT a FROM city WHERE b = c--1",
        "SELECT a FROM cityWHERE b = 1",
        "SELECT a FROM t RIGHT u",
        f"SELECT t.{'c' * 129} FROM t",
        "SELECT CAST(a AS DECIMAL(b)) FROM t",
        "SELECT a FROM t ORDER BY a NULLS",
    ],
)
def test_it_refuses(text: str):
    assert not SQL.accepts(text)
    assert SQL.problem(text) is not None


def test_the_words_in_the_file_are_those_that_the_function_makes():
    lines = SQL.text.splitlines()
    assert f"WORD: /{name_pattern()}/i" in lines
    assert f"COLUMN: /{name_pattern((*RESERVED, *AGGREGATES))}/i" in lines


@pytest.mark.parametrize("word", RESERVED)
def test_a_reserved_word_is_no_name_in_any_letter_case_but_what_begins_it_or_with_it_is(word: str):
    for text in (word, word.lower(), word.capitalize()):
        assert not SQL.accepts(f"SELECT x FROM {text}")
    for text in (*(word[:end] for end in range(1, len(word))), *(word + letter for letter in "aZ_7")):
        assert SQL.accepts(f"SELECT x FROM {text}") == (text.upper() not in RESERVED)


@pytest.mark.slow
def test_both_engines_agree_on_mutants_of_real_queries(shared_data: Path):
    targets = [(name, query) for name in ("geoquery", "spider_dev", "scholar") for query in gold(shared_data / name)]
    report = check_grammar(SQL, targets, mutant_count=10_000)
    assert report.flaws == []
    assert (report.mutants, report.differing_mutants) == (10_000, 0)
