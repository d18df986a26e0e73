"""The derivation engine: textbook forms, facts, sharing, branches, circuits, linear cost."""

import subprocess
import sys
import time

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import numeric_gradient

import gradloom as gl
from gradloom.symbolic.binders import Sum
from gradloom.symbolic.compact import compact, hoist, measure, simplest
from gradloom.symbolic.errors import LossError, UndefinedError, UnusedParameterError
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.reuse import derivative

B, n, m, h = gl.dims("B n m h")
i, j, k = gl.indices("i j k")


def mlp(*units, loss=None, activation=gl.sigmoid):
    return gl.Sequential(
        [gl.layers.Dense(u, activation) for u in units], input_shape=(5,), loss=loss or gl.losses.SquaredError()
    )


def check_gradients(network, given, sizes, names):
    derivation = network.derive(names)
    found = evaluate([*network.equations, *derivation.adjoints], given, sizes)
    for name in names:
        np.testing.assert_allclose(
            np.asarray(found[f"d_{name}"], float), numeric_gradient(network, given, name, sizes), rtol=2e-6, atol=2e-8
        )


def test_the_four_equations_of_the_textbook():
    d = mlp(11, 3).derive()
    lines = [line.strip() for line in d.text().splitlines()]
    assert "δ2 = 1/B (a2 - y) ⊙ a2 ⊙ (1 - a2)" in lines  # top delta
    assert "δ1 = W2ᵀ δ2 ⊙ a1 ⊙ (1 - a1)" in lines  # delta recursion
    assert "∂L/∂W2 = δ2 a1ᵀ" in lines  # weight gradient
    assert "∂L/∂b2 = δ2 𝟏" in lines  # bias gradient
    latex = d.latex()
    assert r"\delta^{(1)} &= (W^{(2)})^\top \, \delta^{(2)} \odot a^{(1)} \odot \left(1 - a^{(1)}\right)" in latex
    assert r"\frac{\partial L}{\partial W^{(2)}} &= \delta^{(2)} \, (a^{(1)})^\top" in latex


def test_index_form_and_rows_layout():
    d = mlp(11, 3).derive()
    assert "δ1[i, j] = a1[i, j] (1 - a1[i, j]) Σ_k W2[k, j] δ2[i, k]" in d.text("index")
    assert "δ1 = δ2 W2 ⊙ a1 ⊙ (1 - a1)" in d.text(layout="rows")
    assert "∂L/∂W1 = δ1ᵀ x" in d.text(layout="rows")
    assert "$$" in d.markdown()
    assert r"\sum_{k}" in d.markdown("index")


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ("one_hot", "1/B (p[i, j] - y[i, j])"),
        ("labels", "1/B (p[i, j] - [j = y[i]])"),
        ("probabilities", "1/B (p[i, j] Σ_k y[i, k] - y[i, j])"),
    ],
)
def test_softmax_cross_entropy_uses_only_what_is_known(targets, expected):
    net = gl.Sequential([gl.layers.Dense(3)], input_shape=(5,), loss=gl.losses.CrossEntropy(targets=targets))
    d = net.derive()
    assert str(d.delta("z1")) == f"δ1[i, j] = {expected}"
    facts = [fact.source for fact in d.steps["z1"].facts]
    assert facts == (["declared: one-hot"] if targets == "one_hot" else [])


def test_binary_cross_entropy_cancels():
    net = gl.Sequential([gl.layers.Dense(3)], input_shape=(5,), loss=gl.losses.BinaryCrossEntropy())
    assert str(net.derive().delta("z1")) == "δ1[i, j] = 1/(3 B) (p[i, j] - y[i, j])"


def test_a_softmax_is_proved_to_sum_to_one():
    net = gl.Network()
    x = net.input("x", (B, n))
    p = net.define("p", (i, j), gl.softmax(x[i, j], j))
    net.minimize(gl.Sum(p[i, j], i, j))
    with pytest.raises(UnusedParameterError, match="its gradient is 0"):
        net.derive()


def test_gradients_add_at_branches_and_over_shared_weights():
    net = gl.Network()
    x, y, W = net.input("x", (B, n)), net.target("y", (B, n)), net.parameter("W", (n, n))
    z1 = net.define("z1", (i, j), Sum(W[j, k] * x[i, k], k))
    a1 = net.define("a1", (i, j), gl.tanh(z1[i, j]))
    z2 = net.define("z2", (i, j), Sum(W[j, k] * a1[i, k], k) + a1[i, j] * x[i, j])
    net.minimize(Sum((z2[i, j] - y[i, j]) ** 2, i, j) / 2)
    rng = np.random.default_rng(0)
    given = {"x": rng.normal(size=(3, 2)), "y": rng.normal(size=(3, 2)), "W": rng.normal(size=(2, 2))}
    check_gradients(net, given, {"B": 3, "n": 2}, ["W", "x"])
    assert len(net.derive().steps["W"].parts) == 2


