"""Which letters index which axes: people's own, so that a gradient is printed with the letters of the declaration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sympy import Expr, Symbol

from .equations import Equation
from .indices import Index
from .running import sample_of
from .tensors import Adjoint, Tensor, elements, indices_of, tensor_of

_POOL = "ijklmnpqrsuvw"


class Letters:
    """The letters seen in a network's equations: per tensor, and per size of an axis."""

    def __init__(self) -> None:
        self._home: dict[Tensor, tuple[Symbol, ...]] = {}
        self._by_size: dict[Expr, list[Symbol]] = {}

    def home(self, tensor: Tensor, declared: Mapping[str, Tensor]) -> tuple[Symbol, ...]:
        """The indices with which `tensor` is written: its equation's, or those of its first use, or free ones."""
        return self._home.get(sample_of(tensor)) or self.fresh(tensor.shape, (), declared)

    def learn(self, equation: Equation, declared: Mapping[str, Tensor]) -> None:
        """Note how `equation` writes the axes of what it defines and reads."""
        self._home[equation.target] = equation.indices
        for index, size in zip(equation.indices, equation.target.shape, strict=True):
            self._remember(size, index)
        # Readings with plain indices first: they show the letters that people chose.
        plain = lambda element: all(isinstance(place, Index) for place in indices_of(element))  # noqa: E731
        for element in sorted(elements(equation.body), key=plain, reverse=True):
            tensor = tensor_of(element)
            letters: list[Symbol] = []
            for place, size in zip(indices_of(element), tensor.shape, strict=True):
                if not isinstance(place, Index) or place in letters:
                    # Summed here, so the letter is free to choose: one that is not on the left side.
                    place = self.fresh([size], [*letters, *equation.indices], declared)[0]
                letters.append(place)
                self._remember(size, place)
            self._home.setdefault(tensor, tuple(letters))

    def fresh(
        self, sizes: Iterable[Expr], taken: Iterable[Symbol], declared: Mapping[str, Tensor]
    ) -> tuple[Symbol, ...]:
        """One letter per size, as axes of that size are written, none twice and none in `taken`."""
        names = _names(declared)
        used = set(taken)
        made = []
        for size in sizes:
            pool = [*self._by_size.get(size, ()), *map(Index, _POOL), *(Index(f"i{n}") for n in range(1, 100))]
            letter = next(index for index in pool if index not in used and index.name not in names)
            used.add(letter)
            made.append(letter)
        return tuple(made)

    def along(self, size: Expr, at: Iterable[tuple[Tensor, int]], declared: Mapping[str, Tensor]) -> list[str]:
        """The letters of the axes `at`, then those seen along axes of `size`, that name nothing else."""
        names = _names(declared)
        samples = [(sample_of(tensor), axis) for tensor, axis in at]
        homes = [
            (self._home.get(tensor.of if isinstance(tensor, Adjoint) else tensor), axis) for tensor, axis in samples
        ]
        letters = [*(home[axis] for home, axis in homes if home), *self._by_size.get(size, ())]
        return [index.name for index in letters if index.name not in names]

    def _remember(self, size: Expr, letter: Symbol) -> None:
        known = self._by_size.setdefault(size, [])
        if letter not in known:
            known.append(letter)


def _names(declared: Mapping[str, Tensor]) -> set[str]:
    """A letter may also name a tensor or a size ("m", "n"): an index must not look like it."""
    return {*declared, *(str(s) for t in declared.values() for size in t.shape for s in size.free_symbols)}
