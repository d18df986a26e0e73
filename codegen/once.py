"""The lines of an update that are computed once per step, in float64, before a loop over the parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

import sympy
from sympy import Expr, Integer

from ..symbolic.binders import Sum
from ..symbolic.tensors import Tensor, tensor_of
from ..symbolic.text import text
from .printers import ATOM, PRODUCT, SIGN, Printer, Text, float_text
from .scalar import ScalarPrinter
from .stable_functions import Erfc, Logistic
from .update import Once, UpdatePlan
from .vector import VectorPrinter

WriteSum = Callable[[Once], list[str]]


class OncePrinter(ScalarPrinter):
    """Prints plain numbers, which are float64, and libm's functions."""

    functions: ClassVar[dict[type, str]] = Printer.functions | {
        sympy.Abs: "abs",
        sympy.erf: "math.erf",
        sympy.erfc: "math.erfc",
        Erfc: "math.erfc",
    }

    def number(self, value: Expr) -> Text:
        return Text(float_text(value), SIGN if value.is_negative else ATOM)

    def logistic(self, expr: Logistic) -> Text:
        # exp may overflow to infinity for a large negative argument: the quotient is then 0, as it should be.
        return Text(f"1 / (1 + np.exp({self.text(-expr.args[0])}))", PRODUCT)


class OnceWriter:
    """Writes what stands before the loops of an update.

    Parameters
    ----------
    write_sum : the target's lines for a sum over the parameters
    """

    def __init__(self, plan: UpdatePlan, write_sum: WriteSum) -> None:
        self.plan, self.write_sum = plan, write_sum
        first = plan.stages[0].once
        self._leading = next((place for place, once in enumerate(first) if once.index is not None), len(first))

    def head(self) -> tuple[str, ...]:
        """Read the hyper-parameters, and compute what depends on them and the step alone."""
        return self.head_of(self.plan.stages[0].once[: self._leading])

    def head_of(self, scalars: Iterable[Once]) -> tuple[str, ...]:
        """Read the hyper-parameters, and compute these scalars."""
        names = self.plan.names
        lines = [f"{names.of(tensor)} = hyper[{place}]" for place, tensor in enumerate(self.plan.hyper)]
        return (*lines, *(line for once in scalars for line in self._scalar(once)))

    def before(self, place: int) -> tuple[str, ...]:
        """What else is computed before the loop of the stage at `place`: the sums, and what depends on them."""
        lines: list[str] = []
        for once in self.plan.stages[place].once[0 if place else self._leading :]:
            lines += self._scalar(once) if once.index is None else [_comment(once), *self.write_sum(once)]
        return tuple(lines)

    def _scalar(self, once: Once) -> list[str]:
        lines: list[str] = []
        value = _printer(self.plan, lines, lambda tensor: self.plan.names.of(tensor)).text(once.body)
        return [*lines, f"{self.plan.names.of(once.tensor)} = real({value})"]


def sum_by_loop(plan: UpdatePlan, trainable: int, real: str) -> WriteSum:
    """Sums as a loop that adds in order, in float64."""
    names = plan.names

    def write(once: Once) -> list[str]:
        letter, lines, read = names.free("q"), [], {}

        def element(tensor: Tensor) -> str:
            if not tensor.rank:
                return names.of(tensor)
            value = f"{names.of(tensor)}[{letter}]"
            if real == "float64":
                return value
            if tensor not in read:
                read[tensor] = names.free(f"{names.of(tensor)}_{letter}")
                lines.append(f"{read[tensor]} = np.float64({value})")
            return read[tensor]

        value, total = _printer(plan, lines, element).text(once.body), names.of(once.tensor)
        inside = [f"    {line}" for line in (*lines, f"{total} += {value}")]
        return [f"{total} = 0.0", f"for {letter} in range({trainable}):", *inside]

    return write


def sum_of_array(plan: UpdatePlan, trainable: int, real: str) -> WriteSum:
    """Sums by ``np.sum``, in float64."""
    names = plan.names

    def array(tensor: Tensor) -> Text:
        wide = "" if real == "float64" or not tensor.rank else ".astype(np.float64)"
        return Text(f"{names.of(tensor)}{wide}")

    numbers = {size: Integer(trainable) for tensor, _ in plan.vectors for size in tensor.shape}

    def write(once: Once) -> list[str]:
        printer = VectorPrinter({once.index: Integer(trainable)}, array, {}, {}, numbers=numbers)
        return [f"{names.of(once.tensor)} = np.sum({printer.text(once.body)})"]

    return write


def _printer(plan: UpdatePlan, lines: list[str], element: Callable[[Tensor], str]) -> OncePrinter:
    def let(text: str) -> str:
        name = plan.names.fresh("t")
        lines.append(f"{name} = {text}")
        return name

    def read(reading: Expr) -> str:
        return "step" if reading == plan.step else element(tensor_of(reading))

    return OncePrinter(read, {}, let, "np.float64")


def _comment(once: Once) -> str:
    assert once.index is not None
    return f"# {once.tensor} = {text(Sum(once.body, once.index))}"
