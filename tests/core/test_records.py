"""Rows of data: where they stand, what is wrong with them, and which split they belong to."""

import csv
import json
import re
import sys
from pathlib import Path

import fsspec
import pytest

from sofit import Record, SofitError, read_split


def rows(data: str | Path, split: str = "train") -> list[Record]:
    return list(read_split(str(data), split))


def error_of(data: str | Path, split: str = "train") -> str:
    with pytest.raises(SofitError) as error:
        rows(data, split)
    return str(error.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1,2\n3,4\n", [(2, "1", "2"), (3, "3", "4")]),
        ("a,b\r\n1,2\r\n\r\n3,4", [(2, "1", "2"), (4, "3", "4")]),
        ("\ufeffa,b\n1,2\n", [(2, "1", "2")]),
        ('a,b\n"1\n, one",2\n3,4\n', [(2, "1\n, one", "2"), (4, "3", "4")]),
        ('a,b\n"say ""hi""",é\n', [(2, 'say "hi"', "é")]),
        ("a,b\n1,\u2028\n3,4\n", [(2, "1", "\u2028"), (3, "3", "4")]),
    ],
    ids=["plain", "blank line", "byte order mark", "line end in a value", "quotes", "line separator in a value"],
)
def test_a_csv_row_stands_at_the_line_on_which_it_begins(tmp_path: Path, content: str, expected: list[tuple[int, str, str]]):
    file = tmp_path / "train.csv"
    file.write_bytes(content.encode())
    found = rows(tmp_path)
    assert [(record.where, record.fields) for record in found] == [(f"{file}:{n}", {"a": a, "b": b}) for n, a, b in expected]


def test_a_jsonl_row_stands_at_its_line_and_keeps_its_types(tmp_path: Path):
    file = tmp_path / "train.jsonl"
    file.write_text('\ufeff{"a": "1", "b": [2]}\n\n{"a": null}\n', encoding="utf-8")
    assert rows(tmp_path) == [Record({"a": "1", "b": [2]}, f"{file}:1"), Record({"a": None}, f"{file}:3")]


