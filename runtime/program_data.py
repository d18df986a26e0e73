"""`ProgramData`: what a program is handed, parameters, data and noise: checked, and put where its kernels are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..symbolic.errors import DataError, ShapeError, UnsupportedError
from ..symbolic.network import Network
from ..symbolic.tensors import Direction, Tensor
from .data import Data, check_data, size_of
from .device_arrays import DeviceArray
from .device_parameters import DeviceParameters
from .foreign_arrays import device_array, lies_on_gpu
from .parameters import Parameters, size_of_layout

Array = NDArray[Any]


class ProgramData:
    """The part of a `Program` that calls no kernel but those that draw noise; its attributes are the program's."""

    network: Network
    module: Any
    target: str
    dtype: np.dtype[Any]
    sizes: dict[str, int]
    seed: int
    step: int
    turn: RLock
    _held: Any

    def flat(self, params: Any) -> Any:
        """The flat buffer for `params`: itself, if it is one already, or a copy; on the GPU, if they lie there.

        A derivative takes the parameters of its network as they are: states that it does not read are passed over.
        """
        layout = self.module.PARAMETERS
        if isinstance(params, Parameters) and params.layout == layout:
            params = params.flat
        if isinstance(params, Mapping):
            params = {name: value for name, value in params.items() if name not in self.network.left_out}
        if self.target == "cuda" and any(
            map(lies_on_gpu, params.values() if isinstance(params, Mapping) else [params])
        ):
            return self._flat_there(params)
        made = Parameters(layout, self.dtype)
        if isinstance(params, np.ndarray) and params.dtype == self.dtype and params.shape == made.flat.shape:
            return np.ascontiguousarray(params)
        made.fill(params)
        return made.flat

    def _flat_there(self, params: Any) -> DeviceArray:
        layout = self.module.PARAMETERS
        if isinstance(params, Mapping):
            made = DeviceParameters(layout, self.module.room((size_of_layout(layout),)))
            made.fill(params)
            flat: DeviceArray = made.flat
            return flat
        found = device_array("params", params, self.dtype, self.target, self.module.device)
        if found.shape != (size_of_layout(layout),):
            raise ShapeError(f"params has shape {found.shape}; its flat buffer is {size_of_layout(layout)} numbers")
        return found

    def check(self, data: Iterable[Any], named: Mapping[str, Any], wanted: list[Tensor] | None = None) -> Data:
        """Check data given by position or by name; by default all of the network's inputs and targets."""
        tensors = self.network.inputs + self.network.targets if wanted is None else wanted
        tensors = sorted(tensors, key=lambda tensor: isinstance(tensor, Direction))  # behind the data of the network
        given = list(data)
        names = ", ".join(tensor.name for tensor in tensors)
        if len(given) > len(tensors):
            raise DataError(f"{len(given)} arrays were given, but {self.network.name} takes {len(tensors)}: {names}")
        values = {tensor.name: array for tensor, array in zip(tensors, given, strict=False)}
        for name, array in named.items():
            if name in values or name not in {tensor.name for tensor in tensors}:
                what = "was given twice" if name in values else f"is not data of this network; it takes {names}"
                raise DataError(f"{name} {what}")
            values[name] = array
        missing = [tensor.name for tensor in tensors if tensor.name not in values]
        if missing:
            raise DataError(f"{missing[0]} has no data; give {names}, in this order or by name")
        return check_data(self.network, values, self.dtype, dict(self.sizes), self.target)

    def noise(
        self,
        rows: int,
        given: Mapping[str, Any] | None = None,
        *,
        seed: int | None = None,
        step: int | None = None,
        on_device: bool = False,
    ) -> tuple[Any, ...]:
        """The network's noise for `rows` rows, an array each: what is `given` by name, checked, the rest drawn.

        What is drawn is a function of the seed and the number of the step, by default those of the program; it is left
        on the GPU, if that is asked for.
        """
        if on_device:
            self._need_device()
        noises, batch = self.network.noises, self.network.batch
        if not noises:
            return ()
        sizes = {**self.sizes, **({} if batch is None else {batch.name: rows})}
        shapes = [tuple(size_of(size, sizes, tensor.name) for size in tensor.shape) for tensor in noises]
        empty = self.module.room if on_device else partial(np.empty, dtype=self.dtype)
        arrays = {tensor.name: empty(shape) for tensor, shape in zip(noises, shapes, strict=True)}
        drawn_from = (self.seed if seed is None else seed, self.step if step is None else step)
        self.module.fill_noise(*arrays.values(), *drawn_from)
        found = check_data(self.network, given or {}, self.dtype, sizes, self.target)
        for tensor, array in zip(found.tensors, found.arrays, strict=True):
            if array.shape != arrays[tensor.name].shape:
                raise DataError(f"noise {tensor.name} has {len(array)} rows and the data have {rows}; give as many")
            arrays[tensor.name] = array
        return tuple(arrays.values())

    # ---- where the kernels are --------------------------------------------------------------------------------------

    def on_device(self, params: Any) -> Parameters:
        """A copy of parameters on the GPU, which all calls take as they take those of the host (target "cuda").

        Each array can be had by other libraries without a copy, and ``held["W1"] = array`` sets one, from the host or
        from the GPU; ``model.params.fill(held)`` brings all back to a model.

        Raises
        ------
        UnsupportedError
            If the target is another.
        DataError, ShapeError, UndefinedError
            If they are not the parameters of the network.
        """
        self._need_device()
        flat = self.flat(params)
        held = flat.copy() if isinstance(flat, DeviceArray) else self.module.hold(flat)
        return DeviceParameters(self.module.PARAMETERS, held)

    def hold(self, data: Data) -> Data:
        """Data that many calls are to take, where the kernels are: copied to the device once, if there is one."""
        if self.target != "cuda":
            return data
        arrays = tuple(self.module.hold(a) for a in data.arrays)
        return Data(data.tensors, arrays, data.batched, data.rows)

    def hold_flat(self, flat: Array) -> Any:
        """The same for the flat buffer of the parameters; the next such call writes over what this one gave."""
        if self.target != "cuda" or isinstance(flat, DeviceArray):
            return flat
        with self.turn:
            if self._held is None:
                self._held = self.module.room(flat.shape)
            self._held.fill(flat)
            return self._held

    def _need_device(self) -> None:
        if self.target != "cuda":
            raise UnsupportedError(
                f"target {self.target!r} computes on the host, and its arrays lie there; leave on_device out, or "
                "choose target 'cuda'"
            )
