"""Outputs for texts that a user gives, as `sofit generate` writes them."""

from collections.abc import Sequence

from sofit.config import Config
from sofit.decoding.generator import GenerationSettings, generate
from sofit.decoding.masks import TokenMasks
from sofit.evaluate import grammar_matchers, to_predictions
from sofit.loading import load_for_inference
from sofit.plugins import Plugins
from sofit.supervision import tokenize_prompts

_MAX_NEW_TOKENS = 256


def generate_texts(config: Config, plugins: Plugins, texts: Sequence[str], *, constrained: bool = True) -> list[str]:
    """Loads a model and returns its output for each text.

    Raises:
        SofitError: the task or the model cannot be had, or the grammar cannot constrain.
    """
    task = plugins.make_task(config)
    model, tokenizer = load_for_inference(config)
    prompts = tokenize_prompts(task, [task.example_for(text) for text in texts], tokenizer)
    matchers = grammar_matchers(task, prompts, TokenMasks(tokenizer, model.config.vocab_size)) if constrained else None
    settings = GenerationSettings(config.evaluation.max_new_tokens or _MAX_NEW_TOKENS, config.evaluation.batch_size)
    generated, _ = generate(model, prompts, settings, tokenizer.eos_ids, matchers)
    return [prediction.text for prediction in to_predictions(prompts, generated, tokenizer)]
