"""What the metrics say: of the targets, of every kind of mistake, and of results in another order."""

import sqlite3
from pathlib import Path

import pytest

from sofit import Example, Prediction
from sofit_sql import SqlTask
from sofit_sql.canonical import canonical_sql, clauses
from sofit_sql.sources import Question
from sofit_sqlite import read_schema, same_rows

TASK = SqlTask()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Question:
    path = tmp_path_factory.mktemp("shop") / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, kind TEXT, price REAL)")
        connection.execute("CREATE TABLE sale (item_id INTEGER REFERENCES item(id), year INTEGER, amount INTEGER)")
        items = [(1, "pen", "office", 1.5), (2, "ink", "office", 4.0), (3, "cup", "kitchen", 3.0), (4, "pan", "kitchen", 20.0)]
        connection.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", items)
        connection.executemany("INSERT INTO sale VALUES (?, ?, ?)", [(1, 2020, 5), (1, 2021, 7), (3, 2020, 1), (4, 2021, 2)])
    connection.close()
    return Question("?", read_schema(path))


def score(shop: Question, target: str, text: str) -> dict[str, float]:
    example = Example(id="x", input=shop, target=target)
    return dict(TASK.score([Prediction(example=example, text=text)]).metrics)


BY_KIND = "SELECT name, price FROM item WHERE kind = 'office' AND price > 1"
ORDERED = "SELECT name, price FROM item WHERE price < 10 ORDER BY price DESC"
JOINED = (
    "SELECT T1.name, SUM(T2.amount) FROM item AS T1 JOIN sale AS T2 ON T1.id = T2.item_id"
    " GROUP BY T1.name HAVING SUM(T2.amount) > 1"
)

# Each: what is wrong or different; target; query; execution accuracy, exact match, clause match, executable, valid.
TABLE = [
    ("nothing", BY_KIND, BY_KIND, (1, 1, 1, 1, 1)),
    (
        "letter case, quotes and spaces",
        BY_KIND,
        'select "name" , price from ITEM where KIND="office" and price>1 ;',
        (1, 1, 1, 1, 1),
    ),
    ("an alias more", BY_KIND, "SELECT i.name, i.price FROM item AS i WHERE i.kind = 'office' AND i.price > 1", (1, 1, 1, 1, 1)),
    ("other aliases", JOINED, JOINED.replace("T1", "a").replace("T2", "sold"), (1, 1, 1, 1, 1)),
    ("columns swapped", BY_KIND, BY_KIND.replace("name, price", "price, name"), (1, 0, 1, 1, 1)),
    ("conditions swapped", BY_KIND, "SELECT name, price FROM item WHERE price > 1 AND kind = 'office'", (1, 0, 1, 1, 1)),
    ("another value with the same rows", BY_KIND, BY_KIND.replace("> 1", "> 0"), (1, 0, 1, 1, 1)),
    ("another value", BY_KIND, BY_KIND.replace("office", "kitchen"), (0, 0, 1, 1, 1)),
    ("a wrong column", BY_KIND, BY_KIND.replace("name,", "kind,"), (0, 0, 0, 1, 1)),
    ("a column too many", BY_KIND, BY_KIND.replace("name,", "id, name,"), (0, 0, 0, 1, 1)),
    ("a column missing", BY_KIND, BY_KIND.replace("name, ", ""), (0, 0, 0, 1, 1)),
    ("a dropped condition", BY_KIND, "SELECT name, price FROM item WHERE price > 1", (0, 0, 0, 1, 1)),
    ("a dropped condition without effect", BY_KIND, "SELECT name, price FROM item WHERE kind = 'office'", (1, 0, 0, 1, 1)),
    ("OR for AND", BY_KIND, BY_KIND.replace("AND", "OR"), (0, 0, 0, 1, 1)),
    ("duplicates", "SELECT kind FROM item", "SELECT DISTINCT kind FROM item", (0, 0, 0, 1, 1)),
    ("rows in another order where none is asked", BY_KIND, BY_KIND + " ORDER BY price DESC", (1, 0, 0, 1, 1)),
    ("rows in another order where one is asked", ORDERED, ORDERED.replace("DESC", "ASC"), (0, 0, 0, 1, 1)),
    ("no order where one is asked", ORDERED, "SELECT name, price FROM item WHERE price < 10", (0, 0, 0, 1, 1)),
    ("ordered columns swapped", ORDERED, ORDERED.replace("name, price FROM", "price, name FROM"), (1, 0, 1, 1, 1)),
    ("another table in the join", JOINED, JOINED.replace("SUM", "MAX"), (0, 0, 0, 1, 1)),
    ("no HAVING", JOINED, JOINED.partition(" HAVING")[0], (0, 0, 0, 1, 1)),
    ("an alias that is not there", JOINED, JOINED.replace("T2.amount", "T3.amount"), (0, 0, 0, 0, 1)),
    ("an invented column", BY_KIND, BY_KIND.replace("price", "cost"), (0, 0, 0, 0, 0)),
    ("an invented table", BY_KIND, BY_KIND.replace("item", "items"), (0, 0, 0, 0, 0)),
    ("a query cut off", BY_KIND, BY_KIND[:38], (0, 0, 0, 0, 0)),
    ("what the grammar does not know but SQLite does", BY_KIND, BY_KIND + " LIMIT 5 + 5", (1, 0, 0, 1, 0)),
    ("no query", BY_KIND, "I do not know.", (0, 0, 0, 0, 0)),
    ("nothing at all", BY_KIND, "", (0, 0, 0, 0, 0)),
    ("a deletion", BY_KIND, "DELETE FROM item", (0, 0, 0, 0, 0)),
]


