"""Every training target is parsed before the first step, so that no model learns to write what the grammar refuses."""

import logging
from collections.abc import Sequence

from sofit.errors import SofitError
from sofit.grammar import Problem
from sofit.task import Example, Task

_SHOWN = 10
_log = logging.getLogger(__name__)


def checked_examples(task: Task, examples: Sequence[Example], *, allow_invalid: bool) -> list[Example]:
    """Returns the examples whose target is in their grammar.

    Raises:
        SofitError: there are no examples, or some do not parse and `allow_invalid` is not given; lists them.
    """
    if not examples:
        raise SofitError(f"{task.data} has no training examples.")
    problems = {index: problem for index, example in enumerate(examples) if (problem := _problem(task, example)) is not None}
    if not problems:
        return list(examples)
    listing = _listing(examples, problems)
    if not allow_invalid:
        raise SofitError(
            f"{len(problems)} of {len(examples)} training targets are not in the grammar of task {task.name!r}:\n{listing}\n"
            "Mend the data, or leave these rows out with --allow-invalid-targets."
        )
    if len(problems) == len(examples):
        raise SofitError(f"None of the {len(examples)} training targets is in the grammar of task {task.name!r}:\n{listing}")
    _log.warning("Left out %d of %d training examples, whose targets do not parse:\n%s", len(problems), len(examples), listing)
    return [example for index, example in enumerate(examples) if index not in problems]


def _problem(task: Task, example: Example) -> Problem | None:
    return task.grammar_for(example).problem(example.target)


def _listing(examples: Sequence[Example], problems: dict[int, Problem]) -> str:
    lines = [f"  {examples[index].where or examples[index].id}: target {problem}" for index, problem in problems.items()]
    more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join(lines[:_SHOWN] + more)
