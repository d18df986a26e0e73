"""`Costs`: operations, bytes moved and stored activations of a derivation, as expressions in the sizes.

Each equation is counted by itself: it reads what it needs once and writes its result once (`operation_count` says what
an operation is). An equation of a recurrence is counted over all of its steps. What follows a training step (states)
and what differs in inference is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import sympy
from sympy import Add, Expr, Integer, Mul

from .arguments import check_numbers
from .equations import Equation
from .errors import SizeError, UnsupportedError
from .indices import Dim, as_size
from .notation import PLAIN, Notation
from .operation_count import count
from .tensors import Tensor, shape_text, tensor_of

if TYPE_CHECKING:
    from .derivation import Derivation
    from .network import Network
    from .report.document import Block

Part = Literal["forward", "backward", "total"]
_FACTORED = 60  # a sum of more terms is not factored: that would take long, and be no shorter


@dataclass(frozen=True)
class Cost:
    """What one equation takes, or several together.

    Attributes
    ----------
    flops : floating-point operations; a multiply-add is 2
    functions : name → how often it is computed: exp, sigmoid, sqrt, compare (a condition on data), max …
    numbers : how many numbers are read and written
    itemsize : bytes per number
    target : what the equation defines, or None
    """

    flops: Expr
    functions: Mapping[str, Expr]
    numbers: Expr
    itemsize: Expr
    target: Tensor | None = None

    @property
    def bytes(self) -> Expr:
        """Bytes moved: every operand read once, the result written once."""
        return readable(self.itemsize * self.numbers)


@dataclass(frozen=True)
class Costs:
    """The costs of one forward and one backward pass; `Derivation.costs` makes them.

    Attributes
    ----------
    network : the network
    forward, backward : the `Cost` of each equation, in order
    stored : tensors of the forward pass that the backward pass reads → how many numbers each has; data and parameters,
        which are there anyway, are not among them
    itemsize : bytes per number
    """

    network: Network = field(repr=False)
    forward: tuple[Cost, ...]
    backward: tuple[Cost, ...]
    stored: Mapping[Tensor, Expr]
    itemsize: Expr

    def total(self, part: Part = "total") -> Cost:
        """The sum over the equations of the forward pass, of the backward pass, or of both.

        Raises
        ------
        UnsupportedError
            If `part` is none of "forward", "backward", "total".
        """
        rows = self._rows(part)
        functions: dict[str, Expr] = {}
        for row in rows:
            for name, times in row.functions.items():
                functions[name] = functions.get(name, sympy.S.Zero) + times
        return Cost(
            readable(Add(*(row.flops for row in rows))),
            {name: readable(times) for name, times in functions.items()},
            readable(Add(*(row.numbers for row in rows))),
            self.itemsize,
        )

    @property
    def flops(self) -> Expr:
        """Floating-point operations of both passes."""
        return self.total().flops

    @property
    def stored_numbers(self) -> Expr:
        return readable(Add(*self.stored.values()))

    @property
    def stored_bytes(self) -> Expr:
        """Bytes of activations that must be kept from the forward pass for the backward pass."""
        return readable(self.itemsize * Add(*self.stored.values()))

    def leading(self, part: Part = "total") -> Expr:
        """The terms of the operations that no other outgrows: 6 B n m of 6 B n m + 5 B m.

        A term is left out if another one has all of its sizes, to at least the same powers.
        """
        return leading_terms(Add(*(row.flops for row in self._rows(part))))

    def _rows(self, part: Part) -> tuple[Cost, ...]:
        parts = {"forward": self.forward, "backward": self.backward, "total": (*self.forward, *self.backward)}
        if part not in parts:
            raise UnsupportedError(f"part {part!r}: expected 'forward', 'backward' or 'total'")
        return parts[part]

    def at(self, sizes: Mapping[Any, int] | None = None, **named: int) -> Costs:
        """The same with numbers put in: ``costs.at(B=64, n=784)``, or a mapping of sizes or their names.

        Raises
        ------
        SizeError
            If a size has no number or an unknown name, or a number is no size or leaves a tensor without entries.
        """
        known = self.sizes
        asked = {str(name): value for name, value in {**(sizes or {}), **named}.items()}
        given = check_numbers(asked, known, self.network)
        missing = [name for name in known if name not in given]
        if missing:
            raise SizeError(
                f"size {missing[0]} has no number; give it, as in at({', '.join(f'{name}=5' for name in missing)})"
            )
        numbers = {known[name]: Integer(value) for name, value in given.items()}
        for tensor in self.network.tensors.values():
            shape = tuple(size.xreplace(numbers) for size in tensor.shape)
            if any(size.is_nonpositive for size in shape):
                raise SizeError(
                    f"{tensor.name} {shape_text(tensor.shape)} has shape {shape_text(shape)} with these sizes; "
                    "every axis must have at least one entry"
                )

        def put(row: Cost) -> Cost:
            functions = {name: times.xreplace(numbers) for name, times in row.functions.items()}
            flops, moved = row.flops.xreplace(numbers), row.numbers.xreplace(numbers)
            return Cost(flops, functions, moved, self.itemsize.xreplace(numbers), row.target)

        return replace(
            self,
            forward=tuple(map(put, self.forward)),
            backward=tuple(map(put, self.backward)),
            stored={tensor: size.xreplace(numbers) for tensor, size in self.stored.items()},
            itemsize=self.itemsize.xreplace(numbers),
        )

    @property
    def sizes(self) -> dict[str, Dim]:
        """The symbolic sizes that the costs depend on, by name, in the order in which the tensors have them."""
        shapes = [size for tensor in self.network.tensors.values() for size in tensor.shape]
        rows = (*self.forward, *self.backward)
        used = self.itemsize.free_symbols.union(*(row.flops.free_symbols | row.numbers.free_symbols for row in rows))
        found = [symbol for size in (*shapes, self.itemsize) for symbol in sorted(size.free_symbols, key=str)]
        return {symbol.name: symbol for symbol in found if symbol in used}

    def section(self, sizes: Mapping[Any, int] | None = None, notation: Notation = PLAIN) -> list[Block]:
        """The costs as blocks of a document: what is counted, totals, what is stored, and tables of all equations.

        Parameters
        ----------
        sizes : numbers for the sizes, as `at` takes them: a table says what the totals are then
        notation : how tensors are written

        Raises
        ------
        SizeError
            As `at` does.
        """
        from .report.costs_section import section

        return section(self, sizes, notation)

    def __str__(self) -> str:
        from .report.costs_section import costs_text

        return costs_text(self)


def costs_of(derivation: Derivation, itemsize: Any = 4) -> Costs:
    """Count the equations of a derivation; see `Derivation.costs`."""
    network = derivation.network
    size = as_size(itemsize, "itemsize")
    read = {tensor for equation in derivation.adjoints for tensor in equation.reads}
    kept = [equation.target for equation in network.equations if equation.target in read]
    return Costs(
        network,
        tuple(_cost(equation, size) for equation in network.equations),
        tuple(_cost(equation, size) for equation in derivation.adjoints),
        {tensor: Mul(*tensor.shape) for tensor in kept},
        size,
    )


def _cost(equation: Equation, itemsize: Expr) -> Cost:
    found = count(equation)
    functions = {name: readable(times) for name, times in sorted(found.functions.items())}
    numbers = readable(Add(*found.reads.values(), Mul(*equation.target.shape)))
    return Cost(readable(found.flops), functions, numbers, itemsize, tensor_of(equation.lhs))


def readable(amount: Expr) -> Expr:
    """An amount with what all terms share in front, if it is shorter so: B m (2 n + 1)."""
    forms = [amount, sympy.factor_terms(amount)]
    expanded = sympy.expand(amount)
    if len(Add.make_args(expanded)) <= _FACTORED:
        forms += [expanded, sympy.factor(expanded)]
    # Of equally short ones the last: what is factored says what it is proportional to.
    return min(reversed(forms), key=lambda form: int(sympy.count_ops(form)))


def leading_terms(amount: Expr) -> Expr:
    """The terms of a polynomial in the sizes that do not divide another: those that no other outgrows."""
    terms = [term.as_coeff_Mul() for term in Add.make_args(sympy.expand(amount))]
    powers = [monomial.as_powers_dict() for _, monomial in terms]

    def grows_as(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
        return one != other and all(base.is_number or other.get(base, 0) >= power for base, power in one.items())

    kept = [term for term, own in zip(terms, powers, strict=True) if not any(grows_as(own, other) for other in powers)]
    return Add(*(coefficient * monomial for coefficient, monomial in kept))
