"""A model that has learnt nothing writes queries under the grammar of a database."""

import json
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp
from typer.testing import CliRunner

from sofit.cli.app import app
from sofit_sql import SqlTask


@pytest.mark.slow
def test_an_untrained_models_queries_parse_and_name_only_what_the_database_has(shared_data: Path, tmp_path: Path):
    data = str(shared_data / "geoquery")
    written = tmp_path / "predictions.jsonl"
    arguments = ["eval", "--task", "sql", "--data", data, "--limit", "16", "--constrained", "--predictions", str(written)]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    task = SqlTask(data=data)
    (schema,) = {example.input.schema for example in task.load("validation")}
    outputs = [json.loads(line)["output"] for line in written.read_text().splitlines()]
    assert len(outputs) == 16
    (example, *_) = task.load("validation")
    for output in outputs:
        assert task.grammar_for(example).problem(output) is None
        query = sqlglot.parse_one(output, read="sqlite")
        tables = {table.name.lower() for table in query.find_all(exp.Table)}
        assert tables <= {name.lower() for name in schema.table_names}
        results = {alias.alias.lower() for alias in query.find_all(exp.Alias)} | set(task.aliases.lower().split(", "))
        columns = {column.name.lower() for column in query.find_all(exp.Column) if not column.this.args.get("quoted")}
        assert columns - results <= {name.lower() for name in schema.column_names}
