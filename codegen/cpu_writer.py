"""One compiled function: fused loop nests as Numba source, products in blocks of registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy
from sympy import Expr

from ..symbolic.tensors import Tensor, indices_of, is_element, tensor_of
from .blocks import LANES
from .clocks import Clocks
from .cpu_ranges import CpuRanges, is_shared, part_of
from .flat_loops import Run, run_of
from .kernels import Body, with_batch
from .lane_loops import are_straight, fills_lanes
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
from .sizes import Sizes
from .storage import Storage
from .team_shares import Share

INDENT = "    "


class CpuWriter(CpuRanges):
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
        super().__init__(storage, sizes, real)
        self.rows, self.products = rows, products
        self._stores: list[str] = []  # what waits for the end of the body of a loop over lanes

    def body(
        self,
        shares: Sequence[Share],
        result: Tensor | None = None,
        clocks: Clocks | None = None,
        finished: Mapping[int, Sequence[str]] | None = None,
    ) -> Body:
        """The function's statements for nests; it returns the scalar `result`. With `clocks`, marks stand between.

        `finished` names the gradients that are announced after a nest, by its number.
        """
        lines = self._paragraphs(shares, clocks, finished or {})
        lines += [] if clocks is None or not lines else [clocks.end()]
        if result is not None and self._is_of_one(result) and shares:
            lines.append("wait(gate, threads)")
        returned = "" if result is None else self._array(result) if result.rank else self._read_whole(result)
        if self._shares_rows:
            lines = [f"first, last = {', '.join(part_of(self._batch))}", "", *lines]
        return Body(with_batch(self._view_lines(), lines, self._batch, self.rows), tuple(lines), returned)

    def copies(self, tensors: Sequence[Tensor]) -> Body:
        """A function that returns tensors, those with axes in arrays of their own."""
        found = [f"{self._array(tensor)}.copy()" if tensor.rank else self._read_whole(tensor) for tensor in tensors]
        return Body(with_batch(self._view_lines(), [], self._batch, self.rows), (), ", ".join(found))

    def _paragraphs(
        self, shares: Sequence[Share], clocks: Clocks | None, finished: Mapping[int, Sequence[str]]
    ) -> list[str]:
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
                if place in finished:
                    lines.append(f"announce(pipes, {[*finished].index(place)})  # {', '.join(finished[place])}")
            start += len(group)
        return lines

    def _segments(self, loop: Loop, share: Share) -> list[str]:
        """A loop over segments of time."""
        around = dict(self._locals)
        self._letters[loop.index] = letter = self._letter(loop.index)
        lines = [f"for {letter} in {self._range(loop)}:", f"{INDENT}# A segment of time."]
        lines += [INDENT + line if line else "" for line in self._paragraphs(share.inner, None, {})]
        del self._letters[loop.index]
        self._locals = around
        return lines

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
            body += written if is_shared(item) else ["if mate == 0:", *(INDENT + line for line in written)]
        self._team = "thread", "threads"
        del self._letters[loop.index]
        return lines + [INDENT + line for line in body]

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
        part = self._part_of_product(dot)
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
