"""What is known of each completion token: its role, by which the loss is shown, and whether it carries loss at all.

Roles are those of the parse tree (`Grammar.role_spans`), but for two that every output has: the first token, with which the model
begins to write, and the end of sequence. A token that straddles parts of the output has the role of its first character that is
no space.
"""

import functools
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from sofit.grammar.roles import TEXT
from sofit.task import Example, Task

if TYPE_CHECKING:
    from sofit.decoding.masks import TokenMasks
    from sofit.pretrained import Tokenizer

FIRST, END = "first", "end"
MOST_ROLES = 64
"""Roles that are told apart. What a grammar has beyond them counts as text."""
LossOn = Literal["all", "free"]


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of the completion tokens of an example, the end of sequence included."""

    roles: np.ndarray
    """(completion token), uint8: numbers of `Labeller.roles`."""
    carries_loss: np.ndarray
    """(completion token), bool."""


def tokens_by_role(labels: Iterable[Labels]) -> np.ndarray:
    """Returns how many tokens of each role carry loss: (role)."""
    return np.bincount(np.concatenate([label.roles[label.carries_loss] for label in labels]), minlength=MOST_ROLES)


class Labeller:
    """Labels the completion tokens of a task's examples."""

    def __init__(self, task: Task, first: Example, tokenizer: "Tokenizer", loss_on: LossOn = "all"):
        """Settles the roles and their numbers: the same ones in every process and after every restart.

        Args:
            task: where the grammars and the names of roles come from.
            first: the first training example. The roles are those of its grammar; a role that only another example's has is text.
            tokenizer: the model's.
            loss_on: "free" takes the loss off tokens at which the grammar's mask leaves one way only.
        """
        self._task, self._tokenizer, self._loss_on = task, tokenizer, loss_on
        possible = task.grammar_for(first).role_names(task.roles)
        self.roles = tuple(dict.fromkeys([FIRST, END, TEXT, *possible]))[:MOST_ROLES]
        """The roles by number."""
        self._numbers = {role: number for number, role in enumerate(self.roles)}

    def label(self, examples: Sequence[Example], texts: Sequence[str]) -> list[Labels]:
        """Labels what the model writes for each example: the space that its prompt ended in, if any, and its target.

        Raises:
            SofitError: the loss is to be on free tokens, and a grammar cannot constrain.
        """
        labels = []
        for example, text, places in zip(examples, texts, self._tokenizer.continuation_offsets(texts), strict=True):
            roles = [FIRST, *self._token_roles(example, text, places)[1:], END]
            numbers = np.array([self._numbers.get(role, self._numbers[TEXT]) for role in roles], np.uint8)
            is_free = np.ones(len(roles), bool) if self._loss_on == "all" else ~self._forced(example, text)
            labels.append(Labels(numbers, is_free))
        return labels

    def _token_roles(self, example: Example, text: str, places: Sequence[tuple[int, int]]) -> list[str]:
        """Returns the role of the characters behind each token."""
        lead = len(text) - len(example.target)
        spans = self._task.grammar_for(example).role_spans(example.target, self._task.roles)
        starts = [span.start for span in spans]
        roles = []
        for start, end in places:
            first = next((place for place in range(start, end) if not text[place].isspace()), start) - lead
            roles.append(spans[max(bisect_right(starts, first) - 1, 0)].role)
        return roles

    def _forced(self, example: Example, text: str) -> np.ndarray:
        """Returns which tokens have no other way beside them: (completion token), bool."""
        lead = text[: len(text) - len(example.target)]
        ids = [*self._tokenizer.encode_continuation(text), self._tokenizer.eos_id]
        return self._masks.matcher(self._task.grammar_for(example), lead).forced(ids)

    @functools.cached_property
    def _masks(self) -> "TokenMasks":
        # Decoding comes later in the data's way; only what it makes of a grammar is asked for.
        from sofit.decoding.masks import TokenMasks

        return TokenMasks(self._tokenizer, self._tokenizer.vocab_size)
