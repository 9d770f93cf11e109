"""The whole check of a grammar: what its text shows, and what its use shows."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sofit.errors import SofitError
from sofit.grammar import Grammar
from sofit.grammar.engine import ByteMatcher
from sofit.grammar.flaw import Flaw
from sofit.grammar.walks import LONGEST_BYTES, GivesUp, random_output
from sofit.grammar_check.mutants import mutants
from sofit.task import Task

_BOUND_IT = "Bound what repeats, as in item~1..20."

_FLAWS_SHOWN = 10
"""Of each check that tries many texts."""


@dataclass
class CheckReport:
    """What the check of a grammar found."""

    flaws: list[Flaw] = field(default_factory=list)
    targets: int = 0
    rejected_by_lark: int = 0
    rejected_by_llguidance: int = 0
    mutants: int = 0
    accepted_mutants: int = 0
    """Mutants that are outputs themselves."""
    differing_mutants: int = 0
    """Mutants of which the two engines give different verdicts."""
    walks: int = 0
    rejected_walks: int = 0

    def flaws_of(self, check: str) -> list[Flaw]:
        """Returns the flaws that one of the checks found."""
        return [flaw for flaw in self.flaws if flaw.check == check]


def check_grammar(
    grammar: Grammar,
    targets: Iterable[tuple[str, str]] = (),
    *,
    mutant_count: int = 10_000,
    walk_count: int = 200,
    seed: int = 0,
) -> CheckReport:
    """Checks that a grammar fits its targets and can constrain generation.

    A grammar whose text has flaws is tried on the targets by lark alone.

    Args:
        grammar: the grammar.
        targets: where each target stands, and the target.
        mutant_count: how many damaged targets the engines must judge alike; without targets, damaged random outputs.
        walk_count: how many random outputs lark must accept.
        seed: decides the mutants and the random outputs.
    """
    report = CheckReport(flaws=list(grammar.flaws))
    try:
        _ = grammar.recogniser
    except SofitError:
        return report
    matcher = None if grammar.flaws else ByteMatcher(grammar.constraint())
    texts = _check_targets(grammar, matcher, targets, report)
    if matcher is not None:
        outputs = _check_walks(grammar, matcher, report, walk_count, seed)
        literals = sorted(grammar.terminals.literals)
        _check_mutants(grammar, matcher, report, mutants(texts or outputs or [""], literals, mutant_count, seed))
    return report


def targets_by_grammar(task: Task, splits: Sequence[str] = ("train", "validation")) -> dict[Grammar, list[tuple[str, str]]]:
    """Returns where each target of a task stands, and the target, under its grammar.

    Raises:
        SofitError: the task's data cannot be read.
    """
    targets: dict[Grammar, list[tuple[str, str]]] = {}
    for split in splits:
        for example in task.load(split):
            targets.setdefault(task.grammar_for(example), []).append((example.where or example.id, example.target))
    return targets


def _check_targets(
    grammar: Grammar, matcher: ByteMatcher | None, targets: Iterable[tuple[str, str]], report: CheckReport
) -> list[str]:
    texts = []
    flaws = []
    for where, target in targets:
        report.targets += 1
        problem = grammar.problem(target)
        if problem is not None:
            report.rejected_by_lark += 1
            flaws.append(Flaw("targets", f"{where}: the target {target!r} is not in the language: {problem}"))
        else:
            texts.append(target)
            rendered = "".join(grammar.parse(target).scan_values(lambda leaf: True))
            if rendered != target:
                flaws.append(Flaw("targets", f"{where}: the tree of {target!r} renders as {rendered!r}"))
        if matcher is not None and not matcher.accepts(target):
            report.rejected_by_llguidance += 1
            if problem is None:
                flaws.append(Flaw("targets", f"{where}: the target {target!r} is accepted by lark and not by llguidance"))
    report.flaws += flaws[:_FLAWS_SHOWN]
    return texts


def _check_walks(grammar: Grammar, matcher: ByteMatcher, report: CheckReport, count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    outputs = []
    for _ in range(count):
        try:
            output = random_output(matcher, chance)
        except GivesUp as reason:
            report.flaws.append(Flaw("walks", f"llguidance gives up on a random output: {reason}.", _BOUND_IT))
            break
        if output is None:
            report.flaws.append(Flaw("walks", f"Random outputs do not end within {LONGEST_BYTES:,} bytes.", _BOUND_IT))
            break
        report.walks += 1
        outputs.append(output)
        problem = grammar.problem(output)
        if problem is not None:
            report.rejected_walks += 1
            report.flaws.append(Flaw("walks", f"The masks allow {output!r}, which lark does not accept: {problem}"))
            if report.rejected_walks == _FLAWS_SHOWN:
                break
    return outputs


def _check_mutants(grammar: Grammar, matcher: ByteMatcher, report: CheckReport, texts: Iterable[str]) -> None:
    for text in texts:
        report.mutants += 1
        is_accepted, is_allowed = grammar.accepts(text), matcher.accepts(text)
        report.accepted_mutants += is_accepted and is_allowed
        if (is_allowed and not is_accepted) or (grammar.is_exact and is_accepted and not is_allowed):
            report.differing_mutants += 1
            if report.differing_mutants <= _FLAWS_SHOWN:
                who = "lark and not by llguidance" if is_accepted else "llguidance and not by lark"
                report.flaws.append(Flaw("mutants", f"{text!r} is accepted by {who}."))
