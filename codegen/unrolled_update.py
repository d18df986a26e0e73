"""The optimizer's equations entry by entry, on local variables."""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Expr, Integer

from ..symbolic.tensors import Tensor, element_of, elements, tensor_of
from .earliest import EarliestPrinter, join_earliest
from .names import Names
from .once import OncePrinter
from .plan import Plan
from .update import Once


class UpdateWriter:
    """Writes the update of `epoch`.

    Parameters
    ----------
    parameters, gradients : the local variables of what is trained, in order

    Attributes
    ----------
    head : lines before the first step: what no step changes, and the optimizer's state
    tail : lines after the last step
    """

    def __init__(self, plan: Plan, names: Names, parameters: Sequence[str], gradients: Sequence[str]) -> None:
        assert plan.update is not None
        self.plan, self.names, self.update, self.real = plan, names, plan.update, plan.real
        self._lines: list[str] = []
        self._locals: dict[Expr, str] = {}
        self._late: set[Tensor] = set()
        (theta, _), (gradient, _), *states = self.update.vectors
        self._vectors: dict[Tensor, Sequence[str]] = {theta: parameters, gradient: gradients}
        loads, stores = [], []
        for row, (tensor, _) in enumerate(states):
            self._vectors[tensor] = [names.fresh(f"{tensor.name}_{name}") for name in parameters]
            for place, name in enumerate(self._vectors[tensor]):
                loads.append(f"{name} = state[{row}, {place}]")
                stores.append(f"state[{row}, {place}] = {name}")
        for tensor in (*self.update.hyper, *self.update.scalars, self.update.step):
            self._locals[tensor] = names.fresh(tensor.name)
        for tensor, entries in self._vectors.items():
            self._locals |= {tensor[place]: name for place, name in enumerate(entries)}
        self._known = set(self.update.hyper)
        constant = [once for stage in self.update.stages for once in stage.once if self._is_constant(once)]
        self.head = [f"{self._locals[tensor]} = hyper[{place}]" for place, tensor in enumerate(self.update.hyper)]
        for once in constant:
            self._write_once(once)
        self.head += [*self._lines, *loads]
        self.tail = stores

    def _is_constant(self, once: Once) -> bool:
        """Whether no step changes it."""
        fixed = once.index is None and all(tensor_of(element) in self._known for element in elements(once.body))
        if fixed:
            self._known.add(once.tensor)
        return fixed

    def step(self) -> list[str]:
        """The lines of one step; `done` counts it already."""
        self._lines = []
        changing = [once for stage in self.update.stages for once in stage.once if once.tensor not in self._known]
        if any(self.update.step in elements(once.body) for once in changing):
            self._lines.append(f"{self._locals[self.update.step]} = step + done")
        printer = EarliestPrinter(lambda e: self._locals[e], {}, self._let, ready=self._when)
        for stage in self.update.stages:
            for once in stage.once:
                if once.tensor not in self._known:
                    self._write_once(once)
            self._lines += [f"# {equation}" for equation in stage.equations]
            for place in range(self.plan.layout.trainable):
                for equation, body in zip(stage.equations, stage.bodies, strict=True):
                    (index,) = equation.indices
                    value = printer.text(body.xreplace({index: Integer(place)}))
                    self._lines.append(f"{self._vectors[equation.target][place]} = {value}")
        return self._lines

    def _write_once(self, once: Once) -> None:
        """What is computed once per step, in float64."""
        name = self._locals[once.tensor]
        if once.index is None:
            printer = OncePrinter(lambda e: self._locals[e], {}, self._let, "np.float64")
            self._lines.append(f"{name} = real({printer.text(once.body)})")
            return
        printer = OncePrinter(self._wide, {}, self._let, "np.float64")
        places = range(self.plan.layout.trainable)
        terms = [printer.text(once.body.xreplace({once.index: Integer(place)})) for place in places]
        names = ((0, self._let(term)) for term in terms)
        total = join_earliest(names, 1, lambda left, right: self._let(f"{left} + {right}"))[1]
        self._lines.append(f"{name} = {total}")

    def _wide(self, element: Expr) -> str:
        name = self._locals[element]
        return name if self.real == "float64" or not tensor_of(element).rank else f"np.float64({name})"

    def _let(self, text: str) -> str:
        if text.isidentifier():
            return text
        name = self.names.fresh("t")
        self._lines.append(f"{name} = {text}")
        return name

    def _when(self, element: Expr) -> int:
        """The gradient is ready last."""
        return 1 if tensor_of(element) == self.update.vectors[1][0] else 0
