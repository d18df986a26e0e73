"""One function of a CUDA module: phases as source, in which all threads of the grid take part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import sympy
from sympy import Expr, Integer, Pow, Rational, expand

from ...symbolic.tensors import Tensor, indices_of, tensor_of
from ..kernels import Body
from ..names import Names
from ..nests import AddTo, Finish, Item, Loop, Set, Start, Step
from ..ops import Contraction
from ..printers import Printer, Text
from ..scalar import ScalarPrinter
from ..sizes import Sizes
from ..stable_functions import Erfc, Expm1, Log1p, LogAddExp, Logistic
from ..strides import Axis, lies, row_major
from .phases import Each, Phase, Product, TimeSteps, Together, equations_of
from .places import Places, waits
from .products import Side, Tiles, tiled

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


class CudaPrinter(ScalarPrinter):
    """Prints scalar expressions in functions that the device has."""

    functions: ClassVar[dict[type, str]] = {
        kind: name.replace("np.arc", "math.a").replace("np.", "math.") for kind, name in Printer.functions.items()
    } | {
        sympy.Abs: "abs",
        sympy.sign: "sign",
        sympy.erf: "math.erf",
        sympy.erfc: "math.erfc",
        Erfc: "math.erfc",
        Log1p: "math.log1p",
        Expm1: "math.expm1",
        Logistic: "logistic",
        LogAddExp: "logaddexp",
    }

    def power(self, expr: Pow) -> Text:
        if expr.exp == Rational(1, 2):
            return Text(f"math.sqrt({self.text(expr.base)})")
        return super().power(expr)

    def call(self, expr: Any) -> Text:
        if isinstance(expr, sympy.floor | sympy.ceiling):
            return Text(f"{self.real}({super().call(expr).text})")  # a whole number otherwise
        return super().call(expr)


class CudaWriter:
    """Writes one function; make a new one for each.

    Parameters
    ----------
    places : tensor → buffer and place there, of what lies in one; data are arguments, all else is a thread's own
    names : identifiers
    tiles : collects what computes the module's products
    """

    def __init__(self, places: Places, names: Names, sizes: Sizes, tiles: Tiles) -> None:
        self.places, self.names, self.sizes, self.tiles = places, names, sizes, tiles
        self._letters: dict[Any, str] = {}
        self._locals: dict[Expr, str] = {}
        self._used: set[str] = {*WHO, "stage", "scratch", "gate"}
        # Numba gives a variable one type in all of a function: what was whole once stays so.
        self._whole: set[str] = set()
        self._real: set[str] = set()
        self._largest: dict[str, str] = {}  # the place of a maximum → that maximum
        self._starts: dict[Tensor, str] = {}
        self._prelude: list[str] = []
        self.printer = CudaPrinter(self.element, self._letters, self._let)
        if sizes.batch is not None:
            self._letters[sizes.batch] = names.of(sizes.batch)

    def body(self, phases: Sequence[Phase]) -> Body:
        """The function's statements."""
        lines = self._phases(phases)
        return Body((*who_lines(lines), *self.start_lines()), tuple(lines))

    def preset(self, tensor: Tensor) -> str:
        """Take `tensor`, a scalar, as computed before the function's statements; its name."""
        self._locals[tensor] = self.names.of(tensor)
        return self._locals[tensor]

    def start_lines(self) -> list[str]:
        """Where what the function uses begins in its buffer."""
        order = {tensor: at for at, tensor in enumerate(self.places)}
        used = sorted(self._starts, key=lambda tensor: order[tensor])
        return [f"{self._starts[tensor]} = {self._size(self.places[tensor][1].offset)}" for tensor in used]

    def _phases(self, phases: Sequence[Phase]) -> list[str]:
        lines: list[str] = []
        said: set[int] = set()
        for phase, must_wait in zip(phases, waits(phases), strict=True):
            own = [equation for equation in equations_of(phase) if id(equation) not in said]
            said |= {id(equation) for equation in own}
            lines += [""] * bool(lines and own) + [f"# {equation}" for equation in own]
            lines += [WAIT] * must_wait + self.phase(phase)
        return lines

    def phase(self, phase: Phase) -> list[str]:
        around, used = (dict(self._locals), dict(self._letters)), set(self._used)
        if isinstance(phase, Each):
            lines = self._points(phase.space, "thread", "threads", lambda: self._items(phase.body))
        elif isinstance(phase, Together):
            lines = self._points(phase.space, "block", "blocks", lambda: self._sum(phase))
        elif isinstance(phase, Product):
            lines = self._product(phase.op)
        else:
            lines = self._steps(phase)
        self._locals, letters = around
        self._letters.clear()
        self._letters.update(letters)
        self._used = used | set(self._starts.values())
        return lines

    def _steps(self, phase: TimeSteps) -> list[str]:
        letter = self._letter(phase.time)
        last = self._size(phase.length - 1)
        every = f"range({self._size(phase.length)})" if phase.step > 0 else f"range({last}, -1, -1)"
        inside = [WAIT, *self._phases(phase.phases)]
        return [f"for {letter} in {every}:", *(INDENT + line if line else "" for line in inside)]

    # ---- points ----------------------------------------------------------------------------------------------------

    def _points(self, space: Iterable[tuple[Any, Expr]], own: str, all_of: str, write: Any) -> list[str]:
        """What `write` gives, at each point of a space; neighbours along the last index are neighbouring threads'."""
        pairs = list(space)
        if not pairs:
            return [f"if {own} == 0:", *(INDENT + line for line in write())]
        lines = self._decoded(pairs, own, all_of)
        return [*lines, *(INDENT + line for line in write())]

    def _decoded(self, pairs: Sequence[tuple[Any, Expr]], own: str, all_of: str, name: str = "point") -> list[str]:
        """A loop over all points of a space, and the indices of each."""
        if len(pairs) == 1:
            ((index, extent),) = pairs
            return [f"for {self._letter(index)} in range({own}, {self._size(extent)}, {all_of}):"]
        count = self._size(expand(sympy.prod(extent for _, extent in pairs)))
        name = self._fresh(name)
        lines = [f"for {name} in range({own}, {count}, {all_of}):"]
        rest: Expr = Integer(1)
        for place, (index, extent) in reversed(list(enumerate(pairs))):
            value = name if rest == 1 else f"{name} // {self._factor(rest)}"
            lines.append(f"{INDENT}{self._letter(index)} = {value}{f' % {self._factor(extent)}' if place else ''}")
            rest = expand(rest * extent)
        return lines

    def _factor(self, size: Expr) -> str:
        text = self._size(size)
        return text if text.isidentifier() or text.isdigit() else f"({text})"

    def _sum(self, phase: Together) -> list[str]:
        total = self._number("total")
        lines = [f"{total} = real(0)", *self._decoded(phase.bound, "lane", "lanes", "part")]
        value = self.printer.text(phase.value)
        lines += [INDENT + line for line in (*self.flush(), f"{total} += {value}")]
        lines.append(f"{total} = block_sum({total}, scratch)")
        return [*lines, "if lane == 0:", f"{INDENT}{self._memory(phase.target)} = {total}"]

    # ---- products --------------------------------------------------------------------------------------------------

    def _product(self, op: Contraction) -> list[str]:
        batch = [(index, extent) for index, extent in op.space if index in op.batch]
        found = tiled(op, self.sizes, self.tiles.sizes)
        rows, columns, inner, tile = found.rows, found.columns, found.inner, found.tile
        letters = {index: self._letter(index) for index, _ in batch}
        around = {axis: self._fresh("around") for axis in found.around}
        added = {axis: self._fresh("part") for axis in found.added}
        down, across = self._tiles(rows, tile.rows), self._tiles(columns, tile.columns)
        at, rest, column, row = (self._fresh(name) for name in ("tile", "rest", "first_column", "first_row"))
        rows_at = f"{at} // {across}" if across != "1" else at
        counts = [self._factor(extent) for extent in [*(axis.extent for axis in around), *(size for _, size in batch)]]
        count = " * ".join([size for size in (down, across, *counts) if size != "1"]) or "1"
        lines = [f"for {at} in range(block, {count}, blocks):"]
        lines.append(f"{INDENT}{column} = {f'{at} % {across} * {tile.columns}' if across != '1' else 0}")
        lines.append(f"{INDENT}{row} = {f'{rows_at} % {down} * {tile.rows}' if down != '1' else 0}")
        if counts:
            lines.append(f"{INDENT}{rest} = {rows_at}{f' // {down}' if down != '1' else ''}")
            for letter, count in zip([*around.values(), *letters.values()], counts, strict=True):
                lines += [f"{INDENT}{letter} = {rest} % {count}", f"{INDENT}{rest} //= {count}"]
        depth = INDENT
        for axis, letter in added.items():
            lines.append(f"{depth}for {letter} in range({self._size(axis.extent)}):")
            depth += INDENT
        operands = [
            self._operand(element, op, which, {**around, **added})
            for which, element in enumerate((op.left, op.right, op.target))
        ]
        steps = [[self._stride(side.steps[which]) for side in (rows, inner, columns)] for which in range(3)]
        begins = f", {' and '.join(f'{letter} == 0' for letter in added.values())}" if added else ""
        target = f"({operands[2]}, {steps[2][0]}, {steps[2][2]}{begins})"
        sizes = ", ".join(f"int32({self._size(side.extent)})" for side in (rows, columns))
        call = (
            f"{self.tiles.name(found, bool(added))}(stage, {operands[0]}, {steps[0][0]}, {steps[0][1]}, "
            f"{operands[1]}, {steps[1][1]}, {steps[1][2]}, {sizes}, int32(0), int32({self._size(inner.extent)}), "
            f"int32({row}), int32({column}), {target})"
        )
        lines.append(depth + call)
        if not op.when:
            return lines
        condition = " and ".join(f"{self.printer.integer(guard.args[0]).text} >= 0" for guard in op.when)
        free = [(index, extent) for index, extent in op.space if index not in op.bound]
        zero = Set(op.target, Integer(0), op.equation)
        cleared = self._points(free, "thread", "threads", lambda: self._items([zero]))
        inside = [f"if {condition}:", *(INDENT + line for line in lines)]
        return [*inside, "else:", *(INDENT + line for line in cleared)]

    def _tiles(self, side: Side, size: int) -> str:
        """How many tiles lie along a side."""
        if side.extent.is_Integer:
            return str(-(-int(side.extent) // size))
        return f"(({self._size(side.extent)} + {size - 1}) // {size})"

    def _operand(self, element: Expr, op: Contraction, which: int, others: Mapping[Axis, str]) -> str:
        """The pointer to what an operand has where the indices of a tile are 0."""
        own = [*op.rows, *op.columns, *op.bound]
        start = lies(element, own, self.sizes)[1]
        text = self.printer.integer(start).text
        tensor = tensor_of(element)
        parts = [] if tensor not in self.places else [self._start_of(tensor)]
        parts += [] if text == "0" else [text]
        parts += [
            f"{letter} * {self._factor(axis.steps[which])}" for axis, letter in others.items() if axis.steps[which] != 0
        ]
        buffer = self.places[tensor][0] if tensor in self.places else self.names.of(tensor)
        return f"shifted({buffer}, {' + '.join(parts)})" if parts else buffer

    def _stride(self, step: Expr | tuple[int, ...]) -> str:
        return f"pointer_to({self.tiles.table(step)})" if isinstance(step, tuple) else self._size(step)

    # ---- statements ------------------------------------------------------------------------------------------------

    def _items(self, items: Sequence[Item]) -> list[str]:
        return [line for item in items for line in self._item(item)]

    def _item(self, item: Item) -> list[str]:
        if isinstance(item, Loop):
            return self._loop(item)
        if isinstance(item, Start):
            name = self._local(item.target)
            if item.kind == "argmax":
                self._largest[name] = self._number(f"{name}_max")
                return [f"{name} = 0", f"{self._largest[name]} = real(-np.inf)"]
            return [f"{name} = real({'0' if item.kind == 'sum' else '-np.inf'})"]
        if isinstance(item, Finish):
            return self._stored(item.target, self._locals[item.target])
        if isinstance(item, Step):
            return self._step(item)
        assert isinstance(item, Set | AddTo)
        value = self.printer.text(item.value)
        lines = self.flush()
        if isinstance(item, AddTo):
            return [*lines, f"{self._memory(item.target)} += {value}"]
        name = self._local(item.target)
        return [*lines, f"{name} = {value}", *self._stored(item.target, name)]

    def _loop(self, loop: Loop) -> list[str]:
        lines = self._items(loop.before)
        around = dict(self._locals)
        lines.append(f"for {self._letter(loop.index)} in {self._range(loop)}:")
        lines += [INDENT + line for line in self._items(loop.body)]
        self._locals = around
        del self._letters[loop.index]
        return lines + self._items(loop.after)

    def _range(self, loop: Loop) -> str:
        starts, stops = ["0"], [self._size(loop.extent)]
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
        name, value = self._locals[item.target], self.printer.text(item.value)
        lines = self.flush()
        if item.kind == "sum":
            return [*lines, f"{name} += {value}"]
        if item.kind == "max":
            return [*lines, f"{name} = larger({name}, {value})"]
        # The first of equal ones stays: later ones are not larger.
        found = self._number("value")
        place = self.printer.integer(item.position).text
        return [
            *lines,
            f"{found} = {value}",
            f"if {found} > {self._largest[name]}:",
            f"{INDENT}{name}, {self._largest[name]} = {place}, {found}",
        ]

    def _stored(self, target: Expr, value: str) -> list[str]:
        if tensor_of(target) not in self.places:
            return []
        return [f"{self._memory(target)} = {value if tensor_of(target).classes is None else f'real({value})'}"]

    # ---- names -----------------------------------------------------------------------------------------------------

    def element(self, element: Expr) -> str:
        """How an element is read."""
        if element in self._locals:
            return self._locals[element]
        found = self._memory(element)
        # In the workspace whole numbers lie as real ones.
        is_whole = tensor_of(element).classes is not None and tensor_of(element) in self.places
        return f"int32({found})" if is_whole else found

    def _memory(self, element: Expr) -> str:
        tensor = tensor_of(element)
        steps = row_major(tensor.shape, self.sizes)
        place = expand(sum((at * step for at, step in zip(indices_of(element), steps, strict=True)), Integer(0)))
        text = self.printer.integer(place).text
        if tensor not in self.places:
            return f"{self.names.of(tensor)}[{text}]"
        start = self._start_of(tensor)
        return f"{self.places[tensor][0]}[{start if text == '0' else f'{start} + {text}'}]"

    def _start_of(self, tensor: Tensor) -> str:
        if tensor not in self._starts:
            self._starts[tensor] = self._fresh(f"{self.names.of(tensor)}_at")
        return self._starts[tensor]

    def _local(self, target: Expr) -> str:
        if target not in self._locals:
            name = self.names.of(tensor_of(target))
            while name in self._used | self._whole:
                name += "_"
            self._used.add(name)
            self._real.add(name)
            self._locals[target] = name
        return self._locals[target]

    def _letter(self, index: Any) -> str:
        self._letters[index] = self._fresh(index.name.lstrip("_"), set(self._letters.values()))
        return self._letters[index]

    def _fresh(self, name: str, taken: Iterable[str] | None = None) -> str:
        """An identifier that stands for nothing else; letters of loops may be used again after them."""
        found = self.names.free(name, self._used | self._real | set(taken or ()))
        if taken is None:
            self._used.add(found)
        self._whole.add(found)
        return found

    def _number(self, name: str) -> str:
        """The same for a real number."""
        found = self.names.free(name, self._used | self._whole)
        self._used.add(found)
        self._real.add(found)
        return found

    def _let(self, text: str) -> str:
        name = self._number("t")
        self._prelude.append(f"{name} = {text}")
        return name

    def flush(self) -> list[str]:
        lines, self._prelude = self._prelude, []
        return lines

    def _size(self, size: Any) -> str:
        return self.printer.size(size)


def who_lines(lines: Sequence[str]) -> list[str]:
    """Who the thread is, as far as the statements ask."""
    return [
        f"{name} = {value}" for name, value in WHO.items() if any(re.search(rf"\b{name}\b", line) for line in lines)
    ]
