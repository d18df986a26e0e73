"""A call of a `Function` as PyTorch's autograd records it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ..symbolic.errors import UnsupportedError
from .call_plan import Plan

if TYPE_CHECKING:
    from .torch_function import Function


class _Apply(torch.autograd.Function):
    """One call, as autograd records it."""

    @staticmethod
    def forward(ctx: Any, function: Function, plan: Plan, *tensors: Any) -> Any:
        outputs, (ctx.flat, ctx.work) = function.forward(plan, tensors, keep=True)
        ctx.function, ctx.plan = function, plan
        ctx.save_for_backward(*tensors[: function.saved])
        count = function.pullback.differentiated
        if count < len(outputs):
            ctx.mark_non_differentiable(*outputs[count:])
        ctx.set_materialize_grads(False)
        return outputs

    @staticmethod
    def backward(ctx: Any, *bars: Any) -> Any:
        tensors = ctx.saved_tensors  # an error, if one was changed in the meantime
        if all(bar is None for bar in bars):
            return (None,) * (2 + len(ctx.function.arguments))
        work, ctx.work = ctx.work, None  # a backward pass may overwrite what it reads
        with torch.no_grad():
            found = ctx.function.backward(ctx.plan, tensors, bars, ctx.flat, work)
        if torch.is_grad_enabled():  # create_graph=True: not constants, but what cannot be derived again
            known = [gradient for gradient in found if gradient is not None]
            read = [tensor for tensor in (*tensors, *bars) if tensor is not None]
            after = iter(_underivable(len(known), *known, *read))
            found = [None if gradient is None else next(after) for gradient in found]
        return None, None, *found


class _Underivable(torch.autograd.Function):
    """The first tensors, of which it is an error to take the derivative with respect to the others."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Any) -> Any:
        return tuple(tensor.detach() for tensor in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *bars: Any) -> Any:
        raise UnsupportedError(
            "a gradient by gradloom's kernels cannot be derived again by PyTorch; make the derivative a part of the "
            "network: gl.tangent(…) for one in the loss, gl.hessian_vector(network) for a Hessian product"
        )


applied: Any = _Apply.apply
_underivable: Any = _Underivable.apply
