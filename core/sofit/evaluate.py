"""Evaluation by generation: the model writes an output for each prompt, and the task judges it."""

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Literal

from sofit.config import Config, EvaluationConfig
from sofit.decoding.generator import Generated, GenerationSettings, generate
from sofit.model import Decoder
from sofit.packing import round_up
from sofit.plugins import Plugins
from sofit.run import Report
from sofit.supervision import TokenizedPrompt, tokenize_prompts
from sofit.task import Example, Prediction, Task

if TYPE_CHECKING:
    from sofit.pretrained import Tokenizer

_SPARE_TOKENS = 1.25
"""Room for outputs that are longer than the longest target, as a factor."""


def evaluate_model(
    config: Config, plugins: Plugins, *, split: str, limit: int | None, constrained: bool | None = None
) -> list[Report]:
    """Loads a model and evaluates it, as `sofit eval` does.

    Raises:
        SofitError: the task, the data or the model cannot be had.
    """
    from sofit.loading import load_for_inference

    task = plugins.make_task(config)
    examples = load_examples(task, split, limit)
    model, tokenizer = load_for_inference(config)
    return [evaluate(model, task, examples, tokenizer, config.evaluation, split=split, when="after", step=0)]


def load_examples(task: Task, split: str, limit: int | None = None) -> list[Example]:
    """Returns the first examples of a split, all of them if `limit` is None."""
    return list(islice(task.load(split), limit))


def evaluate(
    model: Decoder,
    task: Task,
    examples: Sequence[Example],
    tokenizer: "Tokenizer",
    config: EvaluationConfig,
    *,
    split: str,
    when: Literal["before", "step", "after"],
    step: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Report:
    """Generates greedily for the examples and scores what came out."""
    start = time.monotonic()
    prompts = tokenize_prompts(task, examples, tokenizer)
    settings = GenerationSettings(
        max_new_tokens=config.max_new_tokens or _enough_tokens(prompts, tokenizer), batch_size=config.batch_size
    )
    generated = generate(model, prompts, settings, tokenizer.eos_ids, on_progress)
    predictions = to_predictions(prompts, generated, tokenizer)
    seconds = time.monotonic() - start
    tokens = sum(len(output.ids) + output.finished for output in generated)
    return Report(
        when=when,
        step=step,
        split=split,
        constrained=False,
        scores=task.score(predictions),
        predictions=predictions,
        seconds=seconds,
        details={
            "new_tokens": tokens,
            "new_tokens_per_second": tokens / seconds,
            "unfinished": sum(not output.finished for output in generated),
            "max_new_tokens": settings.max_new_tokens,
        },
    )


def to_predictions(
    prompts: Sequence[TokenizedPrompt], generated: Sequence[Generated], tokenizer: "Tokenizer"
) -> list[Prediction]:
    """Turns tokens into outputs, without the space that belongs to the prompt."""
    texts = [tokenizer.decode_continuation(output.ids) for output in generated]
    return [
        Prediction(example=prompt.example, text=text.removeprefix(prompt.lead), finished=output.finished)
        for prompt, text, output in zip(prompts, texts, generated, strict=True)
    ]


def _enough_tokens(prompts: Sequence[TokenizedPrompt], tokenizer: "Tokenizer") -> int:
    """Returns the length of the longest target, its end token and some more."""
    targets = tokenizer.encode_continuations([prompt.lead + prompt.example.target for prompt in prompts])
    return round_up(round((max(map(len, targets)) + 1) * _SPARE_TOKENS), 16)
