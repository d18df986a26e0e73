"""What templates are handed: frozen dataclasses of printed strings. Templates loop over them and decide nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Body:
    """The inside of a function.

    Attributes
    ----------
    views : lines that name parts of the flat buffers
    lines : the statements, with comments and indentation
    result : the expression that is returned, or "" for none
    """

    views: tuple[str, ...]
    lines: tuple[str, ...]
    result: str = ""


@dataclass(frozen=True)
class Data:
    """An input or a target: its name, the shape of one row as source, and whether its first axis is the batch."""

    name: str
    row_shape: str
    batched: bool


@dataclass(frozen=True)
class Entry:
    """One line of PARAMETERS or GRADIENTS: a name, and where it lies, as source."""

    name: str
    offset: str
    shape: str


@dataclass(frozen=True)
class Module:
    """A generated module.

    Attributes
    ----------
    doc : lines of the docstring
    dtype : "float32" or "float64"
    inputs, data : the inputs; the inputs and then the targets
    parameters, gradients : the places in `params` and `grads`; `gradients` may depend on the batch size
    gradients_fixed : whether they do not
    batch : the name of the batch size, or ""
    rows : where the batch size is read from: an array of `data`
    trainable : how many leading entries of `params` an update changes
    state, hyper : names of the optimizer's state and hyper-parameters
    workspace : the length of the workspace, as source
    imports : import lines beyond NumPy's
    forward, loss, backward, predict, update : the functions; `update` is None without an optimizer
    """

    doc: tuple[str, ...]
    dtype: str
    inputs: tuple[Data, ...]
    data: tuple[Data, ...]
    parameters: tuple[Entry, ...]
    gradients: tuple[Entry, ...]
    gradients_fixed: bool
    batch: str
    rows: str
    trainable: int
    state: tuple[str, ...]
    hyper: tuple[str, ...]
    workspace: str
    imports: tuple[str, ...]
    forward: Body
    loss: Body
    backward: Body
    predict: Body
    update: Body | None
