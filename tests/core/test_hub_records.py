"""Data sets of the Hub, read by the Hub's real clients from a stand-in on loopback."""

import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hub_standin import PARQUET_CONVERSION, hub_serving

ROWS = [
    {
        "gem_id": f"viggo-train-{index}",
        "meaning_representation": f"recommend(name[Game {index}], has_mac_release[yes])",
        "target": f"Have you tried Game {index}? It runs on a Mac.",
        "references": [],
    }
    for index in range(5)
]

READ = """
import sys
from sofit import SofitError, read_split
try:
    for record in read_split(sys.argv[1], sys.argv[2]):
        print(record.where, record.text("target"), record.text("meaning_representation"), sep="|")
except SofitError as error:
    print(error)
"""


def parquet(rows: Sequence[Mapping[str, object]]) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), file)
    return file.getvalue()


VIGGO = {
    # As on the Hub: a script that no client runs any more, and the conversion that took its place.
    "main": {"README.md": b"", "viggo.py": b"raise SystemExit('a script of the data set was run')"},
    PARQUET_CONVERSION: {"default/train/0000.parquet": parquet(ROWS), "default/validation/0000.parquet": parquet(ROWS[:2])},
}


def read(data: str, split: str, endpoint: str, home: Path, **environment: str) -> list[str]:
    """Reads a split in a process of its own, since the Hub's clients read the environment when they are imported."""
    shown = subprocess.run(
        [sys.executable, "-c", READ, data, split],
        env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return shown.stdout.splitlines()


def test_the_parquet_conversion_is_read_and_then_kept_for_offline_use(tmp_path: Path):
    with hub_serving("GEM/viggo", VIGGO) as endpoint:
        train = read("hf:GEM/viggo", "train", endpoint, tmp_path)
        missing = read("hf:GEM/viggo", "test", endpoint, tmp_path)
    assert len(train) == 5
    assert train[4] == (
        "hf:GEM/viggo:train:4|Have you tried Game 4? It runs on a Mac.|recommend(name[Game 4], has_mac_release[yes])"
    )
    assert missing == ["hf:GEM/viggo has no test split. It has: train, validation."]
    assert read("hf:GEM/viggo", "train", endpoint, tmp_path, HF_HUB_OFFLINE="1") == train


def test_a_data_set_without_a_conversion_is_read_as_it_is(tmp_path: Path):
    csv = "target,meaning_representation\nHave you tried Doom?,recommend(name[Doom])\n"
    with hub_serving("me/mine", {"main": {"train.csv": csv.encode()}}) as endpoint:
        assert read("hf:me/mine", "train", endpoint, tmp_path) == [
            "hf:me/mine:train:0|Have you tried Doom?|recommend(name[Doom])"
        ]


def test_a_name_that_the_hub_does_not_have_is_an_error_that_names_it(tmp_path: Path):
    with hub_serving("GEM/viggo", VIGGO) as endpoint:
        assert read("hf:GEM/vigo", "train", endpoint, tmp_path) == [
            "The Hub has no data set 'GEM/vigo'. If it is a private one, run `hf auth login`."
        ]


def test_of_several_data_sets_in_one_the_name_chooses_and_without_it_the_error_lists_them(tmp_path: Path):
    files = {"small/train/0000.parquet": parquet(ROWS[:1]), "large/train/0000.parquet": parquet(ROWS)}
    with hub_serving("GEM/viggo", {PARQUET_CONVERSION: files}) as endpoint:
        [several] = read("hf:GEM/viggo", "train", endpoint, tmp_path)
        [missing] = read("hf:GEM/viggo/tiny", "train", endpoint, tmp_path)
        chosen = [len(read(f"hf:GEM/viggo/{name}", "train", endpoint, tmp_path)) for name in ("small", "large")]
    assert several == "hf:GEM/viggo is several data sets in one (large, small). Choose one: --data hf:GEM/viggo/large."
    assert missing == "hf:GEM/viggo has no configuration 'tiny'. It has: large, small."
    assert chosen == [1, 5]
    assert len(read("hf:GEM/viggo/large", "train", endpoint, tmp_path, HF_HUB_OFFLINE="1")) == 5


def test_a_configuration_of_a_data_set_without_a_conversion_is_chosen_too(tmp_path: Path):
    card = """---
configs:
- config_name: first
  data_files: [{split: train, path: one.csv}]
- config_name: second
  data_files: [{split: train, path: two.csv}]
---
"""
    rows = [f"target,meaning_representation\nHave you tried {name}?,recommend(name[{name}])\n" for name in ("Doom", "Portal")]
    files = {"README.md": card.encode(), "one.csv": rows[0].encode(), "two.csv": rows[1].encode()}
    with hub_serving("me/mine", {"main": files}) as endpoint:
        [message] = read("hf:me/mine", "train", endpoint, tmp_path)
        [row] = read("hf:me/mine/second", "train", endpoint, tmp_path)
    assert message == "hf:me/mine is several data sets in one (first, second). Choose one: --data hf:me/mine/first."
    assert row == "hf:me/mine/second:train:0|Have you tried Portal?|recommend(name[Portal])"


@pytest.mark.parametrize("listens", [True, False], ids=["silent", "refusing"])
def test_a_hub_out_of_reach_is_one_clear_error_within_seconds(tmp_path: Path, listens: bool):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listens:
            server.listen()
        start = time.monotonic()
        [message] = read("hf:GEM/viggo", "train", f"http://127.0.0.1:{server.getsockname()[1]}", tmp_path)
        seconds = time.monotonic() - start
    assert message.startswith("Cannot reach the Hugging Face Hub for hf:GEM/viggo: ")
    assert "give --data a folder or a file" in message
    assert seconds < 30
