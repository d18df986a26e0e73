"""Tensors: named arrays of symbolic shape.

A `Tensor` is a SymPy symbol that knows its shape and role. Indexing it, ``W[j, k]``, gives an element (a SymPy
`Indexed`); a tensor of rank 0 is its own element. `elements` finds the elements that an expression reads.
"""

from __future__ import annotations

from typing import Any

from sympy import Basic, Dummy, Expr, Symbol, sympify

from .errors import IndexingError, ShapeError
from .indexed import Indexed, IndexedBase
from .indices import BoundIndex, Index, as_size, check_latex, check_name

ROLES = ("input", "target", "noise", "parameter", "state", "constant", "value", "adjoint")


class Tensor(Symbol):
    """A named array.

    Attributes
    ----------
    shape : tuple of SymPy integers or `Dim`
    role : one of `ROLES`; "value" is a tensor defined by an equation, "adjoint" the gradient of one, "noise" one of
        random numbers, "state" one that is carried from step to step
    classes : None, or the size whose range 0…classes-1 the entries (integers) lie in: class labels, tokens
    latex : None, or the LaTeX symbol that the user chose
    """

    shape: tuple[Any, ...]
    role: str
    classes: Any
    latex: str | None
    _base: IndexedBase | None = None
    _content: tuple[Any, ...] | None = None

    def __new__(
        cls, name: str, shape: Any = (), role: str = "value", classes: Any = None, latex: str | None = None, **_: Any
    ) -> Tensor:
        if not isinstance(name, str):
            check_name(name, "tensor")  # which refuses it; names that are kept for gradients are made here, too
        if not isinstance(shape, tuple | list):
            shape = (shape,)
        if not isinstance(name, str):
            check_name(name, role)
        kind = {"integer": True} if classes is not None else {"real": True}
        # Uncached: SymPy's symbol cache would hand one network's tensor to another of the same name.
        self = Symbol.__xnew__(cls, name, **kind)
        self.shape = tuple(as_size(size, f"axis {axis} of {name}") for axis, size in enumerate(shape))
        self.role = role
        self.classes = None if classes is None else as_size(classes, f"classes of {name}")
        self.latex = check_latex(latex, name)
        return self

    @property
    def rank(self) -> int:
        return len(self.shape)

    def _hashable_content(self) -> tuple[Any, ...]:
        if self._content is None:
            self._content = self._described()
        return self._content

    def _described(self) -> tuple[Any, ...]:
        # Strings only: SymPy orders factors by comparing these.
        return (self.name, str(self.shape), self.role, str(self.classes), self.latex or "")

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.name, self.shape, self.role, self.classes, self.latex), {}

    def __getitem__(self, where: Any) -> Expr:
        where = where if isinstance(where, tuple) else (where,)
        if len(where) != self.rank:
            raise ShapeError(
                f"{self.name} has {self.rank} axes {shape_text(self.shape)}, but is indexed with {len(where)}: "
                f"{self.name}[{', '.join(map(str, where))}]"
            )
        if not where:
            return self
        for position in where:
            if isinstance(position, slice) or position is Ellipsis:
                raise IndexingError(f"{self.name}[{position}]: index every axis with one index; slices are not read")
            if not isinstance(position, int | Expr) or isinstance(position, bool):
                raise IndexingError(f"{self.name}[{position!r}]: an index is a symbol from indices() or a whole number")
        if self._base is None:
            self._base = IndexedBase(self)
        return Indexed(self._base, *(sympify(position, strict=True) for position in where))

    # SymPy's printers would take the class name for that of its own tensors.
    def _sympystr(self, printer: Any) -> str:
        return self.name

    _sympyrepr = _sympystr

    def _latex(self, printer: Any, **_: Any) -> str:
        from .latex import tensor_latex

        return tensor_latex(self)

    # Without this Python, and so SymPy, would take anything with __getitem__ for a sequence.
    __iter__ = None


class Adjoint(Tensor):
    """The gradient of the loss with respect to a tensor: ∂loss/∂tensor, of the tensor's shape.

    Attributes
    ----------
    of : the tensor
    loss : the scalar
    role : "adjoint"; "value" where a network has it as an equation of its own, to be derived again
    """

    of: Tensor
    loss: Tensor

    def __new__(cls, of: Tensor, loss: Tensor, role: str = "adjoint", name: str | None = None) -> Adjoint:
        self = super().__new__(cls, name or f"d_{of.name}", of.shape, role)
        self.of, self.loss = of, loss
        return self

    def _described(self) -> tuple[Any, ...]:
        return (*super()._described(), *self.of._hashable_content(), self.loss.name)

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.of, self.loss, self.role, self.name), {}