@pytest.mark.parametrize(
    ("name", "content", "line", "reason"),
    [
        ("train.csv", b"a,b\n1,2\n1,2,3\n", 3, "the row has 3 columns, but the header has 2 (a, b)"),
        ("train.csv", b'a,b\n"1\n",2\n"3"x,4\n', 4, "not CSV"),
        ("train.csv", b'a,b\n1,2\n"3,4\n5,6\n', 3, "not CSV: unexpected end of data"),
        ("train.csv", b'a,b\n1,"' + b"x\n" * 200_000, 2, "not CSV: field larger than field limit"),
        ("train.csv", b"a,b\n1,2\n\xe9,2\n", 3, "not UTF-8"),
        ("train.csv", b"a,a\n1,2\n", 1, "the header names two columns 'a'"),
        ("train.csv", b"\na,b\n1,2\n", 1, "the first line is empty"),
        ("train.jsonl", b'{"a": 1}\n{"a": 1\n', 2, "not JSON"),
        ("train.jsonl", b'{"a": 1}\n[1]\n', 2, "expected a JSON object with named fields. Got list."),
        ("train.jsonl", b"[" * 100_000, 1, "not JSON"),
        ("train.jsonl", b'{"a": "' + b"x" * 300_000 + b'"}\n{"a": "\xff"}\n', 2, "not UTF-8"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(tmp_path: Path, name: str, content: bytes, line: int, reason: str):
    file = tmp_path / name
    file.write_bytes(content)
    assert error_of(tmp_path).startswith(f"{file}:{line}: {reason}")


def test_rows_before_a_malformed_one_are_still_read(tmp_path: Path):
    (tmp_path / "train.csv").write_text('a,b\n1,2\n"3,4\n')
    stream = read_split(str(tmp_path), "train")
    assert next(stream).fields == {"a": "1", "b": "2"}
    with pytest.raises(SofitError):
        next(stream)


@pytest.mark.parametrize("content", ["", "a,b\n", "a,b\n\n"])
def test_a_file_without_rows_is_an_error(tmp_path: Path, content: str):
    (tmp_path / "train.csv").write_text(content)
    assert re.search("is empty|has no rows for the train split", error_of(tmp_path))


@pytest.mark.parametrize(
    ("stem", "split"), [("training", "train"), ("dev", "validation"), ("val", "validation"), ("test", "test")]
)
def test_a_split_is_found_under_each_of_its_names(tmp_path: Path, stem: str, split: str):
    (tmp_path / f"{stem}.jsonl").write_text('{"a": "1"}\n')
    assert [record.fields for record in rows(tmp_path, split)] == [{"a": "1"}]


def test_a_missing_split_is_an_error_that_lists_what_is_there(tmp_path: Path):
    (tmp_path / "train.csv").write_text("a\n1\n")
    (tmp_path / "notes.txt").write_text("")
    message = error_of(tmp_path, "test")
    assert message.startswith(f"{tmp_path} has no test split")
    assert "Data files there: train.csv." in message


def test_two_files_for_one_split_are_an_error_that_names_both(tmp_path: Path):
    (tmp_path / "train.csv").write_text("a\n1\n")
    (tmp_path / "train.jsonl").write_text('{"a": "1"}\n')
    assert "several files for the train split: train.csv, train.jsonl" in error_of(tmp_path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("no/such/folder", "There is no data at no/such/folder"),
        ("nosuch://data", "Cannot read nosuch://data: Protocol not known: nosuch"),
    ],
)
def test_data_that_is_nowhere_is_an_error_that_says_so(data: str, reason: str):
    assert reason in error_of(data)


def test_a_filesystem_that_needs_another_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)  # What Python itself does for a module that is not to be found.
    assert error_of("gs://bucket/train.jsonl").endswith("Install it with: pip install 'sofit-jax[gcs]'.")


def test_a_file_of_another_format_is_an_error_that_names_the_formats(tmp_path: Path):
    (tmp_path / "train.txt").write_text("a")
    assert "must end in one of .csv, .jsonl, .ndjson" in error_of(tmp_path / "train.txt")


def test_an_unknown_split_is_an_error(tmp_path: Path):
    assert error_of(tmp_path, "dev") == "No split is called 'dev'. Splits: train, validation, test."


def write_single_file(path: Path, values: list[int]) -> Path:
    path.write_text("a\n" + "".join(f"{value}\n" for value in values))
    return path


@pytest.mark.parametrize(("count", "held_out"), [(2, 1), (20, 2), (1000, 100), (5000, 200)])
def test_of_a_single_file_a_tenth_but_at_most_two_hundred_rows_are_held_out(tmp_path: Path, count: int, held_out: int):
    file = write_single_file(tmp_path / "all.csv", list(range(count)))
    train, validation = rows(file), rows(file, "validation")
    assert len(validation) == held_out
    assert {r.fields["a"] for r in train} | {r.fields["a"] for r in validation} == {str(value) for value in range(count)}
    assert len(train) + len(validation) == count


def test_which_rows_are_held_out_does_not_depend_on_their_order(tmp_path: Path):
    forward = write_single_file(tmp_path / "forward.csv", list(range(100)))
    backward = write_single_file(tmp_path / "backward.csv", list(reversed(range(100))))
    assert {r.fields["a"] for r in rows(forward, "validation")} == {r.fields["a"] for r in rows(backward, "validation")}


def test_equal_rows_are_never_on_both_sides(tmp_path: Path):
    file = write_single_file(tmp_path / "all.csv", [value // 3 for value in range(300)])
    train, validation = ({r.fields["a"] for r in rows(file, split)} for split in ("train", "validation"))
    assert len(validation) == 10
    assert not train & validation


def test_a_single_file_has_no_test_split(tmp_path: Path):
    file = write_single_file(tmp_path / "all.csv", [1, 2])
    assert "has no test split" in error_of(file, "test")


def test_a_single_row_is_too_few_to_train_on(tmp_path: Path):
    file = write_single_file(tmp_path / "all.csv", [1])
    assert error_of(file) == f"{file} has no rows for the train split."


def test_a_single_file_without_rows_is_an_error(tmp_path: Path):
    (tmp_path / "all.jsonl").write_text("\n")
    assert error_of(tmp_path / "all.jsonl").endswith("all.jsonl has no rows for the train split.")


def test_data_on_any_filesystem_is_read_alike():
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe({"/records/train.csv": b"a\n1\n", "/records/dev.jsonl": b'{"a": "2"}\n'})
    assert rows("memory://records") == [Record({"a": "1"}, "memory://records/train.csv:2")]
    assert rows("memory://records/", "validation") == [Record({"a": "2"}, "memory://records/dev.jsonl:1")]
    assert "memory://records/train.csv is a single file" in error_of("memory://records/train.csv", "test")


def test_the_real_csv_is_read_like_the_standard_library_reads_it(shared_data: Path):
    with (shared_data / "viggo" / "train.csv").open(encoding="utf-8", newline="") as file:
        expected = list(csv.DictReader(file))
    assert [record.fields for record in rows(shared_data / "viggo")] == expected


def test_json_is_read_from_text_and_from_values_alike():
    record = Record({"none": None, "text": '{"a": [1.0, null]}', "value": {"a": [1.0, None]}, "wrong": "{"}, "rows:7")
    assert (record.first("none", "value", "text"), record.first("none", "other")) == ("value", None)
    assert record.json("none", "text") == record.json("value") == {"a": [1, None]}
    assert repr(record.json("text")["a"][0]) == "1"
    with pytest.raises(SofitError, match=r"^rows:7: field 'wrong' is no JSON: "):
        record.json("wrong")
    with pytest.raises(SofitError, match=r"^rows:7: the row has no field 'none' or 'other'\. Its fields: none, text, "):
        record.json("none", "other")


def test_text_takes_the_first_field_that_has_a_value():
    record = Record({"a": None, "b": "x", "c": "y"}, "f:1")
    assert record.text("z", "a", "b", "c") == "x"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"b": "x"}, "f:1: the row has no field 'a'. Its fields: b."),
        ({}, "f:1: the row has no field 'a'. Its fields: none."),
        ({"a": 3}, "f:1: field 'a' must be text. Got int: 3."),
        (json.loads('{"a": "x\\ud83d"}'), "f:1: field 'a' holds '\\ud83d', half of a character. Write the whole one."),
    ],
)
def test_a_field_that_is_not_text_is_named(fields: dict[str, object], message: str):
    with pytest.raises(SofitError) as error:
        Record(fields, "f:1").text("a")
    assert str(error.value) == message
