"""Networks inside of PyTorch: `function` makes one a function of tensors, `Module` a part of a model with parameters.

Kernels that are derived compute the outputs and the gradient: of every argument that requires one, inputs and targets
too, and of no other. Tensors of the host are read where they lie. There are no second derivatives through a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .runtime.pullback import Pullback
from .symbolic.errors import MissingExtraError
from .symbolic.network import Network

try:
    import torch  # noqa: F401 - the library itself: imports are absolute
except ImportError as error:
    raise MissingExtraError('gradloom.torch needs PyTorch: pip install "gradloom[torch]"') from error

from .runtime.torch_function import Function
from .runtime.torch_module import Module

__all__ = ["Function", "Module", "function"]


def function(
    network: Network,
    outputs: Any = None,
    *,
    training: bool = True,
    sizes: Mapping[str, int] | None = None,
    target: str = "cpu",
    checkpoint: int | bool | None = None,
) -> Function:
    """A network as a function of tensors that autograd differentiates.

    Parameters
    ----------
    network : with or without a loss.
    outputs : the name of a tensor, or several; by default the loss, or where there is none the output. A state's name
        stands for what it becomes after a step, which has no gradient.
    training : whether what training computes, or what inference does, where these are others.
    sizes : numbers for symbolic sizes; those not given are read off the tensors.
    target : "cpu", or "numpy" (the readable reference).
    checkpoint : as `Network.compile` takes it.

    Returns
    -------
    A `Function`. Its arguments are, in this order or by name, the inputs, the targets and noise that the outputs depend
    on, the parameters, and the states.

    Raises
    ------
    UndefinedError, UnsupportedError, SizeError
        If an output, a target or a size is not one that there is.

    Examples
    --------
    >>> import torch, gradloom as gl
    >>> net = gl.Network("hinged")
    >>> B, i = gl.dims("B"), gl.indices("i")
    >>> a, y = net.input("a", (B,)), net.target("y", (B,))
    >>> L = net.minimize(gl.Sum(gl.softplus(a[i] - y[i]), i) / B)
    >>> loss = gl.torch.function(net, target="numpy")
    >>> a = torch.zeros(2, requires_grad=True)
    >>> loss(a, torch.zeros(2)).backward()
    >>> a.grad
    tensor([0.2500, 0.2500])
    """
    return Function(Pullback(network, outputs, training=training, sizes=sizes, target=target, checkpoint=checkpoint))
