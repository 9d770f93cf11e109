"""What is known of each completion token, and the loss by it."""

from collections.abc import Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest
from random_models import decoder_of, torch_model
from token_examples import supervised

from sofit import Example, Task
from sofit.batches import to_arrays
from sofit.config import Config
from sofit.decoding.masks import TokenMasks
from sofit.defaults import with_defaults
from sofit.labels import END, FIRST, MOST_ROLES, Labeller, tokens_by_role
from sofit.packing import Packer
from sofit.precision import Precision
from sofit.pretrained import Pretrained
from sofit.supervision import Supervised, split_lead, supervise
from sofit.trainer import Trainer
from sofit_json import JsonTask
from sofit_sql import SqlTask
from sofit_viggo import ViggoTask

DESCENT = optax.sgd(0.1)  # Made once, since it is compiled for.


def labelled(task: Task, examples: Sequence[Example], smollm2: Pretrained) -> list[list[tuple[Any, str]]]:
    """Returns each completion token's text with its role, example by example."""
    tokenizer = smollm2.tokenizer
    labeller = Labeller(task, examples[0], tokenizer)
    return [
        [
            (str(tokenizer.fast.decode([token])), labeller.roles[role])
            for token, role in zip(row.ids[row.prompt_length :].tolist(), row.labels.roles.tolist(), strict=True)
        ]
        for row in supervise(task, examples, tokenizer, 2048, labeller=labeller)
    ]


def test_each_token_has_the_role_of_its_first_character(smollm2: Pretrained) -> None:
    example = Example(id="a", input="", target="inform(name[Doom], rating[good])")
    (tokens,) = labelled(ViggoTask(), [example], smollm2)
    # Neighbours of one role joined: how the tokenizer splits a word is its own affair.
    assert [("".join(text for text, _ in group), role) for role, group in groupby(tokens, lambda token: token[1])] == [
        (" inform", FIRST),
        ("(", "punctuation"),
        ("name", "attribute"),
        ("[", "punctuation"),
        ("Doom", "value"),
        ("],", "punctuation"),
        (" rating", "attribute"),
        ("[", "punctuation"),
        ("good", "value"),
        ("])", "punctuation"),
        ("<|im_end|>", END),
    ]


def test_the_characters_of_a_split_letter_are_that_letter_s(smollm2: Pretrained) -> None:
    example = Example(id="a", input="", target="inform(name[Pok\u00e9mon \U0001f3ae])")
    (tokens,) = labelled(ViggoTask(), [example], smollm2)
    inside = [role for _, role in tokens[tokens.index(("[", "punctuation")) + 1 : -2]]
    assert len(inside) > 4
    assert set(inside) == {"value"}


def test_every_grammar_s_tokens_have_roles(smollm2: Pretrained, shared_data: Path) -> None:
    for task, expected in (
        (SqlTask(data=str(shared_data / "geoquery")), {"keyword", "name", "function", "value", "operator", "punctuation"}),
        (JsonTask(data=str(shared_data / "snips")), {"key", "value", "punctuation"}),
    ):
        rows = labelled(task, list(islice(task.load("train"), 40)), smollm2)
        assert {role for row in rows for _, role in row} == {*expected, FIRST, END}
        assert all((row[0][1], row[-1][1]) == (FIRST, END) for row in rows)


def train_a_step(batch: Sequence[Supervised], **settings: Any) -> tuple[np.ndarray, Any]:
    """Returns the losses by role of a step, and the weights after it."""
    trainer, state = Trainer.start(decoder_of(torch_model("smollm2")), DESCENT, Precision(), adapters_only=False)
    settings = {"share_prefix": True, "micro_batch_tokens": 8192, **settings}
    micro_batches = [to_arrays(micro) for micro in Packer([batch], **settings).pack(batch)]
    tokens = int(tokens_by_role(example.labels for example in batch).sum())
    state, losses, _ = trainer.step(state, micro_batches, tokens, jax.random.key(0))
    return np.asarray(losses), state.trainable


def random_batch(**labels: Any) -> list[Supervised]:
    rng = np.random.default_rng(0)
    prompt = rng.integers(4, 61, 40)
    return [supervised([*prompt, *rng.integers(4, 61, size)], [*rng.integers(4, 61, 6), 3], **labels) for size in (2, 5, 1, 7)]


