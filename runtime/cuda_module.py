"""`DeviceModule`: a generated CUDA module with the functions that generated modules for the CPU have.

Arrays that it is handed are copied to the device, and results back; a `DeviceArray` is taken where it is, and results
stay there. An epoch is one launch. Devices are what `cuda_device.Device` is. Threads that share one take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..symbolic.errors import SizeError
from .cuda_arguments import MOST, KernelCalls, alone, counted
from .device_arrays import DeviceArray

Array = NDArray[Any]
HALF = 16  # rows and noise of one step, and of the next, begin at multiples of so many numbers: `half` of modules
CHECKING = 1024  # the most blocks that look for what is not finite; each says so in a place of its own


class DeviceModule(KernelCalls):
    """The kernels of one generated module on one device.

    Attributes
    ----------
    PARAMETERS, TRAINABLE, STATE, HYPER, gradient_places : those of the module
    device : where its kernels run
    """

    def __init__(self, module: ModuleType, device: Any, dtype: Any) -> None:
        super().__init__(module, device, dtype)
        self.PARAMETERS, self.TRAINABLE = module.PARAMETERS, module.TRAINABLE
        self.STATE, self.HYPER = module.STATE, module.HYPER
        self.gradient_places = module.gradient_places

    def workspace(self, batch: int) -> Any:
        """Device memory for everything in between, for up to `batch` rows.

        Raises
        ------
        SizeError
            If these, or what is computed at once, are more numbers than kernels count with.
        """
        length = self._module.workspace(batch)
        count = max(length, self._module.points(batch))
        if count > MOST:
            raise SizeError(f"a batch of {batch:,} rows needs {count:,} numbers; kernels count to {MOST:,}: take fewer")
        return self.device.buffer(length, self._dtype)

    @property
    def predict(self) -> Callable[..., Any]:
        """The function of parameters, inputs and workspace that gives the output, where the module has one.

        With ``into=`` a `DeviceArray`, the output is left there.
        """
        if not hasattr(self._module, "output"):
            raise AttributeError("this module has no output")
        return self._predict

    def output_shape(self, rows: int) -> tuple[int, ...]:
        """The shape of the output for a batch."""
        return tuple(self._module.output(rows)[-1])

    @alone
    def _predict(self, params: Any, *inputs_and_work: Any, into: DeviceArray | None = None) -> Any:
        """The output, in an array of its own."""
        *inputs, work = inputs_and_work
        with self._forgetting():
            rows = self.run("run_forward", params, inputs, work)
            name, start, shape = self._module.output(rows)
            buffer = work if name == "work" else self._buffers[name]
            if into is not None:
                self.device.copy(into.buffer, self.device.part(buffer, start, into.size))
                self.device.let_go(self._buffers.values())
                return into
            found = np.empty(shape, self._dtype)
            self.device.read(buffer, start, found)
        return found

    @alone
    def loss(self, params: Any, *data_and_work: Any) -> float:
        """The loss, in inference."""
        *data, work = data_and_work
        with self._forgetting():
            self.run("run_loss", params, data, work)
            return self._number(work, getattr(self._module, "INFERENCE_LOSS", self._module.LOSS))

    def training_loss(self, params: Any, *data_and_work: Any) -> float:
        """The loss in training."""
        *data, work = data_and_work
        return self.loss_and_gradients(params, *data, work, None)

    @alone
    def loss_and_gradients(self, params: Any, *given: Any) -> float:
        """The loss in training; its gradients are written to the last argument."""
        *data, work, grads = given
        with self._forgetting():
            self.run("run_gradients", params, data, work, grads)
            if grads is not None:
                self._fetch("grads", grads)
            return self._number(work, self._module.LOSS)

    @alone
    def advance(self, params: Any, *data_and_work: Any) -> None:
        """Assign the network's states what they become in a step, after `loss_and_gradients` for the same data."""
        *data, work = data_and_work
        self.run("run_advance", params, data, work)
        self._fetch("params", params)

    @alone
    def update(self, params: Any, grads: Any, state: Any, hyper: Array, step: int) -> None:
        """One step of the optimizer; `step` counts from 1."""
        flat = state.reshape(-1)
        held = {"params": params, "grads": grads, "state": flat, "scalars": self._scalars(hyper, [step])}
        for name, array in held.items():
            self._put(name, array)
        self._launch("run_update", {})
        for name, array in (("params", params), ("grads", grads), ("state", state)):
            self._fetch(name, array)

    @alone
    def run(self, kernel: str, params: Any, data: Any, work: Any, grads: Any = None) -> int:
        """Launch a kernel for data of one batch, and leave its results on the device; how many rows that has."""
        others = ("work", "grads", "gate", "tables", self._module.BATCH)
        names = [name for name in self._arguments(kernel)[1:] if name not in others]
        self._put("params", params)
        for name, array in zip(names, data, strict=True):
            self._put(name, array)
        rows = self._rows(names, data)
        self._buffers["work"] = work
        if isinstance(grads, DeviceArray):
            self._put("grads", grads)
        else:
            self._buffers["grads"] = self._grads(rows)
        self._launch(kernel, {self._module.BATCH: rows})
        return rows

    def hold(self, array: Any) -> DeviceArray:
        """A copy of an array on the device, labels as int32; one that lies there already is itself."""
        if isinstance(array, DeviceArray):
            return array
        held = self.room(array.shape, np.int32 if array.dtype.kind in "iu" else self._dtype)
        held.fill(array)
        return held

    def room(self, shape: tuple[int, ...], dtype: Any = None) -> DeviceArray:
        """An array on the device, as it is."""
        kind = self._dtype if dtype is None else np.dtype(dtype)
        return DeviceArray(self.device, self.device.buffer(int(np.prod(shape, dtype=np.int64)), kind), shape)

    @alone
    def is_finite(self, array: DeviceArray) -> bool:
        """Whether an array of the device holds neither NaN nor infinity."""
        flaws = self._room("flaws", CHECKING)
        self.device.clear(flaws)
        self._buffers |= {"params": array.buffer, "losses": flaws}
        self._launch("run_finite", {"count": array.size}, CHECKING)
        found = np.empty(CHECKING, self._dtype)
        self.device.read(flaws, 0, found)
        return not found.any()

    @alone
    def fill_noise(self, *given: Any) -> None:
        """Draw the noise of a step, counted from 1, into arrays, from a seed."""
        *arrays, seed, step = given
        names = [name for name in self._arguments("run_noise") if name not in (self._module.BATCH, "seed", "step")]
        for name, array in zip(names, arrays, strict=True):
            self._buffers[name] = array.buffer if isinstance(array, DeviceArray) else self._room(name, array.size)
        self._launch("run_noise", {self._module.BATCH: self._rows(names, arrays), "seed": seed, "step": step})
        for name, array in zip(names, arrays, strict=True):
            self._fetch(name, array)

    @alone
    def epoch(self, params: Any, grads: Any, state: Any, *given: Any) -> tuple[float, int]:
        """Train on the rows `order`, in mini-batches: as the `epoch` of modules for the CPU, in one launch."""
        head = ["params", "grads", "state"]
        names = self._arguments("train")
        data_names = names[len(head) : names.index("order")]
        data, (order, batch, hyper, step, *seed, work) = given[: len(data_names)], given[len(data_names) :]
        counted("the number of rows", self._rows(data_names, data))  # `order` holds numbers of rows
        steps = -(-len(order) // batch)
        scalars = self._scalars(hyper, range(step + 1, step + steps + 1))
        held = dict(zip(head, (params, grads, state.reshape(-1)), strict=True)) | {"scalars": scalars}
        held |= dict(zip(data_names, data, strict=True)) | {"order": np.asarray(order, np.int32)}
        for name, array in held.items():
            self._put(name, array)
        rows = min(batch, len(order))  # what kernels place lies behind what so many take
        for name, (own, growing) in self._module.BATCH_ROWS.items():
            length = own * (rows if growing else 1)
            self._buffers[name] = self._room(name, 2 * (-(-length // HALF) * HALF))
        losses = np.full(steps, np.nan, self._dtype)
        self._put("losses", losses)
        whole = {"count": len(order), "batch": rows, "step": step}
        self._buffers["work"] = work
        kernel, most = "train", None
        if "room" in names:  # each block has a place of its own there
            self._buffers["room"] = self._room("room", self._module.room(rows))
            kernel, most = self._training_of(rows), self._module.PARTS
        self._launch(kernel, whole | ({"seed": seed[0]} if seed else {}), most)
        for name, array in (("params", params), ("grads", grads), ("state", state), ("losses", losses)):
            self._fetch(name, array)
        total = 0.0
        for number, value in enumerate(losses.tolist()):
            if not np.isfinite(value):
                return value, number
            total += value * min(batch, len(order) - number * batch)
        return total, steps

    def _training_of(self, rows: int) -> str:
        """The kernel that trains where each block does everything small for itself, in batches of so many rows."""
        needed = self._module.PARTS
        if rows > self._module.ROWS or getattr(self._kernel("train"), "most_blocks", needed) < needed:
            return "train_in_room"
        return "train"

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

    def _grads(self, rows: int) -> Any:
        places = self._module.gradient_places(rows).values()
        return self._room("grads", max((start + int(np.prod(shape)) for start, shape in places), default=0))
