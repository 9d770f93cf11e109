"""One spelling for queries that differ in letter case, quotes, white space and the names of aliases only."""

import functools
from collections import Counter
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import traverse_scope

from sofit_grammars.sql_names import is_plain
from sofit_sql.sources import RESULT_ALIAS
from sofit_sqlite import Schema

Node = Any
"""A part of sqlglot's tree of a query; the classes of these change their names from version to version."""


@functools.lru_cache(100_000)
def canonical_sql(text: str, schema: Schema) -> str | None:
    """Returns the canonical spelling of a query; None where sqlglot cannot read it."""
    query = _read(text, schema, by_place=True)
    return None if query is None else query.sql("sqlite")


@functools.lru_cache(100_000)
def clauses(text: str, schema: Schema) -> dict[str, Any] | None:
    """Returns the clauses of a query as Spider's exact set match compares them; None where sqlglot cannot read it.

    Values are left out, and so is the order of what is selected, joined, demanded and grouped by (Yu et al. 2018, section 5).
    """
    query = _read(text, schema, by_place=False)
    if query is None:
        return None
    for literal in list(query.find_all(exp.Literal)):
        if not isinstance(literal.parent, exp.Limit):
            literal.replace(exp.Literal.string("value"))
    return _clauses(query)


def _clauses(query: Node) -> dict[str, Any]:
    last = {name: _sql(query.args.get(name)) for name in ("order", "limit")}
    if isinstance(query, exp.SetOperation):
        operator = type(query).__name__, query.args.get("distinct")
        return {"left": _clauses(query.left), "right": _clauses(query.right), "operator": operator, **last}
    sources = [query.args.get("from_") or query.args.get("from"), *query.args.get("joins", ())]
    conditions = [join.args.get("on") for join in sources[1:]] + [getattr(query.args.get("where"), "this", None)]
    return {
        "distinct": query.args.get("distinct") is not None,
        "select": Counter(_sql(item.unalias()) for item in query.expressions),
        "from": Counter(_sql(source.this) for source in sources if source is not None),
        "where": Counter(part for condition in conditions for part in _conjuncts(condition)),
        "group": Counter(map(_sql, getattr(query.args.get("group"), "expressions", ()))),
        "having": Counter(_conjuncts(getattr(query.args.get("having"), "this", None))),
        **last,
    }


def _conjuncts(condition: Node) -> list[str]:
    """Returns what a condition demands, each the same whichever side of `=` or OR comes first."""
    if condition is None:
        return []
    parts = condition.flatten() if isinstance(condition, exp.And) else [condition]
    choices = [part.unnest().flatten() if isinstance(part.unnest(), exp.Or) else [part] for part in parts]
    return [" OR ".join(sorted(map(_either_way, ones))) for ones in choices]


def _either_way(node: Node) -> str:
    return " = ".join(sorted((_sql(node.left), _sql(node.right)))) if isinstance(node, exp.EQ) else _sql(node)


def _sql(node: Node) -> str:
    return "" if node is None else node.sql("sqlite")


def _read(text: str, schema: Schema, *, by_place: bool) -> Node:
    """Reads a query and names its tables by their place (t1, t2, ...), or by what they are."""
    try:
        query = parse_one(text, read="sqlite")
        if not isinstance(query, exp.Query):
            return None
        known = {name.lower() for name in (*schema.column_names, *schema.table_names)}
        known |= {alias.alias.lower() for alias in query.find_all(exp.Alias)}
        query = query.transform(_plain, known)
        _name(query, by_place, {name.lower() for name in schema.column_names})
    except (SqlglotError, RecursionError):
        return None
    return query


def _plain(node: Node, known: set[str]) -> Node:
    if isinstance(node, exp.Column) and not node.table and node.this.args.get("quoted") and node.name.lower() not in known:
        return exp.Literal.string(node.name)  # SQLite takes what is no column for a string.
    if isinstance(node, exp.Identifier):
        return exp.to_identifier(node.name.lower(), quoted=not is_plain(node.name))
    if isinstance(node, exp.Join) and node.args.get("kind") == "INNER":
        node.set("kind", None)
    if isinstance(node, exp.Ordered):
        node.set("desc", bool(node.args.get("desc")))
    return node


def _name(query: Node, by_place: bool, columns: set[str]) -> None:
    """Names tables and results anew, and lets columns say their table where that is known."""
    aliases = [node for node in query.find_all(exp.Alias, bfs=False) if isinstance(node.parent, exp.Select)]
    tables = query.find_all(exp.Table, exp.Subquery, bfs=False)
    sources = [node for node in tables if isinstance(node.parent, exp.From | exp.Join)]
    names = {
        id(node.unnest()): f"t{number}" if by_place else node.name or "derived" for number, node in enumerate(sources, start=1)
    }
    owners: dict[int, tuple[Node, Node]] = {}
    for scope in traverse_scope(query):
        own = {item.alias for item in getattr(scope.expression, "selects", ()) if isinstance(item, exp.Alias)}
        # Not scope.columns: it lacks those of HAVING, those of ORDER BY that are selected as well, and `T.*`.
        for column in scope.find_all(exp.Column):
            # ORDER BY takes a lone name for a result's before a column's; elsewhere it is the other way round.
            is_column = column.table or (column.name in columns and not isinstance(column.parent, exp.Ordered))
            owner = _owner(scope, column) if is_column or column.name not in own else None
            # Inner queries come first, and what stands in one belongs to it.
            owners.setdefault(id(column), (column, owner))
    used = {column.name for column, owner in owners.values() if not isinstance(owner, exp.Table)}
    # By place, numbers go to the names that say something; otherwise a number says which result is meant.
    numbered = dict.fromkeys(node.alias for node in aliases if node.alias in used or not by_place)
    results = {name: f"{RESULT_ALIAS}{place}" for place, name in enumerate(numbered)}
    for column, owner in owners.values():
        if owner is not None:
            column.set("table", exp.to_identifier(names[id(owner)]))
        if column.name in results and not isinstance(owner, exp.Table):
            column.set("this", exp.to_identifier(results[column.name]))
    for node in aliases:
        if node.alias in used:
            node.set("alias", exp.to_identifier(results[node.alias]))
        else:  # A name that nothing refers to says nothing.
            node.replace(node.this)
    for source in sources:
        source.set("alias", exp.TableAlias(this=exp.to_identifier(names[id(source.unnest())])) if by_place else None)


def _owner(scope: Any, column: Node) -> Node:
    """Returns the table or subquery that a column is of: the one that it names, or the only one there is."""
    nodes = {name: node for name, (node, _) in scope.selected_sources.items()}
    if not column.table:
        return next(iter(nodes.values())) if len(nodes) == 1 else None
    if column.table in nodes or scope.parent is None:
        return nodes.get(column.table)
    return _owner(scope.parent, column)
