"""docs/grammars.md and docs/validate.md say what the code does."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from sofit.cli.grammar import app as grammar_app
from sofit.cli.validate import validate
from sofit.grammar import Grammar
from sofit.grammar.problem import TITLES
from sofit.grammar_check.check import CheckReport
from sofit.json_schema.formats import DESCRIBED
from sofit.validation.findings import Summary
from sofit.validation.outputs import DEFAULT_FIELDS, FORMATS
from sofit.validation.sources import FORMAT_BY_SUFFIX

DOCS = Path(__file__).parents[2] / "docs"
GRAMMARS = (DOCS / "grammars.md").read_text(encoding="utf-8")
VALIDATE = (DOCS / "validate.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", GRAMMARS, re.DOTALL)


@pytest.mark.parametrize(("code", "printed"), EXAMPLES)
def test_an_example_prints_what_it_says(code: str, printed: str):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(code, {})
    assert output.getvalue() == printed


def test_every_check_of_a_grammar_is_described():
    described = re.findall(r"^\| (\w+) \|", GRAMMARS, re.MULTILINE)
    counted = [name for name in ("targets", "mutants", "walks") if hasattr(CheckReport(), name)]
    assert described == ["check", *Grammar.checks, *counted, "construct"]
    assert grammar_app.registered_commands[0].callback is not None


def test_every_enforced_format_is_named():
    # A hostname is one of them up to draft 6 only, which a sentence of its own says.
    listed = GRAMMARS.split("own describe ")[1].split(" as their RFCs do")[0]
    assert set(re.findall(r"[a-z0-9-]+", listed)) - {"and"} == DESCRIBED.keys() - {"hostname"}


def test_every_code_is_described():
    assert dict(re.findall(r"^\| (SOF\d+) \| (.*) \|$", VALIDATE, re.MULTILINE)) == TITLES


def test_every_option_is_described():
    app = typer.Typer()
    app.command()(validate)
    command: Any = typer.main.get_command(app)
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    assert (
        sorted(option for option in options - {"--help", "--install-completion", "--show-completion"} if option not in VALIDATE)
        == []
    )


def test_formats_fields_and_suffixes_are_those_of_the_code():
    assert re.findall(r"^\| `(\w+)` \|", VALIDATE, re.MULTILINE) == ["lines", "jsonl", "csv", "text"]
    assert set(FORMATS) == {"lines", "jsonl", "csv", "text"}
    assert all(f"`{suffix}`" in VALIDATE for suffix in FORMAT_BY_SUFFIX)
    assert ", ".join(f"`{field}`" for field in DEFAULT_FIELDS) in VALIDATE.replace("\n", " ")


def test_every_field_of_the_summary_is_named():
    sentence = VALIDATE.split("The summary has")[1].split("`version`")[0]
    assert re.findall(r"`(\w+)`", sentence) == list(Summary().as_json())
