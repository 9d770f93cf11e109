"""`sofit train`, from top to bottom.

The data takes this way: config -> task -> examples -> supervised tokens -> shared-prefix batches -> model -> train -> generate
-> parse -> score -> report.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from sofit.attention_choice import choose_attention
from sofit.config import Config
from sofit.data_check import checked_examples
from sofit.defaults import with_defaults
from sofit.evaluate import Evaluator, load_examples
from sofit.feed import Feed
from sofit.jax_settings import apply_jax_settings
from sofit.loading import load_decoder
from sofit.mesh import make_partitioning
from sofit.model import DecoderConfig
from sofit.optimizer import make_schedule
from sofit.plugins import Plugins
from sofit.precision import parse_precision
from sofit.pretrained import load_pretrained
from sofit.processes import is_main
from sofit.resumption import check_settings
from sofit.run import Run
from sofit.saving import save_model
from sofit.session import Session
from sofit.start import lora_spec, parameter_counts, start_trainer, stored_dtype
from sofit.stepper import Stepper
from sofit.training_examples import load_training_examples
from sofit.utilisation import Utilisation


def train(
    config: Config, plugins: Plugins, *, folder: Path | None = None, resume: bool = False, allow_invalid_targets: bool = False
) -> dict[str, Any]:
    """Trains as `config` says, in a folder that is `config.out` unless given, and returns what results.json holds.

    Raises:
        SofitError: something that the user can mend: a name, a setting, the data.
    """
    apply_jax_settings()
    task = plugins.make_task(config)
    split = config.evaluation.split
    examples = load_training_examples(task, config.data_streaming, allow_invalid=allow_invalid_targets)
    held_out = load_examples(task, split, config.evaluation.limit)
    held_out = checked_examples(task, held_out, split, allow_invalid=allow_invalid_targets)
    config = with_defaults(config, len(examples), is_demo=task.is_demo)
    steps, learning_rate = config.trainer.num_train_steps, config.optimizer.learning_rate
    assert config.out is not None, "the caller chooses the run folder"
    folder = folder or Path(config.out)
    if resume:
        check_settings(folder, config, tell=is_main())
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
    precision = parse_precision(config.trainer.mp)
    model = replace(model, attend=choose_attention(config.trainer.attention, model.config, precision.compute, partitioning))
    trainer, state = start_trainer(config, model, schedule)
    devices = sorted(jax.tree.leaves(state.trainable)[0].devices(), key=lambda device: device.id)
    utilisation = Utilisation.measure(model.config, lora_spec(config), precision.compute, devices)
    stepper = Stepper(trainer, feed, schedule, utilisation, source.roles, config.trainer.seed)
    run = Run(
        folder=folder,
        config=config,
        task=task,
        model_name=config.model,
        last_step=steps,
        info={
            "model_source": pretrained.source,
            "examples": {"train": len(examples), split: len(held_out)},
            "parameters": parameter_counts(trainer, state),
            "peak_flops_per_second": utilisation.peak_flops_per_second,
        },
    )
    evaluator = Evaluator(task, held_out, pretrained.tokenizer, config.evaluation, pretrained.config["vocab_size"], split)
    with Session(run, plugins, trainer, evaluator) as session, feed:
        state, first_step = session.begin(state, resume=resume)
        for step in range(first_step, steps + 1):
            state, record = stepper.take(state, step)
            if session.after_step(state, record):
                break
        state = session.finish(state)
        save_model(run.folder, config, pretrained, state.trainable)
        return session.end()
