"""Whatever is declared: odd equations and random ones, derived, lowered, and compared with finite differences.

The loss is evaluated by the reference interpreter and differenced; the derived adjoints, and the generated modules of
both targets, must agree with that. Sizes are distinct primes, so that a transposed axis cannot hide.
"""

import functools

import kernels
import numpy as np
import pytest
import sympy
import torch
from everyday import daily
from oracles import numeric_gradient
from random_equations import check_slopes, random_equations

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.symbolic.evaluate import evaluate

B, n, m = gl.dims("B n m")
i, j, k, l, q = gl.indices("i j k l q")
S, R = gl.Sum, sympy.Rational
SIZES = {"B": 3, "n": 2, "m": 5}


def declared():
    net = gl.Network("any")
    derive = functools.cache(net.derive)
    net.derive = lambda wrt: derive(tuple(wrt))  # the generator derives too, once per target
    x, y = net.input("x", (B, n)), net.input("y", (B,), classes=m)
    W, M, v, s = net.parameter("W", (n, n)), net.parameter("M", (m, n)), net.parameter("v", (n,)), net.parameter("s")
    return net, x, y, W, M, v, s


def values(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=(3, 2)),
        "y": rng.integers(0, 5, 3),
        "W": rng.normal(size=(2, 2)),
        "M": rng.normal(size=(5, 2)),
        "v": rng.normal(size=2),
        "s": 0.7,
    }


CASES = {
    "a_diagonal": lambda x, y, W, M, v, s: S(W[j, j] * x[i, j], i, j) ** 2,
    "fixed_places": lambda x, y, W, M, v, s: S(W[j, 0] * W[1, j] * x[i, 1] * v[j], i, j) * s,
    "sums_in_functions": lambda x, y, W, M, v, s: S(
        gl.tanh(S(W[j, k] * gl.tanh(S(W[k, l] * x[i, l], l)), k) + v[j]) * s, i, j
    ),
    "a_transpose_of_itself": lambda x, y, W, M, v, s: S(W[j, k] * W[k, j] * x[i, j] * x[i, k], i, j, k),
    "radial": lambda x, y, W, M, v, s: S(sympy.exp(-S((x[i, j] - v[j]) ** 2, j) / s**2), i),
    "a_norm": lambda x, y, W, M, v, s: S(x[i, j] * v[j] / sympy.sqrt(S(v[k] ** 2, k) + 1), i, j),
    "a_maximum_of_sums": lambda x, y, W, M, v, s: S(gl.Max(S(W[j, k] * x[i, k], k) * v[j], j) ** 2, i),
    "cases_with_sums": lambda x, y, W, M, v, s: S(
        sympy.Piecewise((S(W[j, k] * x[i, k], k) ** 2, v[j] > 0), (s * v[j] ** 3, True)), i, j
    ),
    "attention": lambda x, y, W, M, v, s: S(
        S(
            sympy.exp(S(x[i, k] * W[k, l] * x[j, l], k, l))
            / S(sympy.exp(S(x[i, k] * W[k, l] * x[q, l], k, l)), q)
            * x[j, 0],
            j,
        )
        * v[1]
        * s,
        i,
    ),
    "normalised": lambda x, y, W, M, v, s: S(
        (
            (x[i, j] * v[j] - S(x[i, k] * v[k], k) / n)
            / sympy.sqrt(S((x[i, k] * v[k] - S(x[i, l] * v[l], l) / n) ** 2, k) / n + R(1, 100))
        )
        ** 3
        * W[j, 0],
        i,
        j,
    ),
    "log_sum_exp_of_two_axes": lambda x, y, W, M, v, s: S(sympy.log(S(sympy.exp(W[j, k] * x[i, k] * s), j, k)), i),
    "products_of_totals": lambda x, y, W, M, v, s: S(v[k], k) * S(x[i, j], i, j) / B / n + s * B,
    "kinks": lambda x, y, W, M, v, s: (
        S(abs(S(W[j, k] * x[i, k], k)), i, j) + sympy.Max(s, v[0] * v[1]) + sympy.Min(s, v[1])
    ),
    "powers": lambda x, y, W, M, v, s: S((x[i, j] ** 2 + 1) ** R(3, 2) * v[j] ** 4 / (1 + W[j, j] ** 2), i, j),
    "other_functions": lambda x, y, W, M, v, s: S(
        sympy.erf(x[i, j] * v[j]) * sympy.sin(W[j, k]) * sympy.cosh(s), i, j, k
    ),
    "labels_as_indices": lambda x, y, W, M, v, s: S((S(M[y[i], k] * x[i, k], k) - s) ** 2, i),
    "one_hot_labels": lambda x, y, W, M, v, s: S(gl.one_hot(y[i], q) * gl.softplus(S(M[q, k] * x[i, k], k)) * s, i, q),
    "a_row_picked_by_a_label": lambda x, y, W, M, v, s: S(M[y[i], j] * M[y[i], j] * v[j] * s, i, j),
}


