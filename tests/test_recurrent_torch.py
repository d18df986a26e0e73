"""Recurrent layers against PyTorch in float64, at random sizes that are distinct primes."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_compare import HOW, compare, draws, network_of

import gradloom as gl
from gradloom.symbolic import layers as L

B, T, n, m = gl.dims("B T n m")
i, t, j, k = gl.indices("i t j k")
SIZES = st.permutations([2, 3, 5, 7]).map(lambda found: dict(zip(("B", "T", "n", "m"), found, strict=True)))
GATES = {"RNN": ("",), "GRU": tuple("run"), "LSTM": tuple("ifgo")}
DAILY = [("RNN", True), ("RNN", False), ("GRU", True), ("LSTM", False)]  # cells in both directions
INITIAL = [None, "input", "parameter"]


@functools.cache
def recurrent(kind, **options):
    return network_of([getattr(L, kind)(m, **options)], (T, n))


def by_torch(kind, w, place=1, reverse=False, x=None):
    """All states by PyTorch's own layer, given our parameters and initial states by name."""
    x = w["x"] if x is None else x
    gates = GATES[kind]
    named = lambda letter: [w[f"{letter}{gate}{place}"] for gate in gates]  # noqa: E731
    units, size = named("U")[0].shape[0], x.shape[2]
    layer = getattr(torch.nn, kind)(size, units, batch_first=True).double()
    second = [torch.zeros_like(bias) for bias in named("b")]
    if kind == "GRU":
        second[2] = w[f"cn{place}"]
    given = {
        "weight_ih_l0": torch.cat(named("W")),
        "weight_hh_l0": torch.cat(named("U")),
        "bias_ih_l0": torch.cat(named("b")),
        "bias_hh_l0": torch.cat(second),
    }
    start = [w.get(f"{letter}0_{place}", torch.zeros(units).double()) for letter in ("hc" if kind == "LSTM" else "h")]
    start = [s.expand(len(x), units)[None].contiguous() for s in start]
    x = x.flip(1) if reverse else x
    out = torch.func.functional_call(layer, given, (x, tuple(start) if kind == "LSTM" else start[0]))[0]
    return out.flip(1) if reverse else out


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", GATES)
def test_layer(kind, how):
    @draws(how)
    @given(SIZES, st.sampled_from(INITIAL), st.booleans(), st.booleans(), st.integers(0, 99))
    def check(sizes, initial, reverse, whole, seed):
        network = recurrent(kind, initial=initial, reverse=reverse, return_sequences=whole)

        def reference(w):
            states = by_torch(kind, w, reverse=reverse)
            return states if whole else states[:, 0 if reverse else -1]

        sizes = {**sizes, "B": 2, "m": min(sizes["m"], 3)} if kind == "LSTM" else sizes
        compare(network, (T, n), reference, sizes["B"], how, sizes, seed)

    check()


def step_by_step(w, cell, states, mask=None, cut=None, reverse=False):
    """The states h of a recurrence written out: ``cell(x, states)`` gives the next states, h first."""
    x = w["x"]
    steps = range(x.shape[1])
    made = []
    for count, at in enumerate(reversed(steps) if reverse else steps):
        if cut is not None and count and count % cut == 0:
            states = [state.detach() for state in states]
        after = cell(x[:, at], states)
        if mask is not None:
            seen = mask[:, at, None]
            after = [seen * new + (1 - seen) * old for new, old in zip(after, states, strict=True)]
        states = after
        made.append(states[0])
    return torch.stack(made[::-1] if reverse else made, 1)


def affine(w, gate, x, h):
    return x @ w[f"W{gate}1"].T + h @ w[f"U{gate}1"].T + w[f"b{gate}1"]


def rnn_cell(w):
    return lambda x, states: [torch.tanh(affine(w, "", x, states[0]))]


def lstm_cell(w, peepholes):
    def peep(gate, c):
        return w[f"P{gate}1"] * c if peepholes else 0

    def cell(x, states):
        h, c = states
        write = torch.sigmoid(affine(w, "i", x, h) + peep("i", c))
        keep = torch.sigmoid(affine(w, "f", x, h) + peep("f", c))
        c = keep * c + write * torch.tanh(affine(w, "g", x, h))
        return [torch.sigmoid(affine(w, "o", x, h) + peep("o", c)) * torch.tanh(c), c]

    return cell


