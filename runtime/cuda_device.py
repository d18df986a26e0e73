"""`Device`: one GPU, by the driver's own interface: memory, machine code, cooperative launches with raw pointers.

Everything that a `DeviceModule` asks of a GPU is here, so another one, or a simulated one, has these methods alone.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from importlib import import_module
from threading import Lock
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..symbolic.errors import GradloomError
from .cuda_compiler import Cubin, require_driver_interface
from .cuda_staging import Staging

Array = NDArray[Any]
Given = ParamSpec("Given")
Result = TypeVar("Result")
_MEND = "choose target 'cpu', or write the kernels for another machine: gradloom generate --target cuda"


class DeviceError(GradloomError, RuntimeError):
    """There is no GPU, or its driver refused what was asked of it."""


class Buffer:
    """Numbers in the memory of a device; it is given back when nobody holds the buffer, or a part of it, any more.

    Attributes
    ----------
    pointer : where they begin
    owner : what else must be there as long as they are
    """

    def __init__(self, count: int, dtype: np.dtype[Any], pointer: int, owner: Any = None) -> None:
        self.count, self.dtype, self.pointer, self.owner = count, dtype, pointer, owner


class Kernel:
    """A kernel in machine code, which is unloaded when nobody holds this any more.

    Attributes
    ----------
    function : what the driver launches
    most_blocks : how many blocks of it run at the same time
    shared : bytes of shared memory that each of them asks for, besides what it has anyway
    """

    def __init__(self, function: Any, most_blocks: int, shared: int = 0) -> None:
        self.function, self.most_blocks, self.shared = function, most_blocks, shared


def _within(method: Callable[Concatenate[Device, Given], Result]) -> Callable[Concatenate[Device, Given], Result]:
    """A method during which the thread uses the GPU."""

    @wraps(method)
    def made(self: Device, /, *arguments: Given.args, **named: Given.kwargs) -> Result:
        with self._entered():
            return method(self, *arguments, **named)

    return made


class Device:
    """A GPU.

    Attributes
    ----------
    cc : its compute capability, (9, 0) for a Hopper
    multiprocessors : how many blocks run side by side at least
    name, driver : what it is called, and the newest CUDA that its driver knows

    Raises
    ------
    MissingExtraError
        If the interface of the driver is not installed.
    DeviceError
        If there is no driver, or no GPU.
    """

    def __init__(self, number: int = 0) -> None:
        require_driver_interface()
        self._driver = import_module("cuda.bindings.driver")
        try:
            self._call("cuInit", 0)
            count = self._call("cuDeviceGetCount")
        except (DeviceError, RuntimeError) as error:
            raise DeviceError(
                f"target 'cuda' needs an NVIDIA GPU with its driver, and {_said(error)}; {_MEND}"
            ) from None
        if number >= count:
            raise DeviceError(f"target 'cuda' needs an NVIDIA GPU, and the driver found {count}; {_MEND}")
        self.number = number
        self._handle = self._call("cuDeviceGet", number)
        self._context = self._call("cuDevicePrimaryCtxRetain", self._handle)
        with self._entered():
            self._stream = self._call("cuStreamCreate", 1)  # one of its own, which waits for no other
        self._staging = Staging(self._call, self._stream)
        self.cc = (self._attribute("COMPUTE_CAPABILITY_MAJOR"), self._attribute("COMPUTE_CAPABILITY_MINOR"))
        self.multiprocessors = self._attribute("MULTIPROCESSOR_COUNT")
        self.name = self._call("cuDeviceGetName", 256, self._handle).partition(b"\0")[0].decode()
        known = int(self._call("cuDriverGetVersion"))
        self.driver = f"{known // 1000}.{known % 1000 // 10}"

    @contextmanager
    def _entered(self) -> Iterator[None]:
        """Let this thread use the GPU in here, whichever one it uses before and after."""
        self._call("cuCtxPushCurrent", self._context)
        try:
            yield
        finally:
            self._driver.cuCtxPopCurrent()  # after an error it may say the same again

    # ---- memory ------------------------------------------------------------------------------------------------------

    @_within
    def buffer(self, count: int, dtype: Any) -> Buffer:
        """Memory for `count` numbers, as it is.

        Raises
        ------
        DeviceError
            If there is not so much left.
        """
        kind = np.dtype(dtype)
        size = max(count, 1) * kind.itemsize
        try:
            pointer = int(self._call("cuMemAlloc", size))
        except DeviceError as error:
            raise DeviceError(f"{error}: {self._room(size)}") from None
        made = Buffer(count, kind, pointer)
        weakref.finalize(made, self._release, pointer)
        return made

    def part(self, buffer: Buffer, start: int, count: int) -> Buffer:
        """`count` numbers of a buffer, from `start` on."""
        return Buffer(count, buffer.dtype, buffer.pointer + start * buffer.dtype.itemsize, buffer)

    def buffer_at(self, pointer: int, count: int, dtype: Any, owner: Any) -> Buffer:
        """Numbers that lie there already, as long as `owner` lives."""
        return Buffer(count, np.dtype(dtype), pointer, owner)

    @_within
    def number_of(self, pointer: int) -> int | None:
        """The number of the GPU in whose memory a pointer points, or None."""
        kind = self._driver.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
        status, *found = self._driver.cuPointerGetAttribute(kind, pointer)
        return None if int(status) else int(found[0])

    @_within
    def clear(self, buffer: Buffer) -> None:
        """Set all of a buffer to 0."""
        if buffer.count:
            self._call("cuMemsetD8Async", buffer.pointer, 0, buffer.count * buffer.dtype.itemsize, self._stream)

    @_within
    def copy(self, to: Buffer, of: Buffer) -> None:
        """Copy all of a buffer to the beginning of another."""
        if of.count:
            size = of.count * of.dtype.itemsize
            self._call("cuMemcpyDtoDAsync", to.pointer, of.pointer, size, self._stream)

    @_within
    def write(self, buffer: Buffer, array: Array) -> None:
        """Copy an array to the beginning of a buffer, before the kernels that are launched from now on."""
        self._staging.send(buffer.pointer, np.ascontiguousarray(array, buffer.dtype))

    @_within
    def read(self, buffer: Buffer, start: int, array: Array) -> None:
        """Fill an array with the numbers of a buffer from `start` on, once all that was launched is done."""
        whole = array if array.flags.c_contiguous else np.empty(array.shape, array.dtype)
        self._staging.fetch(whole, buffer.pointer + start * buffer.dtype.itemsize)
        if whole is not array:
            array[...] = whole

    def _release(self, pointer: int) -> None:
        """In whichever thread the collector runs; at the end of the process the driver may refuse."""
        if not int(self._driver.cuCtxPushCurrent(self._context)[0]):
            self._driver.cuMemFree(pointer)
            self._driver.cuCtxPopCurrent()

    def _room(self, size: int) -> str:
        free, total = self._call("cuMemGetInfo")
        return (
            f"{size / 2**20:,.0f} MiB were asked for, and {free / 2**20:,.0f} of {total / 2**20:,.0f} are free; take "
            "smaller batches, or train on a part of the data at a time"
        )

    # ---- who else is at work -----------------------------------------------------------------------------------------

    @property
    def stream(self) -> int:
        """The stream of the kernels and copies, as other libraries take one."""
        return int(self._stream)

    @_within
    def wait_for(self, stream: int) -> None:
        """Go on when all is done that was asked of a stream."""
        self._call("cuStreamSynchronize", stream)

    @_within
    def wait_for_all(self) -> None:
        """Go on when all is done that was asked of this GPU."""
        self._call("cuCtxSynchronize")

    @_within
    def seconds(self, work: Callable[[], Any]) -> float:
        """How long the GPU takes for what `work` asks of it, by its own clock."""
        first, last = (self._call("cuEventCreate", 0) for _ in range(2))
        self._call("cuEventRecord", first, self._stream)
        work()
        self._call("cuEventRecord", last, self._stream)
        self._call("cuEventSynchronize", last)
        found = float(self._call("cuEventElapsedTime", first, last)) / 1e3
        for event in (first, last):
            self._call("cuEventDestroy", event)
        return found

    # ---- kernels -----------------------------------------------------------------------------------------------------

    @_within
    def compile(self, function: Callable[..., None], kinds: Sequence[str], threads: int, shared: int = 0) -> Kernel:
        """What `launch` takes: a kernel in machine code for this GPU, whose blocks ask for `shared` bytes of memory.

        `function` stands in a module that knows its `machine_code`, see `cuda_host.device_part`.

        Raises
        ------
        DeviceError
            If no block can have so much.
        """
        most = self._attribute("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN") if shared else 0
        if shared > most:
            raise DeviceError(
                f"{function.__name__} asks for {shared} bytes of shared memory for a block, and {self.name} has "
                f"{most}; leave out precision='tf32', whose largest tiles take it"
            )
        made: Cubin = function.__globals__["machine_code"](function.__name__, kinds, threads, self.cc)
        loaded = self._call("cuModuleLoadData", made.code)
        found = self._call("cuModuleGetFunction", loaded, made.name.encode())
        if shared:
            kind = self._driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            self._call("cuFuncSetAttribute", found, kind, shared)
        each = self._call("cuOccupancyMaxActiveBlocksPerMultiprocessor", found, threads, shared)
        kernel = Kernel(found, max(1, int(each)) * self.multiprocessors, shared)
        weakref.finalize(kernel, self._unload, loaded).atexit = False  # the end of the process does it
        return kernel

    @_within
    def launch(self, kernel: Kernel, threads: int, arguments: Sequence[Any], most: int) -> None:
        """Run a kernel with `most` blocks of `threads` threads, or as many as run at the same time."""
        values = tuple(a.pointer if isinstance(a, Buffer) else a for a in arguments)
        kinds = tuple(ctypes.c_void_p if isinstance(a, Buffer) else _KINDS[np.dtype(type(a))] for a in arguments)
        blocks = min(most, kernel.most_blocks)
        sizes = (blocks, 1, 1, threads, 1, 1)
        self._call("cuLaunchCooperativeKernel", kernel.function, *sizes, kernel.shared, self._stream, (values, kinds))

    def _unload(self, module: Any) -> None:
        """As `_release`, when the kernels that may be at work are done."""
        if not int(self._driver.cuCtxPushCurrent(self._context)[0]):
            self._driver.cuStreamSynchronize(self._stream)
            self._driver.cuModuleUnload(module)
            self._driver.cuCtxPopCurrent()

    def _attribute(self, name: str) -> int:
        kind = self._driver.CUdevice_attribute
        return int(self._call("cuDeviceGetAttribute", getattr(kind, f"CU_DEVICE_ATTRIBUTE_{name}"), self._handle))

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call the driver; its errors are raised."""
        status, *found = getattr(self._driver, name)(*arguments)
        if int(status):
            _, text = self._driver.cuGetErrorString(status)
            raise DeviceError(f"the driver says: {text.decode() if text else status} ({name})")
        return found[0] if len(found) == 1 else tuple(found) or None


_KINDS: dict[np.dtype[Any], Any] = {
    np.dtype(np.int32): ctypes.c_int32,
    np.dtype(np.uint64): ctypes.c_uint64,
}


def _said(error: Exception) -> str:
    """What the driver, or its absence, says, in a line."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    is_absent = "libcuda" in text or not isinstance(error, DeviceError)
    return "none was found" if is_absent else text


_making = Lock()  # `cache` lets two threads that ask at once make one each


def default_device() -> Device:
    """The first GPU."""
    with _making:
        return _first_device()


@cache
def _first_device() -> Device:
    return Device()
