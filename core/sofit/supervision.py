"""From examples to tokens: exactly those that generation will read and write, and which of them carry loss.

A prompt is tokenised as generation tokenises it. A completion is the target on its own, with the space that the prompt ends
in, if any, at its head, and the end-of-sequence token at its tail; its ids are joined to the prompt's, never re-split
together with it. Every completion token carries loss, the first one and the last included, unless `labels` takes it off those
that the grammar forces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import numpy as np

from sofit.errors import SofitError
from sofit.labels import Labeller, Labels
from sofit.task import Example, Message, Task
from sofit.token_cache import SHARD_ROWS, TokenCache
from sofit.token_shards import TokenRow

if TYPE_CHECKING:
    from sofit.pretrained import Tokenizer

_SHOWN_FAULTS = 5


@dataclass(frozen=True)
class TokenizedPrompt:
    """What the model reads for an example."""

    example: Example
    ids: np.ndarray
    """int32"""
    lead: str
    """The space that the prompt's text ended in; the model writes it before the output."""


@dataclass(frozen=True)
class Supervised:
    """An example as tokens."""

    example: Example
    ids: np.ndarray
    """int32: prompt, completion, end of sequence."""
    prompt_length: int
    labels: Labels

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def completion_length(self) -> int:
        """The tokens that the model is to write, the end of sequence included."""
        return len(self.ids) - self.prompt_length

    @property
    def loss_tokens(self) -> int:
        """The tokens that carry loss."""
        return int(self.labels.carries_loss.sum())


def split_lead(prompt: str | Sequence[Message]) -> tuple[str | Sequence[Message], str]:
    """Moves the space that a text prompt ends in to the completion, where tokenizers join it to the next word."""
    if isinstance(prompt, str) and prompt.endswith(" "):
        return prompt[:-1], " "
    return prompt, ""


def tokenize_prompts(task: Task, examples: Sequence[Example], tokenizer: "Tokenizer") -> list[TokenizedPrompt]:
    """Renders and tokenises the prompts of examples.

    Raises:
        SofitError: a prompt is empty, the tokenizer has no chat template for a chat prompt, or it is not the model's.
    """
    split = [split_lead(task.prompt(example)) for example in examples]
    encoded = tokenizer.encode_prompts([prompt for prompt, _ in split])
    prompts = [
        TokenizedPrompt(example, np.asarray(ids, np.int32), lead)
        for example, ids, (_, lead) in zip(examples, encoded, split, strict=True)
    ]
    for prompt in prompts:
        if len(prompt.ids) == 0:
            place = name_of(prompt.example)
            raise SofitError(f"{place}: the prompt has no token, so nothing can precede the first output token.")
        _check_embeddings(prompt.example, prompt.ids, tokenizer)
    return prompts


def supervise(
    task: Task,
    examples: Sequence[Example],
    tokenizer: "Tokenizer",
    max_length: int,
    cache: TokenCache | None = None,
    labeller: Labeller | None = None,
) -> list[Supervised]:
    """Tokenises examples for training, as `tokenize_examples` does, and labels their completions.

    Raises:
        SofitError: as there; or the loss is to be on free tokens, and a grammar cannot constrain.
    """
    if not examples:
        return []
    rows = tokenize_examples(task, examples, tokenizer, max_length, cache)
    labeller = labeller or Labeller(task, examples[0], tokenizer)
    supervised: list[Supervised] = []
    for start in range(0, len(examples), SHARD_ROWS):
        part, part_rows = examples[start : start + SHARD_ROWS], rows[start : start + SHARD_ROWS]
        texts = [split_lead(task.prompt(example))[1] + example.target for example in part]
        supervised += [
            Supervised(example, *row, labels)
            for example, row, labels in zip(part, part_rows, labeller.label(part, texts), strict=True)
        ]
    return supervised


