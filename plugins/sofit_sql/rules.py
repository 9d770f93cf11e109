"""What the grammar lets pass and a database does not: names that are not where a query looks for them.

SELECT T1.capital FROM city AS T1 WHERE T2.name = "Ohio"
          ^ SOF102, not a column of city
                                        ^ SOF101, no table of the query
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sofit import Grammar, Problem
from sofit_sql.schema import Schema

if TYPE_CHECKING:
    from lark import Token, Tree

UNKNOWN_TABLE, UNKNOWN_COLUMN = "SOF101", "SOF102"
RULES: Mapping[str, str] = {
    UNKNOWN_TABLE: "A column is taken from a table or alias that the query does not have there.",
    UNKNOWN_COLUMN: "A table of the query does not have a column that is taken from it.",
}

Scope = Mapping[str, set[str] | None]
"""The columns of each table or alias that can be named; None where any may be, in what the query itself makes."""


def check_names(text: str, grammar: Grammar, schema: Schema) -> Iterator[Problem]:
    """Yields the rules that a query breaks, from left to right. The text is one that the grammar accepts."""
    tables = {table.name.lower(): {column.name.lower() for column in table.columns} for table in schema.tables}
    yield from sorted(_check(grammar.parse(text), text, tables, {}), key=lambda problem: problem.offset)


def _check(tree: "Tree[Token]", text: str, tables: Scope, outer: Scope) -> Iterator[Problem]:
    """Checks a part of a query that may name the tables of `outer`."""
    scope = {**outer, **_sources(tree, tables)} if tree.data == "select" else outer
    if tree.data in ("qualified_column", "all_columns"):
        yield from _check_column(tree, text, scope)
    for child in tree.children:
        if isinstance(child, str):
            continue
        if child.data == "sort_key":
            # ORDER BY stands outside of the SELECT whose tables it names, the first one where several are joined.
            yield from _check(child, text, tables, {**outer, **_sources(_first_select(tree), tables)})
        else:
            # A derived table knows nothing of its neighbours.
            yield from _check(child, text, tables, {} if tree.data == "derived_table" else scope)


def _first_select(tree: "Tree[Token]") -> "Tree[Token]":
    while tree.data != "select":
        tree = next(child for child in tree.children if not isinstance(child, str))
    return tree


def _check_column(tree: "Tree[Token]", text: str, scope: Scope) -> Iterator[Problem]:
    qualifier, member = (token for token in tree.children if isinstance(token, str))
    owner, column = _bare(qualifier.removesuffix(".")), _bare(member)
    if owner not in scope:
        message = f"The query has no table {owner!r} here. It has: {', '.join(scope) or 'none'}."
        yield Problem.at(text, qualifier.start_pos or 0, UNKNOWN_TABLE, message, found=str(qualifier), expected=tuple(scope))
    elif (columns := scope[owner]) is not None and column not in (*columns, "rowid", "*"):
        message = f"{owner!r} has no column {column!r}. It has: {', '.join(sorted(columns))}."
        yield Problem.at(text, member.start_pos or 0, UNKNOWN_COLUMN, message, found=str(member), expected=tuple(sorted(columns)))


def _sources(select: "Tree[Token]", tables: Scope) -> Scope:
    """Returns what the FROM of a SELECT brings."""
    scope: dict[str, set[str] | None] = {}
    for clause in select.children:
        for source in clause.children if not isinstance(clause, str) and clause.data == "from" else ():
            if isinstance(source, str) or source.data not in ("table", "derived_table"):
                continue
            first, *rest = source.children
            alias = [_bare(token) for token in rest if isinstance(token, str) and token.type == "NEXT_ALIAS"]
            alias += [_bare(node.children[-1]) for node in rest if not isinstance(node, str) and node.data == "as"]
            is_table = source.data == "table"
            for name in alias or ([_bare(first)] if is_table else []):
                scope[name] = tables.get(_bare(first)) if is_table else None
    return scope


def _bare(token: object) -> str:
    name = str(token).strip()
    return name[1:-1].replace(name[-1] * 2, name[-1]).lower() if name[:1] in "\"`['" else name.lower()
