"""Layers that are alike, once: runs of equations that are equal up to the number of the layer.

``z2 = W2 a1 + b2``, ``a2 = tanh(z2)``, ``z3 = W3 a2 + b3`` … are ``z⟨l⟩ = W⟨l⟩ a⟨l-1⟩ + b⟨l⟩``, ``a⟨l⟩ = tanh(z⟨l⟩)``
for l = 2, 3, …: equations like any others, of tensors whose layer runs (`Running`). That layers are alike is not
guessed: the equations of each are found again from those with the letter, the very same objects, or nothing is folded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from sympy import Expr

from ..equations import Equation
from ..errors import UnsupportedError
from ..indices import Dim
from ..running import SAME, Running, base, family, number, put, running, shift
from ..tensors import Tensor, elements, tensor_of

if TYPE_CHECKING:
    from ..network import Network

LEAST = 3  # so many layers alike are written as one
Names: TypeAlias = dict[Tensor, Tensor]


@dataclass(frozen=True)
class Item:
    """An equation of a page, and what is written with it.

    Attributes
    ----------
    equation : the equation
    beside : expressions that are written beside it: a fact that it used, what stood before compaction
    mark : what else must be equal in equations that are alike
    """

    equation: Equation
    beside: tuple[Expr, ...] = ()
    mark: Any = None

    def renamed(self, names: Names) -> Item:
        """The item with other tensors in the place of those in `names`."""
        old = self.equation
        other = None if old.inference is None else put(old.inference, names)
        made = replace(old, target=names.get(old.target, old.target), body=put(old.body, names), inference=other)
        return replace(self, equation=made, beside=tuple(put(expr, names) for expr in self.beside))

    @property
    def read(self) -> list[Tensor]:
        """The tensors of the right side and of what stands beside, each once, in a fixed order."""
        old = self.equation
        exprs = (old.body, *(() if old.inference is None else (old.inference,)), *self.beside)
        return list(dict.fromkeys(tensor_of(element) for expr in exprs for element in elements(expr)))


@dataclass(frozen=True)
class Repeated:
    """The equations of one layer, and the layers that have them.

    Attributes
    ----------
    items : the equations of one layer, with `Running` tensors
    letter : what stands for the number of the layer
    values : the numbers, in the order in which the equations stand
    """

    items: tuple[Item, ...]
    letter: str
    values: range
    layers: tuple[Names, ...] = field(repr=False, compare=False)

    def first(self, tensor: Tensor) -> Tensor:
        """What `tensor` is in the first layer."""
        return self.layers[0].get(tensor, tensor)

    def of(self, tensor: Tensor) -> Tensor:
        """What stands for `tensor`, one of the first layer."""
        return next((made for made, first in self.layers[0].items() if first == tensor), tensor)

    def at(self, value: int) -> list[Item]:
        """The items of the layer `value`."""
        names = self.layers[self.values.index(value)]
        return [item.renamed(names) for item in self.items]

    @property
    def numbers(self) -> tuple[str, str]:
        """Which numbers the letter stands for, as text and as LaTeX: ``l = 2, …, 100``."""
        values = [str(value) for value in self.values]
        shown = 1 if abs(self.values.step) == 1 else 2
        if len(values) > shown + 2:
            values = [*values[:shown], "…", values[-1]]
        text = f"{self.letter} = {', '.join(values)}"
        return text, text.replace("…", r"\dots").replace("ℓ", r"\ell")


@dataclass(frozen=True)
class Folding:
    """How a page writes layers that are alike.

    Attributes
    ----------
    letter : what stands for the number of the layer
    fixed : names of tensors that are written each by itself, for they have symbols of their own
    on : False for every layer by itself
    """

    letter: str = "l"
    fixed: Collection[str] = ()
    on: bool = True

    @classmethod
    def of(cls, network: Network, fixed: Collection[str] = (), on: bool = True) -> Folding:
        """That of a page on `network`; the letter is l, or ℓ where l is an index, a size or a tensor."""
        tensors = network.tensors.values()
        indices = {index.name for tensor in tensors for index in network.home(tensor)}
        sizes = {str(symbol) for tensor in tensors for size in tensor.shape for symbol in size.free_symbols}
        return cls("ℓ" if "l" in {*indices, *sizes, *network.tensors} else "l", fixed, on)

    def __call__(self, items: Iterable[Item]) -> Iterator[tuple[Item, Repeated | None]]:
        """What is written: each item that stands alone, and those of one layer, with the run that they stand for."""
        for found in fold(items, self.letter, self.fixed) if self.on else items:
            if isinstance(found, Repeated):
                yield from ((item, found) for item in found.items)
            else:
                yield found, None


def fold(items: Iterable[Item], letter: str = "l", fixed: Collection[str] = ()) -> list[Item | Repeated]:
    """`items` with every run of three or more layers that are alike written once, with `letter` for the number.

    Tensors that are named in `fixed` are not written with the letter.
    """
    finder = _Finder(list(items), letter, fixed)
    return list(finder.folded())


class _Finder:
    """Looks for runs in `items`."""

    def __init__(self, items: Sequence[Item], letter: str, fixed: Collection[str]) -> None:
        self.items, self.letter, self.fixed = items, letter, fixed
        self.families = [
            (item.mark, family(item.equation.target), item.equation.indices, sorted(map(family, item.read)))
            for item in items
        ]
        self._known: dict[tuple[int, int], _Match | None] = {}

    def folded(self) -> Iterator[Item | Repeated]:
        start = 0
        while start < len(self.items):
            found = max(self._runs(start), key=lambda run: len(run.items) * len(run.values), default=None)
            if found is None:
                yield self.items[start]
                start += 1
            else:
                yield found
                start += len(found.items) * len(found.values)

    def _runs(self, start: int) -> Iterator[Repeated]:
        """The runs that begin at `start`, those of the shortest layers first."""
        known: list[int] = []
        for period in range(1, (len(self.items) - start) // LEAST + 1):
            if any(period % other == 0 for other in known) or self._length(start, period) < LEAST:
                continue
            known.append(period)
            # Of the places to cut a run into layers, the one that keeps together what has one number.
            turns = [turn for turn in range(period) if self._length(start + turn, period) >= LEAST]
            if min(turns, key=lambda turn: self._rank(start + turn, period)) == 0:
                run = self._run(start, period)
                if run is not None:
                    yield run

    def _length(self, start: int, period: int) -> int:
        """How many layers of `period` equations stand one behind the other from `start`, by names."""
        first, place = self.match(start, period), start
        while first is not None and (match := self.match(place, period)) is not None and match.step == first.step:
            place += 1
        return 1 + (place - start) // period

    def _rank(self, start: int, period: int) -> tuple[int, int, bool]:
        """How far apart the numbers of one layer are; then the longest run; then one that the page begins with."""
        numbers = [self._number(place, period) for place in range(start, start + period)]
        return max(numbers) - min(numbers), -self._length(start, period), start % period != 0

    def _number(self, place: int, period: int) -> int:
        """The number of the layer in the left side."""
        match = self.match(place, period)
        assert match is not None
        return number(self.items[place].equation.target, match.which)

    def match(self, place: int, period: int) -> _Match | None:
        """How the equation that stands `period` further is like this one, or None if it is not."""
        if (place, period) not in self._known:
            further = place + period
            alike = further < len(self.items) and self.families[place] == self.families[further]
            self._known[place, period] = _matched(self.items[place], self.items[further]) if alike else None
        return self._known[place, period]

    def _run(self, start: int, period: int) -> Repeated | None:
        """The run of layers from `start`; None if they are not alike after all."""
        count, match = self._length(start, period), self.match(start, period)
        assert match is not None
        layers = [self.items[begin : begin + period] for begin in range(start, start + count * period, period)]
        first = self._number(start, period)
        values = range(first, first + count * match.step, match.step)
        try:
            names = self._running(self._images(start, period, count), values)
        except UnsupportedError:
            return None
        items = tuple(item.renamed({images[0]: new for new, images in names.items()}) for item in layers[0])
        back = tuple({new: images[place] for new, images in names.items()} for place in range(count))
        run = Repeated(items, self.letter, values, back)
        return run if all(run.at(value) == layer for value, layer in zip(values, layers, strict=True)) else None

    def _images(self, start: int, period: int, count: int) -> list[tuple[Tensor, ...]]:
        """For each tensor of the first layer those of all layers, in order."""
        found: dict[Tensor, tuple[Tensor, ...]] = {}
        for place in range(start, start + period):
            matches = [self.match(place + layer * period, period) for layer in range(count - 1)]
            for tensor in matches[0].names if matches[0] else ():
                images = [tensor]
                for match in matches:
                    assert match is not None
                    images.append(match.names[images[-1]])
                if found.setdefault(tensor, tuple(images)) != tuple(images):
                    raise UnsupportedError(f"{tensor} stands for one tensor in one equation and another in the next")
        return list(found.values())

    def _running(self, tensors: Iterable[tuple[Tensor, ...]], values: range) -> dict[Tensor, tuple[Tensor, ...]]:
        """The running tensor in the place of each tuple of tensors, one for each layer.

        A size that is not that of all layers becomes a symbol, one for sizes that go together.

        Raises
        ------
        UnsupportedError
            If a name or symbol cannot be written with the letter, or does not say the number of its layer.
        """
        sizes: dict[tuple[Any, ...], Dim] = {}
        found: dict[Tensor, tuple[Tensor, ...]] = {}
        for images in tensors:
            moved = shift(images[0], images[1])
            if moved is None or moved == SAME:
                continue
            shape = []
            for axis in zip(*(tensor.shape for tensor in images), strict=True):
                size = sizes.setdefault(axis, Dim(f"⟨size {len(sizes)}⟩")) if len(set(axis)) > 1 else axis[0]
                shape.append(size)
            made = running(images[0], moved[0], self.letter, values[0], tuple(shape))
            below = base(made)
            assert isinstance(below, Running)
            names = {tensor.name for image in images for tensor in (image, base(image))}
            if names & set(self.fixed) or [below.name_at(v) for v in values] != [base(image).name for image in images]:
                raise UnsupportedError(f"{images[0]} does not run as the others do")
            found[made] = images
        return found


@dataclass(frozen=True)
class _Match:
    """How one equation is like another: which number of the left side is `step` more there, and the tensors there."""

    which: int
    step: int
    names: Names


def _matched(old: Item, new: Item) -> _Match | None:
    """How `new` is `old` with more in numbers; None if it is not."""
    moved = shift(old.equation.target, new.equation.target)
    if moved is None or not moved[1]:
        return None
    names = {old.equation.target: new.equation.target}
    theirs = new.read
    choices: dict[Tensor, list[Tensor]] = {}
    for tensor in old.read:
        moves = {other: shift(tensor, other) for other in theirs}
        likely = [other for other, move in moves.items() if move is not None and move[1] == moved[1]]
        choices[tensor] = [*likely, *(other for other, move in moves.items() if move == SAME)]
    for tensor in sorted(choices, key=lambda tensor: len(choices[tensor])):
        if tensor not in names:
            free = [other for other in choices[tensor] if other not in names.values()]
            if not free:
                return None
            names[tensor] = free[0]
    return _Match(*moved, names) if old.renamed(names) == new else None
