"""Examples that are checked and tokenised as their step comes train the model as those that were before the first step."""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from many_rows import write_many_rows
from tiny_runs import json_lines, set_options
from typer.testing import CliRunner

from sofit import Example, SofitError, Task, load_plugins
from sofit.cli import app
from sofit.config import Config, TrainerConfig
from sofit.config_loading import load_config
from sofit.feed import Feed
from sofit.pretrained import Pretrained
from sofit.train import train
from sofit.training_examples import load_training_examples
from sofit_viggo.task import ViggoTask

BATCH = TrainerConfig(train_batch_size=4)


def folder_of(tmp_path: Path, count: int, *changed: tuple[int, str]) -> Path:
    """Writes a folder of rows, with other outputs in some lines."""
    file = write_many_rows(tmp_path / "train.jsonl", count)
    lines = file.read_text().splitlines()
    for line, output in changed:
        lines[line - 1] = json.dumps({**json.loads(lines[line - 1]), "output": output})
    file.write_text("\n".join(lines) + "\n")
    write_many_rows(tmp_path / "validation.jsonl", 2)
    return tmp_path


def feed_of(task: Task, tokenizer: Any, steps: int, *, streaming: bool | None = True, **options: Any) -> Feed:
    examples = load_training_examples(task, streaming, allow_invalid=options.pop("allow_invalid", False))
    return Feed(examples.tokenized(tokenizer, Config(trainer=BATCH, **options)), BATCH, steps)


def viggo(folder: Path) -> Task:
    return ViggoTask(data=str(folder), prompt_style="none")


def test_streamed_steps_are_those_of_loaded_data(tmp_path: Path, smollm2: Pretrained) -> None:
    task = viggo(folder_of(tmp_path, 30))
    for cache in (None, str(tmp_path / "cache"), str(tmp_path / "cache")):
        streamed, loaded = (
            feed_of(task, smollm2.tokenizer, 50, streaming=streaming, data_cache_dir=cache) for streaming in (True, False)
        )
        with streamed, loaded:
            for step in (1, 2, 40, 9):
                pairs = list(zip(streamed.examples(step), loaded.examples(step), strict=True))
                assert len(pairs) == 4
                assert all(one.example == other.example and np.array_equal(one.ids, other.ids) for one, other in pairs)
                shapes = [[micro.shape for micro in feed.micro_batches(step)] for feed in (streamed, loaded)]
                assert shapes[0] == shapes[1]


def test_a_refused_target_ends_the_run_when_its_step_comes_and_is_named(tmp_path: Path, smollm2: Pretrained) -> None:
    folder = folder_of(tmp_path, 800, *((line, "bogus(") for line in range(400, 800)))
    examples = load_training_examples(viggo(folder), True, allow_invalid=False)  # Nothing is said yet.
    source = examples.tokenized(smollm2.tokenizer, Config())
    assert len(source.at(range(300, 304))) == 4
    with pytest.raises(SofitError) as error:
        source.at([300, 405])
    assert str(error.value).startswith(
        f"1 of 2 train targets are not in the grammar of task 'viggo':\n  {folder}/train.jsonl:406: "
    )


