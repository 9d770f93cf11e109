"""How long quick commands take to start: the median of several runs.

python benchmarks/startup.py
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 9
COMMANDS = (["--help"], ["train", "--help"], ["tasks"], ["validate", "outputs.txt", "--grammar", "viggo"])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "outputs.txt").write_text("inform(name[Portal])\n")
        for arguments in COMMANDS:
            times = [seconds(arguments, folder) for _ in range(RUNS + 1)][1:]  # The first one fills the file cache.
            median, slowest = statistics.median(times), max(times)
            print(f"sofit {' '.join(arguments):40} median {median:.3f} s  slowest of {RUNS} {slowest:.3f} s")


def seconds(arguments: list[str], folder: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "sofit", *arguments], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