@pytest.mark.parametrize(("target", "text", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_each_kind_of_mistake_costs_what_it_should(shop: Question, target: str, text: str, expected: tuple[int, ...]):
    names = ("execution_accuracy", "exact_match", "clause_match", "executable", "valid")
    assert score(shop, target, text) == dict(zip(names, map(float, expected), strict=True))


def test_the_first_metric_is_execution_accuracy_and_without_a_database_there_is_none(shop: Question, shared_data: Path):
    assert next(iter(score(shop, BY_KIND, BY_KIND))) == "execution_accuracy"
    scholar = SqlTask(data=str(shared_data / "scholar"))
    examples = list(scholar.load("validation"))[:3]
    scores = scholar.score([Prediction(example=example, text=example.target) for example in examples])
    assert list(scores.metrics) == ["exact_match", "clause_match", "valid"]


def test_a_target_that_does_not_run_is_right_only_if_it_is_written_so(shop: Question):
    target = "SELECT name FROM item WHERE price > ALL (SELECT amount FROM sale)"
    assert score(shop, target, target.lower())["execution_accuracy"] == 1
    assert score(shop, target, "SELECT name FROM item WHERE price > 19")["execution_accuracy"] == 0


@pytest.mark.parametrize(
    ("expected", "found", "ordered", "same"),
    [
        ([(1, 2), (3, 4)], [(3, 4), (1, 2)], False, True),
        ([(1, 2), (3, 4)], [(3, 4), (1, 2)], True, False),
        ([(1, 2), (3, 4)], [(2, 1), (4, 3)], False, True),
        ([(1, 2), (3, 4)], [(2, 1), (4, 3)], True, True),
        # The columns hold the same values each, but not in the same rows.
        ([(1, 2), (2, 1)], [(1, 1), (2, 2)], False, False),
        ([(1, 2, 1), (2, 1, 1)], [(1, 1, 2), (1, 2, 1)], False, True),
        ([(1,), (1,)], [(1,)], False, False),
        ([(1, 1)], [(1,)], False, False),
        ([], [], False, True),
        ([(None,)], [(0,)], False, False),
        ([(1,)], [("1",)], False, False),
        ([(1,)], [(1.0,)], False, True),
        ([(0.1 + 0.2,)], [(0.3,)], False, True),
    ],
)
def test_results_are_the_same_as_bags_of_rows_under_an_order_of_columns(
    expected: list[tuple[object, ...]], found: list[tuple[object, ...]], ordered: bool, same: bool
):
    assert same_rows(expected, found, ordered=ordered) == same


def test_many_columns_with_equal_values_are_matched_in_no_time():
    row = tuple([1] * 30)
    assert same_rows([row] * 50, [row] * 50, ordered=False)
    assert not same_rows([(*row, 1)] * 50, [(*row, 2)] * 50, ordered=False)


def test_a_canonical_form_is_its_own(shop: Question):
    for target in (BY_KIND, ORDERED, JOINED):
        canonical = canonical_sql(target, shop.schema)
        assert canonical is not None
        assert canonical_sql(canonical, shop.schema) == canonical


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("SELECT name FROM item ORDER BY name", "SELECT a.name FROM item AS a ORDER BY a.name", True),
        (
            "SELECT name FROM item GROUP BY name HAVING sum(id) > 1",
            "SELECT a.name FROM item a GROUP BY a.name HAVING sum(a.id) > 1",
            True,
        ),
        ("SELECT item.* FROM item", "SELECT a.* FROM item AS a", True),
        (
            "SELECT a.* FROM item AS a JOIN sale AS b ON a.id = b.item_id",
            "SELECT a.* FROM item AS b JOIN sale AS a ON b.id = a.item_id",
            False,
        ),
        (
            "SELECT count(*) AS n FROM item GROUP BY kind HAVING n > 2",
            "SELECT count(*) AS m FROM item GROUP BY kind HAVING m > 2",
            True,
        ),
        (
            "SELECT kind AS a, count(*) AS b FROM item GROUP BY kind ORDER BY a",
            "SELECT kind AS b, count(*) AS a FROM item GROUP BY kind ORDER BY a",
            False,
        ),
        ("SELECT id AS x, count(*) AS n FROM item ORDER BY n", "SELECT id AS y, count(*) AS m FROM item ORDER BY m", True),
        # ORDER BY takes a lone name for a result's, WHERE for a column's.
        ("SELECT count(*) AS id FROM item ORDER BY id", "SELECT count(*) FROM item ORDER BY id", False),
        ("SELECT count(*) AS id FROM item WHERE id > 1", "SELECT count(*) FROM item WHERE id > 1", True),
    ],
)
def test_queries_match_whatever_they_call_their_tables_and_results(shop: Question, one: str, other: str, same: bool):
    for form in (canonical_sql, clauses):
        assert form(one, shop.schema) is not None
        assert (form(one, shop.schema) == form(other, shop.schema)) == same


@pytest.mark.parametrize("name", [pytest.param("geoquery", marks=pytest.mark.slow), "restaurants"])
def test_gold_scores_one_in_every_metric(name: str, shared_data: Path):
    task = SqlTask(data=str(shared_data / name))
    examples = [*task.load("train"), *task.load("validation")][::3]
    scores = task.score([Prediction(example=example, text=example.target) for example in examples])
    assert set(scores.metrics.values()) == {1.0}
    assert len(scores.metrics) == 5