def zeros(w, count):
    units = next(value for name, value in w.items() if name.startswith("U")).shape[0]
    return [torch.zeros(len(w["x"]), units).double() for _ in range(count)]


@pytest.mark.parametrize("how", HOW)
def test_peepholes_and_masks(how):
    """Peepholes are not in PyTorch: written out step by step, differentiated by PyTorch."""

    @draws(how)
    @given(st.integers(0, 999), st.booleans(), st.booleans(), st.booleans())
    def check(seed, peepholes, reverse, whole):
        sizes = {"T": 5, "n": 3, "m": 2}
        mask = np.random.default_rng(seed).integers(0, 2, (2, 5)).astype(float)
        network = recurrent("LSTM", peepholes=peepholes, mask="seen", reverse=reverse, return_sequences=whole)

        def reference(w):
            states = step_by_step(w, lstm_cell(w, peepholes), zeros(w, 2), w["seen"], reverse=reverse)
            return states if whole else states[:, 0 if reverse else -1]

        compare(network, (T, n), reference, 2, how, sizes, seed, {"seen": mask})

    check()


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", GATES)
def test_a_mask_makes_the_last_state_that_of_each_length(kind, how):
    """Sequences of different lengths, padded: as PyTorch's packed sequences."""
    lengths = np.array([5, 2, 3])
    mask = (np.arange(5) < lengths[:, None]).astype(float)

    def reference(w):
        states = by_torch(kind, w)
        return torch.stack([states[row, length - 1] for row, length in enumerate(lengths)])

    layer = getattr(L, kind)(m, mask="seen", return_sequences=False)
    sizes = {"T": 5, "n": 7, "m": 2}
    compare([layer], (T, n), reference, 3, how, sizes, given={"seen": mask})


@pytest.mark.parametrize(
    ("kind", "whole", "how"),
    [
        pytest.param(kind, whole, how, marks=[pytest.mark.slow] * (how != "few" or (kind, whole) not in DAILY))
        for kind in GATES
        for whole in (True, False)
        for how in ("few", "many")
    ],
)
def test_bidirectional(kind, whole, how):
    def reference(w):
        one, other = (by_torch(kind, w, f"1_{place}", reverse=place == 2) for place in (1, 2))
        return torch.cat([one, other], -1) if whole else torch.cat([one[:, -1], other[:, 0]], -1)

    layer = L.Bidirectional(getattr(L, kind)(m, return_sequences=whole))
    compare([layer], (T, n), reference, 3, how, {"T": 5, "n": 2, "m": 3})


@pytest.mark.parametrize("how", HOW)
def test_stacked(how):
    """Two layers, the second over the states of the first, then a dense layer at every step."""

    def reference(w):
        inner = by_torch("GRU", w, 1)
        outer = by_torch("RNN", w, 2, x=inner)
        return outer @ w["W3"].T + w["b3"]

    compare([L.GRU(m), L.RNN(3), L.Dense(5)], (T, n), reference, 2, how, {"T": 7, "n": 3, "m": 2})


@pytest.mark.parametrize("how", HOW)
def test_a_layer_without_bias_and_with_another_activation(how):
    def reference(w):
        return step_by_step(w, lambda x, s: [torch.relu(x @ w["W1"].T + s[0] @ w["U1"].T)], zeros(w, 1))

    compare([L.RNN(m, gl.relu, bias=False)], (T, n), reference, 2, how, {"T": 3, "n": 5, "m": 7})


@pytest.mark.parametrize("how", HOW)
def test_a_linear_recurrence_needs_no_second_equation(how):
    def reference(w):
        return step_by_step(w, lambda x, s: [affine(w, "", x, s[0])], zeros(w, 1))

    network = compare([L.RNN(m, gl.identity)], (T, n), reference, 2, how, {"T": 3, "n": 5, "m": 7})
    assert "z1" not in network.tensors


@pytest.mark.parametrize("how", HOW)
def test_lengths_that_are_numbers(how):
    compare([L.GRU(3)], (5, 2), lambda w: by_torch("GRU", w), 2, how)
    compare([L.LSTM(3, initial="input")], (1, 2), lambda w: by_torch("LSTM", w), 2, how)


