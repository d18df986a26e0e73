"""Random networks against PyTorch: loss, output and every gradient of whatever modules a target gives."""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from kernels import data, flat
from oracles import relative_error

import gradloom as gl


def run(module, case, wrt, dtype="float64"):
    """Output and loss in inference, the loss in training, and gradients; noise is given."""
    network, params = case.network, flat(module, case.values, dtype)
    arrays = data(network, case.values, dtype)
    noises = [np.array(case.values[t.name], dtype) for t in network.noises]
    rows = len(arrays[0])
    places = module.gradient_places(rows)
    grads = np.full(max([at + int(np.prod(shape)) for at, shape in places.values()], default=0), np.nan, dtype)
    work = module.workspace(rows)
    inferred = float(module.loss(params, *arrays, work))
    loss = float(module.loss_and_gradients(params, *arrays, *noises, work, grads))
    output = np.array(module.predict(params, *arrays[: len(network.inputs)], work))
    gradients = {name: grads[at : at + int(np.prod(shape))].reshape(shape) for name, (at, shape) in places.items()}
    return output, inferred, loss, {name: gradients[name] for name in wrt}


def differentiable(case):
    """The names that the loss depends on; PyTorch's gradient of any other must be 0."""
    with contextlib.suppress(gl.UnusedParameterError):
        case.network.derive(tuple(case.wrt))
        return tuple(case.wrt)
    _, _, gradients = case.expected()
    names = []
    for name in case.wrt:
        try:
            case.network.derive((name,))
        except gl.UnusedParameterError:
            assert np.abs(gradients[name]).max() <= 1e-14 * largest(gradients), f"{case}: no gradient of {name}"
        else:
            names.append(name)
    return tuple(names)


def largest(gradients):
    return max(np.abs(gradient).max() for gradient in gradients.values())


def errors_of(found, gradients, output, inferred, loss, floor):
    """The relative errors by name; what is below `floor` is what rounding leaves of what cancels."""
    errors = {"output": relative_error(found[0], output), "inferred": relative_error(found[1], inferred)}
    errors["loss"] = relative_error(found[2], loss)
    for name, gradient in found[3].items():
        wrong = np.abs(np.asarray(gradient, float) - gradients[name])
        scale = max(np.abs(gradients[name]).max(), floor) or 1.0
        errors[name] = float(wrong.max() / scale) if np.isfinite(wrong).all() else np.inf
    return errors


def check(case, modules, dtype="float64", tolerance=1e-9):
    """Compare with PyTorch in float64; of float32 no more is asked than four times PyTorch's own error."""
    wrt = differentiable(case)
    if not wrt:
        return
    output, inferred, _ = case.expected(training=False)
    _, loss, gradients = case.expected()
    # A bias before a batch normalisation, say: its gradient is 0, but for rounding.
    floor = np.finfo(dtype).eps * 50 * largest(gradients) / tolerance
    allowed = {}
    if dtype == "float32":
        theirs = [case.expected(torch.float32, training) for training in (False, True)]
        own = (*theirs[0][:2], theirs[1][1], {name: theirs[1][2][name] for name in wrt})
        allowed = errors_of(own, gradients, output, inferred, loss, floor)
    for target, module in modules(case, wrt, dtype):
        with np.errstate(all="ignore") if target != "numpy" else contextlib.nullcontext():
            found = run(module, case, wrt, dtype)
        errors = errors_of(found, gradients, output, inferred, loss, floor)
        wrong = {name: e for name, e in errors.items() if not e <= max(tolerance, 4 * allowed.get(name, 0))}
        assert not wrong, f"{target} {dtype}: {case}\n{wrong}"
