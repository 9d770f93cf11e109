"""What training starts from: the model with its adapters, the optimiser, and the state before the first step."""

import jax
import optax

from sofit.config import Config
from sofit.model import Decoder, LoraSpec, Quantized, add_adapters, with_remat
from sofit.optimizer import make_optimizer
from sofit.precision import parse_precision
from sofit.trainer import Trainer, TrainState


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


def parameter_counts(trainer: Trainer, state: TrainState) -> dict[str, int]:
    """Returns how many numbers the model has (`total`), and how many of them are trained (`trained`)."""
    trained, frozen = (
        sum(leaf.size for leaf in jax.tree.leaves(part, is_leaf=lambda node: isinstance(node, Quantized)))
        for part in (state.trainable, trainer.frozen)
    )
    return {"total": trained + frozen, "trained": trained}
