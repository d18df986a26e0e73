"""What a case of wrong input is: a function of a `Place`, which raises; or the name of the test that proves it."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradloom as gl
from gradloom.cli import main


class Refused(Exception):
    """What the command line says when it ends with status 2."""


@dataclass(frozen=True)
class Place:
    """Where a case is: a directory of its own, and what undoes the patches that it makes."""

    path: Path
    patch: pytest.MonkeyPatch

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def arrays(self, name: str = "data.npz", **arrays: Any) -> Path:
        np.savez(self.path / name, **arrays)
        return self.path / name

    def without(self, *packages: str) -> None:
        """As if these packages were not installed."""
        for name in packages:
            self.patch.setitem(sys.modules, name, None)

    def gradloom(self, *arguments: Any) -> None:
        """The command line."""
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as said:
            status = main([str(argument) for argument in arguments])
        assert (status, out.getvalue()) == (2, ""), said.getvalue()
        assert "Traceback" not in said.getvalue()
        text = said.getvalue()
        raise Refused(text[text.index("gradloom: error: " if text.startswith("gradloom") else "\ngradloom") :])


@dataclass(frozen=True)
class Proved:
    """A row that a test elsewhere proves, which takes processes or a driver of its own."""

    test: str  # file::function


Case = Callable[[Place], Any] | Proved

B, n, m, T = gl.dims("B n m T")
i, j, k, t = gl.indices("i j k t")
X = np.arange(8.0).reshape(4, 2)
Y = np.arange(12.0).reshape(4, 3) / 12
LABELS = np.array([0, 1, 2, 1])


def declared(minimised: bool = True) -> gl.Network:
    """One layer by equations, of symbolic sizes."""
    net = gl.Network("net")
    x, y, W = net.input("x", (B, n)), net.target("y", (B, m)), net.parameter("W", (m, n))
    z = net.define("z", (i, j), gl.Sum(W[j, k] * x[i, k], k))
    if minimised:
        net.minimize(gl.Sum((z[i, j] - y[i, j]) ** 2, i, j) / B)
    return net


def stacked(*layers: Any, shape: Any = 2, loss: Any = None, **options: Any) -> gl.Network:
    """A network of layers, by default one of three sums of two numbers."""
    loss = gl.losses.SquaredError() if loss is None else loss
    return gl.Sequential(list(layers) or [gl.layers.Dense(3)], input_shape=shape, loss=loss, **options)


def classifier() -> gl.Network:
    return stacked(loss=gl.losses.CrossEntropy(targets="labels"))


def model(net: gl.Network | None = None, **options: Any) -> gl.Model:
    return gl.Model(stacked() if net is None else net, **{"target": "numpy", **options})


def fitted(**options: Any) -> Any:
    return model().fit(X, Y, **{"epochs": 1, "progress": False, **options})
