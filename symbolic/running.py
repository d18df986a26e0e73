"""`Running`: a tensor whose layer number is a letter, ``W⟨l⟩`` for W1, W2, …; it prints as W^{(l)}.

The letter stands between ⟨ and ⟩ in the name, in the place of the number; so whatever reads numbers off names (the
printers) reads ``a⟨l-1⟩`` too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .binders import Binder, axis_sizes, binders
from .errors import UnsupportedError
from .latex import name_latex, number_latex
from .tensors import Adjoint, Direction, Tangent, Tensor

SAME = (-1, 0)  # no number of the name moves
_IN_LATEX = re.compile(r"\((\d+(?:\.\d+)*)\)")  # W^{(3.1)}


class Running(Tensor):
    """The tensors whose names differ in one number, as one: `sample` with its number `which` written with a letter.

    Attributes
    ----------
    sample : one of the tensors; which of them makes no difference
    which : the place of the number among the numbers of the name
    letter : the letter that runs
    offset : the number less what the letter stands for: -1 of ``a⟨l-1⟩``
    """

    sample: Tensor
    which: int
    letter: str
    offset: int

    def __new__(cls, sample: Tensor, which: int, letter: str, offset: int, shape: tuple[Any, ...]) -> Running:
        """
        Raises
        ------
        UnsupportedError
            If the LaTeX symbol of the tensor does not show the number as a number, ``^{(3)}``.
        """
        words = _words(sample.name)
        written = letter if not offset else f"{letter}{offset:+d}"
        symbol = None if sample.latex is None else _symbol(sample.latex, words[1::2], which, written)
        words[2 * which + 1] = f"⟨{written}⟩"
        if symbol is None and "⟨" in name_latex("".join(words), layer=bool(shape)):
            raise UnsupportedError(f"the number {sample.name} is part of a word")
        self = super().__new__(cls, "".join(words), shape, sample.role, sample.classes, symbol)
        self.sample, self.which, self.letter, self.offset = sample, which, letter, offset
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.sample, self.which, self.letter, self.offset, self.shape), {}

    def name_at(self, value: int) -> str:
        """The name where the letter stands for `value`."""
        words = _words(self.sample.name)
        words[2 * self.which + 1] = str(value + self.offset)
        return "".join(words)


def base(tensor: Tensor) -> Tensor:
    """The declared tensor that a gradient, a tangent or a direction is of, however often derived; else the tensor."""
    while isinstance(tensor, Adjoint | Tangent | Direction):
        tensor = tensor.of
    return tensor


def rebased(tensor: Tensor, new: Tensor) -> Tensor:
    """What `tensor` is of its `base`, of `new`."""
    if isinstance(tensor, Adjoint):
        name = tensor.name.replace(base(tensor).name, new.name)
        return Adjoint(rebased(tensor.of, new), tensor.loss, tensor.role, name)
    if isinstance(tensor, Tangent):
        return Tangent(rebased(tensor.of, new), tensor.label)
    if isinstance(tensor, Direction):
        return Direction(rebased(tensor.of, new), tensor.name.replace(base(tensor).name, new.name))
    return new


def sample_of(tensor: Tensor) -> Tensor:
    """The tensor itself, or one of those that a running one stands for."""
    found = base(tensor)
    return rebased(tensor, found.sample) if isinstance(found, Running) else tensor


def running(tensor: Tensor, which: int, letter: str, value: int, shape: tuple[Any, ...]) -> Tensor:
    """`tensor` with number `which` of its name written with `letter`, which stands for `value` there."""
    found = base(tensor)
    return rebased(tensor, Running(found, which, letter, int(_words(found.name)[2 * which + 1]) - value, shape))


def number(tensor: Tensor, which: int) -> int:
    """Number `which` of the name."""
    return int(_words(base(tensor).name)[2 * which + 1])


def family(tensor: Tensor) -> tuple[str, ...]:
    """What tensors that differ in numbers alone have in common."""
    return type(tensor).__name__, tensor.role, *_words(tensor.name)[::2]


def shift(old: Tensor, new: Tensor) -> tuple[int, int] | None:
    """Which number of the name of `old` is another in that of `new`, and by how much it is more there.

    `SAME` if the two are one tensor; None if they differ in anything else.
    """
    if old == new:
        return SAME
    if type(old) is not type(new) or old.role != new.role or old.rank != new.rank:
        return None
    if isinstance(old, Adjoint | Tangent | Direction):
        own = [getattr(tensor, name, None) for name in ("loss", "label") for tensor in (old, new)]
        found = shift(old.of, new.of)
        return found if found != SAME and own[::2] == own[1::2] else None
    was, now = _words(old.name), _words(new.name)
    if was[::2] != now[::2]:
        return None
    moved = [place for place, pair in enumerate(zip(was[1::2], now[1::2], strict=True)) if pair[0] != pair[1]]
    if len(moved) != 1:
        return None
    (which,) = moved
    return which, int(now[2 * which + 1]) - int(was[2 * which + 1])


def put(expr: Any, names: Mapping[Tensor, Tensor]) -> Any:
    """`expr` with other tensors, whose sizes may be others; what a sum runs over is then as long as the new axis."""
    # Top down: what stands inside of a binder is put by `_reopened`.
    replaced: dict[Any, Any] = {binder: _reopened(binder, names) for binder in binders(expr)}
    return expr.xreplace(replaced | dict(names))


def _reopened(binder: Binder, names: Mapping[Tensor, Tensor]) -> Any:
    body, pairs = binder.open()
    new = put(body, names)
    limits = []
    for index, size in pairs:
        before, after = axis_sizes(body, index), axis_sizes(new, index)
        limits.append((index, after[0][2] if before and after and before[0][2] == size else size))
    return binder.func(new, *limits)


def _words(name: str) -> list[str]:
    """What stands between the numbers of a name, and the numbers, in turn."""
    return re.split(r"(\d+)", name)


def _symbol(latex: str, numbers: list[str], which: int, written: str) -> str:
    """The LaTeX symbol of a layer's tensor, with `written` in the place of a number of the layer."""
    for match in _IN_LATEX.finditer(latex):
        shown = match[1].split(".")
        first = len(numbers) - len(shown)
        if 0 <= first <= which and shown == numbers[first:]:
            shown[which - first] = f"⟨{written}⟩"
            return f"{latex[: match.start()]}({number_latex(shown)}){latex[match.end() :]}"
    raise UnsupportedError(f"the LaTeX symbol {latex} does not show the number {numbers[which]} of a layer")
