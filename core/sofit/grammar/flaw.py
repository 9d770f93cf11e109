"""What can be wrong with a grammar."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Flaw:
    """One thing for which a grammar cannot constrain generation, and what to do about it."""

    check: str
    """The check that found it: subset, compiles, bounded, conflicts, collisions, targets, mutants or walks."""
    message: str
    remedy: str = ""
    line: int | None = None
    """Where in the grammar's text, from 1; None where it has no one place."""
    column: int | None = None

    def __str__(self) -> str:
        place = f"{self.line}:{self.column}: " if self.line is not None else ""
        return f"{place}{self.message}{' ' + self.remedy if self.remedy else ''}"
