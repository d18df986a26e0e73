"""`Pullback`: a network as a pure function of arrays, with its vector-Jacobian product, for other libraries.

Arguments are the data (inputs, targets, noise), the parameters and the states, in this order. What kernels read lies
where the caller has it, but for parameters: they go into one flat buffer, unless they lie in one already.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Integer

from ..codegen.kernel_schedule import check_checkpoint
from ..codegen.layout import make_layout
from ..codegen.sizes import Sizes
from ..symbolic.adopt import copied
from ..symbolic.arguments import check_network
from ..symbolic.axes import check_axes, derived_axes
from ..symbolic.dependence import sources
from ..symbolic.errors import DataError, UnsupportedError
from ..symbolic.network import Network
from ..symbolic.tensors import Tensor
from ..symbolic.vjp import NEXT, as_function, is_next, outputs_of, vjp
from .array_checks import check_declared_sums, checked_labels
from .call_plan import Kernels, Plan
from .compilation import check_choices, check_sizes, compile_network
from .data import check_shape, size_of
from .parameters import Layout, aligned_zeros

Array = NDArray[Any]
TARGETS = ("cpu", "numpy")


class Pullback:
    """A network as a function of arrays.

    Parameters
    ----------
    network, outputs, training : as `vjp` takes them.
    sizes : numbers for symbolic sizes; those not given are read off the arguments.
    target : "cpu" or "numpy".
    checkpoint : as `Network.compile` takes it.

    Attributes
    ----------
    function : the network without loss and modes
    data, parameters, states : its tensors, in the order of arguments
    outputs : the tensors that are returned, what states become last
    differentiated : how many outputs are no states
    reached : of each argument, whether these outputs depend on it
    read_states : the places of the states that they depend on, which are constants to them
    """

    def __init__(
        self,
        network: Network,
        outputs: Any = None,
        *,
        training: bool = True,
        sizes: Mapping[str, int] | None = None,
        target: str = "cpu",
        checkpoint: int | bool | None = None,
    ) -> None:
        check_choices(target, "float64")
        if target not in TARGETS:
            raise UnsupportedError(
                f"target {target!r} is not offered to other libraries; choose from {', '.join(TARGETS)}, and bring "
                "arrays to the host, as in x.cpu()"
            )
        self.network = check_network(network)
        self.training, self.target = training, target
        self.checkpoint = check_checkpoint(checkpoint, target)
        self.sizes = check_sizes({} if sizes is None else sizes)
        self._asked = outputs
        self.function = as_function(network, outputs, training=training)
        self.data, self.parameters, self.states = (
            self.function.inputs,
            self.function.parameters,
            self.function.states,
        )
        self.arguments = [*self.data, *self.parameters, *self.states]
        self.outputs = outputs_of(self.function)
        self.differentiated = sum(not is_next(self.function, tensor) for tensor in self.outputs)
        reached = sources(self.function.equations, self.outputs[: self.differentiated])
        self.reached = [tensor in reached and tensor.role != "state" for tensor in self.arguments]
        self.read_states = [at for at, t in enumerate(self.arguments) if t.role == "state" and t in reached]
        self._batch = self.function.batch
        self._compiled: dict[Any, Kernels] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> Any:
        return _again, (spelled_out(self.network), self._asked, self.training, self.sizes, self.target, self.checkpoint)

    def named(self, given: Sequence[Any], names: Mapping[str, Any]) -> list[Any]:
        """The arguments in order, from those given by place and by name.

        Raises
        ------
        DataError
            If there are too many, one is unknown or given twice, or one is missing.
        """
        order = [tensor.name for tensor in self.arguments]
        listed = ", ".join(order)
        if len(given) > len(order):
            raise DataError(f"{len(given)} arguments were given, but {self.network.name} takes {len(order)}: {listed}")
        found = dict(zip(order, given, strict=False))
        for name, value in names.items():
            if name in found or name not in order:
                what = "was given twice" if name in found else f"is no argument of {self.network.name}"
                raise DataError(f"{name} {what}; it takes {listed}")
            found[name] = value
        missing = [name for name in order if name not in found]
        if missing:
            raise DataError(f"{missing[0]} is not given; {self.network.name} takes {listed}, in this order or by name")
        return [found[name] for name in order]

    def check_constants(self, moved: Sequence[int], mend: str) -> None:
        """
        Raises
        ------
        UnsupportedError
            If a state that the outputs depend on is among the arguments that are differentiated.
        """
        for place in self.read_states:
            if place in moved:
                name = self.arguments[place].name
                raise UnsupportedError(
                    f"{name} is a state of {self.network.name}, of which there is no gradient; "
                    f"{mend.format(name)} makes a constant of it"
                )

    def learn(self, tensors: Sequence[Tensor], shapes: Sequence[tuple[int, ...]]) -> tuple[dict[str, int], int]:
        """The sizes and the number of rows that arguments of these shapes have.

        Raises
        ------
        DataError, SizeError
            If the shapes are not those of the tensors, or differ in the number of rows.
        """
        sizes, batch = dict(self.sizes), self._batch
        first: tuple[str, int] | None = None
        for tensor, shape in zip(tensors, shapes, strict=True):
            check_shape(tensor, np.broadcast_to(np.float64(0), shape), sizes, self.function)
            if tensor.rank and batch is not None and tensor.shape[0] == batch:
                first = first or (tensor.name, shape[0])
                if shape[0] != first[1]:
                    raise DataError(
                        f"{tensor.name} has {shape[0]} rows and {first[0]} has {first[1]}; give the same number of each"
                    )
            if batch is not None:
                sizes.pop(batch.name, None)
        rows = first[1] if first else 1
        if batch is not None and first is not None and derived_axes(self.function, batch):
            check_axes(self.function, {**sizes, batch.name: rows})
        return sizes, rows

    def plan(self, shapes: Sequence[tuple[int, ...]], dtype: Any, wrt: Sequence[int]) -> Plan:
        """What is to be called for arguments of these shapes, to differentiate with respect to those at places `wrt`.

        What is not compiled yet is compiled: anew for other sizes but those of the batch, types, and sets of gradients.
        """
        dtype = np.dtype(check_choices(self.target, dtype))
        sizes, rows = self.learn(self.arguments, shapes)
        names = tuple(self.arguments[place].name for place in wrt if self.reached[place])
        kernels = self._kernels(sizes, dtype.name, names, rows)
        places = kernels.module.gradient_places(rows) if names else {}
        facts = {fact.tensor.name for fact in kernels.network.facts}
        every = {**sizes, **({} if self._batch is None else {self._batch.name: rows})}
        numbered = list(enumerate(self.data))
        return Plan(
            kernels,
            rows,
            dtype,
            tuple((at, size_of(t.classes, every, t.name)) for at, t in numbered if t.classes is not None),
            tuple(at for at, tensor in numbered if tensor.name in facts),
            tuple((at, *places[t.name]) for at, t in enumerate(self.arguments) if t.name in places),
            max((offset + math.prod(shape) for offset, shape in places.values()), default=0),
            tuple(tuple(size_of(size, every) for size in tensor.shape) for tensor in self.outputs),
        )

    def _kernels(self, sizes: Mapping[str, int], dtype: str, names: tuple[str, ...], rows: int) -> Kernels:
        tensors = self.function.tensors.values()
        own = {symbol.name for t in tensors for size in (*t.shape, t.classes) for symbol in _symbols(size)}
        used = {name: size for name, size in sizes.items() if name in own}
        key = (tuple(sorted(used.items())), dtype, names)
        with self._lock:
            if key not in self._compiled:
                network = self.function
                if names:
                    outputs = [tensor.name.removesuffix(NEXT) for tensor in self.outputs]
                    network = vjp(self.network, outputs, names, training=self.training)
                program = compile_network(
                    network,
                    target=self.target,
                    dtype=dtype,
                    batch=rows,
                    sizes=used,
                    wrt=names or None,
                    checkpoint=self.checkpoint if names else None,
                    valued=not names,
                )
                team = () if self.target == "numpy" else (0, 1, None)
                self._compiled[key] = Kernels(network, program.module, team)
            return self._compiled[key]

    def layout(self, sizes: Mapping[str, int]) -> Layout:
        """Where parameters and states lie in the flat buffer, name → offset and shape."""
        own = [*self.parameters, *self.states]
        numbers = {s: Integer(size_of(s, sizes, t.name)) for t in own for size in t.shape for s in _symbols(size)}
        made = make_layout(self.function, Sizes(self._batch, numbers), {}, None)
        return {name: (int(place.offset), tuple(map(int, place.shape))) for name, place in made.parameters.items()}

    # ---- calling ---------------------------------------------------------------------------------------------------

    def checked(self, plan: Plan, data: Sequence[Array]) -> list[Array]:
        """Data whose labels are in range, and whose sums are those declared.

        Raises
        ------
        DataError
            If they are not.
        """
        found = list(data)
        for place, classes in plan.labels:
            found[place] = checked_labels(self.data[place].name, found[place], classes)
        for place in plan.summed:
            check_declared_sums(self.data[place], found[place], plan.kernels.network)
        return found

    def forward(self, plan: Plan, flat: Array, data: Sequence[Array], work: Any) -> tuple[Any, ...]:
        """The outputs, those with axes in arrays of their own; `work` keeps what `backward` reads."""
        found = plan.kernels.module.predict(flat, *data, work)
        found = found if isinstance(found, tuple) else (found,)
        return found if self.target == "cpu" else tuple(map(np.array, found))

    def backward(self, plan: Plan, flat: Array, data: Sequence[Array], bars: Sequence[Array], work: Any) -> list[Any]:
        """The products of `bars`, the cotangents of the outputs, with the Jacobians, once after `forward`.

        One for each argument, None where it was not asked for; they are views of one new buffer.
        """
        kernels = plan.kernels
        grads = np.empty(plan.count, plan.dtype)
        kernels.module.backward(flat, *data, *bars, work, grads, *kernels.team)
        found: list[Any] = [None] * len(self.arguments)
        for place, offset, shape in plan.gradients:
            found[place] = grads[offset : offset + math.prod(shape)].reshape(shape)
        return found

    def again(self, plan: Plan, flat: Array, data: Sequence[Array], work: Any) -> None:
        """Fill `work` once more, after a `backward` that has used it up."""
        plan.kernels.module.forward(flat, *data, work, *plan.kernels.team)

    def packed(self, plan: Plan, values: Sequence[Array]) -> Array:
        """Parameters and states in a flat buffer of their own."""
        places = [plan.kernels.module.PARAMETERS[t.name] for t in (*self.parameters, *self.states)]
        flat = aligned_zeros(max((at + math.prod(shape) for at, shape in places), default=0), plan.dtype)
        for (at, shape), value in zip(places, values, strict=True):
            flat[at : at + math.prod(shape)] = value.reshape(-1)
        return flat


def spelled_out(network: Network) -> Network:
    """A network without the layers that have made it, which a file need not hold."""
    made: Network = copied(network, network.name)
    vars(made).pop("layers", None)
    return made


def _again(network: Network, outputs: Any, training: bool, sizes: Any, target: str, checkpoint: Any) -> Pullback:
    return Pullback(network, outputs, training=training, sizes=sizes, target=target, checkpoint=checkpoint)


def _symbols(size: Any) -> Any:
    return getattr(size, "free_symbols", ())
