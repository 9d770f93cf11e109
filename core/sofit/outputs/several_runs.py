"""The scores of several runs in one table."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sofit.errors import SofitError
from sofit.outputs.comparison import Comparison, tabulate

_KEYS = ("task", "model", "data", "evaluations")
_EVALUATION_KEYS = ("when", "step", "split", "n", "constrained", "metrics")


def read_results(path: str | Path) -> dict[str, Any]:
    """Reads the results.json of a run folder, or a file like it.

    Raises:
        SofitError: there is none, it is no such file, or nothing was evaluated.
    """
    file = Path(path) / "results.json" if Path(path).is_dir() else Path(path)
    if not file.is_file():
        hint = (
            "A run writes it at its end; `sofit train --resume` goes on with one that was interrupted."
            if file != Path(path)
            else ""
        )
        raise SofitError(f"{file}: there is no such file. {hint}".rstrip())
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SofitError(f"{file}: this is not JSON: {error}.") from error
    if not isinstance(results, dict) or not all(key in results for key in _KEYS):
        raise SofitError(f"{file}: these are not the results of a run, which have the keys {', '.join(_KEYS)}.")
    if not results["evaluations"]:
        raise SofitError(f"{file}: nothing was evaluated in this run. `sofit eval --model {path}` does so.")
    for number, entry in enumerate(results["evaluations"], 1):
        missing = [key for key in _EVALUATION_KEYS if key not in entry]
        if missing:
            raise SofitError(f"{file}: evaluation {number} lacks {', '.join(missing)}, so these are not the results of a run.")
    return results


def compare_runs(results: Mapping[str, Mapping[str, Any]]) -> Comparison:
    """Sets the last evaluations of runs beside each other, then how long each trained and what memory it took.

    Args:
        results: what `read_results` read, by the path of each run.

    Raises:
        SofitError: the runs are of different tasks.
    """
    tasks = {result["task"]: run for run, result in results.items()}
    if len(tasks) > 1:
        of_tasks = ", ".join(f"{run} is of {task}" for task, run in tasks.items())
        raise SofitError(f"Only runs of one task can be compared: {of_tasks}.")
    columns: dict[str, Mapping[str, Any]] = {}
    trainings: list[Mapping[str, Any]] = []
    sources: list[str] = []
    for name, result in zip(_short_names(list(results)), results.values(), strict=True):
        last = result["evaluations"][-1]
        for entry in result["evaluations"]:
            if (entry["when"], entry["step"]) == (last["when"], last["step"]):
                columns[f"{name}, constrained" if entry["constrained"] else name] = entry
                trainings.append(result.get("train", {}))
                sources.append(Path(result["data"]["source"]).name)
    table = tabulate(columns)
    steps = tuple(str(training.get("steps", "–")) for training in trainings)
    minutes = tuple(f"{training['seconds'] / 60:.1f}" if "seconds" in training else "–" for training in trainings)
    peaks = [training.get("peak_memory_bytes") for training in trainings]
    memory = tuple("–" if peak is None else f"{peak / 1e9:.1f}" for peak in peaks)
    measured = tuple(f"{entry['split']}, {entry['n']}" for entry in columns.values())
    # Scores on other examples are no rivals, so the table says where they differ.
    differing = [(name, cells) for name, cells in (("data", tuple(sources)), ("examples", measured)) if len(set(cells)) > 1]
    more = (*differing, ("training steps", steps), ("training minutes", minutes), ("peak memory, GB", memory))
    return replace(table, rows=(*table.rows, *more))


def _short_names(paths: list[str]) -> list[str]:
    """Returns what sets the paths apart: the last part of each, or all of it where these are the same."""
    last = [
        Path(path).stem if Path(path).suffix == ".json" and Path(path).stem != "results" else Path(path).name for path in paths
    ]
    return last if len(set(last)) == len(last) else paths
