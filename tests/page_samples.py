"""Documents for the tests of pages: formulas of the gallery, and every kind of block."""

from __future__ import annotations

import re
from pathlib import Path

from gradloom.symbolic.report.document import (
    Block,
    Details,
    Document,
    Formula,
    Line,
    Picture,
    Prose,
    Section,
    Stage,
    Table,
)

GALLERY = Path(__file__).parent.parent / "docs" / "gallery"
SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="900" height="60">
<defs><marker id="tip"><path d="M0,0 L8,4 L0,8 z" fill="black"/></marker></defs>
<path d="M0,30 L800,30" stroke="#000000" marker-end="url(#tip)" style="fill: none; stroke-width: 2"/>
<text x="20" y="20" fill="white">x (B, n)</text></svg>"""


def formulas() -> list[str]:
    """Every formula of the gallery's pages, those in sentences too."""
    found: dict[str, None] = {}
    for path in sorted(GALLERY.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        found.update(dict.fromkeys(part.strip() for part in re.findall(r"\$\$(.*?)\$\$", text, re.S)))
        found.update(dict.fromkeys(re.findall(r"\$([^$\n]+)\$", re.sub(r"\$\$.*?\$\$", "", text, flags=re.S))))
    return list(found)


def of_gallery(name: str) -> Section:
    """The displayed formulas of one page of the gallery, each with a stage and a note."""
    text = (GALLERY / f"{name}.md").read_text(encoding="utf-8")
    lines: list[Block] = []
    for latex in re.findall(r"\$\$ (.*?) \$\$", text):
        formula = Formula("", latex)
        stages = (
            Stage(Prose.plain("Chain rule."), formula),
            Stage(Prose("", "Reuse of $a = \\sigma\\left(z\\right)$.")),
        )
        lines.append(Line(formula, (Prose("", "using $\\sum_{j} p_{i j} = 1$, declared"),), stages))
    return Section(name, tuple(lines))


def every_kind() -> Document:
    """A document with a block of every kind."""
    table = Table(
        tuple(map(Prose.plain, ("Equation", "Operations", "Bytes moved in a pass", "Stored activations, in bytes"))),
        tuple(
            (
                Prose("", f"$z^{{({n})}} = W^{{({n})}} \\, x$"),
                Prose("", "$2 \\, B \\, n$"),
                *map(Prose.plain, ("17", "23")),
            )
            for n in (1, 2)
        ),
        frozenset({2, 3}),
        Prose("", "Costs for $B$ rows"),
    )
    inside = (Prose.plain("It is a softmax."), Line(Formula("", r"\sum_{j} p_{i j} = 1")))
    blocks: tuple[Block, ...] = (
        Prose("", r"Matrices: $x$ (B, n), $W^{(1)}$ (m, n)."),
        table,
        Picture(SVG, "graph", "the graph of the network"),
        Picture(SVG, "again", "the same again"),
        Details(Prose("", "Why is $p \\ge 0$?"), inside),
        Line(Formula("", r"\left\|h\right\|^2")),
    )
    return Document("Every kind", [Section("Blocks", blocks)])
