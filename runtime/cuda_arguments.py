"""`KernelCalls`: launches of a generated CUDA module's kernels, whose arguments go by their names.

What lies on the host is copied to memory that is made once for each argument; a `DeviceArray` is taken where it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial, wraps
from threading import RLock
from types import ModuleType
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..symbolic.errors import DataError, GradloomError, SizeError
from .cuda_host import kinds_of
from .device_arrays import DeviceArray

Array = NDArray[Any]
ALIGNMENT = 16  # bytes
MOST = 2**31 - 1  # what kernels count with
Given = ParamSpec("Given")
Result = TypeVar("Result")


def alone(method: Callable[Concatenate[Any, Given], Result]) -> Callable[Concatenate[Any, Given], Result]:
    """A method that one thread at a time is in, by the object's lock `turn`."""

    @wraps(method)
    def made(self: Any, /, *arguments: Given.args, **named: Given.kwargs) -> Result:
        with self.turn:
            return method(self, *arguments, **named)

    return made


class KernelCalls:
    """The kernels of one generated module on one device.

    Attributes
    ----------
    device : where they run
    """

    def __init__(self, module: ModuleType, device: Any, dtype: Any) -> None:
        self._module, self.device, self._dtype = module, device, np.dtype(dtype)
        self.turn = RLock()  # threads share the buffers of arguments
        self._kernels: dict[str, Any] = {}
        self._names: dict[str, list[str]] = {}  # of each kernel's arguments
        self._last: dict[str, tuple[Any, ...]] = {}  # what each kernel was launched with
        self._buffers: dict[str, Any] = {}  # of each argument, as the next launch takes it
        self._rooms: dict[str, Any] = {}  # those that were made here
        self._gate = device.buffer(1, np.int32)
        device.clear(self._gate)
        if hasattr(module, "TABLES"):
            self._put("tables", module.TABLES)

    def again(self, kernel: str) -> Callable[[], None]:
        """A function that launches a kernel with the arguments of its last launch, and does nothing else."""
        return partial(self.device.launch, *self._last[kernel])

    @alone
    def forget(self) -> None:
        """Let go of what earlier calls were handed on the device."""
        self._buffers.clear()
        self._last.clear()

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """`forget`, after the kernels in here: somebody has waited for the last one, or, interrupted, does so now."""
        try:
            yield
        except BaseException:
            with suppress(GradloomError):
                self.device.let_go(self._buffers.values())
            raise
        finally:
            self.forget()

    def _rows(self, names: Sequence[str], arrays: Sequence[Array]) -> int:
        """How many rows the batch has that arguments hold."""
        pairs = zip(names, arrays, strict=True)
        return next((len(array) for name, array in pairs if name in self._module.BATCHED), 1)

    def _number(self, buffer: Any, place: int) -> float:
        found = np.empty(1, self._dtype)
        self.device.read(buffer, place, found)
        return float(found[0])

    def _put(self, name: str, array: Any) -> None:
        """Make an array an argument: a copy on the device, unless it lies there.

        Raises
        ------
        DataError
            If it lies on a device, and on another one, or holds other numbers than the kernels read.
        """
        if not isinstance(array, DeviceArray):
            flat = np.asarray(array).reshape(-1)
            self._buffers[name] = room = self._room(name, flat.size)
            self.device.write(room, flat)
            return
        if array.device is not self.device:
            raise DataError(f"{name} lies on another device than the kernels run on; give numpy.asarray({name})")
        if array.dtype != self._kind(name):
            raise DataError(f"{name} lies on the device and holds {array.dtype}; kernels read {self._kind(name)} there")
        buffer = array.buffer
        if buffer.pointer % ALIGNMENT:  # a part that begins at any row: kernels load 16 bytes at a time
            self.device.copy(self._room(name, array.size), buffer)
            buffer = self._rooms[name]
        self._buffers[name] = buffer

    def _fetch(self, name: str, array: Any) -> None:
        """Give an array what an argument has become, unless it is that itself."""
        if not isinstance(array, DeviceArray):
            self.device.read(self._buffers[name], 0, array)
        elif self._buffers[name] is not array.buffer:
            self.device.copy(array.buffer, self.device.part(self._buffers[name], 0, array.size))

    def _kind(self, name: str) -> np.dtype[Any]:
        """What an argument holds; labels are int32."""
        return np.dtype(np.int32) if name in self._module.WHOLE else self._dtype

    def _room(self, name: str, count: int) -> Any:
        """Memory for an argument, with space for `count` numbers at least."""
        known = self._rooms.get(name)
        if known is None or known.count < count:
            self._rooms[name] = known = self.device.buffer(count, self._kind(name))
        return known

    def _arguments(self, kernel: str) -> list[str]:
        if kernel not in self._names:
            self._names[kernel] = list(inspect.signature(getattr(self._module, kernel)).parameters)
        return self._names[kernel]

    def _launch(self, kernel: str, whole: Mapping[str, int], most: int | None = None) -> None:
        """Run a kernel, by `most` blocks; `whole` are its whole numbers, the rest are buffers."""
        arguments: list[Any] = []
        for name in self._arguments(kernel):
            if name == "gate":
                arguments.append(self._gate)
            elif name in whole:
                arguments.append(counted(name, whole[name]))
            else:
                arguments.append(self._buffers[name] if name in self._buffers else self._room(name, self._least(name)))
        self._last[kernel] = (self._kernel(kernel), self._module.THREADS, arguments, most or self._module.BLOCKS)
        self.device.launch(*self._last[kernel])

    def _kernel(self, name: str) -> Any:
        """A kernel as the device launches it."""
        if name not in self._kernels:
            kinds = list(kinds_of(self._module, name, self._dtype).values())
            shared = self._module.SHARED if "work" in self._arguments(name) else 0
            function = getattr(self._module, name)
            self._kernels[name] = self.device.compile(function, kinds, self._module.THREADS, shared)
        return self._kernels[name]

    def _least(self, name: str) -> int:
        """How many numbers an argument has that nobody handed over."""
        return max(1, self._module.SUMS if name == "sums" else 1)


def counted(name: str, number: int) -> Any:
    """A whole number as kernels take it.

    Raises
    ------
    SizeError
        If they cannot count so far.
    """
    if name == "seed":
        return np.uint64(number)
    if number > MOST:
        raise SizeError(f"{name} is {number:,}, and kernels count to {MOST:,}; train on a part of the data at a time")
    return np.int32(number)
