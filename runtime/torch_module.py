"""`Module`: a network as a `torch.nn.Module`, whose parameters lie in the one buffer that kernels read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..symbolic.errors import DataError, NameTakenError, UnsupportedError
from ..symbolic.network import Network
from .data import size_of
from .model import Model
from .parameters import Parameters
from .pullback import TARGETS, Pullback, spelled_out
from .torch_function import REAL, TORCH, Function, outside


class Module(torch.nn.Module):
    """A network as a part of a PyTorch model: its parameters are named as the network's, its states are buffers.

    It is called with the inputs, and the targets that the outputs depend on, in this order or by name. In training
    noise is drawn from PyTorch's generator, and the states change with each call; `eval` chooses inference.

    Parameters
    ----------
    network : with or without a loss.
    outputs : the name of a tensor, or several; by default the loss, or where there is none the output.
    seed : of the initial parameters, which are those of a `Model` of the same seed; None takes a new one.
    dtype : torch.float32 or torch.float64; by default PyTorch's own.
    sizes : numbers for symbolic sizes; those of parameters must be given, others are read off the inputs.
    target : "cpu", or "numpy" (the readable reference).
    checkpoint : as `Network.compile` takes it.

    Raises
    ------
    SizeError
        If a size of a parameter has no number.
    NameTakenError
        If a parameter has the name of an attribute of `torch.nn.Module`.
    UndefinedError, UnsupportedError
        If an output, the target or the type is not one that there is.

    Examples
    --------
    >>> import torch, gradloom as gl
    >>> net = gl.Sequential([gl.layers.Dense(3, gl.tanh)], input_shape=5)
    >>> model = torch.nn.Sequential(gl.torch.Module(net, target="numpy"), torch.nn.Linear(3, 1))
    >>> [name for name, parameter in model.named_parameters()]
    ['0.W1', '0.b1', '1.weight', '1.bias']
    >>> model(torch.zeros(7, 5)).shape
    torch.Size([7, 1])
    """

    def __init__(
        self,
        network: Network,
        outputs: Any = None,
        *,
        seed: int | None = 0,
        dtype: Any = None,
        sizes: Mapping[str, int] | None = None,
        target: str = "cpu",
        checkpoint: int | bool | None = None,
    ) -> None:
        super().__init__()
        options: Any = {"sizes": sizes, "target": target, "checkpoint": checkpoint}
        inference = Pullback(network, outputs, training=False, **options)
        names = [tensor.name for tensor in inference.outputs]
        self._assigned = [equation.target.name for equation in network.assignments]
        training = inference
        if network.has_modes:
            training = Pullback(network, [*names, *self._assigned], training=True, **options)
        self.network, self.seed = network, seed
        self._functions = {True: Function(training), False: Function(inference)}
        self._noises = {tensor.name for tensor in network.noises}
        # Data of either mode: a target may be needed in training alone.
        both = {tensor.name: tensor for one in (inference, training) for tensor in one.data}
        self._data = [t.name for t in (*network.inputs, *network.targets) if t.name in both]
        self._shapes: dict[Any, list[tuple[int, ...]]] = {}
        dtype = torch.get_default_dtype() if dtype is None else dtype
        if dtype not in REAL:
            raise UnsupportedError(f"dtype {dtype} is not offered; choose torch.float32 or torch.float64")
        values = Parameters(training.layout(training.sizes), REAL[dtype])
        rng, _ = np.random.SeedSequence(seed).spawn(2)
        values.initialize(network, np.random.default_rng(rng))
        self._layout = values.layout
        for tensor in (*network.parameters, *network.states):
            if hasattr(self, tensor.name):
                raise NameTakenError(
                    f"{tensor.role} {tensor.name} has the name of an attribute of torch.nn.Module; call it otherwise"
                )
            value = torch.from_numpy(values[tensor.name])
            if tensor.role == "state":
                self.register_buffer(tensor.name, value)
            else:
                trained = tensor.name not in network.frozen
                self.register_parameter(tensor.name, torch.nn.Parameter(value, requires_grad=trained))
        self._gather()

    def _gather(self) -> None:
        """Put parameters and buffers into one tensor, laid out as kernels expect: they are then read where they lie."""
        own = {name: getattr(self, name) for name in self._layout}
        is_shared = any(tensor.is_cpu and tensor.is_shared() for tensor in own.values())
        if is_shared and len({tensor.untyped_storage().data_ptr() for tensor in own.values()}) == 1:
            return  # of another process: a copy would no longer be shared
        if len({(tensor.dtype, tensor.device) for tensor in own.values()}) == 1:
            first = next(iter(own.values()))
            flat = torch.empty(sum(tensor.numel() for tensor in own.values()), dtype=first.dtype, device=first.device)
            if is_shared:
                flat.share_memory_()  # type: ignore[no-untyped-call]
            for name, (at, shape) in self._layout.items():
                view = flat[at : at + math.prod(shape)].view(shape)
                view.copy_(own[name].detach())
                own[name].data = view

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """What `to`, `double` and their like do, each tensor by itself."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._gather()
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "network": spelled_out(self.network)}

    def __setstate__(self, state: Any) -> None:
        """A copy, or what was read of a file: each tensor comes by itself."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._gather()

    @classmethod
    def from_model(cls, model: Model, outputs: Any = None) -> Module:
        """A module with a copy of a model's parameters and states, of its sizes, type and target."""
        made = cls(
            model.network,
            outputs,
            seed=model.seed,
            dtype=TORCH[np.dtype(model.dtype)],
            sizes=model.sizes,
            target=model.target if model.target in TARGETS else "cpu",
            checkpoint=model.checkpoint,
        )
        made.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in model.params.items()})
        return made

    def to_model(self) -> Model:
        """A `Model` with a copy of the parameters and states."""
        pullback = self._functions[True].pullback
        values = {name: value.detach().cpu().numpy() for name, value in self.state_dict().items()}
        dtype = next((value.dtype.name for value in values.values()), "float32")
        model = Model(self.network, self.seed, pullback.target, dtype, pullback.sizes, checkpoint=pullback.checkpoint)
        model.params.fill(values)
        return model

    def forward(self, *given: Any, **named: Any) -> Any:
        """The outputs: a tensor, or a tuple of them; for the arguments, see the class.

        Raises
        ------
        DataError
            As `Function` says.
        """
        if torch.compiler.is_compiling():
            return outside(self.forward, given, named)
        function = self._functions[self.training]
        pullback = function.pullback
        data = self._named(given, named)
        noises = [tensor for tensor in pullback.data if tensor.name in self._noises]
        own = [getattr(self, tensor.name) for tensor in pullback.parameters]
        states = [getattr(self, tensor.name) for tensor in pullback.states]
        if noises:
            dtype = next((t.dtype for t in (*own, *data.values()) if t.is_floating_point()), torch.float32)
            dtype = dtype if dtype in REAL else torch.float32  # halves, under autocast
            data |= self._drawn(pullback, noises, data, dtype)
        arguments = [data[tensor.name] for tensor in pullback.data]
        kept = [state.clone() for state in states] if pullback.read_states else states
        found = function.run([*arguments, *own, *kept])
        if not (self.training and self._assigned):
            return found
        outputs, following = found[: -len(self._assigned)], found[-len(self._assigned) :]
        with torch.no_grad():
            for name, value in zip(self._assigned, following, strict=True):
                getattr(self, name).copy_(value)
        return outputs[0] if len(outputs) == 1 else outputs

    def _named(self, given: Any, named: Mapping[str, Any]) -> dict[str, Any]:
        listed = ", ".join(self._data)
        if len(given) > len(self._data):
            raise DataError(f"{len(given)} arguments were given, but {self.network.name} takes {listed}")
        found = dict(zip(self._data, given, strict=False))
        for name, value in named.items():
            if name in found or name not in self._data:
                what = "was given twice" if name in found else f"is no argument of {self.network.name}"
                raise DataError(f"{name} {what}; it takes {listed}")
            found[name] = value
        missing = [tensor.name for tensor in self._functions[self.training].pullback.data if tensor.name in self._data]
        missing = [name for name in missing if name not in found]
        if missing:
            raise DataError(f"{missing[0]} is not given; {self.network.name} takes {listed}, in this order or by name")
        return found

    def _drawn(self, pullback: Pullback, noises: Any, data: Mapping[str, Any], dtype: Any) -> dict[str, Any]:
        """Noise by name, of as many rows as the data have."""
        tensors = [tensor for tensor in pullback.data if tensor.name in data]
        key = tuple([tuple(data[tensor.name].shape) for tensor in tensors])
        if key not in self._shapes:
            sizes, rows = pullback.learn(tensors, key)
            batch = pullback.function.batch
            every = {**sizes, **({} if batch is None else {batch.name: rows})}
            self._shapes[key] = [tuple(size_of(size, every, t.name) for size in t.shape) for t in noises]
        return {t.name: torch.rand(shape, dtype=dtype) for t, shape in zip(noises, self._shapes[key], strict=True)}

    def extra_repr(self) -> str:
        return repr(self._functions[True])[1:-1]
