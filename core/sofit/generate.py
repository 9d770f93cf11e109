"""Outputs for texts that a user gives, as `sofit generate` writes them."""

from collections.abc import Callable, Sequence

from sofit.config import Config
from sofit.decoding.generator import generate
from sofit.decoding.masks import TokenMasks
from sofit.evaluate import generation_settings, grammar_matchers, to_predictions
from sofit.loading import load_for_inference
from sofit.plugins import Plugins
from sofit.supervision import tokenize_prompts
from sofit.task import Prediction

_MAX_NEW_TOKENS = 256


def generate_texts(
    config: Config,
    plugins: Plugins,
    texts: Sequence[str],
    *,
    constrained: bool = True,
    on_progress: Callable[[int, float], None] = lambda done, share: None,
) -> list[Prediction]:
    """Loads a model and returns what it writes for each text.

    `on_progress` is told how many outputs are done and which share of the writing: 0 and 0 once the model is loaded.

    Raises:
        SofitError: the task or the model cannot be had, or the grammar cannot constrain.
    """
    task = plugins.make_task(config)
    model, tokenizer = load_for_inference(config)
    prompts = tokenize_prompts(task, [task.example_for(text) for text in texts], tokenizer)
    matchers = grammar_matchers(task, prompts, TokenMasks(tokenizer, model.config.vocab_size)) if constrained else None
    settings = generation_settings(config.evaluation, _MAX_NEW_TOKENS)
    on_progress(0, 0.0)
    generated, _ = generate(model, prompts, settings, tokenizer.eos_ids, matchers, on_progress)
    return to_predictions(prompts, generated, tokenizer)
