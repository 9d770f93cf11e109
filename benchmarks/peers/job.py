"""What a trainer is asked to do, and the record of what it did.

Every trainer's own environment reads this, so it needs the standard library only.
"""

import json
import os
import resource
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "WANDB_MODE": "disabled", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One setting of the benchmark. Every trainer gets the same tokens, so none can gain by tokenising in another way."""

    model: str
    """A Hugging Face folder with float32 weights."""
    rows: str
    """JSON lines of `ids` and `prompt_length`; what follows the prompt carries loss. Taken in order."""
    method: Literal["lora", "full"]
    precision: Literal["float32", "bfloat16"]
    """To compute in; parameters are float32."""
    batch: int
    micro: int
    """Examples that go through the model together, for trainers that accumulate by examples."""
    length: int
    """What trainers of one shape pad to."""
    steps: int
    learning_rate: float
    rank: int = 8
    alpha: float = 8.0
    remat: Literal["products", "attention", "full"] = "products"
    """sofit's `trainer.remat_policy`."""
    result: str = ""
    """Where the record goes."""

    @staticmethod
    def from_arguments() -> "Job":
        """Reads the file that the command line names. From here on nothing is looked for on a network, or reported there."""
        for name, value in _OFFLINE.items():
            os.environ.setdefault(name, value)
        return Job(**json.loads(Path(sys.argv[1]).read_text()))

    def examples(self) -> list[dict[str, Any]]:
        """Returns the rows of all steps."""
        with Path(self.rows).open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        needed = self.batch * self.steps
        return [rows[index % len(rows)] for index in range(needed)]

    def padded(self, padding_id: int) -> tuple[list[list[int]], list[list[int]]]:
        """Returns ids and loss masks of all steps, padded to `length`."""
        rows = self.examples()
        ids = [row["ids"] + [padding_id] * (self.length - len(row["ids"])) for row in rows]
        masks = [[0] * row["prompt_length"] + [1] * (len(row["ids"]) - row["prompt_length"]) for row in rows]
        return ids, [mask + [0] * (self.length - len(mask)) for mask in masks]


def _process_start() -> float:
    """Returns when this process was started, so that its imports count."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        up = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return time.time()
    return time.time() - (up - ticks / os.sysconf("SC_CLK_TCK"))


def _process_peak() -> int:
    # Bytes on macOS, KiB elsewhere.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _accelerator_peak() -> int:
    """Returns the most bytes that arrays took on the first accelerator, by the library that is in use; 0 without one."""
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    if jax is not None and jax.default_backend() != "cpu":
        return jax.devices()[0].memory_stats()["peak_bytes_in_use"]
    return 0


@dataclass
class Record:
    """What a trainer did; written after every step, so that a run that is cut off leaves what it measured."""

    job: Job
    versions: dict[str, str]
    started: float = field(default_factory=_process_start)
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    computed_tokens: list[int] = field(default_factory=list)
    first_step_done: float = 0.0
    """Seconds from the start of the process."""
    more: dict[str, Any] = field(default_factory=dict)

    def step(self, seconds: float, loss: float, computed_tokens: int) -> None:
        """Adds a step."""
        self.first_step_done = self.first_step_done or time.time() - self.started
        self.seconds.append(seconds)
        self.losses.append(loss)
        self.computed_tokens.append(computed_tokens)
        print(f"step {len(self.seconds)}: {seconds:.2f} s, loss {loss:.5f}", flush=True)
        self.write()

    def entry(self) -> dict[str, Any]:
        """Returns what is known so far."""
        kept = {name: getattr(self, name) for name in ("versions", "seconds", "losses", "computed_tokens", "first_step_done")}
        return {"job": asdict(self.job), **kept, "peak_memory_bytes": _accelerator_peak() or _process_peak(), **self.more}

    def write(self) -> None:
        """Writes the record."""
        Path(self.job.result).write_text(json.dumps(self.entry()))
