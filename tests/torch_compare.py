"""Networks against PyTorch in float64: the output, the loss and the gradients, for the structures of one random draw.

`compare` takes layers (or a network with an output and a loss), the same function in PyTorch, and how to run ours: by
the reference interpreter ("evaluate") and by generated modules ("numpy"; "cpu" as plain Python). `HOW` is what tests
are parametrised with: a few structures in the everyday suite, many in the slow one.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, settings
from kernels import plain, run
from oracles import relative_error

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.symbolic.evaluate import evaluate

TOLERANCE = 1e-9

HOW = ["few", pytest.param("many", marks=pytest.mark.slow)]
RUNS = {"few": ("numpy", "cpu"), "many": ("evaluate", "numpy", "cpu")}
EXAMPLES = {"few": 3, "many": 20}


def draws(how: str) -> Any:
    """Settings for as many structures as `how` says, the same ones in every run."""
    # A smaller structure that fails too would take minutes to find.
    phases = [Phase.explicit, Phase.generate]
    return settings(
        max_examples=EXAMPLES[how], deadline=None, derandomize=True, database=None, phases=phases,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


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
    how: str = "few",
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    given: Mapping[str, Any] | None = None,
) -> gl.Network:
    """Compare a network of `layers` on an input of shape `sample` with `reference`, a function of its tensors by name.

    `how` names one of `RUNS`, or one way to run alone. `layers` may be a network that `network_of` made, to be compared
    at several sizes.

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
    for run_by in RUNS.get(how, (how,)):
        found_output, found_loss, found = _found(network, values, wrt, run_by, dict(sizes or {}))
        errors = {name: relative_error(found[name], gradients[name]) for name in wrt}
        errors |= {"output": relative_error(found_output, output), "loss": relative_error(found_loss, loss)}
        assert max(errors.values()) < TOLERANCE, (run_by, layers, sample, errors)
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
    with np.errstate(all="ignore") if how == "cpu" else contextlib.nullcontext():
        return run(plain(source), network, dict(values))  # compiled code sets no warnings, so a "cpu" one need not
