"""Fine-tuning by sofit and by other trainers, side by side: the same model, rows, tokens, order, loss and optimiser.

    python benchmarks/train_vs_peers.py --data ../shared/data/viggo --sql-data ../shared/data/spider_dev/dev.jsonl
    python benchmarks/train_vs_peers.py --data ../shared/data/viggo --workloads long --batch 16 --precision float32 --peers trl

Each trainer runs in a process of its own, one after the other, and each peer in an environment of its own that is made once under
--folder with the package index that pip is set up with. LoRA has rank 8 on all seven linear layers; AdamW has a constant rate;
gradients are clipped at 1. Peers accumulate micro-batches of the size at which they are fastest on 2 cores, without gradient
checkpointing. The first --warmup steps compile and are not counted; the rate is the median of the others. sofit compiles in
a later step too where a batch has another shape, and keeps what it compiled for the next start. It therefore runs twice: "first
start" may count compiling, and the ratios are of the second.

A float32 speed counts only if the peer's first loss is ours, averaged as that peer averages, to 1e-4. "tokens" are those that
went through the model in a step, padding included; "start s" is the time from the start of the process to the end of the first
step; the ratio is how many times as many examples a second sofit trains in the same precision. The best precisions are compared
at the end.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from peers.environments import PEERS, python_of
from peers.job import Job
from peers.workloads import WORKLOADS, prepare

from sofit.cache_folder import default_cache_folder
from sofit.errors import SofitError

SCRIPTS = Path(__file__).parent / "peers"
AGREEMENT = 1e-4
LEARNING_RATE = {"lora": 3e-4, "full": 2e-5}
COLUMNS = "{:9} {:6} {:9} {:>10} {:>8} {:>7} {:>7} {:>10} {:>6}  {}"


def run(trainer: str, job: Job, folder: Path, arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Runs a trainer on a job in a process of its own; returns its record, as far as it came, or None."""
    name = f"{trainer}-{job.method}-{job.precision}-{job.batch}-{job.remat}"
    python: Path | str = sys.executable
    if trainer != "sofit":
        python = dict(arguments.python).get(trainer) or python_of(trainer, folder.parent / "environments")
    script = SCRIPTS / ("run_sofit.py" if trainer == "sofit" else PEERS[trainer].script)
    record, request = folder / f"{name}.json", folder / f"{name}-job.json"
    record.unlink(missing_ok=True)
    request.write_text(json.dumps(dataclasses.asdict(dataclasses.replace(job, result=str(record)))))
    with (folder / f"{name}.log").open("w") as log:
        try:
            subprocess.run([python, script, request], stdout=log, stderr=subprocess.STDOUT, check=False, timeout=arguments.limit)
        except subprocess.TimeoutExpired:
            print(f"{name} was stopped after {arguments.limit:.0f} s", flush=True)
    if not record.is_file():
        print(f"{name} took no step; {log.name} says why", flush=True)
        return None
    return json.loads(record.read_text())


