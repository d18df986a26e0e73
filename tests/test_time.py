"""Sequences of any length: the derivation does not grow with it, memory grows in proportion, gradients stay right."""

from __future__ import annotations

import functools
import re
import tracemalloc

import numpy as np
import pytest
import torch
from everyday import daily
from kernels import plain, run
from oracles import relative_error

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.symbolic import layers as L

T, n = gl.dims("T n")
LAYERS = {
    "RNN": lambda: [L.RNN(3)],
    "GRU": lambda: [L.GRU(3)],
    "LSTM": lambda: [L.LSTM(3, mask="seen")],
    "reverse": lambda: [L.RNN(3, reverse=True)],
    "stacked": lambda: [L.Bidirectional(L.RNN(2)), L.RNN(3), L.Dense(5)],
}
BATCH, UNITS, FEATURES = 3, 5, 2


def network_of(layers, length):
    return gl.Sequential(layers, (length, 2), loss=gl.losses.SquaredError())


@pytest.mark.parametrize("name", LAYERS)
def test_the_derivation_does_not_depend_on_the_length(name):
    """Equations of a symbolic length, of 7 and of 1000 steps differ in the number alone."""

    def equations(length):
        found = "\n".join(str(equation) for equation in network_of(LAYERS[name](), length).derive().adjoints)
        # With a number, 1 is taken to the other side: t + 1 < 7 is written t ≤ 5, as is t + 1 < T here.
        return re.sub(r" \+ 1 < T| ≤ (5|998)\b", " ≤ T - 2", found)

    of_any = equations(T)
    assert "≥ 1" in of_any or "≤ T - 2" in of_any
    assert not re.search(r"\b(6|7|998|999|1000)\b", of_any)
    assert equations(7) == of_any
    assert equations(1000) == of_any


@functools.cache
def long(kind):
    return gl.Sequential([getattr(L, kind)(UNITS)], (T, FEATURES), loss=gl.losses.SquaredError())


@functools.cache
def module_of(kind, target, length):
    return plain(generate(long(kind), target=target, dtype="float64", sizes={"T": length}).source)


def values_of(kind, length):
    rng = np.random.default_rng(3)
    sizes = {"T": length, "B": BATCH}
    return {
        tensor.name: rng.normal(size=[sizes.get(str(size)) or int(size) for size in tensor.shape]) / 2
        for tensor in long(kind).by_role("input", "target", "parameter")
    }


def by_torch(kind, values):
    w = {name: torch.tensor(value, requires_grad=name not in "xy") for name, value in values.items()}
    gates = {"RNN": ("",), "LSTM": tuple("ifgo")}[kind]
    layer = getattr(torch.nn, kind)(FEATURES, UNITS, batch_first=True).double()
    given = {
        "weight_ih_l0": torch.cat([w[f"W{gate}1"] for gate in gates]),
        "weight_hh_l0": torch.cat([w[f"U{gate}1"] for gate in gates]),
        "bias_ih_l0": torch.cat([w[f"b{gate}1"] for gate in gates]),
        "bias_hh_l0": torch.zeros(UNITS * len(gates)).double(),
    }
    output = torch.func.functional_call(layer, given, w["x"])[0]
    loss = ((output - w["y"]) ** 2).sum() / (2 * BATCH)
    loss.backward()
    return float(loss.detach()), {name: w[name].grad.numpy() for name in values if name not in "xy"}


@pytest.mark.parametrize(
    ("kind", "target"),
    [("RNN", "numpy"), ("RNN", "cpu"), ("LSTM", "numpy"), pytest.param("LSTM", "cpu", marks=pytest.mark.slow)],
)
def test_a_thousand_steps(kind, target):
    values = values_of(kind, 1000)
    with np.errstate(all="ignore"):
        _, loss, found = run(module_of(kind, target, 1000), long(kind), values)
    expected_loss, expected = by_torch(kind, values)
    assert abs(loss - expected_loss) < 1e-9 * expected_loss
    assert max(relative_error(found[name], expected[name]) for name in expected) < 1e-9


@pytest.mark.parametrize(("kind", "vectors"), [("RNN", 6), ("LSTM", 26)])
def test_the_workspace_is_linear_in_the_length(kind, vectors):
    """For each step of each example so many vectors as long as the state, and the input, and no more."""
    short, middle, whole = (len(module_of(kind, "cpu", length).workspace(BATCH)) for length in (250, 500, 1000))
    assert whole - middle == 2 * (middle - short)
    assert whole - middle <= 500 * BATCH * (vectors * UNITS + FEATURES)


