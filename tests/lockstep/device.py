"""`cuda` inside kernels: where the thread is, its arrays, and what needs no other thread.

Barriers, shuffles and votes are not here: the rewriting turns calls of them into `yield`s.
"""

from __future__ import annotations

import types
from typing import Any

import numpy as np

from .atomics import Atomic
from .errors import LockstepError
from .memory import Memory, View
from .now import NOW
from .values import MATH, dtype_of

STATIC_SHARED_BYTES = 48 * 1024
"""More static shared memory than this CUDA refuses; what is asked for at the launch may be more."""


class Place:
    """A position or an extent in three axes."""

    __slots__ = ("x", "y", "z")

    def __init__(self, x: int, y: int = 1, z: int = 1) -> None:
        self.x, self.y, self.z = np.int64(x), np.int64(y), np.int64(z)

    def __str__(self) -> str:
        return f"({self.x}, {self.y}, {self.z})"


def extents(shape: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in shape) if isinstance(shape, tuple) else (int(shape),)


class Shared:
    """`cuda.shared`: an array is one for the block and for the place in the source that declares it."""

    @staticmethod
    def array(shape: Any, dtype: Any, alignment: Any = None, *, site: tuple[int, ...], name: str) -> View:
        block, kind, sizes = NOW.thread.block, dtype_of(dtype), extents(shape)
        if sizes == (0,):
            return Shared.dynamic(block, kind, name)
        if site not in block.shared:
            size = int(np.prod(sizes))
            block.static_bytes += size * kind.itemsize
            if block.static_bytes > STATIC_SHARED_BYTES:
                raise LockstepError(
                    f"{NOW.place(site[0])}: {block.static_bytes} bytes of static shared memory; CUDA allows "
                    f"{STATIC_SHARED_BYTES}, more only as cuda.shared.array(0, ...) with shared_bytes at the launch"
                )
            memory = Memory.poisoned(size, kind, "shared", block.races, int(alignment or kind.itemsize))
            block.shared[site] = memory
        return View.whole(block.shared[site], name, sizes)

    @staticmethod
    def dynamic(block: Any, kind: np.dtype, name: str) -> View:
        memory = block.shared.get("dynamic")
        if memory is None:
            memory = Memory.poisoned(block.shared_bytes // kind.itemsize, kind, "shared", block.races, 16)
            block.shared["dynamic"] = memory
        if memory.data.dtype != kind:
            raise LockstepError(f'dynamic shared array "{name}" of {kind} over one of {memory.data.dtype}')
        return View.whole(memory, name, memory.data.shape)


class Local:
    """`cuda.local`: arrays of one thread, at which no other thread can look."""

    @staticmethod
    def array(shape: Any, dtype: Any, alignment: Any = None, *, site: tuple[int, ...], name: str) -> View:
        kind, sizes = dtype_of(dtype), extents(shape)
        memory = Memory.poisoned(int(np.prod(sizes)), kind, "local", False, int(alignment or kind.itemsize))
        return View.whole(memory, name, sizes)


class Constant:
    """`cuda.const`."""

    @staticmethod
    def array_like(array: np.ndarray | View) -> View:
        """Constant memory with the elements of a global array; a global array is in constant memory already."""
        if isinstance(array, View):
            return array
        return View.whole(Memory(array.ravel(), "constant", False), "const", array.shape)


def fma(a: Any, b: Any, c: Any) -> Any:
    """a b + c; of float32 without a rounding between."""
    kind = a.__class__ if a.__class__ is b.__class__ is c.__class__ else np.result_type(a, b, c).type
    return kind(float(a) * float(b) + float(c))


def rsqrt(x: Any) -> Any:
    return type(x)(1 / np.sqrt(np.float64(x)))


def cbrt(x: Any) -> Any:
    return type(x)(np.cbrt(np.float64(x)))


class Libdevice:
    """`cuda.libdevice`: `expf`, `fast_expf`, `exp` and so on, none of them approximate here."""

    own = {"fma": fma, "rsqrt": rsqrt, "cbrt": cbrt}

    def __getattr__(self, name: str) -> Any:
        plain = name.removeprefix("fast_")
        for base in (plain, plain.removesuffix("f")):
            function = self.own.get(base) or getattr(MATH, base, None)
            if function is not None:
                return function
        raise AttributeError(f"the simulator does not know cuda.libdevice.{name}; give it as a hook")


def nothing(*arguments: Any) -> None:
    """A fence. Barriers order memory here; a fence alone orders nothing."""


class Cuda:
    """What a kernel reads and calls under the name `cuda`."""

    atomic, shared, local, const, libdevice = Atomic, Shared, Local, Constant, Libdevice()
    warpsize = np.int64(32)
    threadfence = threadfence_block = threadfence_system = nanosleep = staticmethod(nothing)
    fma, cbrt, rsqrt = staticmethod(fma), staticmethod(cbrt), staticmethod(rsqrt)
    cg = types.SimpleNamespace(this_grid=nothing)  # `.sync()` of it is a yield

    threadIdx = property(lambda self: NOW.thread.place)
    blockIdx = property(lambda self: NOW.thread.block.place)
    blockDim = property(lambda self: NOW.thread.block.size)
    gridDim = property(lambda self: NOW.thread.block.grid)
    laneid = property(lambda self: np.int64(NOW.thread.lane))

    @staticmethod
    def axes(values: list[Any], count: Any) -> Any:
        return values[0] if count == 1 else tuple(values[: int(count)])

    def grid(self, count: Any) -> Any:
        """The thread's position in the grid along `count` axes."""
        at, block, size = self.threadIdx, self.blockIdx, self.blockDim
        return self.axes([getattr(block, a) * getattr(size, a) + getattr(at, a) for a in "xyz"], count)

    def gridsize(self, count: Any) -> Any:
        """The threads of the grid along `count` axes."""
        return self.axes([getattr(self.gridDim, a) * getattr(self.blockDim, a) for a in "xyz"], count)

    @staticmethod
    def popc(x: Any) -> np.int64:
        return np.int64(int(x).bit_count())

    @staticmethod
    def ffs(x: Any) -> np.int64:
        return np.int64((int(x) & -int(x)).bit_length())

    @staticmethod
    def selp(condition: Any, a: Any, b: Any) -> Any:
        return a if condition else b


CUDA = Cuda()
