"""`sofit train`, from top to bottom.

The data takes this way: config -> task -> examples -> supervised tokens -> shared-prefix batches -> model -> train -> generate
-> parse -> score -> report.
"""

import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax

from sofit.compilation_cache import use_compilation_cache
from sofit.config import Config
from sofit.data_check import checked_examples
from sofit.defaults import with_defaults
from sofit.evaluate import Evaluator, load_examples
from sofit.feed import Feed, arrays_of
from sofit.loading import load_decoder
from sofit.model import Decoder, LoraSpec, add_adapters
from sofit.optimizer import make_optimizer, make_schedule
from sofit.plugins import Plugins
from sofit.precision import parse_precision
from sofit.pretrained import load_pretrained
from sofit.run import Run, StepRecord
from sofit.saving import save_model
from sofit.session import Session
from sofit.supervision import supervise
from sofit.trainer import Trainer, TrainState
from sofit.utilisation import Utilisation


def train(config: Config, plugins: Plugins, *, resume: bool = False, allow_invalid_targets: bool = False) -> dict[str, Any]:
    """Trains as `config` says, in the run folder `config.out`, and returns what results.json holds.

    Raises:
        SofitError: something that the user can mend: a name, a setting, the data.
    """
    use_compilation_cache()
    task = plugins.make_task(config)
    split = config.evaluation.split
    examples = checked_examples(task, load_examples(task, "train"), "train", allow_invalid=allow_invalid_targets)
    held_out = load_examples(task, split, config.evaluation.limit)
    held_out = checked_examples(task, held_out, split, allow_invalid=allow_invalid_targets)
    config = with_defaults(config, len(examples), is_demo=task.is_demo)
    folder, steps, learning_rate = config.out, config.trainer.num_train_steps, config.optimizer.learning_rate
    assert folder is not None, "the caller chooses the run folder"
    assert steps is not None, "with_defaults fills it in"
    assert learning_rate is not None, "with_defaults fills it in"

    pretrained = load_pretrained(config.model)
    supervised = supervise(task, examples, pretrained.tokenizer, config.trainer.max_length, config.data_cache_dir)
    feed = Feed(supervised, config.trainer, steps)
    schedule = make_schedule(config.optimizer, learning_rate, steps)
    trainer, state = _start(config, load_decoder(pretrained), schedule)
    utilisation = _utilisation(config, trainer, state)
    run = Run(
        folder=Path(folder),
        config=config,
        task=task,
        model_name=config.model,
        last_step=steps,
        info={
            "model_source": pretrained.source,
            "examples": {"train": len(examples), split: len(held_out)},
            "parameters": _parameter_counts(trainer, state),
            "peak_flops_per_second": utilisation.peak_flops_per_second,
        },
    )
    evaluator = Evaluator(task, held_out, pretrained.tokenizer, config.evaluation, pretrained.config["vocab_size"], split)
    with Session(run, plugins, trainer, evaluator) as session:
        state, first_step = session.begin(state, resume=resume)
        for step in range(first_step, steps + 1):
            state, record = _take_step(trainer, state, feed, schedule, utilisation, step, seed=config.trainer.seed)
            if session.after_step(state, record):
                break
        state = session.finish(state)
        save_model(run.folder, config, pretrained, state.trainable)
        return session.end()


def _start(config: Config, model: Decoder, schedule: optax.Schedule) -> tuple[Trainer, TrainState]:
    lora = _lora_spec(config)
    if lora is not None:
        model = add_adapters(model, lora, key=jax.random.key(config.trainer.seed))
    optimizer = make_optimizer(config.optimizer, schedule)
    return Trainer.start(model, optimizer, parse_precision(config.trainer.mp), adapters_only=lora is not None)


def _lora_spec(config: Config) -> LoraSpec | None:
    lora = config.lora
    return lora and LoraSpec(lora.r, lora.alpha, lora.dropout, lora.rslora, lora.target_modules)


def _utilisation(config: Config, trainer: Trainer, state: TrainState) -> Utilisation:
    devices = sorted(jax.tree.leaves(state.trainable)[0].devices(), key=lambda device: device.id)
    return Utilisation.measure(state.trainable.config, _lora_spec(config), trainer.precision.compute, devices)


def _take_step(
    trainer: Trainer,
    state: TrainState,
    feed: Feed,
    schedule: optax.Schedule,
    utilisation: Utilisation,
    step: int,
    *,
    seed: int,
) -> tuple[TrainState, StepRecord]:
    start = time.monotonic()
    examples, micro_batches = feed.examples(step), feed.micro_batches(step)
    completion_tokens = sum(example.completion_length for example in examples)
    key = jax.random.fold_in(jax.random.key(seed), step)
    state, loss, norm = trainer.step(state, arrays_of(micro_batches), completion_tokens, key)
    loss, norm = float(loss), float(norm)  # Waits for the device.
    seconds = time.monotonic() - start
    return state, StepRecord(
        step=step,
        loss=loss,
        learning_rate=float(np.asarray(schedule(step - 1))),
        gradient_norm=norm,
        examples=len(examples),
        completion_tokens=completion_tokens,
        computed_tokens=sum(micro.shape.tokens for micro in micro_batches),
        example_tokens=sum(map(len, examples)),
        examples_per_second=len(examples) / seconds,
        seconds=seconds,
        mfu=utilisation.share([micro.shape for micro in micro_batches], seconds),
    )


def _parameter_counts(trainer: Trainer, state: TrainState) -> dict[str, int]:
    trained, frozen = (
        sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(part, eqx.is_inexact_array)))
        for part in (state.trainable, trainer.frozen)
    )
    return {"total": trained + frozen, "trained": trained}
