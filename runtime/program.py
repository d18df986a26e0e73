"""`Program`: a network's generated kernels, loaded, with checked and convenient calls around them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..codegen.kernel_schedule import KernelSchedule, as_schedule, check_precision
from ..codegen.sizes import usual_rows
from ..symbolic.errors import DataError, LossError, SizeError, UndefinedError, UnsupportedError
from ..symbolic.network import Network
from ..symbolic.second_order import hessian_vector
from ..symbolic.tensors import Direction, Tensor
from .cache import load_module
from .data import Data, check_data, size_of
from .hessian_blocks import LIMIT, hessian_blocks
from .kept_sources import generated_source
from .parameters import Parameters
from .threads import Team, operations_per_row, team_for

Array = NDArray[Any]
TARGETS = ("cpu", "cuda", "numpy")
DTYPES = ("float32", "float64")


class Program:
    """The compiled kernels of one network, made by `Network.compile`.

    Attributes
    ----------
    source : the generated module, readable and standalone
    module : the same, loaded
    network, target, dtype, sizes, optimizer : what it was generated from
    batch : about how many rows of a batch the kernels were chosen for
    seed, step : what noise is drawn from where none is given; the same numbers until one of them is changed

    Examples
    --------
    >>> import gradloom as gl
    >>> net = gl.Network("product")
    >>> x, y, z = (net.input(name) for name in "xyz")
    >>> f = net.minimize((x + y) * z, name="f")
    >>> program = net.compile(target="numpy", dtype="float64")
    >>> value, gradients = program.loss_and_gradients({}, x=-2, y=5, z=-4)
    >>> value, {name: float(gradient) for name, gradient in gradients.items()}
    (-12.0, {'x': -4.0, 'y': -4.0, 'z': 3.0})
    """

    def __init__(
        self,
        network: Network,
        source: str,
        module: Any,
        *,
        target: str,
        dtype: str,
        sizes: Mapping[str, int],
        optimizer: Any = None,
        batch: int = 1,
    ) -> None:
        self.network = network
        self.source = source
        self.module = module
        self.target = target
        self.dtype = np.dtype(dtype)
        self.sizes = dict(sizes)
        self.optimizer = optimizer
        self.seed, self.step = 0, 1
        self.batch = self._capacity = batch
        self._work: Any = None
        self._per_row: float | None = None
        self._products: Program | None = None

    def loss_and_gradients(self, params: Any, *data: Any, **named: Any) -> tuple[float, dict[str, Array]]:
        """The loss in training, and its gradients by name; the network's states stay as they are.

        Parameters
        ----------
        params : a mapping name → array with every parameter and state, a `Parameters`, or its flat buffer.
        data : the inputs, then the targets, in the order of declaration; or by name. Noise may be given by name; what
            is not given is drawn from ``seed`` and ``step``.

        Returns
        -------
        The loss, and a new array per name: each parameter, or what `wrt` asked for at compilation.

        Raises
        ------
        DataError, ShapeError, UndefinedError
            If the data or the parameters do not fit the network; the message names the tensor.
        """
        noises = {tensor.name for tensor in self.network.noises} & set(named)
        given = {name: named.pop(name) for name in sorted(noises)}
        checked = self.check(data, named)
        return self.run_gradients(self.flat(params), checked, *self.noise(checked.rows, given))

    def loss(self, params: Any, *data: Any, **named: Any) -> float:
        """The loss in inference; arguments and errors as in `loss_and_gradients`, but there is no noise."""
        return self.run_loss(self.flat(params), self.check(data, named))

    def predict(self, params: Any, *inputs: Any, **named: Any) -> Array:
        """The network's output for `inputs` (targets are not needed); errors as in `loss_and_gradients`."""
        return self.run_predict(self.flat(params), self.check(inputs, named, self.network.inputs))

    def team(self, batch: int, steps: float = math.inf) -> Team:
        """How many threads train with mini-batches of `batch` rows: as many as the work of a step is worth.

        They are started anew for each call of the epoch kernel, which must be worth it, too: it does `steps` steps.
        `set_threads` and ``GRADLOOM_NUM_THREADS`` decide otherwise.
        """
        if self._per_row is None:
            self._per_row = operations_per_row(self.network, self.sizes)
        return team_for(3 * self._per_row * batch, steps)  # forward, and twice as much backward

    # ---- checking what is handed over ----------------------------------------------------------------------------

    def flat(self, params: Any) -> Array:
        """The flat buffer for `params`: itself, if it is one already, or a copy.

        A derivative takes the parameters of its network as they are: states that it does not read are passed over.
        """
        layout = self.module.PARAMETERS
        if isinstance(params, Parameters) and params.layout == layout:
            params = params.flat
        if isinstance(params, Mapping):
            params = {name: value for name, value in params.items() if name not in self.network.left_out}
        made = Parameters(layout, self.dtype)
        if isinstance(params, np.ndarray) and params.dtype == self.dtype and params.shape == made.flat.shape:
            return np.ascontiguousarray(params)
        made.fill(params)
        return made.flat

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
        self, rows: int, given: Mapping[str, Any] | None = None, *, seed: int | None = None, step: int | None = None
    ) -> tuple[Array, ...]:
        """The network's noise for `rows` rows, an array each: what is `given` by name, checked, the rest drawn.

        What is drawn is a function of the seed and the number of the step, by default those of the program.
        """
        noises, batch = self.network.noises, self.network.batch
        if not noises:
            return ()
        sizes = {**self.sizes, **({} if batch is None else {batch.name: rows})}
        shapes = [tuple(size_of(size, sizes, tensor.name) for size in tensor.shape) for tensor in noises]
        arrays = {tensor.name: np.empty(shape, self.dtype) for tensor, shape in zip(noises, shapes, strict=True)}
        drawn_from = (self.seed if seed is None else seed, self.step if step is None else step)
        self.module.fill_noise(*arrays.values(), *drawn_from)
        found = check_data(self.network, given or {}, self.dtype, sizes, self.target)
        for tensor, array in zip(found.tensors, found.arrays, strict=True):
            if array.shape != arrays[tensor.name].shape:
                raise DataError(f"noise {tensor.name} has {len(array)} rows and the data have {rows}; give as many")
            arrays[tensor.name] = array
        return tuple(arrays.values())

    # ---- calling the kernels with what is checked ------------------------------------------------------------------

    def run_loss(self, flat: Array, data: Data) -> float:
        self._need_loss()
        self._need_inference()
        return float(self.module.loss(flat, *data.arrays, self.workspace(data.rows)))

    def run_predict(self, flat: Array, data: Data) -> Array:
        self._need_inference()
        if not hasattr(self.module, "predict"):
            raise UndefinedError(
                f"{self.network.name} has no output to predict: everything that it defines needs a target; "
                "define the prediction in an equation of its own"
            )
        return np.array(self.module.predict(flat, *data.arrays, self.workspace(data.rows)))

    def run_training_loss(self, flat: Array, data: Data, *noise: Array) -> float:
        """The loss that `run_gradients` differentiates."""
        loss = self.module.training_loss if self.network.has_modes else self.module.loss
        return float(loss(flat, *data.arrays, *noise, self.workspace(data.rows)))

    def run_gradients(self, flat: Array, data: Data, *noise: Array) -> tuple[float, dict[str, Array]]:
        self._need_loss()
        grads = Parameters(self.module.gradient_places(data.rows), self.dtype)
        loss = self.module.loss_and_gradients(flat, *data.arrays, *noise, self.workspace(data.rows), grads.flat)
        return float(loss), dict(grads)

    def _need_loss(self) -> None:
        if self.network.loss is None:
            raise LossError(f"{self.network.name} has no loss, only an output: call predict()")

    def _need_inference(self) -> None:
        if self.network.is_of_training and self.network.has_modes:
            raise UndefinedError(
                f"{self.network.name} is a derivative of what training computes with noise, and has no value in "
                "inference: call loss_and_gradients(), or take out what draws noise"
            )

    def hessian(self, params: Any, *data: Any, limit: int = LIMIT, **named: Any) -> dict[tuple[str, str], Array]:
        """All second derivatives of the loss, for small networks; see `gradloom.hessian`.

        They are computed with this program's target, numbers and sizes; what they need is compiled once.
        """
        if self._products is None:
            names = list(self.module.gradient_places(1))
            self._products = compile_network(
                hessian_vector(self.network, names), target=self.target, dtype=self.dtype.name, sizes=self.sizes
            )
        return hessian_blocks(self._products, params, data, named, limit)

    def hold(self, data: Data) -> Data:
        """Data that many calls are to take, where the kernels are: copied to the device once, if there is one."""
        if self.target != "cuda":
            return data
        arrays = tuple(self.module.hold(a) for a in data.arrays)
        return Data(data.tensors, arrays, data.batched, data.rows)

    def hold_flat(self, flat: Array) -> Any:
        """The same for the flat buffer of the parameters."""
        return self.module.hold(flat) if self.target == "cuda" else flat

    def workspace(self, rows: int) -> Any:
        """The kernels' buffers, for at least `rows` rows; they grow when a larger batch comes."""
        if self._work is None or rows > self._capacity:
            self._capacity = max(rows, self._capacity)
            self._work = self.module.workspace(self._capacity)
        return self._work

    def __repr__(self) -> str:
        return f"<Program of {self.network.name}: {self.target}, {self.dtype}, {len(self.source.splitlines())} lines>"


