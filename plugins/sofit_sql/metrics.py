"""How good queries are: what they return, how they are written, whether they parse and run.

- `execution_accuracy`: the same rows as the target's, in order where the target orders them; only where there is a database.
- `exact_match`: the same spelling after `sofit_sql.canonical`.
- `clause_match`: the same clauses as Spider's exact set match has it, values left out.
- `valid`: in the grammar of the example's database.
- `executable`: runs on the database.

A target that does not run itself is no measure: a query is then right, and executable, if it matches exactly.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from sofit import Grammar, Prediction, Scores
from sofit_sql.canonical import canonical_sql, clauses, is_ordered
from sofit_sql.results import same_rows
from sofit_sql.sandbox import run_once
from sofit_sql.sources import Question


def score_queries(predictions: Sequence[Prediction], grammars: Sequence[Grammar]) -> Scores:
    """Scores predictions against the targets of their examples, each with the grammar of its database."""
    have_databases = all(prediction.example.input.schema.database for prediction in predictions)
    per_example = [_score(p, grammar, have_databases) for p, grammar in zip(predictions, grammars, strict=True)]
    names = [name for name, value in per_example[0].items() if isinstance(value, float)] if per_example else []
    return Scores(metrics={name: fmean(entry[name] for entry in per_example) for name in names}, per_example=per_example)


def _score(prediction: Prediction, grammar: Grammar, has_database: bool) -> dict[str, Any]:
    text, target, question = prediction.text.strip(), prediction.example.target, prediction.example.input
    canonical, wanted_clauses = canonical_sql(target, question.schema), clauses(target, question.schema)
    is_exact = text == target or (canonical is not None and canonical_sql(text, question.schema) == canonical)
    scores: dict[str, Any] = {
        "exact_match": float(is_exact),
        "clause_match": float(is_exact or (wanted_clauses is not None and clauses(text, question.schema) == wanted_clauses)),
        "valid": float(grammar.accepts(text)),
    }
    if has_database:
        scores = _execution_scores(text, target, question, is_exact) | scores
    problem = grammar.problem(text)
    return scores if problem is None else scores | {"problem": str(problem)}


def _execution_scores(text: str, target: str, question: Question, is_exact: bool) -> dict[str, Any]:
    expected, found = run_once(question.schema.database, target), run_once(question.schema.database, text)
    if expected.error:
        return {"execution_accuracy": float(is_exact), "executable": float(is_exact or not found.error)}
    is_right = not found.error and same_rows(expected.rows, found.rows, ordered=is_ordered(target))
    scores: dict[str, Any] = {"execution_accuracy": float(is_right), "executable": float(not found.error)}
    return scores | {"error": found.error} if found.error else scores
