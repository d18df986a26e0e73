"""A scalar network as gates: every elementary operation an equation of its own, so that all of it is derived as usual.

Where a value has several readers, each reads a copy of it: the copy's gradient is what that branch passes back, and the
value's own is the sum.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from sympy import Add, Expr, Integer, Mul, Piecewise, Pow, Rational

from ..adjoint import partials
from ..binders import Binder
from ..equations import Equation
from ..errors import LossError, UnsupportedError
from ..functions import Elementwise
from ..network import Network
from ..print_order import order_factors, order_terms
from ..tensors import Tensor, elements, is_element
from .marks import extreme, function_mark, has_labels, number_mark

LIMIT = 150  # gates: beyond, the numbers are too small to read


@dataclass(frozen=True)
class Gate:
    """One operation.

    Attributes
    ----------
    equation : of the tensor that it gives
    mark : what is written into it, a label of matplotlib's; "" for a copy
    reads : in the order of the operation
    shown : the tensor of the given network that it is, or None for what stands between
    minus : the tensor that a difference takes away, or None
    """

    equation: Equation
    mark: str
    reads: tuple[Tensor, ...]
    shown: Tensor | None = None
    minus: Tensor | None = None

    @property
    def tensor(self) -> Tensor:
        return self.equation.target

    @property
    def is_copy(self) -> bool:
        return not self.mark


@dataclass
class Circuit:
    """Gates, in an order in which they can be computed.

    Attributes
    ----------
    network : one equation for each gate
    leaves : the tensors that no gate gives
    gates : the gates
    moving : the names of the leaves that the loss depends on, by which it is derived
    """

    network: Network
    leaves: list[Tensor] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)

    @property
    def moving(self) -> list[str]:
        assert self.network.loss is not None
        reached = {self.network.loss}
        for gate in reversed(self.gates):
            if gate.tensor in reached:
                found = partials(gate.equation.body, None, Integer(1), [], set(gate.reads))
                reached |= {element for element, _, _ in found}
        return [leaf.name for leaf in self.leaves if leaf in reached and leaf.role != "constant"]


def circuit_of(network: Network, *, split: bool = False, limit: int = LIMIT) -> Circuit:
    """The gates of a network of scalars.

    Parameters
    ----------
    split : whether a named function is opened into the operations of its definition, and sums and products have two
        operands each; otherwise a function is one gate, and a sum of any length another

    Raises
    ------
    LossError
        If there is no loss.
    UnsupportedError
        If a tensor of the network has axes, or there are more than `limit` gates.
    """
    if network.loss is None:
        raise LossError(f"{network.name} has no loss: call minimize(…) with a scalar first")
    wide = next((tensor for tensor in network.tensors.values() if tensor.rank), None)
    if wide is not None:
        raise UnsupportedError(
            f"{network.name}: {wide.name} has axes, but a gate takes numbers; unroll the network first"
        )
    builder = _Builder(network, split, limit)
    for equation in network.equations:
        builder.known[equation.target] = builder.value(equation.body, equation.target)
    return builder.finish(builder.known[network.loss])


class _Builder:
    def __init__(self, network: Network, split: bool, limit: int) -> None:
        self.network, self.split, self.limit = network, split, limit
        self.known: dict[Tensor, Tensor] = {}  # of the given network → of the gates
        self.made: dict[Expr, Gate] = {}
        self.leaves: dict[Tensor, None] = {}
        self.given: set[Tensor] = set()  # by the gates made

    def value(self, expr: Expr, target: Tensor | None = None) -> Tensor:
        """The tensor that has the value of an expression; `target`, if it is that of an equation."""
        if is_element(expr):
            if expr in self.given:
                return expr  # a gate's already: an argument of a function that is opened
            if expr not in self.known:
                self.leaves.setdefault(expr)
            return self.known.get(expr, expr)
        if isinstance(expr, Add):
            return self._sum(expr, target)
        if isinstance(expr, Mul):
            return self._product(expr, target)
        if isinstance(expr, Pow):
            return self._power(expr, target)
        if isinstance(expr, Piecewise):
            return self._cases(expr, target)
        if isinstance(expr, Elementwise) and self.split:
            opened = type(expr).definition(*(arg if arg.is_number else self.value(arg) for arg in expr.args))
            return self.value(opened, target)
        if expr.is_number:
            return self._gate(expr, number_mark(expr), (), target)
        if isinstance(expr, Binder):
            raise UnsupportedError(f"{expr} runs over an axis, but a gate takes numbers; unroll the network first")
        if expr.is_Function and not any(arg.is_Boolean for arg in expr.args) and not has_labels(expr):
            args = [arg if arg.is_number else self.value(arg) for arg in expr.args]
            reads = tuple(dict.fromkeys(arg for arg in args if isinstance(arg, Tensor)))
            return self._gate(expr.func(*args), function_mark(expr), reads, target)
        # Whatever else: one gate of all that it reads.
        found = {element: self.value(element) for element in elements(expr)}
        return self._gate(expr.xreplace(found), function_mark(expr), tuple(dict.fromkeys(found.values())), target)

    def _sum(self, expr: Add, target: Tensor | None) -> Tensor:
        if all(term.as_coeff_Mul()[0].is_negative for term in expr.args):
            inner = self.value(Add(*(-term for term in expr.args)))
            return self._gate(-inner, r"$\times\,-1$", (inner,), target)
        constant = Add(*(term for term in expr.args if term.is_number))
        if constant != 0:
            inner = self.value(Add(*(term for term in expr.args if not term.is_number)))
            sign = "-" if constant.is_negative else "+"
            return self._gate(inner + constant, f"${sign}{number_mark(abs(constant)).strip('$')}$", (inner,), target)
        terms = order_terms(expr.args)
        if len(terms) == 2 and not self.split and terms[1].as_coeff_Mul()[0].is_negative:
            plus, minus = self.value(terms[0]), self.value(-terms[1])
            if plus != minus:
                return self._gate(plus - minus, "$-$", (plus, minus), target, minus)
        return self._joined(Add, "$+$", [self.value(term) for term in terms], target)

    def _product(self, expr: Mul, target: Tensor | None) -> Tensor:
        number = Mul(*(factor for factor in expr.args if factor.is_number))
        if number != 1:
            inner = self.value(Mul(*(factor for factor in expr.args if not factor.is_number)))
            mark = rf"$\times\,{number_mark(number).strip('$')}$"
            return self._gate(number * inner, mark, (inner,), target)
        return self._joined(Mul, r"$\times$", [self.value(factor) for factor in order_factors(expr.args)], target)

    def _joined(self, operation: Any, mark: str, reads: list[Tensor], target: Tensor | None) -> Tensor:
        while self.split and len(reads) > 2:
            reads = [self._gate(operation(*reads[:2]), mark, tuple(reads[:2]), None), *reads[2:]]
        return self._gate(operation(*reads), mark, tuple(dict.fromkeys(reads)), target)

    def _power(self, expr: Pow, target: Tensor | None) -> Tensor:
        base, exponent = expr.base, expr.exp
        if not exponent.is_number:
            if base.is_number:
                above = self.value(exponent)
                return self._gate(base**above, f"${number_mark(base).strip('$')}^x$", (above,), target)
            pair = self.value(base), self.value(exponent)
            return self._gate(pair[0] ** pair[1], "$x^y$", tuple(dict.fromkeys(pair)), target)
        if exponent.is_negative and exponent != -1:
            base, exponent = base**-exponent, Integer(-1)
        inner = self.value(base)
        marks = {Integer(-1): "$1/x$", Rational(1, 2): r"$\sqrt{x}$"}
        mark = marks.get(exponent, f"$x^{{{number_mark(exponent).strip('$')}}}$")
        return self._gate(inner**exponent, mark, (inner,), target)

    def _cases(self, expr: Piecewise, target: Tensor | None) -> Tensor:
        operands = {value: self.value(value) for value, _ in expr.args if not value.is_number}
        reads = dict.fromkeys(operands.values())
        for _, condition in expr.args:
            # What a condition compares is a branch, mostly: max(x, y).
            left = elements(condition.xreplace(operands))
            operands |= {element: self.value(element) for element in left if element not in operands.values()}
        body = expr.xreplace(operands)
        reads |= dict.fromkeys(element for element in elements(body))
        kind = extreme(expr)
        numbers = [value for value, _ in expr.args if value.is_number]
        if kind and numbers:
            kind = rf"$\mathrm{{{kind}}}({number_mark(numbers[0]).strip('$')},x)$"
        return self._gate(body, kind or "if", tuple(reads), target)

    def _gate(
        self, body: Expr, mark: str, reads: tuple[Tensor, ...], target: Tensor | None, minus: Tensor | None = None
    ) -> Tensor:
        """The tensor with this value: that of a gate there is, or of a new one."""
        if body not in self.made:
            if len(self.made) >= self.limit:
                raise UnsupportedError(
                    f"{self.network.name} has more than {self.limit} gates; draw it at smaller sizes, or its dataflow, "
                    f"or give a larger limit="
                )
            made = target
            if made is None:
                number = len(self.made)
                while f"g{number}" in self.network.tensors:
                    number += self.limit
                made = Tensor(f"g{number}")
            self.made[body] = Gate(Equation(made, (), body), mark, reads, target, minus)
            self.given.add(made)
        elif target is not None and self.made[body].shown is None:
            self.made[body] = replace(self.made[body], shown=target)
        return self.made[body].tensor

    def finish(self, loss: Tensor) -> Circuit:
        """The circuit, with copies where a value has several readers."""
        circuit = Circuit(Network(self.network.name), list(self.leaves))
        if loss in self.leaves:
            raise LossError(f"{self.network.name}: the loss is {loss} itself, so there is no gate to draw")
        gates = list(self.made.values())
        readers: dict[Tensor, list[Gate]] = {}
        for gate in gates:
            for tensor in gate.reads:
                readers.setdefault(tensor, []).append(gate)
        shared = {t for t, known in readers.items() if len(known) > 1 and t.classes is None}
        count = 0

        def copies(gate: Gate) -> Gate:
            nonlocal count
            swapped: dict[Tensor, Tensor] = {}
            for tensor in gate.reads:
                if tensor not in shared:
                    continue
                count += 1
                while f"c{count}" in self.network.tensors:
                    count += 1
                swapped[tensor] = Tensor(f"c{count}")
                circuit.gates.append(Gate(Equation(swapped[tensor], (), tensor), "", (tensor,)))
            return replace(
                gate,
                equation=replace(gate.equation, body=gate.equation.body.xreplace(swapped)),
                reads=tuple(swapped.get(tensor, tensor) for tensor in gate.reads),
                minus=swapped.get(gate.minus, gate.minus) if gate.minus is not None else None,
            )

        for gate in gates:
            circuit.gates.append(copies(gate))
        for tensor in [*circuit.leaves, *(gate.tensor for gate in circuit.gates)]:
            circuit.network.tensors[tensor.name] = tensor
        circuit.network.equations = [gate.equation for gate in circuit.gates]
        circuit.network.values = dict(self.network.values)
        circuit.network.loss = loss
        return circuit


__all__ = ["LIMIT", "Circuit", "Gate", "circuit_of"]
