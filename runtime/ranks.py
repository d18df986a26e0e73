"""`Ranks`: processes that train one model together, each with some rows of every mini-batch, over MPI.

Every process has the same parameters and the same data, and computes the gradients of its own rows; they are added up,
the loss with them (`gradient_sums`), and each process then takes the same step of the optimizer. The first one, rank 0,
shows progress, calls the callbacks, and writes checkpoints.
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..symbolic.errors import DataError, GradloomError, MissingExtraError, UnsupportedError
from ..symbolic.network import Network
from ..symbolic.row_shares import share_of_rows
from .data import Data
from .gradient_sums import GradientSums
from .overlap import check_overlap, count_trained, least_of, parts_of

if TYPE_CHECKING:
    from .training import Trainer

Array = NDArray[Any]
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")  # where MPICH and its kin, and Open MPI, say how many processes there are
GRACE = 0.5  # seconds that rank 0 has to say what went wrong everywhere
Result = TypeVar("Result")


class Alone:
    """One process that trains by itself, as `Ranks` of one."""

    rank, size = 0, 1
    agreed: Exception | None = None

    def first(self, function: Callable[[], Result]) -> Result:
        return function()

    def each(self, function: Callable[[Any], Result], items: Sequence[Any]) -> list[Result]:
        return [function(item) for item in items]

    def send(self, *arrays: Array) -> None:
        """Nobody else is there."""

    def overlaps(self, sizes: Mapping[str, int], dtype: str) -> bool:
        """Whether kernels are to announce what they are done with."""
        return False

    def close(self) -> None:
        """End what was begun for a training."""

    def abort(self, error: BaseException) -> NoReturn:
        raise error


class Ranks(Alone):
    """The processes of a communicator of mpi4py.

    Parameters
    ----------
    comm : such as ``MPI.COMM_WORLD``.
    network : what they train.
    target : of its kernels.
    overlap : whether gradients are added up while others are computed, where there are enough of them.

    Attributes
    ----------
    rank, size : the number of this process, from 0, and of all
    agreed : the last error that all of them raised together

    Raises
    ------
    DataError
        If `comm` is no communicator.
    MissingExtraError
        If mpi4py is not installed.
    UnsupportedError
        If the network's rows do not go their own ways to the loss, or the target has its numbers on a device; as
        `check_overlap` does.
    """

    def __init__(self, comm: Any, network: Network, target: str, overlap: bool = False) -> None:
        self._mpi = load_mpi()
        if not isinstance(comm, self._mpi.Intracomm):
            raise DataError(f"comm is {comm!r}; expected a communicator of mpi4py, such as MPI.COMM_WORLD")
        if target == "cuda":
            raise UnsupportedError(
                "several processes train on target 'cpu' or 'numpy'; target 'cuda' has one GPU alone"
            )
        self.comm, self.rank, self.size = comm, comm.Get_rank(), comm.Get_size()
        self.is_mean = share_of_rows(network) == "mean"
        self.network = network
        self.same("overlap", overlap)
        check_overlap(overlap, self._mpi, target)
        self._overlap = overlap
        self._sums: GradientSums | None = None

    def overlaps(self, sizes: Mapping[str, int], dtype: str) -> bool:
        least = least_of(self.size, np.dtype(dtype).itemsize)
        return self._overlap and count_trained(self.network, sizes) > least

    def close(self) -> None:
        if self._sums is not None:
            self._sums.close()

    # ---- steps -----------------------------------------------------------------------------------------------------

    def run(self, trainer: Trainer, data: Data, order: Array, batch: int) -> tuple[float, int]:
        """What the kernel ``epoch`` does, together: the sum of loss × rows, and the number of steps."""
        total, done = 0.0, 0
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            loss = self._step(trainer, data, rows, trainer.steps + done + 1)
            if not math.isfinite(loss):
                return loss, done
            total, done = total + loss * len(rows), done + 1
        return total, done

    def _step(self, trainer: Trainer, data: Data, rows: Array, step: int) -> float:
        program, module, flat = trainer.program, trainer.program.module, trainer.params.flat
        count, own = len(rows), self.own(len(rows))
        sums = self._gradient_sums(trainer)
        compute: Callable[..., float] | None = None
        weight = 1.0
        arrays: tuple[Any, ...] = ()
        if own.start < own.stop:
            arrays = (*data.take(rows[own]).arrays, *self._noise(trainer, count, own, step))
            work = program.workspace(own.stop - own.start)
            compute = partial(module.loss_and_gradients, flat, *arrays, work)
            weight = (own.stop - own.start) / count if self.is_mean else 1.0
        loss = sums.add_up(compute, weight)
        if math.isfinite(loss):
            if program.network.assignments:
                self._advance(trainer, data, rows, arrays, step)
            module.update(flat, sums.gradients, trainer.state, trainer.hyper, step)
        return loss

    def own(self, count: int) -> slice:
        """This process's part of so many rows, as even as can be."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def _gradient_sums(self, trainer: Trainer) -> GradientSums:
        if self._sums is None:
            module, dtype = trainer.program.module, trainer.program.dtype
            least = least_of(self.size, dtype.itemsize) if self._overlap else module.TRAINABLE
            parts = parts_of(module, least)
            sizes = trainer.params.flat.size, dtype, parts, len(getattr(module, "FINISHED", ()))
            self._sums = GradientSums(self.comm, self._mpi.IN_PLACE, *sizes)
        return self._sums

    def _noise(self, trainer: Trainer, count: int, own: slice, step: int) -> tuple[Array, ...]:
        """The noise of this process's rows: that of a step is the same whatever processes there are."""
        program = trainer.program
        arrays = program.noise(count, seed=trainer.seed, step=step)
        batch = program.network.batch
        noises = zip(program.network.noises, arrays, strict=True)
        return tuple(
            np.ascontiguousarray(array[own]) if tensor.rank and tensor.shape[0] == batch else array
            for tensor, array in noises
        )

    def _advance(self, trainer: Trainer, data: Data, rows: Array, arrays: tuple[Any, ...], step: int) -> None:
        """Assign the network's states; what they become depends on no rows, but kernels take some."""
        if not arrays:
            arrays = (*data.take(rows[:1]).arrays, *self._noise(trainer, len(rows), slice(0, 1), step))
        trainer.program.module.advance(trainer.params.flat, *arrays, trainer.program.workspace(len(rows)))

    # ---- doing things together -------------------------------------------------------------------------------------

    def first(self, function: Callable[[], Result]) -> Result:
        """What `function` gives, called by rank 0 alone; what that raises, all raise."""
        found: Any = None
        failed: Exception | None = None
        if self.rank == 0:
            try:
                found = function()
            except Exception as error:
                failed = error
        failed = self.comm.bcast(failed)
        if failed is not None:
            self.agreed = failed
            raise failed
        return self.comm.bcast(found)  # type: ignore[no-any-return]

    def each(self, function: Callable[[Any], Result], items: Sequence[Any]) -> list[Result]:
        """``[function(item) for item in items]``, each process a part of it; rank 0 gets all, others their own."""
        found = self.comm.gather([function(item) for item in items[self.own(len(items))]])
        return [result for part in found or [[]] for result in part]

    def same(self, name: str, value: Any) -> None:
        """Compare what must be the same everywhere, as it is written.

        Raises
        ------
        DataError
            If `value` is not the same everywhere.
        """
        found = self.comm.allgather(hashlib.sha256(repr(value).encode()).digest())
        other = next((rank for rank, there in enumerate(found) if there != found[0]), None)
        if other is not None:
            message = f"{name} of rank {other} is not that of rank 0; give the same to all {self.size} processes"
            self.agreed = DataError(message)
            raise self.agreed

    def send(self, *arrays: Array) -> None:
        """Give all the arrays of rank 0, in place."""
        for array in arrays:
            self.comm.Bcast(array)

    def abort(self, error: BaseException) -> NoReturn:
        end_all(self.comm, error)


