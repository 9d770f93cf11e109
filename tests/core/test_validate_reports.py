"""`sofit validate` reports for people, for tools and into files, and each report obeys its format."""

import io
import json
import os
from pathlib import Path

import pytest
import typer
from junitparser import JUnitXml
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as SarifLog
from validated import GOOD, run, write

from sofit import SofitError
from sofit.cli.validate import validate


def test_valid_files_say_nothing_on_the_standard_output(tmp_path: Path):
    result = run(write(tmp_path / "out.txt", [GOOD] * 3))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "3 of 3 outputs are valid (100%).\n"


def test_the_share_of_valid_outputs_is_never_rounded_up_to_all_of_them(tmp_path: Path):
    assert "99,999 of 100,000 outputs are valid (99.99%)" in run(write(tmp_path / "out.txt", [*[GOOD] * 99_999, "x"])).stderr


def test_the_caret_stands_under_the_column_also_of_long_and_wide_text(tmp_path: Path):
    long_name = "x" * 90
    lines = ["inform(name[日本], nmae[x])", f"inform(name[{long_name}], nmae[x])", "inform(name[a\tb], nmae[x])"]
    shown = run(write(tmp_path / "out.txt", lines)).stdout.split("\n\n")
    excerpt, pointer = shown[0].splitlines()[1:]
    assert excerpt == "    1 | inform(name[日本], nmae[x])"
    # Two columns for each of the two characters that are wide.
    assert pointer.index("^") == excerpt.index("nmae") + 2
    excerpt, pointer = shown[1].splitlines()[1:]
    assert excerpt[pointer.index("^") :].startswith("nmae")
    assert len(excerpt) < 120


def test_statistics_count_by_code_and_show_nothing_else(tmp_path: Path):
    result = run(write(tmp_path / "out.txt", ["", "", "x"]), "--statistics")
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [["2", "SOF005"], ["1", "SOF001"]]
    assert result.exit_code == 1


def test_sarif_obeys_its_schema(tmp_path: Path):
    write(tmp_path / "ü out.txt", ["x", b"\xff", "", "inform(name[Portal], genres[puzzel])"])
    write(tmp_path / os.fsdecode(b"\xff.txt"), ["x"])
    write(tmp_path / "out.jsonl", ['{"output": "x"}'])
    log = json.loads(run(tmp_path, "--output-format", "sarif").stdout)
    SarifLog.model_validate(log)
    [course] = log["runs"]
    rules = {rule["id"] for rule in course["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in course["results"]} <= rules
    assert [result["level"] for result in course["results"]].count("warning") == 1
    regions = [result["locations"][0]["physicalLocation"]["region"] for result in course["results"]]
    assert regions[0] == {"startLine": 1}, "in JSONL a column of the output is none of the file"
    assert regions[1] == {"startLine": 1, "startColumn": 1, "endColumn": 2}
    assert course["results"][1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith("%C3%BC%20out.txt")
    assert course["results"][-1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith("/%FF.txt")


def test_junit_is_read_by_a_junit_reader(tmp_path: Path):
    write(tmp_path / "a.txt", [GOOD, "in\x00form('<&>é", "inform(name[Portal], genres[puzzel])"])
    write(tmp_path / "b.txt", ["x"])
    suites = JUnitXml.fromstring(run(tmp_path, "--output-format", "junit").stdout.encode())
    assert [(suite.tests, suite.failures, len(list(suite))) for suite in suites] == [(3, 1, 3), (1, 1, 1)]
    assert (suites.tests, suites.failures, suites.errors) == (4, 2, 0)
    failure = next(case for suite in suites for case in suite if case.result).result[0]
    assert failure.type == "SOF001"
    assert "'in'" in failure.message


def test_github_annotations_escape_what_their_syntax_needs(tmp_path: Path):
    path = write(tmp_path / "a,b:100%.txt", ["inform(name[100%\n"])
    first = run(path, "--output-format", "github").stdout.splitlines()[0]
    assert first.startswith("::error title=SOF003,file=")
    assert "a%2Cb%3A100%25.txt,line=1,col=17,endColumn=17::The output ends too early." in first


def test_findings_can_go_to_a_file(tmp_path: Path):
    path = write(tmp_path / "out.txt", ["x"])
    result = run(path, "--output-format", "jsonl", "--output-file", tmp_path / "report.jsonl")
    assert result.stdout == ""
    assert json.loads((tmp_path / "report.jsonl").read_text(encoding="utf-8"))["code"] == "SOF001"
    with pytest.raises(SofitError, match="Cannot write"):
        run(path, "--output-file", tmp_path / "absent" / "report.jsonl")


def test_findings_do_not_go_to_a_file_that_is_read(tmp_path: Path):
    path = write(tmp_path / "out.txt", ["x"])
    link = tmp_path / "link"
    link.hardlink_to(path)
    for read, report in ((path, path), (tmp_path, path), (path, link)):
        with pytest.raises(SofitError, match="The outputs are read from"):
            run(read, "--output-file", report)
    assert path.read_bytes() == b"x\n"


def test_output_in_an_encoding_that_lacks_a_character_escapes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    with pytest.raises(typer.Exit):
        validate([str(write(tmp_path / "out.txt", ["inform(nmaé[x])"]))], grammar="viggo")
    stream.seek(0)
    assert r"nma\xe9" in stream.read()
