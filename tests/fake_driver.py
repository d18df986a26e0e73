"""A driver in the place of NVIDIA's under a `Device`: memory is the host's, kernels run in the simulator.

What is asked of a stream is done as late as may be, when something waits for it: a copy whose source changed meanwhile,
or a result that nobody waited for, shows.
"""

from __future__ import annotations

import ctypes
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
from simulated import host_part

from gradloom.runtime import cuda_device, cuda_host
from gradloom.runtime.cuda_compiler import Cubin

OUT_OF_MEMORY, INVALID_VALUE, NOT_INITIALIZED, INVALID_CONTEXT = 2, 1, 3, 201
FAULTS = (214, 700, 702, 719)
ATTRIBUTES = {
    "SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO": 32,
    "COMPUTE_CAPABILITY_MAJOR": 9,
    "COMPUTE_CAPABILITY_MINOR": 0,
    "MULTIPROCESSOR_COUNT": 3,
    "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN": 232_448,
}
DYNAMIC_SHARED = "CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES"
CONTEXT = "context of 0"
POISON = 0xFF  # NaN in both types


class Status(int):
    """What calls return, as the driver's enumeration; 0 is success."""


class FakeDriver:
    """The functions of `cuda.bindings.driver` that are used, with their statuses; `calls` are their names in order."""

    CUdevice_attribute = SimpleNamespace(**{f"CU_DEVICE_ATTRIBUTE_{name}": name for name in ATTRIBUTES})
    CUfunction_attribute = SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=DYNAMIC_SHARED)
    CUpointer_attribute = SimpleNamespace(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL="DEVICE_ORDINAL")

    def __init__(self, memory: int = 2**26) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.memory, self.taken = memory, 0
        self.blocks: dict[int, tuple[Any, int]] = {}  # pointer → what holds it, bytes
        self.pinned: dict[int, Any] = {}
        self.queue: list[Any] = []
        self.events: dict[int, int] = {}  # → how much of the queue's whole length was before it
        self.done = 0
        self.started = False
        self.of_thread = threading.local()
        self.lock = threading.RLock()  # the driver may be called by several threads
        self.programs: dict[bytes, tuple[Any, str]] = {}  # image → lockstep module, name of the kernel
        self.loaded: list[bytes] = []
        self.functions: dict[int, tuple[Any, str]] = {}
        self.launched: list[tuple[str, list[int]]] = []  # kernels, and their arguments
        self.awaited: dict[int, int] = {}  # by streams of others, as `events`
        self.fault: int | None = None  # what ended all work: nothing should be asked any more
        self.shared: dict[int, int] = {}  # function → bytes that its blocks may ask for
        self.fail: dict[str, int] = {}  # name → the status that the next call of it has

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if not name.startswith("cu"):
            return found

        def call(*arguments: Any) -> Any:
            with self.lock:
                return called(*arguments)

        def called(*arguments: Any) -> Any:
            self.calls.append((name, arguments))
            assert self.fault is None or name in ("cuGetErrorString", "cuCtxPopCurrent"), name
            if name in self.fail:
                status = self.fail.pop(name)
                self.fault = status if status in FAULTS else None
                return (Status(status), None)
            if name not in ("cuInit", "cuGetErrorString") and not self.started:
                return (Status(NOT_INITIALIZED), None)
            if (
                name.startswith(("cuMem", "cuStream", "cuEvent", "cuLaunch", "cuModule", "cuFunc"))
                and self.context != CONTEXT
            ):
                return (Status(INVALID_CONTEXT), None)
            result = found(*arguments)
            if result is None:
                return (Status(0),)
            return result if isinstance(result[0], Status) else (Status(0), *result)

        return call

    @property
    def context(self) -> Any:
        """Of the thread that calls."""
        return getattr(self.of_thread, "context", None)

    @context.setter
    def context(self, context: Any) -> None:
        self.of_thread.context = context

    @property
    def contexts(self) -> list[Any]:
        """Those below it."""
        return self.of_thread.__dict__.setdefault("contexts", [])

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [arguments for called, arguments in self.calls if called == name]

    # ---- the driver --------------------------------------------------------------------------------------------------

    def cuInit(self, flags: int) -> None:
        assert flags == 0
        self.started = True

    def cuGetErrorString(self, status: int) -> Any:
        return (f"error {int(status)}".encode(),)

    def cuDeviceGetCount(self) -> Any:
        return (1,)

    def cuDeviceGet(self, number: int) -> Any:
        return (number,)

    def cuDevicePrimaryCtxRetain(self, device: int) -> Any:
        assert device == 0
        return (CONTEXT,)

    def cuCtxPushCurrent(self, context: Any) -> None:
        self.contexts.append(self.context)
        self.context = context

    def cuCtxPopCurrent(self) -> Any:
        found, self.context = self.context, self.contexts.pop()
        return (found,)

    def cuCtxSynchronize(self) -> None:
        self._run()

    def cuDeviceGetAttribute(self, attribute: str, device: int) -> Any:
        return (ATTRIBUTES[attribute],)

    def cuDeviceGetName(self, length: int, device: int) -> Any:
        return (b"Fake GPU".ljust(length, b"\0"),)

    def cuDriverGetVersion(self) -> Any:
        return (13010,)

    def cuMemGetInfo(self) -> Any:
        return (self.memory - self.taken, self.memory)

    def cuStreamCreate(self, flags: int) -> Any:
        assert flags == 1
        return (77,)

    def cuStreamSynchronize(self, stream: int) -> None:
        self._run()

    def cuStreamWaitEvent(self, stream: int, event: int, flags: int) -> None:
        assert flags == 0
        self.awaited[stream] = self.events[event]

    def reach(self, stream: int) -> None:
        """Do what a stream of somebody else's has been told to wait for, and nothing else."""
        self._run(self.awaited.get(stream, 0))

    def cuEventCreate(self, flags: int) -> Any:
        assert flags in (0, 2)
        self.events[len(self.calls)] = 0
        return (len(self.calls),)

    def cuEventDestroy(self, event: int) -> None:
        del self.events[event]

    def cuEventElapsedTime(self, first: int, last: int) -> Any:
        """A millisecond for each thing that was done in between."""
        assert self.done >= self.events[last]
        return (float(self.events[last] - self.events[first]),)

    def cuEventRecord(self, event: int, stream: int) -> None:
        assert stream == 77
        self.events[event] = self.done + len(self.queue)

    def cuEventSynchronize(self, event: int) -> None:
        self._run(self.events[event])

    def cuMemAlloc(self, size: int) -> Any:
        if self.taken + size > self.memory:
            return (Status(OUT_OF_MEMORY), None)
        pointer, held = _allocated(size)
        ctypes.memset(pointer, POISON, size)
        self.blocks[pointer] = held, size
        self.taken += size
        return (pointer,)

    def cuMemFree(self, pointer: int) -> None:
        self._run()
        self.taken -= self.blocks.pop(pointer)[1]

    def cuMemHostAlloc(self, size: int, flags: int) -> Any:
        assert flags == 0
        pointer, held = _allocated(size)
        self.pinned[pointer] = held, size
        return (pointer,)

    def cuMemsetD8Async(self, pointer: int, value: int, size: int, stream: int) -> None:
        self._check(pointer, size)
        self._later(stream, lambda: ctypes.memset(pointer, value, size))

    def cuMemcpyHtoDAsync(self, to: int, of: int, size: int, stream: int) -> None:
        self._check(to, size)
        self._check(of, size, self.pinned)
        self._later(stream, lambda: ctypes.memmove(to, of, size))

    def cuMemcpyDtoHAsync(self, to: int, of: int, size: int, stream: int) -> None:
        self._check(of, size)
        self._check(to, size, self.pinned)
        self._later(stream, lambda: ctypes.memmove(to, of, size))

    def cuMemcpyDtoDAsync(self, to: int, of: int, size: int, stream: int) -> None:
        self._check(of, size)
        self._check(to, size)
        self._later(stream, lambda: ctypes.memmove(to, of, size))

    def cuPointerGetAttribute(self, attribute: str, pointer: int) -> Any:
        if not any(start <= pointer < start + size for start, (_, size) in self.blocks.items()):
            return (Status(INVALID_VALUE), None)
        return (0,)

    def cuModuleLoadData(self, image: bytes) -> Any:
        self.loaded.append(image)
        return (image,)

    def cuModuleUnload(self, module: bytes) -> None:
        assert not self.queue  # of the kernels that may be in it
        self.loaded.remove(module)

    def cuModuleGetFunction(self, module: bytes, name: bytes) -> Any:
        program, kernel = self.programs[module]
        assert name.decode() == kernel
        self.functions[len(self.functions) + 1] = program, kernel
        return (len(self.functions),)

    def cuFuncSetAttribute(self, function: int, attribute: str, value: int) -> None:
        assert attribute == DYNAMIC_SHARED
        assert 0 < value <= ATTRIBUTES["MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"]
        self.shared[function] = value

    def cuOccupancyMaxActiveBlocksPerMultiprocessor(self, function: int, threads: int, shared: int) -> Any:
        assert shared == self.shared.get(function, 0)
        return (1,)

    def cuLaunchCooperativeKernel(self, function: int, *rest: Any) -> None:
        *sizes, shared, stream, address = rest
        assert all(type(size) is int and size >= 1 for size in sizes)
        assert (sizes[1:3], sizes[4:]) == ([1, 1], [1, 1])
        assert shared == self.shared.get(function, 0)
        program, kernel = self.functions[function]
        wanted = list(cuda_host.kinds_of(program, kernel, program.real).values())
        pointers = (ctypes.c_void_p * len(wanted)).from_address(address)
        values = [_number(at, kind) for at, kind in zip(pointers, wanted, strict=True)]
        self.launched.append((kernel, values))
        given = [self._argument(*one) for one in zip(values, wanted, strict=True)]
        grid, block = (min(sizes[0], 2),), (sizes[3],)
        options = {"races": False, "declared_alignment": True}
        self._later(stream, lambda: program.simulated.launch(kernel, grid, block, tuple(given), shared, **options))

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _argument(self, value: Any, wanted: str) -> Any:
        if not wanted.endswith("*"):
            return np.dtype(wanted).type(value)
        assert value % 16 == 0
        dtype = np.dtype(wanted[:-1])
        start, size = next((at, size) for at, (_, size) in self.blocks.items() if at <= value < at + size)
        count = (start + size - value) // dtype.itemsize
        return np.frombuffer((ctypes.c_uint8 * (count * dtype.itemsize)).from_address(value), dtype)

    def _check(self, pointer: int, size: int, where: Any = None) -> None:
        held = self.blocks if where is None else where
        assert any(start <= pointer and pointer + size <= start + length for start, (_, length) in held.items())

    def _later(self, stream: int, work: Any) -> None:
        assert stream == 77
        self.queue.append(work)

    def _run(self, until: int | None = None) -> None:
        while self.queue and (until is None or self.done < until):
            self.done += 1
            self.queue.pop(0)()

    def first_device(self, monkeypatch: Any) -> cuda_device.Device:
        """The first GPU of this machine, as models find it, over this driver."""
        monkeypatch.setattr(cuda_device, "require_driver_interface", lambda: None)
        monkeypatch.setattr(cuda_device, "import_module", lambda name: self)
        self.install(monkeypatch)
        device = cuda_device.Device()
        monkeypatch.setattr(cuda_device, "default_device", lambda: device)
        return device

    def install(self, monkeypatch: Any) -> None:
        """Take the place of the driver; kernels become machine code that this one runs."""
        programs: dict[str, Any] = {}

        def machine_code(self_: Any, kernel: str, kinds: Any, threads: int, cc: tuple[int, int]) -> Cubin:
            assert cc == (9, 0)
            with self.lock:
                program = programs.setdefault(self_.source, host_part(self_.source))
                assert list(kinds) == list(cuda_host.kinds_of(program, kernel, program.real).values())
                image = f"{len(self.programs)}".encode()
                self.programs[image] = program, kernel
                return Cubin(image, kernel)

        monkeypatch.setattr(cuda_host.MachineCode, "__call__", machine_code)


def _number(address: int, kind: str) -> int:
    """A number of a kind that lies somewhere; a pointer, where the kind is one of these."""
    held = getattr(ctypes, "c_void_p" if kind.endswith("*") else f"c_{kind}")
    return int(held.from_address(address).value)


def _allocated(size: int) -> tuple[int, Any]:
    """Memory of the host that begins at a multiple of 256 bytes, and what holds it."""
    held = np.zeros(size + 256, np.uint8)
    start = held.ctypes.data
    return start + -start % 256, held
