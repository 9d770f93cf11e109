"""What a validation finds: findings one by one, and the summary of all."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sofit.grammar.problem import Problem
from sofit.validation.fixes import Fix
from sofit.validation.outputs import Output

SCHEMA_VERSION = 1
"""The version of the JSON that `as_json` makes. A new field keeps it, any other change raises it."""


@dataclass(frozen=True)
class Finding:
    """A problem of an output, with the place of the output."""

    file: str
    output: Output
    problem: Problem
    fix: Fix | None
    is_flat: bool
    """Whether `column` is a column of the file."""

    @property
    def line(self) -> int:
        """The line of the file: of the problem, or where the record starts that holds the output."""
        return self.output.line + self.problem.line - 1 if self.is_flat else self.output.line

    @property
    def column(self) -> int:
        """From 1, in characters of the output's line."""
        return self.problem.column

    @property
    def place(self) -> str:
        """Where an editor finds it."""
        return f"{self.file}:{self.line}:{self.column}"

    def as_json(self) -> dict[str, Any]:
        """Returns the finding as the machine formats write it."""
        problem = self.problem
        return {
            "file": self.file,
            "record": self.output.record,
            "id": self.output.id,
            "line": self.line,
            "column": problem.column,
            "end_column": problem.end_column,
            "offset": problem.offset,
            "code": problem.code,
            "severity": problem.severity,
            "message": problem.message,
            "found": problem.found,
            "expected": list(problem.expected),
            "suggestion": problem.suggestion,
            "fix": None if self.fix is None else self.fix.as_json(),
        }


@dataclass
class Summary:
    """How many outputs there are and how many are valid, as the model wrote them; a fix changes none of these."""

    n: int = 0
    valid: int = 0
    """Outputs without an error; a warning does no harm."""
    codes: Counter[str] = field(default_factory=Counter)
    """Findings by code."""
    fixed: int = 0
    """Outputs that `--fix` mended."""
    warnings: int = 0
    is_complete: bool = True
    """Whether every file was read to its end."""

    @property
    def rate(self) -> float | None:
        """The share of valid outputs; None where there are none at all."""
        return self.valid / self.n if self.n else None

    def as_json(self) -> dict[str, Any]:
        """Returns the summary as the machine formats write it."""
        return {
            "n": self.n,
            "valid": self.valid,
            "rate": self.rate,
            "codes": dict(sorted(self.codes.items())),
            "warnings": self.warnings,
            "fixed": self.fixed,
            "complete": self.is_complete,
        }

    def __str__(self) -> str:
        if not self.n:
            return "No outputs."
        # Rounded down, so that 100% means all.
        percent = int(10_000 * self.valid / self.n) / 100
        counts = "".join(f", {code} {count:,}" for code, count in sorted(self.codes.items()))
        fixed = f" {self.fixed:,} fixed." if self.fixed else ""
        partial = "" if self.is_complete else " Not all was read."
        return f"{self.valid:,} of {self.n:,} outputs are valid ({percent:g}%){counts}.{fixed}{partial}"
