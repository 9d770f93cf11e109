"""What benchmarks of decoding have in common: rows of a task's validation data, and a model in float32 to write their outputs."""

from dataclasses import dataclass
from pathlib import Path

from sofit import Task, load_plugins
from sofit.config_loading import load_config
from sofit.decoding.generator import GenerationSettings
from sofit.evaluate import enough_tokens, generation_settings, load_examples
from sofit.jax_settings import apply_jax_settings
from sofit.loading import load_decoder
from sofit.model import Decoder
from sofit.pretrained import Pretrained, load_pretrained
from sofit.supervision import TokenizedPrompt, tokenize_prompts


@dataclass(frozen=True)
class EvaluationRows:
    """Prompts, and what writes their outputs."""

    task: Task
    prompts: list[TokenizedPrompt]
    pretrained: Pretrained
    model: Decoder
    settings: GenerationSettings


def load_rows(model: str, data: str, count: int, max_new_tokens: int | None) -> EvaluationRows:
    """Loads the first rows of the validation data of ViGGO, or of the task that a run folder was trained on, with its options."""
    apply_jax_settings()
    of_run = Path(model) / "config.yaml"
    config = load_config(str(of_run) if of_run.is_file() else None, (), {"data": data, "model": model})
    task = load_plugins(config.plugins).make_task(config)
    pretrained = load_pretrained(model)
    prompts = tokenize_prompts(task, load_examples(task, "validation", count), pretrained.tokenizer)
    most = max_new_tokens or enough_tokens(prompts, pretrained.tokenizer)
    return EvaluationRows(task, prompts, pretrained, load_decoder(pretrained), generation_settings(config.evaluation, most))


def describe(rows: EvaluationRows, model: str) -> str:
    """Returns what is measured, in a line."""
    length = round(sum(len(prompt.ids) for prompt in rows.prompts) / len(rows.prompts))
    return (
        f"{len(rows.prompts)} validation rows of {rows.task.name} from {rows.task.data}: {length} prompt tokens on average,"
        f" at most {rows.settings.max_new_tokens} new ones. {model}, float32, greedy."
    )