def test_the_same_layer_twice_shares_its_parameters():
    layer = L.RNN(n)

    def reference(w):
        first = by_torch("RNN", w)
        return by_torch("RNN", w, x=first)

    network = compare([layer, layer], (T, n), reference, 2, sizes={"T": 3, "n": 5})
    assert [p.name for p in network.parameters] == ["W1", "U1", "b1"]


def test_the_gradient_flows_back_through_time_as_the_textbook_says():
    network = gl.Sequential([L.RNN(m)], (T, n), loss=gl.losses.SquaredError())
    derivation = network.derive()
    assert str(derivation["U1"]) == "∂L/∂U1[j, k] = Σ_i,l δ1[i, l, j] h1[i, l - 1, k] [l ≥ 1]"
    assert str(derivation.delta("z1")) == (
        "δ1[i, t, j] = ([t + 1 < T] Σ_k U1[k, j] δ1[i, t + 1, k] + 1/B (h1[i, t, j] - y[i, t, j])) (1 - h1[i, t, j]²)"
    )


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: L.RNN(0), gl.ShapeError, "a size must be positive"),
        (lambda: L.GRU(3, initial="zero"), gl.UndefinedError, "expected None, 'input' or 'parameter'"),
        (lambda: L.LSTM(3, truncate=0), gl.ShapeError, "a whole number of at least 1"),
        (lambda: L.Bidirectional(L.Dense(3)), gl.UndefinedError, "takes a recurrent layer"),
        (lambda: L.Bidirectional(L.RNN(3, reverse=True)), gl.UndefinedError, "does not run in reverse"),
        (lambda: gl.Sequential([L.RNN(3)], (5,)), gl.ShapeError, "3 axes"),
        (lambda: gl.Sequential([L.RNN(3, mask="x")], (5, 2)), gl.ShapeError, "takes a mask of shape (B, 5)"),
    ],
)
def test_options_that_cannot_be(make, error, words):
    with pytest.raises(error) as raised:
        make()
    assert words in str(raised.value)


def recurrence(body):
    """A network whose state is announced and then defined by ``body(h, x)``."""
    net = gl.Network("bad")
    x = net.input("x", (B, T))
    h = net.sequence("h", (B, T))
    net.define("h", (i, t), body(h, x))
    return net


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (
            lambda h, x: gl.padded(h[i, t - 1]) + gl.padded(h[i, t + 1]),
            gl.RecurrenceError,
            "use two recurrences, one for each direction",
        ),
        (lambda h, x: h[i, t] + x[i, t], gl.RecurrenceError, "each needs the other at the same place"),
        (lambda h, x: h[i, t - 1] + x[i, t], gl.IndexingError, "write gl.padded(h[i, t - 1])"),
        (lambda h, x: gl.padded(h[i, 2 * t]) + x[i, t], gl.RecurrenceError, "h"),
    ],
)
def test_recurrences_that_no_order_computes(body, error, words):
    with pytest.raises(error) as raised:
        recurrence(body)
    assert words in str(raised.value)


def test_a_state_that_is_announced_must_be_defined():
    net = gl.Network("bad")
    x, h = net.input("x", (B, T)), net.sequence("h", (B, T))
    with pytest.raises(gl.UndefinedError, match="announced by sequence"):
        net.minimize(gl.Sum(x[i, t] * h[i, t], i, t))
    with pytest.raises(gl.ShapeError, match="announced with shape"):
        net.define("h", (i, j), x[i, j], shape=(B, m))


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("initial", [None, "parameter"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_truncated_backpropagation(cut, reverse, initial, how):
    """States are carried on, gradients are not: PyTorch's ``detach`` every `cut` steps."""

    def reference(w):
        start = zeros(w, 1) if initial is None else [w["h0_1"].expand(2, 3)]
        return step_by_step(w, rnn_cell(w), start, cut=cut, reverse=reverse)

    network = recurrent("RNN", truncate=cut, reverse=reverse, initial=initial)
    compare(network, (T, n), reference, 2, how, {"T": 7, "n": 2, "m": 3})


@pytest.mark.parametrize("how", HOW)
def test_truncated_backpropagation_through_a_cell(how):
    def reference(w):
        return step_by_step(w, lstm_cell(w, True), zeros(w, 2), cut=2)

    compare(recurrent("LSTM", peepholes=True, truncate=2), (T, n), reference, 2, how, {"T": 5, "n": 3, "m": 2})
