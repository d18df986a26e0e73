"""What the site does with pages: formulas become MathML, so that a page needs no network; links out of the folder."""

from __future__ import annotations

import re
from typing import Any

from latex2mathml.converter import convert

CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.S)
DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.S)
INLINE = re.compile(r"(?<![\\$])\$(?!\s)([^$\n]+?)(?<!\s)\$(?!\d)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put MathML in the place of formulas, outside of code."""
    parts = CODE.split(markdown)
    for place in range(0, len(parts), 2):
        text = DISPLAY.sub(lambda found: f"\n\n{_math(found[1], 'block')}\n\n", parts[place])
        parts[place] = INLINE.sub(lambda found: _math(found[1], "inline"), text)
    return "".join(parts)


def _math(latex: str, display: str) -> str:
    return convert(latex.strip(), display=display).replace("\n", " ")
