"""The bodies of the NumPy functions: one statement per equation where the op allows, contractions as ``@``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy
from sympy import Expr

from ..symbolic.tensors import Tensor, indices_of, is_element, tensor_of
from .kernels import Body, tuple_text, with_batch
from .layout import Place
from .loops import loop_order
from .names import Names
from .ops import Contraction, Op, Pointwise, Reduction, Scan, is_plain
from .printers import ATOM, PRODUCT, Text
from .sizes import Sizes
from .vector import VectorPrinter

Buffers = Mapping[Tensor, tuple[str, Place]]


class NumpyWriter:
    """Writes one function; make a new one for each.

    Parameters
    ----------
    buffers : the tensors that lie in `params`, `grads` or `state`
    kept : the tensors that functions hand on in the dict `work`
    temporaries : tensors that may be written into the expression that reads them
    rows : the name of the argument whose first axis is the batch, or ""
    used : collects the names of the functions to import from scipy.special
    copied : tensors that must be arrays of their own, even where they are equal to another
    """

    def __init__(
        self,
        names: Names,
        sizes: Sizes,
        buffers: Buffers,
        kept: Sequence[Tensor] = (),
        temporaries: Mapping[Tensor, Tensor] | None = None,
        rows: str = "",
        used: dict[str, None] | None = None,
        copied: Sequence[Tensor] = (),
    ) -> None:
        self.names, self.sizes, self.buffers, self.kept, self.rows = names, sizes, buffers, kept, rows
        self.temporaries = temporaries or {}
        self.used = {} if used is None else used
        self.copied = copied
        self._batch = "" if sizes.batch is None else names.of(sizes.batch)
        self._sizes = {} if sizes.batch is None else {sizes.batch: self._batch}
        self._inline: dict[Tensor, Text] = {}
        self._loops: dict[Any, Expr] = {}
        self._made: dict[Tensor, None] = {}
        self._read: dict[Tensor, None] = {}

    def body(self, steps: Sequence[Op | Scan], result: Tensor | None = None) -> Body:
        """The function's statements for `steps`; it returns the tensor `result`."""
        lines: list[str] = []
        seen: set[int] = set()
        inlined = self._inlined(steps)
        for step in steps:
            ops = step.ops if isinstance(step, Scan) else (step,)
            for equation in {id(op.equation): op.equation for op in ops if op.tensor not in inlined}.values():
                if id(equation) not in seen:
                    lines += [""] * bool(lines and not lines[-1].startswith("#")) + [f"# {equation}"]
                    seen.add(id(equation))
            if isinstance(step, Scan):
                lines += self._scan(step)
            elif step.tensor in inlined:
                self._inline[step.tensor] = self._value(step)
            else:
                lines += self._assign(step)
        handed = [tensor for tensor in self._made if tensor in self.kept]
        for tensor in handed:
            lines.append(f'work["{self.names.of(tensor)}"] = {self.names.of(tensor)}')
        returned = "" if result is None else self._array(result).text
        if result is not None and result not in self._made and result not in self.buffers and result not in self.kept:
            self._read.setdefault(result)
        return Body(with_batch(self._views(), lines, self._batch, self.rows), tuple(lines), returned)

    def outputs(self, tensors: Sequence[Tensor]) -> Body:
        """A function that returns tensors, which others have made."""
        found = []
        for tensor in tensors:
            found.append(self._array(tensor).text)
            if tensor not in self.buffers and tensor not in self.kept:
                self._read.setdefault(tensor)
        return Body(with_batch(self._views(), [], self._batch, self.rows), (), ", ".join(found))

    def size(self, size: Any) -> str:
        return self._printer({}).size(size)

    # ---- statements ------------------------------------------------------------------------------------------------

    def _inlined(self, steps: Sequence[Op | Scan]) -> set[Tensor]:
        """The temporaries that stand once, in an expression: they are written there."""
        stands: dict[Tensor, int] = {}
        barred: set[Tensor] = set(self.kept)
        for step in steps:
            ops = step.ops if isinstance(step, Scan) else (step,)
            for op in ops:
                factors = (op.left, op.right) if isinstance(op, Contraction) else (op.body, *indices_of(op.target))
                if isinstance(op, Reduction) and op.is_scatter:
                    barred.add(op.tensor)
                for expression in factors:
                    for node in sympy.preorder_traversal(expression):
                        if not is_element(node) or tensor_of(node) not in self.temporaries:
                            continue
                        tensor = tensor_of(node)
                        stands[tensor] = stands.get(tensor, 0) + 1
                        if isinstance(op, Contraction) or not is_plain(node) or isinstance(step, Scan):
                            barred.add(tensor)
        made_in_steps = {op.tensor for step in steps if isinstance(step, Scan) for op in step.ops}
        return {tensor for tensor, count in stands.items() if count == 1} - barred - made_in_steps

    def _scan(self, scan: Scan) -> list[str]:
        """A loop over time, which fills the arrays of its tensors step by step."""
        time, length = scan.time.name, self.size(scan.length)
        lines = []
        for op in scan.ops:
            if op.tensor not in self.buffers:
                kind = "np.intp" if op.tensor.classes is not None else "real"
                lines.append(f"{self.names.of(op.tensor)} = np.empty({self._shape(op.tensor)}, {kind})")
                self._made.setdefault(op.tensor)
        steps = f"range({length})" if scan.step > 0 else f"range({self.size(scan.length - 1)}, -1, -1)"
        lines.append(f"for {time} in {steps}:")
        self._loops = {scan.time: scan.length}
        for op in scan.ops:
            places = [":" if place != scan.time else time for place in indices_of(op.target)]
            while places[-1] == ":":
                places.pop()
            target = f"{self.names.of(op.tensor)}[{', '.join(places)}]"
            when = op.when if isinstance(op, Contraction) else ()
            value = self._value(op).text
            if when:
                printer = self._printer({})
                condition = " and ".join(f"{printer.integer(guard.args[0]).text} >= 0" for guard in when)
                lines += [f"    if {condition}:", f"        {target} = {value}", "    else:", f"        {target} = 0"]
            else:
                lines.append(f"    {target} = {value}")
        self._loops = {}
        return lines

    def _assign(self, op: Op) -> list[str]:
        tensor, name = op.tensor, self.names.of(op.tensor)
        self._made.setdefault(tensor)
        if isinstance(op, Reduction) and op.is_scatter:
            return self._scatter(op)
        text = self._value(op).text
        if tensor not in self.buffers:
            missing = [index for index in op.free if not op.body.has(index)]
            if missing:
                text = f"np.broadcast_to({text}, {self._shape(tensor)})"
            return [f"{name} = np.array({text})" if tensor in self.copied else f"{name} = {text}"]
        buffer, place = self.buffers[tensor]
        if tensor.rank:
            self._read.setdefault(tensor)
            return [f"{name}[...] = {text}"]
        return [f"{name} = {text}", f"{buffer}[{self.size(place.offset)}] = {name}"]

    def _scatter(self, op: Reduction) -> list[str]:
        name = self.names.of(op.tensor)
        printer = self._printer(dict(op.space))
        places = [printer.integer(place).text for place in indices_of(op.target)]
        if not all(any(place.has(index) for place in indices_of(op.target)) for index, _ in op.space):
            # Summed over an index that says nothing of where: np.add.at wants the places spread along it too.
            shape = "".join(f"{self.size(size)}, " for _, size in op.space).rstrip()
            places[0] = f"np.broadcast_to({places[0]}, ({shape}))"
        if op.tensor in self.buffers:
            self._read.setdefault(op.tensor)
            start = f"{name}[...] = 0"
        else:
            start = f"{name} = np.zeros({self._shape(op.tensor)}, real)"
        return [start, f"np.add.at({name}, ({', '.join(places)},), {printer.text(op.body)})"]

    def _value(self, op: Op) -> Text:
        """What an op makes, as an array with the axes of its target."""
        if isinstance(op, Contraction):
            return self._product(op)
        if isinstance(op, Pointwise):
            return self._printer(dict(op.space)).print(op.body)
        assert isinstance(op, Reduction)
        extents = dict(op.space)
        order = loop_order(op, self.sizes.batch)
        if [index for index in order if index in op.free] != list(op.free):
            order = [*op.free, *op.bound]  # the axes that are left must be those of the target, in its order
        text = self._printer({index: extents[index] for index in order}).text(op.body)
        axes = tuple(place for place, index in enumerate(order) if index in op.bound)
        if op.kind == "argmax" and len(axes) > 1 and op.free:
            flat = ", ".join([*(self.size(extents[index]) for index in op.free), "-1"])
            return Text(f"np.argmax(({text}).reshape({flat}), axis=-1)")
        axis = "" if len(axes) == len(order) else f", axis={axes[0] if len(axes) == 1 else axes}"
        return Text(f"np.{op.kind}({text}{axis})")

    def _product(self, op: Contraction) -> Text:
        if max(len(op.rows), len(op.columns), len(op.bound)) > 1:
            letters = {index: "abcdefghijklmnopqrstuvwxyz"[place] for place, (index, _) in enumerate(op.space)}
            left, right, out = (
                "".join(letters[i] for i in indices_of(e) if i in letters) for e in (op.left, op.right, op.target)
            )
            names = ", ".join(self._step_of(element).text for element in (op.left, op.right))
            return Text(f'np.einsum("{left},{right}->{out}", {names}, optimize=True)')
        left = self._side(op.left, op, (*op.rows, *op.bound))
        right = self._side(op.right, op, (*op.bound, *op.columns))
        return Text(f"{left} @ {right}", PRODUCT)

    def _step_of(self, element: Expr) -> Text:
        """An array, or its part at the step of time that the loop is at."""
        text = self._array(tensor_of(element))
        where = indices_of(element)
        if not (self._loops and where and any(where[0].has(time) for time in self._loops)):
            return text
        return Text(f"{text.within(ATOM)}[{self._printer({}).integer(where[0]).text}]")

    def _side(self, element: Expr, op: Contraction, where: Sequence[Any]) -> str:
        name = self._step_of(element).within(ATOM)
        if indices_of(element)[-len(where) :] == tuple(where):
            return name
        return f"{name}.swapaxes(-1, -2)" if op.batch else f"{name}.T"

    # ---- names -----------------------------------------------------------------------------------------------------

    def _printer(self, space: Any) -> VectorPrinter:
        return VectorPrinter(space, self._array, self._sizes, self.used, self._loops, self.sizes.numbers)

    def _array(self, tensor: Tensor) -> Text:
        if tensor in self._inline:
            return self._inline[tensor]
        name = self.names.of(tensor)
        if tensor not in self._made and (tensor in self.buffers or tensor in self.kept):
            self._read.setdefault(tensor)
        if tensor.rank == 0 and tensor.role in ("input", "target", "noise"):
            return Text(f"{name}[()]")
        return Text(name)

    def _shape(self, tensor: Tensor) -> str:
        return tuple_text([self.size(size) for size in self.sizes.shape(tensor.shape)])

    def _views(self) -> tuple[str, ...]:
        order = {tensor: place for place, tensor in enumerate([*self.buffers, *self.kept])}
        return tuple(self._view(tensor) for tensor in sorted(self._read, key=lambda tensor: order[tensor]))

    def _view(self, tensor: Tensor) -> str:
        name = self.names.of(tensor)
        if tensor not in self.buffers:
            return f'{name} = work["{name}"]'
        buffer, place = self.buffers[tensor]
        if not tensor.rank:
            return f"{name} = {buffer}[{self.size(place.offset)}]"
        view = f"{buffer}[{self.size(place.offset)}:{self.size(place.end)}]"
        shape = ", ".join(self.size(size) for size in place.shape)
        return f"{name} = {view}.reshape({shape})" if tensor.rank > 1 else f"{name} = {view}"
