"""The contract of a task, as a test that plugins call.

def test_my_task_keeps_the_contract():
    check_task(MyTask())
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sofit.errors import SofitError, did_you_mean
from sofit.grammar_check import check_grammar, targets_by_grammar
from sofit.task import Example, Prediction, Scores, Task, check_task_class

_JUNK = ("", "?!", "I do not know.")
"""Outputs that no task asks for."""

_SPLITS = ("train", "validation")

_SCORED = 200
"""How many examples are scored, spread over all; every one is parsed."""

_GRAMMARS_TRIED = 10
"""Of those of a task that has one for each example."""

_MUTANTS, _WALKS = 300, 20
"""Damaged targets and random outputs on which both engines must agree, for each grammar."""

_FAULTS_SHOWN = 3
"""Of each kind."""


def check_task(task: Task) -> None:
    """Checks all that sofit relies on in a task, on its own data.

    The class has every part; its splits "train" and "validation" are not empty, load alike twice, and name each example once;
    every target parses, breaks no rule of the task, and has a canonical form that parses and is its own; the grammar has no
    flaw for which it could not constrain generation (docs/grammars.md), and has the parts that `roles` names; no prompt depends
    on the target or contains it; every metric gives the targets 1 and junk less, and is the mean of its values per example, if it
    has them.

    Raises:
        AssertionError: lists every fault.
    """
    faults: list[str] = []
    for check in (_class_faults, _data_faults, _prompt_faults, _target_faults, _grammar_faults, _role_faults, _score_faults):
        try:
            found = list(check(task))
        except SofitError as error:
            found = [str(error)]
        faults += found[:_FAULTS_SHOWN]
        if len(found) > _FAULTS_SHOWN:
            faults.append(f"... and {len(found) - _FAULTS_SHOWN} more like it")
        if faults and check in (_class_faults, _data_faults):
            break  # What follows needs the class and the data.
    if faults:
        raise AssertionError("\n- ".join([f"Task {task.name!r} breaks the contract of a task:", *faults]))


def _class_faults(task: Task) -> Iterator[str]:
    check_task_class(type(task))
    yield from ()


def _data_faults(task: Task) -> Iterator[str]:
    examples = _examples(task)
    ids = Counter(example.id for example in examples)
    for id, count in ids.items():
        if count > 1 or not id:
            yield f"{count} examples have the id {id!r}: ids must be unique over all splits"
    if _examples(task) != examples:
        yield "load() gives other examples when called again: a resumed run would train on other data"
    for split in _SPLITS:
        loaded = task.load(split)
        if isinstance(loaded, Sequence) and [loaded[index] for index in range(len(loaded))] != list(loaded):
            yield f"load({split!r}) gives other examples by number than in order: large data would be trained on in part"


def _examples(task: Task) -> list[Example]:
    examples = []
    for split in _SPLITS:
        of_split = list(task.load(split))
        if not of_split:
            raise SofitError(f"split {split!r} is empty")
        examples += of_split
    return examples


def _target_faults(task: Task) -> Iterator[str]:
    for example in _examples(task):
        grammar, target = task.grammar_for(example), example.target
        problem = grammar.problem(target)
        if problem is not None:
            yield f"{_place(example)}: the target {target!r} does not parse: {problem}"
            continue
        rendered = "".join(grammar.parse(target).scan_values(lambda token: True))
        if rendered != target:
            yield f"{_place(example)}: the parse tree of {target!r} renders as {rendered!r}"
        broken = [problem for problem in task.check_for(example, target) if problem.severity == "error"]
        if broken:
            yield f"{_place(example)}: the target {target!r} breaks a rule of the task: {broken[0]}"
        canonical = task.canonical(target, example)
        if not grammar.accepts(canonical):
            yield f"{_place(example)}: the canonical form {canonical!r} of {target!r} does not parse"
        elif task.canonical(canonical, example) != canonical:
            yield f"{_place(example)}: the canonical form {canonical!r} has itself another one"


def _grammar_faults(task: Task) -> Iterator[str]:
    by_grammar = list(targets_by_grammar(task).items())
    for grammar, targets in by_grammar[:: math.ceil(len(by_grammar) / _GRAMMARS_TRIED)]:
        report = check_grammar(grammar, targets[:_SCORED], mutant_count=_MUTANTS, walk_count=_WALKS)
        # Targets that do not parse are faults already.
        yield from (f"grammar {grammar.name!r}: {flaw}" for flaw in report.flaws if flaw.check != "targets")


def _role_faults(task: Task) -> Iterator[str]:
    parts = task.grammar_for(_examples(task)[0]).parts
    for name in task.roles:
        if name not in parts:
            yield f"roles name {name!r}, which is no rule or terminal of the grammar.{did_you_mean(name, sorted(parts))}"


def _prompt_faults(task: Task) -> Iterator[str]:
    examples = _examples(task)
    prompts = [_prompt_text(task, example) for example in examples]
    shared = _shared_prefix(prompts)
    if len(examples) > 1 and shared == max(prompts):
        yield "all prompts are the same: they leave out the input"
    for example, prompt in zip(examples, prompts, strict=True):
        if prompt != _prompt_text(task, replace(example, target="")):
            yield f"{_place(example)}: the prompt depends on the target"
        # The prompt's shared part may hold worked examples, which happen to be the answers to simple inputs.
        elif example.target in prompt[len(shared) :]:
            yield f"{_place(example)}: the prompt contains the target {example.target!r}"


def _score_faults(task: Task) -> Iterator[str]:
    examples = _examples(task)
    examples = examples[:: math.ceil(len(examples) / _SCORED)]
    best = task.score([Prediction(example=example, text=example.target) for example in examples])
    if not best.metrics:
        yield "score() has no metrics"
    for name in task.headline:
        if name not in best.metrics:
            yield f"headline names {name!r}, which score() does not give; it gives {', '.join(best.metrics)}"
    for name, value in best.metrics.items():
        if not math.isclose(value, 1.0):
            yield f"metric {name!r} gives the targets {value:.4g} instead of 1"
    for text in _JUNK:
        junk = task.score([Prediction(example=example, text=text) for example in examples])
        for name, value in best.metrics.items():
            if not 0 <= junk.metrics.get(name, -1) < value:
                yield f"metric {name!r} gives {text!r} {junk.metrics.get(name)} and the targets {value:.4g}"
        yield from _mixture_faults(task, examples, text, best, junk)


def _mixture_faults(task: Task, examples: Sequence[Example], text: str, best: Scores, junk: Scores) -> Iterator[str]:
    """Checks, on targets and junk in turn, that each prediction is scored on its own, in its place, and averaged."""
    mixed = task.score([Prediction(example=e, text=text if index % 2 else e.target) for index, e in enumerate(examples)])
    if any(len(scores.per_example) != len(examples) for scores in (best, junk, mixed)):
        yield f"score() gives {len(mixed.per_example)} entries per_example for {len(examples)} predictions"
        return
    for name, value in mixed.metrics.items():
        alone = [(junk if index % 2 else best).per_example[index].get(name) for index in range(len(examples))]
        values = [entry[name] for entry in mixed.per_example if name in entry]
        if not values:
            continue  # A metric of all predictions together.
        if len(values) < len(examples):
            yield f"metric {name!r} is missing in some entries of per_example"
        elif values != alone:
            yield f"metric {name!r} of one prediction depends on the other predictions"
        elif not math.isclose(value, math.fsum(values) / len(values), abs_tol=1e-9):
            yield f"metric {name!r} is {value:.4g}, which is not the mean of its values per example"


def _prompt_text(task: Task, example: Example) -> str:
    prompt = task.prompt(example)
    return prompt if isinstance(prompt, str) else "\n".join(message["content"] for message in prompt)


def _shared_prefix(texts: Sequence[str]) -> str:
    # What the first and the last of the sorted texts share, all between them share.
    first, last = min(texts), max(texts)
    differs = (index for index, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(differs, len(first))]


def _place(example: Example) -> str:
    return example.where or example.id