class Derived(Tensor):
    """A tensor that is made of derivatives; a gradient of one is never written δ, which is the loss's own."""


class Tangent(Derived):
    """The directional derivative of a tensor, of the tensor's shape.

    Attributes
    ----------
    of : the tensor
    label : "" for one that prints with a dot (ȧ, named ``t_a``), else a name of the direction (``a_x``)
    """

    of: Tensor
    label: str

    def __new__(cls, of: Tensor, label: str = "") -> Tangent:
        self = super().__new__(cls, f"{of.name}_{label}" if label else f"t_{of.name}", of.shape, "value")
        self.of, self.label = of, label
        return self

    def _described(self) -> tuple[Any, ...]:
        return (*super()._described(), *self.of._hashable_content(), self.label)

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.of, self.label), {}


class Direction(Derived):
    """The input that says in which direction a tensor is moved, of the tensor's shape: ``v_W``."""

    of: Tensor

    def __new__(cls, of: Tensor, name: str = "") -> Direction:
        self = super().__new__(cls, name or f"v_{of.name}", of.shape, "input")
        self.of = of
        return self

    def _described(self) -> tuple[Any, ...]:
        return (*super()._described(), *self.of._hashable_content())

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.of, self.name), {}


class Cotangent(Derived):
    """What an output is multiplied with in a vector-Jacobian product, of the output's shape: z̄."""

    of: Tensor

    def __new__(cls, of: Tensor, name: str) -> Cotangent:
        self = super().__new__(cls, name, of.shape, "target")
        self.of = of
        return self

    def _described(self) -> tuple[Any, ...]:
        return (*super()._described(), *self.of._hashable_content())

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.of, self.name), {}


class Entry(Tensor):
    """One entry of a tensor at concrete sizes, as a tensor of rank 0; it is printed as the element, ``W1[0, 1]``.

    Attributes
    ----------
    of : the tensor
    position : where the entry stands in it
    shown : what is printed of the position: all but the place in a batch of one row
    """

    of: Tensor
    position: tuple[int, ...]
    shown: tuple[int, ...]

    def __new__(
        cls, of: Tensor, position: tuple[int, ...], shown: tuple[int, ...], name: str, classes: Any = None
    ) -> Entry:
        self = super().__new__(cls, name, (), of.role, classes)
        self.of, self.position, self.shown = of, position, shown
        return self

    def _described(self) -> tuple[Any, ...]:
        return (*super()._described(), *self.of._hashable_content(), str(self.position))

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.of, self.position, self.shown, self.name, self.classes), {}


def shape_text(shape: Any) -> str:
    """``(B, 16)``, as people write a shape."""
    shape = tuple(shape)
    return f"({shape[0]},)" if len(shape) == 1 else "(" + ", ".join(map(str, shape)) + ")"


def is_element(node: Basic) -> bool:
    """Whether `node` is one element: ``W[j, k]``, or a tensor of rank 0."""
    if isinstance(node, Indexed):
        return isinstance(node.base.label, Tensor)
    return isinstance(node, Tensor) and node.rank == 0


def tensor_of(element: Expr) -> Tensor:
    return element.base.label if isinstance(element, Indexed) else element


def indices_of(element: Expr) -> tuple[Expr, ...]:
    return element.indices if isinstance(element, Indexed) else ()


def element_of(tensor: Tensor, where: Any) -> Expr:
    """``tensor[where]``, or the tensor itself at rank 0."""
    return tensor[tuple(where)] if tensor.rank else tensor


def with_letters(expr: Expr) -> Expr:
    """`expr` with letters in the place of bound indices, which have none of their own: for messages."""
    taken = {symbol.name for symbol in expr.free_symbols if isinstance(symbol, Symbol)}
    bound = sorted((s for s in expr.free_symbols if isinstance(s, BoundIndex | Dummy)), key=lambda s: s.sort_key())
    spare = (letter for letter in "uvwklmnpqrs" if letter not in taken)
    return expr.xreplace({symbol: Index(letter) for symbol, letter in zip(bound, spare, strict=False)})


def elements(expr: Basic) -> list[Expr]:
    """All elements that `expr` reads, inside sums too, each once, in a fixed order."""
    found: dict[Expr, None] = {}
    stack = [expr]
    while stack:
        node = stack.pop()
        if is_element(node):
            found.setdefault(node)
            if isinstance(node, Indexed):
                stack.extend(reversed(node.indices))
        else:
            stack.extend(reversed(node.args))
    return list(found)
