"""Writing findings down for people: `full`, `concise`, and the annotations of `github`."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import IO, Protocol

from sofit.grammar.problem import Severity
from sofit.validation.findings import Finding, Summary
from sofit.validation.outputs import Output

_WIDEST_EXCERPT = 100
_COLOURS: dict[Severity, str] = {"error": "red", "warning": "yellow"}


class Report(Protocol):
    """Writes a validation down while it goes on, so that nothing piles up in memory."""

    def add(self, file: str, output: Output, findings: Sequence[Finding]) -> None:
        """Takes one output and what was found in it, maybe nothing."""
        ...

    def finish(self, summary: Summary) -> None:
        """Ends the report."""
        ...


class Silent:
    """Writes nothing, where the summary or a diff is all that was asked for."""

    def add(self, file: str, output: Output, findings: Sequence[Finding]) -> None:
        """Writes nothing."""

    def finish(self, summary: Summary) -> None:
        """Writes nothing."""


class Full:
    """Each finding with its line and a caret under the column."""

    def __init__(self, stream: IO[str], *, color: bool = False):
        self._stream, self._color = stream, color

    def add(self, file: str, output: Output, findings: Sequence[Finding]) -> None:
        """Writes the findings."""
        for finding in findings:
            self._stream.write(self._show(finding))

    def finish(self, summary: Summary) -> None:
        """Writes nothing: the summary goes to the standard error."""

    def _show(self, finding: Finding) -> str:
        problem = finding.problem
        color = _COLOURS[problem.severity]
        id = f" ({_visible(finding.output.id)})" if finding.output.id is not None else ""
        line = finding.output.text.split("\n")[problem.line - 1]
        excerpt, column = _excerpt(line, problem.column)
        margin = f"{finding.line:>5} | "
        width = max(1, min(problem.end_column - problem.column, len(excerpt) - column + 1))
        pointer = _blank(excerpt[: column - 1]) + self._paint("^" * _width(excerpt[column - 1 :][:width] or " "), color)
        rows = [
            f"{self._paint(_visible(finding.place), 'bold')}: {self._paint(problem.code, color)} {_visible(problem.message)}{id}",
            margin + excerpt,
            " " * (len(margin) - 2) + "| " + pointer,
        ]
        if finding.fix is not None:
            option = "--fix" if finding.fix.is_safe else "--fix --unsafe-fixes"
            rows.append(" " * (len(margin) - 2) + f"= {option}: {_visible(finding.fix.message)}")
        return "\n".join(rows) + "\n\n"

    def _paint(self, text: str, color: str) -> str:
        if not self._color:
            return text
        import typer

        return typer.style(text, bold=True) if color == "bold" else typer.style(text, fg=color, bold=True)


class Concise:
    """Each finding in one line."""

    def __init__(self, stream: IO[str]):
        self._stream = stream

    def add(self, file: str, output: Output, findings: Sequence[Finding]) -> None:
        """Writes the findings."""
        for finding in findings:
            self._stream.write(f"{_visible(finding.place)}: {finding.problem.code} {_visible(finding.problem.message)}\n")

    def finish(self, summary: Summary) -> None:
        """Writes nothing: the summary goes to the standard error."""


class Github:
    """Each finding as a workflow command, which GitHub shows beside the line.

    Source: "Workflow commands for GitHub Actions" in GitHub's documentation, section "Setting an error message".
    """

    def __init__(self, stream: IO[str]):
        self._stream = stream

    def add(self, file: str, output: Output, findings: Sequence[Finding]) -> None:
        """Writes the findings."""
        for finding in findings:
            problem = finding.problem
            properties = {"title": problem.code, "file": finding.file, "line": str(finding.line)}
            if finding.is_flat:
                properties |= {"col": str(problem.column), "endColumn": str(problem.end_column)}
            listed = ",".join(f"{name}={_escape(value, ':,')}" for name, value in properties.items())
            self._stream.write(f"::{problem.severity} {listed}::{_escape(_visible(problem.message))}\n")

    def finish(self, summary: Summary) -> None:
        """Writes nothing: the summary goes to the standard error."""


def statistics(summary: Summary, titles: dict[str, str]) -> str:
    """Returns the number of findings of each code, most frequent first."""
    rows = [f"{count:>9,}  {code}  {titles[code]}\n" for code, count in summary.codes.most_common()]
    return "".join(rows)


def _excerpt(line: str, column: int) -> tuple[str, int]:
    """Returns the part of a long line around a column, in characters that take a place each, and the column in it."""
    start = max(0, min(column - 1 - _WIDEST_EXCERPT // 2, len(line) - _WIDEST_EXCERPT))
    part = line[start : start + _WIDEST_EXCERPT]
    before = "…" if start else ""
    after = "…" if start + len(part) < len(line) else ""
    return _visible(before + part + after), column - start + len(before)


def _visible(text: str) -> str:
    """Returns a text whose every character shows: control characters would move the caret or the cursor."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else " " if character.isspace() else "\ufffd" for character in text)


def _width(text: str) -> int:
    """Returns the columns that a terminal takes for a text."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def _blank(text: str) -> str:
    return " " * _width(text)


def _escape(text: str, more: Iterable[str] = "") -> str:
    for character in ("%", "\r", "\n", *more):
        text = text.replace(character, f"%{ord(character):02X}")
    return text
