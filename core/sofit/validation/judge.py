"""Deciding what is wrong with an output: its encoding, its grammar, its task's rules."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sofit.errors import SofitError, did_you_mean
from sofit.grammar import Grammar, Problem
from sofit.grammar.problem import NOT_UTF8, TITLES
from sofit.task import Example, Task
from sofit.validation.outputs import Output

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Judge:
    """Finds the problems of an output. A rule of the task is asked only about an output that the grammar accepts."""

    grammar: Grammar
    task: Task | None = None
    select: Sequence[str] = field(default=())
    """Beginnings of the codes to report; all where it is empty."""
    ignore: Sequence[str] = field(default=())
    """Beginnings of the codes not to report. An output whose only problems are ignored is valid."""
    example: Example | None = None
    """What the output is for, where that is known."""

    def __post_init__(self) -> None:
        for code in (*self.select, *self.ignore):
            if not any(known.startswith(code) for known in self.titles):
                known = ", ".join(self.titles)
                raise SofitError(f"No code begins with {code!r}. Codes: {known}.{did_you_mean(code, self.titles)}")

    def of(self, output: Output, file: str) -> "Judge":
        """Returns the judge of an output of a file, which is this one for all."""
        return self

    @property
    def titles(self) -> dict[str, str]:
        """What each code means that this judge may give."""
        return {**TITLES, **(self.task.rules if self.task else {})}

    def problems(self, text: str) -> list[Problem]:
        """Returns what is wrong with an output, of what is to be reported."""
        return [problem for problem in self.all_problems(text) if self._is_reported(problem.code)]

    def all_problems(self, text: str) -> Iterable[Problem]:
        """Returns all that is wrong with an output."""
        if not text.isascii() and (surrogate := _SURROGATE.search(text)):
            return (_not_utf8(text, surrogate.start()),)
        if self.grammar.accepts(text):
            return self._rules_broken(self.task, text) if self.task else ()
        problem = self.grammar.problem(text)
        return (problem,) if problem else ()

    def _rules_broken(self, task: Task, text: str) -> Iterable[Problem]:
        return task.check(text) if self.example is None else task.check_for(self.example, text)

    def _is_reported(self, code: str) -> bool:
        return (not self.select or code.startswith(tuple(self.select))) and not code.startswith(tuple(self.ignore))


@dataclass(frozen=True)
class JudgeByExample:
    """Judges each output by the grammar of its example, which the record's id names."""

    task: Task
    examples: Mapping[str, Example]
    select: Sequence[str] = field(default=())
    ignore: Sequence[str] = field(default=())

    @property
    def titles(self) -> dict[str, str]:
        """What each code means that a judge may give."""
        return {**TITLES, **self.task.rules}

    def of(self, output: Output, file: str) -> Judge:
        """Returns the judge of an output of a file.

        Raises:
            SofitError: its id is that of no example.
        """
        example = self.examples.get(output.id or "")
        if example is None:
            hint = did_you_mean(output.id, self.examples) if output.id else " Name the field that holds it with --id-field."
            raise SofitError(f"{file}:{output.line}: no example of task {self.task.name!r} has the id {output.id!r}.{hint}")
        return Judge(self.task.grammar_for(example), self.task, self.select, self.ignore, example)


def _not_utf8(text: str, offset: int) -> Problem:
    """Describes the lone surrogate at `offset`: a byte that `outputs.decode` left, or half of a pair that JSON spelt out."""
    code_point = ord(text[offset])
    if not 0xDC80 <= code_point <= 0xDCFF:
        found = f"\\u{code_point:04x}"
        message = f"{found} is half of a surrogate pair and stands alone."
        return Problem.at(text, offset, NOT_UTF8, message, end_offset=offset + 1, found=found)
    byte = bytes([code_point & 0xFF])
    found = f"0x{byte[0]:02X}"
    if _is_cut_off(text[offset:]):
        message = f"The output ends in the middle of a character: byte {found} begins it."
        return Problem.at(text, offset, NOT_UTF8, message, end_offset=len(text), found=found, suggestion="")
    # Windows-1252 is what most often is taken for UTF-8; five bytes mean nothing in it.
    meant = byte.decode("cp1252", "ignore") or None
    hint = f" In Windows-1252 it is {meant!r}." if meant else ""
    return Problem.at(
        text, offset, NOT_UTF8, f"Byte {found} is not UTF-8.{hint}", end_offset=offset + 1, found=found, suggestion=meant
    )


def _is_cut_off(rest: str) -> bool:
    try:
        rest.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError as error:
        return isinstance(error, UnicodeDecodeError) and error.start == 0 and error.reason == "unexpected end of data"
    return False
