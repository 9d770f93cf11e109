"""One step after the other, each with a record of what it did."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
import optax

from sofit.feed import Feed, arrays_of
from sofit.labels import tokens_by_role
from sofit.run import StepRecord
from sofit.trainer import Trainer, TrainState
from sofit.utilisation import Utilisation


@dataclass(frozen=True, eq=False)
class Stepper:
    """Takes the steps of a run."""

    trainer: Trainer
    feed: Feed
    schedule: optax.Schedule
    utilisation: Utilisation
    roles: Sequence[str]
    """The roles of completion tokens, by number."""
    seed: int
    """Decides dropout."""

    def take(self, state: TrainState, step: int) -> tuple[TrainState, StepRecord]:
        """Takes a step, which counts from 1; the state that is given must not be used again."""
        start = time.monotonic()
        examples, micro_batches = self.feed.examples(step), self.feed.micro_batches(step)
        tokens = tokens_by_role(example.labels for example in examples)
        completion_tokens = int(tokens.sum())
        key = jax.random.fold_in(jax.random.key(self.seed), step)
        state, losses, norm = self.trainer.step(state, arrays_of(micro_batches), max(completion_tokens, 1), key)
        losses, norm = np.asarray(losses, np.float64), float(norm)  # Waits for the device.
        seconds = time.monotonic() - start
        present = {role: number for number, role in enumerate(self.roles) if tokens[number]}
        return state, StepRecord(
            step=step,
            loss=float(losses.sum()),
            loss_by_role={role: float(losses[n] * completion_tokens / tokens[n]) for role, n in present.items()},
            tokens_by_role={role: int(tokens[n]) for role, n in present.items()},
            learning_rate=float(np.asarray(self.schedule(step - 1))),
            gradient_norm=norm,
            examples=len(examples),
            completion_tokens=completion_tokens,
            computed_tokens=sum(micro.shape.tokens for micro in micro_batches),
            example_tokens=sum(map(len, examples)),
            examples_per_second=len(examples) / seconds,
            seconds=seconds,
            mfu=self.utilisation.share([micro.shape for micro in micro_batches], seconds),
        )
