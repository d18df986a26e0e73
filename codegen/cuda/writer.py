"""One function of a CUDA module: phases as source, in which all threads of the grid take part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
from sympy import Expr, Integer, expand

from ...symbolic.tensors import Tensor, indices_of, tensor_of
from ..kernels import Body
from ..names import Names
from ..nests import AddTo, Finish, Item, Loop, Set, Start, Step
from ..sizes import Sizes
from ..strides import row_major
from .kinds import (
    Each,
    Phase,
    Product,
    Rows,
    Scatter,
    Sums,
    TimeSteps,
    Together,
    equations_of,
    made_by_everyone,
    written_by,
)
from .order import waits
from .places import Places
from .printer import CudaPrinter
from .product_writer import ProductWriter
from .products import Tiles
from .scatter_writer import ScatterWriter
from .sum_writer import SumWriter
from .whole import quotient, remainder, strided

INDENT = "    "
WAIT = "grid_barrier(gate)"
WHO = {
    "thread": "cuda.grid(1)",
    "threads": "cuda.gridsize(1)",
    "block": "cuda.blockIdx.x",
    "blocks": "cuda.gridDim.x",
    "lane": "cuda.threadIdx.x",
    "lanes": "cuda.blockDim.x",
}


@dataclass(frozen=True)
class Span:
    """The rows of the batch that a block takes by itself.

    Attributes
    ----------
    size : how many they are at most
    batch : the size of the batch
    first, end : the variables of the limits
    """

    size: int
    batch: Any
    first: str
    end: str

    @property
    def length(self) -> str:
        return f"({self.end} - {self.first})"


class CudaWriter:
    """Writes one function; make a new one for each.

    Parameters
    ----------
    data : the names of the data
    places : tensor → buffer and place there, of what lies in one; data are arguments, all else is a thread's own
    names : identifiers
    tiles : collects what computes the module's products
    """

    def __init__(self, places: Places, names: Names, sizes: Sizes, tiles: Tiles, data: Sequence[str] = ()) -> None:
        self.places, self.names, self.sizes, self.tiles, self.data = places, names, sizes, tiles, data
        self.letters: dict[Any, str] = {}
        self.locals: dict[Expr, str] = {}
        self.scalars: dict[Expr, str] = {}  # what every thread has made for itself
        self._taken: list[str] = []  # how many blocks each phase takes that has been written since the last wait
        self.span: Span | None = None  # the rows that the block takes by itself
        self._is_for_all = False  # whether every thread does what is written
        self._checked: Tensor | None = None  # the scalar that must be finite for the function to go on
        self._used: set[str] = {*WHO, "stage", "scratch", "gate"}
        # Numba gives a variable one type in all of a function: what was whole once stays so.
        self._whole: set[str] = set()
        self._real: set[str] = set()
        self._largest: dict[str, str] = {}  # the place of a maximum → that maximum
        self._starts: dict[Tensor, str] = {}
        self._asked: set[Tensor] = set()  # those that the phase uses that is being written
        self._prelude: list[str] = []
        self.printer = CudaPrinter(self.element, self.letters, self._let)
        self._batch = [] if sizes.batch is None else [names.of(sizes.batch)]
        if sizes.batch is not None:
            self.letters[sizes.batch] = names.of(sizes.batch)

    def body(self, phases: Sequence[Phase], result: Tensor | None = None, *, is_checked: bool = False) -> Body:
        """The function's statements; it returns `result`, a scalar that every thread makes for itself.

        It ends as soon as that is known, if it `is_checked` and not finite.
        """
        self._checked = result if is_checked else None
        lines = self._phases(phases)
        returned = "" if result is None else self.scalars[result]
        fixed = [tensor for tensor in self._starts if not self._grows(tensor)]
        return Body((*who_lines(lines), *self.start_lines(fixed)), tuple(lines), returned)

    def inside(self) -> CudaWriter:
        """A writer of a function that is called from this one, at a point of the loops around."""
        made = CudaWriter(self.places, self.names, self.sizes, self.tiles, self.data)
        made.letters.update(self.letters)
        made.locals.update(self.scalars)
        made._used |= {*self.letters.values(), "row", "column", "value", "target"}
        made._whole |= {*self.letters.values()}
        return made

    def arguments(self) -> list[str]:
        """What every function may be handed: buffers, data, the batch size."""
        return [*dict.fromkeys(buffer for buffer, _ in self.places.values()), *self.data, *self._batch]

    def preset(self, tensor: Tensor) -> str:
        """Take `tensor`, a scalar, as computed before the function's statements; its name."""
        self.locals[tensor] = self.names.of(tensor)
        return self.locals[tensor]

    def start_lines(self, tensors: Iterable[Tensor] | None = None) -> list[str]:
        """Where what the function uses, or some of it, begins in its buffer."""
        order = {tensor: at for at, tensor in enumerate(self.places)}
        used = sorted(self._starts if tensors is None else tensors, key=lambda tensor: order[tensor])
        return [f"{self._starts[tensor]} = {self.size(self.places[tensor][1].offset)}" for tensor in used]

    def _grows(self, tensor: Tensor) -> bool:
        """Whether what lies before a tensor in its buffer depends on the batch size."""
        return not self.places[tensor][1].offset.is_Integer

    def own_starts(self) -> list[str]:
        """The same for one phase, of what depends on the batch size: no register holds it from one phase to another."""
        lines = self.start_lines(tensor for tensor in self._asked if self._grows(tensor))
        return [*(f"{name} = anew({name})" for name in self._batch if lines), *lines]

    def _phases(self, phases: Sequence[Phase], time: Any = None) -> list[str]:
        lines: list[str] = []
        said: set[int] = set()
        self._taken = []
        for phase, must_wait in zip(phases, waits(phases, time), strict=True):
            self._taken = [] if must_wait else self._taken
            own = [equation for equation in equations_of(phase) if id(equation) not in said]
            said |= {id(equation) for equation in own}
            lines += [""] * bool(lines and own) + [f"# {equation}" for equation in own]
            lines += [self._wait] * must_wait + self.phase(phase)
            if self._checked in written_by(phase):
                value = self.scalars[self._checked]
                lines += [f"if not math.isfinite({value}):", f"{INDENT}return {value}"]
        return lines

    @property
    def _wait(self) -> str:
        return WAIT if self.span is None else "cuda.syncthreads()"

    def phase(self, phase: Phase) -> list[str]:
        around, used = (dict(self.locals), dict(self.letters)), set(self._used)
        self._asked = set()
        own = made_by_everyone(phase)
        self._is_for_all = bool(own)
        if isinstance(phase, Each):
            lines = self.points(phase.space, "thread", "threads", lambda: self.items(phase.body))
        elif isinstance(phase, Together):
            lines = self.points(phase.space, "block", "blocks", lambda: self._sum(phase))
        elif isinstance(phase, Product):
            lines = ProductWriter(self).lines(phase)
        elif isinstance(phase, Scatter):
            lines = ScatterWriter(self).lines(phase)
        elif isinstance(phase, Sums):
            lines = SumWriter(self, phase).lines()
        elif isinstance(phase, Rows):
            lines = self._rows(phase)
        else:
            assert isinstance(phase, TimeSteps)
            lines = self._steps(phase)
        self.scalars.update({element: name for element, name in self.locals.items() if element in own})
        self.locals, letters = {**around[0], **self.scalars}, around[1]
        self.letters.clear()
        self.letters.update(letters)
        lines = [*self.own_starts(), *lines]
        self._asked = set()
        self._used = used | set(self._starts.values()) | set(self.scalars.values())
        return lines

    def _steps(self, phase: TimeSteps) -> list[str]:
        letter = self.letter(phase.time)
        last = self.size(phase.length - 1)
        every = f"range({self.size(phase.length)})" if phase.step > 0 else f"range({last}, -1, -1)"
        inside = [self._wait, *self._phases(phase.phases, phase.time)]
        return [f"for {letter} in {every}:", *(INDENT + line if line else "" for line in inside)]

    def _rows(self, phase: Rows) -> list[str]:
        """The phases for some rows of the batch after others, as many blocks as there are."""
        batch = self.sizes.batch
        count = f"(({self.size(batch)} + {phase.size - 1}) // {phase.size})" if phase.size > 1 else self.size(batch)
        group = self.fresh("group")
        lines, step = strided(group, self.first_block(count), count, "blocks")
        taken = self._taken
        self.span = Span(phase.size, batch, self.fresh("first_of_rows"), self.fresh("end_of_rows"))
        first, end = self.span.first, self.span.end
        lines += [f"{INDENT}{first} = {group} * {phase.size}"]
        lines += [f"{INDENT}{end} = min({first} + {phase.size}, {self.size(batch)})"]
        lines += [INDENT + line if line else "" for line in self._phases(phase.phases)]
        self.span, self._taken = None, taken
        return [*lines, step]

    def first_block(self, count: str) -> str:
        """The first of `count` things that a block does: those before it have what earlier phases leave over."""
        first = f"turn_of(block, {' + '.join(self._taken)}, blocks)" if self._taken else "block"
        self._taken.append(count)
        return first

    # ---- points ----------------------------------------------------------------------------------------------------

    def points(self, space: Iterable[tuple[Any, Expr]], own: str, all_of: str, write: Any) -> list[str]:
        """What `write` gives, at each point of a space; neighbours along the last index are neighbouring threads'."""
        pairs = list(space)
        if self._is_for_all:
            return list(write())
        if not pairs:
            return [f"if {own} == 0:", *(INDENT + line for line in write())]
        if self.span is not None:
            lines, step = self._of_rows(pairs, self.span)
            return [*lines, *(INDENT + line for line in write()), step]
        if own == "block":
            own = self.first_block(self.factor(expand(sympy.prod(extent for _, extent in pairs))))
        lines, step = self._decoded(pairs, own, all_of)
        return [*lines, *(INDENT + line for line in write()), step]

    def _decoded(
        self, pairs: Sequence[tuple[Any, Expr]], own: str, all_of: str, name: str = "point", stop: str = ""
    ) -> tuple[list[str], str]:
        """A loop over all points of a space, or those before `stop`, and the indices of each; and its last line."""
        count = expand(sympy.prod(extent for _, extent in pairs))
        stop = stop or self.size(count)
        if len(pairs) == 1:
            return strided(self.letter(pairs[0][0]), own, stop, all_of)
        self.tiles.points.add(count)
        lines, step = strided(name := self.fresh(name), own, stop, all_of)
        return [*lines, *(INDENT + line for line in self.indices(pairs, name, is_all=True))], step

    def _of_rows(self, pairs: Sequence[tuple[Any, Expr]], span: Span) -> tuple[list[str], str]:
        """The same for the rows of a block."""
        row = next(index for index, extent in pairs if extent == span.batch)
        others = [pair for pair in pairs if pair[0] != row]
        if not others:
            return strided(self.letter(row), f"{span.first} + lane", span.end, "lanes")
        rest = expand(sympy.prod(extent for _, extent in others))
        stop = f"{span.length} * {self.factor(rest)}"
        name = self.fresh("point")
        self.tiles.points.add(expand(rest * span.batch))
        lines, step = strided(name, "lane", stop, "lanes")
        lines += [INDENT + line for line in self.indices(others, name, is_all=False)]
        return [*lines, f"{INDENT}{self.letter(row)} = {span.first} + {quotient(name, self.size(rest))}"], step

    def indices(self, pairs: Sequence[tuple[Any, Expr]], name: str, *, is_all: bool) -> list[str]:
        """The indices of a point of a space; `is_all` if its number has no other part."""
        lines = []
        rest: Expr = Integer(1)
        for place, (index, extent) in reversed(list(enumerate(pairs))):
            value = quotient(name, self.size(rest))
            value = value if is_all and not place else remainder(value, self.size(extent))
            lines.append(f"{self.letter(index)} = {value}")
            rest = expand(rest * extent)
        return lines

    def factor(self, size: Expr) -> str:
        """The same as a factor of a product."""
        text = self.size(size)
        return text if text.isidentifier() or text.isdigit() else f"({text})"

    def _sum(self, phase: Together) -> list[str]:
        total, first, stop = self.number("total"), "lane", ""
        lines = [f"{total} = real(0)"]
        if phase.part is not None:
            own, parts = self.letters[phase.part], self.size(dict(phase.space)[phase.part])
            count = self.factor(expand(sympy.prod(size for _, size in phase.bound)))
            begin, stop = self.fresh("begin"), self.fresh("end")
            lines += [f"{begin} = {count} * {own} // {parts}", f"{stop} = {count} * ({own} + 1) // {parts}"]
            first = f"{begin} + lane"
        head, step = self._decoded(phase.bound, first, "lanes", "entry", stop)
        value = self.printer.text(phase.value)
        lines += [*head, *(INDENT + line for line in (*self.flush(), f"{total} += {value}")), step]
        lines.append(f"{total} = block_sum({total}, scratch)")
        if self._is_for_all:
            name = self.local(phase.target)
            return [*lines, f"{name} = {total}", *self.stored(phase.target, name)]
        self.locals[phase.target] = total
        made = [*self.stored(phase.target, total), *self.items(() if phase.after is None else phase.after.body)]
        return [*lines, "if lane == 0:", *(INDENT + line for line in made)]

    # ---- statements ------------------------------------------------------------------------------------------------

    def items(self, items: Sequence[Item]) -> list[str]:
        """Statements, one after the other."""
        return [line for item in items for line in self._item(item)]

    def _item(self, item: Item) -> list[str]:
        if isinstance(item, Loop):
            return self._loop(item)
        if isinstance(item, Start):
            name = self.local(item.target)
            if item.kind == "argmax":
                self._largest[name] = self.number(f"{name}_max")
                return [f"{name} = 0", f"{self._largest[name]} = real(-np.inf)"]
            return [f"{name} = real({'0' if item.kind == 'sum' else '-np.inf'})"]
        if isinstance(item, Finish):
            return self.stored(item.target, self.locals[item.target])
        if isinstance(item, Step):
            return self._step(item)
        assert isinstance(item, Set | AddTo)
        value = self.printer.text(item.value)
        lines = self.flush()
        if isinstance(item, AddTo):
            buffer, place = self.place(item.target)
            is_atomic = item.is_atomic
            return [*lines, f"add_atomic({buffer}, {place}, {value})" if is_atomic else f"{buffer}[{place}] += {value}"]
        name = self.local(item.target)
        return [*lines, f"{name} = {value}", *self.stored(item.target, name)]

    def _loop(self, loop: Loop) -> list[str]:
        lines = self.items(loop.before)
        around = dict(self.locals)
        lines.append(f"for {self.letter(loop.index)} in {self._range(loop)}:")
        lines += [INDENT + line for line in self.items(loop.body)]
        self.locals = around
        del self.letters[loop.index]
        return lines + self.items(loop.after)

    def _range(self, loop: Loop) -> str:
        starts, stops = ["0"], [self.size(loop.extent)]
        for limit in loop.limits:
            step = limit.coeff(loop.index)
            rest = self.printer.integer(expand(limit - step * loop.index)).text
            if step > 0:
                starts.append(f"-(({rest}) // {step})")
            else:
                stops.append(f"({rest}) // {-step} + 1")
        low = starts[0] if len(starts) == 1 else f"max({', '.join(starts)})"
        high = stops[0] if len(stops) == 1 else f"min({', '.join(stops)})"
        return f"range({low}, {high})"

    def _step(self, item: Step) -> list[str]:
        name, value = self.locals[item.target], self.printer.text(item.value)
        lines = self.flush()
        if item.kind == "sum":
            return [*lines, f"{name} += {value}"]
        if item.kind == "max":
            return [*lines, f"{name} = larger({name}, {value})"]
        # The first of equal ones stays: later ones are not larger.
        found = self.number("value")
        place = self.printer.integer(item.position).text
        return [
            *lines,
            f"{found} = {value}",
            f"if {found} > {self._largest[name]}:",
            f"{INDENT}{name}, {self._largest[name]} = {place}, {found}",
        ]

    def stored(self, target: Expr, value: str) -> list[str]:
        """The store of a finished element, if its tensor lies in a buffer."""
        if tensor_of(target) not in self.places:
            return []
        line = f"{self.memory(target)} = {value if tensor_of(target).classes is None else f'real({value})'}"
        return ["if thread == 0:", INDENT + line] if self._is_for_all else [line]

    # ---- names -----------------------------------------------------------------------------------------------------

    def element(self, element: Expr) -> str:
        """How an element is read."""
        if element in self.locals:
            return self.locals[element]
        found = self.memory(element)
        # In the workspace whole numbers lie as real ones.
        is_whole = tensor_of(element).classes is not None and tensor_of(element) in self.places
        return f"int32({found})" if is_whole else found

    def memory(self, element: Expr) -> str:
        """An element where it lies."""
        buffer, place = self.place(element)
        return f"{buffer}[{place}]"

    def place(self, element: Expr) -> tuple[str, str]:
        """The buffer in which an element lies, and its place there."""
        tensor = tensor_of(element)
        steps = row_major(tensor.shape, self.sizes)
        place = expand(sum((at * step for at, step in zip(indices_of(element), steps, strict=True)), Integer(0)))
        text = self.printer.integer(place).text
        if tensor not in self.places:
            return self.names.of(tensor), text
        start = self.start_of(tensor)
        return self.places[tensor][0], start if text == "0" else f"{start} + {text}"

    def start_of(self, tensor: Tensor) -> str:
        """The variable that says where a tensor begins in its buffer."""
        if tensor not in self._starts:
            self._starts[tensor] = self.fresh(f"{self.names.of(tensor)}_at")
        self._asked.add(tensor)
        return self._starts[tensor]

    def local(self, target: Expr) -> str:
        """The variable of an element."""
        if target not in self.locals:
            name = self.names.of(tensor_of(target))
            while name in self._used | self._whole:
                name += "_"
            self._used.add(name)
            self._real.add(name)
            self.locals[target] = name
        return self.locals[target]

    def letter(self, index: Any) -> str:
        """The loop variable of an index, from here on."""
        self.letters[index] = self.fresh(index.name.lstrip("_"), set(self.letters.values()))
        return self.letters[index]

    def fresh(self, name: str, taken: Iterable[str] | None = None) -> str:
        """An identifier that stands for nothing else; letters of loops may be used again after them."""
        found = self.names.free(name, self._used | self._real | set(self.letters.values() if taken is None else taken))
        if taken is None:
            self._used.add(found)
        self._whole.add(found)
        return found

    def number(self, name: str) -> str:
        """The same for a real number."""
        found = self.names.free(name, self._used | self._whole)
        self._used.add(found)
        self._real.add(found)
        return found

    def _let(self, text: str) -> str:
        name = self.number("t")
        self._prelude.append(f"{name} = {text}")
        return name

    def flush(self) -> list[str]:
        lines, self._prelude = self._prelude, []
        return lines

    def size(self, size: Any) -> str:
        """A whole-number expression in sizes."""
        return self.printer.size(size)


def who_lines(lines: Sequence[str]) -> list[str]:
    """Who the thread is, as far as the statements ask."""
    return [
        f"{name} = {value}" for name, value in WHO.items() if any(re.search(rf"\b{name}\b", line) for line in lines)
    ]
