"""`sofit grammar`: work with grammars."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from sofit.cli.options import Data, PluginFiles, Task, load
from sofit.errors import SofitError

if TYPE_CHECKING:
    from sofit.grammar import Grammar
    from sofit.grammar_check import CheckReport
    from sofit.plugins import Plugins

app = typer.Typer(no_args_is_help=True, help="Work with grammars.")


@app.callback()
def grammar() -> None:
    """Work with grammars."""


@app.command(epilog="Example: sofit grammar check viggo --data data/viggo")
def check(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A grammar by name, the path of a .lark or .json (JSON Schema) file, or a task.")
    ],
    task: Task = None,
    data: Data = None,
    plugin: PluginFiles = None,
    mutants: Annotated[
        int, typer.Option(min=0, help="Damaged targets of which both engines must give the same verdict.")
    ] = 10_000,
    walks: Annotated[int, typer.Option(min=0, help="Random outputs of the masks that must be accepted.")] = 200,
    seed: Annotated[int, typer.Option(help="Decides the damage and the random outputs.")] = 0,
) -> None:
    """Check that a grammar can judge and constrain outputs, and that a task's targets are in it.

    Exit code 0: it can. 1: it has flaws, which are listed. 2: it cannot be read.
    """
    from sofit.grammar_check import check_grammar

    plugins = load(plugin or ())
    has_flaws = False
    for chosen, targets, share in _grammars(plugins, name, task, data):
        counts = {"mutant_count": math.ceil(mutants * share), "walk_count": math.ceil(walks * share)}
        report = check_grammar(chosen, targets, **counts, seed=seed)
        typer.echo(_describe(chosen, report))
        has_flaws = has_flaws or bool(report.flaws)
    raise typer.Exit(1 if has_flaws else 0)


def _grammars(
    plugins: "Plugins", name: str, task_name: str | None, data: str | None
) -> "Iterator[tuple[Grammar, list[tuple[str, str]], float]]":
    """Yields each grammar to check, with the task's targets in it, and its share of all targets."""
    from sofit.grammar_check import targets_by_grammar
    from sofit.task import make_task

    if task_name is None and name in plugins.tasks:
        task_name = name
    if task_name is None:
        grammar = plugins.grammar(name)
        if data is not None:
            raise SofitError("--data is read by a task. Name it with --task.")
        yield grammar, [], 1.0
        return
    task = make_task(plugins.task(task_name), {} if data is None else {"data": data})
    targets = targets_by_grammar(task)
    count = sum(map(len, targets.values()))
    if name in plugins.grammars or name not in plugins.tasks:
        # The grammar that was named judges all targets, whatever grammar the task has.
        yield plugins.grammar(name), [pair for pairs in targets.values() for pair in pairs], 1.0
        return
    for grammar, pairs in targets.items():
        yield grammar, pairs, len(pairs) / count


def _describe(grammar: "Grammar", report: "CheckReport") -> str:
    """Returns a line for each check, with its flaws below it."""
    counts = {
        **grammar.checks,
        "targets": f"{report.targets:,} targets: {report.rejected_by_lark:,} rejected by python-lark, "
        f"{report.rejected_by_llguidance:,} by llguidance; all render back to themselves",
        "mutants": f"{report.mutants:,} mutants: {report.differing_mutants:,} with different verdicts"
        f" ({report.accepted_mutants:,} accepted by both)",
        "walks": f"{report.walks:,} random outputs of the masks: {report.rejected_walks:,} rejected by python-lark",
    }
    tried = {"targets": report.targets, "mutants": report.mutants, "walks": report.walks}
    lines = [f"grammar {grammar.name}" + (f" ({grammar.path})" if grammar.path else "")]
    is_readable = not any(flaw.check in ("subset", "compiles") for flaw in report.flaws)
    needs_reading = ("compiles", "bounded", "conflicts", "collisions")
    for check, meaning in counts.items():
        flaws = report.flaws_of(check)
        if not flaws and (tried.get(check) == 0 or (check in needs_reading and not is_readable)):
            lines.append(f"  -    {check:<11} not tried")
            continue
        lines.append(f"  {'FAIL' if flaws else 'ok  '} {check:<11} {meaning}")
        lines += [f"         {flaw}" for flaw in flaws]
    return "\n".join(lines)
