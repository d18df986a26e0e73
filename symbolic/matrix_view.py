"""Which axes are those of the matrices, and which are positions: the matrix forms of the equations of one derivation.

A tensor of two axes is a matrix. Of one with more axes two are shown, and the others are positions, written below:
z[b, t, j] at t is z_t. A recurrence shows the batch beside the last axis (h_t = tanh(W x_t + …)); attention multiplies
over positions, so there the batch is a position too, and every matrix is that of one example (P_b = softmax(S_b)). One
of the two holds for all of a derivation: the one in which more equations have a matrix form, and shorter ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sympy import Expr

from .binders import Binder, axis_sizes
from .equations import Equation
from .matrix_form import Recogniser, Whole
from .matrix_tree import Layout, Node, NoMatrixForm, Place, shown
from .running import sample_of
from .tensors import Adjoint, Tensor, element_of, elements, indices_of, tensor_of


@dataclass(frozen=True)
class MatrixForm:
    """An equation between matrices: both sides, and at which indices its left side is one."""

    left: Node
    right: Node
    row: Place
    col: Place


def recognise(equation: Equation, layout: Layout = "columns", batch: Expr | None = None) -> Node | None:
    """The right side of `equation` as a matrix expression in `layout`, or None; `batch` is the batch size."""
    form = View([equation], layout, batch).form(equation)
    return None if form is None else form.right


class View:
    """How the tensors of `equations` are shown as matrices.

    Attributes
    ----------
    example : whether matrices are those of one example, and the batch is a position
    """

    def __init__(self, equations: Iterable[Equation], layout: Layout, batch: Expr | None) -> None:
        self.layout, self.batch = layout, batch
        self._forms: dict[Equation, MatrixForm | None] = {}
        self._known: dict[tuple[Equation, bool], MatrixForm | None] = {}
        equations = [equation for equation in equations if _most_axes(equation) > 2]
        found = []
        for example in (False, True):
            forms = [form for equation in equations if (form := self._positioned(equation, example))]
            found.append((-len(forms), sum(_cost(form.left) + _cost(form.right) for form in forms)))
        self.example = found[1] < found[0]
        # Tensors that some equation shows in parts are shown so in every equation.
        self._parts: set[Tensor] = set()
        for equation in equations:
            if self._whole(equation) is None:
                self._parts |= _sliced(self._positioned(equation, self.example))

    def form(self, equation: Equation) -> MatrixForm | None:
        """`equation` between matrices, or None where it has no such form."""
        if equation not in self._forms:
            self._forms[equation] = self._find(equation)
        return self._forms[equation]

    def _find(self, equation: Equation) -> MatrixForm | None:
        if not _reads_whole_axes(equation):
            return None
        if equation.target.rank > 2 and not self._parts & {_shown_tensor(t) for t in _tensors(equation)}:
            whole = self._whole(equation)
            if whole is not None:
                return whole
        return self._positioned(equation, self.example)

    def positions(self, equation: Equation) -> bool:
        """Whether the matrix form of `equation` shows parts of tensors."""
        return bool(_sliced(self.form(equation)))

    def _whole(self, equation: Equation) -> MatrixForm | None:
        if not equation.indices:
            return None
        try:
            right = Whole(equation.indices).entries(equation.body)
        except NoMatrixForm:
            return None
        return MatrixForm(Node("tensor", value=(equation.target, False)), right, None, None)

    def _positioned(self, equation: Equation, example: bool) -> MatrixForm | None:
        if (equation, example) not in self._known:
            self._known[equation, example] = self._best(equation, example)
        return self._known[equation, example]

    def _best(self, equation: Equation, example: bool) -> MatrixForm | None:
        positions = _most_axes(equation) > 2
        forms = []
        for axes in self._choices(equation.target, example) if positions else _all_axes(equation.target):
            form = self._at(equation, axes, Recogniser(self.layout, self.batch, example, positions))
            if form is not None and _letters(form.right) <= 1:
                forms.append(form)
        return min(forms, key=lambda form: _cost(form.left) + _cost(form.right), default=None)

    def _choices(self, target: Tensor, example: bool) -> Iterator[tuple[int, ...]]:
        """The axes that may be those of the matrix, the best first: the last one, and one before it."""
        last = target.rank - 1
        batched = target.rank > 0 and _shown_tensor(target).shape[0] == self.batch
        if last < 1:
            yield from _all_axes(target)
        elif batched and not example:
            yield (0, last)
            if target.rank == 2:
                yield (0,)
        else:
            for axis in range(last - 1, 0 if batched else -1, -1):
                yield (axis, last)
            yield (last,)

    def _at(self, equation: Equation, axes: tuple[int, ...], recogniser: Recogniser) -> MatrixForm | None:
        down, across = shown(equation.target, axes, self.layout, self.batch) if axes else (None, None)
        row, col = (None if axis is None else equation.indices[axis] for axis in (down, across))
        try:
            left = recogniser.matrix(element_of(equation.target, equation.indices), row, col)
            return MatrixForm(left, recogniser.matrix(equation.body, row, col), row, col)
        except NoMatrixForm:
            return None


def walk(node: Node) -> Iterator[Node]:
    """`node` and all below it."""
    yield node
    for arg in _below(node):
        yield from walk(arg)


def _below(node: Node) -> list[Node]:
    """The nodes in `args` and `value`, those of branches and conditions too."""
    found: list[Node] = []
    stack: list[Any] = [node.value, *reversed(node.args)]
    while stack:
        part = stack.pop()
        if isinstance(part, Node):
            found.append(part)
        elif isinstance(part, tuple):
            stack.extend(reversed(part))
    return found


def _letters(node: Node) -> int:
    """How many letters stand below the sum signs of one term at most."""
    own = len(node.value) if node.kind == "sum" else 0
    return own + max(map(_letters, _below(node)), default=0)


def _cost(node: Node) -> int:
    """How much a form costs the reader: sum signs, numbers taken from tensors, positions."""
    total = 0
    for part in walk(node):
        if part.kind == "sum":
            total += 10 * len(part.value)
        elif part.kind == "slice":
            total += sum(place is not None for place in part.value[2])
        elif part.kind == "scalar" or (part.kind == "product" and isinstance(part.value, Expr)):
            total += 5 * sum(bool(indices_of(element)) for element in elements(part.value))
    return total


def _sliced(form: MatrixForm | None) -> set[Tensor]:
    """The tensors of which `form` shows parts."""
    nodes = () if form is None else (*walk(form.left), *walk(form.right))
    return {_shown_tensor(node.value[0]) for node in nodes if node.kind == "slice"}


def _reads_whole_axes(equation: Equation) -> bool:
    """Whether every index runs over all of each axis that it indexes: a part of a matrix is not the matrix."""
    opened = [binder.open() for binder in equation.body.atoms(Binder)]
    ranges = [(equation.body, tuple(zip(equation.indices, equation.target.shape, strict=True))), *opened]
    return all(
        found == size for body, pairs in ranges for index, size in pairs for _, _, found in axis_sizes(body, index)
    )


def _tensors(equation: Equation) -> Sequence[Tensor]:
    return [equation.target, *(tensor_of(element) for element in elements(equation.body))]


def _most_axes(equation: Equation) -> int:
    return max(tensor.rank for tensor in _tensors(equation))


def _all_axes(tensor: Tensor) -> list[tuple[int, ...]]:
    return [tuple(range(tensor.rank))]


def _shown_tensor(tensor: Tensor) -> Tensor:
    tensor = sample_of(tensor)
    return tensor.of if isinstance(tensor, Adjoint) else tensor
