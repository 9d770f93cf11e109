"""`sofit validate --fix` mends outputs and touches no other byte."""

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from validated import GOOD, run, write

from sofit import Grammar
from sofit.validation import reports
from sofit.validation.judge import Judge
from sofit.validation.outputs import FormatName, make_reader
from sofit.validation.run import Mode, validate
from sofit.validation.sources import Source
from sofit_grammars import builtin_grammar


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


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("out.jsonl", rb'{"score":1e400, "n" : 12345678901234567890.5,"a":1,"a":2,"output":%s}'),
        ("out.jsonl", rb'  {"output":"x","nested":{"output":["}"]},"out\u0070ut": %s ,"input":"x \ud83d y \udcff"} '),
        ("out.jsonl", b'\xef\xbb\xbf {"input":"\xff \\u00e9","output"\t:%s }\r'),
        ("out.jsonl", b" %s "),
        ("out.csv", b'"x\ny","x\ry",\'"\xff,%s,"a ""b""",\r'),
        ("out.csv", b'"1","2",3,%s,,"5"'),
        ("out.csv", b"\xef\xbb\xbf\r\n"),
    ],
)
def test_a_fix_changes_no_byte_beside_the_output(tmp_path: Path, name: str, row: bytes):
    path = tmp_path / name
    header = b"" if name == "out.jsonl" else b'"a",b,c,output,d,e\n'
    if b"%s" not in row:  # What stands before the header.
        header, row = row + header, b"1,2,3,%s,4,5\n"
    path.write_bytes(header + row.replace(b"%s", b'"%s "' % GOOD.encode()))
    result = run(path, "--fix")
    assert (result.exit_code, "1 fixed." in result.stderr) == (0, True), result.stderr
    assert path.read_bytes() == header + row.replace(b"%s", b'"%s"' % GOOD.encode())


def test_a_csv_cell_is_quoted_where_it_was_or_must_be(tmp_path: Path):
    path = tmp_path / "out.csv"
    path.write_bytes(b'output\n"`a`"\n`a`\n`a"b`\n" "\n')
    _fix(path, "csv", Grammar("words", r'start: "a" | "a\"b" |'))
    assert path.read_bytes() == b'output\n"a"\na\n"a""b"\n""\n'


@pytest.mark.parametrize(
    ("format_name", "grammar", "before", "after"),
    [
        ("lines", r'start: "a" "\n" "b"', b"ab\n", b"ab\n"),
        ("text", r'start: "a" "\n" "b"', b"ab\n", b"a\nb\n"),
        ("text", r'start: "a" "\n"', b"a", b"a\n\n"),
        ("jsonl", r'start: "a" "\n" "b"', b'"ab"', rb'"a\nb"'),
        ("csv", r'start: "a" "\n" "b"', b"output\nab\n", b'output\n"a\nb"\n'),
    ],
)
def test_a_mended_output_is_valid_when_it_is_read_again(
    tmp_path: Path, format_name: FormatName, grammar: str, before: bytes, after: bytes
):
    path = tmp_path / "out"
    path.write_bytes(before)
    is_mended = before != after
    assert _fix(path, format_name, Grammar("lines", grammar)) == is_mended
    assert path.read_bytes() == after
    assert _fix(path, format_name, Grammar("lines", grammar)) == 0


def _fix(path: Path, format_name: FormatName, grammar: Grammar) -> int:
    """Mends a file, by guesses too; returns how many outputs that mended."""
    source = Source(path.name, path, make_reader(format_name))
    result = validate([source], Judge(grammar), reports.Silent(), Mode(rewrite="fix", unsafe_fixes=True))
    assert not result.failures
    return result.summary.fixed


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
    assert result.stdout.splitlines()[:2] == [f"--- {path}", f"+++ {path}"]
    assert result.stdout.splitlines()[2:] == ["@@ -2,1 +2,1 @@", f"-{GOOD} ", f"+{GOOD}"]
    assert path.read_bytes() == before
    assert result.exit_code == 1


@pytest.mark.skipif(shutil.which("patch") is None, reason="patch is not installed")
def test_patch_applies_a_diff_to_names_with_spaces_and_absolute_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    paths = [write(tmp_path / name, [GOOD, GOOD + " "]) for name in ("a.txt", "a b.txt")]
    diff = run(paths[0], paths[1].name, "--diff").stdout_bytes
    assert [line for line in diff.splitlines() if line.startswith(b"+++")] == [b"+++ a.txt", b"+++ a b.txt\t"]
    subprocess.run(["patch", "-p0"], input=diff, check=True, capture_output=True)
    assert run(*paths).exit_code == 0


def test_files_are_mended_though_the_reader_of_the_findings_has_seen_enough(tmp_path: Path):
    path = write(tmp_path / "out.txt", ["x", GOOD + " "])
    read, written = os.pipe()
    os.close(read)
    stream = os.fdopen(written, "w", buffering=1)
    source = Source("out.txt", path, make_reader("lines"))
    result = validate([source], Judge(builtin_grammar("viggo")), reports.Concise(stream), Mode(rewrite="fix"))
    assert (result.summary.n, result.summary.fixed) == (2, 1)
    assert path.read_text(encoding="utf-8") == f"x\n{GOOD}\n"
    with pytest.raises(BrokenPipeError):
        stream.close()


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


def test_a_file_that_breaks_half_way_is_not_replaced_and_nothing_in_it_counts_as_mended(tmp_path: Path):
    path = write(tmp_path / "out.jsonl", [json.dumps({"output": GOOD + " "}), "{broken"])
    before = path.read_bytes()
    result = run(path, "--fix", "--output-format", "concise")
    assert result.exit_code == 2
    assert "out.jsonl:1:41: SOF004" in result.stdout
    assert "fixed" not in result.stderr
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]