def check(network, given, targets=("numpy", "cpu")):
    wrt = depended_on(network, given)
    derivation = network.derive(wrt)
    found = evaluate([*network.equations, *derivation.adjoints], given, SIZES)
    for name in wrt:
        by_hand = numeric_gradient(network, given, name, SIZES)
        scale = 1 + np.abs(by_hand).max()
        np.testing.assert_allclose(np.asarray(found[f"d_{name}"], float), by_hand, rtol=0, atol=2e-6 * scale)
    for target in targets:
        source = generate(network, target=target, dtype="float64", sizes={"n": 2, "m": 5}, wrt=wrt).source
        _, loss, gradients = kernels.run(kernels.loaded(source, target), network, given)
        assert loss == pytest.approx(float(found["L"]), rel=1e-11)
        for name in wrt:
            wanted = np.asarray(found[f"d_{name}"], float)
            atol = 1e-11 * (1 + np.abs(wanted).max())
            np.testing.assert_allclose(gradients[name].reshape(wanted.shape), wanted, rtol=0, atol=atol)


def depended_on(network, given):
    """What the loss has a gradient of; that of what is left out (it stands in conditions alone, say) must be 0."""
    wrt = []
    for tensor in network.equation("L").reads:
        if tensor.classes is not None:
            continue
        try:
            network.derive((tensor.name,))
        except gl.UnusedParameterError:
            assert np.abs(numeric_gradient(network, given, tensor.name, SIZES)).max() < 1e-6
        else:
            wrt.append(tensor.name)
    return tuple(wrt)


@pytest.mark.parametrize("name", daily(CASES, *(name for name in CASES if name not in ("attention", "normalised"))))
def test_odd_equations(name):
    network, *tensors = declared()
    network.minimize(CASES[name](*tensors))
    check(network, values())


# ---- equations of their own, which the derivation may use -------------------------------------------------------


def wide(m=m):
    """A network whose data run over m, and values."""
    net = gl.Network("wide")
    derive = functools.cache(net.derive)
    net.derive = lambda wrt: derive(tuple(wrt))
    tensors = net.input("x", (B, m)), net.parameter("U", (m, m)), net.parameter("c", (m,)), net.parameter("s")
    net.target("y", (B,), classes=m)
    rng = np.random.default_rng(3)
    given = {"x": rng.normal(size=(3, 5)), "U": rng.normal(size=(5, 5)), "c": rng.normal(size=5)}
    return net, tensors, {**given, "s": np.array(0.7), "y": rng.integers(0, 5, 3)}


SHARES = {
    "a_bias": lambda x, U, c, s: gl.softmax(x[i, j] + c[j], j),
    "a_bias_taken_off": lambda x, U, c, s: gl.softmax(x[i, j] - c[j], j),
    "a_scaled_sum": lambda x, U, c, s: gl.softmax((x[i, j] + c[j]) * s, j),
    "a_layer": lambda x, U, c, s: gl.softmax(S(U[j, k] * x[i, k], k) + c[j], j),
    "three_terms": lambda x, U, c, s: gl.softmax(S(U[j, k] * x[i, k], k) + c[j] + x[i, j] * s, j),
    "powers_of_two": lambda x, U, c, s: 2 ** (x[i, j] + c[j]) / S(2 ** (x[i, k] + c[k]), k),
    "one_more_below": lambda x, U, c, s: sympy.exp(x[i, j] + c[j]) / (1 + S(sympy.exp(x[i, k] + c[k]), k)),
    "over_the_other_axis": lambda x, U, c, s: gl.softmax(U[j, 1] + x[i, j] * c[j], i),
    "of_a_maximum": lambda x, U, c, s: gl.softmax(x[i, j] + c[j] - gl.Max(x[i, k] + c[k], k), j),
}


@pytest.mark.parametrize("loss", daily(["squares", "entropy"], "entropy"))
@pytest.mark.parametrize("name", SHARES)
def test_shares_of_exponentials_of_sums(name, loss):
    net, tensors, given = wide()
    p = net.define("p", (i, j), SHARES[name](*tensors))
    y = net.tensors["y"]
    net.minimize(S(p[i, j] ** 2 * (1 + j), i, j) if loss == "squares" else -S(sympy.log(p[i, y[i]]), i) / B)
    check_slopes(net, given, ("numpy",) if loss == "squares" else ("cpu",))


