"""`Model`: a network with parameters: fit, predict, evaluate, save, load."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from ..codegen.kernel_schedule import check_checkpoint, check_precision
from ..symbolic.arguments import check_network
from ..symbolic.network import Network
from .compilation import check_choices, check_sizes
from .data import Data, check_data, name_data
from .fit import Fit
from .fit_options import check_count, check_trainable
from .history import History
from .metrics import choose_metrics
from .model_files import MADE, load_parameters, loaded, pickled, saved_of
from .model_kernels import adopt, compiled, trainer_of
from .parameters import Parameters
from .program import Program
from .saved_files import Saved, write_file
from .scoring import SCORE_ROWS, outputs, score
from .training import Trainer


class Model:
    """A network and its parameters. It can be pickled and copied: what was declared, and arrays, but no kernels.

    Parameters
    ----------
    network : with a loss.
    seed : of the initial parameters, the validation split, the order of rows and the noise; None takes a new one. The
        same seed gives the same bits on the same machine.
    target : "cpu" (Numba), "cuda" (an NVIDIA GPU) or "numpy".
    dtype : "float32" or "float64".
    sizes : numbers for symbolic sizes; those not given are read off the data in `fit`.
    schedule : a `KernelSchedule`: what of the kernels is not left to cost models.
    checkpoint : k: of recurrences only the state at every k-th step is stored, as `Network.compile` says.
    precision : "tf32": products by tensor cores, as `Network.compile` says.

    Attributes
    ----------
    epochs : how many epochs it has been trained for
    trainings : how many optimizers it has been trained with; each draws other noise
    history : the `History` of the last `fit`

    Raises
    ------
    UndefinedError, UnsupportedError, SizeError
        If the network is none, or the target, dtype, `checkpoint`, `precision` or a size is not one that can be
        compiled for.

    Examples
    --------
    >>> import gradloom as gl, numpy as np
    >>> net = gl.Sequential([gl.layers.Dense(1)], input_shape=2, loss=gl.losses.SquaredError())
    >>> X = np.array([[0.0, 1], [1, 0], [1, 1], [2, 1]])
    >>> model = gl.Model(net, seed=0, target="numpy")
    >>> history = model.fit(X, X @ [[2], [3]] - 1, epochs=300, batch=2, optimizer=gl.optimizers.SGD(lr=0.2))
    >>> model.params["W1"].round(3)
    array([[2., 3.]], dtype=float32)
    >>> model.predict([[5, 5]]).round(2)
    array([[24.]], dtype=float32)
    """

    def __init__(
        self,
        network: Network,
        seed: int | None = 0,
        target: str = "cpu",
        dtype: Any = "float32",
        sizes: Mapping[str, int] | None = None,
        schedule: Any = None,
        checkpoint: int | bool | None = None,
        precision: str | None = None,
    ) -> None:
        self.network = check_network(network)
        self.target = target
        self.dtype = check_choices(target, dtype)
        self.checkpoint = check_checkpoint(checkpoint, target)
        self.precision = check_precision(precision, target, self.dtype)
        self.sizes = check_sizes({} if sizes is None else sizes)
        self.schedule = schedule
        if seed is not None:
            check_count("seed", seed, least=0)
        self.seed = int(np.random.SeedSequence().entropy % 2**63) if seed is None else int(seed)  # type: ignore[operator]
        init, order = np.random.SeedSequence(self.seed).spawn(2)
        self._init = np.random.default_rng(init)
        self.order = np.random.default_rng(order)
        self.epochs = 0
        self.trainings = 0
        self.history = History()
        self._program: Program | None = None
        self._params: Parameters | None = None
        self._trainer: Trainer | None = None
        self._resume: Saved | None = None
        self._optimizer: Any = None

    # ---- training ----------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        Y: Any = None,
        *,
        epochs: int = 10,
        batch: int = 100,
        optimizer: Any = None,
        validation: Any = None,
        shuffle: bool = True,
        callbacks: Any = (),
        early_stopping: Any = None,
        progress: bool | Literal["auto"] = "auto",
        metrics: Any = None,
        checkpoints: Any = None,
        resume: bool = False,
        comm: Any = None,
        overlap: bool = False,
    ) -> History:
        """Train. A second call goes on where the first ended; with an optimizer of the same equations its state too.

        Parameters
        ----------
        X, Y : inputs and targets, batch axis first: an array each, or a dict of name → array where there are several.
            A target declared one-hot may also be given as integer labels. With target "cuda" also arrays of CuPy,
            PyTorch or JAX that lie on the GPU, of the model's dtype (labels: int32); they are not copied. Large
            arrays in files, as ``np.load(path, mmap_mode="r")`` gives them, are read some rows ahead of their use; but
            labels, what is declared one-hot, and targets that metrics compare are taken into memory.
        epochs : passes over the training rows.
        batch : rows per step; the last batch of an epoch may be smaller.
        optimizer : one of ``gl.optimizers``; by default that of the last `fit`, or ``Adam()``.
        validation : a fraction of the rows to hold out (the same ones in every fit of as many rows; the last ones
            without `shuffle`), or a pair ``(X, Y)``, or None.
        shuffle : train on the rows in a new random order in every epoch.
        callbacks : `Callback` objects, or functions ``f(model, epoch, logs)`` called after every epoch; one that
            returns True ends the training.
        early_stopping : an `EarlyStopping`, its patience, or True.
        progress : whether to show a bar; "auto": if tqdm is installed and standard error is a terminal.
        metrics : names ("accuracy", "mean_absolute_error") or functions ``f(outputs, targets)``; by default accuracy
            where the targets are classes.
        checkpoints : a directory, or `Checkpoints`: where the training is kept while it goes on.
        resume : go on from the newest checkpoint there, as if the training had not been interrupted: with the same
            data, batch size and callbacks the numbers are the same, bit for bit. `epochs` counts from the beginning,
            and may be more. Without a checkpoint, training begins anew.
        comm : a communicator of mpi4py, such as ``MPI.COMM_WORLD``: all its processes call `fit` with the same data,
            and each computes the gradients of its part of every mini-batch. The trajectory is that of one process, to
            rounding. Rank 0 alone shows progress, calls callbacks and writes checkpoints.
        overlap : of several processes: whether the gradients of the last layers are added up while those of the first
            are computed (target "cpu"): worth while where each process has two cores and the network is slow.

        Returns
        -------
        What was measured in these epochs, also kept as ``model.history``.

        Raises
        ------
        DataError
            If the data do not fit the network: the tensor, what was found, what was expected, and the mend.
        SizeError
            If a symbolic size is not known from the data either.
        DivergenceError
            If the loss becomes NaN or infinite; it names the epoch, and the last good parameters are kept.
        UnsupportedError
            If several processes are to train a network that mixes the rows of a batch, or to overlap and cannot.
        SavedFileError
            If a checkpoint cannot be written, or those that are there are damaged or of another training.
        """
        check_trainable(self.network)
        return Fit(
            self,
            self.check(X, Y),
            epochs=epochs,
            batch=batch,
            optimizer=optimizer,
            validation=validation,
            shuffle=shuffle,
            callbacks=callbacks,
            early_stopping=early_stopping,
            progress=progress,
            metrics=metrics,
            checkpoints=checkpoints,
            resume=resume,
            comm=comm,
            overlap=overlap,
        ).run()

    @property
    def steps(self) -> int:
        """How many steps the last optimizer has made, those of an epoch that was stopped included."""
        return 0 if self._trainer is None else self._trainer.steps

    def trainer(self, optimizer: Any, batch: int, announced: bool = False) -> Trainer:
        """The trainer for `optimizer`: the last one, if its update equations are the same.

        If `announced`, its kernels announce the gradients that they are done with.
        """
        return trainer_of(self, optimizer, batch, announced)

    # ---- using -------------------------------------------------------------------------------------------------

    def predict(self, X: Any, batch: int = SCORE_ROWS, *, on_device: bool = False) -> Any:
        """The network's output for inputs `X`, computed `batch` rows at a time.

        Parameters
        ----------
        on_device : leave it on the GPU (target "cuda"), as a `DeviceArray`, which CuPy, PyTorch and JAX take without a
            copy: ``torch.from_dlpack(model.predict(X, on_device=True))``.

        Raises
        ------
        DataError
            If the inputs do not fit the network.
        UnsupportedError
            If `on_device` is asked for of another target.
        """
        check_count("batch", batch)
        data = self._checked(name_data(self.network.inputs, X, "input"))
        into = self.program.output_room(data.rows) if on_device else None
        return outputs(self.program, self.program.hold_flat(self.params.flat), data, batch, into)

    def evaluate(self, X: Any, Y: Any = None, *, metrics: Any = None) -> dict[str, float]:
        """The loss and the metrics on data: ``{"loss": …, "accuracy": …}``; arguments as in `fit`.

        Raises
        ------
        DataError
            If the data do not fit the network.
        """
        data = self.check(X, Y)
        chosen = choose_metrics(metrics, data.of_role("target"))
        return score(self.program, self.program.hold_flat(self.params.flat), data, data.rows, chosen)

    def loss_and_gradients(self, X: Any, Y: Any = None, *, on_device: bool = False) -> tuple[float, dict[str, Any]]:
        """The loss in training on data, and its gradient by every parameter, by name; arguments as in `fit`.

        Noise is drawn from the seed and step of `program`; the states stay as they are. The gradients are left on the
        GPU if that is asked for, see `predict`.
        """
        data = self.check(X, Y).loaded()
        flat, program = self.params.flat, self.program
        noise = program.noise(data.rows, on_device=self.target == "cuda")
        return program.run_gradients(flat, data, *noise, on_device=on_device)

    @property
    def params(self) -> Parameters:
        """The parameters, and then the network's states: a mapping name → array, which are views of one buffer.

        Writing to them changes the model.

        Raises
        ------
        SizeError
            If a symbolic size is not known yet.
        """
        if self._params is None:
            adopt(self, self.program)
            assert self._params is not None
        elif self._trainer is not None:
            self._trainer.fetch()
        return self._params

    @property
    def count(self) -> int:
        """How many numbers the parameters hold; the states do not count."""
        return sum(self.params[tensor.name].size for tensor in self.network.parameters)

    @property
    def optimizer(self) -> Any:
        """The optimizer of the last training, or None; changing a number of it, as in ``set(lr=…)``, acts at once."""
        return self._optimizer if self._trainer is None else self._trainer.program.optimizer

    @property
    def program(self) -> Program:
        """The compiled kernels, with their ``source``.

        Raises
        ------
        SizeError
            If a symbolic size is not known yet.
        """
        if self._program is None:
            self._program = compiled(self, SCORE_ROWS, None)
        return self._program

    # ---- saving ------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters and the state of the training to an ``.npz`` file, whole or not at all, without pickle.

        Raises
        ------
        SavedFileError
            If the file cannot be written.
        """
        write_file(path, self.network, self.saved())

    def save_parameters(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters and states alone, by name, for others to read: ``.safetensors`` or ``.npz``.

        The file says which network it is of. `save` keeps the training too.

        Raises
        ------
        SavedFileError
            If the suffix is another, or the file cannot be written.
        MissingExtraError
            If the package safetensors is needed and not installed.
        """
        from .formats.parameter_files import write_parameters

        write_parameters(path, self.network, dict(self.params))

    def load_parameters(self, path: str | os.PathLike[str]) -> None:
        """Set all parameters and states from a file of `save_parameters`, or another with the same names and shapes.

        Numbers are converted to the model's dtype; symbolic sizes not known yet are read off the arrays.

        Raises
        ------
        SavedFileError, ShapeError
            If the file is missing or damaged, or its names, shapes or types are not those of the parameters. Nothing
            is changed then.
        MissingExtraError
            If the package safetensors is needed and not installed.
        """
        load_parameters(self, path)

    def saved(self) -> Saved:
        """What a file holds of the model as it is now."""
        return saved_of(self, dict(self.params))

    @classmethod
    def load(cls, path: str | os.PathLike[str], network: Network, target: str | None = None) -> Model:
        """Read a model from the file that `save` wrote; `network` is the same declaration.

        `target` is that of the model that was saved, unless another is given; so is its precision, where the target has
        it.

        Training goes on from there as if it had not been interrupted, given the same data and optimizer.

        Raises
        ------
        SavedFileError
            If the file is missing, truncated or corrupt, or was saved of another network.
        """
        return loaded(cls, path, network, target)

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copies: what was declared, and arrays; kernels are made, or found, again when they are used.

        A copy goes on training where this model is, with the optimizer that it has.
        """
        return pickled(self)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, **dict.fromkeys(MADE))

    # ---- inside ------------------------------------------------------------------------------------------------

    def check(self, X: Any, Y: Any) -> Data:
        """Check inputs and targets; sizes not known yet are read off them."""
        inputs = name_data(self.network.inputs, X, "input")
        return self._checked({**inputs, **name_data(self.network.targets, Y, "target")})

    def _checked(self, values: Mapping[str, Any]) -> Data:
        sizes = dict(self.sizes)
        data = check_data(self.network, values, self.dtype, sizes, self.target, mapped=True)
        if self._params is None:
            self.sizes = sizes
        return data

    def __repr__(self) -> str:
        count = f"{self.count:,} parameters, " if self._params is not None else ""
        return f"<Model of {self.network.name}: {count}{self.target}, {self.dtype}, {self.epochs} epochs>"
