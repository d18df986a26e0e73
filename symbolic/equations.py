"""`Equation`: ``target[i, j] = body``, and the checks of shapes and indices that every equation passes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import sympy
from sympy import Expr, Indexed, Piecewise, Symbol
from sympy.logic.boolalg import Boolean

from .binders import Binder, axis_sizes, from_user, rename_free
from .errors import IndexingError, ShapeError, UndefinedError
from .indices import BoundIndex, Dim, check_name
from .place_checks import check_labels, check_places
from .tensors import Tensor, element_of, elements, indices_of, shape_text, tensor_of


@dataclass(frozen=True)
class Equation:
    """``target[indices] = body``.

    Attributes
    ----------
    target : the tensor that the equation defines
    indices : one plain index per axis of the target; they are the free indices of `body`
    body : SymPy expression over elements and binders
    note : what made the equation, for people: "Dense", "chain rule through z1 …"
    inference : what stands for `body` where the network is used and not trained, or None where that is `body` too
    """

    target: Tensor
    indices: tuple[Symbol, ...]
    body: Expr
    note: str = field(default="", compare=False)
    inference: Expr | None = None

    @property
    def lhs(self) -> Expr:
        return element_of(self.target, self.indices)

    @property
    def reads(self) -> list[Tensor]:
        """The tensors that the body reads, each once, in a fixed order."""
        return list(dict.fromkeys(tensor_of(element) for element in elements(self.body)))

    def for_inference(self) -> Equation:
        """The equation as it holds in inference."""
        return self if self.inference is None else replace(self, body=self.inference, inference=None)

    def at(self, where: Iterable[Expr]) -> Expr:
        """The body at other indices: what ``target[where]`` is equal to."""
        # Simultaneous: the new indices may be a permutation of the old ones.
        return rename_free(self.body, dict(zip(self.indices, where, strict=True)))

    def __str__(self) -> str:
        from .text import equation_text

        return equation_text(self)

    def _repr_latex_(self) -> str:
        from .latex import equation_latex

        return f"$\\displaystyle {equation_latex(self)}$"

    def _repr_html_(self) -> str | None:
        from .latex import equation_latex
        from .report.document import Formula, Line
        from .report.notebook import shown_lines

        return shown_lines([Line(Formula(str(self), equation_latex(self)))])


def right_side(name: str, body: Any) -> Expr:
    """
    Raises
    ------
    IndexingError
        If `body` is not one expression, or no finite real number.
    """
    expr = from_user(body, f"{name}: ")
    if not isinstance(expr, Expr):
        raise IndexingError(f"{name}: the right side must be one SymPy expression, found {body!r}")
    if expr.has(sympy.nan, sympy.zoo, sympy.oo, sympy.I):
        raise IndexingError(f"{name}: the right side holds {expr}, which is not a finite real number")
    return expr


def infer_shape(name: str, indices: tuple[Symbol, ...], body: Expr) -> tuple[Expr, ...]:
    """The shape of ``name[indices] = body``, each axis as long as the range of its index.

    Raises
    ------
    IndexingError
        If an index stands twice on the left, or indexes nothing on the right.
    """
    shape = []
    for place, index in enumerate(indices):
        _check_plain(name, index)
        if index in indices[:place]:
            raise IndexingError(f"{name}[{_join(indices)}]: index {index} is used twice on the left side")
        uses = axis_sizes(body, index)
        if not uses:
            raise IndexingError(
                f"{name}[{_join(indices)}]: index {index} indexes no tensor on the right side, so its range is "
                f"unknown; give the shape, as in define({name!r}, …, shape=(…))"
            )
        shape.append(uses[0][2])
    return tuple(shape)


def check_equation(equation: Equation, declared: dict[str, Tensor]) -> None:
    """Check that every symbol is declared, every index is bound, and every index has one range.

    Raises
    ------
    UndefinedError, IndexingError, ShapeError, NameTakenError
    """
    name = equation.target.name
    for index in equation.indices:
        _check_plain(name, index)
        check_name(index.name, "index")  # it will name a loop in generated code
    _check_symbols(equation, declared)
    ranges: dict[Any, Expr] = dict(zip(equation.indices, equation.target.shape, strict=True))
    free = {s for s in equation.body.free_symbols if isinstance(s, Symbol) and not isinstance(s, Tensor | Dim)}
    unbound = sorted(free - set(ranges), key=str)
    plain = [symbol for symbol in unbound if not symbol.is_integer]
    if plain:
        raise UndefinedError(
            f"{name}: {plain[0]} is no tensor of this network, in {equation}; declare it: "
            f"{plain[0]} = net.parameter({plain[0].name!r}) or net.constant({plain[0].name!r}, value)"
        )
    if unbound:
        raise IndexingError(
            f"{name}: index {unbound[0]} is neither on the left side nor summed in {equation}; "
            f"put it in {name}[…] or sum over it: Sum(…, {unbound[0]})"
        )
    for index, size in ranges.items():
        _check_range(equation, equation.body, index, size, f"{name}[{_join(equation.indices)}]")
    for binder in _all_binders(equation.body):
        body, pairs = binder.open()
        for index, size in pairs:
            _check_range(equation, body, index, size, None)
    check_places(name, equation.body, ranges)


def _check_plain(name: str, index: Any) -> None:
    if isinstance(index, Symbol) and not isinstance(index, Tensor | Dim | BoundIndex):
        return
    hint = ""
    if isinstance(index, Expr) and index.free_symbols and index.is_integer:
        hint = (
            "; a step or a shift there would leave holes: write what stands at each place, as in "
            f"{name}[i] = x[i//2] or gl.padded(x[i - 3])"
        )
    raise IndexingError(f"{name}: the left side takes plain indices from indices(), found {index!r}{hint}")


def _check_symbols(equation: Equation, declared: dict[str, Tensor]) -> None:
    name = equation.target.name
    labels = {node.base.label for node in equation.body.atoms(Indexed)}
    for label in sorted(labels, key=str):
        if not isinstance(label, Tensor):
            raise UndefinedError(f"{name}: {label} is indexed but is not a tensor of this network; declare it first")
    for tensor in sorted(equation.body.atoms(Tensor), key=lambda t: t.name):
        known = declared.get(tensor.name)
        if known is None:
            raise UndefinedError(
                f"{name}: {tensor.name} is used before it is defined; declare it with input(), target(), "
                f"parameter() or constant(), or define it above {name}"
            )
        if known != tensor:
            raise UndefinedError(f"{name}: {tensor.name} belongs to another network; declare it in this one")
        if tensor.rank and tensor not in labels:
            raise IndexingError(
                f"{name}: {tensor.name} has shape {shape_text(tensor.shape)} but is used without indices; "
                f"write {tensor.name}[…] with {tensor.rank} of them"
            )
    for node in equation.body.atoms(Piecewise):
        if node.args[-1][1] != True:  # noqa: E712 - SymPy's true
            raise IndexingError(
                f"{name}: the cases of {equation} do not say what holds otherwise; end with (value, True)"
            )
    integers = [t for t in equation.body.atoms(Tensor) if t.classes is not None]
    if integers:
        check_labels(name, equation.body, set(integers))
    if any(isinstance(node, Boolean) and not node.free_symbols for node in (equation.body,)):
        raise IndexingError(f"{name}: the right side is a condition, not a number")


def _all_binders(expr: Any) -> list[Binder]:
    found: list[Binder] = []
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, Binder):
            found.append(node)
        stack.extend(node.args)
    return found


def _check_range(equation: Equation, body: Expr, index: Symbol, size: Expr, left: str | None) -> None:
    for tensor, axis, found in axis_sizes(body, index):
        if found != size:
            first = axis_sizes(body, index)[0]
            against = (
                f"{left}, where it has size {size}" if left else f"axis {first[1]} of {first[0].name}, of size {size}"
            )
            letter = index if left else "the summation index"
            if left is None and first[2] != size:
                against = f"the range {size} that was given"
            raise ShapeError(
                f"{equation.target.name}: {letter} runs over axis {axis} of {tensor.name} {shape_text(tensor.shape)}, "
                f"of size {found}, and over {against}; the two must be equal, in {equation}"
                + _shapes_note(equation, {indices_of(e) and tensor_of(e) for e in elements(body)})
            )


def _shapes_note(equation: Equation, tensors: set[Any]) -> str:
    known = sorted((t for t in tensors if isinstance(t, Tensor)), key=lambda t: t.name)
    return "\n  shapes: " + ", ".join(f"{t.name} {shape_text(t.shape)}" for t in known)


def _join(indices: Iterable[Any]) -> str:
    return ", ".join(map(str, indices))
