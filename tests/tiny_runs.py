"""Real training runs of a tiny model on a few rows, in this process and in others."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from sofit_viggo.task import ViggoTask

SETTINGS: Mapping[str, Any] = {
    "task_options.prompt_style": "short",
    "trainer.train_batch_size": 4,
    "evaluation.limit": 2,
    "evaluation.max_new_tokens": 8,
    "evaluation.constrained": "false",
}
"""What keeps a run short."""


def write_rows(folder: Path, train: int, validation: int = 2) -> Path:
    """Writes rows of ViGGO's demo into a folder, in the columns of the real data, and returns the folder."""
    folder.mkdir()
    for split, count in (("train", train), ("validation", validation)):
        rows = [(example.target, example.input) for example in islice(ViggoTask().load(split), count)]
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([("mr", "ref"), *rows])
    return folder


def set_options(**settings: Any) -> list[str]:
    """Returns `--set KEY=VALUE` for SETTINGS and these, whose keys have two underscores for a dot."""
    merged = {**SETTINGS, **{key.replace("__", "."): value for key, value in settings.items()}}
    return [part for key, value in merged.items() for part in ("--set", f"{key}={value}")]


def train_options(model: Path, out: str, *more: str, data: str = "rows", **settings: Any) -> list[str]:
    """Returns the options of a short run of `sofit train`, which has SETTINGS and these."""
    options = ["train", "--task", "viggo", "--data", data, "--model", str(model), "--out", out]
    return [*options, *set_options(**settings), *more]


def environment(**changes: str) -> dict[str, str]:
    """Returns the environment of a process that compiles quickly and writes plain lines."""
    return {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "TERM": "dumb", "COLUMNS": "200", **changes}


def run_sofit(*arguments: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Runs `sofit` in a process of its own and checks that it succeeds."""
    command = [sys.executable, "-m", "sofit", *arguments]
    result = subprocess.run(command, cwd=cwd, env=environment(**changes), capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result


@contextlib.contextmanager
def heeding_ctrl_c() -> Iterator[None]:
    """Starts processes that Ctrl-C ends. A shell lets what it runs in the background ignore it, and that would be handed on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def json_lines(path: Path) -> list[dict[str, Any]]:
    """Returns the entries of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
