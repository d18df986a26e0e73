"""Norms of gradients, layer by layer: how much of the loss reaches each parameter, and whether it vanishes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..symbolic.errors import DataError
from .callbacks import Callback
from .compilation import compile_network
from .data import Data
from .history import History
from .program import Program

if TYPE_CHECKING:
    from ..symbolic.pictures.draw import Drawing
    from .model import Model

Array = NDArray[Any]
VANISHED, EXPLODED = 1e-3, 1e3  # of the first layer's norm to the last one's


def gradient_norms(
    model: Model | Program, *data: Any, of: Iterable[str] | None = None, **named: Any
) -> dict[str, float]:
    """The L2 norm of each gradient of the loss: ``sqrt(Σ (∂L/∂W)²)`` over all entries of W, in float64.

    Parameters
    ----------
    model, data, named : a `Model` and what its `loss_and_gradients` takes, ``X, Y``; or a `Program` and what that
        takes, the parameters and then the data.
    of : names of tensors, also of values between input and loss (``"z1"``, whose gradient is the δ of layer 1; it
        divides by the batch size where the loss does). By default what the program gives gradients of: the parameters.

    Returns
    -------
    Name → norm, in the order of `of`.

    Raises
    ------
    UndefinedError
        If there is no tensor of a name in `of`.
    DataError
        If the data do not fit the network.
    """
    names = None if of is None else _names(of)
    if names is None or isinstance(model, Program):
        program = model if names is None else _program(model, names)
        _, gradients = program.loss_and_gradients(*data, **named)
        return {name: _norm(gradients[name]) for name in names or gradients}
    checked = model.check(*data, **named)
    return _norms(_program(model, names), model.params.flat, checked, names)


class GradientNorms(Callback):
    """Measure the norm of each gradient before the training and after its epochs, always on the same rows.

    The history gets a column ``gradient_norm``, the norm of all that is measured together.

    Parameters
    ----------
    data : a pair (X, Y), as in `Model.fit`; by default the first of the rows that are trained on.
    rows : how many of these.
    every : epochs from one measurement to the next.
    of : names of tensors, as in `gradient_norms`, from the input's side to the loss's; by default the parameters that
        are trained.

    Attributes
    ----------
    epochs : when was measured; 0 is before the first epoch
    norms : name → list of norms, one for each of `epochs`

    Raises
    ------
    DataError
        If an option is none of these.

    Examples
    --------
    >>> import gradloom as gl, numpy as np
    >>> net = gl.Sequential([gl.layers.Dense(3, gl.tanh), gl.layers.Dense(1)], 2, loss=gl.losses.SquaredError())
    >>> X = np.array([[0.0, 1], [1, 0], [1, 1], [2, 1]])
    >>> norms = gl.GradientNorms()
    >>> history = gl.Model(net, target="numpy").fit(X, X @ [[2], [3]], epochs=3, callbacks=norms)
    >>> norms.epochs, list(norms.norms)
    ([0, 1, 2, 3], ['W1', 'b1', 'W2', 'b2'])
    >>> print(norms.report().splitlines()[-1])
    Gradients neither vanish nor explode.
    """

    def __init__(self, data: Any = None, *, rows: int = 100, every: int = 1, of: Iterable[str] | None = None) -> None:
        if data is not None and not (isinstance(data, tuple | list) and len(data) == 2):
            raise DataError(f"data of the gradient norms is {type(data).__name__}; expected a pair (X, Y), or None")
        for name, value in (("rows", rows), ("every", every)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise DataError(f"{name} of the gradient norms is {value!r}; expected a whole number of at least 1")
        self.data, self.rows, self.every = data, rows, every
        self.of = None if of is None else _names(of)
        self.epochs: list[int] = []
        self.norms: dict[str, list[float]] = {}
        self._layers: list[str] = []

    def on_data(self, data: Data, rows: Array) -> None:
        self._data = data.take(rows[: self.rows])

    def on_train_begin(self, model: Model) -> None:
        network = model.network
        if self.data is not None:
            self._data = model.check(*self.data)
        names = self.of or [tensor.name for tensor in network.parameters if tensor.name not in network.frozen]
        weights = [name for name in names if network.tensors[name].rank > 1] if self.of is None else names
        self._layers = weights or names
        self._program = None if self.of is None else _program(model, names)
        self.epochs, self.norms = [], {name: [] for name in names}
        self._measure(model, model.epochs)

    def measure(self, model: Model, epoch: int) -> Mapping[str, float]:
        if (epoch - self.epochs[0]) % self.every:
            return {"gradient_norm": math.nan}
        found = self._measure(model, epoch)
        return {"gradient_norm": math.hypot(*found.values())}

    def state(self) -> dict[str, Any]:
        return {"epochs": self.epochs, "norms": self.norms}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.epochs = list(state["epochs"])
        self.norms = {name: list(norms) for name, norms in state["norms"].items()}

    def _measure(self, model: Model, epoch: int) -> dict[str, float]:
        # The model's program is another one after `fit` was given another optimizer.
        found = _norms(self._program or model.program, model.params.flat, self._data, list(self.norms))
        self.epochs.append(epoch)
        for name, norm in found.items():
            self.norms[name].append(norm)
        return found

    # ---- asking ----------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[str]:
        """The names whose norms are compared: the parameters of at least two axes (the weights), or what `of` named."""
        return list(self._layers)

    def picture(self) -> Drawing:
        """Draw the norms layer by layer, with one line for each of four epochs; see `norms_by_layer`."""
        from .pictures import norms_by_layer

        return norms_by_layer(self)

    @property
    def ratios(self) -> list[float]:
        """The norm of the first layer's gradient over that of the last one's, for each of `epochs`; see `layers`."""
        if not self._layers:
            return []
        pairs = zip(self.norms[self._layers[0]], self.norms[self._layers[-1]], strict=True)
        return [_ratio(first, last) for first, last in pairs]

    def report(self) -> str:
        """What the norms say, in words: whether gradients vanish or explode between the loss and the input.

        They vanish where the last measurement's ratio (see `ratios`) is below 1/1000, and explode above 1000.
        """
        if not self.epochs:
            return "No gradients were measured: give this callback to fit."
        first, last = self._verdict(0), self._verdict(-1)
        lines = [self._numbers(0), last] if len(self.epochs) == 1 else [self._numbers(0), self._numbers(-1), last]
        return "\n".join(lines if first == last else [lines[0], first, *lines[1:]])

    def _numbers(self, place: int) -> str:
        first, last = self._layers[0], self._layers[-1]
        return (
            f"After epoch {self.epochs[place]}: ‖∂L/∂{first}‖ = {self.norms[first][place]:.3g}, "
            f"‖∂L/∂{last}‖ = {self.norms[last][place]:.3g}, ratio {self.ratios[place]:.3g}."
        )

    def _verdict(self, place: int) -> str:
        broken = [name for name, norms in self.norms.items() if not math.isfinite(norms[place])]
        if broken:
            return f"The gradient of {broken[0]} is not finite: try a smaller learning rate, or clip_norm=1."
        if not any(norms[place] for norms in self.norms.values()):
            return "Every gradient is 0: nothing is learned from these rows."
        first, last, ratio = self._layers[0], self._layers[-1], self.ratios[place]
        if ratio < VANISHED:
            return (
                f"Gradients vanish on the way from {last} back to {first}: the first layers hardly learn. "
                "ReLU with He's initial values, or tanh with Glorot's, pass more back."
            )
        if ratio > EXPLODED:
            return (
                f"Gradients explode on the way from {last} back to {first}: try smaller initial weights, "
                "or an optimizer with clip_norm=1."
            )
        return "Gradients neither vanish nor explode."

    def __str__(self) -> str:
        return str(History({"epoch": list(map(float, self.epochs)), **self.norms}))


def _names(of: Iterable[str]) -> list[str]:
    names = [of] if isinstance(of, str) else list(of) if isinstance(of, Iterable) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"of is {of!r}; expected names of tensors, as in of=('z1', 'z2')")
    return list(dict.fromkeys(names))


def _program(model: Model | Program, names: list[str]) -> Program:
    """Kernels with the gradients of these names alone."""
    dtype = np.dtype(model.dtype).name
    return compile_network(model.network, target=model.target, dtype=dtype, sizes=model.sizes, wrt=names)


def _norms(program: Program, flat: Array, data: Data, names: list[str]) -> dict[str, float]:
    _, gradients = program.run_gradients(flat, data, *program.noise(data.rows))  # the same noise every time
    return {name: _norm(gradients[name]) for name in names}


def _norm(gradient: Array) -> float:
    return float(np.linalg.norm(gradient.astype(np.float64).ravel()))


def _ratio(first: float, last: float) -> float:
    return first / last if last else (math.inf if first else math.nan)
