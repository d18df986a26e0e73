"""The names of what one function of a CUDA module reads and writes: locals, loop indices, places in buffers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from sympy import Expr, Integer, expand

from ...symbolic.tensors import Tensor, indices_of, tensor_of
from ..names import Names
from ..sizes import Sizes
from ..strides import row_major
from .places import Places
from .printer import CudaPrinter

WHO = {
    "thread": "cuda.grid(1)",
    "threads": "cuda.gridsize(1)",
    "block": "cuda.blockIdx.x",
    "blocks": "cuda.gridDim.x",
    "lane": "cuda.threadIdx.x",
    "lanes": "cuda.blockDim.x",
}


class CudaNames:
    """How a function calls its tensors, their elements and its loops.

    Parameters
    ----------
    data : the names of the data
    places : tensor → buffer and place there, of what lies in one; data are arguments, all else is a thread's own
    names : identifiers
    """

    def __init__(self, places: Places, names: Names, sizes: Sizes, data: Sequence[str] = ()) -> None:
        self.places, self.names, self.sizes, self.data = places, names, sizes, data
        self.letters: dict[Any, str] = {}
        self.locals: dict[Expr, str] = {}
        self.scalars: dict[Expr, str] = {}  # what every thread has made for itself
        self._used: set[str] = {*WHO, "stage", "scratch", "gate"}
        # Numba gives a variable one type in all of a function: what was whole once stays so.
        self._whole: set[str] = set()
        self._real: set[str] = set()
        self._starts: dict[Tensor, str] = {}
        self._asked: set[Tensor] = set()  # those that the phase uses that is being written
        self._prelude: list[str] = []
        self.printer = CudaPrinter(self.element, self.letters, self._let)
        self._batch = [] if sizes.batch is None else [names.of(sizes.batch)]
        if sizes.batch is not None:
            self.letters[sizes.batch] = names.of(sizes.batch)

    def arguments(self) -> list[str]:
        """What every function may be handed: buffers, data, the batch size."""
        return [*dict.fromkeys(buffer for buffer, _ in self.places.values()), *self.data, *self._batch]

    def preset(self, tensor: Tensor) -> str:
        """Take `tensor`, a scalar, as computed before the function's statements; its name."""
        self.locals[tensor] = self.names.of(tensor)
        return self.locals[tensor]

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

    def factor(self, size: Expr) -> str:
        """The same as a factor of a product."""
        text = self.size(size)
        return text if text.isidentifier() or text.isdigit() else f"({text})"

    # ---- where tensors begin ---------------------------------------------------------------------------------------

    def start_of(self, tensor: Tensor) -> str:
        """The variable that says where a tensor begins in its buffer."""
        if tensor not in self._starts:
            self._starts[tensor] = self.fresh(f"{self.names.of(tensor)}_at")
        self._asked.add(tensor)
        return self._starts[tensor]

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


def who_lines(lines: Sequence[str]) -> list[str]:
    """Who the thread is, as far as the statements ask."""
    return [
        f"{name} = {value}" for name, value in WHO.items() if any(re.search(rf"\b{name}\b", line) for line in lines)
    ]
