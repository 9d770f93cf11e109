"""What the drawings of a run have in common: a frame with steps along its foot and values up its side, and lines in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

WIDTH, HEIGHT = 720, 260
_LEFT, _TOP, _BOTTOM = 56, 12, 34
_MOST_POINTS = 360

_T = TypeVar("_T")

Points = Sequence[tuple[int, float]]
"""(step, value)"""


@dataclass(frozen=True)
class Frame:
    """Where steps and values stand in a drawing."""

    first: int
    """The step at the left."""
    last: int
    ticks: Sequence[float]
    """Values that get a line across, from the lowest to the highest."""
    right: int = 12
    """Pixels to leave free at the right."""

    def place(self, step: float, value: float) -> str:
        """Returns a point as "x,y"."""
        x = _LEFT + (step - self.first) / (self.last - self.first) * (WIDTH - _LEFT - self.right)
        y = HEIGHT - _BOTTOM - (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0]) * (HEIGHT - _TOP - _BOTTOM)
        return f"{x:.1f},{y:.1f}"

    def grid(self, labels: Sequence[str]) -> list[str]:
        """Returns the lines across with a label for each tick, and the first, middle and last step."""
        parts = []
        for tick, label in zip(self.ticks, labels, strict=True):
            x, y = self.place(self.first, tick).split(",")
            parts.append(f'<line class="grid" x1="{x}" x2="{WIDTH - self.right}" y1="{y}" y2="{y}"/>')
            parts.append(f'<text x="{_LEFT - 8}" y="{float(y) + 4:.1f}" text-anchor="end">{label}</text>')
        for step in dict.fromkeys((self.first, (self.first + self.last) // 2, self.last)):
            x, _ = self.place(step, self.ticks[0]).split(",")
            anchor = "start" if step == self.first else "end" if step == self.last else "middle"
            parts.append(f'<text x="{x}" y="{HEIGHT - 12}" text-anchor="{anchor}">step {step}</text>')
        return parts

    def line(self, css_class: str, points: Points, attributes: str = "") -> str:
        """Returns a line through points."""
        return f'<polyline class="{css_class}"{attributes} points="{" ".join(self.place(*point) for point in points)}"/>'


def svg(label: str, parts: Sequence[str]) -> str:
    """Returns a drawing that stands inside a page, whose variables colour it."""
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def thin(points: Sequence[_T]) -> Sequence[_T]:
    """Takes evenly spread points, the first and last included, so that a long run stays a small page."""
    if len(points) <= _MOST_POINTS:
        return points
    return [points[round(index * (len(points) - 1) / (_MOST_POINTS - 1))] for index in range(_MOST_POINTS)]


def running_means(points: Points) -> Points:
    """Returns centred means over a tenth of the points; none for short runs, whose own line is clear enough."""
    reach = len(points) // 20
    if reach < 1:
        return []
    windows = [points[max(0, index - reach) : index + reach + 1] for index in range(len(points))]
    return [(step, sum(value for _, value in window) / len(window)) for (step, _), window in zip(points, windows, strict=True)]
