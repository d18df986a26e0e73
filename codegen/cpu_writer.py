"""One compiled function: fused loop nests as Numba source, products in blocks of registers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy
from sympy import Expr

from ..symbolic.ranges import bounds, is_never_negative
from ..symbolic.tensors import Tensor, elements, indices_of, is_element, tensor_of
from .blocks import LANES
from .clocks import Clocks
from .flat_loops import Run, flat_places, run_of
from .kernels import Body, tuple_text, with_batch
from .lane_loops import are_straight, fills_lanes, in_last_place
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
from .teams import STRIP, Share

INDENT = "    "
LETTERS = "ijklmnpqrsuv"
SHORT = 16  # steps that are not shared evenly enough


def part_of(stop: str, thread: str = "thread", threads: str = "threads") -> tuple[str, str]:
    """The first and the last but one of `stop` steps that belong to the thread, as source."""
    return f"begin({stop}, {thread}, {threads})", f"begin({stop}, {thread} + 1, {threads})"


def turned_part_of(stop: str, thread: str, threads: str) -> tuple[str, str]:
    """The same, but the threads count from the last: where parts differ, others have the larger ones."""
    return f"begin({stop}, {threads} - 1 - {thread}, {threads})", f"begin({stop}, {threads} - {thread}, {threads})"


def strips(stop: int, thread: str, threads: str) -> tuple[str, str]:
    """The same where parts begin at multiples of whole vectors."""
    if stop < 2 * STRIP:
        return part_of(str(stop), thread, threads)
    first, last = (f"{STRIP} * {place}" for place in part_of(str(-(-stop // STRIP)), thread, threads))
    return first, last if stop % STRIP == 0 else f"min({last}, {stop})"


class CpuWriter:
    """Writes one function; make a new one for each.

    Parameters
    ----------
    storage : where tensors lie
    sizes : the batch size's symbol
    rows : what the batch size is, as source, or ""
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
        self._runs: dict[Any, tuple[Any, ...]] = {}  # the first index of loops that are written as one → all of theirs
        self._across: Any = None  # the index whose steps are lanes
        self._stores: list[str] = []  # what waits for the end of the body of a loop over lanes
        self._flat_views: dict[tuple[str, tuple[Expr, ...]], str] = {}  # array, shape → name of a view
        self._shares_rows = self._turns = False
        self._team = "thread", "threads"  # the thread's number among those that share a nest, and how many they are
        self.printer = ScalarPrinter(self._element, self._letters, self._let, is_there=self._is_there)
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
        if result is not None and self._is_of_one(result) and shares:
            lines.append("wait(gate, threads)")
        returned = "" if result is None else self._array(result) if result.rank else self._read_whole(result)
        if self._shares_rows:
            lines = [f"first, last = {', '.join(part_of(self._batch))}", "", *lines]
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
                    self._locals = {key: name for key, name in self._locals.items() if not self._is_of_one(key)}
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
        lines = [self._view(tensor) for tensor in used]
        for (name, shape), flat in self._flat_views.items():
            lines.append(f"{flat} = {name}.reshape({', '.join(map(self._size, shape))})")
        return tuple(dict.fromkeys(lines))

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
            return self._in_order(self._store(item.target, self._locals[item.target]))
        if isinstance(item, Clear):
            part = self._cleared(item)
            if item.half is not None:
                part = f"{self._letters[item.half]}, {part.removeprefix(':, ')}"
            return [f"{self._array(item.target)}[{part}] = real(0)"]
        value = self.printer.text(item.value)
        return [*self._flush(), f"{self._memory(item.target)} += {value}"]

    def _loop(self, loop: Loop, rest: Sequence[Item]) -> list[str]:
        if loop.of_halves:
            return self._halves(loop)
        lines = [line for item in loop.before for line in self._item(item, ())]
        around = dict(self._locals)
        run = run_of(loop, self._axes)
        if run is not None:
            return [*lines, *self._run(run), *(line for item in loop.after for line in self._item(item, rest))]
        self._letters[loop.index] = letter = self._letter(loop.index)
        self._extents[loop.index] = loop.extent
        lines += self._invariants(loop)
        self._across = loop.index if fills_lanes(loop, self._axes, LANES[self.real]) else None
        body = [line for place, item in enumerate(loop.body) for line in self._item(item, loop.body[place + 1 :])]
        body += self._stores
        self._stores = []
        if self._across is not None and are_straight(body):
            lanes = "LANES32" if self.real == "float32" else "LANES64"
            lines.append(f"for start in range(0, {loop.extent}, {lanes}):")
            body.insert(0, f"{letter} = in_lanes(start, {loop.extent})")
        else:
            lines.append(f"for {letter} in {self._range(loop)}:")
        lines += [INDENT + line for line in body]
        self._across = None
        del self._letters[loop.index]
        self._locals = around
        lines += [line for item in loop.after for line in self._item(item, rest)]
        return lines

    def _halves(self, loop: Loop) -> list[str]:
        """A loop over the halves of the batch, each of which some threads share."""
        self._letters[loop.index] = letter = self._letter(loop.index)
        self._team = "mate", "mates"
        lines = ["low, high = halves(thread, threads)", f"for {letter} in range(low, high):"]
        body = [f"mate, mates = of_half({letter}, thread, threads)"]
        for place, item in enumerate(loop.body):
            around = dict(self._locals)
            written = self._item(item, loop.body[place + 1 :])
            self._locals = around
            body += written if _is_shared(item) else ["if mate == 0:", *(INDENT + line for line in written)]
        self._team = "thread", "threads"
        del self._letters[loop.index]
        return lines + [INDENT + line for line in body]

    def _rows_of(self, half: Any) -> tuple[str, str]:
        """The first and the last but one row of a half of the batch."""
        letter = self._letters[half]
        return f"begin({self._batch}, {letter}, 2)", f"begin({self._batch}, {letter} + 1, 2)"

    def _run(self, run: Run) -> list[str]:
        """One loop in the place of a few."""
        around, body = dict(self._locals), run.inner.body
        self._extents |= dict(zip(run.indices, run.extents, strict=True))
        letter = self._letter(run.indices[-1])
        self._letters |= dict.fromkeys(run.indices, "") | {run.indices[0]: letter}
        self._runs[run.indices[0]] = run.indices
        lines = [*self._invariants(run.inner), f"for {letter} in range({self._size(sympy.prod(run.extents))}):"]
        for place, item in enumerate(body):
            lines += [INDENT + line for line in self._item(item, body[place + 1 :])]
        for index in run.indices:
            del self._letters[index]
        del self._runs[run.indices[0]]
        self._locals = around
        return lines

    def _axes(self, tensor: Tensor) -> tuple[Expr, ...] | None:
        """The axes of a tensor that lies in a buffer."""
        return self.sizes.shape(tensor.shape) if tensor in self.storage.buffers else None

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
            if all(self._is_fixed(place, loop) and self._extents.get(place) == size for place, size in axes):
                lines.append(f"{self._local(element)} = {self._memory(element)}")
        return lines

    def _is_fixed(self, place: Any, loop: Loop) -> bool:
        """Whether a place is the same at every step of a loop, or of the run that it is the last of."""
        return place != loop.index and not any(place in run and loop.index in run for run in self._runs.values())

    def _range(self, loop: Loop) -> str:
        stop = self._size(loop.extent)
        if loop.is_shared:
            return f"range({', '.join(self._part(stop))})"
        if loop.half is not None:
            return f"range({', '.join(self._rows_of(loop.half))})"
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
        return part_of(stop, *self._team)

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
        if not is_read and tensor_of(target).rank and not self._may_wait(target, rest):
            return [*lines, *self._in_order(self._store(target, value))]
        lines.append(f"{self._local(target)} = {value}")
        stores = self._store(target, self._locals[target])
        if self._may_wait(target, rest):
            self._stores += stores
            return lines
        return lines + self._in_order(stores)

    def _in_order(self, stores: list[str]) -> list[str]:
        """Stores behind those that wait: one may lie in the place of another."""
        waiting, self._stores = self._stores, []
        return waiting + stores

    def _may_wait(self, target: Expr, rest: Sequence[Item]) -> bool:
        """Whether a store comes behind the statements that follow: reading what was just stored in part takes long."""
        others = {e for item in rest for e in reads(item) if e != target}
        return self._across is not None and bool(rest) and tensor_of(target) not in set(map(tensor_of, others))

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
            return [f"{name} = {self._whole('0')}", f"{name}_max = real(-np.inf)"]
        return [f"{name} = real({'0' if item.kind == 'sum' else '-np.inf'})"]

    def _step(self, item: Step) -> list[str]:
        name = self._locals[item.target]
        value = self.printer.text(item.value)
        lines = self._flush()
        if item.kind == "sum":
            return [*lines, f"{name} = plus({name}, {value})"]
        if item.kind == "max":
            return [*lines, f"{name} = larger({name}, {value})"]
        # The first of equal ones stays: later ones are not larger.
        position = self.printer.integer(item.position).text
        if not is_element(item.value):
            value = self._let(value)
            lines = self._flush()
        found = f"{value} > {name}_max"
        lines.append(f"{name} = where({found}, {self._whole(position)}, {name})")
        lines.append(f"{name}_max = where({found}, {value}, {name}_max)")
        return lines

    def _whole(self, text: str) -> str:
        """A whole number as wide as a real one, so that as many of both fit into a vector."""
        return f"np.{'int32' if self.real == 'float32' else 'int64'}({text})"

    def _dot(self, dot: Dot) -> list[str]:
        op = dot.op
        axis = next((axis for axis in dot.blocks.axes if axis.name == dot.shared), None)
        if axis is None:
            part: tuple[str, ...] = ()
        elif axis.name == dot.blocks.vector and axis.extent.is_Integer:
            part = strips(int(axis.extent), *self._team)
        elif axis.extent.is_Integer and axis.extent < SHORT:
            # Threads take turns in having one step more.
            self._turns = not self._turns
            part = (part_of if self._turns else turned_part_of)(str(axis.extent), *self._team)
        else:
            part = self._part(self._size(axis.extent))
        if dot.half is not None:
            part = (*self._rows_of(dot.half), *part)
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

    def _is_there(self, element: Expr) -> bool:
        """Whether an element can be read at every point of the loops around."""
        if element in self._locals:
            return True
        for place, size in zip(indices_of(element), self.sizes.shape(tensor_of(element).shape), strict=True):
            span = None if elements(place) else bounds(place, self._extents)
            if span is None or not (is_never_negative(span[0]) and is_never_negative(size - 1 - span[1])):
                return False
        return True

    def _read_whole(self, tensor: Tensor) -> str:
        """A scalar: a local variable, a number in a buffer, or an argument, which is an array without axes."""
        if tensor in self._locals:
            return self._locals[tensor]
        name = self.storage.names.of(tensor)
        if self._is_of_one(tensor):
            buffer, place = self.storage.buffers[tensor]
            value = f"{buffer}[{self._size(place.offset)}]"
            return f"int({value})" if tensor.classes is not None else value
        if tensor in self.storage.buffers:
            self._views.setdefault(tensor)
            return name
        return f"{name}[()]"

    def _is_of_one(self, element: Any) -> bool:
        return element in self.storage.of_one

    def _memory(self, element: Expr) -> str:
        name = self._array(tensor_of(element))
        if self._across is not None and any(place.has(self._across) for place in indices_of(element)):
            axes = self.sizes.shape(tensor_of(element).shape)
            found = in_last_place(element, self._across, axes)
            if found is not None and len(found) < len(axes):
                name = self._flat(tensor_of(element), (*[1] * (len(found) - 1), len(axes) - len(found) + 1))
                return f"{name}[{', '.join(self.printer.integer(place).text for place in found)}]"
        places = flat_places(element, self._runs)
        if any(len(run) > 1 for run in places):
            name = self._flat(tensor_of(element), tuple(map(len, places)))
        return f"{name}[{', '.join(self.printer.integer(run[0]).text for run in places)}]"

    def _flat(self, tensor: Tensor, runs: tuple[int, ...]) -> str:
        """The name of an array with fewer axes, of each as many in one as `runs` says."""
        name = self.storage.names.of(tensor)
        axes = self.sizes.shape(tensor.shape)
        shape = tuple(sympy.prod(axes[sum(runs[:at]) : sum(runs[: at + 1])]) for at in range(len(runs)))
        if (name, shape) not in self._flat_views:
            self._flat_views[name, shape] = self._unused(f"{name}_flat")
        return self._flat_views[name, shape]

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
        sizes = [text(size) for size in place.shape]
        if tensor.classes is None:
            return f"{name} = view({buffer}, {text(place.offset)}, {tuple_text(sizes)})"
        kind = "int32" if self.real == "float32" else "int64"
        view = f"{buffer}[{text(place.offset)}:{text(place.end)}].view(np.{kind})"
        return f"{name} = {view}.reshape({', '.join(sizes)})" if tensor.rank > 1 else f"{name} = {view}"


def _is_shared(item: Item) -> bool:
    """Whether threads share what a nest computes, not all of it being one's."""
    if isinstance(item, Loop):
        return item.is_shared or any(_is_shared(part) for part in item.body)
    return isinstance(item, Dot) and item.shared != ""
