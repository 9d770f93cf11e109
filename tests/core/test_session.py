"""A run keeps its best model, stops when asked to, and goes on after an interruption as if there had been none."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from safetensors.numpy import load_file
from tiny_runs import json_lines, set_options, write_rows

from sofit import Example, Grammar, Plugins, Prediction, Scores, SofitError, hookimpl, load_plugins
from sofit.checkpoints import Checkpoints
from sofit.config_loading import load_config
from sofit.config_reference import as_yaml
from sofit.loading import load_decoder
from sofit.model import adapter_tensors
from sofit.optimizer import make_schedule
from sofit.pretrained import load_pretrained
from sofit.run import Run, StepRecord
from sofit.start import start_trainer
from sofit.train import train
from sofit_viggo.task import ViggoTask

pytestmark = pytest.mark.usefixtures("quick_compilation")


AHEAD = Grammar("ahead", r"start: /(?=[a-z])(.|\n)+/")


@dataclass(frozen=True, kw_only=True)
class ScriptedTask(ViggoTask):
    """ViGGO with scores that are set beforehand: a list of them, in the order in which evaluations come."""

    name: ClassVar[str] = "scripted"
    headline: ClassVar[Sequence[str]] = ("quality",)
    script: ClassVar[list[float]] = []
    unconstrainable: ClassVar[set[str]] = set()
    """Ids of examples whose grammar has no masks."""

    def grammar_for(self, example: Example) -> Grammar:
        return AHEAD if example.id in self.unconstrainable else super().grammar_for(example)

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        return Scores(metrics={"quality": self.script.pop(0)})


@dataclass
class Interruption:
    """Presses Ctrl-C at the end of a step."""

    step: int

    @hookimpl(trylast=True)
    def sofit_step_end(self, run: Run, step: StepRecord) -> None:
        if step.step == self.step:
            raise KeyboardInterrupt


Train = Callable[..., dict[str, Any]]


@pytest.fixture
def run_training(tiny_model_folder: Path, tmp_path: Path) -> Train:
    """Trains into tmp_path / "run", with these scores, and returns the results."""
    rows = write_rows(tmp_path / "rows", 4)

    def run(*scores: float, resume: bool = False, plugin: object = None, **settings: Any) -> dict[str, Any]:
        plugins: Plugins = load_plugins()
        plugins.tasks["scripted"] = ScriptedTask
        if plugin is not None:
            plugins.manager.register(plugin)
        ScriptedTask.script[:] = scores
        usual = {"trainer__num_train_steps": 5, "lora__dropout": 0.1}
        fixed = {"task": "scripted", "data": rows, "model": tiny_model_folder, "out": tmp_path / "run"}
        config = load_config(None, set_options(**{**usual, **fixed, **settings})[1::2])
        results = train(config, plugins, resume=resume)
        assert ScriptedTask.script == []
        return results

    return run


def occasions(results: dict[str, Any]) -> list[tuple[str, int, float]]:
    return [(entry["when"], entry["step"], entry["metrics"]["quality"]) for entry in results["evaluations"]]


def test_the_best_checkpoint_is_what_a_run_gives_away(run_training: Train, tiny_model_folder: Path, tmp_path: Path) -> None:
    results = run_training(0.0, 0.9, 0.3, 0.5, 0.9, evaluation__every=2)
    assert occasions(results) == [("before", 0, 0.0), ("step", 2, 0.9), ("step", 4, 0.3), ("after", 5, 0.5), ("after", 2, 0.9)]
    config = load_config(str(tmp_path / "run" / "config.yaml"))
    _, state = start_trainer(
        config, load_decoder(load_pretrained(str(tiny_model_folder))), make_schedule(config.optimizer, 1e-3, 5)
    )
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints", 1)
    best, score = checkpoints.restore_best(state)
    last = checkpoints.restore(state)
    checkpoints.close()
    assert score == pytest.approx(0.9)
    given_away = load_file(tmp_path / "run" / "adapter" / "adapter_model.safetensors")
    changed = 0
    for (name, tensor), (_, last_tensor) in zip(adapter_tensors(best.trainable), adapter_tensors(last.trainable), strict=True):
        np.testing.assert_array_equal(given_away[f"base_model.model.{name}"], tensor, err_msg=name)
        changed += not np.array_equal(tensor, last_tensor)
    assert changed == len(given_away)


def test_the_last_model_is_given_away_where_none_was_better(run_training: Train) -> None:
    results = run_training(0.0, 0.3, 0.5, 0.5, evaluation__every=2)
    assert occasions(results)[-1] == ("after", 5, 0.5)
    assert len(occasions(results)) == 4


def test_an_untrained_model_is_not_evaluated_where_that_is_not_wanted(run_training: Train) -> None:
    a_targets_score = 0.0
    results = run_training(a_targets_score, 0.5, evaluation__before=False)
    assert occasions(results) == [("after", 5, 0.5)]


def test_a_metric_that_does_not_exist_is_found_before_the_first_step_all_the_same(run_training: Train, tmp_path: Path) -> None:
    with pytest.raises(SofitError, match=r"no metric is called 'qualty'.*Did you mean 'quality'"):
        run_training(0.0, evaluation__before=False, evaluation__metric="qualty")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize("before", [True, False])
def test_a_grammar_that_cannot_constrain_ends_a_run_before_anything_is_generated_and_names_its_row(
    run_training: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    monkeypatch.setattr(ScriptedTask, "unconstrainable", {"validation-1"})
    with pytest.raises(SofitError, match=r"validation\.csv:3: Grammar 'ahead' cannot constrain decoding"):
        run_training(evaluation__constrained="null", evaluation__before=before)
    assert not (tmp_path / "run" / "evaluations.jsonl").exists()
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_a_run_stops_when_its_patience_is_at_an_end(run_training: Train, tmp_path: Path) -> None:
    results = run_training(0.0, 0.6, 0.6, 0.7, evaluation__every=1, evaluation__patience=1)
    assert (results["train"]["status"], results["train"]["steps"]) == ("stopped", 2)
    assert "1 evaluations in a row were not better than 0.600" in results["train"]["reason"]
    assert [line["step"] for line in json_lines(tmp_path / "run" / "metrics.jsonl")] == [1, 2]
    assert occasions(results)[-1] == ("after", 2, 0.7)


def test_a_run_without_a_checkpoint_is_resumed_from_its_first_step(
    run_training: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"trainer__checkpoint_every": 4}
    with pytest.raises(KeyboardInterrupt):
        run_training(0.0, plugin=Interruption(3), **settings)
    assert len(json_lines(tmp_path / "run" / "metrics.jsonl")) == 3
    with caplog.at_level("INFO", "sofit"):
        results = run_training(0.0, 0.5, resume=True, **settings)
    assert f"{tmp_path / 'run'} has no checkpoint yet. Starting from step 1." in caplog.messages
    assert [line["step"] for line in json_lines(tmp_path / "run" / "metrics.jsonl")] == [1, 2, 3, 4, 5]
    assert occasions(results) == [("before", 0, 0.0), ("after", 5, 0.5)]


def test_a_best_model_that_was_found_after_the_checkpoint_has_to_be_found_again(run_training: Train, tmp_path: Path) -> None:
    settings = {"trainer__checkpoint_every": 2, "evaluation__every": 1}

    # Step 3 scores best, but the run is cut off before it has a checkpoint.
    with pytest.raises(KeyboardInterrupt):
        run_training(0.0, 0.1, 0.2, 0.9, plugin=Interruption(4), **settings)
    results = run_training(0.3, 0.4, 0.5, resume=True, **settings)
    assert occasions(results) == [
        ("before", 0, 0.0),
        ("step", 1, 0.1),
        ("step", 2, 0.2),
        ("step", 3, 0.3),
        ("step", 4, 0.4),
        ("after", 5, 0.5),
    ]
    assert [line["step"] for line in json_lines(tmp_path / "run" / "metrics.jsonl")] == [1, 2, 3, 4, 5]


def test_an_interrupted_run_goes_on_to_the_bit(run_training: Train, tmp_path: Path) -> None:
    settings = {"trainer__checkpoint_every": 2, "evaluation__every": 3}
    run_training(0.0, 0.1, 0.2, **settings)
    whole = tmp_path / "whole"
    (tmp_path / "run").rename(whole)
    with pytest.raises(KeyboardInterrupt):
        run_training(0.0, 0.1, plugin=Interruption(4), **settings)
    run_training(0.1, 0.2, resume=True, **settings)
    losses = [[line["loss"] for line in json_lines(folder / "metrics.jsonl")] for folder in (whole, tmp_path / "run")]
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == 5
    for name in ("adapter/adapter_model.safetensors", "model/model.safetensors"):
        assert (whole / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"lora__alpha": 64, "optimizer__weight_decay": 0.5},
            "optimizer.weight_decay 0.0 -> 0.5, lora.alpha 8.0 -> 64.0. Resume it with its own",
        ),
        ({"trainer__seed": 7, "trainer__train_batch_size": 2}, "trainer.train_batch_size 4 -> 2, trainer.seed 0 -> 7."),
        ({"trainer__loss_on": "free"}, "trainer.loss_on all -> free."),
        ({"task_options__prompt_style": "long"}, "task_options.prompt_style short -> long."),
        ({"lora": "null", "lora__dropout": None}, "lora.r 8 -> null, lora.alpha 8.0 -> null"),
    ],
)
def test_a_run_is_not_resumed_with_what_makes_it_another_run(
    run_training: Train, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    kept = as_yaml(load_config(None, set_options(task="scripted", lora__dropout=0.1)[1::2]))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(kept)
    with pytest.raises(SofitError, match=re.escape(f"run was started with other settings: {message}")):
        run_training(resume=True, optimizer__learning_rate=1e-3, **settings)
    assert (tmp_path / "run" / "config.yaml").read_text() == kept


def test_a_run_is_resumed_on_other_devices_for_longer_and_says_what_else_changed(
    run_training: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_training(0.0, 0.1, trainer__num_train_steps=1)
    run_training(
        0.2,
        resume=True,
        trainer__num_train_steps=2,
        trainer__mesh="{data: 1}",
        optimizer__learning_rate=1e-4,
        evaluation__max_new_tokens=4,
    )
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "trainer.num_train_steps 1 -> 2, optimizer.learning_rate 0.001 -> 0.0001." in warning
    assert "mesh" not in warning
    assert "max_new_tokens" not in warning


def test_a_loss_that_runs_away_ends_the_run_and_is_not_saved(run_training: Train, tmp_path: Path) -> None:
    settings = {"trainer__checkpoint_every": 1, "evaluation__every": 1, "optimizer__warmup": 0}
    with pytest.raises(SofitError, match=r"Step 2: loss nan, gradient norm nan\. .*optimizer\.learning_rate"):
        run_training(0.0, 0.1, optimizer__learning_rate=1e38, **settings)
    lines = json_lines(tmp_path / "run" / "metrics.jsonl")
    assert [(line["step"], line["loss"] is None) for line in lines] == [(1, False), (2, True)]
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints", 1)
    assert (checkpoints.last_step, checkpoints.best_step) == (1, 1)
    checkpoints.close()


def test_an_adapter_over_a_base_in_few_bits_is_merged_into_the_exact_base(
    run_training: Train, tiny_model_folder: Path, tmp_path: Path
) -> None:
    results = run_training(0.0, 0.5, lora__quantize_base="int8")
    losses = [line["loss"] for line in json_lines(tmp_path / "run" / "metrics.jsonl")]
    assert losses[-1] < losses[0]
    base = load_file(tiny_model_folder / "model.safetensors")
    merged = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert results["parameters"]["total"] - results["parameters"]["trained"] == sum(tensor.size for tensor in base.values())
    for name, tensor in base.items():
        difference = merged[name].astype(np.float32) - tensor.astype(np.float32)
        if name.endswith("proj.weight"):
            # Had the rounded base been merged, its rounding would have every rank.
            assert 0 < np.linalg.matrix_rank(difference, tol=1e-4) <= 8, name
        else:
            assert not difference.any(), name
