"""One pass through a network in arrays: each equation, and the shape, norm and first numbers of its value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice, product
from math import prod, sqrt
from typing import Any

from sympy import Expr, Integer

from ..binders import rename_free
from ..equations import Equation
from ..evaluate import evaluate
from ..latex import LatexPrinter
from ..tensors import Tensor, indices_of, tensor_of
from ..text import TextPrinter
from .chain import DIRECT, Chain, Marks
from .document import Block, Formula, Line, Prose, Table
from .links import Branching, Path
from .numbers import value
from .update import cell
from .writing import Writer

FIRST = 4  # numbers of an array that are shown
MOST_TERMS = 10  # of a sum, that many terms are shown


def valued(equations: Iterable[Equation], values: Mapping[str, Any], write: Writer) -> list[Block]:
    """Each equation, and its value."""
    blocks: list[Block] = []
    for equation in equations:
        name = equation.target.name
        blocks += [Line(write.equation(equation), name=name), shown(write, equation.target, values[name])]
    return blocks


def shown(write: Writer, tensor: Tensor, array: Any) -> Prose:
    """What an array holds: all of a few numbers, else its shape, its norm and the first ones."""
    symbol = write.expression(tensor) if tensor.rank == 0 else Formula(*_names(write, tensor))
    shape = tuple(getattr(array, "shape", ()))
    numbers = [float(number) for number in (array.ravel() if shape else [array])]
    if not shape:
        only = value(numbers[0])
        return Prose(f"{symbol.text} = {only.text}", f"${symbol.latex} = {only.latex}$")
    first = [value(number) for number in numbers[:FIRST]]
    more = len(numbers) > FIRST
    sides = ", ".join(f.text for f in first), ", ".join(f"${f.latex}$" for f in first)
    size = " × ".join(map(str, shape))
    norm = value(sqrt(sum(number**2 for number in numbers)))
    return Prose(
        f"{symbol.text} ({size}): {sides[0]}{', …' * more}; norm {norm.text}",
        f"${symbol.latex}$ ({size}): {sides[1]}{', …' * more}; norm ${norm.latex}$",
    )


def _names(write: Writer, tensor: Tensor) -> tuple[str, str]:
    return TextPrinter(notation=write.notation).symbol(tensor), LatexPrinter(notation=write.notation).symbol(tensor)


class ChainInNumbers:
    """A chain with a number for each factor: a table of terms for each sum over branches.

    Parameters
    ----------
    chain : of one entry
    values : name of a tensor → array, gradients among them as ``d_a1``
    sizes : name of a size → number
    """

    def __init__(self, chain: Chain, values: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
        self.chain, self.values, self.sizes = chain, values, sizes

    def blocks(self) -> list[Block]:
        """Each sum with its terms and its value, then what the factors are."""
        out: list[Block] = []
        for line, branching in zip(self.chain.lines, self.chain.branchings, strict=False):
            # The sums below the first are stated for any row or neuron: here they are shown for the first one.
            free = [place for place in indices_of(branching.element) if not isinstance(place, Integer)]
            here: dict[Any, Expr] = dict.fromkeys(free, Integer(0))
            out += [line, *(self._table(path, here) for path in branching.paths), self._total(branching, here)]
        direct = [DIRECT] if any(factor.direct for factor in self.chain.factors) else []
        return [*out, *self.chain.lines[len(self.chain.branchings) :], *direct]

    def _total(self, branching: Branching, here: dict[Any, Expr]) -> Line:
        element = rename_free(branching.adjoint, here)
        number: Any = self.values[tensor_of(element).name]
        for place in indices_of(element):
            number = number[int(place)]
        found = value(number)
        text, latex = (marks.write(element) for marks in self._marks())
        return Line(Formula(f"{text} = {found.text}", f"{latex} = {found.latex}"))

    def _table(self, path: Path, here: dict[Any, Expr]) -> Table:
        """The first terms of a sum: the indices, each factor, the product."""
        letters = [index for index, _ in path.summed]
        ranges = [range(self._size(size)) for _, size in path.summed]
        parts = ([] if path.rest is None else [path.rest]) + [factor.formula for factor in path.factors]
        names = [
            [*([] if path.rest is None else [marks.write(path.rest)]), *map(marks.name, path.factors)]
            for marks in self._marks()
        ]
        head = [Prose(letter.name, f"${letter.name}$") for letter in letters]
        head += [Prose(text, f"${latex}$") for text, latex in zip(*names, strict=True)] + [Prose.plain("product")]
        places = (dict(zip(letters, map(Integer, where), strict=True)) for where in product(*ranges))
        terms = list(islice((at for at in places if self._at(path.guard, {**here, **at})), MOST_TERMS + 1))
        rows = []
        for at in terms[:MOST_TERMS]:
            numbers = [self._at(part, {**here, **at}) for part in parts]
            rows.append((*(Prose.plain(str(place)) for place in at.values()), *map(cell, numbers), cell(prod(numbers))))
        if len(terms) > MOST_TERMS:
            rows.append(tuple(Prose.plain("…") for _ in head))
        where = ", ".join(f"{letter} = 0" for letter in here)
        caption = Prose(f"For {where}:", f"For ${where}$:") if here else None
        return Table(tuple(head), tuple(rows), frozenset(range(len(head))), caption)

    def _at(self, expr: Expr, here: dict[Any, Expr]) -> float:
        """The value of a factor at one term of the sum."""
        mark = Tensor("value_of_an_expression")
        equation = Equation(mark, (), rename_free(expr, here))
        return float(evaluate([equation], self.values, self.sizes)[mark.name])

    def _size(self, size: Expr) -> int:
        return int(size.xreplace({s: Integer(self.sizes[s.name]) for s in size.free_symbols}))

    def _marks(self) -> tuple[Marks, Marks]:
        return Marks(TextPrinter, self.chain.notation), Marks(LatexPrinter, self.chain.notation)
