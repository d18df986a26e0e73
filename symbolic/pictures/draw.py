"""`Drawing`: a picture written as SVG that follows the page's light or dark colours, or as PNG.

An SVG has its text as outlines, so that it needs no font, no background, lines in ``currentColor``, and the other
colours as custom properties (``--gl-value`` and so on, on ``.gl-picture``), which a page may set anew.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import GradloomError, UnsupportedError
from ..report.document import Picture
from .colours import COLOURS, colour_properties
from .labels import SETTINGS, matplotlib_here

if TYPE_CHECKING:
    from .sheet import Sheet

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
    sheet : the shapes that it is made of, or None for a chart
    """

    name: str
    alt: str
    width: float
    height: float
    paint: Callable[[Any, Palette], None] = field(repr=False, compare=False)
    sheet: Sheet | None = field(default=None, repr=False, compare=False)

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
    light, dark = colour_properties(0), colour_properties(1)
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
