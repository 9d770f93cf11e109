"""`sofit validate`: which outputs are valid, and what is wrong with the others."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Literal

import typer

from sofit.cli.options import PluginFiles, Settings, configure, load
from sofit.errors import SofitError

if TYPE_CHECKING:
    from sofit.validation.judge import Judge, JudgeByExample
    from sofit.validation.reports import Report
    from sofit.validation.run import Result

_INVALID, _FAILED = 1, 2


FormatIn = Literal["text", "lines", "jsonl", "csv"]
Split = Literal["train", "validation", "test"]
OutputFormat = Literal["full", "concise", "json", "jsonl", "github", "sarif", "junit"]


def validate(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files, folders of them, or - for the standard input.")],
    grammar: Annotated[
        str | None, typer.Option(help="A grammar by name, or the path of a .lark or .json (JSON Schema) file.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="A task: its grammar and its rules.")] = None,
    data: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Of a task with a grammar for each example: where the examples are.")
    ] = None,
    split: Annotated[
        Split | None, typer.Option(help="The split whose examples the records' ids name; by default validation.")
    ] = None,
    settings: Settings = None,
    plugin: PluginFiles = None,
    format_in: Annotated[
        FormatIn | None,
        typer.Option(
            help="lines: each line is an output (.txt, -). text: the whole file is one. jsonl, csv. By default by suffix."
        ),
    ] = None,
    field: Annotated[str | None, typer.Option(help="The field of JSONL or CSV that holds the output.")] = None,
    id_field: Annotated[str | None, typer.Option(help="The field that names the record in findings; by default id.")] = None,
    stdin_filename: Annotated[
        str | None, typer.Option(help="What to call the standard input; its suffix decides the format.")
    ] = None,
    output_format: Annotated[OutputFormat | None, typer.Option(help="How to write the findings; by default full.")] = None,
    output_file: Annotated[Path | None, typer.Option(help="Write the findings to this file.")] = None,
    select: Annotated[list[str] | None, typer.Option(help="Report only codes that begin so; commas separate several.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Report no codes that begin so.")] = None,
    min_valid: Annotated[
        float | None, typer.Option(min=0, max=1, help="Succeed if at least this share of the outputs is valid, as 0.98.")
    ] = None,
    max_errors: Annotated[int | None, typer.Option(min=1, help="Stop after so many errors.")] = None,
    statistics: Annotated[bool, typer.Option("--statistics", help="Count the findings by code and show nothing else.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what surrounds outputs: code fences, white space, CRLF.")] = False,
    unsafe_fixes: Annotated[
        bool, typer.Option("--unsafe-fixes", help="With --fix or --diff: also write what was probably meant.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what --fix would change, and change nothing.")] = False,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Succeed even if outputs are invalid.")] = False,
    allow_empty: Annotated[bool, typer.Option("--allow-empty", help="Take a file without outputs for valid.")] = False,
) -> None:
    """Check outputs against a grammar.

    Exit code 0: all are valid. 1: some are not. 2: the question could not be answered.
    """
    if unsafe_fixes and not (fix or diff):
        raise SofitError("--unsafe-fixes changes what --fix and --diff do. Give one of them too.")
    if max_errors is not None and min_valid is not None:
        raise SofitError("--min-valid needs all outputs, and --max-errors stops reading. Give one of them.")
    if output_format is not None and (statistics or diff):
        raise SofitError(
            "--output-format is how findings are written, and --statistics and --diff show none. The summary of json has counts."
        )
    if output_file is not None and diff:
        raise SofitError("--output-file takes findings, and --diff shows none. Send the standard output to a file instead.")
    if fix and diff:
        raise SofitError("--fix changes the files and --diff does not. Give one of them.")
    from sofit.validation.progress import progress_bar
    from sofit.validation.run import Mode
    from sofit.validation.run import validate as run
    from sofit.validation.sources import STDIN, find_sources

    rules = {"select": _codes(select), "ignore": _codes(ignore)}
    if task is not None:
        judge = _judge_of_task(grammar, task, data, split, settings, plugin, **rules)
    elif grammar is not None:
        if data is not None or split is not None or settings:
            raise SofitError("--data, --split and --set concern a task that has a grammar for each example. Name it with --task.")
        judge = _judge_of_grammar(grammar, plugin, **rules)
    else:
        raise SofitError("Say what the outputs must be: --grammar NAME or FILE, or --task NAME.")
    sources = find_sources(
        paths,
        format_in=format_in,
        output_field=field,
        id_field=id_field,
        stdin_filename=stdin_filename,
    )
    if output_file is not None and any(source.is_file(output_file) for source in sources):
        raise SofitError(f"The outputs are read from {output_file}. Write the findings to another file with --output-file.")
    mode = Mode(
        rewrite="fix" if fix else "diff" if diff else "no",
        unsafe_fixes=unsafe_fixes,
        max_errors=max_errors,
        allow_empty=allow_empty,
    )
    # A fixed standard input takes the standard output, so the findings make way.
    findings_to_stderr = fix and STDIN in paths
    with _closed_pipe_is_no_error(), _output(output_file, sys.stderr if findings_to_stderr else sys.stdout) as stream:
        report = _report(None if statistics or diff else output_format or "full", stream, judge)
        with progress_bar(sources) as on_read:
            result = run(sources, judge, report, mode, on_read=on_read)
        if statistics:
            from sofit.validation.reports import statistics as counts

            stream.write(counts(result.summary, judge.titles))
        stream.flush()
    if result.summary.n or not result.failures:
        typer.echo(str(result.summary), err=True)
    for failure in result.failures:
        typer.echo(f"error: {failure}", err=True)
    raise typer.Exit(_exit_code(result, min_valid, exit_zero))


def _codes(options: list[str] | None) -> list[str]:
    return [code.strip().upper() for option in options or [] for code in option.split(",") if code.strip()]


def _judge_of_task(
    grammar: str | None,
    task: str,
    data: str | None,
    split: Split | None,
    settings: list[str] | None,
    plugin: list[str] | None,
    *,
    select: list[str],
    ignore: list[str],
) -> "Judge | JudgeByExample":
    """Judges by the rules of a task, and by its grammar or that of each example unless another is named."""
    from sofit.validation.judge import Judge, JudgeByExample

    loaded, plugins = configure(config=None, settings=settings, plugin=plugin, overrides={"task": task, "data": data})
    chosen = plugins.make_task(loaded)
    language = chosen.grammar if grammar is None else plugins.grammar(grammar)
    if language is not None:
        if data is not None or split is not None:
            raise SofitError("--data and --split are read where each example has its own grammar, and here one is for all.")
        _ = language.recogniser  # A grammar that does not compile is an error before anything is read.
        return Judge(language, chosen, select, ignore)
    if data is None and chosen.is_demo:
        typer.echo(
            "warning: without --data the outputs are taken for those of the task's demo set. --data SOURCE says where their"
            " examples are.",
            err=True,
        )
    return JudgeByExample(chosen, {example.id: example for example in chosen.load(split or "validation")}, select, ignore)


def _judge_of_grammar(grammar: str, plugin: list[str] | None, *, select: list[str], ignore: list[str]) -> "Judge":
    from sofit.validation.judge import Judge

    plugins = load(plugin or [])
    language = plugins.grammar(grammar)
    _ = language.recogniser
    # A task by the name of its grammar brings its rules.
    has_task = grammar in plugins.tasks and plugins.tasks[grammar].grammar is language
    return Judge(language, plugins.tasks[grammar]() if has_task else None, select, ignore)


def _report(output_format: OutputFormat | None, stream: IO[str], judge: "Judge | JudgeByExample") -> "Report":
    from sofit.validation import reports

    if output_format is None:
        return reports.Silent()
    if output_format == "full":
        return reports.Full(stream, color=stream.isatty())
    if output_format == "concise":
        return reports.Concise(stream)
    if output_format == "github":
        return reports.Github(stream)
    from sofit.validation import machine_reports

    if output_format == "sarif":
        return machine_reports.Sarif(stream, judge.titles)
    if output_format == "junit":
        return machine_reports.Junit(stream)
    return machine_reports.Json(stream) if output_format == "json" else machine_reports.JsonLines(stream)


@contextlib.contextmanager
def _output(path: Path | None, stream: IO[str]) -> Iterator[IO[str]]:
    """Gives the stream for the findings, which takes any character."""
    if path is None:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
        yield stream
        return
    try:
        with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
            yield file
    except OSError as error:
        raise SofitError(f"Cannot write {path}: {error.strerror}.") from error


@contextlib.contextmanager
def _closed_pipe_is_no_error() -> Iterator[None]:
    """Ends quietly where the reader of the standard output has seen enough, as `head` does."""
    try:
        yield
    except BrokenPipeError:
        # Python would flush the stream once more at exit, and complain.
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115
        raise typer.Exit(_INVALID) from None


def _exit_code(result: "Result", min_valid: float | None, exit_zero: bool) -> int:
    if result.failures:
        return _FAILED
    rate = result.summary.rate
    is_good = result.invalid == 0 if min_valid is None or rate is None else rate >= min_valid
    return 0 if is_good or exit_zero else _INVALID