def test_refused_targets_are_left_out_only_on_demand_and_counted(
    tmp_path: Path, smollm2: Pretrained, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_of(tmp_path, 40, *((line, "bogus(") for line in range(1, 16)))
    with caplog.at_level(logging.WARNING, "sofit"), feed_of(viggo(folder), smollm2.tokenizer, 20, allow_invalid=True) as feed:
        taken = [row.example.where for step in range(1, 11) for row in feed.examples(step)]
    assert sorted(taken) == sorted(f"{folder}/train.jsonl:{line}" for line in range(16, 41))
    assert "Further ones are counted at the end." in caplog.text
    assert caplog.messages[-1] == "In all, 15 train examples were left out, whose targets do not parse."


def test_a_step_with_nothing_left_is_an_error(tmp_path: Path, smollm2: Pretrained) -> None:
    folder = folder_of(tmp_path, 4, *((line, "bogus(") for line in range(1, 5)))
    with pytest.raises(SofitError, match="4 of 4 train targets"):
        feed_of(viggo(folder), smollm2.tokenizer, 1, allow_invalid=True)


def test_large_data_is_streamed_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SOFIT_CACHE", str(tmp_path / "cache"))
    row = '{"input": "Hi", "output": "bogus("}\n'
    (tmp_path / "train.jsonl").write_text(row * 3)
    with caplog.at_level(logging.INFO, "sofit"), pytest.raises(SofitError, match="3 of 3 train targets"):
        load_training_examples(viggo(tmp_path), None, allow_invalid=False)
    assert caplog.text == ""
    (tmp_path / "train.jsonl").write_text(row * 100_000)
    with caplog.at_level(logging.INFO, "sofit"):
        assert len(load_training_examples(viggo(tmp_path), None, allow_invalid=False)) == 100_000
    assert "100,000 examples: each is checked and tokenised when its step comes." in caplog.text


@dataclass(frozen=True, kw_only=True)
class OneByOneTask(ViggoTask):
    """ViGGO whose examples come one after the other."""

    name: ClassVar[str] = "one-by-one"

    def load(self, split: str) -> Iterator[Example]:  # pyright: ignore[reportIncompatibleMethodOverride]
        yield from super().load(split)


def test_a_task_without_numbered_examples_is_loaded_whole_and_refuses_to_be_streamed() -> None:
    assert len(load_training_examples(OneByOneTask(), None, allow_invalid=False)) == 1200
    with pytest.raises(SofitError, match="'one-by-one' gives its examples one after the other"):
        load_training_examples(OneByOneTask(), True, allow_invalid=False)


@pytest.mark.usefixtures("quick_compilation")
def test_a_streamed_run_is_that_of_loaded_data_to_the_bit(tiny_model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    folder = folder_of(tmp_path / "rows", 10)

    def losses(name: str, **settings: Any) -> list[float]:
        fixed = {"data": folder, "model": tiny_model_folder, "out": tmp_path / name, "trainer__num_train_steps": 4}
        train(load_config(None, set_options(**fixed, **settings)[1::2]), load_plugins())
        return [line["loss"] for line in json_lines(tmp_path / name / "metrics.jsonl")]

    assert losses("streamed", data_streaming=True) == losses("loaded", data_streaming=False)


def test_data_tokenize_fills_the_cache_that_a_run_then_uses(tiny_model_folder: Path, smollm2: Pretrained, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    folder = folder_of(tmp_path / "rows", 10)
    asked = ["data", "tokenize", "--task", "viggo", "--data", str(folder), "--model", str(tiny_model_folder)]
    asked += ["--set", "task_options.prompt_style=none"]
    refused = CliRunner().invoke(app, asked)
    assert (refused.exit_code, "--cache FOLDER" in refused.output) == (2, True)
    result = CliRunner().invoke(app, [*asked, "--cache", str(tmp_path / "tokens")])
    assert result.exit_code == 0, result.output
    assert f"10 examples are checked, and kept tokenised in {tmp_path / 'tokens'}" in result.output
    before = sorted((tmp_path / "tokens").rglob("*"))
    with feed_of(viggo(folder), smollm2.tokenizer, 3, data_cache_dir=str(tmp_path / "tokens")) as feed:
        assert len(feed.examples(3)) == 4
    assert sorted((tmp_path / "tokens").rglob("*")) == before  # Nothing was missing.


@pytest.mark.parametrize("command", [["data", "tokenize", "--cache", "tokens"], ["inspect"]], ids=" ".join)
def test_commands_that_look_at_tokens_alone_need_no_weights(
    tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model_folder, "model", ignore=shutil.ignore_patterns("*.safetensors"))
    (tmp_path / "rows").mkdir()
    asked = [*command, "--task", "viggo", "--data", str(folder_of(tmp_path / "rows", 10)), "--model", "model"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    Path("model", "tokenizer.json").unlink()
    refused = CliRunner().invoke(app, asked)
    assert (refused.exit_code, "The model model has no tokenizer." in refused.output) == (2, True)


def test_every_built_in_task_can_be_streamed(shared_data: Path) -> None:
    for name, data in (("viggo", "viggo"), ("sql", "geoquery"), ("json", "snips")):
        task = load_plugins().tasks[name](data=str(shared_data / data))
        examples = task.load("train")
        assert isinstance(examples, Sequence)
        example = examples[17]
        assert task.grammar_for(example).accepts(example.target)
        assert (example.id, task.prompt(example)) != ("", "")
