"""Evaluation by generation: the model writes an output for each prompt, and the task judges it."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Literal

from sofit.config import Config, EvaluationConfig
from sofit.decoding.engine import Sampling
from sofit.decoding.generator import GenerationSettings, generate
from sofit.decoding.masks import Matcher, TokenMasks
from sofit.decoding.outputs import Generated, GenerationCounts
from sofit.errors import SofitError
from sofit.model import Decoder
from sofit.packing import round_up
from sofit.plugins import Plugins
from sofit.run import EvaluationProgress, Report
from sofit.supervision import TokenizedPrompt, name_of, tokenize_prompts
from sofit.task import Example, Prediction, Scores, Task

if TYPE_CHECKING:
    from sofit.pretrained import Tokenizer

_SPARE_TOKENS = 1.25
"""Room for outputs that are longer than the longest target, as a factor."""


def evaluate_model(
    config: Config,
    plugins: Plugins,
    *,
    split: str,
    limit: int | None,
    constrained: bool | None = None,
    on_progress: Callable[[EvaluationProgress], None] = lambda progress: None,
) -> list[Report]:
    """Loads a model and evaluates it, as `sofit eval` does: free and constrained, unless `constrained` says which.

    `on_progress` is told when an evaluation begins, and then now and then while its outputs are written.

    Raises:
        SofitError: the task, the data or the model cannot be had, or the grammar cannot constrain.
    """
    from sofit.loading import load_for_inference

    task = plugins.make_task(config)
    examples = load_examples(task, split, limit)
    model, tokenizer = load_for_inference(config)
    evaluator = Evaluator(task, examples, tokenizer, config.evaluation, model.config.vocab_size, split)
    return list(evaluator.reports(model, when="after", step=0, constrained=constrained, on_progress=on_progress))


def generation_settings(config: EvaluationConfig, max_new_tokens: int) -> GenerationSettings:
    """Returns how to generate, as configured; `max_new_tokens` counts where the configuration leaves that open."""
    return GenerationSettings(
        max_new_tokens=config.max_new_tokens or max_new_tokens,
        batch_size=config.batch_size,
        sampling=Sampling(config.temperature, config.top_p),
        seed=config.seed,
    )


def load_examples(task: Task, split: str, limit: int | None = None) -> list[Example]:
    """Returns the first examples of a split, all of them if `limit` is None.

    Raises:
        SofitError: the split cannot be read, or has no examples.
    """
    examples = list(islice(task.load(split), limit))
    if not examples:
        raise SofitError(f"Task {task.name!r} has no {split} examples in {task.data}.")
    return examples


class Evaluator:
    """The examples to evaluate on, tokenised once, and the masks of their grammars, compiled once."""

    def __init__(
        self,
        task: Task,
        examples: Sequence[Example],
        tokenizer: "Tokenizer",
        config: EvaluationConfig,
        vocab_size: int,
        split: str,
    ):
        self._task, self._tokenizer, self._split = task, tokenizer, split
        self._prompts = tokenize_prompts(task, examples, tokenizer)
        self._masks = TokenMasks(tokenizer, vocab_size)
        self._settings = generation_settings(config, enough_tokens(self._prompts, tokenizer))

    def reports(
        self,
        model: Decoder,
        *,
        when: Literal["before", "step", "after"],
        step: int,
        constrained: bool | None,
        on_progress: Callable[[EvaluationProgress], None] = lambda progress: None,
    ) -> Iterator[Report]:
        """Generates and scores: without the grammar and then with it, or only as `constrained` says.

        Raises:
            SofitError: a grammar cannot constrain; before anything is generated.
        """
        matchers = self._matchers(constrained)
        for is_constrained in [False, True] if constrained is None else [constrained]:
            n = len(self._prompts)
            begun = EvaluationProgress(when=when, step=step, constrained=is_constrained, done=0, n=n, share=0.0)
            yield self._report(model, begun, matchers if is_constrained else None, on_progress)

    def rehearse(self, *, constrained: bool | None) -> Scores:
        """Does what an evaluation does, but for generating: scores the targets in the place of outputs.

        Raises:
            SofitError: a grammar cannot constrain.
        """
        self._matchers(constrained)
        examples = [prompt.example for prompt in self._prompts]
        return self._task.score([Prediction(example=example, text=example.target, finished=True) for example in examples])

    def _matchers(self, constrained: bool | None) -> list[Matcher] | None:
        return None if constrained is False else grammar_matchers(self._task, self._prompts, self._masks)

    def _report(
        self,
        model: Decoder,
        begun: EvaluationProgress,
        matchers: Sequence[Matcher] | None,
        on_progress: Callable[[EvaluationProgress], None],
    ) -> Report:
        def tell(done: int, share: float) -> None:
            on_progress(replace(begun, done=done, share=share))

        start = time.monotonic()
        on_progress(begun)
        generated, counts = generate(model, self._prompts, self._settings, self._tokenizer.eos_ids, matchers, tell)
        seconds = time.monotonic() - start
        predictions = to_predictions(self._prompts, generated, self._tokenizer)
        return Report(
            when=begun.when,
            step=begun.step,
            split=self._split,
            constrained=begun.constrained,
            scores=self._task.score(predictions),
            predictions=predictions,
            seconds=seconds,
            details={
                "new_tokens": counts.tokens,
                "new_tokens_per_second": counts.tokens / seconds,
                "unfinished": sum(not output.finished for output in generated),
                "max_new_tokens": self._settings.max_new_tokens,
                **_drawing_details(self._settings),
                **(_grammar_details(counts) if begun.constrained else {}),
            },
        )


def grammar_matchers(task: Task, prompts: Sequence[TokenizedPrompt], masks: TokenMasks) -> list[Matcher]:
    """Returns, for each prompt, the matcher of its output's grammar.

    Raises:
        SofitError: a grammar cannot constrain decoding; names its example.
    """

    def matcher(prompt: TokenizedPrompt) -> Matcher:
        try:
            return masks.matcher(task.grammar_for(prompt.example), prompt.lead)
        except SofitError as error:
            raise SofitError(f"{name_of(prompt.example)}: {error}") from error

    return [matcher(prompt) for prompt in prompts]


def to_predictions(
    prompts: Sequence[TokenizedPrompt], generated: Sequence[Generated], tokenizer: "Tokenizer"
) -> list[Prediction]:
    """Turns tokens into outputs, without the space that belongs to the prompt."""
    texts = [tokenizer.decode_continuation(output.ids) for output in generated]
    return [
        Prediction(example=prompt.example, text=text.removeprefix(prompt.lead), finished=output.finished)
        for prompt, text, output in zip(prompts, texts, generated, strict=True)
    ]


def _drawing_details(settings: GenerationSettings) -> dict[str, float]:
    """Returns how tokens were drawn; at temperature 0 none were."""
    drawing = settings.sampling
    drawn = {"top_p": drawing.top_p, "seed": settings.seed} if drawing.temperature > 0 else {}
    return {"temperature": drawing.temperature, **drawn}


def _grammar_details(counts: GenerationCounts) -> dict[str, float]:
    """Returns how much the grammar had to say.

    mask_changed_share: the share of tokens that the model would have chosen otherwise. mask_removed_mass: the probability that
    the mask took away at those, on average. completed: outputs that had reached the limit and were closed by the grammar.
    """
    return {
        "mask_changed_share": counts.changed / max(counts.tokens, 1),
        "mask_removed_mass": counts.removed_mass / max(counts.changed, 1),
        "completed": counts.completed,
    }


def enough_tokens(prompts: Sequence[TokenizedPrompt], tokenizer: "Tokenizer") -> int:
    """Returns the length of the longest target, its end token and some more."""
    targets = tokenizer.encode_continuations([prompt.lead + prompt.example.target for prompt in prompts])
    return round_up(round((max(map(len, targets)) + 1) * _SPARE_TOKENS), 16)
