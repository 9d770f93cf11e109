"""What the grammar's say costs in greedy evaluation of a trained model.

    python benchmarks/constrained_overhead.py --data ../shared/data/viggo --model runs/viggo-lora-1

The same rows are written without and with the grammar, in turns, after one round that compiles. The tokens must be those of a
mask at every step, which is tried too.
"""

import argparse
import statistics
import time
from dataclasses import replace

from evaluation_rows import EvaluationRows, describe, load_rows

from sofit.decoding.generator import generate
from sofit.decoding.masks import TokenMasks
from sofit.decoding.outputs import Generated, GenerationCounts
from sofit.evaluate import grammar_matchers


class Writer:
    """Writes the outputs of rows, with or without their grammars."""

    def __init__(self, rows: EvaluationRows):
        self._rows = rows
        self._masks = TokenMasks(rows.pretrained.tokenizer, rows.model.config.vocab_size)

    def write(self, *, constrained: bool, mask_every_step: bool = False) -> tuple[list[Generated], GenerationCounts, float]:
        """Returns the outputs, the counts, and the seconds that they took, the matchers' making included."""
        rows = self._rows
        start = time.perf_counter()
        matchers = grammar_matchers(rows.task, rows.prompts, self._masks) if constrained else None
        settings = replace(rows.settings, mask_every_step=mask_every_step)
        outputs, counts = generate(rows.model, rows.prompts, settings, rows.pretrained.tokenizer.eos_ids, matchers)
        return outputs, counts, time.perf_counter() - start


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="what `sofit eval --data` takes")
    parser.add_argument("--model", required=True, help="a run folder, or what else `sofit eval --model` takes")
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--max-new-tokens", type=int, help="by default a little more than the longest target needs")
    arguments = parser.parse_args()
    rows = load_rows(arguments.model, arguments.data, arguments.rows, arguments.max_new_tokens)
    print(describe(rows, arguments.model))
    writer = Writer(rows)
    free, _, _ = writer.write(constrained=False)
    chunked, counts, _ = writer.write(constrained=True)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(arguments.repeats):
        # Whoever comes first differs from turn to turn.
        for constrained in (False, True) if turn % 2 == 0 else (True, False):
            seconds[constrained].append(writer.write(constrained=constrained)[2])
    medians = {constrained: statistics.median(times) for constrained, times in seconds.items()}
    print(f"{'':14} {'median s':>9} {'fastest':>8} {'slowest':>8}   of {arguments.repeats}")
    for name, constrained in (("unconstrained", False), ("constrained", True)):
        print(f"{name:14} {medians[constrained]:9.2f} {min(seconds[constrained]):8.2f} {max(seconds[constrained]):8.2f}")
    ratios = [with_grammar / without for without, with_grammar in zip(seconds[False], seconds[True], strict=True)]
    print(f"constrained takes {medians[True] / medians[False] - 1:+.1%} of the median time (turn by turn {_listed(ratios)})")
    same = sum(one == other for one, other in zip(free, chunked, strict=True))
    print(
        f"the mask changed {counts.changed} of {counts.tokens} tokens and left {same} of {len(free)} outputs as they were;"
        f" {counts.completed} were completed"
    )
    stepwise, _, time_taken = writer.write(constrained=True, mask_every_step=True)
    differing = sum(one != other for one, other in zip(chunked, stepwise, strict=True))
    print(f"with a mask at every step: {time_taken:.2f} s, {differing} of {len(chunked)} outputs have other tokens")
    if differing:
        raise SystemExit(1)


def _listed(ratios: list[float]) -> str:
    return ", ".join(f"{ratio - 1:+.1%}" for ratio in ratios)


if __name__ == "__main__":
    main()
