"""What is known of each completion token: its role, by which the loss is shown, and whether it carries loss at all.

Roles are those of the parse tree (`Grammar.role_spans`), but for two that every output has: the first token, with which the model
begins to write, and the end of sequence. A token that straddles parts of the output has the role of its first character that is
no space.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from sofit.grammar.roles import TEXT
from sofit.task import Example, Task

if TYPE_CHECKING:
    from sofit.pretrained import Tokenizer

FIRST, END = "first", "end"
MOST_ROLES = 64
"""Roles that are told apart. What a grammar has beyond them counts as text."""
LossOn = Literal["all", "free"]


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of the completion tokens of an example, the end of sequence included."""

    roles: np.ndarray
    """(completion token), uint8: indices of `role_names`."""
    carries_loss: np.ndarray
    """(completion token), bool."""


def role_names(task: Task, examples: Sequence[Example]) -> tuple[str, ...]:
    """Returns the roles by number, at most `MOST_ROLES`: the same ones in every process and after every restart.

    They are those of the first example's grammar; a role that only another example's grammar has counts as text.
    """
    possible = task.grammar_for(examples[0]).role_names(task.roles)
    return tuple(dict.fromkeys([FIRST, END, TEXT, *possible]))[:MOST_ROLES]


def tokens_by_role(labels: Iterable[Labels]) -> np.ndarray:
    """Returns how many tokens of each role carry loss: (role)."""
    return np.bincount(np.concatenate([label.roles[label.carries_loss] for label in labels]), minlength=MOST_ROLES)


def label_completions(
    task: Task, examples: Sequence[Example], texts: Sequence[str], tokenizer: "Tokenizer", loss_on: LossOn
) -> list[Labels]:
    """Labels the completion tokens of examples.

    Args:
        task: where the grammars and the names of roles come from.
        examples: the examples.
        texts: what the model writes for each: the space that the prompt ended in, if any, and the target.
        tokenizer: the model's.
        loss_on: "free" takes the loss off tokens at which the grammar's mask leaves one way only.

    Raises:
        SofitError: the loss is to be on free tokens, and a grammar cannot constrain.
    """
    numbers = {role: number for number, role in enumerate(role_names(task, examples))} if examples else {}
    offsets = tokenizer.continuation_offsets(texts)
    labels = []
    for example, text, places in zip(examples, texts, offsets, strict=True):
        roles = [FIRST, *_roles(task, example, text, places)[1:], END]
        carries_loss = np.ones(len(roles), bool)
        labels.append(Labels(np.array([numbers.get(role, numbers[TEXT]) for role in roles], np.uint8), carries_loss))
    if loss_on == "free":
        for label, is_forced in zip(labels, _forced(task, examples, texts, tokenizer), strict=True):
            label.carries_loss[is_forced] = False
    return labels


def _roles(task: Task, example: Example, text: str, places: Sequence[tuple[int, int]]) -> list[str]:
    """Returns the role of the characters behind each token."""
    lead = len(text) - len(example.target)
    spans = task.grammar_for(example).role_spans(example.target, task.roles)
    starts = [span.start for span in spans]
    roles = []
    for start, end in places:
        first = next((place for place in range(start, end) if not text[place].isspace()), start) - lead
        roles.append(spans[max(bisect_right(starts, first) - 1, 0)].role)
    return roles


def _forced(task: Task, examples: Sequence[Example], texts: Sequence[str], tokenizer: "Tokenizer") -> list[np.ndarray]:
    """Returns which tokens have no other way beside them: (completion token), bool, for each example."""
    # Decoding comes later in the data's way; only what it makes of a grammar is asked for.
    from sofit.decoding.masks import TokenMasks

    masks = TokenMasks(tokenizer, tokenizer.vocab_size)
    forced = []
    for example, text, ids in zip(examples, texts, tokenizer.encode_continuations(texts), strict=True):
        matcher = masks.matcher(task.grammar_for(example), text[: len(text) - len(example.target)])
        forced.append(matcher.forced([*ids, tokenizer.eos_id]))
    return forced
