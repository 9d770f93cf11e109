"""What generation makes: the outputs, how far they are, and what happened on the way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Generated:
    """What the model wrote after a prompt."""

    ids: tuple[int, ...]
    """The tokens, without the one that ended the output."""
    finished: bool
    """Whether the model ended the output itself. Under a grammar, one that was cut off has been completed."""


@dataclass
class GenerationCounts:
    """What happened while generating."""

    tokens: int = 0
    """Tokens written, end tokens included."""
    changed: int = 0
    """Steps at which the grammar forbade the token that the model would have taken."""
    removed_mass: float = 0.0
    """The probability that the grammar took away at those steps, added up."""
    completed: int = 0
    """Outputs that the grammar completed, because they had reached the limit."""


class Outputs:
    """The outputs that are done, and how far all of them are."""

    def __init__(self, total: int, limit: int, on_progress: Callable[[int, float], None]) -> None:
        self._total, self._limit, self._on_progress = total, limit, on_progress
        self._done: dict[int, Generated] = {}
        self._tokens = 0

    def add(self, member: int, output: Generated) -> None:
        """Takes in an output that is done."""
        self._done[member] = output
        self._tokens += len(output.ids)

    def in_order(self) -> list[Generated]:
        """Returns all outputs, in the order of their prompts."""
        return [self._done[member] for member in range(self._total)]

    def tell_progress(self, under_way: Sequence[int]) -> None:
        """Says how far it is, given how long the outputs under way are.

        Those to come are taken to be as long as those that are done. One that is longer already is taken to reach the limit,
        where a model does that cannot end an output.
        """
        usual = self._tokens / len(self._done) if self._done else self._limit
        left = sum((usual if written < usual else self._limit) - written for written in under_way)
        left += usual * (self._total - len(self._done) - len(under_way))
        written = self._tokens + sum(under_way)
        self._on_progress(len(self._done), written / (written + left) if left else 1.0)