def circuit(body, **values):
    net = gl.Network("circuit")
    tensors = {name: net.input(name) for name in values}
    f = net.define("f", (), body(**tensors))
    net.minimize(f)
    d = net.derive()
    found = evaluate([*net.equations, *d.adjoints], values)
    return {name: float(found[f"d_{name}"]) for name in values}


def test_circuits_of_the_lecture():
    # Stanford cs231n, "Backpropagation, intuitions": f = (x + y) z, the sigmoid neuron, max and product gates.
    assert circuit(lambda x, y, z: (x + y) * z, x=-2, y=5, z=-4) == {"x": -4.0, "y": -4.0, "z": 3.0}
    neuron = circuit(
        lambda w0, w1, w2, x0, x1: 1 / (1 + sympy.exp(-(w0 * x0 + w1 * x1 + w2))), w0=2, w1=-3, w2=-3, x0=-1, x1=-2
    )
    assert {name: round(value, 2) for name, value in neuron.items()} == {
        "w0": -0.20, "w1": -0.39, "w2": 0.20, "x0": 0.39, "x1": -0.59,
    }  # fmt: skip
    gates = circuit(lambda x, y, z, w: (x * y + sympy.Max(z, w)) * 2, x=3, y=-4, z=2, w=-1)
    assert gates == {"x": -8.0, "y": 6.0, "z": 2.0, "w": 0.0}


def test_the_gradient_of_a_maximum_goes_to_the_first():
    net = gl.Network()
    x = net.input("x", (n,))
    u = net.define("u", (), gl.Max(x[i], i))
    net.minimize(u**2)
    found = evaluate([*net.equations, *net.derive().adjoints], {"x": [1.0, 3.0, 3.0, 2.0, -5.0]}, {"n": 5})
    np.testing.assert_array_equal(np.asarray(found["d_x"], float), [0, 6, 0, 0, 0])


def test_steps_are_flat():
    net = gl.Network()
    x, w = net.input("x", (n,)), net.parameter("w", (n,))
    net.minimize(Sum(w[i] * sympy.floor(3 * x[i] * w[i]) * sympy.sign(w[i]), i))
    given = {"x": np.array([0.4, -1.3, 2.2]), "w": np.array([0.7, 1.9, -0.6])}
    check_gradients(net, given, {"n": 3}, ["w"])
    assert "derivative of a step" in net.derive().text()
    with pytest.raises(UnusedParameterError, match="its gradient is 0"):
        net.derive(["x"])
    unknown = gl.Network()
    u = unknown.input("u", (n,))
    unknown.minimize(Sum(sympy.Function("f")(u[i]), i))
    with pytest.raises(gl.UnsupportedError, match="define it by its formula"):
        unknown.derive()


def test_the_maximum_over_two_indices_goes_to_the_first():
    net = gl.Network()
    x = net.input("x", (B, n))
    net.minimize(gl.Max(x[i, j], i, j) ** 2)
    values = np.array([[1.0, 3.0, 0.5], [3.0, 2.0, 3.0]])
    found = evaluate([*net.equations, *net.derive().adjoints], {"x": values}, {"B": 2, "n": 3})
    np.testing.assert_array_equal(np.asarray(found["d_x"], float), [[0, 6, 0], [0, 0, 0]])


def test_a_picked_probability_cancels():
    net = gl.Network()
    x, y, W = net.input("x", (B, n)), net.target("y", (B,), classes=m), net.parameter("W", (m, n))
    z = net.define("z", (i, j), Sum(W[j, k] * x[i, k], k))
    p = net.define("p", (i, j), gl.softmax(z[i, j], j))
    net.minimize(-Sum(sympy.log(p[i, y[i]]), i) / B)
    assert str(net.derive().delta("z")) == "δ[i, j] = 1/B (p[i, j] - [j = y[i]])"


def test_kinks_are_stated():
    text = mlp(11, 3, activation=gl.relu).derive().text()
    assert "relu′(0) = 0" in text
    assert "′(0)" not in mlp(11, 3, activation=gl.softplus).derive().text()


def test_steps_show_what_stood_before():
    net = gl.Sequential([gl.layers.Dense(3)], input_shape=(5,), loss=gl.losses.CrossEntropy())
    assert "Σ_l exp(z1[i, l])" in net.derive().text("index", steps=True)
    assert r"\sum_{l}" in net.derive().latex("index", steps=True)