def compile_network(
    network: Network,
    *,
    target: str = "cpu",
    dtype: str = "float32",
    batch: int = 100,
    sizes: Mapping[str, int] | None = None,
    optimizer: Any = None,
    wrt: Iterable[str] | None = None,
    schedule: Any = None,
    checkpoint: int | bool | None = None,
    precision: str | None = None,
) -> Program:
    """Generate and load the kernels of `network`; see `Network.compile` for the parameters.

    Raises
    ------
    LossError
        If the network has no loss.
    SizeError
        If a symbolic size, other than the batch, has no number, or `checkpoint` is more than the number of steps.
    UnsupportedError
        If `checkpoint` is given for another target than "cpu", or for a network without a recurrence; if `precision` is
        not one of the target and the dtype.
    UndefinedError
        If `target`, `dtype` or `optimizer` is unknown.
    MissingExtraError, DeviceError
        If the target is "cuda", and its compiler is not installed, or there is no GPU.
    CacheError
        If a chosen cache directory cannot be used.
    """
    dtype = check_choices(target, dtype, optimizer)
    if not isinstance(batch, int | np.integer) or isinstance(batch, bool) or batch < 1:
        raise SizeError(f"batch is {batch!r}; expected a whole number of at least 1")
    numbers = check_sizes(sizes or {})
    names = None if wrt is None else tuple(wrt)
    options: dict[str, Any] = {
        "target": target,
        "dtype": dtype,
        "rows": usual_rows(int(batch)),
        "sizes": numbers,
        "optimizer": type(optimizer).__name__,
        "wrt": names,
    }
    if schedule is not None:
        made = as_schedule(schedule)
        is_plain = type(made) is KernelSchedule
        options["schedule"] = _as_list(made) if is_plain else made
    if checkpoint is not None:
        options["checkpoint"] = checkpoint
    precision = check_precision(precision, target, dtype)
    if precision is not None:
        options["precision"] = precision

    def generate() -> str:
        from ..codegen.generate import generate  # what is kept needs none of it

        return generate(
            network,
            target=target,
            dtype=dtype,
            batch=int(batch),
            sizes=numbers,
            optimizer=optimizer,
            wrt=names,
            schedule=schedule,
            checkpoint=checkpoint,
            precision=precision,
        ).source

    device = None
    if target == "cuda":
        from .cuda_device import default_device

        device = default_device()
    source = generated_source(network, optimizer, options, generate)
    if device is None:
        module: Any = load_module(source, options)
    else:
        from .cuda_host import device_part
        from .cuda_module import DeviceModule

        module = DeviceModule(device_part(source, options), device, dtype)
    return Program(
        network,
        source,
        module,
        target=target,
        dtype=dtype,
        sizes=numbers,
        optimizer=optimizer,
        batch=int(batch),
    )


