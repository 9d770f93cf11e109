"""How each part of the outputs fared, as tables: the same in report.html and on a page of results."""

from collections.abc import Mapping
from dataclasses import dataclass

_RIGHT = "right"


@dataclass(frozen=True)
class BreakdownTable:
    """The parts of one kind, such as the attributes of calls."""

    kind: str
    outcomes: tuple[str, ...]
    """What happened to a part, "right" first."""
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    """A part's name and how often each outcome was its own; those with the most errors first."""

    def as_markdown(self) -> str:
        """Returns the table for a Markdown file."""
        lines = [
            [self.kind, *self.outcomes],
            ["---", *("---:" for _ in self.outcomes)],
            *([name, *map(str, counts)] for name, counts in self.rows),
        ]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def breakdown_tables(breakdown: Mapping[str, Mapping[str, Mapping[str, int]]]) -> list[BreakdownTable]:
    """Returns a table for each kind of part of an evaluation's `breakdown`."""
    return [_table(kind, parts) for kind, parts in breakdown.items()]


def _table(kind: str, parts: Mapping[str, Mapping[str, int]]) -> BreakdownTable:
    outcomes = dict.fromkeys([_RIGHT, *sorted({outcome for counts in parts.values() for outcome in counts}, reverse=True)])

    def errors(part: str) -> int:
        return sum(count for outcome, count in parts[part].items() if outcome != _RIGHT)

    ordered = sorted(parts, key=lambda part: (-errors(part), part))
    rows = tuple((part, tuple(parts[part].get(outcome, 0) for outcome in outcomes)) for part in ordered)
    return BreakdownTable(kind, tuple(outcomes), rows)
