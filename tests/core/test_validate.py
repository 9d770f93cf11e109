"""`sofit validate` as a user meets it: what it says of each mistake, and its exit codes."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner
from validated import GOOD, findings, run, write

from sofit import SofitError
from sofit.cli.validate import validate


@pytest.mark.parametrize(
    ("line", "code", "column", "found", "suggestion"),
    [
        ("infrom(name[Portal])", "SOF001", 1, "infrom", "inform"),
        ("inform(nmae[Portal])", "SOF001", 8, "nmae", "name"),
        ("inform(release_year[2007], name[Portal])", "SOF101", 28, "name", None),
        ("inform(name[Portal], name[Portal 2])", "SOF102", 22, "name", None),
        ("inform(name[Portal], rating[excelent])", "SOF001", 29, "excelent", "excellent"),
        ("inform(name[Portal], esrb[Teen])", "SOF001", 27, "Teen", "T (for Teen)"),
        ("inform(name[Portal], rating[god], genres[puzzle])", "SOF001", 29, "god", "good"),
        ("inform(name[Portal], release_yaer[2007])", "SOF001", 22, "release_yaer", "release_year"),
        ("inform(name[Portal], rating[good]", "SOF003", 34, "", ")"),
        ("inform(name[Portal], rating[good)", "SOF002", 33, "", "]"),
        ("inform(name[Portal, release_year[2007])", "SOF002", 19, "", "]"),
        ("inform(name[Portal], release_year[2007", "SOF003", 39, "", "])"),
        (GOOD + " I hope this helps!", "SOF004", 41, " I hope this helps!", None),
        ("", "SOF005", 1, "", None),
        (b"inform(developer[Eidos Montr\xe9al])", "SOF006", 29, "0xE9", "é"),
        (b"inform(developer[Eidos Montr\xc3", "SOF006", 29, "0xC3", ""),
    ],
)
def test_each_mistake_is_named_with_its_line_column_and_the_right_word(
    tmp_path: Path, line: str | bytes, code: str, column: int, found: str, suggestion: str | None
):
    path = write(tmp_path / "out.txt", [GOOD, line, GOOD])
    [finding] = findings(path)
    assert (finding["file"], finding["line"], finding["record"]) == (str(path), 2, 2)
    assert (finding["code"], finding["column"], finding["offset"]) == (code, column, column - 1)
    assert (finding["found"], finding["suggestion"], finding["severity"]) == (found, suggestion, "error")
    assert repr(suggestion) in finding["message"] or not suggestion
    assert run(path).exit_code == 1


def test_a_value_outside_the_ontology_is_a_warning_and_no_failure(tmp_path: Path):
    path = write(tmp_path / "out.txt", ["inform(name[Portal], genres[puzzel])"])
    [finding] = findings(path)
    assert (finding["code"], finding["severity"], finding["suggestion"]) == ("SOF103", "warning", "puzzle")
    result = run(path)
    assert result.exit_code == 0
    assert "1 of 1 outputs are valid (100%), SOF103 1." in result.stderr


def test_exit_codes_follow_the_rate_and_the_options(tmp_path: Path):
    path = write(tmp_path / "out.txt", [GOOD] * 99 + ["x"])
    assert run(path).exit_code == 1
    assert run(path, "--exit-zero").exit_code == 0
    assert run(path, "--min-valid", "0.99").exit_code == 0
    assert run(path, "--min-valid", "0.991").exit_code == 1


def test_codes_can_be_selected_and_ignored(tmp_path: Path):
    path = write(tmp_path / "out.txt", ["", "x", "inform(release_year[2007], name[Portal])"])
    assert [finding["code"] for finding in findings(path, "--select", "SOF1,SOF005")] == ["SOF005", "SOF101"]
    assert [finding["code"] for finding in findings(path, "--ignore", "SOF1", "--ignore", "SOF005")] == ["SOF001"]
    assert run(path, "--ignore", "SOF").exit_code == 0
    with pytest.raises(SofitError, match=r"No code begins with 'SOF9'.*SOF103"):
        run(path, "--select", "SOF9")


def test_reading_stops_after_the_errors_that_were_asked_for(tmp_path: Path):
    path = write(tmp_path / "out.txt", ["x"] * 5 + [GOOD])
    report = json.loads(run(path, "--max-errors", "2", "--output-format", "json").stdout)
    assert len(report["findings"]) == 2
    assert report["summary"] | {"codes": None} == {
        "n": 2, "valid": 0, "rate": 0.0, "codes": None, "warnings": 0, "fixed": 0, "complete": False,
    }  # fmt: skip
    assert "Not all was read." in run(path, "--max-errors", "2").stderr
    ends = write(tmp_path / "ends.txt", [GOOD, "x"])
    assert "Not all was read." in run(ends, path, "--max-errors", "1").stderr
    assert "Not all was read." not in run(ends, "--max-errors", "1").stderr


def test_a_missing_file_and_a_missing_grammar_are_errors(tmp_path: Path):
    with pytest.raises(SofitError, match="There is no file"):
        run(tmp_path / "absent.txt")
    path = write(tmp_path / "out.txt", [GOOD])
    app = typer.Typer()
    app.command()(validate)
    assert "--grammar" in str(CliRunner().invoke(app, [str(path)]).exception)
    assert "Did you mean 'viggo'" in str(CliRunner().invoke(app, [str(path), "--grammar", "vigo"]).exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--unsafe-fixes"], "--unsafe-fixes changes what --fix"),
        (["--fix", "--diff"], "Give one of them"),
        (["--diff", "--output-format", "json"], "--output-format is how findings are written"),
        (["--statistics", "--output-format", "json"], "--output-format is how findings are written"),
        (["--diff", "--output-file", "x"], "--output-file takes findings"),
        (["--stdin-filename", "x.csv"], "--stdin-filename is what to call the standard input"),
        (["--field", "x"], "--field and --id-field name fields"),
        (["--id-field", "x"], "--field and --id-field name fields"),
        (["--task", "viggo", "--data", "x"], "--data and --split are read where each example"),
        (["--split", "test"], "--data, --split and --set concern a task"),
    ],
)
def test_options_that_would_do_nothing_are_errors(tmp_path: Path, options: list[str], message: str):
    path = write(tmp_path / "out.txt", [GOOD])
    with pytest.raises(SofitError, match=message):
        run(path, *options)


def test_a_grammar_that_does_not_compile_is_the_only_thing_said(tmp_path: Path):
    path = write(tmp_path / "out.txt", [GOOD])
    (tmp_path / "my.lark").write_text("start: end", encoding="utf-8")
    app = typer.Typer()
    app.command()(validate)
    result = CliRunner().invoke(app, [str(path), "--grammar", str(tmp_path / "my.lark")])
    assert "my.lark' does not compile: 1:8: 'end' is used but not defined." in str(result.exception)
    assert result.output == ""