def run_again(job: Job, folder: Path, arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Runs sofit on a job, prints a line, and runs it once more with everything compiled; returns the later record, or None."""
    first = run("sofit", job, folder, arguments)
    if first is None:
        return None
    show("sofit", job, first, examples_per_second(first, arguments.warmup), "", "first start")
    return run("sofit", job, folder, arguments)


def examples_per_second(record: dict[str, Any], warmup: int) -> float:
    """Returns the median rate of the steps after the warm-up, or of the only ones that there are."""
    seconds = record["seconds"][warmup:] or record["seconds"]
    return record["job"]["batch"] / median(seconds)


def expected_loss(losses: Sequence[tuple[float, int]], averages: str, micro: int) -> float:
    """Returns the first loss of a trainer that computes what we do: a mean over `tokens`, or of the means of `micro` batches."""
    parts = [losses[first : first + micro] for first in range(0, len(losses), micro)] if averages == "micro" else [losses]
    return mean(sum(total for total, _ in part) / sum(count for _, count in part) for part in parts)


def micro_batch(tokens: int, job: Job) -> int:
    """Returns the largest part of the batch, a power of two, that holds at most so many tokens."""
    sizes = [2**power for power in range(job.batch.bit_length()) if job.batch % 2**power == 0]
    return max(size for size in sizes if size * job.length <= tokens or size == 1)


def compare(job: Job, trainers: Sequence[str], folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Runs the trainers on a job, prints a line each, and returns the rates that count."""
    ours = run_again(job, folder, arguments)
    if ours is None or (job.precision == "float32" and "losses_by_example" not in ours):
        return {}  # Without our losses, which come last, no speed of a peer would count.
    rate = examples_per_second(ours, arguments.warmup)
    rates = {"sofit": rate}
    show("sofit", job, ours, rate, "", "")
    for policy in arguments.remat:
        sparing = run_again(dataclasses.replace(job, remat=policy), folder, arguments)
        if sparing is None:
            continue
        sparing_rate = examples_per_second(sparing, arguments.warmup)
        show("sofit", job, sparing, sparing_rate, f"{rate / sparing_rate:.2f}x", f"trainer.remat_policy={policy}")
    for name in trainers:
        peer = PEERS[name]
        if job.precision not in peer.precisions:
            continue
        theirs = dataclasses.replace(job, micro=micro_batch(arguments.micro_tokens or peer.micro_tokens, job))
        record = run(name, theirs, folder, arguments)
        if record is None:
            continue
        counts, remark = True, ""
        if job.precision == "float32":
            difference = abs(record["losses"][0] - expected_loss(ours["losses_by_example"], peer.averages, theirs.micro))
            counts = difference <= AGREEMENT
            remark = f"loss {'agrees' if counts else 'DIFFERS'} by {difference:.1e}"
        their_rate = examples_per_second(record, arguments.warmup)
        show(name, job, record, their_rate, f"{rate / their_rate:.1f}x", remark)
        if counts:
            rates[name] = their_rate
    return rates


def show(trainer: str, job: Job, record: dict[str, Any], rate: float, ratio: str, remark: str) -> None:
    """Prints a line of the table."""
    memory, started = record["peak_memory_bytes"] / 1e9, record["first_step_done"]
    tokens, loss = f"{mean(record['computed_tokens']):.0f}", f"{record['losses'][0]:.5f}"
    figures = (f"{rate:.4f}", tokens, f"{memory:.1f}", f"{started:.0f}", loss, ratio, remark)
    print(COLUMNS.format(trainer, job.method, job.precision, *figures), flush=True)


def best(rates: dict[str, dict[str, float]]) -> str:
    """Returns how sofit in its best precision compares with the best peer in its best, or "" without a peer."""
    ours = max((of["sofit"] for of in rates.values() if "sofit" in of), default=0.0)
    theirs = [(rate, name, precision) for precision, of in rates.items() for name, rate in of.items() if name != "sofit"]
    if not theirs or not ours:
        return ""
    rate, name, precision = max(theirs)
    return f"sofit {ours:.3g} examples/s, best peer {rate:.3g} ({name}, {precision}): {ours / rate:.1f}x"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="what `sofit train --task viggo --data` takes; the demo by default")
    parser.add_argument("--sql-data", help="what `sofit train --task sql --data` takes; the demo by default")
    parser.add_argument("--model", default="smollm2-135m", help="what `sofit train --model` takes")
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--method", nargs="+", choices=["lora", "full"], default=["lora", "full"])
    parser.add_argument("--precision", nargs="+", choices=["float32", "bfloat16"], default=["float32", "bfloat16"])
    parser.add_argument("--batch", nargs="+", type=int, default=[16, 128])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--warmup", type=int, default=1, help="steps that are not counted")
    parser.add_argument("--limit", type=float, default=7200, help="the most seconds that a trainer may take")
    parser.add_argument(
        "--remat", nargs="+", choices=["attention", "full"], default=[], help="also measure sofit with this trainer.remat_policy"
    )
    parser.add_argument("--micro-tokens", type=int, help="what peers put through at once; by default, what is fastest on 2 cores")
    parser.add_argument(
        "--python",
        nargs=2,
        action="append",
        default=[],
        metavar=("PEER", "PATH"),
        help="the interpreter of an environment that has the peer already",
    )
    parser.add_argument("--folder", type=Path, default=default_cache_folder() / "benchmarks", help="for environments and records")
    arguments = parser.parse_args()
    data_of = {name: arguments.sql_data if WORKLOADS[name].task == "sql" else arguments.data for name in arguments.workloads}
    rows = max(arguments.batch) * arguments.steps
    # All of them first: data that cannot be read is told now, and not after hours of another workload.
    all_prepared = {
        name: prepare(WORKLOADS[name], arguments.model, data, rows, arguments.folder / name) for name, data in data_of.items()
    }
    for name, prepared in all_prepared.items():
        workload, data, folder = WORKLOADS[name], data_of[name], arguments.folder / name
        for batch in arguments.batch:
            for method in arguments.method:
                print(f"\n{workload.description}; batch {batch}, {arguments.model}, rows of {data or 'the demo'}")
                print(
                    COLUMNS.format(
                        "trainer", "method", "precision", "examples/s", "tokens", "peak GB", "start s", "first loss", "ratio", ""
                    )
                )
                rates = {}
                for precision in arguments.precision:
                    job = Job(
                        model=str(prepared.model),
                        rows=str(prepared.rows),
                        method=method,
                        precision=precision,
                        batch=batch,
                        micro=batch,
                        length=prepared.length,
                        steps=arguments.steps,
                        learning_rate=LEARNING_RATE[method],
                    )
                    rates[precision] = compare(job, arguments.peers, folder, arguments)
                print(best(rates))


if __name__ == "__main__":
    try:
        main()
    except SofitError as error:
        sys.exit(str(error))
