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
from .functions import of_symbols
from .network import Network
from .tensors import Tensor, element_of, shape_text


class Loss(ABC):
    """Base of the losses; subclasses define `expression`.

    Parameters
    ----------
    reduction : "mean" divides the sum of the terms by their number, "sum" does not.
    mask : which terms count, for sequences of different lengths, say: an input or target of the network whose shape is
        that of the output's leading axes, (B, T) for an output (B, T, C), 1 where a term counts and 0 where it does
        not; or a name, of one such or of a target that is then declared with all axes but the last. The mean is over
        the terms that count, so there must be one in every batch. Other numbers than 0 and 1 weigh the terms.

    Raises
    ------
    LossError
        If `reduction` is not one of the loss's `reductions`, or `mask` is no tensor or name.
    """

    reductions: ClassVar[tuple[str, ...]] = ("mean", "sum")
    mask: Tensor | str | None = None

    def __init__(self, reduction: str = "mean", *, mask: Tensor | str | None = None) -> None:
        if reduction not in self.reductions:
            offered = ", ".join(self.reductions)
            raise LossError(f"{type(self).__name__}: reduction {reduction!r} is not offered; choose from {offered}")
        if not isinstance(mask, Tensor | str | None):
            raise LossError(f"{type(self).__name__}: mask is {mask!r}; expected a tensor of the network, or a name")
        self.reduction = reduction
        self.mask = mask

    def term(self, network: Network, output: Tensor, target: Tensor | None = None) -> Expr:
        """The loss as an expression for `Network.minimize`; declares the target ``y`` unless one is given.

        Raises
        ------
        ShapeError
            If `target`, or the mask, has not the shape that the loss needs.
        """
        wanted = self.target_shape(output)
        if target is None:
            target = self.declare_target(network, output)
        if target.shape != wanted:
            raise ShapeError(
                f"{type(self).__name__} of {output.name} {shape_text(output.shape)} takes a target of shape "
                f"{shape_text(wanted)}, but {target.name} has shape {shape_text(target.shape)}"
            )
        mask = self.mask_of(network, output)  # declared behind the target
        self.count(network, output)  # before what the loss adds, the probabilities that are the output, say
        found = self.expression(network, output, target)
        number = None if mask is None else network.tensors.get(f"n_{mask.name}")
        if number is not None and mask not in network.targets and network.output == number:
            network.set_output(output.name)  # not the number of terms, though that needs no target either
        return found

    def target_shape(self, output: Tensor) -> tuple[Any, ...]:
        """The shape of the target: by default that of the output."""
        return output.shape

    def declare_target(self, network: Network, output: Tensor) -> Tensor:
        """Declare the target ``y``: by default real numbers."""
        return network.target("y", self.target_shape(output))

    @abstractmethod
    def expression(self, network: Network, output: Tensor, target: Tensor) -> Expr:
        """The loss, a scalar expression; equations that it needs are added to `network`.

        With `total` for its sum and `count` for what `reduced` divides by it heeds the mask.
        """

    def counted(self, output: Tensor) -> tuple[Any, ...]:
        """The axes of `output` along which there is one term per place, as sizes: by default all."""
        return output.shape

    def mask_of(self, network: Network, output: Tensor) -> Tensor | None:
        """The tensor that says which terms count, or None; a name that is not declared yet is.

        Raises
        ------
        ShapeError
            If its shape is not that of leading axes of `output`.
        """
        mask, axes = self.mask, self.counted(output)
        if isinstance(mask, str):
            known = network.tensors.get(mask)
            mask = network.target(mask, output.shape[: max(output.rank - 1, 1)]) if known is None else known
        if mask is not None and (not mask.rank or mask.shape != axes[: mask.rank]):
            raise ShapeError(
                f"{type(self).__name__} of {output.name} {shape_text(output.shape)} takes a mask of shape "
                f"{' or '.join(shape_text(axes[:rank]) for rank in range(1, len(axes) + 1))}, but {mask.name} has "
                f"shape {shape_text(mask.shape)}"
            )
        return mask

    def total(self, network: Network, output: Tensor, entry: Any) -> Expr:
        """The sum of `entry`, an expression at ``network.home(output)``, over all places that count."""
        where, mask = network.home(output), self.mask_of(network, output)
        weighted = entry if mask is None else element_of(mask, where[: mask.rank]) * entry
        return Sum(weighted, *zip(where, output.shape, strict=True))

    def count(self, network: Network, output: Tensor) -> tuple[Any, ...]:
        """How many terms there are, as factors: the sizes of axes, of those that are masked one number that counts.

        That number is an equation of the network, ``n_mask = Sum(mask)``: what it divides then stays short.
        """
        axes, mask = self.counted(output), self.mask_of(network, output)
        if mask is None or self.reduction == "sum":
            return axes
        number = network.tensors.get(f"n_{mask.name}")
        if number is None:
            where = network.home(output)[: mask.rank]
            terms = Sum(mask[where], *zip(where, mask.shape, strict=True))
            number = network.define(f"n_{mask.name}", (), terms, note="how many terms count")
        return (number, *axes[mask.rank :])

    def reduced(self, total: Expr, count: Iterable[Any]) -> Expr:
        """`total`, divided by the product of the sizes in `count` where the reduction is a mean."""
        return total / sympy.prod(count) if self.reduction == "mean" else total

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if self._is_shown(value))
        return f"{type(self).__name__}({options})"

    @staticmethod
    def _is_shown(option: Any) -> bool:
        return option is not None and not callable(option)


class Entrywise(Loss):
    """A loss that is a sum of one term per entry: ``entry(a[i, j], y[i, j])``; "mean" is over all entries.

    Parameters
    ----------
    entry : function of the output's and the target's entry, returns a SymPy expression.
    reduction : "mean" or "sum".
    mask : see `Loss`.
    """

    def __init__(
        self, entry: Callable[[Any, Any], Any], reduction: str = "mean", *, mask: Tensor | str | None = None
    ) -> None:
        super().__init__(reduction, mask=mask)
        if not callable(entry):
            raise LossError(f"entry is {entry!r}; expected a function of an output and a target entry")
        self.entry = entry

    def expression(self, network: Network, output: Tensor, target: Tensor) -> Expr:
        where = network.home(output)
        entries = element_of(output, where), element_of(target, where)
        found = of_symbols(self.entry, *entries, name=f"loss {self.entry!r}", kind=LossError)
        if not isinstance(found, Expr | int | float):
            raise LossError(f"loss {self.entry!r} returned {found!r}; expected one SymPy expression in the two entries")
        return self.reduced(self.total(network, output, from_user(found)), self.count(network, output))


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
