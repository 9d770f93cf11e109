"""What was tokenised once is taken as it is, and what is wrong with the cache never stops a run."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from sofit import Example, Task, load_plugins
from sofit.pretrained import Pretrained
from sofit.supervision import Supervised, supervise


@pytest.fixture(scope="module")
def task() -> Task:
    return load_plugins().tasks["viggo"](prompt_style="short")  # pyright: ignore[reportCallIssue]


@pytest.fixture(scope="module")
def examples(task: Task) -> list[Example]:
    return [example for example, _ in zip(task.load("train"), range(20), strict=False)]


def _same(one: Sequence[Supervised], other: Sequence[Supervised]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(np.array_equal(a.ids, b.ids) and a.prompt_length == b.prompt_length and a.example == b.example for a, b in pairs)


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_the_second_run_takes_what_the_first_one_kept(
    task: Task, examples: list[Example], smollm2: Pretrained, tmp_path: Path, kind: str
):
    folder = str(tmp_path / "cache") if kind == "folder" else f"memory://{tmp_path.name}"
    plain = supervise(task, examples, smollm2.tokenizer, 2048)
    first = supervise(task, examples, smollm2.tokenizer, 2048, folder)
    second = supervise(task, examples, smollm2.tokenizer, 2048, folder)
    assert _same(plain, first)
    assert _same(plain, second)
    assert second[0].ids.dtype == np.int32
    if kind == "folder":
        assert len(list((tmp_path / "cache").iterdir())) == 1


def test_another_row_or_prompt_is_kept_apart(task: Task, examples: list[Example], smollm2: Pretrained, tmp_path: Path):
    other = type(task)(prompt_style="none")  # pyright: ignore[reportCallIssue]
    for chosen, rows in [(task, examples), (task, examples[1:]), (other, examples)]:
        assert _same(
            supervise(chosen, rows, smollm2.tokenizer, 2048, str(tmp_path)), supervise(chosen, rows, smollm2.tokenizer, 2048)
        )
    assert len(list(tmp_path.iterdir())) == 3


def test_a_damaged_file_is_named_and_made_anew(
    task: Task, examples: list[Example], smollm2: Pretrained, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    plain = supervise(task, examples, smollm2.tokenizer, 2048, str(tmp_path))
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert _same(plain, supervise(task, examples, smollm2.tokenizer, 2048, str(tmp_path)))
    assert f"{tmp_path} cannot be read" in caplog.text
    caplog.clear()
    assert _same(plain, supervise(task, examples, smollm2.tokenizer, 2048, str(tmp_path)))
    assert caplog.text == ""


def test_a_storage_that_is_not_there_is_said_and_done_without(
    task: Task, examples: list[Example], smollm2: Pretrained, caplog: pytest.LogCaptureFixture
):
    assert len(supervise(task, examples, smollm2.tokenizer, 2048, "nosuch://bucket/cache")) == len(examples)
    assert "data_cache_dir: nosuch://bucket/cache cannot be read" in caplog.text
