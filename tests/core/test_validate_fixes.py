"""`sofit validate --fix` mends outputs and touches no other byte."""

import json
import os
import stat
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner
from validated import GOOD, run, write

from sofit.cli.validate import validate

CALL = "inform(name[Portal])"


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
    ("name", "around", "wrong", "right"),
    [
        ("numbers.jsonl", '{"n":1e400,"m":1234567890.12345678901,"a":1,"a":2,"output":%s}', f'" {CALL}"', f'"{CALL}"'),
        ("escapes.jsonl", r'{"a":"\ud83d \udcff é","output" : %s ,"b":[{"output":" x"}]}', f'"{CALL} "', f'"{CALL}"'),
        ("twice.jsonl", '{"output":" x", "output": %s}\r\n', rf'"{CALL}\n"', f'"{CALL}"'),
        ("mark.jsonl", "\ufeff %s", f'" {CALL}"', f'"{CALL}"'),
        ("breaks.csv", 'output,note\r\n%s,"x\ry"\r\n', f"{CALL} ", CALL),
        ("quoted.csv", 'id,output,note\n"a,\nb",%s,""\n', f'"{CALL} "', CALL),
        ("blank.csv", '\ufeff\n"output","id"\n%s,c\n', f" {CALL}", CALL),
        ("long.csv", "output,note\n%s," + "x" * 200_000, f" {CALL}", CALL),
    ],
)
def test_a_fix_leaves_every_byte_beside_the_output(tmp_path: Path, name: str, around: str, wrong: str, right: str):
    path = tmp_path / name
    path.write_bytes((around % wrong).encode())
    assert run(path, "--fix").exit_code == 0
    assert path.read_bytes().decode() == around % right


def test_a_fix_is_none_where_it_would_make_two_outputs_of_one(tmp_path: Path):
    grammar = tmp_path / "g.lark"
    grammar.write_text('start: "a" "\\n" "b"\n', encoding="utf-8")
    path = write(tmp_path / "out.txt", ["ab"])
    app = typer.Typer()
    app.command()(validate)
    result = CliRunner().invoke(app, [str(path), "--grammar", str(grammar), "--fix", "--unsafe-fixes"])
    assert (result.exit_code, path.read_text(encoding="utf-8")) == (1, "ab\n")


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
    path = write(tmp_path / "my out.txt", [GOOD, GOOD + " ", GOOD])
    before = path.read_bytes()
    result = run(path, "--diff")
    assert result.stdout.splitlines()[0] == f"--- {path}\t", "a blank would end the name"
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
    result = run(path, "--fix")
    assert result.exit_code == 2
    assert " 1 fixed." not in result.stderr, "nothing was written"
    assert "1 of its outputs could be fixed" in result.stderr
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]
