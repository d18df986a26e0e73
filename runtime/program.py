"""`Program`: a network's generated kernels, loaded, with checked and convenient calls around them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..codegen.kernel_schedule import KernelSchedule, as_schedule, check_precision
from ..codegen.sizes import usual_rows
from ..symbolic.errors import LossError, SizeError, UndefinedError, UnsupportedError
from ..symbolic.network import Network
from ..symbolic.second_order import hessian_vector
from .cache import load_module
from .data import Data
from .device_arrays import DeviceArray
from .device_parameters import DeviceParameters
from .hessian_blocks import LIMIT, hessian_blocks
from .kept_sources import generated_source
from .parameters import Parameters, size_of_layout
from .program_data import ProgramData
from .threads import Team, operations_per_row, team_for

Array = NDArray[Any]
TARGETS = ("cpu", "cuda", "numpy")
DTYPES = ("float32", "float64")


class Program(ProgramData):
    """The compiled kernels of one network, made by `Network.compile`.

    Attributes
    ----------
    source : the generated module, readable and standalone
    module : the same, loaded
    network, target, dtype, sizes, optimizer : what it was generated from
    batch : about how many rows of a batch the kernels were chosen for
    turn : a lock: one thread at a time is in the kernels, since they share a workspace
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
        self._held: Any = None  # parameters on the device
        self.turn = RLock()
        self._per_row: float | None = None
        self._products: Program | None = None

    def loss_and_gradients(
        self, params: Any, *data: Any, on_device: bool = False, **named: Any
    ) -> tuple[float, dict[str, Any]]:
        """The loss in training, and its gradients by name; the network's states stay as they are.

        Parameters
        ----------
        params : a mapping name → array with every parameter and state, a `Parameters`, or its flat buffer; of target
            "cuda" also what lies on the GPU, as `on_device` puts it there.
        data : the inputs, then the targets, in the order of declaration; or by name. Noise may be given by name; what
            is not given is drawn from ``seed`` and ``step``.
        on_device : leave the gradients on the GPU (target "cuda"): each a `DeviceArray`, which CuPy, PyTorch and JAX
            take without a copy, as ``torch.from_dlpack(gradients["W1"])``.

        Returns
        -------
        The loss, and a new array per name: each parameter, or what `wrt` asked for at compilation.

        Raises
        ------
        DataError, ShapeError, UndefinedError
            If the data or the parameters do not fit the network; the message names the tensor.
        UnsupportedError
            If `on_device` is asked for of another target.
        """
        noises = {tensor.name for tensor in self.network.noises} & set(named)
        given = {name: named.pop(name) for name in sorted(noises)}
        checked = self.check(data, named)
        noise = self.noise(checked.rows, given, on_device=self.target == "cuda")
        return self.run_gradients(self.flat(params), checked, *noise, on_device=on_device)

    def loss(self, params: Any, *data: Any, **named: Any) -> float:
        """The loss in inference; arguments and errors as in `loss_and_gradients`, but there is no noise."""
        return self.run_loss(self.flat(params), self.check(data, named))

    def predict(self, params: Any, *inputs: Any, on_device: bool = False, **named: Any) -> Any:
        """The network's output for `inputs` (targets are not needed); the rest as in `loss_and_gradients`.

        A tuple, where `Network.set_output` named several.
        """
        data = self.check(inputs, named, self.network.inputs)
        return self.run_predict(self.flat(params), data, self.output_room(data.rows) if on_device else None)

    def team(self, batch: int, steps: float = math.inf) -> Team:
        """How many threads train with mini-batches of `batch` rows: as many as the work of a step is worth.

        They are started anew for each call of the epoch kernel, which must be worth it, too: it does `steps` steps.
        `set_threads` and ``GRADLOOM_NUM_THREADS`` decide otherwise.
        """
        if self._per_row is None:
            self._per_row = operations_per_row(self.network, self.sizes)
        return team_for(3 * self._per_row * batch, steps)  # forward, and twice as much backward

    # ---- calling the kernels with what is checked ------------------------------------------------------------------

    def run_loss(self, flat: Any, data: Data) -> float:
        self._need_loss()
        self._need_inference()
        with self.turn:
            return float(self.module.loss(flat, *data.arrays, self.workspace(data.rows)))

    def run_predict(self, flat: Any, data: Data, into: DeviceArray | None = None) -> Any:
        """The output; it is left in `into`, of `output_room`, if that is given."""
        self._need_output()
        with self.turn:
            work = self.workspace(data.rows)
            if self.target == "cuda":
                return self.module.predict(flat, *data.arrays, work, into=into)
            found = self.module.predict(flat, *data.arrays, work)
        return tuple(map(np.array, found)) if isinstance(found, tuple) else np.array(found)

    @cached_property
    def gives_rows(self) -> bool:
        """Whether the output has a row for each of the batch."""
        output, size = self.network.output, self.network.batch
        return size is not None and bool(output.rank) and bool(output.shape[0] == size)

    def output_room(self, rows: int) -> DeviceArray:
        """Memory of the GPU for the output of so many rows."""
        self._need_device()
        self._need_output()
        room: DeviceArray = self.module.room(self.module.output_shape(rows))
        return room

    def _need_output(self) -> None:
        self._need_inference()
        if not hasattr(self.module, "predict"):
            raise UndefinedError(
                f"{self.network.name} has no output to predict: everything that it defines needs a target; "
                "define the prediction in an equation of its own"
            )

    def run_training_loss(self, flat: Any, data: Data, *noise: Any) -> float:
        """The loss that `run_gradients` differentiates."""
        loss = self.module.training_loss if self.network.has_modes else self.module.loss
        with self.turn:
            return float(loss(flat, *data.arrays, *noise, self.workspace(data.rows)))

    def run_gradients(
        self, flat: Any, data: Data, *noise: Any, on_device: bool = False
    ) -> tuple[float, dict[str, Any]]:
        self._need_loss()
        places = self.module.gradient_places(data.rows)
        if on_device:
            self._need_device()
            grads: Parameters = DeviceParameters(places, self.module.room((size_of_layout(places),)))
        else:
            grads = Parameters(places, self.dtype)
        with self.turn:
            work = self.workspace(data.rows)
            loss = float(self.module.loss_and_gradients(flat, *data.arrays, *noise, work, grads.flat))
        return loss, dict(grads)

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

    def workspace(self, rows: int) -> Any:
        """The kernels' buffers, for at least `rows` rows; they grow when a larger batch comes.

        Threads share them: `turn` is to be held from here on until what a kernel has left in them is taken.
        """
        with self.turn:
            if self._work is None or rows > self._capacity:
                capacity = max(rows, self._capacity)
                self._work = self.module.workspace(capacity)
                self._capacity = capacity
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
    valued: bool = True,
    announced: bool = False,
) -> Program:
    """Generate and load the kernels of `network`; see `Network.compile` for the parameters.

    Without `valued` the loss is left out, and what calls it: the module's `backward` follows `forward`. If `announced`,
    `loss_and_gradients` takes pipes, as `generate` says.

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
    if not valued:
        options["valued"] = False
    if announced:
        options["announced"] = True

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
            valued=valued,
            announced=announced,
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
