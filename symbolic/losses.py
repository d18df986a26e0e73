"""Losses and penalties, as forward equations only.

A `Loss` declares the target tensor ``y`` and says what the loss is, as an expression; it may add equations (the
probabilities of a cross-entropy). A loss of your own, entry by entry, is a function of two expressions::

    gl.Sequential(…, loss=lambda a, y: gl.log(gl.cosh(a - y)))

Everything else is a subclass of `Loss` in your own file. `Penalty` terms depend on the parameters alone.

By hand: ``net.minimize(gl.losses.CrossEntropy().term(net, z) + gl.losses.L2(1e-4).term(net))``.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import sympy
from sympy import Abs, Expr, Piecewise, log

from .activations import log_softmax, one_hot, relu, sigmoid, softmax
from .binders import Sum, from_user
from .errors import LossError, ShapeError, UndefinedError
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
        return f"{type(self).__name__}(reduction={self.reduction!r})"


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


class SquaredError(Entrywise):
    """Squared error: ``1/(2B) Sum((a - y)**2)``, half the squared norm averaged over the batch.

    Parameters
    ----------
    reduction : "half" (default) as above; "mean" over all entries; "sum" of all entries, both without the ½.
    """

    reductions = ("half", "mean", "sum")

    def __init__(self, reduction: str = "half") -> None:
        super().__init__(lambda a, y: (a - y) ** 2, reduction)

    def reduced(self, total: Expr, count: Iterable[Any]) -> Expr:
        if self.reduction == "half":
            return total / (2 * sympy.prod(list(count)[:1]))
        return super().reduced(total, count)


class AbsoluteError(Entrywise):
    """Absolute error ``|a - y|``; its subgradient at 0 is 0."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(lambda a, y: Abs(a - y), reduction)


class Huber(Entrywise):
    """``r**2 / 2`` where ``|r| <= delta``, else ``delta (|r| - delta / 2)``, of ``r = a - y`` (Huber 1964).

    Parameters
    ----------
    delta : where the square ends, a positive number.
    reduction : "mean" over all entries, or "sum".
    """

    def __init__(self, delta: Any = 1, reduction: str = "mean") -> None:
        self.delta = _number(delta, "Huber: delta", positive=True)
        super().__init__(self._entry, reduction)

    def _entry(self, a: Expr, y: Expr) -> Expr:
        r = a - y
        return Piecewise((r**2 / 2, Abs(r) <= self.delta), (self.delta * (Abs(r) - self.delta / 2), True))


class Hinge(Entrywise):
    """``max(0, 1 - y a)`` for targets ``y`` of -1 and 1 (Cortes and Vapnik 1995); the subgradient at the kink is 0."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(lambda a, y: relu(1 - y * a), reduction)


class ClassLoss(Loss):
    """Base of the losses over classes along the last axis of the output.

    Parameters
    ----------
    targets : what the target holds. "one_hot": the output's shape, and the fact that it sums to 1 along the last
        axis; "probabilities": the output's shape, any numbers; "labels": integers, without the last axis.
    reduction : "mean" over samples (and over further axes before the last), or "sum".
    """

    kinds: ClassVar[tuple[str, ...]] = ("one_hot", "labels")

    def __init__(self, targets: str = "one_hot", reduction: str = "mean") -> None:
        super().__init__(reduction)
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
        if _is_along_axis(network, output, log_softmax):
            log_p = output[where]
        elif _is_along_axis(network, output, softmax):
            log_p = log(output[where])
        else:
            p = network.define("p", where, softmax(output[where], where[-1]), note="softmax of the cross-entropy")
            log_p = log(p[where])
        total = -Sum(self.weight(target, where) * log_p, *zip(where, output.shape, strict=True))
        return self.reduced(total, output.shape[:-1])


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

    def __init__(self, margin: Any = 1, targets: str = "one_hot", reduction: str = "mean") -> None:
        self.margin = _number(margin, "MultiClassHinge: margin", positive=True)
        super().__init__(targets, reduction)

    def expression(self, network: Network, output: Tensor, target: Tensor) -> Expr:
        *lead, j = where = network.home(output)
        weight, classes = self.weight(target, where), output.shape[-1]
        s = network.define("s", tuple(lead), Sum(weight * output[where], j), note="score of the true class")
        entry = (1 - weight) * relu(self.margin - s[tuple(lead)] + output[where])
        total = Sum(entry, *zip(where, output.shape, strict=True)) / classes
        return self.reduced(total, output.shape[:-1])


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
        if not _is_sigmoid(network, output):
            p = network.define("p", where, sigmoid(element_of(output, where)), note="sigmoid of the cross-entropy")
        y, chance = element_of(target, where), element_of(p, where)
        total = -Sum(y * log(chance) + (1 - y) * log(1 - chance), *zip(where, output.shape, strict=True))
        return self.reduced(total, output.shape)


class Penalty(ABC):
    """A term of the loss that depends on parameters alone: `strength` times a sum over their entries.

    Parameters
    ----------
    strength : the number λ, at least 0; a named constant of the network.
    parameters : names of the parameters; by default those of two or more axes (weights, not biases).
    """

    def __init__(self, strength: Any, parameters: Iterable[str] | None = None) -> None:
        self.strength = _number(strength, f"{type(self).__name__}: strength")
        self.parameters = None if parameters is None else tuple(parameters)

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
        known = {parameter.name: parameter for parameter in network.parameters}
        names = self.parameters or [name for name, parameter in known.items() if parameter.rank >= 2]
        missing = [name for name in names if name not in known]
        if missing or not names:
            what = repr(missing[0]) if missing else "of two or more axes; name some in parameters="
            raise UndefinedError(f"{type(self).__name__}: {network.name} has no parameter {what}")
        place = next(n for n in range(1, 1000) if (f"lam{n}" if n > 1 else "lam") not in network.tensors)
        name, latex = ("lam", r"\lambda") if place == 1 else (f"lam{place}", rf"\lambda_{{{place}}}")
        strength = network.constant(name, self.strength, latex=latex)
        total: Expr = sympy.Integer(0)
        for parameter in map(known.__getitem__, names):
            where = network.home(parameter)
            entry = self.entry(strength, element_of(parameter, where))
            total += _hoisted(entry, strength, where, parameter.shape)
        return total


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


def _number(value: Any, what: str, positive: bool = False) -> Expr:
    number = from_user(value) if isinstance(value, Expr | numbers.Real) else None
    if number is None or not number.is_real or not (number.is_positive if positive else number.is_nonnegative):
        raise LossError(
            f"{what} must be a {'positive number' if positive else 'number of at least 0'}, found {value!r}"
        )
    return number


def _is_along_axis(network: Network, output: Tensor, function: Any) -> bool:
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


def _is_sigmoid(network: Network, output: Tensor) -> bool:
    """Whether the equation of `output` is a sigmoid, by name or written out."""
    equation = next((e for e in network.equations if e.target == output), None)
    if equation is None:
        return False
    return isinstance(equation.body, sigmoid) or isinstance(1 / equation.body - 1, sympy.exp)


__all__ = [
    "L1", "L2", "AbsoluteError", "BinaryCrossEntropy", "ClassLoss", "CrossEntropy", "Entrywise", "Hinge", "Huber",
    "Loss", "MultiClassHinge", "Penalty", "SquaredError", "as_loss",
]  # fmt: skip
