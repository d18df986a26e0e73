"""One way of reading a formula: the choices made so far, the letters in scope, what stands without an index.

What is written may mean several things: ``x_i`` the i-th example or the i-th feature, ``a \\cdot b`` one product or
another. A `Reading` is given a list of choices; where the elaboration comes to a place that is open, it takes the next
(`pick`). `alternatives` goes through all of them and keeps those in which everything fits together, so nothing is
guessed: what is left is judged in each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sympy import Dummy, Expr, Integer, Symbol

from ...indices import Index
from ...matrix_tree import Layout
from ...recurrence import Recurrence, blocks
from ...tensors import Tensor
from .lexicon import Lexicon
from .values import MismatchError, NotReadError

T = TypeVar("T")
RATE = Tensor("learning_rate", (), "input", latex=r"\eta")
MOST = 600  # readings of one formula that are tried


@dataclass(frozen=True)
class Manner:
    """How matrices are laid out, and which axes go without saying.

    Attributes
    ----------
    layout : "columns" for one example per column, "rows" for one per row
    implicit : the sizes of axes that are not written: ``\\delta_j`` is that of one example, whichever
    single : whether the batch is one example: then the batch axis is at 0
    numerator : whether a gradient has the transposed shape of what it is by
    """

    layout: Layout = "columns"
    implicit: tuple[Expr, ...] = ()
    single: bool = False
    numerator: bool = False

    def __str__(self) -> str:
        if self.single:
            return "for one example"
        examples = "one example per column" if self.layout == "columns" else "one example per row"
        each = " and ".join(f"each place along {size}" for size in self.implicit)
        return f"{examples}, for {each}" if each else examples


@dataclass
class Reading:
    """The state of one elaboration; see the module."""

    lexicon: Lexicon
    text: str
    manner: Manner = field(default_factory=Manner)
    layers: dict[str, int] = field(default_factory=dict)
    choices: list[int] = field(default_factory=list)
    # ---- found on the way
    taken: list[tuple[int, int]] = field(default_factory=list)  # what was chosen, of how many
    letters: dict[str, Symbol] = field(default_factory=dict)
    sizes: dict[Symbol, Any] = field(default_factory=dict)
    hints: dict[Symbol, Any] = field(default_factory=dict)  # sizes of letters that stand in sums alone: h_{t-1}
    places: list[tuple[Tensor, int, Expr]] = field(default_factory=list)  # what is read at which position of which axis
    notes: dict[str, None] = field(default_factory=dict)  # what was taken for granted, in words
    opened: dict[Any, Symbol] = field(default_factory=dict)  # the implicit indices, by size
    settled: dict[str, Any] = field(default_factory=dict)
    paired: list[tuple[Any, Any]] = field(default_factory=list)  # the indices of Kronecker's δ, along one axis
    lying: dict[Any, bool] = field(
        default_factory=dict
    )  # whether a vector without examples is a row, by tensor and axis
    depth: int = 0
    chosen: bool = False  # whether letters stand along some of the axes of an array of three or more
    loose: bool = False  # whether a letter of the left side may run over a part of an axis
    foreign: bool = False  # whether one of them stands along an axis that the network has another letter for
    inside: tuple[Any, ...] = ()  # the aliases whose meaning is being read: they do not stand in it
    rate_name: str = ""
    updates: bool = False  # whether the formula is about an update, and so may have a learning rate
    first: int | None = None  # the number of the first position along an axis, if it is known

    def __post_init__(self) -> None:
        self.given_first = self.first is not None  # by the user: no formula says otherwise

    @property
    def network(self) -> Any:
        return self.lexicon.derivation.network

    def pick(self, options: list[T]) -> T:
        """One of several meanings."""
        if not options:
            raise MismatchError("there is no way to read this")
        if len(options) == 1:
            return options[0]
        at = len(self.taken)
        chosen = self.choices[at] if at < len(self.choices) else 0
        self.taken.append((chosen, len(options)))
        return options[chosen]

    def settle(self, question: str, options: list[T]) -> T:
        """One of several meanings, the same wherever the question comes up in a formula."""
        known = self.settled.get(question)
        if known not in options:
            known = self.settled[question] = self.pick(options)
        return known

    def fails(self, message: str, span: Any = None) -> MismatchError:
        """The error for what is not read here at all, in no reading."""
        return NotReadError(message, span)

    def misfit(self, message: str, span: Any = None) -> MismatchError:
        """The error for what does not fit together in this reading."""
        return MismatchError(message, span)

    # ---- letters ---------------------------------------------------------------------------------------------

    def letter(self, name: str) -> Symbol:
        """The index that a letter names here."""
        if name not in self.letters:
            self.letters[name] = Index(name)
        return self.letters[name]

    def bind(self, names: list[str]) -> tuple[dict[str, Symbol | None], list[Symbol]]:
        """New indices for the letters of a sum; what they named before, and the new ones."""
        before = {name: self.letters.get(name) for name in names}
        made = []
        for name in names:
            self.letters[name] = Dummy(name, integer=True)
            made.append(self.letters[name])
        return before, made

    def release(self, before: dict[str, Symbol | None]) -> None:
        for name, symbol in before.items():
            if symbol is None:
                self.letters.pop(name, None)
            else:
                self.letters[name] = symbol

    def runs_over(self, symbol: Symbol, size: Any, span: Any = None) -> None:
        """Note that a letter runs over an axis of `size`.

        Raises
        ------
        MismatchError
            If it runs over another elsewhere.
        """
        known = self.sizes.setdefault(symbol, size)
        if known != size and not self.may_leave(symbol):
            raise MismatchError(f"{symbol.name} runs over an axis of size {known} and over one of size {size}", span)

    def may_leave(self, symbol: Symbol) -> bool:
        """Whether a letter may read an axis of another size than its own: what is side by side in one array is."""
        return self.loose and not isinstance(symbol, Dummy)

    def size_of(self, symbol: Symbol) -> Any:
        return self.sizes.get(symbol, self.hints.get(symbol))

    def implicit(self, size: Any) -> Expr | None:
        """The index of an axis that is not written, or None if such an axis is a part of what is read."""
        if self.manner.single and size == self.network.batch:
            return Integer(0)
        if size not in self.manner.implicit:
            return None
        if size not in self.opened:
            self.opened[size] = Index(f"each_{size}".replace(" ", ""))
            self.sizes[self.opened[size]] = size
        return self.opened[size]

    def first_position(self) -> int:
        """The number of the first position along an axis, the same in a whole formula."""
        if self.first is None:
            self.first = self.pick([1, 0])
        self.note(f"positions count from {self.first}")
        return self.first

    def rate(self, name: str) -> Expr:
        """The learning rate: any number, so a tensor without axes that the network does not have."""
        if self.rate_name not in ("", name):
            raise NotReadError(f"{self.rate_name} and {name} are both taken for the learning rate; declare one of them")
        self.rate_name = name
        self.note(f"{name} is the learning rate")
        return RATE

    def note(self, words: str) -> None:
        self.notes.setdefault(words)


def times_of(network: Any) -> list[Any]:
    """The sizes of the axes along which states run."""
    return list(dict.fromkeys(b.length for b in blocks(network.equations) if isinstance(b, Recurrence)))


def alternatives(
    start: Callable[[list[int]], Reading],
    read: Callable[[Reading], T],
    only: Sequence[Sequence[int]] | None = None,
) -> Iterator[tuple[Reading, T]]:
    """All readings in which everything fits together; with `only` those of these choices.

    `start` makes a reading of a list of choices. If none fits, the error of the first is raised, or that of the first
    in which something is not read at all.
    """
    todo = [list(one) for one in only or []]
    choices: list[int] | None = todo.pop(0) if todo else []
    first: MismatchError | None = None
    found = False
    for _ in range(MOST):
        if choices is None:
            break
        reading = start(choices)
        try:
            made = read(reading)
        except MismatchError as error:
            if first is None or (isinstance(error, NotReadError) and not isinstance(first, NotReadError)):
                first = error
        else:
            found = True
            yield reading, made
        choices = _next(reading.taken) if only is None else todo.pop(0) if todo else None
    else:
        if choices is not None:
            raise NotReadError(f"there are more than {MOST} ways to read this; write more indices or brackets")
    if not found and first is not None:
        raise first


def _next(taken: list[tuple[int, int]]) -> list[int] | None:
    """The choices after these, the last one counted up first."""
    for place in reversed(range(len(taken))):
        chosen, options = taken[place]
        if chosen + 1 < options:
            return [one for one, _ in taken[:place]] + [chosen + 1]
    return None