def test_a_softmax_of_a_sum_reads_as_one():
    net, (x, _, c, _), _ = wide()
    p = net.define("p", (i, j), gl.softmax(x[i, j] + c[j], j))
    net.minimize(S(p[i, j] ** 2 * (1 + j), i, j))
    written = str(net.derive(["c"])["c"])
    assert "exp" not in written
    assert "p[j, j]" not in written


def test_attention_with_a_bias():
    net, (x, U, c, _), given = wide()
    w = net.define("w", (i, j, k), gl.softmax(x[i, j] * x[i, k] + U[j, k], k))
    o = net.define("o", (i, j), S(w[i, j, k] * x[i, k], k))
    net.minimize(S(o[i, j] ** 2 * c[j], i, j))
    check_slopes(net, given)


@pytest.mark.parametrize("name", daily(["plain", "bounded"], "plain"))
def test_a_state_of_shares(name):
    make = {"plain": gl.softmax, "bounded": lambda z, j: gl.softmax(gl.tanh(z), j)}[name]
    net, (x, U, c, _), given = wide()
    t = gl.indices("t")
    h = net.sequence("h", (B, 4, m))
    net.define("h", (i, t, j), make(x[i, j] + S(U[j, k] * gl.padded(h[i, t - 1, k]), k), j))
    net.minimize(S((h[i, t, j] - c[j]) ** 2 * (1 + t), i, t, j))
    check_slopes(net, given)


def test_a_statistic_that_reads_its_tensor_twice():
    net, (x, _, _, s), given = wide()
    share = net.define("share", i, sympy.exp(gl.tanh(x[i, 1])) / S(sympy.exp(gl.tanh(x[k, 1])), k))
    a = net.define("a", (i, j), s * share[1], shape=(B, m))
    net.minimize(S(a[i, j] ** 3, i, j))
    check_slopes(net, given)


# ---- positions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [5, m], ids=["5", "m"])
def test_a_convolution_around_a_circle(size):
    net = gl.Network("circle")
    x, w = net.input("x", (B, size)), net.parameter("w", (3,))
    z = net.define("z", (i, j), S(w[k] * x[i, (j - k) % size], k), shape=(B, size))
    net.minimize(S(z[i, j] ** 2, i, j))
    derivation = net.derive(["x", "w"])
    assert str(derivation["w"]).count("mod") == 1
    given = {"x": np.arange(5.0)[None], "w": np.array([1.0, 2, 3])}
    found = evaluate([*net.equations, *derivation.adjoints], given)
    np.testing.assert_allclose(found["d_x"][0], [110, 102, 144, 186, 178])
    a, b = torch.arange(5.0, requires_grad=True), torch.tensor([1.0, 2, 3], requires_grad=True)
    (sum(b[shift] * a.roll(shift) for shift in range(3)) ** 2).sum().backward()
    np.testing.assert_allclose(found["d_x"][0], a.grad)
    np.testing.assert_allclose(found["d_w"], b.grad)


