"""The course of a validation: each source, each output, judged, mended where wanted, and reported."""

import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import BinaryIO, Literal

from sofit.errors import SofitError
from sofit.validation.findings import Finding, Summary
from sofit.validation.fixes import find_fix
from sofit.validation.judge import Judge, JudgeByExample
from sofit.validation.outputs import Lines, Output
from sofit.validation.reports import Report
from sofit.validation.rewriting import Diff, Rewriter, replacing
from sofit.validation.sources import Source


@dataclass(frozen=True, kw_only=True)
class Mode:
    """What to do besides judging."""

    rewrite: Literal["no", "fix", "diff"] = "no"
    unsafe_fixes: bool = False
    max_errors: int | None = None
    """Stop reading after so many findings that are errors."""
    allow_empty: bool = False
    """Whether a source without any output is none the worse for it."""


@dataclass(frozen=True)
class Result:
    """How a validation ended."""

    summary: Summary
    failures: list[str]
    """Why a source could not be judged or not to its end."""
    invalid: int
    """Outputs that are invalid still, after the fixes that were written."""


def validate(
    sources: Iterable[Source],
    judge: Judge | JudgeByExample,
    report: Report,
    mode: Mode,
    *,
    stdout: BinaryIO | None = None,
    on_read: Callable[[int], None] = lambda size_bytes: None,
) -> Result:
    """Judges every output of the sources.

    A source that cannot be read is a failure in the result; the others are judged all the same. `on_read` is told the bytes
    that were read since it was last told.
    """
    course = _Course(judge, report, mode, on_read)
    failures = []
    for source in sources:
        if course.is_over:
            course.summary.is_complete = False
            break
        before, fixed_before = course.summary.n, course.summary.fixed
        try:
            with source.open() as stream, _rewriter(source, mode, stdout or sys.stdout.buffer) as rewriter:
                course.run(source, stream, rewriter)
            if course.summary.n == before and not mode.allow_empty:
                raise SofitError(f"{source.name} holds no output. If that is as it should be, say --allow-empty.")
        except SofitError as error:
            failures.append(str(error) + course.take_back_fixes(fixed_before))
            course.summary.is_complete = False
    report.finish(course.summary)
    return Result(course.summary, failures, course.invalid)


def _rewriter(source: Source, mode: Mode, stdout: BinaryIO) -> "AbstractContextManager[Rewriter | None]":
    if mode.rewrite == "fix":
        return replacing(source, stdout)
    return nullcontext(Diff(stdout, source.name) if mode.rewrite == "diff" else None)


class _Course:
    """What grows while outputs are judged."""

    def __init__(self, judge: Judge | JudgeByExample, report: Report, mode: Mode, on_read: Callable[[int], None]):
        self.judge, self.report, self.mode, self.on_read = judge, report, mode, on_read
        self.summary = Summary()
        self.invalid = 0
        self.errors = 0

    @property
    def is_over(self) -> bool:
        """Whether so many errors were found that the rest is left unread."""
        return self.mode.max_errors is not None and self.errors >= self.mode.max_errors

    def run(self, source: Source, stream: BinaryIO, rewriter: Rewriter | None) -> None:
        """Judges the outputs of one source."""
        for piece in source.read(stream):
            if self.is_over:
                self.summary.is_complete = False
                if rewriter is None:
                    return
            old = piece if isinstance(piece, bytes) else piece.raw
            new = old if isinstance(piece, bytes) or self.is_over else self._judge(source, piece)
            if rewriter is not None:
                rewriter.write(old, new)
            self.on_read(len(old))

    def take_back_fixes(self, before: int) -> str:
        """Counts the fixes of a file that is left as it was; returns what there is to say of them."""
        lost = self.summary.fixed - before
        self.summary.fixed, self.invalid = before, self.invalid + lost
        return f" The file is left as it was; {lost} of its outputs could be fixed." if lost else ""

    def _judge(self, source: Source, output: Output) -> bytes:
        """Judges an output; returns the bytes of its record, with the fix in them if there is one and fixes are written."""
        judge = self.judge.of(output, source.name)
        problems = judge.problems(output.text)
        self.summary.n += 1
        errors = sum(problem.severity == "error" for problem in problems)
        if not errors:
            self.summary.valid += 1
        if not problems:
            self.report.add(source.name, output, ())
            return output.raw
        self.errors += errors
        self.summary.warnings += len(problems) - errors
        self.summary.codes.update(problem.code for problem in problems)
        fix = find_fix(output.text, judge.problems, unsafe=self.mode.unsafe_fixes) if errors else None
        if fix is not None and "\n" in fix.text and isinstance(source.reader, Lines):
            fix = None  # Two lines would be two outputs.
        if fix is not None and self.mode.rewrite == "fix":
            self.summary.fixed += 1
            problems = []
        else:
            self.invalid += bool(errors)
        is_flat = source.reader.is_flat
        self.report.add(source.name, output, [Finding(source.name, output, problem, fix, is_flat) for problem in problems])
        return output.raw if fix is None else output.rewrite(fix.text)
