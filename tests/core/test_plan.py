"""What a plan says before a run is what the run then needs; and each lever saves what it says, and changes no result."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from random_models import decoder_of, torch_model
from tiny_runs import run_sofit, write_rows
from token_examples import supervised
from typer.testing import CliRunner

from sofit.batches import to_arrays
from sofit.cli.app import app
from sofit.config import Config
from sofit.config_loading import load_config
from sofit.errors import SofitError
from sofit.model import Decoder, DecoderConfig
from sofit.optimizer import make_schedule
from sofit.outputs import JsonLines
from sofit.packing import BatchShape, Packer
from sofit.plan.lengthen import lengthen
from sofit.plan.levers import devices_needed, levers, with_settings
from sofit.plan.memory import StepMemory, step_memory
from sofit.plan.plan import describe_start
from sofit.plan.work import earlier_seconds_per_step, step_work
from sofit.prefix import group_by_prefix
from sofit.pretrained import outline_pretrained
from sofit.start import start_trainer
from sofit.trainer import Trainer, TrainState

SIZES = {
    "model_type": "llama",
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
}
MODEL = DecoderConfig.from_hf(SIZES)
SHAPE = BatchShape(rows=2, prefix_length=128, slots=4, slot_length=64, targets=64)
PROMPT = range(4, 54)
BATCH = [supervised([*PROMPT, *range(10, 11 + index)], [*range(20, 24 + index), 3]) for index in range(6)]
FIXED = ["optimizer.learning_rate=1e-2", "trainer.num_train_steps=10"]


def config_of(method: Any, **settings: Any) -> Config:
    more = [f"{key.replace('__', '.')}={value}" for key, value in settings.items()]
    return load_config(None, [*FIXED, *more], method=method)


def memory_of(method: str, shape: BatchShape = SHAPE, **settings: Any) -> StepMemory:
    return step_memory(*describe_start(config_of(method, **settings), MODEL), [shape], is_accumulated=False)


def start(config: Config, model: Decoder) -> tuple[Trainer, TrainState]:
    return start_trainer(config, model, make_schedule(config.optimizer, 1e-2, 10))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_planned_peak_is_that_of_real_steps(method: str) -> None:
    program = Path(__file__).parents[1] / "peak_of_steps.py"
    # Without a threshold of its own, malloc keeps memory that was given back.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "JAX_PLATFORMS": "cpu"}
    shown = subprocess.run([sys.executable, program, method], env=environment, capture_output=True, text=True, check=True)
    planned, measured = (int(size) for size in shown.stdout.split())
    assert measured == pytest.approx(planned, rel=0.15)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_what_is_described_is_what_a_run_starts_from(method: str) -> None:
    config = config_of(method, trainer__mp="'p=f32,c=bfloat16'", optimizer__mu_dtype="bfloat16")
    described_trainer, described_state = describe_start(config, MODEL)
    trainer, state = start(config, Decoder.init(MODEL, key=jax.random.key(0)))
    for described, real in ((described_trainer.frozen, trainer.frozen), (described_state, state)):
        assert jax.tree.structure(described) == jax.tree.structure(real)
        forms = [[(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)] for tree in (described, real)]
        assert forms[0] == forms[1]


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("method", ["lora", pytest.param("full", marks=pytest.mark.slow)])
def test_what_is_kept_for_the_backward_pass_changes_no_result(method: str) -> None:
    products = losses_of(method, trainer__remat_policy="products")
    for policy in ("none", "attention", "full"):
        assert losses_of(method, trainer__remat_policy=policy) == pytest.approx(products, rel=1e-5)
    assert products[3] < products[0]


@pytest.mark.usefixtures("quick_compilation")
def test_a_rounded_mean_of_the_gradients_leads_to_about_the_same_losses() -> None:
    exact, rounded = losses_of("full"), losses_of("full", optimizer__mu_dtype="bfloat16")
    assert rounded == pytest.approx(exact, rel=0.01)
    assert rounded != exact


def losses_of(method: str, **settings: Any) -> list[float]:
    """Returns the losses of some steps on one batch, and then the norms of their gradients."""
    trainer, state = start(config_of(method, **settings), decoder_of(torch_model("llama 3")))
    (micro,) = Packer([BATCH], share_prefix=True, micro_batch_tokens=8192).pack(BATCH)
    count, losses, norms = sum(example.completion_length for example in BATCH), [], []
    for step in range(4):
        state, loss, norm = trainer.step(state, [to_arrays(micro)], count, jax.random.key(step))
        losses.append(float(loss.sum()))
        norms.append(float(norm))
    return losses + norms


@pytest.mark.slow
def test_the_less_a_pass_keeps_the_less_memory_it_takes() -> None:
    policies = ("none", "products", "attention", "full")
    none, products, attention, full = (memory_of("full", trainer__remat_policy=policy) for policy in policies)
    assert attention.activations < 0.8 * products.activations < 0.8 * none.activations
    assert full.activations < attention.activations
    assert full.lasting == attention.lasting == products.lasting == none.lasting


@pytest.mark.slow
def test_half_the_rows_take_about_half_the_activations() -> None:
    whole, half = memory_of("lora"), memory_of("lora", BatchShape(1, *(128, 4, 64, 64)))
    assert half.activations < 0.7 * whole.activations
    assert half.peak < whole.peak


def test_a_mean_in_bfloat16_takes_a_quarter_of_the_optimisers_state() -> None:
    exact, rounded = memory_of("full"), memory_of("full", optimizer__mu_dtype="bfloat16")
    assert rounded.optimizer_state == pytest.approx(0.75 * exact.optimizer_state, rel=1e-3)
    assert rounded.peak < exact.peak


@pytest.mark.slow
def test_a_frozen_base_in_bfloat16_takes_half_the_parameters() -> None:
    exact, half = memory_of("lora"), memory_of("lora", trainer__mp="'p=f32,c=bfloat16'")
    adapters = exact.gradients
    assert half.parameters - adapters == pytest.approx((exact.parameters - adapters) / 2)


def test_adapters_need_neither_gradients_nor_state_of_the_frozen_weights() -> None:
    lora, full = memory_of("lora"), memory_of("full")
    assert full.gradients == full.parameters
    assert full.optimizer_state == pytest.approx(2 * full.parameters, rel=1e-4)
    assert lora.gradients < 0.2 * full.gradients
    assert lora.optimizer_state == pytest.approx(2 * lora.gradients, rel=1e-2)


def test_lengthened_examples_share_and_predict_what_they_did() -> None:
    prompt = range(100, 160)
    examples = [supervised([*prompt, index], [7, 8, 3]) for index in range(4)]
    longer = lengthen(examples, 200)
    assert [len(example) for example in longer] == [200] * 4
    assert [example.ids[example.prompt_length :].tolist() for example in longer] == [[7, 8, 3]] * 4
    before, after = (group_by_prefix([e.ids for e in some], [e.prompt_length - 1 for e in some]) for some in (examples, longer))
    assert [(group.prefix_length, group.members) for group in after] == [(group.prefix_length, group.members) for group in before]
    assert lengthen(examples, 10) == examples


def test_sharing_is_counted_both_ways_whichever_is_taken() -> None:
    prompt = range(100, 400)
    examples = [supervised([*prompt, index], [7, 8, 3]) for index in range(8)]
    shared, unshared = (
        step_work(examples, config_of("lora", trainer__share_prefix=share, trainer__train_batch_size=8).trainer, 2, MODEL, None)
        for share in ("true", "false")
    )
    assert shared.tokens == shared.tokens_with_sharing == unshared.tokens_with_sharing < 400
    assert unshared.tokens == unshared.tokens_without_sharing == shared.tokens_without_sharing > 2400
    assert shared.flops < unshared.flops / 5


def test_levers_are_offered_only_where_they_help() -> None:
    small = StepMemory(parameters=80, optimizer_state=10, gradients=5, batch=1, activations=1, update=0, peak=97)
    large = StepMemory(parameters=40, optimizer_state=10, gradients=5, batch=1, activations=800, update=0, peak=856)

    def offered(config: Config, memory: StepMemory) -> set[str]:
        return {key for lever in levers(config, memory, 100, 500) for key in lever.settings}

    on_parameters = {"trainer.mp", "lora.quantize_base"}
    assert offered(config_of("lora"), small) == on_parameters
    assert offered(config_of("lora"), large) == on_parameters | {"trainer.micro_batch_tokens", "trainer.remat_policy"}
    used = config_of("full", trainer__mp="bf16", trainer__remat_policy="full", optimizer__mu_dtype="bfloat16")
    assert offered(used, large) == {"trainer.micro_batch_tokens", "lora"}
    (fewer,) = (lever for lever in levers(used, large, 100, 500) if "trainer.micro_batch_tokens" in lever.settings)
    assert fewer.settings["trainer.micro_batch_tokens"] == 512  # No fewer than an example has.


def test_settings_replace_those_of_the_configuration() -> None:
    changed = with_settings(config_of("full"), {"trainer.remat_policy": "full", "lora": {}})
    assert (changed.trainer.remat_policy, changed.method, changed.trainer.num_train_steps) == ("full", "lora", 10)


def test_more_devices_hold_what_is_divided_among_them() -> None:
    memory = StepMemory(parameters=300, optimizer_state=600, gradients=300, batch=1, activations=9, update=0, peak=1210)
    assert devices_needed(memory, 100, 1) == 14
    assert devices_needed(memory, 100, 2) == 27
    assert devices_needed(memory, 10, 1) is None


def test_the_rate_of_a_run_in_the_folder_is_known(tmp_path: Path) -> None:
    config = config_of("lora", out=tmp_path)
    assert earlier_seconds_per_step(config) is None
    JsonLines(tmp_path / "metrics.jsonl").append([{"seconds": seconds} for seconds in (90.0, 2.0, 3.0)])
    assert earlier_seconds_per_step(config) == 3.0


@pytest.fixture
def outline_folder(tmp_path: Path) -> Path:
    """A model folder that holds nothing but a config.json."""
    folder = tmp_path / "outline"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(SIZES))
    return folder


def test_the_outline_of_a_model_needs_no_weights_and_no_tokenizer(outline_folder: Path, tiny_model_folder: Path) -> None:
    outline = outline_pretrained(str(outline_folder))
    assert outline.tokenizer is None
    assert DecoderConfig.from_hf(outline.config) == MODEL
    whole = outline_pretrained(str(tiny_model_folder))
    assert whole.tokenizer is not None
    with pytest.raises(SofitError, match="no model 'nowhere'"):
        outline_pretrained("nowhere")


def dry_run(folder: Path, model: Path, memory: str) -> Mapping[str, Any]:
    """Returns what `sofit train --dry-run` says of a run on 4 devices that are not there."""
    write_rows(folder / "rows", 40)
    options = ["--task", "viggo", "--data", "rows", "--model", str(model), "--set", "task_options.prompt_style=short"]
    mesh = ["--simulate-devices", "4", "--memory-per-device", memory, "--flops-per-second", "1e9", "--format", "json"]
    shown = run_sofit("train", "--dry-run", *options, *mesh, "--batch-size", "8", "--steps", "20", cwd=folder)
    assert {path.name for path in folder.iterdir()} == {"rows", "outline"}
    return json.loads(shown.stdout)


def test_a_dry_run_plans_for_devices_that_are_not_there(outline_folder: Path, tmp_path: Path) -> None:
    plan = dry_run(tmp_path, outline_folder, "1GB")
    assert (plan["devices"], plan["steps"], plan["steps_per_epoch"]) == (4, 20, 5.0)
    assert plan["stand_in_tokenizer"] == "smollm2-135m"
    assert plan["work"]["tokens_with_sharing"] < plan["work"]["tokens_without_sharing"]
    assert plan["seconds"] == pytest.approx(20 * plan["work"]["flops"] / 4e9)
    assert plan["fits"] is True
    assert plan["levers"] == []


@pytest.mark.slow
def test_a_dry_run_that_does_not_fit_says_what_would_help(outline_folder: Path, tmp_path: Path) -> None:
    plan = dry_run(tmp_path, outline_folder, "5MB")
    assert plan["fits"] is False
    peaks = [lever["peak"] for lever in plan["levers"]]
    assert min(peaks) < plan["memory"]["peak"]
    assert plan["levers"][-1]["settings"].keys() > plan["levers"][0]["settings"].keys()  # The last one is all of them together.


def test_options_of_planning_need_a_dry_run() -> None:
    result = CliRunner().invoke(app, ["train", "--memory-per-device", "16GB"])
    assert result.exit_code == 2
    assert "--memory-per-device is for planning. Give --dry-run too" in result.stderr


def test_a_size_that_is_none_is_refused() -> None:
    result = CliRunner().invoke(app, ["train", "--dry-run", "--memory-per-device", "much"])
    assert result.exit_code == 2
    assert "such as 16GB or 80GiB. Got 'much'" in result.stderr


def test_parameters_are_counted_by_shape() -> None:
    trainer, state = describe_start(config_of("full"), MODEL)
    counted = sum(leaf.size for leaf in jax.tree.leaves(state.trainable))
    real = Decoder.init(MODEL, key=jax.random.key(0))
    assert counted == sum(np.size(leaf) for leaf in jax.tree.leaves(real))
    assert jax.tree.leaves(trainer.frozen) == []
