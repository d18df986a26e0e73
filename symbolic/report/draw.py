"""Drawing: shapes on a `Sheet`, written as SVG that follows the page's light or dark colours, or as PNG.

An SVG has its text as outlines, so that it needs no font, no background, lines in ``currentColor``, and the other
colours as custom properties (``--gl-value`` and so on, on ``.gl-picture``), which a page may set anew.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ..errors import GradloomError, UnsupportedError
from .document import Picture
from .labels import SETTINGS, extent, matplotlib_here

# What a colour is for → in light, in dark; each is readable on white and on near-black respectively.
COLOURS = {
    "ink": ("#1f2328", "#e6edf3"),
    "faint": ("#656d76", "#9aa4af"),
    "value": ("#116329", "#56d364"),
    "gradient": ("#c01c28", "#ff7b72"),
    "input": ("#0857b5", "#6cb2ff"),
    "target": ("#855800", "#e0a82e"),
    "parameter": ("#6f3fc7", "#c39bff"),
    "state": ("#0b6b6b", "#4cc9c0"),
    "loss": ("#b3246b", "#ff85bd"),
}
Role: TypeAlias = str
Palette: TypeAlias = dict[Role, str]
Point: TypeAlias = tuple[float, float]
LIGHT: Palette = {role: light for role, (light, _) in COLOURS.items()}
# Colours that nothing else has, to be found again in what matplotlib writes.
_MARKS: Palette = {role: f"#fe01{place:02x}" for place, role in enumerate(COLOURS)}
_PAPER = ("#ffffff", "#0d1117")


@dataclass(frozen=True)
class Drawing:
    """A picture: shown by notebooks, saved as SVG or PNG, put into documents.

    Attributes
    ----------
    name : a file name without ending
    alt : what is to be seen, in words
    width, height : in points
    paint : paints it on a figure of matplotlib, given the colours
    """

    name: str
    alt: str
    width: float
    height: float
    paint: Callable[[Any, Palette], None] = field(repr=False, compare=False)

    def svg(self, *, standalone: bool = False) -> str:
        """The source of the SVG: to stand in a page, or `standalone` with a background, as a file of its own."""
        stream = io.StringIO()
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        self._write(stream, _MARKS, format="svg", metadata=metadata, transparent=True)
        return _themed(stream.getvalue(), self, standalone)

    def png(self, scale: float = 2.0) -> bytes:
        """The bytes of a PNG on white, `scale` pixels for each 1/72 inch."""
        stream = io.BytesIO()
        self._write(stream, LIGHT, format="png", dpi=72 * scale, facecolor="white", metadata={"Software": None})
        return stream.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write a file; its ending says whether SVG or PNG.

        Raises
        ------
        UnsupportedError
            If the ending is neither.
        GradloomError
            If the file cannot be written.
        """
        path = Path(path)
        if path.suffix not in (".svg", ".png"):
            raise UnsupportedError(f"cannot write a picture to {path}: give a file that ends in .svg or .png")
        content = self.png() if path.suffix == ".png" else self.svg(standalone=True).encode()
        try:
            path.write_bytes(content)
        except OSError as error:
            raise GradloomError(f"cannot write {path}: {error.strerror or error}") from error
        return path

    def block(self) -> Picture:
        """The picture as a block of a `Document`."""
        return Picture(self.svg(), self.name, self.alt)

    def _repr_svg_(self) -> str:
        return self.svg(standalone=True)

    def _write(self, stream: Any, palette: Palette, **options: Any) -> None:
        matplotlib = matplotlib_here()
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        with matplotlib.rc_context():
            matplotlib.rcdefaults()  # not the user's style: a picture is the same for everybody
            matplotlib.rcParams.update({**SETTINGS, "svg.hashsalt": self.name})
            figure = Figure(figsize=(self.width / 72, self.height / 72))
            FigureCanvasAgg(figure)
            self.paint(figure, palette)
            figure.savefig(stream, **options)


def _themed(source: str, drawing: Drawing, standalone: bool) -> str:
    """matplotlib's SVG without what would reach beyond it in a page, and with colours that follow the theme."""
    body = source[source.index("<svg") :]
    body = body[body.index(">") + 1 : body.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    prefix = "p" + hashlib.sha256(drawing.name.encode()).hexdigest()[:6]
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", body)
    for role, mark in _MARKS.items():
        body = body.replace(mark, "currentColor" if role == "ink" else f"var(--gl-{role})")
    light, dark = (
        "".join(f"--gl-{role}:{pair[place]};" for role, pair in COLOURS.items() if role != "ink") for place in (0, 1)
    )
    if standalone:
        light, dark = (
            f"{colours}color:{ink};background:{paper};"
            for colours, ink, paper in zip((light, dark), COLOURS["ink"], _PAPER, strict=True)
        )
    style = (
        f".gl-picture{{max-width:100%;height:auto;{light}}}@media (prefers-color-scheme:dark){{.gl-picture{{{dark}}}}}"
    )
    width, height = (f"{length:.2f}" for length in (drawing.width, drawing.height))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" class="gl-picture" '
        f'role="img" viewBox="0 0 {width} {height}" width="{width}pt" height="{height}pt" '
        'stroke-linejoin="round" stroke-linecap="butt">\n'
        f"<title>{escape(drawing.alt)}</title>\n<style>{style}</style>{body.rstrip()}\n</svg>\n"
    )


# ---- shapes ------------------------------------------------------------------------------------------------------


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
    """

    width: float
    height: float
    margin: float = 8.0
    shapes: list[Callable[[Any, Palette], None]] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)

    def box(self, x: float, y: float, width: float, height: float, role: Role, *, round_by: float = 4.0) -> None:
        """A box around (x, y), lightly filled; `round_by` of half its height makes it a pill or a circle."""

        across, down = width / 2, height / 2
        turn = min(round_by, across, down)
        bend = 0.5523 * turn  # a quarter of a circle as a cubic
        corners = [(1, -1, 0, 1), (1, 1, -1, 0), (-1, 1, 0, -1), (-1, -1, 1, 0)]  # corner, and the way on from it
        points: list[Point] = [(x - across + turn, y - down)]
        for right, below, u, v in corners:
            tip = (x + right * across, y + below * down)
            before = (tip[0] - turn * (v and right), tip[1] - turn * (u and below))
            after = (tip[0] + turn * u, tip[1] + turn * v)
            points += [points[-1], before, before]
            points.append(
                (
                    before[0] + bend * (tip[0] - before[0]) / (turn or 1),
                    before[1] + bend * (tip[1] - before[1]) / (turn or 1),
                )
            )
            points.append(
                (
                    after[0] + bend * (tip[0] - after[0]) / (turn or 1),
                    after[1] + bend * (tip[1] - after[1]) / (turn or 1),
                )
            )
            points.append(after)

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

        return Drawing(name, alt, width, height, paint)


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
