"""The grammar of the queries to one database: sql.lark, with its tables and columns for names.

A name of letters, digits and _ may stand as it is, and every name in quotes. After `=` and the like a text in double quotes is a
string, so there only names in other quotes are closed.
"""

import dataclasses
import functools
import re
from collections.abc import Iterable, Sequence

from sofit import Grammar
from sofit_grammars import builtin_grammar
from sofit_grammars.sql_words import AGGREGATES, LONGEST_NAME, RESERVED, name_pattern

_VALUES = ("current_date", "current_time", "current_timestamp", "false", "null", "true")
_SQLITES = frozenset(
    """ADD ALTER AUTOINCREMENT CAST CHECK COLLATE COMMIT CONSTRAINT CREATE DEFAULT DEFERRABLE DELETE DROP ESCAPE FOREIGN INDEX
    INSERT INTO ISNULL NOTHING NOTNULL NULL PRIMARY RAISE REFERENCES RETURNING SET TABLE TO TRANSACTION UNIQUE UPDATE
    VALUES""".split()  # noqa: SIM905
)
"""What SQLite, beside RESERVED, takes for a column's name only in quotes."""

_PLAIN = re.compile(rf"[A-Za-z_][A-Za-z0-9_]{{0,{LONGEST_NAME - 1}}}")
_SPECIAL = re.compile(r"[\\.\[\](){}*+?^$|/]")

_ROLES = {
    "name": "TABLE QUOTED_TABLE COLUMN QUOTED_COLUMN MARKED_COLUMN QUALIFIER MEMBER ALIAS NEXT_ALIAS QUOTED_ALIAS",
    "function": "FUNCTION_OPEN AGGREGATE_OPEN",
    "value": "NUMBER STRING TEXT",
    "operator": "COMPARE PLUS MINUS BLANKS TIMES_OR_BY NEGATIVE",
    "punctuation": "STAR OPEN CLOSE COMMA SEMICOLON",
    "keyword": "start",
}
SQL_ROLES = {terminal: role for role, terminals in _ROLES.items() for terminal in terminals.split()}
"""What the grammar's parts are: whatever has no other role is a keyword."""


@functools.lru_cache(10_000)
def sql_grammar_of(database: str, tables: tuple[str, ...], columns: tuple[str, ...]) -> Grammar:
    """Returns the grammar of a database's queries; `columns` may also be names that queries give to their results."""
    plain_tables = [name for name in tables if is_plain(name) and name.upper() not in RESERVED]
    plain_columns = list(filter(is_plain, columns))
    alone = [name for name in plain_columns if name.upper() not in RESERVED]
    called_so = {name.upper() for name in alone}
    return _base(tuple(word for word in AGGREGATES if word not in called_so)).narrow(
        f"sql for {database}",
        {
            # A terminal must match something: all databases have this table, and all tables this column.
            "TABLE": f"/{_any_of(plain_tables or ['sqlite_schema'])}/i",
            "COLUMN": f"/{_any_of([*alone, *_VALUES])}/i",
            "MEMBER": f"/{_any_of(plain_columns or ['rowid'])}/i",
            "QUOTED_TABLE": f"/{_quoted(tables)}/i",
            "QUOTED_COLUMN": f"/{_quoted(columns)}/i",
            "MARKED_COLUMN": f"/{_quoted(columns, in_double=False)}/i",
        },
    )


@functools.cache
def _base(spaced: tuple[str, ...]) -> Grammar:
    """Returns sql.lark where only the functions `spaced` may have white space before their parenthesis: the rest are columns."""
    grammar = builtin_grammar("sql")
    if spaced == AGGREGATES:
        return grammar
    words = spaced or ("STRFTIME",)  # A terminal must match something.
    text = re.sub(r"(?m)^(AGGREGATE_OPEN: /)\(\?:[a-z|]*\)", rf"\1(?:{'|'.join(words).lower()})", grammar.text)
    text = re.sub(r"(?m)^COLUMN: .*$", f"COLUMN: /{name_pattern((*RESERVED, *words))}/i", text)
    return dataclasses.replace(grammar, text=text)


def is_plain(name: str) -> bool:
    """Whether a name may stand without quotes."""
    return _PLAIN.fullmatch(name) is not None


def quoted(name: str) -> str:
    """Returns a name as a query may write it."""
    is_word = name.upper() in _SQLITES or name.upper() in RESERVED
    return name if is_plain(name) and not is_word else '"' + name.replace('"', '""') + '"'


def bare(written: object) -> str:
    """Returns the name that a query writes, in quotes or not, in lower case."""
    name = str(written).strip()
    return name[1:-1].replace(name[-1] * 2, name[-1]).lower() if name[:1] in "\"`['" else name.lower()


def _quoted(names: Sequence[str], *, in_double: bool = True) -> str:
    ways = [f"`{name}`" for name in names] + [f"[{name}]" for name in names]
    if in_double:
        ways += ['"' + name.replace('"', '""') + '"' for name in names]
    # A name that no quotes of sql.lark take, such as one with line ends, cannot be asked for.
    return _any_of(list(filter(_quotes().fullmatch, ways)) or ["`rowid`"])


@functools.cache
def _quotes() -> "re.Pattern[str]":
    """Returns the expression of sql.lark's QUOTED."""
    found = re.search(r"(?m)^QUOTED: /(.*)/$", builtin_grammar("sql").text)
    assert found is not None
    return re.compile(found[1])


def _any_of(names: Iterable[str]) -> str:
    """Returns the expression of any of the names; longer ones first, as Python takes the first that fits."""
    distinct = {name.lower(): name for name in names}.values()
    escaped = [_SPECIAL.sub(r"\\\g<0>", name) for name in sorted(distinct, key=len, reverse=True)]
    return f"(?:{'|'.join(escaped)})"
