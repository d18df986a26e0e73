"""The lines of an update that are computed once per step, in float64, before the loop over the parameters."""

from __future__ import annotations

from sympy import Expr

from .printers import ATOM, SIGN, Text, float_text
from .scalar import ScalarPrinter
from .update import UpdatePlan


class OncePrinter(ScalarPrinter):
    """Prints plain numbers, which are float64."""

    def number(self, value: Expr) -> Text:
        return Text(float_text(value), SIGN if value.is_negative else ATOM)


def write_once(plan: UpdatePlan) -> tuple[str, ...]:
    """Read the hyper-parameters, and compute what depends on them and the step alone."""
    names = plan.names
    lines = [f"{names.of(tensor)} = hyper[{place}]" for place, tensor in enumerate(plan.hyper)]

    def let(text: str) -> str:
        name = names.fresh("t")
        lines.append(f"{name} = {text}")
        return name

    printer = OncePrinter(lambda tensor: "step" if tensor == plan.step else names.of(tensor), {}, let, "np.float64")
    for tensor, expr in plan.scalars:
        value = printer.text(expr)
        lines.append(f"{names.of(tensor)} = real({value})")
    return tuple(lines)
