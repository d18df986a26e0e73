"""The term by which the two sides differ: a contribution to the gradient, a tensor, or two multiplied."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction as Ratio
from typing import Any

import numpy as np
import sympy

from ...binders import rename_free
from ...equations import Equation
from ...errors import GradloomError
from ...matrix_view import View
from ...matrix_write import matrix_latex
from ...notation import Notation
from ...tensors import Adjoint, element_of, is_element, tensor_of
from ..meaning.reading import Manner
from ..meaning.values import C, R
from .edits import Candidate, Change, Style, inside
from .probes import TOLERANCE, coefficient
from .probes_factors import _SHAPES, name_of_tensor, placed, tensors_of
from .screen import Screen, Seen


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
            except (GradloomError, ArithmeticError):
                continue
            arrays.append((tensor, at, np.asarray(array, dtype=float)))
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
    term = f"{coefficient(abs(q), None, Ratio(0)).strip()} {shown}".strip()
    span = inside(style.text, part.span)
    return Candidate("dropped term", words.format(term), (Change(span.end, span.end, f" {sign} {term}"),), 3)


def _contributions(screen: Screen, part: Any, style: Style, one: Seen, gap: Any) -> Iterator[Candidate]:
    """A part of the derived gradient, as its own equation prints it."""
    derivation = screen.frame.lexicon.derivation
    left = one.meaning.left.entry
    if not is_element(left):
        return
    tensor = tensor_of(left)
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
        except (GradloomError, ArithmeticError):
            continue
        for sign in (1, -1):
            if np.max(np.abs(gap - sign * array)) <= TOLERANCE * np.max(np.abs(gap)):
                way = f" (what comes back through {through})" if through else ""
                for shown in _printed(derivation, tensor, homes, term, one, style):
                    yield _term(
                        part, style, Ratio(sign), shown, f"The term {{0}} is missing{way}.".replace("{{0}}", "{0}")
                    )


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
    except (GradloomError, ArithmeticError):
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
