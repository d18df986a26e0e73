"""What a letter runs over that stands only beside others, as u in ``z_{2p + u}``: as far as in gradloom's equations.

A printed sum over a window names no range. The network, and what is derived of it, reads the same tensor along the same
axis, in steps of the same size; how far it goes there is how far the letter goes.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from sympy import Expr, Symbol

from ...binders import Binder
from ...derivation import Derivation
from ...tensors import Tensor, elements, indices_of, tensor_of

Extents = dict[tuple[Tensor, int, Expr], dict[Expr, None]]  # by tensor, axis and step
_KNOWN: OrderedDict[int, tuple[Derivation, Extents]] = OrderedDict()  # by the identity of the derivation


def extents_of(derivation: Derivation) -> Extents:
    """The extents of all sums and maxima whose index stands beside others in a position."""
    key = id(derivation)
    if key not in _KNOWN:
        while len(_KNOWN) >= 4:
            _KNOWN.popitem(last=False)
        found: Extents = {}
        for equation in (*derivation.network.equations, *derivation.adjoints):
            for binder in sorted(equation.body.atoms(Binder), key=str):
                for element in elements(binder.body):
                    for axis, position in enumerate(indices_of(element)):
                        for index, extent in binder.limits:
                            if position != index and index in position.free_symbols:
                                known = found.setdefault((tensor_of(element), axis, position.coeff(index)), {})
                                known.setdefault(extent)
        _KNOWN[key] = derivation, found
    return _KNOWN[key][1]


def window_sizes(symbol: Symbol, places: list[tuple[Tensor, int, Expr]], derivation: Derivation) -> list[Any]:
    """How far `symbol` may run, by the `places` at which tensors are read; none where no equation says."""
    known = extents_of(derivation)
    sizes: dict[Any, None] = {}
    for tensor, axis, position in places:
        if symbol in position.free_symbols and position != symbol:
            sizes |= known.get((tensor, axis, position.coeff(symbol)), {})
    return list(sizes)
