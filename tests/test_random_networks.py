"""Random networks composed of everything, against PyTorch: loss, output, every gradient, on both targets."""

from __future__ import annotations

import contextlib
import re

import numpy as np
import pytest
import torch
from kernels import compiled, data, flat, plain
from oracles import relative_error
from random_networks import random_network

import gradloom as gl
from gradloom.codegen.generate import generate


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
    try:
        case.network.derive(tuple(case.wrt))
    except gl.UnusedParameterError:
        pass
    else:
        return tuple(case.wrt)
    _, _, gradients = case.expected()
    largest = max(np.abs(gradient).max() for gradient in gradients.values())
    zero = [name for name in case.wrt if np.abs(gradients[name]).max() <= 1e-14 * largest]
    for name in zero:
        with contextlib.suppress(gl.UnusedParameterError):
            case.network.derive((name,))
            zero.remove(name)
    return tuple(name for name in case.wrt if name not in zero)


def check(case, modules, dtype="float64", tolerance=1e-9):
    """Compare with PyTorch in float64; in float32 with four times PyTorch's own error, where that is larger."""
    wrt = differentiable(case)
    with torch.no_grad():
        pass
    output, inferred, _ = case.expected(training=False)
    _, loss, gradients = case.expected()
    largest = max(np.abs(gradient).max() for gradient in gradients.values())
    for target, module in modules(case, wrt, dtype):
        with np.errstate(all="ignore") if target != "numpy" else contextlib.nullcontext():
            found = run(module, case, wrt, dtype)
        errors = {"output": relative_error(found[0], output), "inferred": relative_error(found[1], inferred)}
        errors["loss"] = relative_error(found[2], loss)
        for name in wrt:
            # What cancels (a bias before a batch normalisation) is what rounding leaves of the other gradients.
            floor = np.finfo(dtype).eps * 50 * largest / tolerance
            scale = max(np.abs(gradients[name]).max(), floor)
            wrong = np.abs(np.asarray(found[3][name], float) - gradients[name])
            errors[name] = float(wrong.max() / scale) if np.isfinite(wrong).all() else np.inf
        wrong = {name: error for name, error in errors.items() if not error < tolerance}
        assert not wrong, f"{target}: {case}\n{wrong}"


def sources(case, wrt, dtype):
    for target in ("numpy", "cpu"):
        source = generate(case.network, target=target, dtype=dtype, sizes=case.sizes, wrt=wrt).source
        yield target, plain(source)


@pytest.mark.parametrize("seed", range(24))
def test_random_network(seed):
    check(random_network(seed), sources)
