"""Penalties: terms of the loss that depend on parameters, or on activations, alone; as forward expressions only."""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import sympy
from sympy import Abs, Expr

from .binders import Sum, from_user
from .errors import LossError, UndefinedError
from .network import Network
from .strict import listed
from .tensors import Tensor, element_of


class Penalty(ABC):
    """A term of the loss: `strength` times a sum over the entries of parameters.

    Parameters
    ----------
    strength : the number λ, at least 0; a named constant of the network.
    parameters : names of the parameters; by default those of two or more axes (weights, not biases).
    """

    def __init__(self, strength: Any, parameters: Iterable[str] | None = None) -> None:
        self.strength = real_number(strength, f"{type(self).__name__}: strength")
        names = listed(parameters)
        given = [parameters] if names is None else names
        strange = [name for name in given if not isinstance(name, str)]
        if parameters is not None and strange:
            raise UndefinedError(f"{type(self).__name__}: {strange[0]!r} is no name of a parameter, such as 'W1'")
        self.parameters = None if parameters is None else tuple(given)

    @abstractmethod
    def entry(self, strength: Any, w: Any) -> Expr:
        """The penalty of one entry `w`; `strength` is the constant's symbol."""

    def term(self, network: Network) -> Expr:
        """The penalty as an expression for `Network.minimize`; declares the constant λ.

        Raises
        ------
        UndefinedError
            If there is no parameter to penalise, or a name is not a parameter.
        """
        penalised = self.penalised(network)
        place = next(n for n in range(1, 1000) if (f"lam{n}" if n > 1 else "lam") not in network.tensors)
        name, latex = ("lam", r"\lambda") if place == 1 else (f"lam{place}", rf"\lambda_{{{place}}}")
        strength = network.constant(name, self.strength, latex=latex)
        total: Expr = sympy.Integer(0)
        for tensor in penalised:
            where = network.home(tensor)
            entry = self.entry(strength, element_of(tensor, where)) / self.count(tensor)
            total += _hoisted(entry, strength, where, tensor.shape)
        return total

    def penalised(self, network: Network) -> list[Tensor]:
        """The tensors that the penalty is on: the parameters named, or those of two or more axes.

        Raises
        ------
        UndefinedError
            If there is none, or a name is not a parameter.
        """
        known = {parameter.name: parameter for parameter in network.parameters}
        names = self.parameters or [name for name, parameter in known.items() if parameter.rank >= 2]
        missing = [name for name in names if name not in known]
        if missing or not names:
            what = repr(missing[0]) if missing else "of two or more axes; name some in parameters="
            raise UndefinedError(f"{type(self).__name__}: {network.name} has no parameter {what}")
        return [known[name] for name in names]

    def count(self, tensor: Tensor) -> Any:
        """What the sum over the entries of `tensor` is divided by."""
        return 1


def _hoisted(entry: Expr, strength: Expr, where: Iterable[Any], shape: Iterable[Any]) -> Expr:
    """The sum of `entry`, with the strength before it as people write it."""
    factor, rest = entry.as_independent(*where, as_Add=False)
    return factor * Sum(rest, *zip(where, shape, strict=True))


class L2(Penalty):
    """Weight decay ``λ/2 Sum(W**2)``: its gradient is ``λ W`` (Krogh and Hertz 1991)."""

    def entry(self, strength: Any, w: Any) -> Expr:
        return strength / 2 * w**2


class L1(Penalty):
    """``λ Sum(|W|)``, the lasso penalty (Tibshirani 1996); its subgradient at 0 is 0."""

    def entry(self, strength: Any, w: Any) -> Expr:
        return strength * Abs(w)


class ActivityL1(L1):
    """``λ/B Sum(|a|)`` over activations, which keeps most of them near 0 (Goodfellow et al. 2016, section 14.2.1).

    Parameters
    ----------
    strength : the number λ, at least 0; a named constant of the network.
    tensors : the name of a tensor that an equation defines, batch axis first, such as "a1"; or several.

    Raises
    ------
    UndefinedError
        On use, if the network defines no such tensor.
    """

    def __init__(self, strength: Any, tensors: str | Iterable[str]) -> None:
        super().__init__(strength, (tensors,) if isinstance(tensors, str) else tensors)

    def penalised(self, network: Network) -> list[Tensor]:
        known = {equation.target.name: equation.target for equation in network.equations}
        names = self.parameters or ("",)
        for name in names:
            if name not in known or not known[name].rank:
                raise UndefinedError(
                    f"{type(self).__name__}: {network.name} defines no activations {name!r}, batch axis first; "
                    f"it defines {', '.join(known)}"
                )
        return [known[name] for name in names]

    def count(self, tensor: Tensor) -> Any:
        return tensor.shape[0]


def real_number(value: Any, what: str, positive: bool = False) -> Expr:
    """An exact number from what an option was given as; `what` names it in errors.

    Raises
    ------
    LossError
        If it is not one real number, or is negative (or 0, where it must be positive).
    """
    number = from_user(value) if isinstance(value, Expr | numbers.Real) else None
    if number is None or not number.is_real or not (number.is_positive if positive else number.is_nonnegative):
        raise LossError(
            f"{what} must be a {'positive number' if positive else 'number of at least 0'}, found {value!r}"
        )
    return number
