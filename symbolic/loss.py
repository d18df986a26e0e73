"""`Loss`: what is minimised, as forward equations; `losses` holds the ones that come with gradloom.

A `Loss` declares the target tensor ``y`` and says what the loss is, as an expression; it may add equations (the
probabilities of a cross-entropy). A loss of your own, entry by entry, is a function of two expressions::

    gl.Sequential(…, loss=lambda a, y: sympy.log(sympy.cosh(a - y)))

Everything else is a subclass of `Loss` in your own file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import sympy
from sympy import Expr

from .binders import Sum, from_user
from .errors import LossError, ShapeError
from .network import Network
from .tensors import Tensor, element_of, shape_text


class Loss(ABC):
    """Base of the losses; subclasses define `expression`.

    Parameters
    ----------
    reduction : "mean" divides the sum of the terms by their number, "sum" does not.

    Raises
    ------
    LossError
        If `reduction` is not one of the loss's `reductions`.
    """

    reductions: ClassVar[tuple[str, ...]] = ("mean", "sum")

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in self.reductions:
            offered = ", ".join(self.reductions)
            raise LossError(f"{type(self).__name__}: reduction {reduction!r} is not offered; choose from {offered}")
        self.reduction = reduction

    def term(self, network: Network, output: Tensor, target: Tensor | None = None) -> Expr:
        """The loss as an expression for `Network.minimize`; declares the target ``y`` unless one is given.

        Raises
        ------
        ShapeError
            If `target` has not the shape that the loss needs.
        """
        wanted = self.target_shape(output)
        if target is None:
            target = self.declare_target(network, output)
        if target.shape != wanted:
            raise ShapeError(
                f"{type(self).__name__} of {output.name} {shape_text(output.shape)} takes a target of shape "
                f"{shape_text(wanted)}, but {target.name} has shape {shape_text(target.shape)}"
            )
        return self.expression(network, output, target)

    def target_shape(self, output: Tensor) -> tuple[Any, ...]:
        """The shape of the target: by default that of the output."""
        return output.shape

    def declare_target(self, network: Network, output: Tensor) -> Tensor:
        """Declare the target ``y``: by default real numbers."""
        return network.target("y", self.target_shape(output))

    @abstractmethod
    def expression(self, network: Network, output: Tensor, target: Tensor) -> Expr:
        """The loss, a scalar expression; equations that it needs are added to `network`."""

    def reduced(self, total: Expr, count: Iterable[Any]) -> Expr:
        """`total`, divided by the product of the sizes in `count` where the reduction is a mean."""
        return total / sympy.prod(count) if self.reduction == "mean" else total

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not callable(value))
        return f"{type(self).__name__}({options})"


class Entrywise(Loss):
    """A loss that is a sum of one term per entry: ``entry(a[i, j], y[i, j])``; "mean" is over all entries.

    Parameters
    ----------
    entry : function of the output's and the target's entry, returns a SymPy expression.
    reduction : "mean" or "sum".
    """

    def __init__(self, entry: Callable[[Any, Any], Any], reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.entry = entry

    def expression(self, network: Network, output: Tensor, target: Tensor) -> Expr:
        where = network.home(output)
        found = self.entry(element_of(output, where), element_of(target, where))
        if not isinstance(found, Expr | int | float):
            raise LossError(f"loss {self.entry!r} returned {found!r}; expected one SymPy expression in the two entries")
        return self.reduced(Sum(from_user(found), *zip(where, output.shape, strict=True)), output.shape)


def as_loss(loss: Any) -> Loss:
    """A `Loss` from what `Sequential` is given: a loss, its class, or a function of two entries.

    Raises
    ------
    LossError
        If it is none of these.
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type) and issubclass(loss, Loss):
        return loss()
    if callable(loss) and not isinstance(loss, type):
        return Entrywise(loss)
    raise LossError(
        f"{loss!r} is not a loss: expected one of gl.losses, such as gl.losses.SquaredError(), or a function of an "
        "output and a target entry"
    )