@pytest.mark.parametrize("kind", daily(["RNN", "LSTM"], "RNN"))
def test_arrays_are_linear_in_the_length(kind):
    """What the NumPy target allocates at its peak for twice as many steps is twice as much."""
    peaks = []
    for length in (500, 1000):
        module, values = module_of(kind, "numpy", length), values_of(kind, length)
        run(module, long(kind), values)
        tracemalloc.start()
        run(module, long(kind), values)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2.2 * peaks[0]
    assert peaks[1] < 5e6


ONE_STEP = {"RNN": torch.nn.RNN, "GRU": torch.nn.GRU, "LSTM": torch.nn.LSTM}


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize(
    ("kind", "target"),
    daily([(kind, target) for kind in ONE_STEP for target in ("numpy", "cpu")], ("RNN", "cpu"), ("LSTM", "numpy")),
)
def test_one_step_as_a_number(kind, target):
    """At T = 1 no state before is read: the gradient of its weights is 0, and that of all else is PyTorch's."""
    net = gl.Sequential([getattr(L, kind)(3)], (1, 2), loss=gl.losses.SquaredError())
    assert all(net.derive()[p.name].body == 0 for p in net.parameters if p.name.startswith("U"))
    rng = np.random.default_rng(3)
    values = {p.name: rng.normal(size=tuple(map(int, p.shape))) for p in net.parameters}
    x, y = rng.normal(size=(7, 1, 2)), rng.normal(size=(7, 1, 3))
    _, found = net.compile(target=target, dtype="float64").loss_and_gradients(values, x, y)

    gates = {"RNN": [""], "GRU": list("run"), "LSTM": list("ifgo")}[kind]
    layer = ONE_STEP[kind](2, 3, batch_first=True).double()
    with torch.no_grad():
        layer.weight_ih_l0[:] = torch.from_numpy(np.concatenate([values[f"W{gate}1"] for gate in gates]))
        layer.weight_hh_l0[:] = torch.from_numpy(np.concatenate([values[f"U{gate}1"] for gate in gates]))
        layer.bias_ih_l0[:] = torch.from_numpy(np.concatenate([values[f"b{gate}1"] for gate in gates]))
        layer.bias_hh_l0[:] = 0
        if kind == "GRU":
            layer.bias_hh_l0[6:] = torch.from_numpy(values["cn1"])
    (((layer(torch.from_numpy(x))[0] - torch.from_numpy(y)) ** 2).sum() / 14).backward()
    for letter, of in (("W", "weight_ih_l0"), ("U", "weight_hh_l0"), ("b", "bias_ih_l0")):
        expected = getattr(layer, of).grad.numpy().reshape(len(gates), 3, -1)
        for gate, block in zip(gates, expected, strict=True):
            gradient = found[f"{letter}{gate}1"].reshape(3, -1)
            assert np.abs(gradient - block).max() < 1e-12 * max(1, np.abs(block).max()), (letter, gate)


@pytest.mark.slow
def test_one_step_can_be_trained_and_derived_again():
    net = gl.Sequential([L.LSTM(3, return_sequences=False), L.Dense(2)], (1, 2), loss=gl.losses.SquaredError())
    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 1, 2)).astype(np.float32)
    history = gl.Model(net).fit(
        x, np.tanh(x[:, 0]), epochs=60, batch=10, optimizer=gl.optimizers.Adam(0.02), progress=False
    )
    assert history["loss"][-1] < 0.2 * history["loss"][0]
    assert gl.gradcheck(net, target="numpy").ok
    for made in (gl.hessian_vector(net), gl.gauss_newton_vector(net), gl.per_example(net)):
        assert made.derive()["Ui1"].body == 0
        assert made.derive()["Wi1"].body != 0


def test_a_parameter_that_no_length_would_bring_in_is_refused_still():
    net = gl.Sequential([L.RNN(3)], (1, 2))
    net.parameter("idle")
    net.minimize(gl.losses.SquaredError().term(net, net.output))
    with pytest.raises(gl.UnusedParameterError, match="idle: no equation reads it"):
        net.derive()
