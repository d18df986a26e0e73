"""Networks inside of JAX: `function` makes one a function of arrays, which `jax.grad` and `jax.jit` take.

The kernels run on the host, by `jax.pure_callback`. There is no forward mode, and no second derivative.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .runtime.call_plan import Plan
from .runtime.pullback import Pullback
from .symbolic.errors import DataError, MissingExtraError
from .symbolic.network import Network

try:
    import jax
    import jax.numpy as jnp
    from jax.custom_derivatives import SymbolicZero
except ImportError as error:
    raise MissingExtraError('gradloom.jax needs JAX: pip install "gradloom[jax]"') from error

__all__ = ["function"]


def function(
    network: Network,
    outputs: Any = None,
    *,
    training: bool = True,
    sizes: Mapping[str, int] | None = None,
    target: str = "cpu",
    checkpoint: int | bool | None = None,
) -> Callable[..., Any]:
    """A network as a function of arrays, with a `jax.custom_vjp`.

    Parameters
    ----------
    network, outputs, training, sizes, target, checkpoint : as `gradloom.torch.function` takes them.

    Returns
    -------
    A function of the inputs, the targets and noise that the outputs depend on, the parameters and the states, in this
    order or by name; it returns an array, or a tuple of them. It works under `jit`, `grad`, `vjp` and `value_and_grad`,
    and under `vmap` by one call after another. The gradient is computed for what is differentiated, and no more; the
    forward pass is computed again for it. `jvp`, `jacfwd` and second derivatives are refused by JAX, with a TypeError
    or a ValueError.

    Raises
    ------
    UndefinedError, UnsupportedError, SizeError
        If an output, a target or a size is not one that there is.
    DataError
        By a call: if an argument is missing, has another shape than declared, another type than the others (all of
        float32 or of float64), or, from inside of the callback, labels out of range.
    UnsupportedError
        By a call: if a state that the outputs depend on is differentiated.

    Examples
    --------
    >>> import jax, gradloom as gl
    >>> net = gl.Network("hinged")
    >>> B, i = gl.dims("B"), gl.indices("i")
    >>> a, y = net.input("a", (B,)), net.target("y", (B,))
    >>> L = net.minimize(gl.Sum(gl.softplus(a[i] - y[i]), i) / B)
    >>> loss = gl.jax.function(net, target="numpy")
    >>> jax.jit(jax.grad(loss))(jax.numpy.zeros(2), jax.numpy.zeros(2))
    Array([0.25, 0.25], dtype=float32)
    """
    pullback = Pullback(network, outputs, training=training, sizes=sizes, target=target, checkpoint=checkpoint)
    real = [tensor.classes is None for tensor in pullback.arguments]
    count = pullback.differentiated

    @jax.custom_vjp
    def call(*arrays: Any) -> Any:
        return _forward(pullback, arrays)

    def forward(*arguments: Any) -> Any:
        pullback.check_constants(
            [at for at, argument in enumerate(arguments) if argument.perturbed], "jax.lax.stop_gradient({})"
        )
        arrays = tuple(argument.value for argument in arguments)
        wrt = _Wrt(at for at, argument in enumerate(arguments) if argument.perturbed and real[at])
        return _forward(pullback, arrays), (arrays, wrt)

    def backward(kept: Any, bars: Any) -> Any:
        arrays, wrt = kept
        bars = [jnp.zeros(bar.shape, bar.dtype) if isinstance(bar, SymbolicZero) else bar for bar in bars[:count]]
        return _backward(pullback, arrays, bars, wrt)

    call.defvjp(forward, backward, symbolic_zeros=True)

    def called(*given: Any, **named: Any) -> Any:
        found = call(*_of_one_type(pullback, pullback.named(given, named)))
        found = (*found[:count], *map(jax.lax.stop_gradient, found[count:]))
        return found[0] if len(found) == 1 else found

    called.__name__ = called.__qualname__ = network.name
    names = ", ".join(tensor.name for tensor in pullback.arguments)
    called.__doc__ = f"({names}) -> {', '.join(tensor.name for tensor in pullback.outputs)}: derived by gradloom."
    return called


_Shape: Any = jax.ShapeDtypeStruct


@jax.tree_util.register_static
class _Wrt(tuple[int, ...]):
    """The places of the arguments that are differentiated: known when a function is traced."""


def _of_one_type(pullback: Pullback, given: Sequence[Any]) -> list[Any]:
    """The arguments as arrays, the real ones all of the same type."""
    arrays = [jnp.asarray(value) for value in given]
    types: dict[Any, str] = {}
    for tensor, array in zip(pullback.arguments, arrays, strict=True):
        if tensor.classes is None and jnp.issubdtype(array.dtype, jnp.floating):
            types.setdefault(array.dtype, tensor.name)
    if len(types) > 1:
        (one, first), (other, second) = list(types.items())[:2]
        raise DataError(
            f"{first} holds {one} and {second} {other}; give all of one type, as in {second}.astype({first}.dtype)"
        )
    dtype, name = next(iter(types.items()), (np.dtype("float32"), ""))
    if dtype not in (np.float32, np.float64):
        raise DataError(f"{name} holds {dtype}; kernels take float32 and float64: give {name}.astype('float32')")
    return [
        array.astype(dtype) if tensor.classes is None and array.dtype != dtype else array
        for tensor, array in zip(pullback.arguments, arrays, strict=True)
    ]


def _plan(pullback: Pullback, arrays: Sequence[Any], wrt: Sequence[int]) -> Plan:
    real = next((a.dtype for t, a in zip(pullback.arguments, arrays, strict=True) if t.classes is None), "float32")
    return pullback.plan([tuple(array.shape) for array in arrays], real, wrt)


def _forward(pullback: Pullback, arrays: Sequence[Any]) -> Any:
    plan = _plan(pullback, arrays, ())

    def run(*given: Any) -> Any:
        flat, data, kept = _read(pullback, plan, given)
        work = plan.kernels.workspace(plan.rows)
        found = pullback.forward(plan, flat, data, work[1])
        plan.kernels.give_back(work)
        del kept
        return tuple(np.asarray(value, plan.dtype) for value in found)

    shapes = tuple(_Shape(shape, plan.dtype) for shape in plan.shapes)
    return jax.pure_callback(run, shapes, *arrays, vmap_method="sequential")


def _backward(pullback: Pullback, arrays: Sequence[Any], bars: Sequence[Any], wrt: Sequence[int]) -> Any:
    plan = _plan(pullback, arrays, wrt)
    found: list[Any] = [None] * len(arrays)
    if not plan.gradients:
        return tuple(found)
    count = len(arrays)

    def run(*given: Any) -> Any:
        flat, data, kept = _read(pullback, plan, given[:count])
        cotangents = [_in_place(np.asarray(bar), plan.dtype) for bar in given[count:]]
        work = plan.kernels.workspace(plan.rows)
        pullback.again(plan, flat, data, work[1])
        gradients = pullback.backward(plan, flat, data, cotangents, work[1])
        plan.kernels.give_back(work)
        del kept
        return tuple(gradient for gradient in gradients if gradient is not None)

    shapes = tuple(_Shape(shape, plan.dtype) for _, _, shape in plan.gradients)
    results = jax.pure_callback(run, shapes, *arrays, *bars, vmap_method="sequential")
    for (place, _, _), gradient in zip(plan.gradients, results, strict=True):
        found[place] = gradient
    return tuple(found)


def _read(pullback: Pullback, plan: Plan, given: Sequence[Any]) -> tuple[Any, list[Any], Any]:
    """The flat buffer, the data, and what keeps them where they are."""
    arrays = [np.asarray(value) for value in given]
    count = len(pullback.data)
    data = [
        _in_place(array, plan.dtype) if tensor.classes is None else array
        for tensor, array in zip(pullback.data, arrays, strict=False)
    ]
    return pullback.packed(plan, arrays[count:]), pullback.checked(plan, data), arrays


def _in_place(array: Any, dtype: np.dtype[Any]) -> Any:
    """A read-only array as one that may be written to, which to Numba is another type; kernels do not write to it."""
    if array.flags.writeable or array.dtype != dtype or not array.flags.c_contiguous or not array.flags.aligned:
        return np.require(array, dtype, ["C", "A", "W"])
    memory = (ctypes.c_char * array.nbytes).from_address(array.ctypes.data)
    return np.frombuffer(memory, dtype).reshape(array.shape)
