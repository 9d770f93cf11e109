"""Every target is parsed before the first step, so that no model learns, or is judged by, what the grammar refuses."""

import logging
from collections.abc import Sequence

from sofit.errors import SofitError
from sofit.grammar import Problem
from sofit.task import Example, Task

_SHOWN = 10
_log = logging.getLogger(__name__)


def checked_examples(task: Task, examples: Sequence[Example], split: str, *, allow_invalid: bool) -> list[Example]:
    """Returns the examples of a split whose target is in their grammar.

    Raises:
        SofitError: some targets do not parse and `allow_invalid` is not given, or none does; lists them.
    """
    problems = {index: problem for index, example in enumerate(examples) if (problem := _problem(task, example)) is not None}
    if not problems:
        return list(examples)
    listing = _listing(examples, problems)
    if not allow_invalid or len(problems) == len(examples):
        remedy = "Mend the data, or leave these rows out with --allow-invalid-targets."
        raise SofitError(
            f"{len(problems)} of {len(examples)} {split} targets are not in the grammar of task {task.name!r}:\n{listing}\n"
            f"{'Mend the data.' if allow_invalid else remedy}"
        )
    _log.warning("Left out %d of %d %s examples, whose targets do not parse:\n%s", len(problems), len(examples), split, listing)
    return [example for index, example in enumerate(examples) if index not in problems]


def _problem(task: Task, example: Example) -> Problem | None:
    return task.grammar_for(example).problem(example.target)


def _listing(examples: Sequence[Example], problems: dict[int, Problem]) -> str:
    lines = [f"  {examples[index].where or examples[index].id}: target {problem}" for index, problem in problems.items()]
    more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join(lines[:_SHOWN] + more)
