"""The factor by which what is claimed lacks: a tensor, the derivative of an activation, one of a few shapes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction as Ratio
from itertools import product
from typing import Any

import numpy as np
import sympy
from sympy import Dummy, Integer, Symbol

from ...errors import GradloomError
from ...latex import tensor_latex
from ...notation import Notation
from ...tensors import Adjoint, Tensor, element_of, elements
from ..judge import Meaning
from ..latex.syntax import Sum
from ..meaning.function_names import FUNCTIONS
from ..meaning.values import C, R
from .edits import Change, Style, inside, written
from .edits_names import activations_of
from .probes import TOLERANCE, coefficient, prefixed
from .screen import Screen

Shape = Callable[[Any], Any]
_SHAPES: tuple[tuple[str, Shape], ...] = (
    ("{0}", lambda v: v),
    ("(1 - {0})", lambda v: 1 - v),
    ("{0} {op} (1 - {0})", lambda v: v * (1 - v)),
    ("(1 - {0}^2)", lambda v: 1 - v * v),
    ("{0}^2", lambda v: v * v),
    (r"\frac{{1}}{{{0}}}", lambda v: 1 / v),
    (r"\frac{{1}}{{{0}^2}}", lambda v: 1 / (v * v)),
)


def placed(tensor: Tensor, meaning: Meaning) -> list[tuple[Any, ...]]:
    """The ways in which a tensor's axes may run along those of the two sides."""
    options = []
    where = dict(meaning.question.indices)
    batch = meaning.question.batch if meaning.manner.single else None
    for size in tensor.shape:
        fits: list[Any] = [symbol for symbol, known in where.items() if known == size]
        if not fits and size == batch:
            fits = [Integer(0)]  # the one example
        if not fits:
            return []
        options.append(fits)
    return [at for at in product(*options) if len(set(at)) == len(at)]


def tensors_of(screen: Screen) -> list[Tensor]:
    """Tensors of the network and their gradients, those first that the derived equations of the subject read."""
    derivation = screen.frame.lexicon.derivation
    network = derivation.network
    plain = [t for t in network.tensors.values() if t.classes is None and t != network.loss]
    steps = [t for t in plain if t.name in derivation.steps and t.role != "target"]
    return [*plain, *(Adjoint(t, network.loss) for t in steps if network.loss is not None)]


def name_of_tensor(tensor: Tensor, at: tuple[Any, ...], style: Style, screen: Screen) -> str:
    """The tensor in the user's notation where the formula has it, else in the network's own, at these places."""
    from .edits import reader
    from .edits_names import meant

    reading = reader(screen.frame.lexicon, style.text, screen.layers)
    kind, plain = ("adjoint", tensor.of) if isinstance(tensor, Adjoint) else ("tensor", tensor)
    symbol = _symbol(tensor, kind, plain, style)
    letters = [s.name for s in at if isinstance(s, Symbol) and s not in (R, C) and not s.name.startswith("each_")]
    for name in style.names:
        for entry, rest in meant(name, reading):
            if entry.kind == kind and entry.meaning == plain:
                indices = [item.text for item in rest if item.node is not None and not item.raised]
                if indices == letters:
                    keep = written(style.text, name)
                    if not any(item.raised for item in rest):
                        return keep
    from ..meaning.items import items_of
    from .edits_names import renamed

    for name in style.names:
        entries = [e for e, _ in meant(name, reading)]
        if (
            entries
            and entries[0].kind in ("tensor", "adjoint")
            and not [i for i in items_of(name.scripts) if i.raised and not i.bracket]
        ):
            rest = meant(name, reading)[0][1]
            if [item.text for item in rest if item.node is not None] == letters:
                new = renamed(name, plain, style, reading, kind)
                if new is not None:
                    return new
    if not letters:
        return symbol
    return f"{{{symbol}}}_{{{''.join(letters)}}}" if "_" in symbol else f"{symbol}_{{{''.join(letters)}}}"


def _symbol(tensor: Tensor, kind: str, plain: Tensor, style: Style) -> str:
    """The symbol of a tensor: the network's own, if the user has not taken it for another."""
    symbol = tensor_latex(tensor, Notation())
    own: list[str] = []
    for (base, accents), entries in style.lexicon.entries.items():
        for entry in entries:
            if entry.kind != kind or entry.meaning != plain or accents or kind != "tensor":
                continue
            shown = base if len(base) == 1 or base.startswith("\\") else rf"\mathrm{{{base}}}"
            numbers = [label for label in entry.labels if label.isdigit()]
            if len(numbers) == len(entry.labels) <= 1:
                own.append(shown + "".join(f"^{{({number})}}" for number in numbers))
    return symbol if symbol in own or not own else own[0]


