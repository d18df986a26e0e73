"""Derivatives as they are written: ∂L/∂W, ∇_W L, dW; and of one tensor by another, total or immediate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy
from sympy import Dummy, Expr, Integer, KroneckerDelta, Symbol

from ...binders import Binder, rename_free
from ...tensors import Adjoint, Tensor, elements, indices_of, is_element, tensor_of
from ..errors import UnknownNameError
from ..latex.syntax import Fraction, Group, Name, Node, Number, Product
from .items import Item, items_of
from .lexicon import LOSS_LABELS, Entry, run_text
from .naming import gradient_named, marked, matching, spots, tensor_named, unknown
from .partials import above, partial
from .reading import Reading
from .values import C, R, Value


@dataclass(frozen=True)
class Differential:
    """``\\partial T``: what stands behind the sign, if anything does."""

    total: bool  # d rather than ∂
    of: tuple[Node, ...]


def as_derivative(node: Fraction, reading: Reading) -> Value | None:
    """The derivative that a fraction is, or None if it is a quotient."""
    top, bottom = _differential(node.top, reading), _differential(node.bottom, reading)
    if top is None or bottom is None or not bottom.of:
        return None
    if not top.of:
        raise reading.fails("nothing stands behind the sign of the derivative", node.span)
    return derivative_of(top, bottom, reading)


def gradient_of_prefix(factors: list[Node], reading: Reading) -> tuple[Value, int] | None:
    """``\\nabla_W L``, ``dW``, ``\\frac{\\partial}{\\partial W} L`` at the head of `factors`; how many it takes."""
    from .calls import is_function_name

    first = factors[0]
    if isinstance(first, Fraction) and len(factors) > 1:
        top, bottom = _differential(first.top, reading), _differential(first.bottom, reading)
        if top is not None and bottom is not None and not top.of and bottom.of:
            function = isinstance(factors[1], Name) and is_function_name(factors[1], reading)
            used = 2 if function and len(factors) > 2 else 1
            return derivative_of(Differential(top.total, tuple(factors[1 : used + 1])), bottom, reading), used + 1
        if first.slash and bottom is not None and not bottom.of:
            return _slashed(first, factors, bottom, reading)
    if not isinstance(first, Name) or len(factors) < 2:
        return None
    if first.base == r"\nabla":
        items = items_of(first.scripts)
        by = tuple(item.node for item in items if item.node is not None)
        if not by:
            raise reading.fails(r"\nabla needs what it differentiates by below it: \nabla_W L", first.span)
        return derivative_of(Differential(False, (factors[1],)), Differential(False, by), reading), 2
    if first.base != "d" or first.scripts or first.accents:
        return None
    found = _tensor_at(factors[1:], reading)
    if found is None or found[0].kind != "tensor":
        return None
    if not is_sign(first, factors[1], reading):
        return None
    entry, items, used = found
    return gradient_named(entry.meaning, items, reading), used + 1


def _slashed(first: Fraction, factors: list[Node], bottom: Differential, reading: Reading) -> tuple[Value, int] | None:
    """``\\eta\\,\\partial L/\\partial W``: what stands in front of the sign multiplies the derivative."""
    from .formula import combined, value_of

    over = first.top.factors if isinstance(first.top, Product) and not any(first.top.operators) else (first.top,)
    signs = [
        n for n, f in enumerate(over) if isinstance(f, Name) and f.base in (r"\partial", "d") and n + 1 < len(over)
    ]
    if not signs:
        return None
    at = _tensor_at(factors[1:], reading)
    used = 1 if at is None else at[2]
    top = Differential(bottom.total, over[signs[-1] + 1 :])
    made = derivative_of(top, Differential(bottom.total, tuple(factors[1 : used + 1])), reading)
    front = over[: signs[-1]]
    if front:
        whole = value_of(Product(front, ("",) * (len(front) - 1)) if len(front) > 1 else front[0], reading)
        made = combined(whole, "", made, reading)
    return made, used + 1


def _differential(node: Node, reading: Reading) -> Differential | None:
    """``\\partial L``, ``dE``, or the sign alone."""
    factors = node.factors if isinstance(node, Product) and not any(node.operators) else (node,)
    sign = factors[0]
    if isinstance(sign, Group) and sign.opening == "" and len(sign.content) == 1 and len(factors) == 1:
        return _differential(sign.content[0], reading)  # type: ignore[arg-type]
    if not isinstance(sign, Name) or sign.accents:
        return None
    if sign.base == r"\partial":
        if sign.scripts:
            raise reading.fails("a derivative of higher order is not read; derive the gradient again (gl.tangent)")
        return Differential(False, tuple(factors[1:]))
    following = factors[1] if len(factors) > 1 else None
    if sign.base == "d" and not sign.scripts and is_sign(sign, following, reading):
        return Differential(True, tuple(factors[1:]))
    return None


def is_sign(d: Name, following: Node | None, reading: Reading) -> bool:
    """Whether d is the sign of a differential, where the network has a d: in front of a name it is no size."""
    known = matching(d, reading)
    adjacent = following is not None and following.span.start == d.span.end
    if not known or (adjacent and all(entry.kind == "size" for entry, _ in known)):
        return True
    return reading.settle("d", [True, False])


def _tensor_at(factors: list[Node] | tuple[Node, ...], reading: Reading) -> tuple[Entry, list[Item], int] | None:
    """The tensor whose name stands at the head of `factors`, its other scripts, and how many factors that takes."""
    for used in range(len(factors), 1, -1):
        part = factors[:used]
        if all(isinstance(f, Name | Number) for f in part) and not any(getattr(f, "scripts", ()) for f in part[:-1]):
            known = [e for e in reading.lexicon.runs.get(run_text(part), []) if e.kind in ("tensor", "loss")]
            if known:
                return reading.pick(known), items_of(part[-1].scripts), used  # type: ignore[union-attr]
    first = factors[0]
    if isinstance(first, Group) and first.opening in ("", "(") and len(first.content) == 1:
        inner = _tensor_at((first.content[0],), reading)  # type: ignore[arg-type]
        return None if inner is None else (inner[0], [*inner[1], *items_of(first.scripts)], 1)
    if not isinstance(first, Name):
        return None
    found = [(e, left) for e, left in matching(first, reading) if e.kind in ("tensor", "loss", "node")]
    if not found:
        runs = [e for e in reading.lexicon.runs.get(run_text([first]), []) if e.kind in ("tensor", "loss")]
        found = [(entry, items_of(first.scripts)) for entry in runs]
    if not found:
        return None
    entry, left = reading.pick(found)
    if entry.kind == "node":
        inner = _tensor_at((entry.meaning[0],), reading)
        return None if inner is None else (inner[0], [*inner[1], *left], 1)
    return entry, left, 1


def derivative_of(top: Differential, bottom: Differential, reading: Reading) -> Value:
    """∂top/∂bottom: the derived gradient where the top is the loss, else that of one tensor by another."""
    by = _whole_tensor(bottom.of, reading)
    found = _tensor_at(top.of, reading)
    if found is None or found[2] != len(top.of):
        applied = _of_expression(top.of, by, reading)
        if applied is not None:
            return applied
    of = _whole_tensor(top.of, reading)
    if of[0].kind == "loss" and of[0].meaning == reading.network.loss:
        strange = [item for item in of[1] if item.text not in LOSS_LABELS]
        if strange:
            raise UnknownNameError(
                f"the loss with {', '.join(item.text for item in strange)} beside it: one part of the loss, or the "
                f"loss of one example, is no tensor of {reading.network.name}; define it there, or give an alias"
            )
        return gradient_named(by[0].meaning, by[1], reading)
    for known in reading.network.tensors.values():
        if isinstance(known, Adjoint) and (known.of, known.loss) == (by[0].meaning, of[0].meaning) and not of[1]:
            return tensor_named(known, by[1], reading)
    return between(of[0].meaning, of[1], by[0].meaning, by[1], top.total, reading)


def _of_expression(of: tuple[Node, ...], by: tuple[Entry, list[Item]], reading: Reading) -> Value | None:
    """``\\frac{d\\,\\sigma(x)}{dx}``: of an expression in x, entry by entry; None for what is no application."""
    from .formula import value_of

    if len(of) == 1 and not isinstance(of[0], Group | Fraction):
        return None
    value = value_of(Product(of, ("",) * (len(of) - 1)) if len(of) > 1 else of[0], reading)
    variable = tensor_named(by[0].meaning, by[1], reading)
    element = variable.entry
    equations = {equation.target: equation for equation in reading.network.equations}
    if value.entry.has(Binder) or not is_element(element):
        raise reading.fails("a sum is differentiated by one of its entries: define it in the network")
    if variable.shape != value.shape:
        raise reading.misfit(f"what is differentiated is {value}, what it is differentiated by {variable}")
    made: Expr = Integer(0)
    for read in elements(value.entry):
        u = Dummy("u", real=True)
        outer = sympy.diff(value.entry.xreplace({read: u}), u).xreplace({u: read})
        if read == element:
            made += outer
        elif by[0].meaning in above(tensor_of(read), equations) or tensor_of(read) == by[0].meaning:
            expr, where_of, where_by = partial(tensor_of(read), by[0].meaning, reading, through=True)
            if not variable.is_scalar and tensor_of(read).shape != by[0].meaning.shape:
                raise reading.fails("this derivative is a Jacobian: write it with indices")
            axes = list(range(by[0].meaning.rank))
            if not variable.is_scalar and not _pointwise(expr, where_of, where_by, axes, axes):
                raise reading.fails("this derivative is a Jacobian: write it with indices")
            at = dict(zip([*where_of, *where_by], [*indices_of(read), *indices_of(element)], strict=True))
            made += outer * rename_free(expr, at)
    return Value(made, *value.shape)


def _whole_tensor(factors: tuple[Node, ...], reading: Reading) -> tuple[Entry, list[Item]]:
    found = _tensor_at(factors, reading)
    if found is None:
        first = factors[0]
        if isinstance(first, Name):
            raise unknown(first, reading.text, reading)
        raise reading.fails("what is differentiated, and by what, is one tensor each", first.span)
    entry, items, used = found
    if used != len(factors):
        raise reading.fails("what is differentiated, and by what, is one tensor each", factors[used].span)
    return entry, items


# ---- one tensor by another --------------------------------------------------------------------------------------


def between(of: Tensor, of_items: list[Item], by: Tensor, by_items: list[Item], total: bool, reading: Reading) -> Value:
    """∂T/∂U: a number where both are at indices; entry by entry, or the Jacobian, where both are open."""
    at_of, rest_of = spots(of, of_items, reading)
    at_by, rest_by = spots(by, by_items, reading)
    if rest_of or rest_by:
        raise reading.fails("a transpose or a power inside of a derivative")
    immediate, whole = partial(of, by, reading, through=False), partial(of, by, reading, through=True)
    expr, where_of, where_by = whole
    if immediate[0] not in (0, whole[0]) and not total:
        kind = reading.pick(["total", "immediate"])
        reading.note(f"∂{of.name}/∂{by.name} is the {kind} derivative")
        expr, where_of, where_by = whole if kind == "total" else immediate
    free_of = [axis for axis, position in enumerate(at_of) if position is None]
    free_by = [axis for axis, position in enumerate(at_by) if position is None]
    shape: tuple[Any, Any]
    if not free_of:
        shape = _place(at_by, free_by, by, reading)
    elif not free_by:
        shape = _place(at_of, free_of, of, reading)
    else:
        entries = [of.shape[a] for a in free_of] == [by.shape[a] for a in free_by]
        jacobian = len(free_of) == len(free_by) == 1
        how = reading.pick(["entries"] * entries + ["jacobian"] * jacobian)
        if how == "entries":
            shape = _place(at_of, free_of, of, reading)
            for one, other in zip(free_of, free_by, strict=True):
                at_by[other] = at_of[one]
            if not _pointwise(expr, where_of, where_by, free_of, free_by):
                raise reading.misfit(
                    f"{of.name} is no function of {by.name} entry by entry: its derivative is a Jacobian"
                )
        else:
            at_of[free_of[0]], at_by[free_by[0]] = R, C
            shape = (of.shape[free_of[0]], by.shape[free_by[0]])
    names = {**dict(zip(where_of, at_of, strict=True)), **dict(zip(where_by, at_by, strict=True))}
    return marked(Value(rename_free(expr, names), *shape), [], reading)


def _place(at: list[Any], free: list[int], tensor: Tensor, reading: Reading) -> tuple[Any, Any]:
    """Rows and columns for the open axes of a tensor, put into `at`."""
    if len(free) > 2:
        raise reading.misfit(f"{tensor.name} has {len(free)} axes without an index; a matrix has two")
    if not free:
        return None, None
    batched = free[0] == 0 and tensor.shape[0] == reading.network.batch
    marks = [R, C] if len(free) == 2 else [R]
    if batched and reading.manner.layout == "columns":
        marks = [C, R] if len(free) == 2 else [C]
    shape = {R: None, C: None}
    for axis, mark in zip(free, marks, strict=True):
        at[axis] = mark
        shape[mark] = tensor.shape[axis]
    return shape[R], shape[C]


def _pointwise(
    expr: Expr, where_of: list[Symbol], where_by: list[Symbol], free_of: list[int], free_by: list[int]
) -> bool:
    """Whether each term has the deltas of the axes that are open."""
    deltas = [KroneckerDelta(where_of[a], where_by[b]) for a, b in zip(free_of, free_by, strict=True)]
    terms = sympy.Add.make_args(sympy.expand_mul(expr))
    return expr == 0 or all(set(deltas) <= set(sympy.Mul.make_args(term)) for term in terms)
