"""The loss over the steps, whole and role by role, as SVG drawings that stand inside a page."""

import html
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from sofit.outputs.chart_frame import WIDTH, Frame, running_means, svg, thin

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f")
"""Told apart by colour-blind readers too (Okabe and Ito 2008), on light and dark ground."""
_LEGEND = 150
"""Pixels for the roles' names and last values."""
_MOST_CURVES = 12
"""The roles with the highest last losses; the legend has no room for more."""
_LOWEST = 1e-5
"""Losses below it are drawn there: on an axis of powers of ten they would have no place."""


def loss_curve(steps: Sequence[int], losses: Sequence[float]) -> str:
    """Draws the losses of a run, and their running mean where there are many; "" for fewer than two."""
    points = [(step, loss) for step, loss in zip(steps, losses, strict=True) if math.isfinite(loss)]
    if len(points) < 2:
        return ""
    points = thin(points)
    lowest, highest = min(loss for _, loss in points), max(loss for _, loss in points)
    ticks = _ticks(min(lowest, 0.0) if lowest < 0.5 * highest else lowest, highest)
    frame = Frame(points[0][0], points[-1][0], ticks)
    means = running_means(points)
    parts = [*frame.grid([f"{tick:g}" for tick in ticks]), frame.line("loss faint" if means else "loss", points)]
    return svg("Loss over the steps", [*parts, *([frame.line("loss", means)] if means else [])])


def role_curves(steps: Sequence[int], losses: Sequence[Mapping[str, float | None]]) -> str:
    """Draws the loss of each role over the steps, as running means on an axis of powers of ten; "" where nothing can be drawn.

    Args:
        steps: the steps' numbers.
        losses: the losses of each step, by role; a role that a step's batch did not have is left out there.
    """
    curves = {}
    for role in dict.fromkeys(role for by_role in losses for role in by_role):
        points = [(step, by_role.get(role)) for step, by_role in zip(steps, losses, strict=True)]
        finite = [(step, max(value, _LOWEST)) for step, value in points if value is not None and math.isfinite(value)]
        if len(finite) >= 2:
            means = running_means(finite) or finite
            curves[role] = [(step, math.log10(value)) for step, value in thin(means)]
    if not curves:
        return ""
    # A role has its colour by its place among all, so that it is the same in every run of a task.
    colours = {role: _COLOURS[place % len(_COLOURS)] for place, role in enumerate(sorted(curves))}
    curves = dict(sorted(curves.items(), key=lambda item: -item[1][-1][1])[:_MOST_CURVES])
    values = [value for points in curves.values() for _, value in points]
    lowest, highest = math.floor(min(values)), math.ceil(max(values))
    ticks = range(lowest, max(highest, lowest + 1) + 1)
    ends = [step for points in curves.values() for step, _ in (points[0], points[-1])]
    frame = Frame(min(ends), max(ends), ticks, right=_LEGEND)
    parts = frame.grid([f"{10.0**tick:g}" for tick in ticks])
    for place, (role, points) in enumerate(curves.items()):
        colour, x, y = colours[role], WIDTH - _LEGEND + 14, 22 + 17 * place
        parts.append(frame.line("role", points, f' stroke="{colour}"'))
        parts.append(f'<line class="role" stroke="{colour}" x1="{x}" x2="{x + 14}" y1="{y - 4}" y2="{y - 4}"/>')
        parts.append(f'<text x="{x + 20}" y="{y}">{html.escape(role)} {10 ** points[-1][1]:.2g}</text>')
    return svg("Loss by role over the steps", parts)


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
