"""How good queries are: what they return, how they are written, whether they parse and run.

- `execution_accuracy`: the same rows as the target's, in order where the target orders them; only where there is a database.
- `exact_match`: the same spelling after `sofit_sql.canonical`.
- `clause_match`: the same clauses as Spider's exact set match has it, values left out.
- `valid`: in the grammar of the example's database.
- `executable`: runs on the database.

A target that does not run itself is no measure: a query is then right, and executable, if it matches exactly.
"""

from collections.abc import Sequence
from typing import Any

from sofit import Grammar, Prediction, Scores
from sofit_sql.canonical import canonical_sql, clauses
from sofit_sqlite import execute, same_rows


def score_queries(predictions: Sequence[Prediction], grammars: Sequence[Grammar]) -> Scores:
    """Scores predictions against the targets of their examples, each with the grammar of its database."""
    can_execute = all(prediction.example.input.schema.database for prediction in predictions)
    return Scores.averaged([_score(p, grammar, can_execute) for p, grammar in zip(predictions, grammars, strict=True)])


def _score(prediction: Prediction, grammar: Grammar, can_execute: bool) -> dict[str, Any]:
    text, target, schema = prediction.text.strip(), prediction.example.target, prediction.example.input.schema
    canonical, wanted_clauses = canonical_sql(target, schema), clauses(target, schema)
    is_exact = text == target or (canonical is not None and canonical_sql(text, schema) == canonical)
    scores: dict[str, Any] = {
        "exact_match": float(is_exact),
        "clause_match": float(is_exact or (wanted_clauses is not None and clauses(text, schema) == wanted_clauses)),
        "valid": float(grammar.accepts(text)),
    }
    if can_execute:
        # An ORDER BY inside a subquery does not count here.
        is_ordered = bool(wanted_clauses and wanted_clauses["order"])
        scores = _execution_scores(text, target, schema.database, is_exact=is_exact, is_ordered=is_ordered) | scores
    problem = grammar.problem(text)
    return scores if problem is None else scores | {"problem": str(problem)}


def _execution_scores(text: str, target: str, database: str, *, is_exact: bool, is_ordered: bool) -> dict[str, Any]:
    expected, found = execute(target, database), execute(text, database)
    if expected.error:
        return {"execution_accuracy": float(is_exact), "executable": float(is_exact or not found.error)}
    is_right = not found.error and same_rows(expected.rows, found.rows, ordered=is_ordered)
    scores: dict[str, Any] = {"execution_accuracy": float(is_right), "executable": float(not found.error)}
    return scores | {"error": found.error} if found.error else scores
