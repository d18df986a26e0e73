"""What files, copies and pickles hold of a `Model`, and models made of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..symbolic.arguments import check_network
from ..symbolic.network import Network
from .model_kernels import adopt
from .saved_files import Saved, read_file, update_digest

if TYPE_CHECKING:
    from .model import Model

Array = NDArray[Any]
MADE = ("_program", "_params", "_trainer")  # what a model makes again when it is asked for


def saved_of(model: Model, params: dict[str, Array]) -> Saved:
    """What there is to keep, with these parameters."""
    trainer, resume = model._trainer, model._resume
    state: Array | None = None
    steps, optimizer = 0, ""
    if trainer is not None:
        state, steps, optimizer = trainer.state, trainer.steps, update_digest(trainer.program.source)
    elif resume is not None:
        state, steps, optimizer = resume.state, resume.steps, resume.optimizer
    return Saved(
        params=params,
        target=model.target,
        dtype=model.dtype,
        precision=model.precision,
        sizes=model.sizes,
        seed=model.seed,
        epochs=model.epochs,
        trainings=model.trainings,
        order=model.order.bit_generator.state,
        state=state,
        steps=steps,
        optimizer=optimizer,
    )


def loaded(cls: type[Model], path: str | os.PathLike[str], network: Network, target: str | None) -> Model:
    """A model from a saved file, see `Model.load`."""
    saved = read_file(path, check_network(network))
    chosen = saved.target if target is None else target
    precision = saved.precision if chosen == saved.target else None
    model = cls(network, saved.seed, chosen, saved.dtype, saved.sizes, precision=precision)
    model.epochs, model.trainings = saved.epochs, saved.trainings
    model.order.bit_generator.state = saved.order
    model._resume = saved
    adopt(model, model.program)
    return model


def pickled(model: Model) -> dict[str, Any]:
    """What a pickle or a copy holds: what was declared, and arrays."""
    known = model._params is not None
    params = dict(model.params) if known else model._resume.params if model._resume is not None else {}
    state = {name: value for name, value in vars(model).items() if name not in MADE}
    return state | {"_resume": saved_of(model, params), "_optimizer": model.optimizer}


def load_parameters(model: Model, path: str | os.PathLike[str]) -> None:
    """Set all parameters and states from a file of them, see `Model.load_parameters`."""
    from .formats.parameter_files import check_parameters, read_parameters

    arrays, sizes = read_parameters(path), dict(model.sizes)
    check_parameters(arrays, model.network, sizes, model.dtype, os.fspath(path))
    if model._params is None:
        model.sizes = sizes
    model.params.fill(arrays)
