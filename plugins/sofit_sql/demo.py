"""The demo set: a small invented library, and questions to it made from templates, so that a first run needs no download.

It says nothing about a model's skill on real questions; whatever shows its scores says that they are of a demo set.
"""

import functools
import os
import random
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from sofit import Record, take_split
from sofit_sql import demo_words as words

SIZES = {"train": 1200, "validation": 240, "test": 240}
"""Examples in each split."""

_TABLES = (
    "CREATE TABLE author (author_id INTEGER PRIMARY KEY, name TEXT, country TEXT, birth_year INTEGER)",
    "CREATE TABLE book (book_id INTEGER PRIMARY KEY, title TEXT, genre TEXT, year INTEGER, pages INTEGER,"
    " author_id INTEGER REFERENCES author(author_id))",
    "CREATE TABLE branch (branch_id INTEGER PRIMARY KEY, city TEXT, seats INTEGER)",
    "CREATE TABLE loan (loan_id INTEGER PRIMARY KEY, book_id INTEGER REFERENCES book(book_id),"
    " branch_id INTEGER REFERENCES branch(branch_id), days INTEGER)",
)
_LOANS = 400


@functools.cache
def demo_split(split: str, seed: int) -> Sequence[Record]:
    """Returns the rows of a split. No question occurs twice, in one split or in two.

    Raises:
        SofitError: there is no such split.
    """
    rng = random.Random(seed)
    rows: dict[str, Record] = {}
    while len(rows) < sum(SIZES.values()):
        templates, query = rng.choice(words.TEMPLATES)
        values = {name: rng.choice(choices) for name, choices in _CHOICES.items()}
        values["safe_title"] = str(values["title"]).replace("'", "''")
        question = rng.choice(templates).format(**values)
        rows.setdefault(question, Record({"question": question, "sql": query.format(**values)}, ""))
    return take_split(list(rows.values()), split, SIZES)


@functools.cache
def demo_folder(seed: int) -> Path:
    """Returns the folder of the library's database, which is made in the user's cache when it is missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "sofit" / f"sql-demo-{seed}"
    path = folder / "library.sqlite"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        # Made aside and moved, so that no other process finds half of it.
        with tempfile.TemporaryDirectory(dir=folder) as made:
            _write(Path(made) / path.name, random.Random(seed))
            os.replace(Path(made) / path.name, path)
    return folder


_CHOICES: dict[str, Sequence[str | int]] = {
    "author": words.AUTHORS,
    "country": tuple(words.COUNTRIES),
    "genre": words.GENRES,
    "city": words.CITIES,
    "title": words.TITLES,
    "year": range(1951, 2024),
    "pages": range(100, 900, 10),
    "days": range(5, 40),
    "seats": range(20, 200, 5),
    "count": range(2, 12),
}


def _write(path: Path, rng: random.Random) -> None:
    draw: Callable[[str], str | int] = lambda name: rng.choice(_CHOICES[name])  # noqa: E731
    authors = [(i, name, draw("country"), rng.randint(1920, 1995)) for i, name in enumerate(words.AUTHORS, start=1)]
    books = [
        (i, title, draw("genre"), draw("year"), draw("pages"), rng.randint(1, len(authors)))
        for i, title in enumerate(words.TITLES, start=1)
    ]
    branches = [(i, city, draw("seats")) for i, city in enumerate(words.CITIES, start=1)]
    loans = [(i, rng.randint(1, len(books)), rng.randint(1, len(branches)), draw("days")) for i in range(1, _LOANS + 1)]
    with closing(sqlite3.connect(path)) as connection, connection:
        for table, rows in zip(_TABLES, (authors, books, branches, loans), strict=True):
            connection.execute(table)
            connection.executemany(f"INSERT INTO {table.split()[2]} VALUES ({', '.join('?' * len(rows[0]))})", rows)
