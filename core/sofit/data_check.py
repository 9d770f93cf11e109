"""Every target is parsed before it is trained on, so that no model learns, or is judged by, what the grammar refuses."""

import logging
from collections.abc import Mapping, Sequence

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
    problems = target_problems(task, examples)
    if not problems:
        return list(examples)
    if not allow_invalid or len(problems) == len(examples):
        raise refusal(task, examples, problems, split, allow_invalid=allow_invalid)
    listing = listing_of(examples, problems)
    _log.warning("Left out %d of %d %s examples, whose targets do not parse:\n%s", len(problems), len(examples), split, listing)
    return [example for index, example in enumerate(examples) if index not in problems]


def target_problems(task: Task, examples: Sequence[Example]) -> dict[int, Problem]:
    """Returns what is wrong with the targets that are not in their grammar, by their example's place."""
    found = ((index, task.grammar_for(example).problem(example.target)) for index, example in enumerate(examples))
    return {index: problem for index, problem in found if problem is not None}


def refusal(
    task: Task, examples: Sequence[Example], problems: Mapping[int, Problem], split: str, *, allow_invalid: bool
) -> SofitError:
    """Returns the error that names the targets that do not parse, and what to do about them."""
    remedy = "Mend the data." if allow_invalid else "Mend the data, or leave these rows out with --allow-invalid-targets."
    return SofitError(
        f"{len(problems)} of {len(examples)} {split} targets are not in the grammar of task {task.name!r}:\n"
        f"{listing_of(examples, problems)}\n{remedy}"
    )


def listing_of(examples: Sequence[Example], problems: Mapping[int, Problem]) -> str:
    """Names the first few of them, a line each."""
    lines = [f"  {examples[index].where or examples[index].id}: target {problem}" for index, problem in problems.items()]
    more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join(lines[:_SHOWN] + more)
