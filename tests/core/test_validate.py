"""`sofit validate` as a user meets it: what it says of each mistake, its exit codes, its fixes and its formats."""

import io
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from junitparser import JUnitXml
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as SarifLog
from typer.testing import CliRunner, Result

from sofit import SofitError
from sofit.cli.validate import validate

GOOD = "inform(name[Portal], release_year[2007])"


def run(*arguments: str | Path, stdin: bytes = b"") -> Result:
    """Runs `sofit validate` with the grammar of ViGGO; an error that it raises is raised here."""
    app = typer.Typer()
    app.command()(validate)
    result = CliRunner().invoke(app, [*map(str, arguments), "--grammar", "viggo"], input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def findings(*arguments: str | Path) -> list[dict[str, Any]]:
    return json.loads(run(*arguments, "--output-format", "json").stdout)["findings"]


def write(path: Path, lines: Sequence[str | bytes]) -> Path:
    path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return path


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


def test_statistics_count_by_code_and_show_nothing_else(tmp_path: Path):
    result = run(write(tmp_path / "out.txt", ["", "", "x"]), "--statistics")
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [["2", "SOF005"], ["1", "SOF001"]]
    assert result.exit_code == 1


def test_reading_stops_after_the_errors_that_were_asked_for(tmp_path: Path):
    path = write(tmp_path / "out.txt", ["x"] * 5 + [GOOD])
    report = json.loads(run(path, "--max-errors", "2", "--output-format", "json").stdout)
    assert len(report["findings"]) == 2
    assert report["summary"] | {"codes": None} == {
        "n": 2, "valid": 0, "rate": 0.0, "codes": None, "warnings": 0, "fixed": 0, "complete": False,
    }  # fmt: skip
    assert "Not all was read." in run(path, "--max-errors", "2").stderr


def test_an_empty_file_fails_unless_it_is_allowed(tmp_path: Path):
    path = write(tmp_path / "out.txt", [])
    result = run(path)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert "holds no output" in result.stderr
    assert run(path, "--allow-empty").exit_code == 0


def test_a_missing_file_a_missing_grammar_and_contrary_options_are_errors(tmp_path: Path):
    with pytest.raises(SofitError, match="There is no file"):
        run(tmp_path / "absent.txt")
    path = write(tmp_path / "out.txt", [GOOD])
    with pytest.raises(SofitError, match="--unsafe-fixes changes what --fix"):
        run(path, "--unsafe-fixes")
    with pytest.raises(SofitError, match="Give one of them"):
        run(path, "--fix", "--diff")
    app = typer.Typer()
    app.command()(validate)
    assert "--grammar" in str(CliRunner().invoke(app, [str(path)]).exception)
    assert "Did you mean 'viggo'" in str(CliRunner().invoke(app, [str(path), "--grammar", "vigo"]).exception)


def test_a_grammar_that_does_not_compile_is_the_only_thing_said(tmp_path: Path):
    path = write(tmp_path / "out.txt", [GOOD])
    (tmp_path / "my.lark").write_text("start: end", encoding="utf-8")
    app = typer.Typer()
    app.command()(validate)
    result = CliRunner().invoke(app, [str(path), "--grammar", str(tmp_path / "my.lark")])
    assert "my.lark' does not compile: 1:8: 'end' is used but not defined." in str(result.exception)
    assert result.output == ""


def test_a_broken_file_fails_and_the_others_are_judged_all_the_same(tmp_path: Path):
    broken = write(tmp_path / "a.jsonl", ['{"output": "x"}', "{not json"])
    good = write(tmp_path / "b.txt", [GOOD])
    result = run(broken, good, "--output-format", "json")
    assert result.exit_code == 2
    assert "a.jsonl:2: not JSON" in result.stderr
    report = json.loads(result.stdout)
    assert (report["summary"]["n"], report["summary"]["valid"], report["summary"]["complete"]) == (2, 1, False)


def test_jsonl_is_read_by_field_with_its_ids(tmp_path: Path):
    rows = [{"id": "a", "output": GOOD, "other": ""}, {"id": "b", "output": "inform(x)"}, {"id": 3, "output": None}]
    path = write(tmp_path / "out.jsonl", [json.dumps(rows[0]), "", json.dumps(rows[1]), json.dumps(rows[2])])
    assert [(f["record"], f["id"], f["line"], f["code"]) for f in findings(path)] == [
        (2, "b", 3, "SOF001"),
        (3, "3", 4, "SOF005"),
    ]
    path = write(tmp_path / "more.jsonl", [json.dumps({"key": "k", "mr": "x", "output": GOOD})])
    assert [f["id"] for f in findings(path, "--field", "mr", "--id-field", "key")] == ["k"]
    assert "has no field 'call'. Its fields: key, mr, output" in run(path, "--field", "call").stderr


def test_half_a_surrogate_pair_in_json_is_named_and_every_format_can_write_it(tmp_path: Path):
    path = write(tmp_path / "out.jsonl", [r'{"output": "inform(name[\ud800])", "id": "\udfff"}'])
    for output_format in ("full", "concise", "json", "jsonl", "github", "sarif", "junit"):
        result = run(path, "--output-format", output_format)
        assert (result.exit_code, "SOF006" in result.stdout) == (1, True)


def test_csv_is_read_by_column_also_where_rows_span_lines(tmp_path: Path):
    path = tmp_path / "out.csv"
    path.write_bytes(
        b'\xef\xbb\xbftext,id\r\n"inform(name[A],\n x)",1\r\n\r\n' + GOOD.encode().join([b'"', b'"']) + b",2\r\nx,3\r\n"
    )
    assert [(f["record"], f["id"], f["line"], f["column"]) for f in findings(path)] == [(1, "1", 2, 15), (3, "3", 6, 1)]
    path.write_bytes(b"text,id\nx\n")
    assert "out.csv:2: the row has 1 columns, but the header has 2" in run(path).stderr


def test_a_whole_file_is_one_output_where_the_format_says_so(tmp_path: Path):
    path = write(tmp_path / "call.viggo", [GOOD])
    assert run(path).exit_code == 0
    path = write(tmp_path / "call.viggo", [GOOD, GOOD])
    [finding] = findings(path)
    assert (finding["code"], finding["line"], finding["column"]) == ("SOF004", 1, 41)


def test_folders_are_searched_and_the_standard_input_is_read(tmp_path: Path):
    (tmp_path / "below").mkdir()
    write(tmp_path / "below" / "a.txt", ["x"])
    write(tmp_path / "b.jsonl", ['"x"'])
    write(tmp_path / "ignored.md", ["x"])
    write(tmp_path / ".hidden.txt", ["x"])
    assert [Path(finding["file"]).name for finding in findings(tmp_path)] == ["b.jsonl", "a.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(SofitError, match="holds no file"):
        run(tmp_path / "empty")
    result = run("-", "--stdin-filename", "made.jsonl", "--output-format", "concise", stdin=b'{"output": "x"}\n')
    assert result.stdout.startswith("made.jsonl:1:1: SOF001 ")
    assert run("-", stdin=GOOD.encode()).exit_code == 0


def test_sarif_obeys_its_schema(tmp_path: Path):
    write(tmp_path / "ü out.txt", ["x", b"\xff", "", "inform(name[Portal], genres[puzzel])"])
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


def test_safe_fixes_take_off_what_surrounds_an_output_and_touch_no_other_byte(tmp_path: Path):
    lines = write(tmp_path / "out.txt", [GOOD + "\r", "\ufeff " + GOOD, f"`{GOOD}`", "inform(nmae[x])", b"\xff"])
    lines.chmod(0o640)
    rows = tmp_path / "out.jsonl"
    rows.write_text('{ "output" : "inform(name[A])" }\n\n' + json.dumps({"a": "é", "output": f"```text\n{GOOD}\n```\n"}) + "\r\n")
    table = tmp_path / "out.csv"
    table.write_bytes(b'id,output\n1,"' + GOOD.encode() + b" \"\n2,'x\n")
    result = run(lines, rows, table, "--fix", "--output-format", "concise")
    assert lines.read_bytes().splitlines() == [GOOD.encode()] * 3 + [b"inform(nmae[x])", b"\xff"]
    assert stat.S_IMODE(lines.stat().st_mode) == 0o640
    first, blank, second, end = rows.read_bytes().decode().split("\n")
    assert (first, blank, end) == ('{ "output" : "inform(name[A])" }', "", "")
    assert second.endswith("\r")
    assert json.loads(second) == {"a": "é", "output": GOOD}
    assert table.read_bytes() == b'id,output\n1,"' + GOOD.encode() + b"\"\n2,'x\n"
    assert [line.split(": ")[1][:6] for line in result.stdout.splitlines()] == ["SOF001", "SOF006", "SOF001"]
    assert "5 fixed" in result.stderr
    assert result.exit_code == 1, "three are left"


def test_a_fixed_output_is_not_scored_as_the_models_own(tmp_path: Path):
    path = write(tmp_path / "out.txt", [GOOD, GOOD + " "])
    summary = json.loads(run(path, "--fix", "--output-format", "json").stdout)["summary"]
    assert (summary["valid"], summary["rate"], summary["fixed"], summary["codes"]) == (1, 0.5, 1, {"SOF004": 1})
    path = write(tmp_path / "out.txt", [GOOD, GOOD + " "])
    assert run(path, "--fix", "--min-valid", "1").exit_code == 1, "the rate is the model's"
    path = write(tmp_path / "out.txt", [GOOD, GOOD + " "])
    assert run(path, "--fix").exit_code == 0, "nothing invalid is left in the file"
    assert run(path).exit_code == 0


@pytest.mark.parametrize(
    ("line", "fixed"),
    [
        ("infrom(nmae[Portal], rating[Good])", "inform(name[Portal], rating[good])"),
        ("inform(name[Portal, release_year[2007]", "inform(name[Portal], release_year[2007])"),
        ("inform(name[Portal], rel", None),
        ("inform(name[Portal], has_multi", None),
        (GOOD + " I hope this helps!", GOOD),
        (b"inform(developer[Eidos Montr\xe9al])", "inform(developer[Eidos Montréal])"),
        ("x", None),
        ("", None),
        ("inform(release_year[2007], name[Portal])", None),
    ],
)
def test_unsafe_fixes_write_what_was_meant_or_leave_the_output_alone(tmp_path: Path, line: str | bytes, fixed: str | None):
    path = write(tmp_path / "out.txt", [line])
    before = path.read_bytes()
    assert run(path, "--fix").exit_code == 1
    assert path.read_bytes() == before, "a safe fix guesses nothing"
    assert run(path, "--fix", "--unsafe-fixes").exit_code == (1 if fixed is None else 0)
    assert path.read_bytes() == (before if fixed is None else fixed.encode() + b"\n")


def test_a_diff_shows_the_fix_and_changes_nothing(tmp_path: Path):
    path = write(tmp_path / "out.txt", [GOOD, GOOD + " ", GOOD])
    before = path.read_bytes()
    result = run(path, "--diff")
    assert result.stdout.splitlines()[2:] == ["@@ -2,1 +2,1 @@", f"-{GOOD} ", f"+{GOOD}"]
    assert path.read_bytes() == before
    assert result.exit_code == 1


def test_the_fixed_standard_input_goes_to_the_standard_output(tmp_path: Path):
    result = run("-", "--fix", stdin=(GOOD + "\r\nx\n").encode())
    assert result.stdout_bytes == (GOOD + "\nx\n").encode()
    assert "<stdin>:2:1: SOF001" in result.stderr


def test_a_link_stays_a_link_when_its_file_is_fixed(tmp_path: Path):
    path = write(tmp_path / "out.txt", [GOOD + " "])
    link = tmp_path / "link.txt"
    link.symlink_to(path)
    run(link, "--fix")
    assert os.readlink(link) == str(path)
    assert path.read_text(encoding="utf-8") == GOOD + "\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link.txt", "out.txt"], "no half-written file is left"


def test_a_file_that_breaks_half_way_is_not_replaced(tmp_path: Path):
    path = write(tmp_path / "out.jsonl", [json.dumps({"output": GOOD + " "}), "{broken"])
    before = path.read_bytes()
    assert run(path, "--fix").exit_code == 2
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]


