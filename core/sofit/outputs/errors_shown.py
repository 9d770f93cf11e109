"""The predictions that went most wrong, and where each differs from its target."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

Piece = tuple[str, bool]
"""A stretch of text, and whether the other text lacks it."""


@dataclass(frozen=True)
class ShownError:
    """A wrong prediction."""

    id: str
    input: str
    target: tuple[Piece, ...]
    output: tuple[Piece, ...]
    finished: bool


def worst_errors(predictions: Sequence[Mapping[str, Any]], metrics: Sequence[str], most: int = 20) -> list[ShownError]:
    """Returns the predictions that differ from their targets, the lowest mean of `metrics` first.

    Args:
        predictions: entries of predictions.jsonl of one evaluation.
        metrics: which of an entry's scores count.
        most: how many to return.
    """
    wrong = [entry for entry in predictions if entry["output"] != entry["target"]]
    ranked = sorted(wrong, key=lambda entry: _score(entry["scores"], metrics))
    return [_shown(entry) for entry in ranked[:most] if _score(entry["scores"], metrics) < 1]


def _score(scores: Mapping[str, Any], metrics: Sequence[str]) -> float:
    counted = [float(scores[name]) for name in metrics if isinstance(scores.get(name), int | float)]
    return mean(counted) if counted else 0.0


def _shown(entry: Mapping[str, Any]) -> ShownError:
    target, output = _words(entry["target"]), _words(entry["output"])
    blocks = difflib.SequenceMatcher(None, target, output, autojunk=False).get_opcodes()
    return ShownError(
        id=entry["id"],
        input=entry["input"] if isinstance(entry["input"], str) else str(entry["input"]),
        target=tuple(("".join(target[i:j]), tag != "equal") for tag, i, j, _, _ in blocks if j > i),
        output=tuple(("".join(output[i:j]), tag != "equal") for tag, _, _, i, j in blocks if j > i),
        finished=entry["finished"],
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|\s+|[^\w\s]", text)
