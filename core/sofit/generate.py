"""Outputs for texts that a user gives, as `sofit generate` writes them."""

from collections.abc import Sequence

from sofit.config import Config
from sofit.decoding.generator import GenerationSettings, generate
from sofit.evaluate import to_predictions
from sofit.loading import load_for_inference
from sofit.plugins import Plugins
from sofit.supervision import tokenize_prompts

_MAX_NEW_TOKENS = 256


def generate_texts(config: Config, plugins: Plugins, texts: Sequence[str], *, constrained: bool = True) -> list[str]:
    """Loads a model and returns its output for each text.

    Raises:
        SofitError: the task or the model cannot be had.
    """
    task = plugins.make_task(config)
    model, tokenizer = load_for_inference(config)
    prompts = tokenize_prompts(task, [task.example_for(text) for text in texts], tokenizer)
    settings = GenerationSettings(config.evaluation.max_new_tokens or _MAX_NEW_TOKENS, config.evaluation.batch_size)
    generated = generate(model, prompts, settings, tokenizer.eos_ids)
    return [prediction.text for prediction in to_predictions(prompts, generated, tokenizer)]
