"""Elements of tensors: SymPy's `Indexed`, which knows of an element what is known of its tensor.

SymPy finds out the assumptions about every new element anew, and compares them with the element: a fifth of the time
of a derivation. The classes have the names of SymPy's, by which it sorts factors and terms.
"""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Expr


class IndexedBase(sympy.IndexedBase):
    """A tensor, as what its elements are read from; made once by the tensor."""

    def _hashable_content(self) -> tuple[Any, ...]:
        return self.args


class Indexed(sympy.Indexed):
    """An element of a tensor."""

    def __new__(cls, base: Any, *indices: Any, **_: Any) -> Any:
        if not isinstance(base, IndexedBase):
            return sympy.Indexed(base, *indices)
        self = Expr.__new__(cls, base, *indices)
        self._assumptions = base._assumptions
        return self

    def _hashable_content(self) -> tuple[Any, ...]:
        return self.args
