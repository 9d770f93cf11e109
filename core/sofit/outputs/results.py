"""results.json: what a run was and what came of it, for scripts. docs/cli.md describes its keys."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from sofit.outputs.peak_memory import peak_memory_bytes
from sofit.outputs.versions import installed_versions
from sofit.run import Outcome, Run
from sofit.task import Task


def demo_notice(task: Task) -> str:
    """Returns what every report says of a run on made-up data."""
    made_up = f"The plugin of task {task.name!r} made these examples up."
    return f"{made_up} The scores show that training works, not how good the model is."


def example_counts(run: Run) -> str:
    """Returns how many examples there are, as "5103 train, 714 validation examples"; "" where nobody counted."""
    counts = ", ".join(f"{count} {split}" for split, count in run.info.get("examples", {}).items())
    return counts and f"{counts} examples"


def results_of(
    run: Run, outcome: Outcome, steps: Sequence[Mapping[str, Any]], evaluations: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Returns what results.json holds.

    Args:
        run: the run; its `info` is repeated.
        outcome: how it ended.
        steps: the lines of metrics.jsonl.
        evaluations: the lines of evaluations.jsonl.
    """
    info = dict(run.info)
    shares = [step["mfu"] for step in steps if step.get("mfu") is not None]  # Lines of older versions have none.
    computed, of_examples = (sum(step[key] for step in steps) for key in ("computed_tokens", "example_tokens"))
    return {
        "task": run.task.name,
        "method": run.config.method,
        "model": run.model_name,
        "data": {"source": run.task.data, "demo": run.task.is_demo, "counts": info.pop("examples", {})},
        "train": {
            "status": outcome.status,
            "reason": outcome.reason,
            "steps": outcome.step,
            "seconds": sum(step["seconds"] for step in steps),
            "examples": sum(step["examples"] for step in steps),
            "examples_per_second": examples_per_second(steps),
            "mfu": median(shares) if shares else None,
            "completion_tokens": sum(step["completion_tokens"] for step in steps),
            "first_loss": steps[0]["loss"] if steps else None,
            "last_loss": steps[-1]["loss"] if steps else None,
            "last_loss_by_role": steps[-1].get("loss_by_role", {}) if steps else {},
            "peak_memory_bytes": peak_memory_bytes(),
            "tokens": {
                "with_sharing": computed,
                "without_sharing": of_examples,
                "saved": of_examples - computed,
            },
        },
        "evaluations": list(evaluations),
        "seed": run.config.trainer.seed,
        "versions": installed_versions(),
        **info,
    }


def examples_per_second(steps: Sequence[Mapping[str, Any]]) -> float | None:
    """Returns the median over the steps, which the few that compile do not move; None without a step."""
    return median(step["examples_per_second"] for step in steps) if steps else None
