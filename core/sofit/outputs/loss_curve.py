"""The loss over the steps as an SVG drawing that stands inside a page."""

import math
from collections.abc import Sequence
from itertools import pairwise

WIDTH, HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 34
_MOST_POINTS = 360


def loss_curve(steps: Sequence[int], losses: Sequence[float]) -> str:
    """Draws the losses of a run, and their running mean where there are many. Colours come from the page's variables."""
    points = [(step, loss) for step, loss in zip(steps, losses, strict=True) if math.isfinite(loss)]
    if len(points) < 2:
        return ""
    points = _thin(points)
    lowest, highest = min(loss for _, loss in points), max(loss for _, loss in points)
    ticks = _ticks(min(lowest, 0.0) if lowest < 0.5 * highest else lowest, highest)
    first, last = points[0][0], points[-1][0]

    def place(step: float, loss: float) -> str:
        x = _LEFT + (step - first) / (last - first) * (WIDTH - _LEFT - _RIGHT)
        y = HEIGHT - _BOTTOM - (loss - ticks[0]) / (ticks[-1] - ticks[0]) * (HEIGHT - _TOP - _BOTTOM)
        return f"{x:.1f},{y:.1f}"

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Loss over the steps">']
    for tick in ticks:
        x, y = place(first, tick).split(",")
        parts.append(f'<line class="grid" x1="{x}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{float(y) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for step in dict.fromkeys((first, (first + last) // 2, last)):
        x, _ = place(step, ticks[0]).split(",")
        anchor = "start" if step == first else "end" if step == last else "middle"
        parts.append(f'<text x="{x}" y="{HEIGHT - 12}" text-anchor="{anchor}">step {step}</text>')
    means = _running_means(points)
    parts.append(_line("loss faint" if means else "loss", [place(*point) for point in points]))
    if means:
        parts.append(_line("loss", [place(*point) for point in means]))
    return "".join([*parts, "</svg>"])


def _line(css_class: str, places: Sequence[str]) -> str:
    return f'<polyline class="{css_class}" points="{" ".join(places)}"/>'


def _thin(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Takes evenly spread points, the first and last included, so that a long run stays a small page."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    return [points[round(index * (len(points) - 1) / (_MOST_POINTS - 1))] for index in range(_MOST_POINTS)]


def _running_means(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Returns centred means over a tenth of the points; none for short runs, whose own line is clear enough."""
    reach = len(points) // 20
    if reach < 1:
        return []
    windows = [points[max(0, index - reach) : index + reach + 1] for index in range(len(points))]
    return [(step, sum(loss for _, loss in window) / len(window)) for (step, _), window in zip(points, windows, strict=True)]


def _ticks(low: float, high: float) -> list[float]:
    """Returns round numbers, evenly spaced, from at or below `low` to at or above `high`."""
    span = (high - low) or abs(high) or 1.0
    exponent = math.floor(math.log10(span / 4))
    step = next(base * 10**exponent for base in (1, 2, 5, 10) if base * 10**exponent >= span / 4)
    first = math.floor(low / step)
    count = math.ceil(high / step - 1e-9) - first
    ticks = [round((first + index) * step, 12) for index in range(max(count, 1) + 1)]
    assert all(below < above for below, above in pairwise(ticks))
    return ticks
