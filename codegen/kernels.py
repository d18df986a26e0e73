"""What templates are handed: frozen dataclasses of printed strings. Templates loop over them and decide nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..symbolic.errors import UnsupportedError
from ..symbolic.tensors import Tensor
from .carried import NOTHING, Carried, carry

SHORT = 120  # lines of functions that are joined with what calls them


@dataclass(frozen=True)
class Body:
    """The inside of a function.

    Attributes
    ----------
    views : lines that name the batch size and parts of the flat buffers
    lines : the statements, with comments and indentation
    result : the expression that is returned, or "" for none
    """

    views: tuple[str, ...]
    lines: tuple[str, ...]
    result: str = ""


@dataclass(frozen=True)
class UnrolledEpoch:
    """The insides of an epoch that calls nothing: for mini-batches of one row, and for any."""

    by_row: Body
    by_batch: Body

    @property
    def lines(self) -> tuple[str, ...]:
        return (*self.by_row.lines, *self.by_batch.lines)


@dataclass(frozen=True)
class BlockTraining:
    """A training in which each block does everything small for itself (CUDA).

    Attributes
    ----------
    parts : how many blocks have parts of what is divided; 1 if nothing is
    held : numbers of shared memory for what every block has for the whole training
    rows, shared : up to how many rows of a batch all else lies there, too, and how many numbers that is
    own, slices, sums : how many numbers a block takes in a step, its part of what is divided, all parts of sums; source
    fetch, store, step, update : the functions
    """

    parts: int
    held: int
    rows: int
    shared: int
    own: str
    slices: str
    sums: str
    fetch: Body
    store: Body
    step: Body
    update: Body

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(line for body in (self.fetch, self.store, self.step, self.update) for line in body.lines)


def with_batch(views: Sequence[str], lines: Sequence[str], batch: str, rows: str) -> tuple[str, ...]:
    """`views`, after a line that says that the batch size is `rows`, if the code uses it.

    Raises
    ------
    UnsupportedError
        If the code needs the batch size and nothing says what it is: `rows` is "".
    """
    code = [line for line in (*views, *lines) if not line.startswith("#")]
    if batch and any(re.search(rf"\b{batch}\b", line) for line in code):
        if not rows:
            raise UnsupportedError(f"the output depends on the batch size {batch}, but no input has a batch axis")
        return (f"{batch} = {rows}", *views)
    return tuple(views)


def tuple_text(parts: list[str]) -> str:
    """A tuple as source."""
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"


@dataclass(frozen=True)
class Data:
    """An input or a target.

    Attributes
    ----------
    name : its argument
    batch_name : the local variable that holds the rows of a mini-batch
    batch_shape : the shape of that, as source, or "" if the array has no batch axis and is handed on whole
    copy : lines that copy row `at` of the argument to row `row` of the mini-batch
    is_copied : whether rows are copied; where they are not, functions are handed the argument and the rows' numbers
    row_length : how many numbers a row has, as source
    is_whole : whether it holds labels, and not real numbers
    """

    name: str
    batch_name: str
    batch_shape: str
    copy: tuple[str, ...] = ()
    is_copied: bool = False
    row_length: str = "1"
    is_whole: bool = False


@dataclass(frozen=True)
class Noise:
    """A noise.

    Attributes
    ----------
    name : its argument
    shape : its shape, as source, `batch` rows where it has a batch axis
    rows : ``[:count]`` where it has a batch axis, to take those of a mini-batch
    length, each : how many numbers it has, as source, with the batch size's name; how many for each row
    """

    name: str
    shape: str
    rows: str
    length: str = "1"
    each: str = "1"


@dataclass(frozen=True)
class Entry:
    """One line of PARAMETERS or GRADIENTS: a name, and where it lies, as source."""

    name: str
    offset: str
    shape: str


@dataclass(frozen=True)
class Bodies:
    """What the targets write themselves.

    Attributes
    ----------
    forward, loss, backward, predict, update : the functions; `predict` is None without an output, `loss` and
        `backward` without a loss, `update` without an optimizer
    workspace : the length of the workspace in numbers, as source
    special : names to import from scipy.special
    uses_math : whether the standard library's math is used
    carried : the functions that are defined elsewhere, and copied into the module
    training_loss, advance : where training does other things than inference, the loss in training, which `backward`
        then follows, and what the states become; else None
    epoch : all of `epoch` in one function, where that is not calls of the others; else None
    products : lines that declare what the module's products are
    parts : where the code counts its time, the equations after each mark
    finished : where the backward pass says so, the gradients that it is done with, in order, those of one nest together
    in_place : the data of which a step reads the rows where they are
    scalars : what the host computes of the hyper-parameters for each step (CUDA)
    scalar_counts : how many numbers that are, and how many sums over the parameters a step takes (CUDA)
    step : the way to the gradients and what becomes of parameters and states, all in one, where an update can be (CUDA)
    loss_at, inference_loss_at : where in the workspace the loss lies; that of inference, if that is another (CUDA)
    tables : lines that make the tables of offsets by which products find their operands (CUDA)
    stage, threads, blocks : numbers of shared memory that products work in; threads of a block; how many blocks have
        something to do (CUDA)
    by_block : the training, where each block does everything small for itself; else None (CUDA)
    points : how many points kernels number at most, as source: arguments of ``max`` (CUDA)
    shared : bytes of shared memory that a launch asks for; 0 where a block has enough without (CUDA)
    """

    forward: Body
    loss: Body | None
    backward: Body | None
    predict: Body | None
    update: Body | None
    workspace: str
    special: tuple[str, ...] = ()
    uses_math: bool = False
    carried: Carried = NOTHING
    training_loss: Body | None = None
    advance: Body | None = None
    epoch: UnrolledEpoch | None = None
    products: tuple[str, ...] = ()
    parts: tuple[tuple[str, ...], ...] = ()
    finished: tuple[tuple[str, ...], ...] = ()
    in_place: frozenset[Tensor] = frozenset()
    scalars: Body | None = None
    scalar_counts: tuple[int, int] = (0, 0)
    step: Body | None = None
    loss_at: str = ""
    inference_loss_at: str = ""
    stage: int = 0
    shared: int = 0
    points: str = ""
    tables: tuple[str, ...] = ()
    threads: int = 0
    blocks: int = 0
    by_block: BlockTraining | None = None

    @property
    def joined(self) -> tuple[str, ...]:
        """The functions that are compiled into those that call them.

        Numba optimises a function, and makes machine code of it, by itself and again with each that calls it. Joining
        saves that, but takes time that grows faster than their length.
        """
        if self.epoch is not None or self.update is None:
            return ()
        names = ["loss", "update"] if self.training_loss is None else ["update"]
        rest = [self.forward, self.backward] if self.training_loss is None else [self.training_loss, self.backward]
        lines = [line for body in rest if body for line in (*body.views, *body.lines)]
        if sum("clock(" not in line and "announce(" not in line for line in lines) <= SHORT:
            names += ["forward", "backward", "training_loss", "advance"]
        return tuple(names)


def with_inference(training: Bodies, inference: Bodies) -> Bodies:
    """The functions of a network with modes: those of the training, but `forward`, `predict` and `loss`."""
    longest = dict.fromkeys([training.workspace, inference.workspace])
    return replace(
        training,
        forward=inference.forward,
        predict=inference.predict,
        loss=inference.loss,
        training_loss=training.loss,
        workspace=f"max({', '.join(longest)})" if len(longest) > 1 else training.workspace,
        special=tuple(sorted({*training.special, *inference.special})),
        uses_math=training.uses_math or inference.uses_math,
        carried=carry({*training.carried.names, *inference.carried.names}),
    )


@dataclass(frozen=True)
class Module:
    """A generated module.

    Attributes
    ----------
    doc : lines of the docstring
    dtype : "float32" or "float64"
    inputs, data : the inputs; the inputs and then the targets
    noises : what training draws afresh for each step
    mantissa : how many bits of a drawn number count
    states : the names of the network's states, which lie in `params` behind the parameters; a tuple as source, or ""
    parameters : the places in `params`
    gradients, growing_gradients : the places in `grads`; those that depend on the batch size
    batch : the name of the batch size, or ""
    trainable : how many leading entries of `params` an update changes
    state, hyper : names of the optimizer's state and hyper-parameters, tuples as source
    bodies : the functions
    """

    doc: tuple[str, ...]
    dtype: str
    inputs: tuple[Data, ...]
    data: tuple[Data, ...]
    noises: tuple[Noise, ...]
    mantissa: int
    states: str
    parameters: tuple[Entry, ...]
    gradients: tuple[Entry, ...]
    growing_gradients: tuple[Entry, ...]
    batch: str
    trainable: int
    state: str
    hyper: str
    bodies: Bodies
