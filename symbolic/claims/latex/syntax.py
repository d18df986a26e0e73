"""The parts of a formula as it is written, before anyone knows what its names mean.

The reader (`reader`) makes them of LaTeX; the package `meaning` gives them one, with a network's names. Nothing of the
text is lost: each part knows where it stands (`span`), and what has no mathematical meaning is kept as a `Text`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True)
class Span:
    """Where a part stands in the text: offsets of its first character and of the one behind its last."""

    start: int
    end: int


@dataclass(frozen=True)
class Part:
    """What all parts have."""

    span: Span = field(compare=False, kw_only=True, default=Span(0, 0))


@dataclass(frozen=True)
class Script(Part):
    """A subscript, a superscript, or primes, in the order in which they are written.

    Attributes
    ----------
    kind : "sub", "sup" or "prime" (``'`` or ``^\\prime``; content is then empty and `primes` counts them)
    content : what stands in it, divided at its commas: ``_{jk}`` has one part, a product of two names, ``_{j,k}`` two
    """

    kind: str
    content: tuple[Node | Relation, ...] = ()
    primes: int = 0


@dataclass(frozen=True)
class Number(Part):
    """A literal, as it is written: ``2``, ``0.5``, ``1e-5``; in scripts also ``1.2.1``, and ``{0 1}`` is two."""

    text: str
    scripts: tuple[Script, ...] = ()


@dataclass(frozen=True)
class Name(Part):
    """One letter, one command, or what a font command makes one name.

    Attributes
    ----------
    base : ``W``, ``\\sigma``, ``softmax`` (of ``\\mathrm{softmax}``, ``\\operatorname{softmax}``, ``\\text{softmax}``,
        and of commands that are names of functions, ``\\tanh``: those keep no backslash only if they name a function)
    accents : innermost first, without backslashes: ``("hat",)`` for ``\\hat y`` and ``\\widehat{y}``
    font : "", or mathbf, mathrm, mathcal, mathbb, mathsf, boldsymbol, bm, operatorname, text …
    """

    base: str
    accents: tuple[str, ...] = ()
    font: str = ""
    scripts: tuple[Script, ...] = ()


@dataclass(frozen=True)
class Text(Part):
    """Words, ``\\text{for all } j``: without a mathematical meaning, but never dropped."""

    text: str


@dataclass(frozen=True)
class Group(Part):
    """Brackets around one or more parts divided by commas.

    Attributes
    ----------
    opening : "(", "[", "{" (``\\{``), "|", "‖" (``\\|``), "⟨" (``\\langle``), "⌊", "⌈"; "" for what carries scripts but
        has no place for them: plain TeX braces, ``{a^{(1)}}^\\top``, a fraction, a root, cases, letters of one font
        (``\\mathbf{dW}^{[1]}``: a product of names side by side, to be joined into one)
    content : divided at its commas and semicolons
    """

    opening: str
    content: tuple[Node | Relation, ...]
    scripts: tuple[Script, ...] = ()


@dataclass(frozen=True)
class Fraction(Part):
    """``\\frac`` (and ``\\dfrac``, ``\\tfrac``, ``\\cfrac``), or a slash.

    Attributes
    ----------
    slash : whether it is written with a slash: then `bottom` is only what stands right behind, one factor, and `top` is
        all that stands side by side before it: ``\\eta \\partial L/\\partial W`` has the top ``\\eta \\partial L``, the
        bottom ``\\partial``, and W is a further factor behind the fraction
    """

    top: Node
    bottom: Node
    slash: bool = False


@dataclass(frozen=True)
class Root(Part):
    """``\\sqrt[degree]{of}``."""

    of: Node
    degree: Node | None = None


@dataclass(frozen=True)
class BigOperator(Part):
    """``\\sum_{k=1}^{n} body``: `body` is the product that follows, up to the next + or -.

    Attributes
    ----------
    operator : "sum", "prod", "max", "min", "argmax" … (those with an index below them)
    below : what stands below: ``k=1`` is a `Relation`, ``k`` a `Name`, ``j,k`` two parts
    above : what stands above, or None
    """

    operator: str
    below: tuple[Node | Relation, ...]
    above: Node | None
    body: Node


@dataclass(frozen=True)
class Sum(Part):
    """Terms with their signs, +1 or -1."""

    terms: tuple[tuple[int, Node], ...]


@dataclass(frozen=True)
class Product(Part):
    """Factors, and what is written between them.

    Attributes
    ----------
    operators : one fewer than the factors: "" (side by side), "cdot", "times", "odot", "circ", "*", "otimes", "oslash",
        "star", "bullet", "circledast", "mod"; a `BigOperator` is always the last factor
    """

    factors: tuple[Node, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True)
class Cases(Part):
    """``\\begin{cases} value & condition \\\\ … \\end{cases}``; a condition of None, or a `Text`, is "otherwise".

    Words at a condition, ``\\text{if } z > 0 \\text{ and } z < 1``, are remarks of its first relation, and so is what
    follows them; a condition that is no relation is then a relation of one part.
    """

    rows: tuple[tuple[Node, Relation | Node | None], ...]


@dataclass(frozen=True)
class Relation(Part):
    """A chain ``a = b = c``, an assignment, or a comparison.

    Attributes
    ----------
    parts : what stands between the relation signs; an empty first part (a line ``&= …`` that goes on) is None
    signs : "=", "<-" (``\\leftarrow``, ``\\gets``), ":=" (also ``\\coloneqq``, ``\\triangleq``), "≡", "≈", "∝", "<",
        ">", "≤", "≥", "≠", "∈", "∉", "->", "∼", "≪", "≫"
    remarks : what stands behind, in its order: texts, ``\\quad \\text{(chain rule)}``, tags, and what follows a comma
        (``j = 1, \\dots, n`` is the relation ``j = 1``, the name ``\\dots``, and the name n)
    """

    parts: tuple[Node | None, ...]
    signs: tuple[str, ...]
    remarks: tuple[Node | Relation, ...] = ()


Node: TypeAlias = Number | Name | Text | Group | Fraction | Root | BigOperator | Sum | Product | Cases