def matches(screen: Screen, ratio: Any, meaning: Meaning, style: Style) -> Iterator[tuple[str, str, str]]:
    """Factors that are `ratio` at the first point: their text, their kind, and words for them."""
    network = screen.frame.lexicon.derivation.network
    applied = activations_of(network)
    point = screen.point(0, meaning.manner.single)
    usable = ~np.isnan(ratio)
    found = []
    with np.errstate(all="ignore"):
        for tensor in tensors_of(screen):
            for at in placed(tensor, meaning):
                try:
                    array = np.broadcast_to(
                        point.array(element_of(tensor, list(at)), meaning.question.indices), ratio.shape
                    )
                except (GradloomError, ArithmeticError):
                    continue
                array = np.asarray(array, dtype=float)
                shaped = [(template, shape(array)) for template, shape in _SHAPES]
                if screen.has_tanh:
                    shaped += [(r"\tanh({0})", np.tanh(array)), (r"(1 - \tanh^2({0}))", 1 - np.tanh(array) ** 2)]
                if tensor in applied:
                    template, slope = _derivative_of(applied[tensor][1], element_of(tensor, list(at)))
                    values = np.asarray(point.array(slope, meaning.question.indices), dtype=float)
                    shaped.insert(0, (template, np.broadcast_to(values, ratio.shape)))
                for template, values in shaped:
                    zero = usable & (values == 0)
                    if np.any(ratio[zero]):
                        continue
                    quotient = (ratio[usable & ~zero] / values[usable & ~zero]).ravel()
                    if quotient.size < 2 or not np.all(np.isfinite(quotient)):
                        continue
                    if np.max(np.abs(quotient - quotient[0])) > TOLERANCE * abs(quotient[0]):
                        continue
                    q = Ratio(float(quotient[0])).limit_denominator(12)
                    if q == 0 or abs(float(q) - quotient[0]) > TOLERANCE * abs(q):
                        continue
                    name = name_of_tensor(tensor, at, style, screen)
                    op = "" if style.indexed else style.elementwise
                    shown = template.format(name, op=op)
                    if "^2" in template and ("^" in name):
                        shown = template.format(
                            "{" + name + "}" if template.startswith(r"\frac") else f"({name})", op=op
                        )
                    derivative = (
                        "'" in template
                        or ("1 -" in template and tensor in {t for t, _ in applied.values()})
                        or "tanh^2" in template
                    )
                    kind = "missing activation derivative" if derivative else "missing factor"
                    prefix = "" if q == 1 else coefficient(q, None, Ratio(0))
                    found.append((derivative is False, q != 1, len(template), prefix + shown, kind))
    for *_, shown, kind in sorted(found, key=lambda one: one[:3]):
        words = (
            f"The derivative of the activation, {shown}, is missing."
            if kind == "missing activation derivative"
            else f"The factor {shown} is missing."
        )
        yield shown, kind, words


def _derivative_of(equation: Any, at: Any) -> tuple[str, Any]:
    """The derivative of the function in a pointwise equation at an element: how it is written, and its expression."""
    (element,) = elements(equation.body)
    u = Dummy("u", real=True)
    function = equation.body.xreplace({element: u})
    slope = sympy.diff(function, u).xreplace({u: at})
    name = next(
        (name for name, known in FUNCTIONS.items() if callable(known) and known(u) == function), type(function).__name__
    )
    name = getattr(type(function), "symbol", None) or name
    symbol = name if name.startswith("\\") else r"\tanh" if name == "tanh" else rf"\mathrm{{{name}}}"
    return symbol.replace("{", "{{").replace("}", "}}") + "'({0})", slope


def appended(target: Any, factor: str, style: Style) -> tuple[Change, ...]:
    """A factor behind a part, entry by entry."""
    text = style.text
    span = inside(text, target.span)
    op = " " if style.indexed else f" {style.elementwise} "
    if isinstance(target, Sum) and len(target.terms) > 1:
        return (Change(span.start, span.start, "("), Change(span.end, span.end, f"){op}{factor}"))
    if style.indexed:
        return prefixed(target, factor + " ", text)
    return (Change(span.end, span.end, f"{op}{factor}"),)
