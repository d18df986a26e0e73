"""`Sheet`: boxes, curves and labels by their places, of which a `Drawing` is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .draw import Drawing, Palette, Point, Role
from .labels import extent


@dataclass(frozen=True)
class Words:
    """A label at a place: `x` is its left end, its middle or its right end, `y` its baseline."""

    x: float
    y: float
    written: str
    size: float
    role: Role = "ink"
    align: Literal["left", "center", "right"] = "center"

    @property
    def left(self) -> float:
        width = extent(self.written, self.size).width
        return self.x - {"left": 0.0, "center": width / 2, "right": width}[self.align]


@dataclass
class Sheet:
    """Shapes, in points from the upper left corner, y downwards; those added later lie above.

    Attributes
    ----------
    margin : kept free on all sides
    boxes : (x, y, width, height) of each
    lines : the points of each curve
    words : the labels
    """

    width: float
    height: float
    margin: float = 8.0
    shapes: list[Callable[[Any, Palette], None]] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    lines: list[tuple[Point, ...]] = field(default_factory=list)

    def box(self, x: float, y: float, width: float, height: float, role: Role, *, round_by: float = 4.0) -> None:
        """A box around (x, y), lightly filled; `round_by` of half its height makes it a pill or a circle."""
        self.boxes.append((x, y, width, height))
        across, down = width / 2, height / 2
        turn = min(round_by, across, down)
        points = _rounded(x, y, across, down, turn)

        def add(axes: Any, palette: Palette) -> None:
            from matplotlib.colors import to_rgba
            from matplotlib.patches import PathPatch
            from matplotlib.path import Path as Outline

            codes = [Outline.MOVETO] + [Outline.CURVE4] * (len(points) - 1) + [Outline.CLOSEPOLY]
            outline = Outline([*points, points[0]], codes)
            fill = to_rgba(palette[role], 0.04 if role == "ink" else 0.13)
            axes.add_patch(PathPatch(outline, facecolor=fill, edgecolor=palette[role], linewidth=0.9))

        self.shapes.append(add)

    def dot(self, x: float, y: float, radius: float, role: Role = "ink") -> None:
        def add(axes: Any, palette: Palette) -> None:
            from matplotlib.patches import Circle

            axes.add_patch(Circle((x, y), radius, facecolor=palette[role], edgecolor="none"))

        self.shapes.append(add)

    def curve(
        self,
        points: Sequence[Point],
        role: Role = "ink",
        *,
        width: float = 0.9,
        arrow: bool = False,
        dashed: bool = False,
        shaft: bool = True,
    ) -> None:
        """Cubic Bézier pieces, or the straight line between two points; `arrow` at the end, alone without `shaft`."""
        points = [*points] if len(points) > 2 else [points[0], points[0], points[-1], points[-1]]
        self.lines.append(tuple(points))
        length = 5.0 if arrow else 0.0
        line, tip = _shortened(points, length)

        def add(axes: Any, palette: Palette) -> None:
            from matplotlib.patches import PathPatch, Polygon
            from matplotlib.path import Path as Outline

            outline = Outline(line, [Outline.MOVETO] + [Outline.CURVE4] * (len(line) - 1))
            style: Any = (0, (3.0, 2.0)) if dashed else "-"
            if shaft:
                axes.add_patch(
                    PathPatch(outline, facecolor="none", edgecolor=palette[role], linewidth=width, linestyle=style)
                )
            if arrow:
                axes.add_patch(Polygon(tip, facecolor=palette[role], edgecolor="none"))

        self.shapes.append(add)

    def write(
        self,
        x: float,
        y: float,
        written: str,
        size: float,
        role: Role = "ink",
        align: Literal["left", "center", "right"] = "center",
    ) -> None:
        if written:
            self.words.append(Words(x, y, written, size, role, align))

    def drawing(self, name: str, alt: str) -> Drawing:
        """The picture of all that was added until now."""
        shapes, words = tuple(self.shapes), tuple(self.words)
        margin = self.margin
        width, height = self.width + 2 * margin, self.height + 2 * margin

        def paint(figure: Any, palette: Palette) -> None:
            axes = figure.add_axes((0, 0, 1, 1))
            axes.set_axis_off()
            axes.set(xlim=(-margin, width - margin), ylim=(height - margin, -margin))
            for add in shapes:
                add(axes, palette)
            for entry in words:
                axes.text(
                    entry.left,
                    entry.y,
                    entry.written,
                    fontsize=entry.size,
                    color=palette[entry.role],
                    verticalalignment="baseline",
                )

        return Drawing(name, alt, width, height, paint, self)


def _rounded(x: float, y: float, across: float, down: float, turn: float) -> list[Point]:
    """A box of half the width `across` and half the height `down`, whose corners are quarters of circles."""
    bend = 0.5523  # of the way to the corner stand the control points of a quarter of a circle
    points: list[Point] = [(x - across + turn, y - down)]
    for right, below in ((1, -1), (1, 1), (-1, 1), (-1, -1)):
        corner = (x + right * across, y + below * down)
        sideways, upright = (corner[0] - right * turn, corner[1]), (corner[0], corner[1] - below * turn)
        start, end = (sideways, upright) if right != below else (upright, sideways)
        points += [points[-1], start, start]
        points += [_between(start, corner, bend), _between(end, corner, bend), end]
    return points


def _between(start: Point, end: Point, part: float) -> Point:
    return (start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1]))


def _shortened(points: Sequence[Point], length: float) -> tuple[list[Point], list[Point]]:
    """The pieces, the last of them ended `length` early, and the triangle that ends it."""
    if not length:
        return [*points], []
    end = points[-1]
    before = next((p for p in reversed(points[:-1]) if _distance(p, end) > length), points[0])
    away = _distance(before, end) or 1.0
    u, v = (before[0] - end[0]) / away, (before[1] - end[1]) / away
    base = (end[0] + length * u, end[1] + length * v)
    tip = [end, (base[0] - 0.42 * length * v, base[1] + 0.42 * length * u)]
    tip.append((base[0] + 0.42 * length * v, base[1] - 0.42 * length * u))
    shift = (base[0] - end[0], base[1] - end[1])
    last = [(points[-2][0] + shift[0], points[-2][1] + shift[1]), base]
    return [*points[:-2], *last], tip


def _distance(one: Point, other: Point) -> float:
    return float(((one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2) ** 0.5)
