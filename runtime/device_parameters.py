"""`DeviceParameters`: parameters, or gradients, by name, in one buffer of a device."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..symbolic.errors import ShapeError
from .device_arrays import DeviceArray
from .foreign_arrays import device_array, lies_on_gpu
from .parameters import Layout, Parameters


class DeviceParameters(Parameters):
    """Named arrays of a device that are parts of one buffer there.

    Each can be had by other libraries without a copy, as `DeviceArray` says. Writing to a name copies an array here, of
    the host or of the GPU, where it must be of the same type.

    Parameters
    ----------
    layout : name → (offset, shape) in the buffer.
    flat : the buffer.
    """

    def __init__(self, layout: Layout, flat: DeviceArray) -> None:
        super().__init__(layout, flat.dtype, flat)

    def __setitem__(self, name: str, value: Any) -> None:
        view: DeviceArray = self[name]
        found = self.as_array(name, value)
        if found.shape != view.shape:
            raise ShapeError(f"{name} has shape {view.shape}, found an array of shape {found.shape}")
        view.fill(found)

    def as_array(self, name: str, value: Any) -> Any:
        if not lies_on_gpu(value):
            return np.asarray(value)
        return device_array(name, value, self.flat.dtype, "cuda", self.flat.device)

    def copy(self) -> DeviceParameters:
        return DeviceParameters(self.layout, self.flat.copy())
