"""`sofit validate` reads lines, JSON lines, CSV, whole files, folders and the standard input."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner
from validated import GOOD, findings, run, write

from sofit import SofitError, load_plugins
from sofit.cli.validate import validate
from sofit.validation.outputs import make_reader
from sofit.validation.sources import Source


def test_an_empty_file_fails_unless_it_is_allowed(tmp_path: Path):
    path = write(tmp_path / "out.txt", [])
    result = run(path)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert "holds no output" in result.stderr
    assert run(path, "--allow-empty").exit_code == 0
    assert run(path, "--allow-empty", "--min-valid", "0.9").exit_code == 0


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


def test_csv_that_others_wrote_is_read(tmp_path: Path):
    path = tmp_path / "out.csv"
    path.write_bytes(b'\xef\xbb\xbf"id","output"\r\n1,x\r\n')
    assert [(f["id"], f["line"]) for f in findings(path)] == [("1", 2)]
    path.write_bytes(b"\n\nid,output\n1,x\n")
    assert [(f["id"], f["line"]) for f in findings(path)] == [("1", 4)]
    path.write_bytes(b"output,input\n" + GOOD.encode().join([b'"', b'",']) + b"x" * 200_000 + b"\n")
    assert run(path).exit_code == 0
    path.write_bytes(b"output,id,output\nx,1,y\n")
    assert "out.csv: several columns are called 'output'." in run(path).stderr
    assert "several columns" not in run(path, "--field", "id").stderr


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


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file of Linux")
def test_an_error_while_reading_is_named():
    assert run("/proc/self/mem").stderr == "error: Cannot read /proc/self/mem: Input/output error.\n"


def test_what_cannot_be_opened_is_named(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SofitError, match=r"Cannot read inform.*: File name too long"):
        run("inform(name[x])" * 20)
    monkeypatch.setattr("sys.stdin", None)
    stream = Source("<stdin>", None, make_reader("lines"))
    with pytest.raises(SofitError, match="The standard input is closed"):
        next(stream.read())


@pytest.mark.parametrize("name", ["a.lark", "a.json"])
def test_a_grammar_file_may_begin_with_a_byte_order_mark(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_text("\ufeff" + ('start: "1"' if name == "a.lark" else '{"const": 1}'), encoding="utf-8")
    assert load_plugins().grammar(str(path)).accepts("1")


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
    path.write_text(json.dumps(rows[0] | {"output": "red "}) + '\n{"output": "up"}\n', encoding="utf-8")
    result = CliRunner().invoke(app, [*arguments, "--fix"])
    assert "out.jsonl:2: no example" in result.stderr
    assert [f["record"] for f in json.loads(result.stdout)["findings"]] == [1], "the file stays as it is"
