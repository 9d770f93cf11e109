"""A row read by its number is the row that reading in order comes to, and costs no memory for the others."""

import os
import tracemalloc
from pathlib import Path

import fsspec
import pytest

from sofit import Example, Record, SofitError, read_examples, read_split
from sofit.records.splits import open_split


def example_from(record: Record, id: str) -> Example:
    return Example(id=id, input=record.fields, target="", where=record.where)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.csv", 'a,b\n1,2\n"3\n, ""three""",4\n5,"é, \u2028"\n'),
        ("train.csv", "\ufeffa,b\r\n1,2\r\n\r\n3,4"),
        ("train.csv", 'a,b\n\n"1\r\n\r\n",2\n3,4\n\n'),
        ("train.jsonl", '{"a": "1"}\n{"a": "é"}\n\n   \n{"a": "\u2028"}'),
        ("train.jsonl", '\ufeff{"a": "1"}\r\n{"a": [2]}\r\n'),
        ("train.ndjson", '\n{"a": "😀"}\n{"a": "2"}\n'),
    ],
)
@pytest.mark.parametrize("place", ["disk", "memory"])
def test_rows_by_number_are_those_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str, place: str
) -> None:
    monkeypatch.setenv("SOFIT_CACHE", str(tmp_path / "cache"))
    folder = str(tmp_path / "rows") if place == "disk" else f"memory://{tmp_path.name}"
    filesystem, path = fsspec.core.url_to_fs(folder)
    filesystem.makedirs(path, exist_ok=True)
    filesystem.pipe_file(f"{path}/{name}", content.encode())
    in_order, by_number = list(read_split(folder, "train")), open_split(folder, "train")
    assert len(by_number) == len(in_order) >= 2
    assert [by_number[index] for index in range(len(in_order))] == in_order
    assert by_number[-1] == in_order[-1]
    assert by_number[::-1] == in_order[::-1]
    with pytest.raises(IndexError):
        by_number[len(in_order)]


def test_the_real_rows_by_number_are_those_in_order(shared_data: Path) -> None:
    examples = read_examples(str(shared_data / "viggo"), "train", example_from)
    in_order = list(iter(examples))
    assert len(examples) == len(in_order) == 5103
    assert all(examples[index] == in_order[index] for index in range(5102, -1, -7))


def write_numbers(file: Path, numbers: range) -> Path:
    file.write_text("".join(f'{{"a": {number}, "text": "{"x" * 100}"}}\n' for number in numbers))
    return file


def test_what_a_single_file_holds_out_is_apart_from_what_is_trained_on(tmp_path: Path) -> None:
    file = write_numbers(tmp_path / "all.jsonl", range(3000))
    parts = [{record.fields["a"]: record.where for record in open_split(str(file), split)} for split in ("train", "validation")]
    assert [len(part) for part in parts] == [2800, 200]
    assert {number: f"{file}:{number + 1}" for number in range(3000)} == parts[0] | parts[1]


def test_an_index_is_kept_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFIT_CACHE", str(tmp_path / "cache"))
    file = write_numbers(tmp_path / "all.jsonl", range(60_000))
    first = open_split(str(file), "train")[40_000]
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")}
    assert len(kept) == 2
    assert open_split(str(file), "train")[40_000] == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")} == kept

    # As long as before, and of the same second: only the finer time differs.
    content = file.read_text().replace("xxxx", "yyyy")
    time = file.stat().st_mtime_ns
    file.write_text(content)
    os.utime(file, ns=(time + 1, time + 1))
    assert open_split(str(file), "train")[40_000].fields["text"].startswith("yyyy")
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 4


def test_a_damaged_index_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFIT_CACHE", str(tmp_path / "cache"))
    file = write_numbers(tmp_path / "all.jsonl", range(60_000))
    whole = open_split(str(file), "train")[40_000]
    for path in (tmp_path / "cache").rglob("*.npy"):
        path.write_bytes(path.read_bytes()[:1000])
    assert open_split(str(file), "train")[40_000] == whole


def test_reading_by_number_keeps_no_row_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFIT_CACHE", str(tmp_path / "cache"))
    file = write_numbers(tmp_path / "all.jsonl", range(60_000))
    list(open_split(str(file), "validation"))
    tracemalloc.start()
    examples = read_examples(str(file), "train", example_from)
    assert sum(example.input["a"] for example in (examples[index] for index in range(0, len(examples), 20))) > 0
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < file.stat().st_size / 10


def test_a_row_of_a_file_that_has_changed_meanwhile_is_named(tmp_path: Path) -> None:
    file = write_numbers(tmp_path / "train.jsonl", range(10))
    rows = open_split(str(tmp_path), "train")
    assert rows[3].fields["a"] == 3
    file.write_text("\n" * 2000)
    with pytest.raises(SofitError, match=f"^{file}:4: "):
        rows[3]
