"""`sofit train`, `eval` and `generate` from end to end, on a tiny model."""

import csv
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
import yaml
from hub_standin import PARQUET_CONVERSION, hub_serving
from peft import AutoPeftModelForCausalLM
from random_models import logits_of, torch_logits
from tiny_runs import environment, json_lines, run_sofit, set_options, train_options, write_rows
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from sofit.cli.app import app
from sofit.loading import load_decoder
from sofit.pretrained import load_pretrained
from sofit_viggo.metrics import HEADLINE
from sofit_viggo.task import ViggoTask

pytestmark = pytest.mark.usefixtures("quick_compilation")

STEPS = 8


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data: 10 rows for training and 2 held out, and so few that every step has the same ones."""
    folder = tmp_path_factory.mktemp("runs")
    write_rows(folder / "rows", 10)
    write_rows(folder / "few", 4)
    return folder


def long_run(model: Path, out: str) -> list[str]:
    return train_options(model, out, "--steps", str(STEPS), trainer__checkpoint_every=2, evaluation__every=3)


@pytest.fixture(scope="module")
def lora_run(workplace: Path, tiny_model_folder: Path) -> Path:
    """A run that trained adapters without interruption."""
    result = run_sofit(*long_run(tiny_model_folder, "lora"), cwd=workplace)
    assert "before" in result.stdout
    assert "after" in result.stdout
    return workplace / "lora"


def invoke(*arguments: str) -> str:
    """Runs `sofit` in this process, and returns its standard output."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_a_run_folder_holds_what_is_promised(lora_run: Path) -> None:
    assert {path.name for path in lora_run.iterdir()} >= {
        "config.yaml",
        "metrics.jsonl",
        "checkpoints",
        "adapter",
        "model",
        "predictions.jsonl",
        "results.json",
        "report.html",
        "README.md",
    }
    assert {path.name for path in (lora_run / "adapter").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    assert {path.name for path in (lora_run / "model").iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json"}


def test_metrics_has_a_line_a_step(lora_run: Path) -> None:
    lines = json_lines(lora_run / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    for line in lines:
        assert line["examples"] == 4
        assert line["examples_per_second"] > 0
        assert 5 < line["loss"] < 20
        assert line["computed_tokens"] < line["example_tokens"]
        tokens, losses = line["tokens_by_role"], line["loss_by_role"]
        # The first token may be the whole name of a function.
        assert set(losses) == set(tokens)
        assert set(tokens) | {"function"} == {"first", "end", "function", "attribute", "value", "punctuation"}
        assert (tokens["first"], tokens["end"], sum(tokens.values())) == (4, 4, line["completion_tokens"])
        weighted = sum(losses[role] * tokens[role] for role in tokens) / line["completion_tokens"]
        assert weighted == pytest.approx(line["loss"], rel=1e-5)
        assert 0 < line["mfu"] < 1


def test_results_say_what_was_done_and_what_came_of_it(lora_run: Path, tiny_model_folder: Path) -> None:
    results = json.loads((lora_run / "results.json").read_text())
    assert (results["task"], results["method"], results["model"]) == ("viggo", "lora", str(tiny_model_folder))
    assert results["data"] == {"source": "rows", "demo": False, "counts": {"train": 10, "validation": 2}}
    train = results["train"]
    assert (train["status"], train["steps"], train["examples"]) == ("finished", STEPS, 4 * STEPS)
    assert train["examples_per_second"] > 0
    assert results["peak_flops_per_second"] > 1e8
    lines = json_lines(lora_run / "metrics.jsonl")
    assert train["tokens"]["with_sharing"] == sum(line["computed_tokens"] for line in lines)
    assert train["tokens"]["without_sharing"] == sum(line["example_tokens"] for line in lines)
    occasions = [
        (entry["when"], entry["step"], entry["split"], entry["n"], entry["constrained"]) for entry in results["evaluations"]
    ]
    assert occasions == [
        ("before", 0, "validation", 2, False),
        ("step", 3, "validation", 2, False),
        ("step", 6, "validation", 2, False),
        ("after", STEPS, "validation", 2, False),
    ]
    for entry in results["evaluations"]:
        assert {*HEADLINE, "exact_match", "valid"} <= entry["metrics"].keys()
        assert all(0 <= value <= 1 for value in entry["metrics"].values())
    # Llama, embed 32, 2 layers: rank 8 beside the seven matrices of each.
    sizes = [(32, 32), (32, 16), (32, 16), (32, 32), (32, 48), (32, 48), (48, 32)]
    assert results["parameters"]["trained"] == 2 * 8 * sum(map(sum, sizes))


def test_the_resolved_settings_are_kept(lora_run: Path) -> None:
    settings = yaml.safe_load((lora_run / "config.yaml").read_text())
    assert settings["data"] == "rows"
    assert settings["trainer"]["num_train_steps"] == STEPS
    assert settings["optimizer"]["learning_rate"] == 1e-3
    assert settings["lora"]["r"] == 8


def test_transformers_and_peft_compute_what_the_trained_model_does(lora_run: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(lora_run / "model")
    tokens = np.array([tokenizer("Sentence: Doom is a good game.\nOutput:")["input_ids"]])
    expected = logits_of(load_decoder(load_pretrained(str(lora_run))), tokens)
    merged = AutoModelForCausalLM.from_pretrained(lora_run / "model")
    adapted = AutoPeftModelForCausalLM.from_pretrained(lora_run / "adapter")
    assert any(torch.any(parameter != 0) for name, parameter in adapted.named_parameters() if "lora_B" in name)
    for model in (merged, adapted):
        np.testing.assert_allclose(torch_logits(model.eval(), tokens), expected, atol=1e-4)


def test_eval_judges_a_run_with_its_own_settings(lora_run: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    shown = json.loads(invoke("eval", "--model", "lora", "--split", "validation", "--format", "json", "--no-constrained"))
    (entry,) = shown["evaluations"]
    after = json.loads((lora_run / "results.json").read_text())["evaluations"][-1]
    assert (entry["n"], entry["split"], entry["constrained"]) == (2, "validation", False)
    assert entry["metrics"] == after["metrics"]


def test_generate_writes_a_line_for_each_text(lora_run: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    texts = ["Were there even any terrible games in 2014?", "Have you played Doom?"]
    lines = invoke("generate", "--task", "viggo", "--model", "lora", *texts).splitlines()
    assert len(lines) == 2
    # An untrained model writes no function call, unless the grammar has its say.
    assert all(ViggoTask.grammar is not None and ViggoTask.grammar.problem(line) is None for line in lines)


def test_generate_writes_for_scripts_which_text_each_output_is_of(
    lora_run: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    texts = ["Have you played Doom?", "Which is the hardest?"]
    lines = invoke("generate", "--model", "lora", "--format", "jsonl", *texts).splitlines()
    assert [json.loads(line)["input"] for line in lines] == texts
    assert len(lines) == 2
    assert all(json.loads(line).keys() == {"input", "output", "finished"} for line in lines)


@pytest.mark.slow
def test_drawing_is_decided_by_the_seed_and_stays_in_the_grammar(
    lora_run: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    drawing = ["--temperature", "1.5", "--top-p", "0.9", "--seed"]
    written = [invoke("generate", "--model", "lora", *drawing, seed, "Have you played Doom?") for seed in ("1", "1", "2")]
    assert written[0] == written[1] != written[2]
    assert all(ViggoTask.grammar is not None and ViggoTask.grammar.problem(text.rstrip("\n")) is None for text in written)
    shown = json.loads(invoke("eval", "--model", "lora", "--format", "json", *drawing, "1"))
    (entry,) = shown["evaluations"]
    assert {key: entry["details"][key] for key in ("temperature", "top_p", "seed")} == {
        "temperature": 1.5,
        "top_p": 0.9,
        "seed": 1,
    }


def test_a_killed_run_goes_on_as_if_it_had_never_stopped(lora_run: Path, workplace: Path, tiny_model_folder: Path) -> None:
    command = [sys.executable, "-m", "sofit", *long_run(tiny_model_folder, "killed")]
    killed = workplace / "killed"
    with (workplace / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=workplace, env=environment(), stdout=log, stderr=log)
        metrics = killed / "metrics.jsonl"
        while process.poll() is None and not (metrics.exists() and metrics.read_text().count("\n") >= 3):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, (workplace / "log").read_text()
    assert not (killed / "results.json").exists()

    result = run_sofit("train", "--resume", "--out", "killed", cwd=workplace)
    assert f"of {STEPS}" in next(line for line in result.stderr.splitlines() if line.startswith("going on with step "))
    figures = ("step", "loss", "loss_by_role", "gradient_norm", "learning_rate", "examples", "computed_tokens")
    expected, found = (json_lines(run / "metrics.jsonl") for run in (lora_run, killed))
    assert [[line[name] for name in figures] for line in found] == [[line[name] for name in figures] for line in expected]
    for name in ("adapter/adapter_model.safetensors", "model/model.safetensors"):
        assert (killed / name).read_bytes() == (lora_run / name).read_bytes()
    results = [json.loads((run / "results.json").read_text()) for run in (lora_run, killed)]
    occasions = [[(entry["when"], entry["step"], entry["metrics"]) for entry in result["evaluations"]] for result in results]
    assert occasions[0] == occasions[1]


def test_a_finished_run_that_is_resumed_says_so_and_stays_as_it_is(
    lora_run: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (lora_run / "metrics.jsonl").read_text(), (lora_run / "adapter" / "adapter_model.safetensors").read_bytes()
    monkeypatch.chdir(workplace)
    result = CliRunner().invoke(app, ["train", "--resume", "--out", "lora"])
    assert result.exit_code == 0, result.stderr
    assert f"training was finished already: all {STEPS} steps are taken" in result.stderr
    assert ((lora_run / "metrics.jsonl").read_text(), (lora_run / "adapter" / "adapter_model.safetensors").read_bytes()) == before
    assert [entry["when"] for entry in json.loads((lora_run / "results.json").read_text())["evaluations"]][-1] == "after"


def yaml_of_the_post(tags: list[str], steps: int, **more: Any) -> str:
    """Returns a configuration as Levanter's users have it, dates and buckets included."""
    return yaml.safe_dump(
        {
            "data": "gs://levanter-data/fine-tuning/gem-viggo/GEM_viggo_train.jsonl",
            "data_cache_dir": "gs://levanter-data/tokenized/GEM_viggo_llama/",
            "trainer": {
                "wandb": {"project": "levanter", "tags": tags},
                "mp": "p=f32,c=bfloat16",
                "train_batch_size": 128,
                "num_train_steps": steps,
                "tensor_parallel_axes": ["mlp", "heads"],
            },
            **more,
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_configurations_of_the_post_train(workplace: Path, tiny_model_folder: Path, method: str) -> None:
    text = (
        yaml_of_the_post(["viggo", "llama", "full-weight"], 80) + "optimizer: {learning_rate: 2E-5}\n"
        if method == "full"
        else yaml_of_the_post(["viggo", "llama", "lora"], 120, lora={"r": 8, "alpha": 8.0, "dropout": 0.0})
        + "optimizer: {learning_rate: 3e-4}\n"
    )
    (workplace / f"{method}.yaml").write_text(text)
    settings = set_options(data="few", data_cache_dir="tokens", trainer__num_train_steps=2)
    options = ["--config", f"{method}.yaml", *settings, "--model", str(tiny_model_folder), "--out", f"post-{method}"]
    run_sofit("train", *options, cwd=workplace, WANDB_MODE="offline")
    folder = workplace / f"post-{method}"
    results = json.loads((folder / "results.json").read_text())
    assert (results["method"], results["train"]["steps"]) == (method, 2)
    assert (folder / "adapter").exists() == (method == "lora")
    assert list((folder / "wandb").glob("offline-run-*/*.wandb"))
    kept = yaml.safe_load((folder / "config.yaml").read_text())
    assert kept["optimizer"]["learning_rate"] == (2e-5 if method == "full" else 3e-4)
    assert kept["trainer"]["mp"] == "p=f32,c=bfloat16"
    assert AutoModelForCausalLM.from_pretrained(folder / "model").dtype == torch.float32


def losses_of(options: list[str], folder: Path) -> list[float]:
    invoke(*options)
    return [line["loss"] for line in json_lines(folder / "metrics.jsonl")]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_losses_are_the_same_without_sharing(
    workplace: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.chdir(workplace)
    losses, computed = {}, {}
    for share in ("true", "false"):
        out = f"{method}-{share}"
        options = train_options(
            tiny_model_folder, out, "--steps", "3", "--method", method, data="few", trainer__share_prefix=share
        )
        losses[share] = losses_of(options, workplace / out)
        computed[share] = sum(line["computed_tokens"] for line in json_lines(workplace / out / "metrics.jsonl"))
    assert computed["true"] < 0.8 * computed["false"]
    np.testing.assert_allclose(losses["true"], losses["false"], atol=1e-4)
    assert losses["true"][0] != losses["true"][1]


def test_a_data_set_of_the_hub_is_trained_on(workplace: Path, tiny_model_folder: Path, tmp_path: Path) -> None:
    files = {f"default/{split}/0000.parquet": _parquet(workplace / "few" / f"{split}.csv") for split in ("train", "validation")}
    options = train_options(tiny_model_folder, "hub", "--steps", "1", data="hf:GEM/viggo")
    with hub_serving("GEM/viggo", {PARQUET_CONVERSION: files}) as endpoint:
        run_sofit(*options, cwd=workplace, HF_ENDPOINT=endpoint, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="0")
    results = json.loads((workplace / "hub" / "results.json").read_text())
    assert results["data"] == {"source": "hf:GEM/viggo", "demo": False, "counts": {"train": 4, "validation": 2}}


def _parquet(rows: Path) -> bytes:
    """Returns rows as the Hub's conversion of ViGGO has them."""
    with rows.open(newline="") as stream:
        columns = [{"meaning_representation": row["mr"], "target": row["ref"]} for row in csv.DictReader(stream)]
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(columns), file)
    return file.getvalue()
