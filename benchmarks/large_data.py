"""Seconds to the first step and host memory of `sofit train` on a million rows, against ten thousand.

    python benchmarks/large_data.py --rows 10000 1000000

It makes the rows from those of ViGGO's demo set, each with another title, so that no two are alike; a run on many is streamed and
one on few is not. The runs evaluate one example and take a few steps of 8 with the short prompt, each in a process of its own.
The time counts from the start of the process: importing, indexing the file, loading the model, evaluating and compiling are in
it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sofit_viggo.task import ViggoTask


def main() -> None:
    """Prints a table with a row for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000], help="the sizes to compare")
    parser.add_argument("--steps", type=int, default=5, help="steps of each run")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--folder", type=Path, help="where the rows are made, to be used again")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the runs; repeat for more")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        print(f"{'rows':>10} {'file':>9} {'start':>14} {'first step after':>17} {'peak memory':>12}")
        for count in arguments.rows:
            file = write_rows(folder / f"rows-{count}.jsonl", count)
            for start in ("first", "again"):  # The second run finds the index of the first.
                out = Path(scratch, f"run-{count}-{start}")
                seconds, peak_bytes = measure(file, out, arguments)
                size = file.stat().st_size
                print(f"{count:>10,} {size / 1e6:>6.0f} MB {start:>14} {seconds:>15.1f} s {peak_bytes / 2**20:>8.0f} MiB")


def write_rows(file: Path, count: int) -> Path:
    """Writes rows that differ from each other, unless an earlier run has done so."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        demo = [example for example in ViggoTask().load("train") if "name[" in example.target]
        partial = file.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as stream:
            for index in range(count):
                example = demo[index % len(demo)]
                title = example.target.split("name[")[1].split("]")[0]
                renamed = [text.replace(title, f"{title} {index}") for text in (example.input, example.target)]
                stream.write(json.dumps(dict(zip(("input", "output"), renamed, strict=True))) + "\n")
        partial.rename(file)
    return file


def measure(file: Path, out: Path, arguments: argparse.Namespace) -> tuple[float, int]:
    """Trains; returns the seconds from the start of the process to the end of its first step, and its peak memory in bytes."""
    settings = ["evaluation.limit=1", "evaluation.constrained=false", "evaluation.max_new_tokens=8", *arguments.set]
    settings = ["task_options.prompt_style=short", "trainer.train_batch_size=8", "trainer.checkpoint_every=1000", *settings]
    command = [sys.executable, "-m", "sofit", "train", "--task", "viggo", "--data", str(file), "--model", arguments.model]
    command += ["--steps", str(arguments.steps), "--out", str(out), *(part for value in settings for part in ("--set", value))]
    metrics, seconds = out / "metrics.jsonl", None
    start = time.monotonic()
    with tempfile.TemporaryFile() as screen:
        process = subprocess.Popen(command, stdout=screen, stderr=screen)
        while process.poll() is None and seconds is None:
            time.sleep(0.05)
            if metrics.exists() and metrics.stat().st_size:
                seconds = time.monotonic() - start
        _, status, usage = os.wait4(process.pid, 0) if process.returncode is None else (0, process.returncode, None)
        if status or seconds is None or usage is None:
            screen.seek(0)
            raise SystemExit(f"the run failed:\n{screen.read().decode()[-2000:]}")
    process.returncode = 0
    return seconds, usage.ru_maxrss * 1024


if __name__ == "__main__":
    main()
