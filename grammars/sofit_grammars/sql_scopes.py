"""Which tables a column of a query may be taken from, read off the tree of sql.lark.

SELECT T1.name FROM city AS T1 WHERE EXISTS (SELECT T2.id FROM state AS T2 WHERE T2.id = T1.state)
       T1 is city                            T2 is state, T1 is city
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sofit_grammars.sql_names import bare

if TYPE_CHECKING:
    from lark import Token, Tree

Scope = Mapping[str, str | None]
"""The table behind each name that a column may be taken from, both in lower case; None for the rows of a query."""


def qualified_columns(tree: "Tree[Token]", outer: Scope | None = None) -> "Iterator[tuple[Token, Token, Scope]]":
    """Yields what stands before the point of each qualified column, what stands after it, and the scope there.

    The tree is that of a query, or of a part of one that may name the tables of `outer`.
    """
    around = outer or {}
    scope = {**around, **_sources(tree)} if tree.data == "select" else around
    if tree.data in ("qualified_column", "all_columns"):
        qualifier, member = (token for token in tree.children if isinstance(token, str))
        yield qualifier, member, scope
    for child in tree.children:
        if isinstance(child, str):
            continue
        if child.data == "sort_key":
            # ORDER BY stands outside of the SELECT whose tables it names, the first one where several are joined.
            yield from qualified_columns(child, {**around, **_sources(_first_select(tree))})
        else:
            # A derived table knows nothing of its neighbours.
            yield from qualified_columns(child, {} if tree.data == "derived_table" else scope)


def _first_select(tree: "Tree[Token]") -> "Tree[Token]":
    while tree.data != "select":
        tree = next(child for child in tree.children if not isinstance(child, str))
    return tree


def _sources(select: "Tree[Token]") -> Scope:
    """Returns what the FROM of a SELECT brings."""
    scope: dict[str, str | None] = {}
    for clause in select.children:
        for source in clause.children if not isinstance(clause, str) and clause.data == "from" else ():
            if isinstance(source, str) or source.data not in ("table", "derived_table"):
                continue
            first, *rest = source.children
            alias = [bare(token) for token in rest if isinstance(token, str) and token.type == "NEXT_ALIAS"]
            alias += [bare(node.children[-1]) for node in rest if not isinstance(node, str) and node.data == "as"]
            table = bare(first) if source.data == "table" else None
            for name in alias or ([table] if table else []):
                scope[name] = table
    return scope