def end_all(comm: Any, error: BaseException) -> NoReturn:
    """End all processes, since this one cannot go on and others may wait for it; the exit status is 2, as of an error.

    What all of them come upon rank 0 says.
    """
    rank, size = comm.Get_rank(), comm.Get_size()
    time.sleep(GRACE if rank else 0)
    if isinstance(error, KeyboardInterrupt):
        text = "stopped"
    elif isinstance(error, GradloomError):
        text = f"error: {error}"
    else:
        text = "".join(traceback.format_exception(error))
    print(f"gradloom: rank {rank} of {size} ends all processes: {text}", file=sys.stderr, flush=True)
    comm.Abort(130 if isinstance(error, KeyboardInterrupt) else 2)
    raise SystemExit(2)  # Abort does not return


def ranks_of(comm: Any, network: Network, target: str, overlap: bool = False) -> Alone:
    """The processes of a communicator; of None, and of one process, `Alone`."""
    if comm is None:
        return Alone()
    ranks = Ranks(comm, network, target, overlap)
    return ranks if ranks.size > 1 else Alone()


def started_together() -> Any:
    """``MPI.COMM_WORLD``, if this process was started with others, as by ``mpiexec -n 4``; else None.

    Raises
    ------
    MissingExtraError
        See `load_mpi`.
    """
    sizes = [os.environ.get(name, "") for name in SIZES]
    return load_mpi().COMM_WORLD if any(size.isdecimal() and int(size) > 1 for size in sizes) else None


def load_mpi() -> Any:
    """mpi4py's ``MPI``.

    Raises
    ------
    MissingExtraError
        If it is not installed, or finds no MPI.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise MissingExtraError(
            f"training in several processes needs mpi4py and an MPI ({error}): pip install 'gradloom[mpi]'"
        ) from error
    return MPI
