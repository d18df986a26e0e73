"""One compiled function: fused loop nests as Numba source, products in blocks of registers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy
from sympy import Expr

from ..symbolic.tensors import Tensor, indices_of, is_element, tensor_of
from .clocks import Clocks
from .kernels import Body, with_batch
from .nests import (
    Clear,
    Dot,
    Finish,
    Item,
    Loop,
    Set,
    Start,
    Step,
    equations_of,
    paragraphs,
    read_anywhere,
    reads,
    written,
)
from .ops import Contraction
from .product_calls import Products
from .scalar import ScalarPrinter
from .sizes import Sizes
from .storage import Storage
from .teams import Share

INDENT = "    "
LETTERS = "ijklmnpqrsuv"


class CpuWriter:
    """Writes one function; make a new one for each.

    Parameters
    ----------
    storage : where tensors lie
    sizes : the batch size's symbol
    rows : the name of the argument whose first axis is the batch, or ""
    real : "float32" or "float64"
    products : collects what the products of the module are
    """

    def __init__(self, storage: Storage, sizes: Sizes, rows: str, real: str, products: Products) -> None:
        self.storage, self.sizes, self.rows, self.real, self.products = storage, sizes, rows, real, products
        self._letters: dict[Any, str] = {}
        self._extents: dict[Any, Expr] = {}
        self._locals: dict[Expr, str] = {}
        self._used_names: set[str] = set()
        self._views: dict[Tensor, None] = {}
        self._prelude: list[str] = []
        self._shares_rows = False
        self.printer = ScalarPrinter(self._element, self._letters, self._let)
        self._batch = "" if sizes.batch is None else storage.names.of(sizes.batch)
        if sizes.batch is not None:
            self._letters[sizes.batch] = self._batch

    def preset(self, tensor: Tensor) -> None:
        """Take `tensor`, a scalar, as computed before the function's statements."""
        self._locals[tensor] = self.storage.names.of(tensor)

    def view(self, tensor: Tensor) -> None:
        """Name the part of its buffer that `tensor` lies in, for lines that are written elsewhere."""
        self._views.setdefault(tensor)

    def body(self, shares: Sequence[Share], result: Tensor | None = None, clocks: Clocks | None = None) -> Body:
        """The function's statements for nests; it returns the scalar `result`. With `clocks`, marks stand between."""
        lines = self._paragraphs(shares, clocks)
        lines += [] if clocks is None or not lines else [clocks.end()]
        returned = "" if result is None else self._array(result) if result.rank else self._read_whole(result)
        if self._shares_rows:
            rows = f"{self._batch} * thread // threads, {self._batch} * (thread + 1) // threads"
            lines = [f"first, last = {rows}", "", *lines]
        return Body(with_batch(self._view_lines(), lines, self._batch, self.rows), tuple(lines), returned)

    def _paragraphs(self, shares: Sequence[Share], clocks: Clocks | None) -> list[str]:
        """The statements of nests, with the equations that they compute, and with waits."""
        items = [share.item for share in shares]
        lines: list[str] = []
        start = 0
        for group, equations in paragraphs(items):
            comments = [] if shares[start].inner else [f"# {equation}" for equation in equations]
            lines += [""] * bool(lines) + comments
            for place, item in enumerate(group, start):
                lines += [] if clocks is None else [clocks.mark(equations_of(item))]
                lines += ["wait(gate, threads)"] * shares[place].waits
                if isinstance(item, Loop) and shares[place].inner:
                    written = self._segments(item, shares[place])
                else:
                    written = self._item(item, items[place + 1 :])
                if shares[place].kind == "first":
                    written = ["if thread == 0:", *(INDENT + line for line in written)]
                lines += written
            start += len(group)
        return lines

    def _segments(self, loop: Loop, share: Share) -> list[str]:
        """A loop over segments of time."""
        around = dict(self._locals)
        self._letters[loop.index] = letter = self._letter(loop.index)
        lines = [f"for {letter} in {self._range(loop)}:", f"{INDENT}# A segment of time."]
        lines += [INDENT + line if line else "" for line in self._paragraphs(share.inner, None)]
        del self._letters[loop.index]
        self._locals = around
        return lines

    def _view_lines(self) -> tuple[str, ...]:
        """The lines that name what the function uses of the buffers."""
        order = {tensor: place for place, tensor in enumerate(self.storage.buffers)}
        used = sorted(self._views, key=lambda tensor: order[tensor])
        return tuple(dict.fromkeys(self._view(tensor) for tensor in used))

    # ---- statements ----------------------------------------------------------------------------------------------

    def _item(self, item: Item, rest: Sequence[Item]) -> list[str]:
        if isinstance(item, Loop):
            return self._loop(item, rest)
        if isinstance(item, Dot):
            return self._dot(item)
        if isinstance(item, Set):
            return self._set(item, rest)
        if isinstance(item, Start):
            return self._start(item)
        if isinstance(item, Step):
            return self._step(item)
        if isinstance(item, Finish):
            return self._store(item.target, self._locals[item.target])
        if isinstance(item, Clear):
            return [f"{self._array(item.target)}[{self._cleared(item)}] = real(0)"]
        value = self.printer.text(item.value)
        return [*self._flush(), f"{self._memory(item.target)} += {value}"]

    def _loop(self, loop: Loop, rest: Sequence[Item]) -> list[str]:
        lines = [line for item in loop.before for line in self._item(item, ())]
        around = dict(self._locals)
        self._letters[loop.index] = letter = self._letter(loop.index)
        self._extents[loop.index] = loop.extent
        lines += self._invariants(loop)
        lines.append(f"for {letter} in {self._range(loop)}:")
        for place, item in enumerate(loop.body):
            lines += [INDENT + line for line in self._item(item, loop.body[place + 1 :])]
        del self._letters[loop.index]
        self._locals = around
        lines += [line for item in loop.after for line in self._item(item, rest)]
        return lines

    def _invariants(self, loop: Loop) -> list[str]:
        """Locals for what an innermost loop reads at one place: LLVM cannot know that no store in it changes that."""
        if any(isinstance(item, Loop | Dot) for item in loop.body):
            return []
        changed = set(written(loop))
        lines = []
        for element in dict.fromkeys(part for item in loop.body for part in read_anywhere(item)):
            tensor = tensor_of(element)
            if element in self._locals or tensor in changed or not tensor.rank:
                continue
            axes = zip(indices_of(element), self.sizes.shape(tensor.shape), strict=True)
            # A place that runs further than its axis is read under a guard alone.
            if all(place != loop.index and self._extents.get(place) == size for place, size in axes):
                lines.append(f"{self._local(element)} = {self._memory(element)}")
        return lines

    def _range(self, loop: Loop) -> str:
        stop = self._size(loop.extent)
        if loop.is_shared:
            return f"range({', '.join(self._part(stop))})"
        if loop.step < 0:
            return f"range({self._less_one(loop.extent)}, -1, -1)"
        if not loop.limits:
            return f"range({stop})"
        starts, stops = ["0"], [stop]
        for limit in loop.limits:
            step = limit.coeff(loop.index)
            rest = sympy.expand(limit - step * loop.index)
            text = self.printer.integer(rest if step < 0 else -rest).text
            if abs(step) == 1:
                # i ≥ -r, or i ≤ r
                (stops if step < 0 else starts).append(self.printer.integer(rest + 1).text if step < 0 else text)
            elif step < 0:
                stops.append(f"({text}) // {-step} + 1")
            else:
                starts.append(f"-(({self.printer.integer(rest).text}) // {step})")
        low = starts[0] if len(starts) == 1 else f"max({', '.join(starts)})"
        high = stops[0] if len(stops) == 1 else f"min({', '.join(stops)})"
        return f"range({low}, {high})"

    def _part(self, stop: str) -> tuple[str, str]:
        """The first and the last but one step of a loop over `stop` steps that belong to the thread."""
        if stop == self._batch:
            self._shares_rows = True
            return "first", "last"
        return f"{stop} * thread // threads", f"{stop} * (thread + 1) // threads"

    def _cleared(self, item: Clear) -> str:
        if item.axis is None:
            return ":"
        first, last = self._part(self._size(self.sizes.resolve(item.target.shape[item.axis])))
        return ":, " * item.axis + f"{first}:{last}"

    def _less_one(self, extent: Expr) -> str:
        return self.printer.integer(sympy.expand(extent - 1)).text

    def _set(self, item: Set, rest: Sequence[Item]) -> list[str]:
        value = self.printer.text(item.value)
        lines = self._flush()
        target = item.target
        is_read = any(element == target for other in rest for element in reads(other))
        if not is_read and tensor_of(target).rank:
            return [*lines, *self._store(target, value)]
        lines.append(f"{self._local(target)} = {value}")
        return lines + self._store(target, self._locals[target])

    def _store(self, target: Expr, value: str) -> list[str]:
        """The store of a finished element, if its tensor lies in memory."""
        tensor = tensor_of(target)
        if tensor not in self.storage.buffers:
            return []
        if tensor.rank:
            return [f"{self._memory(target)} = {value}"]
        buffer, place = self.storage.buffers[tensor]
        return [f"{buffer}[{self._size(place.offset)}] = {value}"]

    def _start(self, item: Start) -> list[str]:
        name = self._local(item.target)
        if item.kind == "argmax":
            return [f"{name} = 0", f"{name}_max = real(-np.inf)"]
        return [f"{name} = real({'0' if item.kind == 'sum' else '-np.inf'})"]

    def _step(self, item: Step) -> list[str]:
        name = self._locals[item.target]
        value = self.printer.text(item.value)
        lines = self._flush()
        if item.kind == "sum":
            return [*lines, f"{name} = plus({name}, {value})"]
        if item.kind == "max":
            return [*lines, f"{name} = max({name}, {value})"]
        # The first of equal ones stays: later ones are not larger.
        position = self.printer.integer(item.position).text
        if not is_element(item.value):
            value = self._let(value)
            lines = self._flush()
        lines += [f"if {value} > {name}_max:", f"{INDENT}{name}_max = {value}", f"{INDENT}{name} = {position}"]
        return lines

    def _dot(self, dot: Dot) -> list[str]:
        op = dot.op
        axis = next((axis for axis in dot.blocks.axes if axis.name == dot.shared), None)
        part = () if axis is None else self._part(self._size(axis.extent))
        product = self.products.call(
            dot, self.sizes, self._batch, self._array, lambda place: self.printer.integer(place).text, part
        )
        if not op.when:
            return [product]
        condition = " and ".join(f"{self.printer.integer(guard.args[0]).text} >= 0" for guard in op.when)
        cleared = f"{self._filled(op.target, op)}[{':'.join(part) or ':'}] = real(0)"
        return [f"if {condition}:", INDENT + product, "else:", INDENT + cleared]

    def _filled(self, element: Expr, op: Contraction) -> str:
        """The part of an array that one product fills."""
        where = indices_of(element)
        own = {*op.rows, *op.columns, *op.bound}
        lead = next((place for place, index in enumerate(where) if index in own), len(where))
        name = self._array(tensor_of(element))
        return f"{name}[{', '.join(self.printer.integer(place).text for place in where[:lead])}]" if lead else name

    # ---- names -----------------------------------------------------------------------------------------------------

    def _element(self, element: Expr) -> str:
        if element in self._locals:
            return self._locals[element]
        tensor = tensor_of(element)
        if tensor.rank:
            return self._memory(element)
        return self._read_whole(tensor)

    def _read_whole(self, tensor: Tensor) -> str:
        """A scalar: a local variable, a number in a buffer, or an argument, which is an array without axes."""
        if tensor in self._locals:
            return self._locals[tensor]
        name = self.storage.names.of(tensor)
        if tensor in self.storage.buffers:
            self._views.setdefault(tensor)
            return name
        return f"{name}[()]"

    def _memory(self, element: Expr) -> str:
        places = ", ".join(self.printer.integer(place).text for place in indices_of(element))
        return f"{self._array(tensor_of(element))}[{places}]"

    def _array(self, tensor: Tensor) -> str:
        if tensor in self.storage.buffers:
            self._views.setdefault(tensor)
        return self.storage.names.of(tensor)

    def _local(self, target: Expr) -> str:
        """A new local variable for an element: its name is the tensor's with the letters of the indices."""
        tensor = tensor_of(target)
        if target not in self._locals:
            name = self.storage.names.of(tensor)
            if tensor.rank:
                letters = "".join(map(self._letters_of, indices_of(target)))
                name = self._unused(f"{name}_{letters}")
            self._locals[target] = name
        return self._locals[target]

    def _letters_of(self, place: Expr) -> str:
        if place in self._letters or not place.args:
            return self._letters.get(place, str(place))
        return "".join(self._letters.get(part, "") for part in sorted(place.free_symbols, key=str))

    def _let(self, text: str) -> str:
        """A local variable for a value that is used twice, assigned before the statement."""
        known = {line.split(" = ", 1)[1]: line.split(" = ", 1)[0] for line in self._prelude}
        if text not in known:
            known[text] = self.storage.names.free("t", {*known.values(), *self._letters.values()})
            self._prelude.append(f"{known[text]} = {text}")
        return known[text]

    def _flush(self) -> list[str]:
        lines, self._prelude = self._prelude, []
        return lines

    def _unused(self, name: str) -> str:
        name = self.storage.names.free(name, self._used_names)
        self._used_names.add(name)
        return name

    def _letter(self, index: Any) -> str:
        used = set(self._letters.values())
        wanted = [index.name, *LETTERS]
        return next((name for name in wanted if self.storage.names.free(name, used) == name), None) or (
            self.storage.names.free(index.name, used)
        )

    def _size(self, size: Any) -> str:
        return self.printer.size(size)

    # ---- views -----------------------------------------------------------------------------------------------------

    def _view(self, tensor: Tensor) -> str:
        buffer, place = self.storage.buffers[tensor]
        name = self.storage.names.of(tensor)
        text = self.printer.size
        if not tensor.rank:
            value = f"{buffer}[{text(place.offset)}]"
            return f"{name} = int({value})" if tensor.classes is not None else f"{name} = {value}"
        view = f"{buffer}[{text(place.offset)}:{text(place.end)}]"
        if tensor.classes is not None:
            view += f".view(np.{'int32' if self.real == 'float32' else 'int64'})"
        if tensor.rank > 1:
            view += f".reshape({', '.join(text(size) for size in place.shape)})"
        return f"{name} = {view}"