@pytest.mark.parametrize(
    "function",
    [gl.sigmoid, gl.relu, gl.leaky_relu, gl.elu, gl.softplus, gl.silu, gl.gelu, gl.gelu_tanh,
     gl.elementwise("mish", lambda z: z * gl.tanh(gl.softplus(z))),
     gl.elementwise("logcosh", lambda z: sympy.log(sympy.cosh(z)))],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_derived_derivatives_against_mpmath(function):
    z = sympy.Symbol("z", real=True)
    slope = sympy.lambdify(z, _expand(sympy.diff(function(z), z)), "mpmath")
    formula = sympy.lambdify(z, _expand(function(z)), "mpmath")
    with mpmath.workdps(40):
        for at in (mpmath.mpf("-2.7"), mpmath.mpf("-0.31"), mpmath.mpf("0.53"), mpmath.mpf("3.9")):
            assert abs(slope(at) - mpmath.diff(formula, at)) < mpmath.mpf(10) ** -15


def _expand(expr):
    from gradloom.symbolic.functions import Elementwise

    while expr.atoms(Elementwise):
        expr = expr.replace(lambda e: isinstance(e, Elementwise), lambda e: e.expand_definition())
    return expr


def test_reuse_is_derived_not_tabled():
    # A function that gradloom has never seen: its derivative comes out in its own value.
    gompertz = gl.elementwise("gompertz", lambda z: sympy.exp(-sympy.exp(-z)))
    rational = gl.elementwise("rational", lambda z: 3 / (2 + 5 * sympy.exp(2 * z)))
    z = sympy.Symbol("z", real=True)
    slope = sympy.diff(rational(z), z)
    assert not slope.has(sympy.exp)
    assert sympy.expand(slope - 2 * rational(z) * (2 * rational(z) / 3 - 1)) == 0
    assert sympy.diff(gompertz(z), z).has(gompertz(z))


# ---- every rewrite keeps the value ------------------------------------------------------------------------------


def leaves():
    net = gl.Network()
    x, y = net.input("x", (B, n)), net.input("y", (B, n))
    return x, y


_X, _Y = leaves()
_ATOMS = [
    _X[i, j], _Y[i, j], sympy.Integer(2), sympy.Rational(1, 3), B, Sum(_X[i, k], k), Sum(_X[i, k] * _Y[i, k], k),
    sympy.exp(_X[i, j]), gl.sigmoid(_Y[i, j]),
]  # fmt: skip


def expressions():
    return st.recursive(
        st.sampled_from(_ATOMS),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda ab: ab[0] + ab[1]),
            st.tuples(inner, inner).map(lambda ab: ab[0] * ab[1]),
            st.tuples(inner, inner).map(lambda ab: ab[0] - ab[1]),
            inner.map(lambda a: a / (1 + sympy.exp(_X[i, j]))),
            inner.map(lambda a: Sum(a.xreplace({_X[i, j]: _X[i, k], _Y[i, j]: _Y[i, k]}), (k, n))),
        ),
        max_leaves=7,
    )


@settings(deadline=None, max_examples=150)
@given(expressions(), st.integers(0, 2**32 - 1))
def test_compaction_keeps_the_value(expr, seed):
    rng = np.random.default_rng(seed)
    given = {"x": rng.normal(size=(3, 5)), "y": rng.normal(size=(3, 5))}
    forms = [expr, simplest(expr), hoist(expr), hoist(expr, distribute=True), compact(expr, lambda e: (e, []))[0]]
    reference = None
    for form in forms:
        net = gl.Network()
        net.input("x", (B, n))
        net.input("y", (B, n))
        net.define("u", (i, j), form, shape=(B, n))
        found = np.asarray(evaluate(net.equations, given, {"B": 3, "n": 5})["u"], float)
        reference = found if reference is None else reference
        np.testing.assert_allclose(found, reference, rtol=1e-9, atol=1e-9 * np.abs(reference).max())
    assert measure(forms[-1]) <= measure(hoist(expr)) or measure(forms[-1]) <= measure(expr)


def test_no_gradient_divides_by_a_parameter():
    # s[j] tanh(z) = a tells tanh(z) = a/s, which is no number at s = 0: the gradient of s must not use it.
    net = gl.Network()
    x, s = net.input("x", (B, n)), net.parameter("s", (n,))
    a = net.define("a", (i, j), s[j] * gl.tanh(x[i, j]))
    net.minimize(Sum(a[i, j] ** 3, i, j))
    given = {"x": np.random.default_rng(1).normal(size=(3, 2)), "s": np.array([0.0, 0.7])}
    check_gradients(net, given, {"B": 3, "n": 2}, ["s", "x"])


def test_measured_constants_stay_in_their_brackets():
    z = sympy.Symbol("z", real=True)
    text = gl.symbolic.text.text(sympy.diff(gl.gelu_tanh(z), z))
    assert "0.134145 z²" in text
    assert "sqrt(2/pi)" in text


