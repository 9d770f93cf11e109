"""Several tasks at once: each example is treated as its own task treats it, and the weights say how often each comes."""

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from many_rows import write_many_rows
from tiny_runs import json_lines

from sofit import Prediction, SofitError, Task, load_plugins
from sofit.cli.options import configure, configure_for_model
from sofit.config_loading import load_config
from sofit.config_reference import as_yaml
from sofit.mixture import MixtureTask
from sofit.train import train

MIXTURE = """
mixture:
  calls: {task: viggo, task_options: {prompt_style: none}, weight: 3}
  home: {task: json}
"""


def write_config(folder: Path, text: str = MIXTURE) -> str:
    (folder / "mixture.yaml").write_text(text)
    return str(folder / "mixture.yaml")


@pytest.fixture
def mixture(tmp_path: Path) -> Task:
    return load_plugins().make_task(load_config(write_config(tmp_path)))


def parts() -> Mapping[str, Task]:
    tasks = load_plugins().tasks
    options: Mapping[str, Any] = {"prompt_style": "none"}
    return {"calls": tasks["viggo"](**options), "home": tasks["json"]()}


def test_an_epoch_has_every_example_and_as_much_of_each_part_as_it_weighs(mixture: Task) -> None:
    counts = Counter(example.id for example in mixture.load("train"))
    by_part = {name: [count for id, count in counts.items() if id.startswith(f"{name}:")] for name in ("calls", "home")}
    assert {name: len(found) for name, found in by_part.items()} == {"calls": 1200, "home": 1200}
    assert {name: set(found) for name, found in by_part.items()} == {"calls": {3}, "home": {1}}


@pytest.mark.parametrize(("sizes", "weights"), [((10, 7), (1, 1)), ((10, 7), (0.1, 5)), ((3, 100), (2, 1)), ((1, 1), (1, 1e3))])
def test_no_example_is_left_out_whatever_the_weights(
    tmp_path: Path, sizes: tuple[int, int], weights: tuple[float, float]
) -> None:
    files = [tmp_path / "one", tmp_path / "two"]
    for folder, size in zip(files, sizes, strict=True):
        folder.mkdir()
        write_many_rows(folder / "train.jsonl", size)
    text = [
        f"  {file.name}: {{task: viggo, data: {file}, weight: {weight}}}\n" for file, weight in zip(files, weights, strict=True)
    ]
    task = load_plugins().make_task(load_config(write_config(tmp_path, "mixture:\n" + "".join(text))))
    examples = task.load("train")
    shares = Counter(example.id.partition(":")[0] for example in examples)
    assert len({example.id for example in examples}) == sum(sizes)
    assert shares["one"] / shares["two"] == pytest.approx(weights[0] / weights[1], rel=0.05)


def test_held_out_examples_come_in_turn(mixture: Task) -> None:
    ids = [example.id for example in islice(mixture.load("validation"), 4)]
    assert ids == ["calls:validation-0", "home:validation-0", "calls:validation-1", "home:validation-1"]


def test_every_example_is_treated_as_its_own_task_treats_it(mixture: Task) -> None:
    for name, task in parts().items():
        own = list(task.load("validation"))[:20]
        mixed = [example for example in islice(mixture.load("validation"), 40) if example.id.startswith(f"{name}:")]
        for example, one in zip(mixed, own, strict=True):
            assert mixture.prompt(example) == task.prompt(one)
            assert mixture.grammar_for(example) is task.grammar_for(one)
            assert mixture.canonical(one.target, example) == task.canonical(one.target, one)
            assert mixture.instruction_row(example) == task.instruction_row(one)
            assert list(mixture.check_for(example, one.target)) == list(task.check_for(one, one.target))


def test_each_part_is_scored_by_its_own_metrics(mixture: Task) -> None:
    examples = list(islice(mixture.load("validation"), 40))
    texts = [example.target if index % 4 else "junk" for index, example in enumerate(examples)]  # Junk for calls alone.
    scores = mixture.score([Prediction(example=example, text=text) for example, text in zip(examples, texts, strict=True)])
    for name, task in parts().items():
        own = list(task.load("validation"))[:20]
        outputs = [text for example, text in zip(examples, texts, strict=True) if example.id.startswith(name)]
        alone = task.score([Prediction(example=example, text=text) for example, text in zip(own, outputs, strict=True)])
        assert {key: scores.metrics[f"{name}/{key}"] for key in alone.metrics} == dict(alone.metrics)
    assert scores.metrics["home/exact_match"] == 1.0
    assert scores.metrics["calls/exact_match"] == 0.5
    assert scores.metrics["mean"] == 0.75
    assert next(iter(mixture.headline)) == "mean"
    assert set(mixture.headline) <= scores.metrics.keys()
    assert len(scores.per_example) == 40


def test_a_mixture_survives_being_written_down(tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path), ["mixture.home.weight=2"])
    assert config.mixture["home"].weight == 2
    (tmp_path / "again.yaml").write_text(as_yaml(config))
    assert load_config(str(tmp_path / "again.yaml")) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mixture: {calls: {task: viggo, wieght: 2}}", "unknown key 'mixture.calls.wieght'"),
        ("mixture: {calls: {task: viggo, weight: 0}}", "mixture.calls.weight: Input should be greater than 0"),
        ("mixture: {calls: {weight: 2}}", "mixture"),
        ("mixture: {calls: {task: vigo}}", "No task is called 'vigo'"),
        ("mixture: {calls: {task: viggo}}\ndata: demo", "Each part of a mixture has its own data"),
    ],
)
def test_what_is_wrong_with_a_mixture_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SofitError, match=message):
        configure(config=write_config(tmp_path, text), settings=None, plugin=None, overrides={})


def test_one_task_and_a_mixture_are_not_asked_for_together(tmp_path: Path) -> None:
    with pytest.raises(SofitError, match="the configuration a mixture of several"):
        configure(config=write_config(tmp_path), settings=None, plugin=None, overrides={"task": "sql"})


@pytest.mark.usefixtures("quick_compilation")
def test_a_mixture_trains_and_each_of_its_tasks_is_evaluated(tiny_model_folder: Path, tmp_path: Path) -> None:
    asked = {"model": tiny_model_folder, "out": tmp_path / "run", "evaluation.limit": 4, "evaluation.max_new_tokens": 4}
    asked |= {"trainer.num_train_steps": 2, "trainer.train_batch_size": 4, "evaluation.constrained": "false"}
    asked |= {"evaluation.before": "false", "evaluation.metric": "home/exact_match"}  # Known before the first step all the same.
    config = load_config(write_config(tmp_path), [f"{key}={value}" for key, value in asked.items()], method="lora")
    plugins = load_plugins()
    results = train(config, plugins)
    assert {"mean", "calls/exact_match", "home/exact_match"} <= results["evaluations"][-1]["metrics"].keys()
    assert [line["examples"] for line in json_lines(tmp_path / "run" / "metrics.jsonl")] == [4, 4]

    # A part of the run stands for itself, with the options that it had.
    loaded, plugins = configure_for_model(
        task="calls", data=None, model=str(tmp_path / "run"), config=None, settings=None, plugin=None, overrides={}
    )
    task = plugins.make_task(loaded)
    assert (task.name, getattr(task, "prompt_style", "")) == ("viggo", "none")
    whole, plugins = configure_for_model(
        task=None, data=None, model=str(tmp_path / "run"), config=None, settings=None, plugin=None, overrides={}
    )
    with pytest.raises(SofitError, match="Name one with --task: calls, home"):
        plugins.make_task(whole).example_for("Hi")
    assert isinstance(plugins.make_task(whole), MixtureTask)
