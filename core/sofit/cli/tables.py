"""Tables on the screen: drawn on a terminal, plain and aligned in a file or a pipe."""

import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from sofit.outputs import Comparison


def show_scores(comparison: "Comparison", *, is_demo: bool) -> None:
    """Prints metrics side by side, and says so where they are of made-up data."""
    if sys.stdout.isatty():
        from rich.console import Console

        console, table = Console(), comparison.as_rich()
        # rich would cut figures to fit; a terminal breaks lines that are too long, and hides nothing.
        if Console(width=sys.maxsize).measure(table).maximum <= console.width:
            console.print(table)
        else:
            typer.echo(comparison.as_text())
    else:
        typer.echo(comparison.as_text())
    if is_demo:
        typer.echo("This was demo data, made up by the plugin. Give --data for real examples.")


def show_columns(rows: list[tuple[str, ...]]) -> None:
    """Prints rows in columns as wide as they need."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
