"""The names of what one compiled function reads and writes: locals, loop indices, views of buffers."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Expr

from ..symbolic.ranges import bounds, is_never_negative
from ..symbolic.tensors import Tensor, elements, indices_of, tensor_of
from .flat_loops import flat_places
from .kernels import tuple_text
from .lane_loops import in_last_place
from .scalar import ScalarPrinter
from .sizes import Sizes
from .storage import Storage

LETTERS = "ijklmnpqrsuv"


class CpuNames:
    """How a function calls its tensors, their elements and its loops.

    Parameters
    ----------
    storage : where tensors lie
    sizes : the batch size's symbol
    real : "float32" or "float64"
    """

    def __init__(self, storage: Storage, sizes: Sizes, real: str) -> None:
        self.storage, self.sizes, self.real = storage, sizes, real
        self._letters: dict[Any, str] = {}
        self._extents: dict[Any, Expr] = {}
        self._locals: dict[Expr, str] = {}
        self._used_names: set[str] = set()
        self._views: dict[Tensor, None] = {}
        self._prelude: list[str] = []
        self._runs: dict[Any, tuple[Any, ...]] = {}  # the first index of loops that are written as one → all of theirs
        self._across: Any = None  # the index whose steps are lanes
        self._flat_views: dict[tuple[str, tuple[Expr, ...]], str] = {}  # array, shape → name of a view
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

    def _view_lines(self) -> tuple[str, ...]:
        """The lines that name what the function uses of the buffers."""
        order = {tensor: place for place, tensor in enumerate(self.storage.buffers)}
        used = sorted(self._views, key=lambda tensor: order[tensor])
        lines = [self._view(tensor) for tensor in used]
        for (name, shape), flat in self._flat_views.items():
            lines.append(f"{flat} = {name}.reshape({', '.join(map(self._size, shape))})")
        return tuple(dict.fromkeys(lines))
