"""One network as a function of PyTorch's tensors: what `gradloom.torch` hands out.

Tensors of the host are read where they lie. A call takes a workspace, which keeps the activations until the backward
pass has used them; kernels are looked up by the shapes and types of the arguments, and by which need a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

from ..symbolic.errors import DataError, UnsupportedError
from .call_plan import Plan
from .pullback import Pullback
from .torch_autograd import applied

REAL = {torch.float32: np.dtype("float32"), torch.float64: np.dtype("float64")}
TORCH = {kind: dtype for dtype, kind in REAL.items()}
PLANS = 1000  # of a function: more shapes than that are planned anew


class Function:
    """What `function` returns: call it with tensors, from several threads if you like: a call has its own workspace.

    Attributes
    ----------
    arguments : their names, in order
    outputs : the names of what it returns: a tensor, or a tuple of them

    Raises
    ------
    DataError
        By a call: if an argument is missing, lies on another device, has another shape than declared or another type
        than the others (all of float32 or of float64; under autocast halves become float32), or holds labels out of
        range.
    UnsupportedError
        By a call: if a state that the outputs depend on requires a gradient.
    """

    def __init__(self, pullback: Pullback) -> None:
        self.pullback = pullback
        self.arguments = [tensor.name for tensor in pullback.arguments]
        self.outputs = [tensor.name for tensor in pullback.outputs]
        self._real = [tensor.classes is None for tensor in pullback.arguments]
        self._plans: dict[Any, Plan] = {}
        self._buffers: dict[int, tuple[list[int], Any]] = {}
        count = len(pullback.data) + len(pullback.parameters)
        self.saved = len(self.arguments) if pullback.read_states else count  # what backward reads

    def __deepcopy__(self, memo: Any) -> Function:
        return self  # which knows no tensor's values

    def __reduce__(self) -> Any:
        return Function, (self.pullback,)

    def __call__(self, *given: Any, **named: Any) -> Any:
        if torch.compiler.is_compiling():
            return outside(self, given, named)
        tensors = given if len(given) == len(self.arguments) and not named else self.pullback.named(given, named)
        return self.run(tensors)

    def run(self, tensors: Sequence[Any]) -> Any:
        """The outputs for all arguments, in order."""
        if _is_tracing():  # which would keep these outputs as constants
            raise UnsupportedError(
                f"torch.jit.trace, and exports that go by it, cannot see into {self.pullback.network.name}; "
                "gl.to_onnx exports networks by their equations"
            )
        ready = [
            value
            if isinstance(value, torch.Tensor)
            and value.is_cpu
            and value.layout is torch.strided
            and (value.dtype in REAL or not real)
            else self._as_tensor(name, value, real)
            for name, value, real in zip(self.arguments, tensors, self._real, strict=True)
        ]
        wrt: tuple[int, ...] = ()
        if torch.is_grad_enabled():
            wrt = tuple([at for at, tensor in enumerate(ready) if tensor.requires_grad])
        key = (*[tensor.shape for tensor in ready], *[tensor.dtype for tensor in ready], wrt)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plan(key, ready, wrt)
        # In forward mode even without a gradient: PyTorch then says that there is none, where tangents would be lost.
        is_recorded = plan.gradients or forward_ad._current_level >= 0
        found = applied(self, plan, *ready) if is_recorded else self.forward(plan, ready)[0]
        return found[0] if len(found) == 1 else found

    def _as_tensor(self, name: str, value: Any, real: bool) -> Any:
        """An argument that is no tensor of float32 or float64 on the host, as one, or as one of integers."""
        if not isinstance(value, torch.Tensor):
            value = torch.as_tensor(value)
        if not value.is_cpu:
            raise DataError(
                f"{name} lies on {value.device}; these kernels run on the host: give {name}.cpu(), or train on a GPU "
                "by gl.Model(…, target='cuda')"
            )
        if value.layout is not torch.strided:
            raise DataError(f"{name} is {value.layout}; kernels read dense tensors: give {name}.to_dense()")
        if value.is_complex():
            raise DataError(f"{name} holds {value.dtype}; expected real numbers; give {name}.real")
        if real and value.is_floating_point() and value.dtype not in REAL:
            if not torch.is_autocast_enabled("cpu"):
                raise DataError(f"{name} holds {value.dtype}; kernels take float32 and float64: give {name}.float()")
            return value.float()
        return value

    def _plan(self, key: Any, tensors: Sequence[Any], wrt: tuple[int, ...]) -> Plan:
        types: dict[Any, str] = {}
        for name, real, tensor in zip(self.arguments, self._real, tensors, strict=True):
            if real and tensor.is_floating_point():
                types.setdefault(tensor.dtype, name)
        if len(types) > 1:
            (one, first), (other, second) = list(types.items())[:2]
            raise DataError(f"{first} holds {one} and {second} {other}; give all of one type, as in {second}.to({one})")
        dtype = REAL[next(iter(types), torch.float32)]
        self.pullback.check_constants(wrt, "{}.detach()")
        if len(self._plans) >= PLANS:
            self._plans.clear()
        made = self.pullback.plan([tuple(tensor.shape) for tensor in tensors], dtype, wrt)
        self._plans[key] = made
        return made

    # ---- what autograd calls ---------------------------------------------------------------------------------------

    def forward(self, plan: Plan, tensors: Sequence[Any], keep: bool = False) -> tuple[tuple[Any, ...], Any]:
        """The outputs, and with `keep` what `backward` needs: the flat buffer and the workspace."""
        flat, data = self.flat(plan, tensors), self.pullback.checked(plan, self.data(plan, tensors))
        work = plan.kernels.workspace(plan.rows)
        found = self.pullback.forward(plan, flat, data, work[1])
        outputs = tuple(
            [
                torch.from_numpy(value) if shape else torch.tensor(value, dtype=TORCH[plan.dtype])
                for value, shape in zip(found, plan.shapes, strict=True)
            ]
        )
        if keep:
            return outputs, (flat, work)
        plan.kernels.give_back(work)
        return outputs, None

    def backward(self, plan: Plan, tensors: Sequence[Any], bars: Sequence[Any], flat: Any, work: Any) -> list[Any]:
        """The gradient of every argument, or None; without a workspace of `forward`, that is computed again."""
        data = self.data(plan, tensors)
        if work is None:
            work = plan.kernels.workspace(plan.rows)
            self.pullback.again(plan, flat, data, work[1])
        arrays = [
            np.zeros(shape, plan.dtype) if bar is None else _array(bar, plan.dtype)
            for bar, shape in zip(bars, plan.shapes[: self.pullback.differentiated], strict=False)
        ]
        found = self.pullback.backward(plan, flat, data, arrays, work[1])
        plan.kernels.give_back(work)
        return [None if gradient is None else torch.from_numpy(gradient) for gradient in found]

    def data(self, plan: Plan, tensors: Sequence[Any]) -> list[Any]:
        """The data as arrays, which are the tensors' own memory wherever that is as kernels read it."""
        count = len(self.pullback.data)
        return [
            _array(tensor, plan.dtype) if real else _labels(tensor)
            for tensor, real in zip(tensors[:count], self._real, strict=False)
        ]

    def flat(self, plan: Plan, tensors: Sequence[Any]) -> Any:
        """Parameters and states in one buffer: the one that they lie in, or a copy."""
        own = tensors[len(self.pullback.data) :]
        if not own:
            return _NOTHING[plan.dtype]
        # Which keep what lies there; other sizes have other kernels, and another layout.
        pointers, flat = self._buffers.get(id(plan.kernels), (None, None))
        found = [tensor.data_ptr() for tensor in own]
        if found == pointers and all(tensor.is_contiguous() for tensor in own):
            return flat
        flat = shared_buffer(own, self.arguments[len(self.pullback.data) :], plan)
        if flat is None:
            return self.pullback.packed(plan, [_array(tensor, plan.dtype) for tensor in own])
        self._buffers[id(plan.kernels)] = found, flat
        return flat

    def __repr__(self) -> str:
        return f"<{self.pullback.network.name}({', '.join(self.arguments)}) -> {', '.join(self.outputs)}>"


