"""The workloads: a model folder, and rows of token ids that every trainer reads."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sofit import load_plugins
from sofit.config_loading import load_config
from sofit.evaluate import load_examples
from sofit.packing import round_up
from sofit.pretrained import load_pretrained, save_hf_model
from sofit.supervision import supervise

MOST_TOKENS = 4096
"""The longest example that is taken."""


@dataclass(frozen=True)
class Workload:
    """What to train on."""

    description: str
    task: str
    options: Mapping[str, str]
    is_drawn: bool = False
    """Whether rows are drawn, the same ones each time, and not the first: files of several databases are often sorted by them."""


WORKLOADS: Mapping[str, Workload] = {
    "long": Workload("ViGGO with the long prompt, which all examples share", "viggo", {"prompt_style": "long"}),
    "none": Workload("ViGGO without a prompt: nothing to share", "viggo", {"prompt_style": "none"}),
    "sql": Workload("SQL with the schema in the prompt: a prefix for each database", "sql", {}, is_drawn=True),
}


@dataclass(frozen=True)
class Prepared:
    """A workload on disk."""

    model: Path
    rows: Path
    length: int
    """Of the longest row, rounded up to 64."""


def prepare(workload: Workload, model: str, data: str | None, count: int, folder: Path) -> Prepared:
    """Writes `count` training rows as JSON lines of `ids` and `prompt_length`, and the model in float32."""
    settings = [f"task_options.{name}={value}" for name, value in workload.options.items()]
    config = load_config(None, settings, {"task": workload.task, "data": data, "model": model})
    task, pretrained = load_plugins().make_task(config), load_pretrained(model)
    examples = load_examples(task, "train", None if workload.is_drawn else count)
    if workload.is_drawn:
        examples = random.Random(0).sample(examples, min(count, len(examples)))
    rows = supervise(task, examples, pretrained.tokenizer, MOST_TOKENS)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model").is_dir():
        save_hf_model(folder / "model", pretrained.config, pretrained.tensors, pretrained.tokenizer)
    path = folder / "rows.jsonl"
    lines = (json.dumps({"ids": row.ids.tolist(), "prompt_length": row.prompt_length}) for row in rows)
    path.write_text("\n".join(lines) + "\n")
    return Prepared(folder / "model", path, round_up(max(map(len, rows)), 64))
