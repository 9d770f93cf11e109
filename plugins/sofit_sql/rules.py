"""What the grammar lets pass and a database does not: names that are not where a query looks for them.

SELECT T1.capital FROM city AS T1 WHERE T2.name = "Ohio"
          ^ SOF102, not a column of city
                                        ^ SOF101, no table of the query
"""

from collections.abc import Iterator, Mapping

from sofit import Grammar, Problem
from sofit_grammars.sql_names import bare
from sofit_grammars.sql_scopes import qualified_columns
from sofit_sqlite import Schema

UNKNOWN_TABLE, UNKNOWN_COLUMN = "SOF101", "SOF102"
RULES: Mapping[str, str] = {
    UNKNOWN_TABLE: "A column is taken from a table or alias that the query does not have there.",
    UNKNOWN_COLUMN: "A table of the query does not have a column that is taken from it.",
}


def check_names(text: str, grammar: Grammar, schema: Schema) -> Iterator[Problem]:
    """Yields the rules that a query breaks, from left to right. The text is one that the grammar accepts."""
    columns_of = {table.name.lower(): sorted({column.name.lower() for column in table.columns}) for table in schema.tables}
    for qualifier, member, scope in qualified_columns(grammar.parse(text)):
        owner, name = bare(qualifier.removesuffix(".")), bare(member)
        columns = columns_of.get(scope.get(owner) or "")
        if owner not in scope:
            message = f"The query has no table {owner!r} here. It has: {', '.join(scope) or 'none'}."
            yield Problem.at(text, qualifier.start_pos or 0, UNKNOWN_TABLE, message, found=str(qualifier), expected=tuple(scope))
        elif columns is not None and name not in (*columns, "rowid", "*"):
            message = f"{owner!r} has no column {name!r}. It has: {', '.join(columns)}."
            yield Problem.at(text, member.start_pos or 0, UNKNOWN_COLUMN, message, found=str(member), expected=tuple(columns))