def _array(tensor: Any, dtype: np.dtype[Any]) -> Any:
    """A tensor as a C-contiguous array, without a copy where it is one."""
    array = tensor.detach().contiguous().resolve_neg().numpy()
    return array if array.dtype == dtype else array.astype(dtype)


def _labels(tensor: Any) -> Any:
    """Integers as kernels take them; of real numbers, which are refused later, nothing is cut off."""
    whole = tensor if tensor.is_floating_point() else tensor.to(torch.int64)
    return whole.detach().contiguous().numpy()


_NOTHING = {kind: np.zeros(0, kind) for kind in TORCH}


def shared_buffer(tensors: Sequence[Any], names: Sequence[str], plan: Plan) -> Any:
    """The buffer that tensors lie in just as kernels expect, or None."""
    layout, size = plan.kernels.module.PARAMETERS, plan.dtype.itemsize
    if any(tensor.dtype != TORCH[plan.dtype] or not tensor.is_contiguous() for tensor in tensors):
        return None
    storage = tensors[0].untyped_storage()
    start = tensors[0].data_ptr() - layout[names[0]][0] * size
    for name, tensor in zip(names, tensors, strict=True):
        is_there = tensor.data_ptr() == start + layout[name][0] * size
        if not is_there or tensor.untyped_storage().data_ptr() != storage.data_ptr():
            return None
    offset, count = start - storage.data_ptr(), sum(tensor.numel() for tensor in tensors)
    if offset < 0 or offset % size or offset + count * size > storage.nbytes():
        return None
    return torch.empty(0, dtype=TORCH[plan.dtype]).set_(storage, offset // size, (count,), (1,)).numpy()


_is_tracing: Any = torch.jit.is_tracing  # type: ignore[attr-defined]
_disabled: Any = torch._disable_dynamo  # type: ignore[attr-defined]


def _called(callable_: Any, given: Any, named: Any) -> Any:
    """A call that torch.compile leaves as it is, between two of its graphs."""
    return callable_(*given, **named)


outside = _disabled(_called)  # torch.compiler.disable would import the compiler at once, which takes seconds
