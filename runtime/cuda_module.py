"""`DeviceModule`: a generated CUDA module with the functions that generated modules for the CPU have.

Arrays that it is handed are copied to the device, and results back; a `DeviceArray` is taken where it is, and results
stay there. An epoch is one launch. Devices are what `cuda_device.Device` is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..codegen.cuda.whole import MOST_POINTS
from ..symbolic.errors import SizeError
from .cuda_host import kinds_of
from .device_arrays import DeviceArray

Array = NDArray[Any]
ALIGNMENT = 16  # bytes
CHECKING = 1024  # the most blocks that look for what is not finite; each says so in a place of its own


class DeviceModule:
    """The kernels of one generated module on one device.

    Attributes
    ----------
    PARAMETERS, TRAINABLE, STATE, HYPER, gradient_places : those of the module
    device : where its kernels run
    """

    def __init__(self, module: ModuleType, device: Any, dtype: Any) -> None:
        self._module, self.device, self._dtype = module, device, np.dtype(dtype)
        self.PARAMETERS, self.TRAINABLE = module.PARAMETERS, module.TRAINABLE
        self.STATE, self.HYPER = module.STATE, module.HYPER
        self.gradient_places = module.gradient_places
        self._kernels: dict[str, Any] = {}
        self._names: dict[str, list[str]] = {}  # of each kernel's arguments
        self._last: dict[str, tuple[Any, ...]] = {}  # what each kernel was launched with
        self._buffers: dict[str, Any] = {}  # of each argument, as the next launch takes it
        self._rooms: dict[str, Any] = {}  # those that were made here
        self._gate = device.buffer(1, np.int32)
        device.clear(self._gate)
        if hasattr(module, "TABLES"):
            self._put("tables", module.TABLES)

    def workspace(self, batch: int) -> Any:
        """Device memory for everything in between, for up to `batch` rows.

        Raises
        ------
        SizeError
            If kernels cannot count what they would compute at once.
        """
        points = self._module.points(batch)
        if points >= MOST_POINTS:
            raise SizeError(
                f"a batch of {batch} rows has {points} numbers to compute at once, and kernels count fewer than "
                f"{MOST_POINTS}; take smaller batches"
            )
        return self.device.buffer(self._module.workspace(batch), self._dtype)

    @property
    def predict(self) -> Callable[..., Array]:
        """The function of parameters, inputs and workspace that gives the output, where the module has one."""
        if not hasattr(self._module, "output"):
            raise AttributeError("this module has no output")
        return self._predict

    def _predict(self, params: Array, *inputs_and_work: Any) -> Array:
        """The output, in an array of its own."""
        *inputs, work = inputs_and_work
        with self._forgetting():
            rows = self.run("run_forward", params, inputs, work)
            buffer, start, shape = self._module.output(rows)
            found = np.empty(shape, self._dtype)
            self.device.read(work if buffer == "work" else self._buffers[buffer], start, found)
        return found

    def loss(self, params: Array, *data_and_work: Any) -> float:
        """The loss, in inference."""
        *data, work = data_and_work
        with self._forgetting():
            self.run("run_loss", params, data, work)
            return self._number(work, getattr(self._module, "INFERENCE_LOSS", self._module.LOSS))

    def training_loss(self, params: Array, *data_and_work: Any) -> float:
        """The loss in training."""
        *data, work = data_and_work
        return self.loss_and_gradients(params, *data, work, None)

    def loss_and_gradients(self, params: Array, *given: Any) -> float:
        """The loss in training; its gradients are written to the last argument."""
        *data, work, grads = given
        with self._forgetting():
            self.run("run_gradients", params, data, work, grads)
            if grads is not None:
                self._fetch("grads", grads)
            return self._number(work, self._module.LOSS)

    def advance(self, params: Array, *data_and_work: Any) -> None:
        """Assign the network's states what they become in a step, after `loss_and_gradients` for the same data."""
        *data, work = data_and_work
        self.run("run_advance", params, data, work)
        self._fetch("params", params)

    def update(self, params: Array, grads: Array, state: Array, hyper: Array, step: int) -> None:
        """One step of the optimizer; `step` counts from 1."""
        held = {"params": params, "grads": grads, "state": state.reshape(-1), "scalars": self._scalars(hyper, [step])}
        for name, array in held.items():
            self._put(name, array)
        self._launch("run_update", {})
        for name, array in (("params", params), ("grads", grads), ("state", state)):
            self._fetch(name, array)

    def run(self, kernel: str, params: Any, data: Any, work: Any, grads: Any = None) -> int:
        """Launch a kernel for data of one batch, and leave its results on the device; how many rows that has."""
        others = ("work", "grads", "gate", "tables", self._module.BATCH)
        names = [name for name in self._arguments(kernel)[1:] if name not in others]
        self._put("params", params)
        for name, array in zip(names, data, strict=True):
            self._put(name, array)
        rows = self._rows(names, data)
        self._buffers["work"] = work
        self._buffers["grads"] = grads.buffer if isinstance(grads, DeviceArray) else self._grads(rows)
        self._launch(kernel, {self._module.BATCH: np.int32(rows)})
        return rows

    def again(self, kernel: str) -> Callable[[], None]:
        """A function that launches a kernel with the arguments of its last launch, and does nothing else."""
        return partial(self.device.launch, *self._last[kernel])

    def forget(self) -> None:
        """Let go of what earlier calls were handed on the device."""
        self._buffers.clear()
        self._last.clear()

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """`forget`, after the kernels in here: the result of the last one is read, so no kernel is at work then."""
        try:
            yield
        finally:
            self.forget()

    def hold(self, array: Any) -> DeviceArray:
        """A copy of an array on the device, labels as int32; one that lies there already is itself."""
        if isinstance(array, DeviceArray):
            return array
        dtype = np.dtype(np.int32) if array.dtype.kind in "iu" else self._dtype
        held = DeviceArray(self.device, self.device.buffer(array.size, dtype), array.shape)
        held.fill(array)
        return held

    def is_finite(self, array: DeviceArray) -> bool:
        """Whether an array of the device holds neither NaN nor infinity."""
        flaws = self._room("flaws", CHECKING)
        self.device.clear(flaws)
        self._buffers |= {"params": array.buffer, "losses": flaws}
        self._launch("run_finite", {"count": np.int32(array.size)}, CHECKING)
        found = np.empty(CHECKING, self._dtype)
        self.device.read(flaws, 0, found)
        return not found.any()

    def fill_noise(self, *given: Any) -> None:
        """Draw the noise of a step, counted from 1, into arrays, from a seed."""
        *arrays, seed, step = given
        names = [name for name in self._arguments("run_noise") if name not in (self._module.BATCH, "seed", "step")]
        for name, array in zip(names, arrays, strict=True):
            self._buffers[name] = self._room(name, array.size)
        whole = {self._module.BATCH: np.int32(self._rows(names, arrays))}
        self._launch("run_noise", {**whole, "seed": np.uint64(seed), "step": np.int32(step)})
        for name, array in zip(names, arrays, strict=True):
            self.device.read(self._buffers[name], 0, array)

    def epoch(self, params: Array, grads: Array, state: Array, *given: Any) -> tuple[float, int]:
        """Train on the rows `order`, in mini-batches: as the `epoch` of modules for the CPU, in one launch."""
        head = ["params", "grads", "state"]
        names = self._arguments("train")
        data_names = names[len(head) : names.index("order")]
        data, (order, batch, hyper, step, *seed, work) = given[: len(data_names)], given[len(data_names) :]
        steps = -(-len(order) // batch)
        scalars = self._scalars(hyper, range(step + 1, step + steps + 1))
        held = dict(zip(head, (params, grads, state.reshape(-1)), strict=True)) | {"scalars": scalars}
        held |= dict(zip(data_names, data, strict=True)) | {"order": np.asarray(order, np.int32)}
        for name, array in held.items():
            self._put(name, array)
        for name, (own, growing) in self._module.BATCH_ROWS.items():
            self._buffers[name] = self._room(name, own * (min(batch, len(order)) if growing else 1))
        losses = np.full(steps, np.nan, self._dtype)
        self._put("losses", losses)
        whole = {"count": np.int32(len(order)), "batch": np.int32(batch), "step": np.int32(step)}
        self._buffers["work"] = work
        self._launch("train", whole | ({"seed": np.uint64(seed[0])} if seed else {}))
        for name, array in (("params", params), ("grads", grads), ("state", state), ("losses", losses)):
            self._fetch(name, array)
        total = 0.0
        for number, value in enumerate(losses.tolist()):
            if not np.isfinite(value):
                return value, number
            total += value * min(batch, len(order) - number * batch)
        return total, steps

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _scalars(self, hyper: Array, steps: Sequence[int]) -> Array:
        """What each step's update needs of the hyper-parameters, a row each."""
        scalars = self._module.scalars
        try:
            # One by one they would take longer than the steps of a small network.
            columns = scalars(hyper, np.array(steps, np.float64))
        except (TypeError, ValueError):  # what is written for numbers alone: a choice between two, a function of `math`
            return np.array([scalars(hyper, step) for step in steps], self._dtype)
        return np.stack([np.broadcast_to(column, len(steps)) for column in columns], 1).astype(self._dtype)

    def _rows(self, names: Sequence[str], arrays: Sequence[Array]) -> int:
        """How many rows the batch has that arguments hold."""
        pairs = zip(names, arrays, strict=True)
        return next((len(array) for name, array in pairs if name in self._module.BATCHED), 1)

    def _grads(self, rows: int) -> Any:
        places = self._module.gradient_places(rows).values()
        return self._room("grads", max((start + int(np.prod(shape)) for start, shape in places), default=0))

    def _number(self, buffer: Any, place: int) -> float:
        found = np.empty(1, self._dtype)
        self.device.read(buffer, place, found)
        return float(found[0])

    def _put(self, name: str, array: Any) -> None:
        """Make an array an argument: a copy on the device, unless it lies there."""
        if isinstance(array, DeviceArray):
            buffer = array.buffer
            if buffer.pointer % ALIGNMENT:  # a part that begins at any row: kernels load 16 bytes at a time
                self.device.copy(self._room(name, array.size), buffer)
                buffer = self._rooms[name]
            self._buffers[name] = buffer
            return
        flat = np.asarray(array).reshape(-1)
        self._buffers[name] = room = self._room(name, flat.size)
        self.device.write(room, flat)

    def _fetch(self, name: str, array: Any) -> None:
        """Fill an array with what an argument has become, unless it is that itself."""
        if not isinstance(array, DeviceArray):
            self.device.read(self._buffers[name], 0, array)

    def _room(self, name: str, count: int) -> Any:
        """Memory for an argument, with space for `count` numbers at least; labels are int32."""
        known = self._rooms.get(name)
        if known is None or known.count < count:
            dtype = np.int32 if name in self._module.WHOLE else self._dtype
            self._rooms[name] = known = self.device.buffer(count, dtype)
        return known

    def _arguments(self, kernel: str) -> list[str]:
        if kernel not in self._names:
            self._names[kernel] = list(inspect.signature(getattr(self._module, kernel)).parameters)
        return self._names[kernel]

    def _launch(self, kernel: str, whole: Mapping[str, Any], most: int | None = None) -> None:
        """Run a kernel, by `most` blocks; `whole` are its whole numbers, the rest are buffers."""
        arguments: list[Any] = []
        for name in self._arguments(kernel):
            if name == "gate":
                arguments.append(self._gate)
            elif name in whole:
                arguments.append(whole[name])
            else:
                arguments.append(self._buffers[name] if name in self._buffers else self._room(name, self._least(name)))
        if kernel not in self._kernels:
            kinds = list(kinds_of(self._module, kernel, self._dtype).values())
            shared = self._module.SHARED if "work" in self._arguments(kernel) else 0
            function = getattr(self._module, kernel)
            self._kernels[kernel] = self.device.compile(function, kinds, self._module.THREADS, shared)
        self._last[kernel] = (self._kernels[kernel], self._module.THREADS, arguments, most or self._module.BLOCKS)
        self.device.launch(*self._last[kernel])

    def _least(self, name: str) -> int:
        """How many numbers an argument has that nobody handed over."""
        return max(1, self._module.SUMS if name == "sums" else 1)
