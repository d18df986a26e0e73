"""Labels of pictures: LaTeX in the subset that matplotlib sets, or else text; and the room that they take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..errors import MissingExtraError
from ..latex import tensor_latex
from ..notation import PLAIN, Notation
from ..tensors import Adjoint, Tensor
from ..text import TextPrinter, is_delta

FONT = "DejaVu Sans"  # comes with matplotlib, so a picture is the same on every machine
SETTINGS: dict[str, Any] = {
    "font.family": FONT,
    "mathtext.fontset": "cm",
    "svg.fonttype": "path",
    "text.usetex": False,
    "axes.unicode_minus": True,
}
# What matplotlib does not know, or would set without need as an operator with space around it.
_REPLACED = {r"\operatorname*": r"\mathrm", r"\operatorname": r"\mathrm", r"\text": r"\mathrm", r"\!": ""}


def matplotlib_here() -> Any:
    """The module matplotlib.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise MissingExtraError(
            'pictures are drawn with matplotlib, which is not installed: pip install "gradloom[pages]"'
        ) from None
    return matplotlib


def label(latex: str, text: str) -> str:
    """``$latex$`` if matplotlib can set it, else `text`."""
    for mark, other in _REPLACED.items():
        latex = latex.replace(mark, other)
    return f"${latex}$" if _can_set(latex) else text.replace("$", r"\$")


@lru_cache(4096)
def _can_set(latex: str) -> bool:
    matplotlib_here()
    from matplotlib.mathtext import MathTextParser

    if not latex.isascii() or "$" in latex or re.search(r"[<>%#~]", latex):
        return False
    try:
        MathTextParser("path").parse(f"${latex}$")
    except ValueError:
        return False
    return True


def tensor_label(tensor: Tensor, notation: Notation = PLAIN) -> str:
    """The symbol of a tensor, on one line: gradients with a slanted fraction."""
    text = TextPrinter(notation=notation).symbol(tensor)
    if isinstance(tensor, Adjoint) and not is_delta(tensor, notation) and tensor.name not in notation.symbols:
        above, below = tensor_latex(tensor.loss, notation), tensor_latex(tensor.of, notation)
        return label(rf"\partial {above} / \partial {below}", text)
    return label(tensor_latex(tensor, notation), text)


@dataclass(frozen=True)
class Extent:
    """What a label takes, in points: to the right of its start, above its baseline and below it."""

    width: float
    above: float
    below: float


@lru_cache(4096)
def extent(written: str, size: float) -> Extent:
    """How much room a label takes that is set in `size` points."""
    matplotlib = matplotlib_here()
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not written.strip():
        return Extent(0.0, 0.0, 0.0)
    with matplotlib.rc_context(SETTINGS):
        box = TextPath((0, 0), written, size=size, prop=FontProperties(family=FONT)).get_extents()
    return Extent(float(box.x1), float(box.y1), float(-box.y0))
