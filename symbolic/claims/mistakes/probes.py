"""What numbers say of a mistake: the ratio of what is right to what is claimed, and their difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction as Ratio
from itertools import product
from typing import Any

import numpy as np
import sympy
from sympy import Dummy, Symbol

from ...binders import rename_free
from ...equations import Equation
from ...indices import Dim
from ...latex import tensor_latex
from ...matrix_view import View
from ...matrix_write import matrix_latex
from ...notation import Notation
from ...tensors import Adjoint, Tensor, element_of, elements, tensor_of
from ..deciding.survey import Place
from ..judge import Meaning
from ..latex.syntax import Number, Sum
from ..meaning.function_names import FUNCTIONS
from ..meaning.reading import Manner
from ..meaning.values import C, R
from .edits import Candidate, Change, Style, inside, spots_of, terms_of, written
from .edits_names import activations_of
from .edits_remove import numbers
from .screen import Screen, Seen

TOLERANCE = 1e-7


def constant_ratio(
    screen: Screen, whole: str, manner: Manner, without: str | None = None
) -> tuple[Ratio, Any, int] | None:
    """The number q s^e by which what `without` lacks is to be multiplied for the formula to be right; s is a size.

    With `without` None the ratio is that of the whole side.
    """
    found = []
    sizes = []
    for number in (0, 1, 2):
        ratio = ratio_at(screen, whole, manner, without, number)
        if ratio is None or not _is_flat(ratio):
            return None
        found.append(float(ratio.flat[0]))
        sizes.append(screen.point(number, manner.single))
    dims = _dims(screen)
    for size, by in [(None, 0), *((dim, by) for by in (-1, 1) for dim in dims)]:
        parts = [
            value / (point.size(size) ** by if size is not None else 1)
            for value, point in zip(found, sizes, strict=True)
        ]
        q = Ratio(parts[0]).limit_denominator(60)
        if q != 0 and all(abs(part - q) <= TOLERANCE * abs(q) for part in parts):
            return q, size, by
    return None


def _dims(screen: Screen) -> list[Any]:
    network = screen.frame.lexicon.derivation.network
    found = {s for t in network.tensors.values() for z in t.shape for s in z.free_symbols if isinstance(s, Dim)}
    return sorted(found, key=lambda s: (s != network.batch, s.name))


def ratio_at(screen: Screen, whole: str, manner: Manner, without: str | None, number: int = 0) -> Any:
    """An array of the ratio, or None where it is none."""
    seen = screen.look(whole, manner, number)
    if not seen:
        return None
    right, left = seen[0].right, seen[0].left
    if without is not None:
        other = screen.look(without, manner, number)
        if not other or other[0].right.shape != right.shape:
            return None
        right, left = right - other[0].right, left - other[0].right
    right, left = np.broadcast_arrays(right, left)
    scale = np.max(np.abs(right), initial=0.0)
    usable = np.abs(right) > 1e-9 * scale
    if scale == 0 or not usable.any() or np.max(np.abs(left[~usable]), initial=0.0) > 1e-9 * scale:
        return None
    return np.where(usable, left / np.where(usable, right, 1), np.nan)


def _is_flat(ratio: Any) -> bool:
    known = ratio[~np.isnan(ratio)]
    return bool(np.max(np.abs(known - known[0])) <= TOLERANCE * abs(known[0]) and known[0] != 0)


def constants(
    screen: Screen, part: Any, style: Style, manner: Manner, target: Any, without: str | None
) -> Iterator[Candidate]:
    """`target`, a term or the whole side, times a number."""
    found = constant_ratio(screen, style.text, manner, without)
    if found is None:
        return
    q, size, by = found
    batch = screen.frame.lexicon.derivation.network.batch
    text = style.text
    shown = written(text, target)
    level = 0 if without is None else 2
    if q == 1 and by == 0:
        return
    if size is None and q == -1:
        yield from turned(part, target, style, level)
        return
    if size is None:
        kind, words = "factor", f"{shown} is to be multiplied by {_ratio_text(q)}."
        for one in numbers(target, style, q):
            yield Candidate("factor", one.words, one.changes, level)
    else:
        name = style.size_name(size)
        shown_size = name
        if size == batch and q == 1 and (by < 0 or without is None):
            kind = "missing 1/B" if by < 0 else "extra 1/B"
            words = (
                f"The factor 1/{name} is missing: the loss is a mean over the {name} examples."
                if by < 0
                else f"The factor 1/{name} is too many: {shown} is a mean over the examples already."
            )
        else:
            kind = "factor"
            words = f"{shown} is to be {'divided' if by < 0 else 'multiplied'} by the size {shown_size}."
    factor = coefficient(q, None if size is None else style.size_name(size), by)
    yield Candidate(kind, words, prefixed(target, factor, text), level + 1)


def turned(part: Any, target: Any, style: Style, level: int) -> Iterator[Candidate]:
    """The sign of a whole side, or of one of its terms, turned."""
    text = style.text
    shown = written(text, target)
    if isinstance(target, Sum) and len(target.terms) > 1:
        span = inside(text, target.span)
        words = "The sign of the whole side is wrong."
        yield Candidate("sign", words, (Change(span.start, span.start, "-("), Change(span.end, span.end, ")")), level)
        return
    words = f"The sign of {shown} is wrong."
    if isinstance(target, Sum):
        start = target.span.start
        head = text[start : target.terms[0][1].span.start]
        at = start + next((n for n, c in enumerate(head) if c in "-−"), 0)
        yield Candidate("sign", words, (Change(at, at + 1, ""),), level)
    else:
        yield Candidate("sign", words, (Change(target.span.start, target.span.start, "-"),), level)


def _ratio_text(q: Ratio) -> str:
    return str(q.numerator) if q.denominator == 1 else f"{q.numerator}/{q.denominator}"


def coefficient(q: Ratio, size: str | None, by: int) -> str:
    top, bottom = [str(abs(q.numerator))] * (abs(q.numerator) != 1), [str(q.denominator)] * (q.denominator != 1)
    if size is not None:
        (top if by > 0 else bottom).append(size)
    sign = "-" if q < 0 else ""
    above = " ".join(top)
    return f"{sign}\\frac{{{above or '1'}}}{{{' '.join(bottom)}}} " if bottom else f"{sign}{above} "


def prefixed(target: Any, factor: str, text: str) -> tuple[Change, ...]:
    """A factor in front of a part, in brackets if need be."""
    span = inside(text, target.span)
    if isinstance(target, Sum):
        if len(target.terms) == 1:
            term = target.terms[0][1]
            return (Change(term.span.start, term.span.start, factor),)
        return (Change(span.start, span.start, factor + "("), Change(span.end, span.end, ")"))
    return (Change(span.start, span.start, factor),)


# ---- a tensor that is missing ------------------------------------------------------------------------------------


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
    for size in tensor.shape:
        fits = [symbol for symbol, known in where.items() if known == size]
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
    symbol = tensor_latex(tensor, Notation())
    letters = [place.name for place in at if place not in (R, C) and not place.name.startswith("each_")]
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
                except Exception:
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
                    prefix = "" if q == 1 else coefficient(q, None, 0)
                    found.append((derivative is False, q != 1, len(template), prefix + shown, kind))
    used = {name.base for name in style.names}
    del used
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


# ---- a term that is missing --------------------------------------------------------------------------------------


def dropped(screen: Screen, part: Any, style: Style, manner: Manner) -> Iterator[Candidate]:
    """The difference of the two sides is one contribution to the derived gradient, or a tensor, or two multiplied."""
    seen = screen.look(style.text, manner)
    if not seen:
        return
    one = seen[0]
    gap = one.left - one.right
    if not np.any(gap):
        return
    yield from _contributions(screen, part, style, one, gap)
    found = []
    point = screen.point(0, manner.single)
    arrays = []
    for tensor in tensors_of(screen):
        for at in placed(tensor, one.meaning):
            try:
                array = np.broadcast_to(
                    point.array(element_of(tensor, list(at)), one.meaning.question.indices), gap.shape
                )
            except Exception:
                continue
            arrays.append((tensor, at, np.asarray(array, dtype=float)))
    rates = [t for t in screen.frame.lexicon.derivation.network.tensors.values() if t.rank == 0 and t.role != "value"]
    with np.errstate(all="ignore"):
        for tensor, at, array in arrays:
            ratio = gap / array
            q = _number(ratio)
            if q is not None:
                found.append((q, [(tensor, at, "{0}")]))
            for other, where, values in arrays:
                for template, shape in _SHAPES[:4]:
                    q = _number(ratio / shape(values))
                    if q is not None:
                        found.append((q, [(tensor, at, "{0}"), (other, where, template)]))
    del rates
    for q, factors in found:
        shown = []
        for tensor, at, template in factors:
            name = name_of_tensor(tensor, at, style, screen)
            name = f"({name})" if "^2" in template and "^" in name else name
            shown.append(template.format(name, op="" if style.indexed else style.elementwise))
        op = " " if style.indexed or any(f[0].rank == 0 for f in factors) else f" {style.elementwise} "
        yield _term(part, style, q, op.join(shown), "The term {0} is missing.")


def _number(ratio: Any) -> Ratio | None:
    if ratio.size < 2 or not np.all(np.isfinite(ratio)):
        return None
    first = float(ratio.flat[0])
    if np.max(np.abs(ratio - first)) > TOLERANCE * abs(first):
        return None
    q = Ratio(first).limit_denominator(12)
    return q if q != 0 and abs(float(q) - first) <= TOLERANCE * abs(first) else None


def _term(part: Any, style: Style, q: Ratio, shown: str, words: str) -> Candidate:
    sign = "-" if q < 0 else "+"
    term = f"{coefficient(abs(q), None, 0).strip()} {shown}".strip()
    span = inside(style.text, part.span)
    return Candidate("dropped term", words.format(term), (Change(span.end, span.end, f" {sign} {term}"),), 3)


def _contributions(screen: Screen, part: Any, style: Style, one: Seen, gap: Any) -> Iterator[Candidate]:
    """A part of the derived gradient, as its own equation prints it."""
    derivation = screen.frame.lexicon.derivation
    network = derivation.network
    left = one.meaning.left.entry
    element = next(iter(e for e in [left] if hasattr(e, "indices")), None)
    try:
        tensor = tensor_of(left)
    except Exception:
        return
    del element
    if not isinstance(tensor, Adjoint) or tensor.of.name not in derivation.steps:
        return
    step = derivation.steps[tensor.of.name]
    where = list(left.args[1:]) if left.args else []
    bodies = [(p.term, p.where, p.through.target.name) for p in step.parts]
    bodies += [(term, step.equation.indices, "") for term in sympy.Add.make_args(sympy.expand_mul(step.equation.body))]
    point = screen.point(0, one.meaning.manner.single)
    for term, homes, through in bodies:
        try:
            moved = rename_free(term, dict(zip(homes, where, strict=True)))
            array = np.broadcast_to(point.array(moved, one.meaning.question.indices), gap.shape)
        except Exception:
            continue
        for sign in (1, -1):
            if np.max(np.abs(gap - sign * array)) <= TOLERANCE * np.max(np.abs(gap)):
                way = f" (what comes back through {through})" if through else ""
                for shown in _printed(derivation, tensor, homes, term, one, style):
                    yield _term(
                        part, style, Ratio(sign), shown, f"The term {{0}} is missing{way}.".replace("{{0}}", "{0}")
                    )
    del network


def _printed(derivation: Any, tensor: Any, homes: Any, term: Any, one: Seen, style: Style) -> Iterator[str]:
    from ...compact import compact
    from ...latex import LatexPrinter
    from ...printer import names_in
    from ...rewriting import Rewriting

    ranges = dict(zip(homes, tensor.shape, strict=True))
    short = compact(term, Rewriting(derivation.network), ranges)[0]
    equation = Equation(tensor, tuple(homes), short)
    layout = one.meaning.manner.layout
    try:
        view = View([equation, *(s.equation for s in derivation.steps.values())], layout, derivation.network.batch)
        form = matrix_latex(equation, view, Notation(layout=layout))
        if form is not None:
            side = form.split(" = ", 1)[1]
            yield f"({side})" if style_needs_brackets(side) else side
    except Exception:
        pass
    letters = [s for s, _ in one.meaning.question.indices if s not in (R, C)]
    if len(letters) == len(homes):
        moved = rename_free(short, dict(zip(homes, letters, strict=True)))
        side = LatexPrinter(names_in(moved)).write(moved)
        yield f"({side})" if style_needs_brackets(side) else side


def style_needs_brackets(side: str) -> bool:
    depth = 0
    for at, c in enumerate(side):
        if c in "{([":
            depth += 1
        elif c in "})]":
            depth -= 1
        elif c in "+-" and depth == 0 and at > 0:
            return True
    return side.startswith("-")


__all__ = ["Number", "Place", "Symbol", "constants", "dropped", "matches", "spots_of", "terms_of"]
