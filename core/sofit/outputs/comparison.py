"""The table of metrics before and after training, the same on the screen, in report.html and in the model card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

_OF_THE_GRAMMAR = ("mask_changed_share", "mask_removed_mass")


@dataclass(frozen=True)
class Comparison:
    """Metrics of several evaluations, side by side."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """A metric's name and its value in each column, three decimals; a dash where it was not measured."""

    def as_text(self) -> str:
        """Returns the table in aligned columns."""
        name_width = max((len(name) for name, _ in self.rows), default=0)
        widths = [max(len(column), 5) for column in self.columns]
        head = " ".join([" " * name_width, *(f"{column:>{width}}" for column, width in zip(self.columns, widths, strict=True))])
        lines = [
            " ".join([f"{name:<{name_width}}", *(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))])
            for name, cells in self.rows
        ]
        return "\n".join([self.title, head, *lines])

    def as_markdown(self) -> str:
        """Returns the table for a Markdown file."""
        lines = [
            ["metric", *self.columns],
            ["---", *("---:" for _ in self.columns)],
            *([name, *cells] for name, cells in self.rows),
        ]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def as_rich(self) -> "Table":
        """Returns the table for a terminal."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self.title, title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("metric", no_wrap=True)
        for column in self.columns:
            table.add_column(column, justify="right", style="bold" if column.startswith("after") else "")
        for name, cells in self.rows:
            table.add_row(Text(name), *cells)  # As text: a name may hold brackets, which rich would take for markup.
        return table


def compare(evaluations: Sequence[Mapping[str, Any]], headline: Sequence[str] = ()) -> Comparison | None:
    """Sets the first and the last evaluation beside each other, each with and without the grammar where both were done.

    Args:
        evaluations: entries of results.json, in their order.
        headline: metrics to list first.

    Returns:
        the table; None where nothing was evaluated.
    """
    if not evaluations:
        return None
    ends = [(end["when"], end["step"]) for end in (evaluations[0], evaluations[-1])]
    shown = [entry for end in ends for entry in evaluations if (entry["when"], entry["step"]) == end]
    return tabulate({occasion(entry["when"], entry["step"], entry["constrained"]): entry for entry in shown}, headline)


def tabulate(columns: Mapping[str, Mapping[str, Any]], headline: Sequence[str] = ()) -> Comparison:
    """Sets evaluations beside each other, an entry of results.json under each column's name.

    Below the metrics stands how much the grammar had to say, where it had a say.
    """
    found = dict.fromkeys(name for entry in columns.values() for name in entry["metrics"])
    names = [name for name in headline if name in found] + [name for name in found if name not in headline]
    rows = [(name, tuple(_cell(entry["metrics"].get(name)) for entry in columns.values())) for name in names]
    details = [entry.get("details", {}) for entry in columns.values()]
    said = [name for name in _OF_THE_GRAMMAR if any(name in detail for detail in details)]
    rows += [(name, tuple(_cell(detail.get(name)) for detail in details)) for name in said]
    measured = dict.fromkeys(f"{entry['split']}, {entry['n']} examples" for entry in columns.values())
    return Comparison(" and ".join(measured), tuple(columns), tuple(rows))


def occasion(when: str, step: int, constrained: bool) -> str:
    """Returns what an evaluation is called: "before", "step 20, constrained"."""
    name = f"step {step}" if when == "step" else when
    return f"{name}, constrained" if constrained else name


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
