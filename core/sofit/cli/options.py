"""The options that several commands have, and the configuration and plugins that they ask for."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sofit.errors import SofitError

if TYPE_CHECKING:
    from sofit.config import Config
    from sofit.plugins import Plugins

Task = Annotated[str | None, typer.Option("--task", metavar="NAME", help="The task; `sofit tasks` lists them.")]
Data = Annotated[
    str | None, typer.Option("--data", metavar="SOURCE", help="The examples: demo, a folder, a file, or hf:NAME for the Hub.")
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="The model: a short name, a run folder, a Hugging Face folder, a .gguf file, or a name on the Hub.",
    ),
]
Method = Annotated[
    Literal["lora", "full"] | None,
    typer.Option("--method", help="Train adapters or every weight; LoRA unless a configuration file says otherwise."),
]
ConfigFile = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="A YAML file of settings; `sofit config` prints them all.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting, as in trainer.seed=1; repeat for more.")
]
PluginFiles = Annotated[
    list[str] | None, typer.Option("--plugin", metavar="FILE", help="A Python file with a plugin; repeat for more.")
]
Constrained = Annotated[
    bool | None,
    typer.Option("--constrained/--no-constrained", help="Let the grammar choose among the model's tokens, or not."),
]
Steps = Annotated[int | None, typer.Option("--steps", help="How many steps to train (trainer.num_train_steps).")]
BatchSize = Annotated[int | None, typer.Option("--batch-size", help="Examples in one step (trainer.train_batch_size).")]
Seed = Annotated[int | None, typer.Option("--seed", help="What chance starts from (trainer.seed).")]
Out = Annotated[
    str | None,
    typer.Option("--out", metavar="FOLDER", help="The run folder, or an fsspec address; by default runs/TASK-METHOD-NUMBER."),
]
Temperature = Annotated[
    float | None,
    typer.Option("--temperature", help="How freely tokens are drawn: 0 takes the likeliest one, and is the default."),
]
TopP = Annotated[
    float | None,
    typer.Option("--top-p", help="With --temperature: draw only from the likeliest tokens that reach this probability together."),
]
DrawingSeed = Annotated[int | None, typer.Option("--seed", help="With --temperature: decides what is drawn.")]


def load(files: Sequence[str]) -> "Plugins":
    """Loads the installed plugins and those files; warns of a plugin that does not load.

    Raises:
        SofitError: a file does not load, or plugins contradict each other.
    """
    from sofit.plugins import load_plugins

    plugins = load_plugins(files)
    for warning in plugins.warnings:
        typer.echo(f"warning: {warning}", err=True)
    return plugins


def configure(
    *,
    config: str | None,
    settings: list[str] | None,
    plugin: list[str] | None,
    overrides: dict[str, Any],
    method: Literal["lora", "full"] | None = None,
) -> "tuple[Config, Plugins]":
    """Returns the configuration and the plugins that a command's options ask for.

    `overrides` are the values of other options by configuration key; None means that the option was not given.

    Raises:
        SofitError: a file cannot be loaded, a setting is wrong, or there is no such task or option of it.
    """
    from sofit.config_loading import load_config

    given = {key: value for key, value in overrides.items() if value is not None}
    loaded = load_config(config, settings or (), given, method)
    if loaded.mixture and (given.keys() & {"task", "data"}):
        raise SofitError(
            "--task and --data name one task, and the configuration a mixture of several. Leave one or the other out."
        )
    if plugin:
        loaded = loaded.model_copy(update={"plugins": tuple(dict.fromkeys((*loaded.plugins, *plugin)))})
    plugins = load(loaded.plugins)
    plugins.make_task(loaded)  # A wrong name or option is said now, not after a minute of loading.
    return loaded, plugins


def configure_for_model(
    *,
    task: str | None,
    data: str | None,
    model: str | None,
    config: str | None,
    settings: list[str] | None,
    plugin: list[str] | None,
    overrides: dict[str, Any],
) -> "tuple[Config, Plugins]":
    """Does as `configure`, for commands that use a model: one in a run folder brings the settings that it was trained with.

    So it reads the prompt that it learnt, unless another task is asked for.
    """
    settings = list(settings or ())
    if config is None and model is not None and (Path(model) / "config.yaml").is_file():
        from sofit.config_loading import load_config

        config = str(Path(model) / "config.yaml")
        trained = load_config(config)
        part = trained.mixture.get(task or "")
        if part is not None:  # The task as the mixture had it.
            task, data = part.task, data or part.data
            overrides = {**overrides, "mixture": {}, "task_options": part.task_options}
        elif task is not None and task != trained.task:
            settings = ["task_options={}", "data=null", "mixture={}", *settings]
    overrides = {"task": task, "data": data, "model": model, **overrides}
    loaded, plugins = configure(config=config, settings=settings, plugin=plugin, overrides=overrides)
    has_drawing_options = overrides.get("evaluation.top_p") is not None or overrides.get("evaluation.seed") is not None
    if has_drawing_options and loaded.evaluation.temperature == 0:
        raise SofitError("--top-p and --seed decide what is drawn, and at temperature 0 nothing is. Give --temperature too.")
    return loaded, plugins


def for_training(
    *,
    task: str | None,
    data: str | None,
    model: str | None,
    steps: int | None,
    batch_size: int | None,
    seed: int | None,
    constrained: bool | None,
    out: str | None,
) -> dict[str, Any]:
    """Returns the options of a training by configuration key."""
    return {
        "task": task,
        "data": data,
        "model": model,
        "trainer.num_train_steps": steps,
        "trainer.train_batch_size": batch_size,
        "trainer.seed": seed,
        "evaluation.constrained": constrained,
        "out": out,
    }


def drawing(temperature: float | None, top_p: float | None, seed: int | None) -> dict[str, Any]:
    """Returns the options of drawing by configuration key."""
    return {"evaluation.temperature": temperature, "evaluation.top_p": top_p, "evaluation.seed": seed}
