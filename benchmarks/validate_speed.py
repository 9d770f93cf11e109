"""How fast `sofit validate` is, and how much memory it takes: lines of real ViGGO outputs, valid ones and damaged ones.

    python benchmarks/validate_speed.py --data ../shared/data/viggo

Each row is a run of the command in a process of its own, start-up included; the last compares the verdict on a line with
parsing it.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sofit_grammars import builtin_grammar
from sofit_viggo import ViggoTask


def write_lines(path: Path, targets: list[str], count: int, damaged_share: float) -> None:
    """Writes `count` targets, chosen by chance; in the damaged ones one character is another."""
    chance = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            line = chance.choice(targets)
            if chance.random() < damaged_share:
                place = chance.randrange(len(line))
                line = line[:place] + chance.choice("x][,)") + line[place + 1 :]
            file.write(line + "\n")


def run_command(path: Path) -> tuple[float, float, str]:
    """Validates a file; returns the seconds, the peak memory in MiB, and the summary."""
    command = [sys.executable, "-m", "sofit", "validate", str(path), "--grammar", "viggo", "--output-format", "concise"]
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        _, _, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        errors.seek(0)
        return seconds, usage.ru_maxrss / 1024, errors.read().strip()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="demo", help="what `sofit train --data` takes")
    parser.add_argument("--lines", type=int, default=100_000)
    arguments = parser.parse_args()
    targets = [example.target for example in ViggoTask(data=arguments.data).load("train")]
    print(f"{'file':>24} {'seconds':>8} {'lines/s':>9} {'peak MiB':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for name, count, share in (
            ("one line", 1, 0),
            ("all valid", arguments.lines, 0),
            ("one in ten damaged", arguments.lines, 0.1),
        ):
            path = Path(folder) / "out.txt"
            write_lines(path, targets, count, share)
            seconds, peak, summary = run_command(path)
            print(f"{name:>24} {seconds:8.2f} {count / seconds:9,.0f} {peak:9.1f}   {summary}")
    grammar = builtin_grammar("viggo")
    for name, judge in (("verdict", grammar.accepts), ("tree", grammar.parser.parse)):
        started = time.perf_counter()
        for target in targets[:5000]:
            judge(target)
        print(f"{name:>24} {(time.perf_counter() - started) / len(targets[:5000]) * 1e6:8.1f} microseconds a line")


if __name__ == "__main__":
    main()
