"""`explain`: one forward pass, backward pass and update of a network in numbers, as a document."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..symbolic.arguments import as_list, check_network
from ..symbolic.errors import DataError, IndexingError, LossError, UnsupportedError
from ..symbolic.network import Network
from ..symbolic.notation import Notation
from ..symbolic.optimizer import Optimizer
from ..symbolic.optimizers import SGD
from ..symbolic.pictures.draw import Drawing
from ..symbolic.report.chain import parse_entry
from ..symbolic.report.document import Document
from ..symbolic.tensors import Derived, Tensor, shape_text
from .compilation import check_choices, check_optimizer
from .explain_pages import ArrayPage, ScalarPage
from .point import Point
from .what_if import Nudge, what_if

MOST_WEIGHTS = 60


def explain(
    network: Network,
    data: Any = None,
    params: Mapping[str, Any] | None = None,
    *,
    rows: int | slice | Sequence[int] = 0,
    optimizer: Optimizer | None = None,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    entries: Iterable[str] = (),
    nudge: Iterable[str] = (),
    epsilon: float = 0.01,
    limit: int = MOST_WEIGHTS,
    picture: bool = False,
    **notation: Any,
) -> Document:
    """One pass through a network in numbers: forward, error, backward, update, and what if a weight were another.

    A network of few weights is written out neuron by neuron, with the numbers put into every formula and the chain
    rule factor by factor. Of a larger one each equation is shown with the norm and the first numbers of its value, and
    the chain rule for `entries`. Numbers are those of training, computed by the reference interpreter in float64.

    Parameters
    ----------
    network : with a loss.
    data : ``(X, Y)`` as for `Model.fit`, or an array for every input and target (and noise), by name; None for random
        ones.
    params : arrays by name for parameters and states; by default those that a `Model` of this seed begins with.
    rows : which of the data: a row number, a slice, or a list of row numbers. ``slice(3)`` of random data draws three.
    optimizer : one of ``gl.optimizers``, by default gradient descent, ``SGD(lr=0.1)``; its first step is shown.
    seed : of all that is random.
    sizes : numbers for symbolic sizes that the data do not tell.
    entries : weights whose chains a larger network's page shows, as ``"W1[0, 0]"``; by default one of each parameter.
    nudge : weights that the last section moves by ±`epsilon`; by default those of the page.
    epsilon : how far.
    limit : up to so many weights a network is written out neuron by neuron.
    picture : whether a network that is written out is also drawn, as a circuit with these numbers; a larger one as
        its dataflow.
    notation : choices of `Notation`.

    Returns
    -------
    `Document` with the sections Given, Forward, Error, Backward, Update, What if; it has ``text()``, ``latex()``,
    ``html()`` and so on. A network of second order (`hessian_vector`) has no Update. Where values are held there is
    no comparison under What if: the gradient takes them as constants, which moved weights do not.

    Raises
    ------
    LossError
        If the network has no loss.
    DataError, SizeError, ShapeError
        If data or parameters do not fit the network.
    UnsupportedError
        If the interpreter would take far more than seconds.
    IndexingError, UndefinedError, UnusedParameterError
        If an entry is none of the network, or the loss does not depend on it.

    Examples
    --------
    >>> import gradloom as gl
    >>> net = gl.Sequential([gl.layers.Dense(1, weight_init=0.5)], input_shape=1, loss=gl.losses.SquaredError())
    >>> page = gl.explain(net, ([[3.0]], [[2.0]]), optimizer=gl.optimizers.SGD(lr=0.5))
    >>> [section.title for section in page.sections]
    ['Given', 'Forward', 'Error', 'Backward', 'Update', 'What if']
    """
    if check_network(network).loss is None:
        raise LossError(f"{network.name} has no loss: call minimize(…) with a scalar first")
    if not (isinstance(epsilon, int | float) and math.isfinite(epsilon) and epsilon > 0):
        raise DataError(f"epsilon must be a positive number, found {epsilon!r}")
    choices = Notation.of(notation)
    point = Point(network, data, params, rows, sizes, seed)
    check_choices("numpy", "float64", optimizer)
    optimizer = SGD(lr=0.1) if optimizer is None else optimizer
    check_optimizer(optimizer)
    scalars = point.written_out(limit)
    document = Document(f"{network.name} in numbers")
    entries, nudge = (_texts(*given) for given in (("entries", entries), ("nudge", nudge)))
    asked = [] if scalars is not None else [_entry(point, text)[0].name for text in entries]
    page = ArrayPage(point, choices, asked) if scalars is None else ScalarPage(point, scalars, choices)
    document.add("Given", page.given())
    document.add("Forward", page.forward())
    document.add("Error", page.error())
    document.add("Backward", page.backward(entries))
    if network.parameters and not isinstance(network.loss, Derived):  # a step down a second derivative means nothing
        document.add("Update", page.update(optimizer))
    places = [_entry(point, text) for text in nudge]
    nudges = [Nudge(network, tensor.name, where) for tensor, where in places] or page.nudges()
    document.add(
        "What if", what_if(point, nudges, float(epsilon), page.gradient, choices, "" if places else page.choice())
    )
    if picture:
        document.add("Picture", [_drawn(point, scalars is not None, notation).block()])
    return document


def _drawn(point: Point, written_out: bool, notation: Mapping[str, Any]) -> Drawing:
    """The circuit with the numbers of `point`, or the dataflow where that would be too large."""
    network = point.network
    if written_out:
        try:
            values = {name: array for name, array in point.arrays.items() if name not in network.values}
            return network.picture(values, kind="circuit", sizes=point.sizes, **notation)
        except UnsupportedError:  # more gates than a picture holds
            pass
    return network.picture(kind="dataflow", **notation)


def _texts(name: str, given: Any) -> list[Any]:
    return [given] if isinstance(given, str) else as_list(given, name, f"entries by name, as in {name}=['W1[0, 1]']")


def _entry(point: Point, text: str) -> tuple[Tensor, tuple[int, ...]]:
    """The tensor and position that `text` names, within the numbers that sizes have."""
    tensor, where = parse_entry(point.network, text)
    for axis, (place, size) in enumerate(zip(where, point.shape(tensor), strict=True)):
        if place >= size:
            raise IndexingError(f"{text!r}: axis {axis} of {tensor.name} {shape_text(tensor.shape)} ends at {size - 1}")
    return tensor, tuple(map(int, where))
