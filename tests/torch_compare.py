"""Networks against PyTorch in float64: the output, the loss and the gradients, for the structures of one random draw.

`compare` takes layers (or a network with an output and a loss), the same function in PyTorch, and how to run ours:
"evaluate" for the reference interpreter, "numpy" or "cpu" for generated modules.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, settings
from kernels import plain, run
from oracles import relative_error

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.symbolic.evaluate import evaluate

TOLERANCE = 1e-9

# Twenty structures, the same ones in every run.
draws = settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def network_of(layers: Any, sample: tuple[Any, ...]) -> Any:
    """The network of `layers` with the squared error; what is derived of it is derived once."""
    network = gl.Sequential(layers, sample, loss=gl.losses.SquaredError())
    derive = functools.cache(network.derive)
    network.derive = lambda wrt=None: derive(None if wrt is None else tuple(wrt))
    return network


def compare(
    layers: Any,
    sample: tuple[Any, ...],
    reference: Callable[[Mapping[str, Any]], Any],
    batch: int = 2,
    how: str = "evaluate",
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    given: Mapping[str, Any] | None = None,
) -> gl.Network:
    """Compare a network of `layers` on an input of shape `sample` with `reference`, a function of its tensors by name.

    `layers` may be a network that `network_of` made, to be compared at several sizes.

    The loss is the squared error against random targets, which reaches every entry of the output. Gradients are
    compared of all parameters and real inputs that are not in `given` (values of further inputs, such as masks).
    """
    network = layers if isinstance(layers, gl.Network) else network_of(layers, sample)
    numbers = {gl.Dim("B"): batch, **{gl.Dim(name): value for name, value in (sizes or {}).items()}}
    rng, values = np.random.default_rng(seed), dict(given or {})
    for tensor in network.by_role("input", "target", "parameter"):
        if tensor.name not in values:
            values[tensor.name] = rng.normal(size=[int(size.xreplace(numbers)) for size in tensor.shape])
    wrt = [t.name for t in network.by_role("input", "parameter") if t.name not in (given or {})]
    output, loss, gradients = _expected(network, values, reference, wrt)
    found_output, found_loss, found = _found(network, values, wrt, how, dict(sizes or {}))
    errors = {name: relative_error(found[name], gradients[name]) for name in wrt}
    errors |= {"output": relative_error(found_output, output), "loss": relative_error(found_loss, loss)}
    assert max(errors.values()) < TOLERANCE, (layers, sample, errors)
    return network


def _expected(network: Any, values: Mapping[str, Any], reference: Any, wrt: list[str]) -> tuple[Any, float, Any]:
    tensors = {name: torch.tensor(value) for name, value in values.items()}
    for name in wrt:
        tensors[name].requires_grad_()
    output = reference(tensors)
    loss = ((output - tensors["y"]) ** 2).sum() / (2 * len(output))
    gradients = torch.autograd.grad(loss, [tensors[name] for name in wrt])
    return output.detach().numpy(), float(loss.detach()), dict(zip(wrt, (g.numpy() for g in gradients), strict=True))


def _found(network: Any, values: Mapping[str, Any], wrt: list[str], how: str, sizes: Mapping[str, int]) -> Any:
    if how == "evaluate":
        derivation = network.derive(wrt)
        found = evaluate([*network.equations, *derivation.adjoints], values, sizes)
        gradients = {name: found[equation.target.name] for name, equation in derivation.gradients.items()}
        return found[network.output.name], found[network.loss.name], gradients
    source = generate(network, target=how, dtype="float64", sizes=sizes, wrt=wrt).source
    return run(plain(source), network, dict(values))
