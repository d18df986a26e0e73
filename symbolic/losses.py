"""The losses, as forward equations only; see `Loss` for writing one, and `Penalty` for terms over parameters.

All of them take a ``mask``, which says what counts; see `Loss`.

By hand: ``net.minimize(gl.losses.CrossEntropy().term(net, z) + gl.losses.L2(1e-4).term(net))``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import sympy
from sympy import Abs, Expr, Piecewise, log

from .activations import log_softmax, one_hot, relu, sigmoid, softmax
from .binders import Sum
from .errors import LossError, ShapeError
from .loss import Entrywise, Loss, as_loss
from .network import Network
from .penalties import L1, L2, ActivityL1, Penalty, real_number
from .tensors import Tensor, element_of, shape_text


class SquaredError(Entrywise):
    """Squared error: ``1/(2B) Sum((a - y)**2)``, half the squared norm averaged over the batch.

    Parameters
    ----------
    reduction : "half" (default) as above; "mean" over all entries; "sum" of all entries, both without the ½.
    mask : see `Loss`. With "half" B is then the number of places that count, of those that the mask is over.
    """

    reductions = ("half", "mean", "sum")

    def __init__(self, reduction: str = "half", *, mask: Tensor | str | None = None) -> None:
        super().__init__(lambda a, y: (a - y) ** 2, reduction, mask=mask)

    def reduced(self, total: Expr, count: Iterable[Any]) -> Expr:
        if self.reduction == "half":
            return total / (2 * sympy.prod(list(count)[:1]))
        return super().reduced(total, count)


class AbsoluteError(Entrywise):
    """Absolute error ``|a - y|``; its subgradient at 0 is 0."""

    def __init__(self, reduction: str = "mean", *, mask: Tensor | str | None = None) -> None:
        super().__init__(lambda a, y: Abs(a - y), reduction, mask=mask)


class Huber(Entrywise):
    """``r**2 / 2`` where ``|r| <= delta``, else ``delta (|r| - delta / 2)``, of ``r = a - y`` (Huber 1964).

    Parameters
    ----------
    delta : where the square ends, a positive number.
    reduction : "mean" over all entries, or "sum".
    """

    def __init__(self, delta: Any = 1, reduction: str = "mean", *, mask: Tensor | str | None = None) -> None:
        self.delta = real_number(delta, "Huber: delta", positive=True)
        super().__init__(self._entry, reduction, mask=mask)

    def _entry(self, a: Expr, y: Expr) -> Expr:
        r = a - y
        return Piecewise((r**2 / 2, Abs(r) <= self.delta), (self.delta * (Abs(r) - self.delta / 2), True))


class Hinge(Entrywise):
    """``max(0, 1 - y a)`` for targets ``y`` of -1 and 1 (Cortes and Vapnik 1995); the subgradient at the kink is 0."""

    def __init__(self, reduction: str = "mean", *, mask: Tensor | str | None = None) -> None:
        super().__init__(lambda a, y: relu(1 - y * a), reduction, mask=mask)


class ClassLoss(Loss):
    """Base of the losses over classes along the last axis of the output.

    Parameters
    ----------
    targets : what the target holds. "one_hot": the output's shape, and the fact that it sums to 1 along the last
        axis; "probabilities": the output's shape, any numbers; "labels": integers, without the last axis.
    reduction : "mean" over samples (and over further axes before the last), or "sum".
    """

    kinds: ClassVar[tuple[str, ...]] = ("one_hot", "labels")

    def __init__(self, targets: str = "one_hot", reduction: str = "mean", *, mask: Tensor | str | None = None) -> None:
        super().__init__(reduction, mask=mask)
        if targets not in self.kinds:
            raise LossError(
                f"{type(self).__name__}: targets {targets!r} is not offered; choose from {', '.join(self.kinds)}"
            )
        self.targets = targets

    def target_shape(self, output: Tensor) -> tuple[Any, ...]:
        if output.rank < 2:
            raise ShapeError(
                f"{type(self).__name__} is over classes along the last of at least 2 axes, batch first, "
                f"but {output.name} has shape {shape_text(output.shape)}"
            )
        return output.shape[:-1] if self.targets == "labels" else output.shape

    def counted(self, output: Tensor) -> tuple[Any, ...]:
        return output.shape[:-1]

    def term(self, network: Network, output: Tensor, target: Tensor | None = None) -> Expr:
        if target is not None and self.targets == "labels" and target.classes != output.shape[-1]:
            raise ShapeError(
                f"{type(self).__name__}: {target.name} is to hold the labels of {output.shape[-1]} classes, but is "
                f"declared with classes={target.classes}"
            )
        return super().term(network, output, target)

    def declare_target(self, network: Network, output: Tensor) -> Tensor:
        shape = self.target_shape(output)
        if self.targets == "labels":
            return network.target("y", shape, classes=output.shape[-1])
        return network.target("y", shape, one_hot=self.targets == "one_hot")

    def weight(self, target: Tensor, where: tuple[Any, ...]) -> Expr:
        """How much of the class ``where[-1]`` the target is: 1 for the true class of a sample, 0 for the others."""
        return one_hot(target[where[:-1]], where[-1]) if target.classes is not None else target[where]


class CrossEntropy(ClassLoss):
    """Cross-entropy over a softmax: ``-Sum(y[i, j] log p[i, j]) / B`` with ``p = softmax(z)``.

    The probabilities ``p`` are added to the network, unless the output is a softmax or a log-softmax already.

    Parameters
    ----------
    targets : "one_hot" (default), "probabilities" or "labels"; see `ClassLoss`. Only with "one_hot" and "labels" is it
        known that the target sums to 1, so that the gradient is ``p - y``.
    reduction : "mean" over samples, or "sum".
    """

    kinds = ("one_hot", "probabilities", "labels")

    def expression(self, network: Network, output: Tensor, target: Tensor) -> Expr:
        where = network.home(output)
        if is_along_axis(network, output, log_softmax):
            log_p = output[where]
        elif is_along_axis(network, output, softmax):
            log_p = log(output[where])
        else:
            p = network.define("p", where, softmax(output[where], where[-1]), note="softmax of the cross-entropy")
            log_p = log(p[where])
        total = -self.total(network, output, self.weight(target, where) * log_p)
        return self.reduced(total, self.count(network, output))


class MultiClassHinge(ClassLoss):
    """Multi-class hinge of Weston and Watkins (1999): ``Sum over wrong classes j of max(0, margin - s[i] + z[i, j])``.

    ``s`` is the score of the true class, added to the network. As in PyTorch's ``MultiMarginLoss`` (p = 1) the sum is
    divided by the number of classes; the subgradient at the kink is 0.

    Parameters
    ----------
    margin : a positive number.
    targets : "one_hot" (default) or "labels"; see `ClassLoss`.
    reduction : "mean" over samples, or "sum".
    """

    def __init__(
        self, margin: Any = 1, targets: str = "one_hot", reduction: str = "mean", *, mask: Tensor | str | None = None
    ) -> None:
        self.margin = real_number(margin, "MultiClassHinge: margin", positive=True)
        super().__init__(targets, reduction, mask=mask)

    def expression(self, network: Network, output: Tensor, target: Tensor) -> Expr:
        *lead, j = where = network.home(output)
        weight, classes = self.weight(target, where), output.shape[-1]
        s = network.define("s", tuple(lead), Sum(weight * output[where], j), note="score of the true class")
        entry = (1 - weight) * relu(self.margin - s[tuple(lead)] + output[where])
        return self.reduced(self.total(network, output, entry) / classes, self.count(network, output))


class BinaryCrossEntropy(Loss):
    """Cross-entropy over independent sigmoids (multi-label): ``-(y log p + (1 - y) log(1 - p))`` per entry.

    The probabilities ``p = sigmoid(z)`` are added to the network, unless the output is a sigmoid already.

    Parameters
    ----------
    reduction : "mean" over all entries, or "sum".
    """

    def expression(self, network: Network, output: Tensor, target: Tensor) -> Expr:
        where = network.home(output)
        p = output
        if not is_sigmoid(network, output):
            p = network.define("p", where, sigmoid(element_of(output, where)), note="sigmoid of the cross-entropy")
        y, chance = element_of(target, where), element_of(p, where)
        total = -self.total(network, output, y * log(chance) + (1 - y) * log(1 - chance))
        return self.reduced(total, self.count(network, output))


def is_along_axis(network: Network, output: Tensor, function: Any) -> bool:
    """Whether the equation of `output` is ``function(u, last index)``, of whatever u."""
    equation = next((e for e in network.equations if e.target == output), None)
    if equation is None or not equation.body.has(Sum):
        return False
    if function is softmax:
        top = sympy.fraction(equation.body, exact=True)[0]
        candidates = [top.args[0]] if isinstance(top, sympy.exp) else []
    else:
        candidates = [equation.body - term for term in sympy.Add.make_args(equation.body) if (-term).func is log]
    return any(function(u, equation.indices[-1]) == equation.body for u in candidates)


def is_sigmoid(network: Network, output: Tensor) -> bool:
    """Whether the equation of `output` is a sigmoid, by name or written out."""
    equation = next((e for e in network.equations if e.target == output), None)
    if equation is None:
        return False
    return isinstance(equation.body, sigmoid) or isinstance(1 / equation.body - 1, sympy.exp)


__all__ = [
    "L1", "L2", "AbsoluteError", "ActivityL1", "BinaryCrossEntropy", "ClassLoss", "CrossEntropy", "Entrywise", "Hinge",
    "Huber", "Loss", "MultiClassHinge", "Penalty", "SquaredError", "as_loss",
]  # fmt: skip
