"""Arrays of other libraries that lie on a GPU, taken where they are: CuPy, PyTorch, JAX, Numba.

By ``__cuda_array_interface__`` (https://nvidia.github.io/numba-cuda/user/cuda_array_interface.html) or DLPack
(https://dmlc.github.io/dlpack), which is told the stream that reads them: it is preferred where the interface does not
name the one that writes. Nothing is converted: what does not fit is refused, with what its library would do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..symbolic.errors import DataError
from .device_arrays import DeviceArray
from .dlpack import MANAGED, ON_GPU, tensor_of


@dataclass(frozen=True)
class _Found:
    """Where an array lies: strides in numbers, None where it is C-contiguous; what keeps it there."""

    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    dtype: np.dtype[Any] | None
    owner: Any


def lies_on_gpu(value: Any) -> bool:
    """Whether an array is one of a GPU's memory."""
    if isinstance(value, np.ndarray | list | tuple | int | float):
        return False
    if isinstance(value, DeviceArray):
        return True
    try:
        if getattr(value, "__cuda_array_interface__", None) is not None:
            return True
    except RuntimeError:  # a tensor of PyTorch that needs a gradient
        return True
    place = _place(value)
    return place is not None and place[0] in (ON_GPU, MANAGED)


def _place(value: Any) -> tuple[int, int] | None:
    """The kind and the number of the device that an array lies on, as DLPack says."""
    place = getattr(value, "__dlpack_device__", None)
    if not callable(place):
        return None
    kind, number = place()
    return int(kind), int(number)


def device_array(name: str, value: Any, dtype: np.dtype[Any], target: str, device: Any = None) -> DeviceArray:
    """An array of a GPU as the data `name`, of exactly this type, without a copy; by default of the first GPU.

    Raises
    ------
    DataError
        If the target is not "cuda", or the array has another type, is masked, not C-contiguous, or on another GPU.
    DeviceError
        If there is no GPU.
    """
    from . import cuda_device

    if target != "cuda":
        raise DataError(
            f"{name} lies on a GPU, and target {target!r} computes on the host; bring it there (x.get() of CuPy, "
            "x.cpu() of PyTorch, numpy.asarray(x) of JAX), or choose target 'cuda'"
        )
    device = cuda_device.default_device() if device is None else device
    if isinstance(value, DeviceArray):
        _check(name, value.dtype, dtype)
        if value.device is not device:
            raise DataError(f"{name} lies on another device than the model computes on; give numpy.asarray({name})")
        return value
    try:
        interface = getattr(value, "__cuda_array_interface__", None)
    except RuntimeError as error:
        raise DataError(f"{name}: {str(error).splitlines()[0]}; give {name}.detach()") from None
    if interface is not None and interface.get("mask") is not None:
        raise DataError(f"{name} is a masked array of a GPU; fill or drop the masked entries")
    if interface is None or ("stream" not in interface and _place(value) == (ON_GPU, device.number)):
        found = _by_dlpack(value, device)
    else:
        found = _by_interface(value, interface, device)
    _check(name, found.dtype, dtype)
    if found.strides is not None and not _runs_on(found.shape, found.strides):
        raise DataError(
            f"{name} is not C-contiguous (shape {found.shape}, strides {found.strides}); give {name}.contiguous() of "
            "PyTorch, or cupy.ascontiguousarray"
        )
    count = math.prod(found.shape)
    if count and device.number_of(found.pointer) != device.number:
        where = device.number_of(found.pointer)
        raise DataError(
            f"{name} lies {'in no memory of a GPU' if where is None else f'on GPU {where}'}; "
            f"the model computes on GPU {device.number}; bring it there"
        )
    return DeviceArray(device, device.buffer_at(found.pointer, count, dtype, found.owner), found.shape)


def _check(name: str, found: np.dtype[Any] | None, dtype: np.dtype[Any]) -> None:
    if found == dtype:
        return
    shown = "numbers that NumPy has no type for" if found is None else str(found)
    other = "" if dtype.kind == "i" else ", or choose the model's dtype to be that"
    raise DataError(
        f"{name} lies on a GPU and holds {shown}; kernels read {dtype} there; convert it: {name}.to(torch.{dtype}) of "
        f"PyTorch, {name}.astype('{dtype}') of CuPy and JAX{other}"
    )


def _runs_on(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether an array is C-contiguous; axes of one number may have any stride."""
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1 and stride != expected:
            return False
        expected *= max(size, 1)
    return True


def _by_interface(value: Any, interface: Mapping[str, Any], device: Any) -> _Found:
    if "stream" not in interface:  # version 2 does not say which stream writes the array, now or later
        ready = getattr(value, "block_until_ready", None)
        if callable(ready):
            ready()
        device.wait_for_all()
    elif interface["stream"] is not None:
        device.wait_for(interface["stream"])
    dtype, strides = np.dtype(interface["typestr"]), interface.get("strides")
    shape = tuple(int(size) for size in interface["shape"])
    if strides is not None:  # in bytes: of a part of larger items they may be no whole number of these
        strides = tuple(step // dtype.itemsize if step % dtype.itemsize == 0 else -1 for step in map(int, strides))
    return _Found(int(interface["data"][0] or 0), shape, strides, dtype, value)


def _by_dlpack(value: Any, device: Any) -> _Found:
    capsule = value.__dlpack__(stream=device.stream)  # its library sees to it that our stream may read it
    tensor = tensor_of(capsule)
    shape = tuple(tensor.shape[: tensor.ndim])
    strides = tuple(tensor.strides[: tensor.ndim]) if tensor.strides else None
    # A capsule that nobody has taken frees what it holds when it is freed itself.
    return _Found((tensor.data or 0) + tensor.byte_offset, shape, strides, tensor.dtype, (value, capsule))
