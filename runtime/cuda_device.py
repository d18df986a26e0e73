"""`Device`: one GPU, by the driver's own interface: memory, machine code, cooperative launches with raw pointers.

Everything that a `DeviceModule` asks of a GPU is here, so another one, or a simulated one, has these methods alone.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from threading import Lock
from typing import Any

import numpy as np

from .cuda_compiler import Cubin
from .cuda_driver import DeviceError, Driver, within
from .cuda_launches import Kernel
from .cuda_memory import Buffer, Memory
from .cuda_toolkit import require_driver_interface

_MEND = "choose target 'cpu', or write the kernels for another machine: gradloom generate --target cuda"
# CUresult: an invalid image, no binary for this GPU, invalid PTX, PTX of an unsupported version.
_REFUSED = (200, 209, 218, 222)
OPERATIONS = 4e10  # a second that a multiprocessor makes in float32, about; assumed
OLDEST = (8, 0)  # the oldest compute capability that has the instructions of the kernels


class Device(Memory):
    """A GPU.

    Attributes
    ----------
    cc : its compute capability, (9, 0) for a Hopper
    multiprocessors : how many blocks run side by side at least
    most_shared : how many bytes of shared memory a block may ask for
    name, driver : what it is called, and the newest CUDA that its driver knows

    Raises
    ------
    MissingExtraError
        If the interface of the driver is not installed.
    DeviceError
        If there is no driver, no GPU, or one too old.
    """

    def __init__(self, number: int = 0) -> None:
        require_driver_interface()
        call = Driver(import_module("cuda.bindings.driver"))
        try:
            call("cuInit", 0)
            count = call("cuDeviceGetCount")
        except (DeviceError, RuntimeError) as error:
            raise DeviceError(
                f"target 'cuda' needs an NVIDIA GPU with its driver, and {_said(error)}; {_MEND}"
            ) from None
        if number >= count:
            raise DeviceError(f"target 'cuda' needs an NVIDIA GPU, and the driver found {count}; {_MEND}")
        self.number = number
        handle = call("cuDeviceGet", number)

        def attribute(name: str) -> int:
            kind = call.interface.CUdevice_attribute
            return int(call("cuDeviceGetAttribute", getattr(kind, f"CU_DEVICE_ATTRIBUTE_{name}"), handle))

        self.cc = (attribute("COMPUTE_CAPABILITY_MAJOR"), attribute("COMPUTE_CAPABILITY_MINOR"))
        self.multiprocessors = attribute("MULTIPROCESSOR_COUNT")
        self.most_shared = attribute("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN")
        self._double = max(1, attribute("SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO"))  # 2, or 64 where it serves displays
        self.name = call("cuDeviceGetName", 256, handle).partition(b"\0")[0].decode()
        known = int(call("cuDriverGetVersion"))
        self.driver = f"{known // 1000}.{known % 1000 // 10}"
        if self.cc < OLDEST:
            raise DeviceError(
                f"target 'cuda' needs a GPU of compute capability {_dotted(OLDEST)} or newer, and {self.name} has "
                f"{_dotted(self.cc)}; choose target 'cpu'"
            )
        context = call("cuDevicePrimaryCtxRetain", handle)
        with call.entered(context):
            super().__init__(call, context)

    @property
    def is_lost(self) -> bool:
        """Whether this process cannot use it any more, after a fault."""
        return self._call.lost is not None

    def operations(self, dtype: Any) -> float:
        """How many operations of products it makes in a second, about."""
        slower = self._double if np.dtype(dtype) == np.float64 else 1
        return self.multiprocessors * OPERATIONS / slower

    @within
    def seconds(self, work: Callable[[], Any]) -> float:
        """How long the GPU takes for what `work` asks of it, by its own clock."""
        first, last = (self._call("cuEventCreate", 0) for _ in range(2))
        try:
            self._call("cuEventRecord", first, self._stream)
            work()
            self._call("cuEventRecord", last, self._stream)
            self._call("cuEventSynchronize", last)
            return float(self._call("cuEventElapsedTime", first, last)) / 1e3
        finally:
            self._call.give_back(self._context, ("cuEventDestroy", first), ("cuEventDestroy", last))

    # ---- kernels -----------------------------------------------------------------------------------------------------

    @within
    def compile(self, function: Callable[..., None], kinds: Sequence[str], threads: int, shared: int = 0) -> Kernel:
        """What `launch` takes: a kernel in machine code for this GPU, whose blocks ask for `shared` bytes of memory.

        `function` stands in a module that knows its `machine_code`, see `cuda_host.device_part`.

        Raises
        ------
        DeviceError
            If no block can have so much.
        """
        if shared > self.most_shared:
            raise DeviceError(
                f"{function.__name__} asks for {shared} bytes of shared memory for a block, and {self.name} has "
                f"{self.most_shared}; leave out precision='tf32', whose largest tiles take it"
            )
        made: Cubin = function.__globals__["machine_code"](function.__name__, kinds, threads, self.cc)
        try:
            loaded = self._call("cuModuleLoadData", made.code)
        except DeviceError as error:
            if error.status not in _REFUSED:
                raise
            raise DeviceError(
                f"{error}: it knows CUDA {self.driver}, and refuses the machine code of {made.name}; install a driver "
                "of CUDA 13.0 or newer, or make the machine code with the toolkit that the driver knows",
                error.status,
            ) from None
        found = self._call("cuModuleGetFunction", loaded, made.name.encode())
        if shared:
            kind = self._call.interface.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            self._call("cuFuncSetAttribute", found, kind, shared)
        each = self._call("cuOccupancyMaxActiveBlocksPerMultiprocessor", found, threads, shared)
        kernel = Kernel(found, max(1, int(each)) * self.multiprocessors, kinds, shared)
        # When the kernels that may be at work are done; the end of the process does it by itself.
        ending = (("cuStreamSynchronize", self._stream), ("cuModuleUnload", loaded))
        weakref.finalize(kernel, self._call.give_back, self._context, *ending).atexit = False
        return kernel

    @within
    def launch(self, kernel: Kernel, threads: int, arguments: Sequence[Any], most: int) -> None:
        """Run a kernel with `most` blocks of `threads` threads, or as many as run at the same time."""
        self._await_others(*[one for one in arguments if isinstance(one, Buffer)])
        kernel.take(arguments)
        sizes = (min(most, kernel.most_blocks), 1, 1, threads, 1, 1)
        self._call("cuLaunchCooperativeKernel", kernel.function, *sizes, kernel.shared, self._stream, kernel.arguments)


def _dotted(cc: tuple[int, int]) -> str:
    return ".".join(map(str, cc))


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