def test_derivative_refuses_a_form_that_divides_by_zero():
    z, value = sympy.Symbol("z", real=True), sympy.Symbol("a", real=True)
    body = z * gl.sigmoid(z)
    assert not sympy.fraction(sympy.together(derivative(body, z, value)))[1].has(z, value)


# ---- errors, determinism, cost -----------------------------------------------------------------------------------


def test_what_cannot_be_derived_is_said():
    net = gl.Network("net")
    x, W, V = net.input("x", (B, n)), net.parameter("W", (n,)), net.parameter("V", (n,))
    with pytest.raises(LossError, match="call minimize"):
        net.derive()
    net.minimize(Sum(W[k] * x[i, k], i, k) + 0 * Sum(V[k], k))
    with pytest.raises(UnusedParameterError, match="does not depend on parameter V: no equation reads it"):
        net.derive()
    with pytest.raises(UndefinedError, match="no tensor 'U'"):
        net.derive(["U"])
    d = net.derive(["W"])
    with pytest.raises(UnusedParameterError, match=r"derive\(wrt=\['x'\]\)"):
        d["x"]
    assert str(net.derive(["x"])["x"]) == "∂L/∂x[i, j] = W[j]"


def test_same_bytes_whatever_the_hash_seed():
    program = (
        "import gradloom as gl\n"
        "net = gl.Sequential([gl.layers.Dense(7, gl.silu), gl.layers.Dense(5, gl.elu), gl.layers.Dense(3)],"
        " input_shape=(11,), loss=gl.losses.CrossEntropy(), penalties=[gl.losses.L2(0.01)])\n"
        "d = net.derive(); print(d.latex('index', steps=True), d.text(), d.markdown())"
    )
    outs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PATH": "", "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            check=True,
            cwd=gl.__path__[0] + "/..",
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(outs) == 1


def test_cost_is_linear_in_depth():
    def seconds(depth):
        net = mlp(*(7 + place for place in range(depth)))
        start = time.process_time()
        derivation = net.derive()
        assert len(derivation.gradients) == 2 * depth
        return time.process_time() - start

    seconds(2)
    # Work, not speed: each layer's adjoint is as long as the first one's, at any depth.
    deep = mlp(*(7 + place for place in range(32))).derive()
    lengths = {measure(deep.delta(f"z{place}").body) for place in range(2, 31)}
    assert len(lengths) == 1


def test_a_residual_is_not_subtracted_back():
    # tanh(z) + x = a gives tanh(z) = a - x, which has no digits left where x is large.
    net = gl.Network()
    x, w = net.input("x", (n,)), net.parameter("w", (n,))
    a = net.define("a", i, gl.tanh(w[i]) + x[i])
    net.minimize(Sum(a[i] ** 2, i))
    assert "x[i]" not in str(net.derive()["w"]).partition("=")[2]


def test_nested_kinks_have_plain_conditions():
    hard = gl.elementwise("hard_sigmoid", lambda z: sympy.Min(1, sympy.Max(0, z / 6 + sympy.Rational(1, 2))))
    net = gl.Network()
    x, w = net.input("x", (B, n)), net.parameter("w", (n,))
    net.minimize(Sum(hard(w[j] * x[i, j]) + sympy.Max(-1, sympy.Min(1, w[j])) ** 2, i, j))
    rng = np.random.default_rng(2)
    given = {"x": 6 * rng.normal(size=(3, 5)), "w": rng.normal(size=5)}
    check_gradients(net, given, {"B": 3, "n": 5}, ["w", "x"])
    assert "ITE" not in net.derive().text("index", steps=True) + net.derive().latex()


def test_facts_apply_until_nothing_changes():
    net = gl.Network()
    x, b = net.input("x", (B, n)), net.parameter("b", (B,))
    p = net.define("p", (i, k), gl.softmax(x[i, k] + b[i], k))
    net.minimize(Sum(p[i, k], i, k))
    with pytest.raises(UnusedParameterError, match="its gradient is 0"):
        net.derive(["b"])


def test_a_declared_fact_is_used_and_named():
    net = gl.Network()
    x, w = net.input("x", (B, n)), net.parameter("w", (n,))
    net.assume(Sum(x[i, k], k), 1)
    net.minimize(Sum((w[j] + w[0]) * x[i, j] * x[i, k], i, j, k))
    step = net.derive().steps["w"]
    assert [fact.source for fact in step.facts] == ["declared"]
    with pytest.raises(gl.IndexingError, match="over the batch"):
        net.assume(Sum(x[i, k], i), 1)
    with pytest.raises(gl.IndexingError, match="as a fact"):
        net.assume(Sum(x[i, k] ** 2, k), 1)