@pytest.mark.usefixtures("quick_compilation")
def test_the_losses_of_the_roles_are_those_of_their_tokens_however_a_batch_is_laid_out() -> None:
    roles = [0, 2, 2, 5, 5, 5, 1]
    batch = random_batch(roles=roles)
    tokens = tokens_by_role(example.labels for example in batch)
    assert tokens[[0, 1, 2, 5]].tolist() == [4, 4, 8, 12]
    whole, _ = train_a_step(random_batch())
    losses, _ = train_a_step(batch)
    assert losses.shape == (MOST_ROLES,)
    # The mean of the roles' losses, weighted by their tokens, is the loss: each is a part of it already.
    np.testing.assert_allclose(losses.sum(), whole[0], rtol=1e-6)
    assert set(np.flatnonzero(losses)) == {0, 1, 2, 5}
    for other in ({"share_prefix": False}, {"micro_batch_tokens": 100}):
        np.testing.assert_allclose(train_a_step(batch, **other)[0], losses, rtol=1e-5)
    # One role's part is the loss of a batch in which only its tokens carry loss.
    only, _ = train_a_step(random_batch(carries_loss=[role == 5 for role in roles]))
    np.testing.assert_allclose(only[0] * 12, losses[5] * 28, rtol=1e-5)


def examples_of(name: str, shared_data: Path) -> tuple[Task, list[Example]]:
    tasks: Mapping[str, Task] = {
        "viggo": ViggoTask(data=str(shared_data / "viggo")),
        "sql": SqlTask(data=str(shared_data / "geoquery")),
        "json": JsonTask(data=str(shared_data / "snips")),
    }
    return tasks[name], list(islice(tasks[name].load("train"), 8))


@pytest.mark.parametrize("name", ["viggo", "sql", "json"])
def test_forced_tokens_are_those_at_which_a_decoder_under_masks_has_no_choice(
    name: str, smollm2: Pretrained, shared_data: Path
) -> None:
    task, examples = examples_of(name, shared_data)
    tokenizer = smollm2.tokenizer
    masks = TokenMasks(tokenizer, smollm2.config["vocab_size"])
    forced = total = 0
    labeller = Labeller(task, examples[0], tokenizer, "free")
    for row in supervise(task, examples, tokenizer, 4096, labeller=labeller):
        _, lead = split_lead(task.prompt(row.example))
        matcher = masks.matcher(task.grammar_for(row.example), lead)
        mask = np.zeros(-(-smollm2.config["vocab_size"] // 32), np.int32)
        reached = True
        for token, carries_loss in zip(row.ids[row.prompt_length :].tolist(), row.labels.carries_loss.tolist(), strict=True):
            matcher.fill(mask)
            allowed = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little"))
            assert carries_loss == (not reached or allowed.tolist() != [token])
            reached = reached and token in allowed and matcher.accept([token]) == 1
        forced, total = forced + row.completion_length - row.loss_tokens, total + row.completion_length
    assert 0 < forced < total


@pytest.mark.usefixtures("quick_compilation")
def test_tokens_without_loss_move_no_weight() -> None:
    free = [True, False, True, True, False, True, False]
    losses, weights = train_a_step(random_batch(carries_loss=free))
    batch = random_batch(carries_loss=free)
    assert [example.loss_tokens for example in batch] == [4] * 4
    (micro,) = Packer([batch], share_prefix=True, micro_batch_tokens=8192).pack(batch)
    assert int(to_arrays(micro).is_target.array.sum()) == 16
    # What stands at the end carries no loss and is read by nobody: another token there changes nothing.
    other = [supervised(e.ids[: e.prompt_length], [*e.ids[e.prompt_length : -1], 60], carries_loss=free) for e in batch]
    other_losses, other_weights = train_a_step(other)
    np.testing.assert_array_equal(losses, other_losses)
    for one, two in zip(jax.tree.leaves(weights), jax.tree.leaves(other_weights), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_model_trained_on_free_tokens_is_judged_under_the_grammar_unless_asked_otherwise() -> None:
    def constrained(**settings: Any) -> bool | None:
        return with_defaults(Config.model_validate(settings), 100, is_demo=False).evaluation.constrained

    assert constrained() is None
    assert constrained(trainer={"loss_on": "free"}) is True
    assert constrained(trainer={"loss_on": "free"}, evaluation={"constrained": False}) is False
