"""What was tokenised once is taken as it is, and what is wrong with the cache never stops a run."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import fsspec
import numpy as np
import pytest
from many_rows import write_many_rows

from sofit import Example, SofitError, Task, load_plugins
from sofit.config import Config
from sofit.pretrained import Pretrained
from sofit.supervision import Supervised, supervise
from sofit.token_cache import TokenCache
from sofit.tokenize_data import tokenize_data
from sofit_viggo.task import ViggoTask

TASK = ViggoTask(prompt_style="short")
EXAMPLES = list(TASK.load("train"))[:20]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, smollm2: Pretrained) -> None:
    """Keeps copies of remote shards out of the user's cache; the model is loaded before."""
    monkeypatch.setenv("SOFIT_CACHE", str(tmp_path / "sofit"))


def run(folder: Path | str, smollm2: Pretrained, task: Task = TASK, examples: Sequence[Example] = EXAMPLES) -> list[Supervised]:
    """Does what a run does with its cache."""
    cache = TokenCache(str(folder), smollm2.tokenizer.fingerprint)
    rows = supervise(task, examples, smollm2.tokenizer, 2048, cache)
    cache.flush()
    return rows


def is_same(one: Sequence[Supervised], other: Sequence[Supervised]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(np.array_equal(a.ids, b.ids) and a.prompt_length == b.prompt_length and a.example == b.example for a, b in pairs)


def shards(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.tokens"))


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_the_second_run_takes_what_the_first_one_kept(smollm2: Pretrained, tmp_path: Path, kind: str) -> None:
    folder = str(tmp_path / "cache") if kind == "folder" else f"memory://{tmp_path.name}/cache"
    plain = supervise(TASK, EXAMPLES, smollm2.tokenizer, 2048)
    assert is_same(plain, run(folder, smollm2))
    cache = TokenCache(folder, smollm2.tokenizer.fingerprint)
    for example, row in zip(EXAMPLES, plain, strict=True):
        kept = cache.get(cache.key(TASK.prompt(example), example.target))
        assert kept is not None
        assert np.array_equal(kept[0], row.ids)
        assert (kept[0].dtype, kept[1]) == (np.int32, row.prompt_length)
    assert is_same(plain, run(folder, smollm2))
    assert len(fsspec.core.url_to_fs(folder)[0].glob(f"{folder}/*/*.tokens")) == 1


def test_remote_shards_are_copied_to_a_machine_that_lacks_them(
    smollm2: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = f"memory://{tmp_path.name}/cache"
    plain = run(folder, smollm2)
    monkeypatch.setenv("SOFIT_CACHE", str(tmp_path / "another machine"))
    assert is_same(plain, run(folder, smollm2))
    assert [path.stat().st_size for path in shards(tmp_path / "another machine")] == [
        path.stat().st_size for path in shards(tmp_path / "sofit")
    ]


def test_a_row_is_known_by_its_content_whatever_stands_around_it(smollm2: Pretrained, tmp_path: Path) -> None:
    run(tmp_path / "cache", smollm2)
    run(tmp_path / "cache", smollm2, examples=EXAMPLES[::-2])
    assert len(shards(tmp_path / "cache")) == 1
    other = ViggoTask(prompt_style="none")
    assert is_same(run(tmp_path / "cache", smollm2, other), supervise(other, EXAMPLES, smollm2.tokenizer, 2048))
    assert len(shards(tmp_path / "cache")) == 2
    another_tokenizer = TokenCache(str(tmp_path / "cache"), "0" * 16)
    assert another_tokenizer.get(another_tokenizer.key(TASK.prompt(EXAMPLES[0]), EXAMPLES[0].target)) is None


@pytest.mark.parametrize("damage", ["cut", "cut table", "empty", "one id"])
def test_a_damaged_shard_is_said_and_never_gives_wrong_tokens(
    smollm2: Pretrained, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    plain = run(tmp_path, smollm2)
    (kept,) = shards(tmp_path)
    content = bytearray(kept.read_bytes())
    content[-8] ^= 1
    kept.write_bytes({"cut": content[:-8], "cut table": content[:200], "empty": b"", "one id": content}[damage])
    assert is_same(plain, run(tmp_path, smollm2))
    assert f"{tmp_path} cannot be read" in caplog.text
    assert f"{kept.name} is damaged" in caplog.text
    caplog.clear()
    assert is_same(plain, run(tmp_path, smollm2))
    assert damage == "one id" or caplog.text == ""


def test_filling_a_cache_that_cannot_be_written_is_an_error(smollm2: Pretrained, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    config = Config(task="viggo", model=smollm2.name, data_cache_dir=str(file))
    with pytest.raises(SofitError, match=r"file cannot be written: .* Name a folder that can be written"):
        list(tokenize_data(config, load_plugins(), allow_invalid=False))
    assert file.read_text() == "precious"


def test_a_storage_that_is_not_there_is_said_and_done_without(smollm2: Pretrained, caplog: pytest.LogCaptureFixture) -> None:
    assert len(run("nosuch://bucket/cache", smollm2)) == len(EXAMPLES)
    assert "data_cache_dir: nosuch://bucket/cache cannot be read" in caplog.text


TOKENIZE = """
import sys
from sofit.config import Config
from sofit.pretrained import load_pretrained
from sofit.training_examples import load_training_examples
from sofit_viggo.task import ViggoTask

examples = load_training_examples(ViggoTask(data=sys.argv[1], prompt_style="short"), False, allow_invalid=False)
examples.tokenized(load_pretrained(sys.argv[2]).tokenizer, Config(data_cache_dir=sys.argv[3]))
"""


def start(data: Path, model: Path, cache: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", TOKENIZE, str(data), str(model), str(cache)])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows for three shards."""
    folder = tmp_path_factory.mktemp("rows")
    write_many_rows(folder / "train.jsonl", 9000)
    return folder


def test_a_run_that_is_killed_loses_the_shard_under_way_alone(
    smollm2: Pretrained, tiny_model_folder: Path, data: Path, tmp_path: Path
) -> None:
    process = start(data, tiny_model_folder, tmp_path)
    while not shards(tmp_path) and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    kept = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in shards(tmp_path)}
    assert 1 <= len(kept) <= 2
    assert start(data, tiny_model_folder, tmp_path).wait() == 0
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in kept} == kept
    assert len(shards(tmp_path)) == 3

    task = ViggoTask(data=str(data), prompt_style="short")
    some = list(iter(task.load("train")))[::500]
    assert is_same(run(tmp_path, smollm2, task, some), supervise(task, some, smollm2.tokenizer, 2048))
    assert len(shards(tmp_path)) == 3  # So all of them were there.


def test_two_processes_fill_one_cache_at_the_same_time(
    smollm2: Pretrained, tiny_model_folder: Path, data: Path, tmp_path: Path
) -> None:
    processes = [start(data, tiny_model_folder, tmp_path) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    found = shards(tmp_path)
    assert len(found) >= 3
    task = ViggoTask(data=str(data), prompt_style="short")
    some = list(iter(task.load("train")))[::500]
    assert is_same(run(tmp_path, smollm2, task, some), supervise(task, some, smollm2.tokenizer, 2048))
    assert shards(tmp_path) == found
