"""Generation writes what transformers writes, whatever prompts share and however many run side by side."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from random_models import decoder_of, torch_logits, torch_model
from token_examples import tokenized_prompt

from sofit.decoding.engine import Sampling
from sofit.decoding.generator import GenerationSettings, generate
from sofit.decoding.outputs import Generated
from sofit.model import Decoder
from sofit.supervision import TokenizedPrompt

pytestmark = pytest.mark.usefixtures("quick_compilation")

EOS = 3
MOST = 24


def make_prompts() -> list[TokenizedPrompt]:
    """Returns prompts of all lengths: most behind one of two long texts, the others alone, and two that are equal."""
    rng = np.random.default_rng(1)
    texts = [rng.integers(4, 61, 60), rng.integers(4, 61, 40), []]
    prompts = [[*texts[index % 3], *rng.integers(4, 61, rng.integers(1, 12))] for index in range(14)]
    return [tokenized_prompt(prompt) for prompt in (*prompts, prompts[0], prompts[2][:1])]


PROMPTS = make_prompts()


@cache
def expected(family: str) -> list[Generated]:
    """Returns what transformers writes, greedily, after each prompt alone."""
    model = torch_model(family)
    outputs = []
    for prompt in PROMPTS:
        ids = torch.tensor(prompt.ids[None].astype(np.int64))
        settings = {"max_new_tokens": MOST, "do_sample": False, "eos_token_id": EOS, "pad_token_id": 0}
        whole = model.generate(ids, attention_mask=torch.ones_like(ids), **settings)[0].tolist()
        written = whole[len(prompt.ids) :]
        finished = written[-1] == EOS
        outputs.append(Generated(tuple(written[:-1] if finished else written), finished))
    return outputs


@cache
def decoder(family: str) -> Decoder:
    return decoder_of(torch_model(family))


def write(family: str, prompts: Sequence[TokenizedPrompt], batch_size: int = 4, **settings: Any) -> list[Generated]:
    chosen = GenerationSettings(max_new_tokens=settings.pop("max_new_tokens", MOST), batch_size=batch_size, **settings)
    return generate(decoder(family), prompts, chosen, [EOS])[0]


# Mistral's window of 7 ends within what prompts share, and within what is written.
@pytest.mark.parametrize(("family", "batch_size"), [("llama 3", 4), ("llama 3", 32), ("mistral", 4)])
def test_greedy_outputs_are_those_of_transformers(family: str, batch_size: int) -> None:
    assert write(family, PROMPTS, batch_size) == expected(family)


def test_some_outputs_end_early_and_some_at_the_limit() -> None:
    finished = Counter(output.finished for family in ("llama 3", "mistral") for output in expected(family))
    assert finished[True] >= 3
    assert finished[False] >= 3


def test_outputs_come_in_the_order_of_the_prompts() -> None:
    backwards = write("llama 3", PROMPTS[::-1])
    assert backwards[::-1] == expected("llama 3")


def test_a_prompt_alone_gets_the_same_output() -> None:
    assert [write("llama 3", [prompt])[0] for prompt in PROMPTS[:4]] == expected("llama 3")[:4]


@pytest.mark.parametrize("most", [1, 2, 15])
def test_the_limit_cuts_an_output_and_changes_nothing_before(most: int) -> None:
    outputs = write("llama 3", PROMPTS, max_new_tokens=most)
    for output, longer in zip(outputs, expected("llama 3"), strict=True):
        ends_within = longer.finished and len(longer.ids) < most
        assert output == Generated(longer.ids[:most], ends_within)


def test_progress_and_tokens_are_counted() -> None:
    told: list[tuple[int, float]] = []

    def tell(done: int, share: float) -> None:
        told.append((done, share))

    settings = GenerationSettings(max_new_tokens=MOST, batch_size=4)
    outputs, counts = generate(decoder("llama 3"), PROMPTS, settings, [EOS], None, tell)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert all(0 < share <= 1 for _, share in told)
    assert told[-1] == (len(PROMPTS), 1.0)
    assert counts.tokens == sum(len(output.ids) + output.finished for output in outputs)
    assert counts.changed == counts.completed == 0


def first_tokens(count: int, temperature: float, top_p: float, seed: int = 0) -> Counter[int]:
    """Draws the first token after the same prompt many times."""
    sampling = Sampling(temperature=temperature, top_p=top_p)
    outputs = write("llama 3", [PROMPTS[0]] * count, 32, max_new_tokens=1, sampling=sampling, seed=seed)
    return Counter(EOS if output.finished else output.ids[0] for output in outputs)


def probabilities(temperature: float) -> np.ndarray:
    """Returns the probability of each first token, by transformers' model."""
    logits = torch_logits(torch_model("llama 3"), PROMPTS[0].ids[None].astype(np.int64))[0, -1] / temperature
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


@pytest.mark.parametrize("temperature", [0.5, 1.5])
def test_tokens_are_drawn_as_often_as_they_are_likely(temperature: float) -> None:
    count = 640
    drawn = first_tokens(count, temperature, 1.0)
    likely = probabilities(temperature)
    spread = np.sqrt(count * likely * (1 - likely))
    for token in np.nonzero(count * likely > 10)[0]:
        assert abs(drawn[int(token)] - count * likely[token]) < 4 * spread[token]
    assert len(drawn) > 5


def test_tokens_are_drawn_from_the_nucleus_alone() -> None:
    top_p, likely = 0.6, probabilities(1.0)
    order = np.argsort(-likely)
    needed = int(np.searchsorted(np.cumsum(likely[order]), top_p)) + 1
    nucleus = set(order[:needed].tolist())
    assert 2 <= len(nucleus) < 30
    drawn = first_tokens(640, 1.0, top_p)
    assert set(drawn) == nucleus
    best = int(order[0])
    share = likely[best] / likely[order[:needed]].sum()
    assert abs(drawn[best] - 640 * share) < 4 * np.sqrt(640 * share * (1 - share))


def test_the_same_seed_draws_the_same_outputs_and_another_seed_others() -> None:
    def draw(seed: int) -> list[Generated]:
        return write("llama 3", PROMPTS, sampling=Sampling(temperature=1.0), seed=seed)

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_equal_prompts_draw_on_their_own() -> None:
    outputs = write("llama 3", [PROMPTS[0]] * 8, 8, sampling=Sampling(temperature=1.0))
    assert len(set(outputs)) > 4


def test_a_temperature_near_zero_is_greedy() -> None:
    assert write("llama 3", PROMPTS, sampling=Sampling(temperature=1e-6)) == expected("llama 3")
