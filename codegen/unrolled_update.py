"""The optimizer's equations entry by entry, on local variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sympy import Expr, Integer, preorder_traversal

from ..symbolic.tensors import Tensor, elements, is_element, tensor_of
from .earliest import EarliestPrinter, join_earliest
from .names import Names
from .once import OncePrinter
from .plan import Plan
from .update import Once


class Elements(Protocol):
    """What prints elements of the network."""

    def element(self, element: Expr) -> str: ...
    def when(self, element: Expr) -> int: ...


class UpdateWriter:
    """Writes the update of `epoch`.

    Parameters
    ----------
    parameters : the local variables of what is trained, in order

    Attributes
    ----------
    head : lines before the first step: what no step changes, and the optimizer's state
    tail : lines after the last step
    """

    def __init__(self, plan: Plan, names: Names, parameters: Sequence[str]) -> None:
        assert plan.update is not None
        self.plan, self.names, self.update, self.real = plan, names, plan.update, plan.real
        self._lines: list[str] = []
        self._locals: dict[Expr, str] = {}
        (theta, _), (self._gradient, _), *states = self.update.vectors
        self._vectors: dict[Tensor, Sequence[str]] = {theta: parameters}
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

    @property
    def reads_gradient_once(self) -> bool:
        """Whether each entry of the gradient is read but once, and never assigned."""
        stages = self.update.stages
        read = [body for stage in stages for body in (*stage.bodies, *(once.body for once in stage.once))]
        times = sum(
            tensor_of(node) == self._gradient for body in read for node in preorder_traversal(body) if is_element(node)
        )
        return times == 1 and all(equation.target != self._gradient for equation in self.update.equations)

    def step(self, gradients: Sequence[Expr], outer: Elements) -> list[str]:
        """The lines of one step; `done` counts it already.

        Parameters
        ----------
        gradients : the value of every entry of the gradient, in elements of the network
        outer : prints these
        """
        self._lines, self._outer = [], outer
        self._values = {self._gradient[place]: value for place, value in enumerate(gradients)}
        changing = [once for stage in self.update.stages for once in stage.once if once.tensor not in self._known]
        if any(self.update.step in elements(once.body) for once in changing):
            self._lines.append(f"{self._locals[self.update.step]} = step + done")
        printer = EarliestPrinter(self._text, {}, self._let, ready=self._when)
        for stage in self.update.stages:
            for once in stage.once:
                if once.tensor not in self._known:
                    self._write_once(once)
            self._lines += [f"# {equation}" for equation in stage.equations]
            for place in range(self.plan.layout.trainable):
                for equation, body in zip(stage.equations, stage.bodies, strict=True):
                    (index,) = equation.indices
                    value = printer.text(body.xreplace({index: Integer(place)}).xreplace(self._values))
                    target = equation.target[place]
                    name = (
                        self._text(self._values[target]) if equation.target == self._gradient else self._locals[target]
                    )
                    self._lines.append(f"{name} = {value}")
        return self._lines

    def _text(self, element: Expr) -> str:
        """The local variable of an element, of the optimizer or the network."""
        return (
            self._locals[element]
            if element in self._locals
            else self._outer.element(self._values.get(element, element))
        )

    def _write_once(self, once: Once) -> None:
        """What is computed once per step, in float64."""
        name = self._locals[once.tensor]
        if once.index is None:
            printer = OncePrinter(self._text, {}, self._let, "np.float64")
            self._lines.append(f"{name} = real({printer.text(once.body)})")
            return
        printer = OncePrinter(self._wide, {}, self._let, "np.float64")
        places = range(self.plan.layout.trainable)
        terms = [printer.text(once.body.xreplace({once.index: Integer(place)})) for place in places]
        names = ((0, self._let(term)) for term in terms)
        total = join_earliest(names, 1, lambda left, right: self._let(f"{left} + {right}"))[1]
        self._lines.append(f"{name} = {total}")

    def _wide(self, element: Expr) -> str:
        name = self._text(element)
        return name if self.real == "float64" or not tensor_of(element).rank else f"np.float64({name})"

    def _let(self, text: str) -> str:
        if text.isidentifier():
            return text
        name = self.names.fresh("t")
        self._lines.append(f"{name} = {text}")
        return name

    def _when(self, element: Expr) -> int:
        return 0 if element in self._locals else self._outer.when(element)
