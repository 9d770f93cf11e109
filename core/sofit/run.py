"""What a run is and what it tells its observers: frozen records, passed to the life-cycle hooks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sofit.errors import SofitError, did_you_mean
from sofit.task import Prediction, Scores, Task

if TYPE_CHECKING:
    from sofit.config import Config


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training run: where it writes, what it was asked for, and what it trains on."""

    folder: Path
    config: "Config"
    task: Task
    model_name: str
    last_step: int
    """The number of the last step that is planned; steps count from 1."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """Facts that results.json repeats: `examples` (counts by split), `parameters` (`total`, `trained`), and whatever else is
    worth keeping."""

    def deciding_score(self, metrics: Mapping[str, float]) -> float:
        """Returns the metric that chooses the best checkpoint and stops early: `evaluation.metric`, else the task's first.

        Raises:
            SofitError: there is no such metric.
        """
        name = self.config.evaluation.metric or next(iter(self.task.headline), next(iter(metrics), ""))
        if name not in metrics:
            known = ", ".join(metrics) or "none"
            raise SofitError(f"evaluation.metric: no metric is called {name!r}. Metrics: {known}.{did_you_mean(name, metrics)}")
        return metrics[name]


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One optimiser step; a line of metrics.jsonl has these fields."""

    step: int
    """From 1."""
    loss: float
    """Mean cross-entropy over the tokens of the batch that carry loss, in nats."""
    loss_by_role: Mapping[str, float]
    """The same over the tokens of each role, such as "function", "value" or "end"; of the roles that the batch has."""
    tokens_by_role: Mapping[str, int]
    """How many these are; together they are `completion_tokens`."""
    learning_rate: float
    gradient_norm: float
    """Over all trainable arrays, before clipping."""
    examples: int
    completion_tokens: int
    """Tokens that carry loss."""
    computed_tokens: int
    """Tokens that went through the model, padding included."""
    example_tokens: int
    """Tokens of the examples, each counted whole: those that would be computed without sharing."""
    examples_per_second: float
    seconds: float
    """Wall time of the step."""
    mfu: float
    """The share, 0 to 1, of the rate of matrix products that was measured on this machine at the start: see `utilisation`."""

    @property
    def saved_tokens(self) -> int:
        """How many tokens fewer sharing and packing left to compute; below 0 where padding costs more than they save."""
        return self.example_tokens - self.computed_tokens


@dataclass(frozen=True, kw_only=True)
class EvaluationProgress:
    """How far an evaluation has come."""

    when: Literal["before", "step", "after"]
    step: int
    """The steps taken before it."""
    constrained: bool
    """Whether the grammar chooses among the model's tokens."""
    done: int
    """Outputs that are written."""
    n: int
    """Outputs to write."""
    share: float
    """How much of the writing is done, from 0 to 1, as far as can be told: outputs under way count by their tokens."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """One evaluation."""

    when: Literal["before", "step", "after"]
    step: int
    """The steps taken before it; 0 for the untrained model."""
    split: str
    constrained: bool
    """Whether the grammar chose among the model's tokens."""
    scores: Scores
    predictions: Sequence[Prediction]
    seconds: float
    details: Mapping[str, Any] = field(default_factory=dict)
    """Figures of the generation itself: tokens, tokens a second, share of steps at which the mask changed the choice."""

    @property
    def n(self) -> int:
        """The number of examples."""
        return len(self.predictions)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How training ended."""

    status: Literal["finished", "stopped", "failed"]
    step: int
    """The last step taken."""
    reason: str = ""
    """Why it stopped early or failed."""
