"""Sizes and indices: the two kinds of integer symbols.

A `Dim` is a symbolic size (``B``, ``n``); an `Index` runs over an axis (``i``, ``j``). Bound indices, those of a
`Sum`, are renamed to `BoundIndex` symbols whose names depend on nesting alone, so that two sums that differ only in
the letters used are the same object.
"""

from __future__ import annotations

import keyword
import re
from typing import Any

from sympy import Expr, Integer, Symbol, SympifyError

from .errors import NameTakenError, ShapeError
from .strict import strict

# Names that generated modules use for themselves, or that a reader would take for something else.
RESERVED = frozenset(
    """np numpy math numba scipy real params grads state work order batch step hyper rows first count loss forward
    backward predict update epoch workspace gradients loss_and_gradients True False None self print range len min max
    abs sum int float bool out gather""".split()
)


def a(kind: str) -> str:
    """`kind` with its article."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def check_name(name: str, kind: str) -> str:
    """Return `name` if it may name a tensor, a size or a network.

    Raises
    ------
    NameTakenError
        If it is not an ASCII Python identifier, is a keyword or reserved, or has a form kept for generated names
        (a leading underscore, ``d_``).
    """
    if not isinstance(name, str):
        raise NameTakenError(f"{kind} name must be a string, found {name!r} of type {type(name).__name__}")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or len(name) > 64:
        raise NameTakenError(
            f"{name!r} cannot name {a(kind)}: expected a Python identifier of at most 64 ASCII letters, "
            "digits and underscores, such as 'W1'"
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in RESERVED:
        raise NameTakenError(f"{name!r} cannot name {a(kind)}: it is reserved; choose another, such as '{name}1'")
    if name.startswith(("_", "d_")):
        raise NameTakenError(
            f"{name!r} cannot name {a(kind)}: names that begin with '_' or 'd_' are kept for gradients"
        )
    return name


def check_latex(symbol: Any, name: str) -> str | None:
    """Return `symbol` if it may be the LaTeX symbol of `name`.

    Raises
    ------
    NameTakenError
        If it is not a string of balanced braces, or holds what could end a formula or run a command of TeX.
    """
    if symbol is None:
        return None
    if not isinstance(symbol, str) or not symbol or len(symbol) > 200:
        raise NameTakenError(f"latex= of {name} must be a short string such as r'\\hat y', found {symbol!r}")
    depth = 0
    for mark in symbol.replace(r"\{", "").replace(r"\}", ""):
        depth += {"{": 1, "}": -1}.get(mark, 0)
        if depth < 0:
            break
    forbidden = re.search(
        r"[$<>%&#~\n\r]|\\\\|\\(input|include|write|read|open|def|edef|gdef|xdef|let|catcode|csname|begin|end|immediate|href|url)",
        symbol,
    )
    if depth or forbidden:
        what = f"it holds {forbidden[0]!r}" if forbidden else "its braces do not match"
        raise NameTakenError(f"latex= of {name} cannot be {symbol!r}: {what}; give a symbol such as r'\\hat y'")
    return symbol


class Dim(Symbol):
    """A symbolic size: a positive integer."""

    def __new__(cls, name: str, **_: Any) -> Dim:
        return super().__new__(cls, name, integer=True, positive=True)


class Index(Symbol):
    """An index over an axis; its range is read off the axes where it is used."""

    def __new__(cls, name: str, **_: Any) -> Index:
        return super().__new__(cls, name, integer=True)


class BoundIndex(Symbol):
    """The canonical name of an index bound by a Sum or Max; never written by people."""

    def __new__(cls, name: str, **_: Any) -> BoundIndex:
        return super().__new__(cls, name, integer=True, nonnegative=True)

    @classmethod
    def at(cls, level: int) -> BoundIndex:
        return cls(f"_{level}")

    @property
    def level(self) -> int:
        return int(self.name[1:])


def dims(names: str) -> Any:
    """Declare symbolic sizes: ``B, n, m = dims("B n m")``; one name gives one `Dim`."""
    made = tuple(Dim(name) for name in _names(names, "size"))
    return made[0] if len(made) == 1 else made


def indices(names: str) -> Any:
    """Declare indices: ``i, j, k = indices("i j k")``; one name gives one `Index`."""
    made = tuple(Index(name) for name in _names(names, "index"))
    return made[0] if len(made) == 1 else made


def _names(names: str, kind: str) -> list[str]:
    if not isinstance(names, str) or not names.replace(",", " ").split():
        raise NameTakenError(f"expected names separated by spaces, such as 'i j k', found {names!r}")
    return [check_name(name, kind) for name in names.replace(",", " ").split()]


def as_size(size: Any, where: str) -> Any:
    """Return `size` as a SymPy integer expression; `where` names it in errors.

    Raises
    ------
    ShapeError
        If it is not a positive integer or an expression in sizes.
    """
    if size is None:
        raise ShapeError(
            f"{where}: a size is an integer or a symbol from dims(), found None; a batch takes B = gl.dims('B')"
        )
    if isinstance(size, float | str | bool):
        raise ShapeError(f"{where}: a size is an integer or a symbol from dims(), found {size!r}")
    try:
        expr: Any = strict(size)
    except SympifyError:
        expr = None
    if not isinstance(expr, Expr):
        raise ShapeError(f"{where}: a size is an integer or a symbol from dims(), found {size!r}")
    if isinstance(expr, Integer) and expr <= 0:
        raise ShapeError(f"{where}: a size must be positive, found {expr}")
    if not expr.is_integer or not all(isinstance(s, Dim) for s in expr.free_symbols):
        raise ShapeError(f"{where}: a size is an integer or an expression of symbols from dims(), found {size!r}")
    return expr
