"""Networks of layers against PyTorch in float64: the loss, the output, and every gradient, at random sizes.

A `LayerCase` states the layers and the same function in PyTorch; `LayerCase.check` compares the two at given sizes::

    B, T, n = gl.dims("B T n")
    case = LayerCase([Dense(n, gl.tanh)], (T, n), lambda x, w: torch.tanh(F.linear(x, w["W1"], w["b1"])))
    case.check({"B": 3, "T": 7, "n": 5}, seed=0)

The network is declared and derived once, at symbolic sizes; code is generated anew for each choice of numbers.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kernels import expected, loaded, run
from oracles import relative_error

import gradloom as gl
from gradloom.codegen.generate import generate

PRIMES = (3, 5, 7, 11, 13)  # without 2, which hides 2 + B in the place of 2 B
TOLERANCE = 1e-9


def distinct(*names: str) -> Any:
    """A strategy for sizes by name, all different, so that no axis can stand in for another."""
    return st.permutations(PRIMES).map(lambda found: dict(zip(names, found, strict=False)))


class LayerCase:
    """Layers on an input ``x``, and what PyTorch calls them.

    Parameters
    ----------
    layers : the layers, at symbolic sizes; or a function of no arguments that returns them.
    sample : the shape of a sample of ``x``.
    torch : function of ``x`` and a mapping of names to tensors (parameters and further inputs); returns the output.
    classes : the number of classes, where ``x`` holds labels.
    inputs : for further inputs by name, a function of a random generator and a shape that returns their values.
    options : further arguments of `Sequential`.
    penalty : function of ``x`` and the mapping, added to PyTorch's loss.

    The loss is the squared error against random targets, which reaches every entry of the output.
    """

    def __init__(
        self,
        layers: Any,
        sample: Any,
        torch: Callable[[Any, Mapping[str, Any]], Any],
        *,
        classes: Any = None,
        inputs: Mapping[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] | None = None,
        options: Mapping[str, Any] | None = None,
        penalty: Callable[[Any, Mapping[str, Any]], Any] | None = None,
    ) -> None:
        self.layers, self.sample, self.torch, self.classes = layers, sample, torch, classes
        self.inputs, self.options, self.penalty = dict(inputs or {}), dict(options or {}), penalty

    @functools.cached_property
    def network(self) -> Any:
        layers = self.layers() if callable(self.layers) else self.layers
        network = gl.Sequential(
            layers, self.sample, input_classes=self.classes, loss=gl.losses.SquaredError(), **self.options
        )
        derive = functools.cache(network.derive)
        network.derive = lambda wrt=None: derive(None if wrt is None else tuple(wrt))
        return network

    @property
    def wrt(self) -> list[str]:
        """Every parameter, and the input where it is real."""
        return [p.name for p in self.network.parameters] + (["x"] if self.classes is None else [])

    def values(self, sizes: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
        """Random values of the inputs, targets and parameters; weights of a size that keeps activations near 1."""
        rng, made = np.random.default_rng(seed), {}
        numbers = {gl.Dim(name): value for name, value in sizes.items()}
        for tensor in self.network.by_role("input", "target", "parameter"):
            shape = tuple(int(size.xreplace(numbers)) for size in tensor.shape)
            if tensor.classes is not None:
                made[tensor.name] = rng.integers(0, int(tensor.classes.xreplace(numbers)), shape)
            elif tensor.name in self.inputs:
                made[tensor.name] = self.inputs[tensor.name](rng, shape)
            else:
                made[tensor.name] = rng.normal(size=shape) / np.sqrt(shape[-1] if len(shape) > 1 else 1)
        return made

    def expected(self, values: Mapping[str, np.ndarray]) -> tuple[np.ndarray, float, dict[str, np.ndarray]]:
        """Output, loss and gradients by PyTorch."""
        tensors = {name: torch.tensor(value) for name, value in values.items()}
        for name in self.wrt:
            tensors[name].requires_grad_()
        output = self.torch(tensors["x"], tensors)
        loss = ((output - tensors["y"]) ** 2).sum() / (2 * len(output))
        if self.penalty is not None:
            loss = loss + self.penalty(tensors["x"], tensors)
        loss.backward()
        return output.detach().numpy(), float(loss.detach()), {name: tensors[name].grad.numpy() for name in self.wrt}

    def found(self, values: Mapping[str, np.ndarray], sizes: Mapping[str, int], target: str) -> Any:
        """Output, loss and gradients by the module for `target`; "cpu" runs as plain Python, "cuda" simulated.

        The target "interpreter" is `evaluate` of the equations themselves, which needs small sizes.
        """
        if target == "interpreter":
            made = expected(self.network, values, self.wrt)
            return made[self.network.output.name], float(made[self.network.loss.name]), made
        given = {name: value for name, value in sizes.items() if name != "B"}
        source = generate(self.network, target=target, dtype="float64", sizes=given, wrt=self.wrt).source
        with np.errstate(all="ignore") if target == "cpu" else contextlib.nullcontext():
            return run(
                loaded(source, target), self.network, values
            )  # compiled code sets no warnings, so a "cpu" one need not

    def check(self, sizes: Mapping[str, int], seed: int, targets: Iterable[str] = ("numpy",)) -> None:
        """Compare at these sizes (``B`` is the batch), with values drawn from `seed`."""
        known = {s.name for t in self.network.tensors.values() for d in t.shape for s in d.free_symbols}
        known |= set() if self.classes is None else {s.name for s in self.network.tensors["x"].classes.free_symbols}
        sizes = {name: value for name, value in sizes.items() if name in known}
        values = self.values(sizes, seed)
        output, loss, gradients = self.expected(values)
        for target in targets:
            found_output, found_loss, found = self.found(values, sizes, target)
            errors = {name: relative_error(found[name], gradients[name]) for name in gradients}
            errors |= {"output": relative_error(found_output, output), "loss": relative_error(found_loss, loss)}
            assert max(errors.values()) < TOLERANCE, (target, sizes, seed, errors)

    def at_random_sizes(self, sizes: Any, examples: int, targets: Iterable[str] = ("numpy",)) -> None:
        """`check` at this many choices of the strategy `sizes`, the same ones every time."""
        # Code is generated for each choice: finding a smaller one that fails too would take minutes.
        phases, slow = [Phase.explicit, Phase.generate], [HealthCheck.too_slow]

        @settings(
            max_examples=examples, deadline=None, derandomize=True, database=None, phases=phases,
            suppress_health_check=slow,
        )  # fmt: skip
        @given(sizes, st.integers(0, 2**32 - 1))
        def one(found: Any, seed: int) -> None:
            self.check(found, seed, targets)

        one()
