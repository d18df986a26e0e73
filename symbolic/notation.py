"""`Notation`: how derivations are written, where textbooks differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from .errors import UndefinedError, UnsupportedError
from .indices import check_latex

_CHOICES = {
    "layout": ("columns", "rows"),
    "derivatives": ("denominator", "numerator"),
    "layers": ("numbers", "names"),
    "deltas": (True, False),
    "bold": (True, False),
}


@dataclass(frozen=True)
class Notation:
    """Choices of notation; every method that prints takes them as keywords.

    Parameters
    ----------
    layout : "columns" shows tensors with a batch axis one example per column (z = W a + b), "rows" as they are stored
        (z = a Wᵀ + b)
    derivatives : "denominator" gives ∂L/∂W the shape of W; "numerator" the transpose of it, so ∂L/∂x is a row
    deltas : whether the gradient of a pre-activation z is written δ, or ∂L/∂z as all others
    layers : "numbers" writes the tensor ``W1`` as W^{(1)}, "names" as it is called: W_1
    bold : whether vectors and matrices are set in bold type
    symbols : name of a tensor → its LaTeX symbol, over the one that it was declared with

    Raises
    ------
    UnsupportedError
        If a choice is none of those above.
    """

    layout: Literal["columns", "rows"] = "columns"
    derivatives: Literal["denominator", "numerator"] = "denominator"
    deltas: bool = True
    layers: Literal["numbers", "names"] = "numbers"
    bold: bool = False
    symbols: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                raise UnsupportedError(f"{name} {value!r}: expected {' or '.join(map(repr, known))}")
        if not isinstance(self.symbols, Mapping):
            raise UndefinedError(f"symbols is {self.symbols!r}; expected a dict by name, as in {{'a1': 'h'}}")
        for name, symbol in self.symbols.items():
            check_latex(symbol, name)

    @classmethod
    def of(cls, choices: Mapping[str, Any]) -> Notation:
        """A notation of keywords.

        Raises
        ------
        UnsupportedError
            If a keyword or its value is unknown.
        """
        known = [entry.name for entry in fields(cls)]
        for name in choices:
            if name not in known:
                raise UnsupportedError(f"{name!r} is no choice of notation; there are {', '.join(known)}")
        return cls(**choices)


PLAIN = Notation()
