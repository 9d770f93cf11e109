"""Decoding under a grammar: always in the language, and by chunks what masks at every step would give."""

from collections.abc import Sequence

import jax
import numpy as np
import pytest

from sofit import Example, Grammar
from sofit.decoding.engine import Sampling
from sofit.decoding.generator import GenerationSettings, generate
from sofit.decoding.masks import TokenMasks
from sofit.decoding.outputs import Generated, GenerationCounts
from sofit.model import Decoder, DecoderConfig
from sofit.pretrained import Pretrained
from sofit.supervision import TokenizedPrompt

GRAMMAR = Grammar(
    "calls",
    r"""
start: function "(" argument (", " argument)* ")"
function: "inform" | "request" | "confirm"
argument: key "[" value "]"
key: "name" | "genres" | "rating"
value: TEXT
TEXT: /[^\[\]\r\n]{1,20}/
""",
)
PROMPTS = ["Sentence: Tetris is a puzzle game.\nOutput:", "Sentence: Which game is the best?\nOutput:", "Say it:", "Say it now:"]


@pytest.fixture(scope="module")
def untrained() -> Decoder:
    """A model that knows nothing: what it wants to say is hardly ever in the grammar."""
    config = DecoderConfig.from_hf(
        {
            "model_type": "llama",
            "vocab_size": 49152,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "tie_word_embeddings": True,
        }
    )
    # Large enough that the next token depends on those before it.
    return jax.tree.map(lambda leaf: leaf * 8, Decoder.init(config, key=jax.random.key(0)))


def _write(
    model: Decoder, pretrained: Pretrained, settings: GenerationSettings, prompts: Sequence[str] = PROMPTS
) -> tuple[list[Generated], GenerationCounts]:
    tokenizer = pretrained.tokenizer
    tokenized = [
        TokenizedPrompt(Example(id=str(index), input=text, target=""), np.array(tokenizer.encode_prompt(text), np.int32), " ")
        for index, text in enumerate(prompts)
    ]
    matcher = TokenMasks(tokenizer, model.config.vocab_size).matcher(GRAMMAR, " ")
    return generate(model, tokenized, settings, tokenizer.eos_ids, [matcher] * len(prompts))


def _texts(outputs: Sequence[Generated], pretrained: Pretrained) -> list[str]:
    return [pretrained.tokenizer.decode_continuation(output.ids) for output in outputs]


def test_greedy_chunks_write_the_tokens_of_masks_at_every_step(untrained: Decoder, smollm2: Pretrained):
    chunked, counts = _write(untrained, smollm2, GenerationSettings(40, batch_size=2))
    step_by_step, step_counts = _write(untrained, smollm2, GenerationSettings(40, batch_size=2, mask_every_step=True))
    assert chunked == step_by_step
    assert counts.changed == step_counts.changed > 0
    assert counts.removed_mass == pytest.approx(step_counts.removed_mass, rel=1e-4)


def test_lanes_do_not_touch_each_other(untrained: Decoder, smollm2: Pretrained):
    together, _ = _write(untrained, smollm2, GenerationSettings(40, batch_size=4))
    for prompt, output in zip(PROMPTS, together, strict=True):
        alone, _ = _write(untrained, smollm2, GenerationSettings(40), [prompt])
        assert alone == [output]


@pytest.mark.parametrize(
    ("sampling", "max_new_tokens"), [(Sampling(), 3), (Sampling(temperature=1.5), 40), (Sampling(temperature=1.0, top_p=0.9), 12)]
)
def test_every_output_is_in_the_grammar_however_it_was_chosen_and_wherever_it_was_cut(
    untrained: Decoder, smollm2: Pretrained, sampling: Sampling, max_new_tokens: int
):
    settings = GenerationSettings(max_new_tokens, batch_size=4, sampling=sampling)
    outputs, counts = _write(untrained, smollm2, settings, PROMPTS * 3)
    for text in _texts(outputs, smollm2):
        assert GRAMMAR.problem(text.removeprefix(" ")) is None, text
    assert counts.completed == sum(not output.finished for output in outputs)


def test_the_same_seed_draws_the_same_outputs_and_another_seed_others(untrained: Decoder, smollm2: Pretrained):
    drawn = [_write(untrained, smollm2, GenerationSettings(20, sampling=Sampling(1.5), seed=seed))[0] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
