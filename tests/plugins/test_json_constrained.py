"""A model that never saw the task, held by the masks: whatever it writes satisfies its schema."""

import json
from pathlib import Path

import pytest
from tiny_runs import run_sofit


@pytest.mark.slow
@pytest.mark.parametrize(("data", "split"), [("snips", "validation"), ("bfcl/simple_python.jsonl", "train")])
def test_the_outputs_of_an_untrained_model_satisfy_their_schema(data: str, split: str, shared_data: Path, tmp_path: Path):
    options = ["--task", "json", "--data", str(shared_data / data), "--split", split, "--limit", "8", "--format", "json"]
    shown = json.loads(run_sofit("eval", *options, "--constrained", cwd=tmp_path).stdout)
    (evaluation,) = shown["evaluations"]
    assert evaluation["n"] == 8
    assert evaluation["metrics"]["schema_valid"] == 1.0