def _as_list(schedule: KernelSchedule) -> list[Any]:
    """All that a schedule chooses, in one order."""
    return sorted({**vars(schedule), "products": sorted(schedule.products.items())}.items())


def check_choices(target: str, dtype: Any, optimizer: Any = None) -> str:
    """Check what a program is compiled for; return the name of `dtype`."""
    if target not in TARGETS:
        raise UnsupportedError(f"target {target!r} is not offered; choose from {', '.join(TARGETS)}")
    try:
        name = str(np.dtype(dtype).name)
    except TypeError:
        name = repr(dtype)
    if name not in DTYPES:
        raise UnsupportedError(f"dtype {name} is not offered; choose from {', '.join(DTYPES)}")
    if optimizer is not None and (isinstance(optimizer, type) or not hasattr(optimizer, "equations")):
        shown = f"{optimizer.__name__}, a class" if isinstance(optimizer, type) else repr(optimizer)
        raise UndefinedError(f"optimizer is {shown}; expected one of gl.optimizers, such as gl.optimizers.SGD(lr=0.1)")
    return name


def check_network(network: Any) -> Network:
    """
    Raises
    ------
    UndefinedError
        If `network` is something else.
    """
    if not isinstance(network, Network):
        shown = f"{network.__name__}, a class" if isinstance(network, type) else repr(network)
        raise UndefinedError(f"network is {shown}; expected a network, as gl.Network() or gl.Sequential(…) make them")
    return network


def check_sizes(sizes: Mapping[str, int]) -> dict[str, int]:
    """Sizes as plain integers, by name.

    Raises
    ------
    SizeError
        If one is not a positive whole number.
    """
    if not isinstance(sizes, Mapping):
        raise SizeError(f"sizes is {sizes!r}; expected a dict of numbers by name, as in {{'n': 64}}")
    made = {}
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
            raise SizeError(f"size {name} is {size!r}; expected a whole number of at least 1")
        made[str(name)] = int(size)
    return made
