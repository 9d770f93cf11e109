"""The course of a validation: each source, each output, judged, mended where wanted, and reported."""

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import BinaryIO, Literal

from sofit.errors import SofitError
from sofit.validation.findings import Finding, Summary
from sofit.validation.fixes import find_fix
from sofit.validation.judge import Judge, JudgeByExample
from sofit.validation.outputs import Output
from sofit.validation.reports import Report, Silent
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
        n, fixed = course.summary.n, course.summary.fixed
        try:
            with _rewriter(source, judge, mode, stdout or sys.stdout.buffer) as rewriter:
                course.run(source, rewriter)
            if course.summary.n == n and not mode.allow_empty:
                raise SofitError(f"{source.name} holds no output. If that is as it should be, say --allow-empty.")
        except SofitError as error:
            failures.append(str(error))
            if source.path is not None:
                course.summary.fixed = fixed  # What was mended was for a file that stays as it is.
            course.summary.is_complete = False
    course.report.finish(course.summary)
    return Result(course.summary, failures, course.invalid)


def _rewriter(
    source: Source, judge: Judge | JudgeByExample, mode: Mode, stdout: BinaryIO
) -> "AbstractContextManager[Rewriter | None]":
    if mode.rewrite == "fix":
        return replacing(source, stdout) if _can_be_judged(source, judge) else nullcontext()
    return nullcontext(Diff(stdout, source.name) if mode.rewrite == "diff" else None)


def _can_be_judged(source: Source, judge: Judge | JudgeByExample) -> bool:
    """Whether a file can be judged to its end. Another stays as it is, so that none of its findings counts as mended."""
    if source.size_bytes is None:
        return True  # The standard input and pipes are read only once.
    try:
        for piece in source.read():
            if isinstance(piece, Output):
                judge.of(piece, source.name)
    except SofitError:
        return False
    return True


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

    def run(self, source: Source, rewriter: Rewriter | None) -> None:
        """Judges the outputs of one source."""
        for piece in source.read():
            if self.is_over:
                self.summary.is_complete = False
                if rewriter is None:
                    return
            old = piece if isinstance(piece, bytes) else piece.raw
            new = old if isinstance(piece, bytes) or self.is_over else self._judge(source, piece, rewriter)
            if rewriter is not None:
                rewriter.write(old, new)
            self.on_read(len(old))

    def _judge(self, source: Source, output: Output, rewriter: Rewriter | None) -> bytes:
        """Judges an output; returns the bytes of its record, with the fix in them if there is one."""
        judge = self.judge.of(output, source.name)
        problems = judge.problems(output.text)
        self.summary.n += 1
        errors = sum(problem.severity == "error" for problem in problems)
        if not errors:
            self.summary.valid += 1
        if not problems:
            self._tell(source, output, ())
            return output.raw
        self.errors += errors
        self.summary.warnings += len(problems) - errors
        self.summary.codes.update(problem.code for problem in problems)
        fix = find_fix(output.text, judge.problems, unsafe=self.mode.unsafe_fixes) if errors else None
        if fix is not None and not source.reader.holds(fix.text):
            fix = None
        if fix is not None and rewriter is not None and self.mode.rewrite == "fix":
            self.summary.fixed += 1
            problems = []
        else:
            self.invalid += bool(errors)
        is_flat = source.reader.is_flat
        self._tell(source, output, [Finding(source.name, output, problem, fix, is_flat) for problem in problems])
        return output.raw if fix is None else output.rewrite(fix.text)

    def _tell(self, source: Source, output: Output, findings: Sequence[Finding]) -> None:
        try:
            self.report.add(source.name, output, findings)
        except BrokenPipeError:
            if self.mode.rewrite != "fix":
                raise
            self.report = Silent()  # Whoever read the findings has seen enough, and the files are mended all the same.
