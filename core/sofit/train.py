"""`sofit train`, from top to bottom.

The data takes this way: config -> task -> examples -> supervised tokens -> shared-prefix batches -> model -> train -> generate
-> parse -> score -> report.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from sofit.compilation_cache import use_compilation_cache
from sofit.config import Config
from sofit.data_check import checked_examples
from sofit.defaults import with_defaults
from sofit.evaluate import Evaluator, load_examples
from sofit.feed import Feed, arrays_of
from sofit.labels import tokens_by_role
from sofit.loading import load_decoder
from sofit.mesh import make_partitioning
from sofit.model import Decoder, DecoderConfig, LoraSpec, Quantized, add_adapters, with_remat
from sofit.optimizer import make_optimizer, make_schedule
from sofit.plugins import Plugins
from sofit.precision import parse_precision
from sofit.pretrained import load_pretrained
from sofit.run import Run, StepRecord
from sofit.saving import save_model
from sofit.session import Session
from sofit.trainer import Trainer, TrainState
from sofit.training_examples import load_training_examples


def train(
    config: Config, plugins: Plugins, *, folder: Path | None = None, resume: bool = False, allow_invalid_targets: bool = False
) -> dict[str, Any]:
    """Trains as `config` says, in a folder that is `config.out` unless given, and returns what results.json holds.

    Raises:
        SofitError: something that the user can mend: a name, a setting, the data.
    """
    use_compilation_cache()
    task = plugins.make_task(config)
    split = config.evaluation.split
    examples = load_training_examples(task, config.data_streaming, allow_invalid=allow_invalid_targets)
    held_out = load_examples(task, split, config.evaluation.limit)
    held_out = checked_examples(task, held_out, split, allow_invalid=allow_invalid_targets)
    config = with_defaults(config, len(examples), is_demo=task.is_demo)
    steps, learning_rate = config.trainer.num_train_steps, config.optimizer.learning_rate
    assert config.out is not None, "the caller chooses the run folder"
    assert steps is not None, "with_defaults fills it in"
    assert learning_rate is not None, "with_defaults fills it in"

    pretrained = load_pretrained(config.model)
    partitioning = make_partitioning(config.trainer, DecoderConfig.from_hf(pretrained.config))
    row_multiple = 1 if partitioning is None else partitioning.data_size
    source = examples.tokenized(pretrained.tokenizer, config)
    feed = Feed(source, config.trainer, steps, row_multiple=row_multiple)
    schedule = make_schedule(config.optimizer, learning_rate, steps)
    quantization = None if config.lora is None else config.lora.quantize_base
    model = load_decoder(pretrained, stored_dtype(config), partitioning, quantization)
    trainer, state = start_trainer(config, model, schedule)
    run = Run(
        folder=folder or Path(config.out),
        config=config,
        task=task,
        model_name=config.model,
        last_step=steps,
        info={
            "model_source": pretrained.source,
            "examples": {"train": len(examples), split: len(held_out)},
            "parameters": parameter_counts(trainer, state),
        },
    )
    evaluator = Evaluator(task, held_out, pretrained.tokenizer, config.evaluation, pretrained.config["vocab_size"], split)
    with Session(run, plugins, trainer, evaluator) as session, feed:
        state, first_step = session.begin(state, resume=resume)
        for step in range(first_step, steps + 1):
            state, record = _take_step(trainer, state, feed, schedule, step, source.roles, seed=config.trainer.seed)
            if session.after_step(state, record):
                break
        state = session.finish(state)
        save_model(run.folder, config, pretrained, state.trainable)
        return session.end()


def start_trainer(config: Config, model: Decoder, schedule: optax.Schedule) -> tuple[Trainer, TrainState]:
    """Makes what takes the steps, and the state before the first one, as configured."""
    spec = lora_spec(config)
    if spec is not None:
        model = add_adapters(model, spec, key=jax.random.key(config.trainer.seed))
    model = with_remat(model, config.trainer.remat_policy)
    optimizer = make_optimizer(config.optimizer, schedule)
    return Trainer.start(model, optimizer, parse_precision(config.trainer.mp), adapters_only=spec is not None)


def stored_dtype(config: Config) -> str:
    """Returns the type to load the weights in: they are never in memory in one that takes more than training needs."""
    precision = parse_precision(config.trainer.mp)
    return precision.params if config.lora is None else precision.compute


def lora_spec(config: Config) -> LoraSpec | None:
    """Returns the adapters to train; None where all weights are."""
    lora = config.lora
    return None if lora is None else LoraSpec(lora.r, lora.alpha, lora.dropout, lora.rslora, lora.target_modules)


def _take_step(
    trainer: Trainer,
    state: TrainState,
    feed: Feed,
    schedule: optax.Schedule,
    step: int,
    roles: Sequence[str],
    *,
    seed: int,
) -> tuple[TrainState, StepRecord]:
    start = time.monotonic()
    examples, micro_batches = feed.examples(step), feed.micro_batches(step)
    tokens = tokens_by_role(example.labels for example in examples)
    completion_tokens = int(tokens.sum())
    key = jax.random.fold_in(jax.random.key(seed), step)
    state, losses, norm = trainer.step(state, arrays_of(micro_batches), max(completion_tokens, 1), key)
    losses, norm = np.asarray(losses, np.float64), float(norm)  # Waits for the device.
    seconds = time.monotonic() - start
    return state, StepRecord(
        step=step,
        loss=float(losses.sum()),
        loss_by_role={role: float(losses[n] * completion_tokens / tokens[n]) for n, role in enumerate(roles) if tokens[n]},
        tokens_by_role={role: int(tokens[n]) for n, role in enumerate(roles) if tokens[n]},
        learning_rate=float(np.asarray(schedule(step - 1))),
        gradient_norm=norm,
        examples=len(examples),
        completion_tokens=completion_tokens,
        computed_tokens=sum(micro.shape.tokens for micro in micro_batches),
        example_tokens=sum(map(len, examples)),
        examples_per_second=len(examples) / seconds,
        seconds=seconds,
    )


def parameter_counts(trainer: Trainer, state: TrainState) -> dict[str, int]:
    """Returns how many numbers the model has (`total`), and how many of them are trained (`trained`)."""
    trained, frozen = (
        sum(leaf.size for leaf in jax.tree.leaves(part, is_leaf=lambda node: isinstance(node, Quantized)))
        for part in (state.trainable, trainer.frozen)
    )
    return {"total": trained + frozen, "trained": trained}