def tokenize_examples(
    task: Task, examples: Sequence[Example], tokenizer: "Tokenizer", max_length: int, cache: TokenCache | None = None
) -> list[TokenRow]:
    """Tokenises examples for training, or takes their tokens from a cache of what was done before.

    Raises:
        SofitError: an example is longer than `max_length` tokens, or its target is empty or holds something that the tokenizer
            cannot write; names the first few of them. Or the tokenizer is not the model's.
    """
    rows: list[TokenRow] = []
    faults: list[str] = []
    for start in range(0, len(examples), SHARD_ROWS):  # A tokenizer's own records of many rows take a lot of memory.
        made, found = _rows(task, examples[start : start + SHARD_ROWS], tokenizer, cache)
        rows += made
        faults += found
    if not faults:
        for example, (ids, prompt_length) in zip(examples, rows, strict=True):
            _check_embeddings(example, ids, tokenizer)
            if len(ids) > max_length:
                faults.append(
                    f"{name_of(example)}: {len(ids)} tokens ({prompt_length} of prompt, {len(ids) - prompt_length} of"
                    f" completion), more than trainer.max_length = {max_length}"
                )
    if faults:
        raise SofitError(_listing(faults, len(examples)))
    return rows


def name_of(example: Example) -> str:
    """Returns what messages call an example: its place, or where it stands nowhere, its id."""
    return example.where or example.id


def _rows(
    task: Task, examples: Sequence[Example], tokenizer: "Tokenizer", cache: TokenCache | None
) -> tuple[list[TokenRow], list[str]]:
    """Returns the tokens of the examples, and what is wrong with those that cannot be trained on."""
    if cache is None:
        return _tokenize(task, examples, tokenizer)
    keys = [cache.key(task.prompt(example), example.target) for example in examples]
    kept = [cache.get(key) for key in keys]
    missing = [index for index, row in enumerate(kept) if row is None]
    made, faults = _tokenize(task, [examples[index] for index in missing], tokenizer)
    if faults:
        return made, faults
    for index, row in zip(missing, made, strict=True):
        cache.add(keys[index], row)
        kept[index] = row
    return [row for row in kept if row is not None], []


def _tokenize(task: Task, examples: Sequence[Example], tokenizer: "Tokenizer") -> tuple[list[TokenRow], list[str]]:
    prompts = tokenize_prompts(task, examples, tokenizer)
    texts = [prompt.lead + prompt.example.target for prompt in prompts]
    rows, faults = [], []
    for prompt, text, completion in zip(prompts, texts, tokenizer.encode_continuations(texts), strict=True):
        written = tokenizer.decode_continuation(completion)
        if not prompt.example.target.strip():
            faults.append(f"{name_of(prompt.example)}: the target is empty")
        elif written != text:
            faults.append(f"{name_of(prompt.example)}: the model's tokenizer cannot write {_lost(text, written)} of the target")
        ids = np.concatenate([prompt.ids, np.asarray([*completion, tokenizer.eos_id], np.int32)])
        rows.append((ids, len(prompt.ids)))
    return rows, faults


def _check_embeddings(example: Example, ids: np.ndarray, tokenizer: "Tokenizer") -> None:
    """Refuses what the model has no embedding for: a device would take another one's in silence."""
    if tokenizer.embeddings is not None and ids.max() >= tokenizer.embeddings:
        raise SofitError(
            f"{name_of(example)}: token {ids.max()} is beyond the model's {tokenizer.embeddings} embeddings."
            " The tokenizer is not this model's, or its embeddings were not resized."
        )


def _lost(text: str, written: str) -> str:
    """Returns the stretches of a text that are missing or different in what the tokenizer makes of it, quoted."""
    changes = SequenceMatcher(None, text, written, autojunk=False).get_opcodes()
    stretches = [text[start:end] for kind, start, end, _, _ in changes if kind in ("delete", "replace")]
    return ", ".join(map(repr, dict.fromkeys(stretches))) or repr(text)


def _listing(faults: Sequence[str], count: int) -> str:
    shown = "\n  ".join(faults[:_SHOWN_FAULTS])
    more = f"\n  and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
    return (
        f"{len(faults)} of {count} examples cannot be trained on; none is ever cut or left out in silence:\n  {shown}{more}\n"
        "Mend these rows or take them out; where they are too long, raise trainer.max_length or shorten the prompt."
    )