PLACES = {
    "twice_around": lambda x, U, c, s: S(x[i, (j - 3 * k) % m] * c[k], k),
    "steps_of_two": lambda x, U, c, s: S(x[i, (2 * j - 2 * k) % m] * c[k], k),
    "two_remainders": lambda x, U, c, s: S(U[(j - k) % m, (j + k) % m] * x[i, k], k),
    "quotients_below_zero": lambda x, U, c, s: gl.padded(x[i, (j - 3) // 2]) * c[j],
    "a_delta_that_leaves_the_axis": lambda x, U, c, s: S(sympy.KroneckerDelta(k, j + 2) * x[i, k] * c[k], k) * s,
    "a_delta_at_a_fixed_place": lambda x, U, c, s: S(sympy.KroneckerDelta(k, 7) * x[i, k], k) + c[j] * x[i, 3],
    "the_first_maximum": lambda x, U, c, s: S(sympy.KroneckerDelta(k, gl.ArgMax(c[q] * s, q)) * x[i, k] * c[k], k),
}


@pytest.mark.parametrize("name", PLACES)
def test_odd_positions(name):
    net, tensors, given = wide()
    a = net.define("a", (i, j), PLACES[name](*tensors), shape=(B, m))
    net.minimize(S(a[i, j] ** 2 * (1 + j), i, j) / 2)
    check_slopes(net, given)


def test_cases_of_positions_and_remainders_of_other_sizes():
    net, (x, _, c, _), given = wide(5)
    a = net.define(
        "a", (i, j), sympy.Piecewise((x[i, 2 - j], j < 3), (x[i, j - 2], j < 7), (x[i, 11 - j], True)), shape=(B, 11)
    )
    e = net.define("e", (i, j), a[i, (j - 2) % 7] * c[(-j) % 4], shape=(B, 13))
    net.minimize(S(e[i, j] ** 2 * (1 + j), i, j) / 2)
    check_slopes(net, given)


def test_a_diagonal_of_another_size():
    net, (x, _, c, _), given = wide()
    a = net.define("a", (i, j), S(sympy.KroneckerDelta(i, j) * c[j] * x[i, q], q), shape=(B, m))
    d = net.define("d", (q,), S(sympy.KroneckerDelta(i, q) * a[i, q] ** 2, i), shape=(m,))
    net.minimize(S(d[q] * c[q], q))
    check_slopes(net, given)


def test_positions_that_no_rule_is_sure_of_are_refused():
    net, (x, *_), _ = wide()
    with pytest.raises(gl.IndexingError, match="is not read"):
        net.define("a", (i, j), x[i, j % (-3)], shape=(B, 5))
    net.minimize(S(x[i, 2] ** 2, i))
    with pytest.raises(gl.SizeError, match="m must be at least 3"):
        generate(net, sizes={"m": 2}, wrt=["x"])


# ---- random equations --------------------------------------------------------------------------------------------


class Grower:
    """Grows a random expression with given free indices; bounded, so that differences stay accurate."""

    def __init__(self, seed, tensors):
        self.rng = np.random.default_rng(seed)
        self.x, self.y, self.W, self.M, self.v, self.s = tensors

    def pick(self, *choices):
        return choices[self.rng.integers(len(choices))]()

    def leaf(self, free):
        """An element whose indices are among `free`, or a fixed place, a label, a scalar."""
        a, b, c = (self.pick(*[lambda index=index: index for index in free[size]]) for size in ("B", "n", "m"))
        return self.pick(
            lambda: self.x[a, b],
            lambda: self.W[b, int(self.rng.integers(2))],
            lambda: self.W[b, self.pick(*[lambda index=index: index for index in free["n"]])],
            lambda: self.M[c, b],
            lambda: self.M[self.y[a], b],
            lambda: self.v[b],
            lambda: self.s,
            lambda: gl.one_hot(self.y[a], c),
        )

    def grow(self, free, depth):
        if depth == 0:
            return self.leaf(free)
        more = lambda: self.grow(free, depth - 1)  # noqa: E731
        return self.pick(
            lambda: more() + more(),
            lambda: more() * more(),
            lambda: more() - 2 * more(),
            lambda: gl.tanh(more()),
            lambda: gl.sigmoid(more()) * more(),
            lambda: gl.softplus(more()),
            lambda: more() / (1 + more() ** 2),
            lambda: sympy.Piecewise((more(), self.leaf(free) > R(1, 7)), (more(), True)),
            lambda: self.bind(free, depth),
            lambda: self.bind(free, depth),
        )

    def bind(self, free, depth):
        size = self.pick(lambda: "B", lambda: "n", lambda: "m")
        index = gl.Index(f"{size.lower()}{depth}_{self.rng.integers(10**6)}")
        body = self.grow({**free, size: [*free[size], index]}, depth - 1)
        extent = {"B": B, "n": n, "m": m}[size]
        if not body.has(index):
            return body
        return self.pick(
            lambda: gl.Sum(body, (index, extent)),
            lambda: gl.Sum(gl.tanh(body), (index, extent)),
            lambda: sympy.log(gl.Sum(sympy.exp(gl.tanh(body)), (index, extent))),
            lambda: gl.Max(body, (index, extent)),
        )


@pytest.mark.parametrize("kind", ["normalised", "places", "states"])
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 5))])
def test_random_odd_networks(kind, seed):
    """More of them by hand: see `random_equations`."""
    check_slopes(*random_equations(kind, seed), [("numpy",), ("cpu",)][seed % 2])


@pytest.mark.parametrize("seed", daily(range(24), *range(5)))
def test_random_equations(seed):
    network, *tensors = declared()
    grower = Grower(seed, tensors)
    body = grower.grow({"B": [i], "n": [j], "m": [k]}, 2 + seed % 2)
    network.minimize(gl.Sum(gl.tanh(body), (i, B), (j, n), (k, m)))
    check(network, values(seed))
