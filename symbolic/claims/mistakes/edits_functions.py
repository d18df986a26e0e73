"""Changes of functions: another one, its derivative, one put around a term, a number in its argument."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..latex.syntax import Group, Name, Product, Sum
from ..meaning.calls import ACTIVATIONS
from ..meaning.reading import Reading
from .edits import Candidate, Change, Style, inside, spots_of, written
from .edits_names import meant, names_in


def functions(part: Any, style: Style, reading: Reading) -> Iterator[Candidate]:
    """Another function, a derivative for the function, the function for its derivative; sums over the other axis."""
    text = style.text
    own = [name for (name, _), entries in reading.lexicon.entries.items() for e in entries if e.kind == "function"]
    plain: list[str] = [n for n in (r"\sigma", "tanh", "relu", "exp", "log", "softplus") if n in own]
    plain += [n for n in own if n not in plain and n not in _STANDARD]
    for spot in names_in(part):
        node = spot.node
        around = spot.above[-1] if spot.above else None
        if not isinstance(around, Product):
            continue
        at = next(n for n, factor in enumerate(around.factors) if factor is node)
        following = around.factors[at + 1] if at + 1 < len(around.factors) and not around.operators[at] else None
        known = any(entry.kind == "function" for entry in reading.lexicon.labelled(node)) or node.base in ACTIVATIONS
        if following is None or not known:
            continue
        if not isinstance(following, Group) and any(e.kind != "function" for e, _ in meant(node, reading)):
            continue
        start = inside(text, node.span).start
        end = min([script.span.start for script in node.scripts], default=node.span.end)
        shown = text[node.span.start : following.span.end]
        axes = {"rowsum": "colsum", "colsum": "rowsum"}.get(node.base)
        if axes is not None:
            new = text[start:end].replace(node.base, axes)
            words = f"The sum runs along the wrong axis: {axes} in place of {node.base}."
            yield Candidate("broadcast axis", words, (Change(start, end, new),), 2)
            continue
        if node.base in ("sum", "mean", "diag", "softmax", "max", "min", "tr"):
            continue
        primes = [script for script in node.scripts if script.kind == "prime"]
        if primes:
            span = primes[0].span
            words = f"{shown} is the derivative of the activation; the activation itself belongs here."
            yield Candidate("extra activation derivative", words, (Change(span.start, span.end, ""),), 2)
        elif isinstance(following, Group):
            words = f"{shown} is the activation; its derivative belongs here."
            yield Candidate("missing activation derivative", words, (Change(end, end, "'"),), 2)
        for other in plain:
            if other != node.base:
                words = f"The function in {shown} is wrong: it is {_function(other)}."
                new = _function(other)
                if not isinstance(following, Group):
                    new += " "
                yield Candidate("wrong function", words, (Change(start, end, new),), 3)


_STANDARD = frozenset(
    "sigmoid sigm logistic ReLU silu swish gelu GELU elu ELU ln sinh "
    " cosh sin cos tan arctan erf sign sgn abs sqrt sech "
    r"softmax diag Diag tr Tr trace rowsum colsum sum mean max min logsumexp \zeta".split()
)


def wrapped(part: Any, style: Style, reading: Reading) -> Iterator[Candidate]:
    """A function put around a term: σ(Xw) for Xw."""
    text = style.text
    used = {equation.body.func.__name__ for equation in reading.network.equations}
    names = {"sigmoid": r"\sigma", "tanh": r"\tanh", "relu": r"\mathrm{relu}", "exp": r"\exp", "log": r"\log"}
    for spot in spots_of(part):
        node = spot.node
        if spot.script or not isinstance(node, Sum):
            continue
        for _, term in node.terms:
            for name in [shown for known, shown in names.items() if known in used]:
                words = f"The function {name} of {written(text, term)} is missing."
                changes = (
                    Change(term.span.start, term.span.start, f"{name}("),
                    Change(term.span.end, term.span.end, ")"),
                )
                yield Candidate("wrong function", words, changes, 3)


def arguments(part: Any, style: Style, reading: Reading) -> Iterator[Candidate]:
    """The argument of a function times a usual number: erf(x/√2) for erf(x)."""
    text = style.text
    for spot in spots_of(part):
        node = spot.node
        around = spot.above[-1] if spot.above else None
        if spot.script or not (isinstance(node, Group) and node.opening == "(" and isinstance(around, Product)):
            continue
        at = next(n for n, factor in enumerate(around.factors) if factor is node)
        name = around.factors[at - 1] if at and not around.operators[at - 1] else None
        if not isinstance(name, Name) or not any(e.kind == "function" for e in reading.lexicon.labelled(name)):
            continue
        inner = text[node.span.start + 1 : node.content[0].span.end] if len(node.content) == 1 else ""
        for factor in (r"\frac{1}{\sqrt 2}", r"\frac12", "2", r"\sqrt 2") if inner else ():
            shown = f"({inner})" if isinstance(node.content[0], Sum) else inner
            words = f"The factor {factor} is missing in {text[name.span.start : node.span.end]}."
            change = Change(node.span.start + 1, node.content[0].span.end, f"{factor} {shown}")
            yield Candidate("missing factor", words, (change,), 3)


def _function(name: str) -> str:
    return name if name.startswith("\\") else "\\" + name if name in ("tanh", "exp", "log") else rf"\mathrm{{{name}}}"
