"""The compiled kernels of a `Model`, the parameters that are laid out for them, and what trains with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..symbolic.errors import SizeError
from .compilation import check_choices, compile_network
from .parameters import Parameters
from .program import Program
from .saved_files import update_digest
from .training import Trainer, noise_seed

if TYPE_CHECKING:
    from .model import Model


def compiled(model: Model, batch: int, optimizer: Any, announced: bool = False) -> Program:
    """The kernels of the model's network, chosen for mini-batches of `batch` rows."""
    try:
        return compile_network(
            model.network,
            target=model.target,
            dtype=model.dtype,
            batch=batch,
            sizes=model.sizes,
            optimizer=optimizer,
            schedule=model.schedule,
            checkpoint=model.checkpoint,
            precision=model.precision,
            announced=announced,
        )
    except SizeError as error:
        raise SizeError(f"{error}; or call fit, which reads sizes off the data") from error


def adopt(model: Model, program: Program) -> None:
    """Take `program` for all calls from now on, and the layout of its parameters."""
    model._program = program
    old = model._params
    if old is not None and old.layout == dict(program.module.PARAMETERS):
        return
    model._params = Parameters(program.module.PARAMETERS, model.dtype)
    resume = model._resume
    kept = dict(old) if old is not None else resume.params if resume is not None else {}
    if kept:
        model._params.fill(kept)
    else:
        model._params.initialize(model.network, model._init)
    if resume is not None:
        resume.params = {}


def trainer_of(model: Model, optimizer: Any, batch: int, announced: bool = False) -> Trainer:
    """The trainer for `optimizer`: the last one, if its update equations are the same.

    If `announced`, its kernels announce the gradients that they are done with.
    """
    last = model._trainer
    if optimizer is None:
        optimizer = model.optimizer or _default_optimizer()
    is_same = optimizer is (last and last.program.optimizer)
    if last is not None and is_same and last.frozen == model.network.frozen and last.fits(batch, announced):
        return last
    check_choices(model.target, model.dtype, optimizer)
    program = compiled(model, batch, optimizer, announced)
    adopt(model, program)
    if last is not None and update_digest(last.program.source) == update_digest(program.source):
        # New numbers (a smaller learning rate, say) for the same equations: the state goes on.
        last.program = program
        return last
    saved, model._resume = model._resume, None
    if saved is None or saved.state is None or saved.optimizer != update_digest(program.source):
        model.trainings += 1
        model._trainer = _made_trainer(model, program)
        return model._trainer
    model._trainer = _made_trainer(model, program)
    model._trainer.resume(saved.state, saved.steps)
    return model._trainer


def _made_trainer(model: Model, program: Program) -> Trainer:
    made = Trainer
    if model.target == "cuda":
        from .device_trainer import DeviceTrainer

        made = DeviceTrainer
    return made(program, model.params, noise_seed(model.seed, model.trainings))


def _default_optimizer() -> Any:
    from ..symbolic.optimizers import Adam

    return Adam()