def test_output_in_an_encoding_that_lacks_a_character_escapes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    with pytest.raises(typer.Exit):
        validate([str(write(tmp_path / "out.txt", ["inform(nmaé[x])"]))], grammar="viggo")
    stream.seek(0)
    assert r"nma\xe9" in stream.read()


PLUGIN = '''
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from sofit import Example, Grammar, Prediction, Scores, Task, hookimpl

@dataclass(frozen=True, kw_only=True)
class Choose(Task):
    """To choose one of the words that the input offers."""
    name: ClassVar[str] = "choose"

    def load(self, split):
        offers = [["red", "blue"], ["up", "down"]]
        return [Example(id=f"{split}-{n}", input=words, target=words[0]) for n, words in enumerate(offers)]

    def prompt(self, example):
        return f"One of {example.input}: "

    def grammar_for(self, example):
        return Grammar("words", "start: " + " | ".join(f\'"{word}"\' for word in example.input))

    def score(self, predictions):
        return Scores(metrics={})

@hookimpl
def sofit_register_tasks(register):
    register(Choose)
'''


def test_a_task_with_a_grammar_for_each_example_finds_it_by_the_records_id(tmp_path: Path):
    plugin = tmp_path / "choose.py"
    plugin.write_text(PLUGIN, encoding="utf-8")
    rows = [
        {"id": "validation-0", "output": "red"},
        {"id": "validation-1", "output": "red"},
        {"id": "validation-1", "output": "upp"},
    ]
    path = write(tmp_path / "out.jsonl", [json.dumps(row) for row in rows])
    app = typer.Typer()
    app.command()(validate)
    arguments = [str(path), "--task", "choose", "--plugin", str(plugin), "--output-format", "json"]
    result = CliRunner().invoke(app, arguments)
    assert [(f["record"], f["code"], f["suggestion"]) for f in json.loads(result.stdout)["findings"]] == [
        (2, "SOF001", None),
        (3, "SOF001", "up"),
    ]
    result = CliRunner().invoke(app, [*arguments, "--split", "train"])
    assert result.exit_code == 2
    assert "out.jsonl:1: no example of task 'choose' has the id 'validation-0'." in result.stderr
