"""Which losses are made of those of parts of a batch: what is said of random networks holds in PyTorch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import sympy
from random_networks import random_network

import gradloom as gl
from gradloom.symbolic.row_shares import share_of_rows

B, n, m = gl.dims("B n m")
b, c, j, k = gl.indices("b c j k")


def parts_of(case):
    """The same case with its first row alone, and with the others."""
    batched = [name for name in case.values if (shape := case.network.tensors[name].shape) and shape[0] == B]
    for rows in (slice(0, 1), slice(1, None)):
        yield dataclasses.replace(
            case, values={name: value[rows] if name in batched else value for name, value in case.values.items()}
        )


def compare(seed):
    """The loss of a batch and its gradients, by PyTorch, against those of two parts; refused ones must not add up."""
    case = random_network(seed, most=3)
    _, loss, gradients = case.expected()
    try:
        found = [part.expected()[1:] for part in parts_of(case)]
    except ValueError:  # PyTorch normalises no batch of one row
        with pytest.raises(gl.UnsupportedError, match="which is made of all rows"):
            share_of_rows(case.network)
        return "refused"
    names = [tensor.name for tensor in case.network.parameters]
    rows = next(len(value) for name, value in case.values.items() if case.network.tensors[name].shape[:1] == (B,))

    def adds_up(weights):
        total = sum(w * part[0] for w, part in zip(weights, found, strict=True))
        same = [np.isclose(total, loss, rtol=1e-9)]
        for name in names:
            total = sum(w * part[1][name] for w, part in zip(weights, found, strict=True))
            same.append(np.allclose(total, gradients[name], rtol=1e-9, atol=1e-12))
        return all(same)

    weights = {"mean": (1 / rows, 1 - 1 / rows), "sum": (1, 1)}
    try:
        share = share_of_rows(case.network)
    except gl.UnsupportedError:
        assert not any(map(adds_up, weights.values())), "it was refused without need"
        return "refused"
    assert adds_up(weights[share])
    return share


def test_random_networks():
    found = [compare(seed) for seed in range(16)]
    assert set(found) == {"mean", "sum", "refused"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(16, 80))
def test_many_random_networks(seed):
    compare(seed)


def declared(loss):
    """A network of a weight w[j], rows x[b, j] and z[b] = Σ_j w[j] x[b, j], with what `loss` makes of them."""
    net = gl.Network("declared")
    x, w = net.input("x", (B, n)), net.parameter("w", (n,))
    z = net.define("z", (b,), gl.Sum(w[j] * x[b, j], j))
    net.minimize(loss(net, w, x, z))
    return net


ROWS = lambda z: gl.Sum(z[b] ** 2, b)  # noqa: E731
case = lambda value, condition: sympy.Piecewise((value, condition), (0, True))  # noqa: E731

GOOD = {
    "a mean": (lambda net, w, x, z: ROWS(z) / B, "mean"),
    "a mean of means": (lambda net, w, x, z: gl.Sum(gl.Sum(x[b, j] * w[j] ** 2, j) / n, b) / (3 * B), "mean"),
    "its factor within": (lambda net, w, x, z: gl.Sum(z[b] ** 2 / B, b), "mean"),
    "a mean and a penalty": (lambda net, w, x, z: ROWS(z) / B + gl.Sum(w[j] ** 2, j), "mean"),
    "two means": (lambda net, w, x, z: (ROWS(z) + gl.Sum(z[b], b)) / B - gl.Sum(z[b], b) / (2 * B), "mean"),
    "a sum": (lambda net, w, x, z: ROWS(z) / 2, "sum"),
    "a sum times a weight": (lambda net, w, x, z: ROWS(z) * gl.Sum(w[j] ** 2, j), "sum"),
    "columns summed by rows": (lambda net, w, x, z: gl.Sum(w[j] ** 2 * gl.Sum(x[b, j], b), j) / B, "mean"),
    "another equation": (lambda net, w, x, z: net.define("s", (), ROWS(z) / B) + gl.Sum(w[j], j), "mean"),
    "how many rows": (lambda net, w, x, z: gl.Sum(gl.Sum(w[j] ** 2, j), (b, B)) / B, None),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_adds_up(name):
    loss, share = GOOD[name]
    if share is None:  # Σ over the rows of what has none is that times B, and over B nothing depends on rows
        with pytest.raises(gl.UnsupportedError, match="L does not depend on any row"):
            share_of_rows(declared(loss))
    else:
        assert share_of_rows(declared(loss)) == share


BAD = {
    "a square of a mean": (lambda net, w, x, z: (ROWS(z) / B) ** 2, "not linear in a sum over rows"),
    "a logarithm": (lambda net, w, x, z: gl.Sum(w[j], j) - sympy.log(1 + ROWS(z)), "not linear"),
    "a product of means": (lambda net, w, x, z: ROWS(z) * gl.Sum(z[b], b) / B**2, "multiplies sums over rows"),
    "a sum and a penalty": (lambda net, w, x, z: ROWS(z) + gl.Sum(w[j] ** 2, j), "divide the sum by the batch size B"),
    "over the square": (lambda net, w, x, z: ROWS(z) / B**2, r"B\*\*\(-2\) times a sum over rows"),
    "two powers": (lambda net, w, x, z: ROWS(z) / B + gl.Sum(z[b], b), "different powers of the batch size"),
    "a penalty by rows": (lambda net, w, x, z: ROWS(z) / B + gl.Sum(w[j] ** 2, j) / B, "depends on the batch size B"),
    "pairs of rows": (lambda net, w, x, z: gl.Sum(z[b] * z[c], b, (c, B)) / B**2, "multiplies|pairs of rows"),
    "the next row": (lambda net, w, x, z: gl.Sum(z[b] * z[(b + 1) % B], b) / B, "other rows of z|depends on the batch"),
    "the first row": (lambda net, w, x, z: z[0] ** 2, "reads a row"),
    "the first row, too": (lambda net, w, x, z: ROWS(z) / B + z[0], "reads a row"),
    "the first row, times": (lambda net, w, x, z: ROWS(z) / B + 2 * z[0] * gl.Sum(w[j], j), "reads a row"),
    "the number of a row": (lambda net, w, x, z: gl.Sum(z[b] ** 2 * (1 + b), b) / B, "on its own number"),
    "a weight for a row": (lambda net, w, x, z: gl.Sum(z[b] ** 2 * w[b % n], b) / B, "on its own number"),
    "one row's case": (lambda net, w, x, z: gl.Sum(case(z[b], sympy.Eq(b, 0)), b) / B, "on its own number"),
    "a case over all": (lambda net, w, x, z: gl.Sum(case(z[b] / B, z[b] > 0), b) / B, "depends on the batch size B"),
    "a case by how many": (lambda net, w, x, z: gl.Sum(case(z[b], z[b] > B), b) / B, "depends on the batch size B"),
    "the largest": (lambda net, w, x, z: gl.Max(z[b], b), "not linear in a sum over rows"),
    "centred": (
        lambda net, w, x, z: gl.Sum((z[b] - net.define("mu", (), gl.Sum(z[c], (c, B)) / B)) ** 2, b) / B,
        "a row needs mu, which is made of all rows",
    ),
    "by how many": (lambda net, w, x, z: gl.Sum(z[b] ** 2 * (1 + 1 / B), b) / B, "depends on the batch size B"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not(name):
    loss, message = BAD[name]
    with pytest.raises(gl.UnsupportedError, match=message):
        share_of_rows(declared(loss))


def test_no_loss_no_rows():
    net = gl.Network("none")
    with pytest.raises(gl.LossError, match="has no loss"):
        share_of_rows(net)
    w = net.parameter("w")
    net.minimize(w**2)
    with pytest.raises(gl.UnsupportedError, match="has no batch axis"):
        share_of_rows(net)
