"""Matrix forms at positions, of tensors with more than two axes: worth the same as the index forms, and well chosen."""

import itertools

import numpy as np
import pytest
import sympy
from matrix_values import Values

import gradloom as gl
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.matrix_view import View

SIZES = {"B": 2, "T": 5, "n": 3, "m": 4, "N": 2, "D": 7, "C": 6, "H": 4, "W": 5}
B, C, D, H, N, T, W, m, n = gl.dims("B C D H N T W m n")
b, t, j, k = gl.indices("b t j k")
layers, mean = gl.layers, gl.losses.SquaredError()


def rnn(last=False, reverse=False):
    net = gl.Network("rnn")
    x, w, u, c = (
        net.input("x", (B, T, n)),
        *(net.parameter(a, s) for a, s in (("W", (m, n)), ("U", (m, m)), ("c", (m,)))),
    )
    y = net.target("y", (B, m) if last else (B, T, m))
    h, step = net.sequence("h", (B, T, m)), 1 if reverse else -1
    body = gl.Sum(w[j, k] * x[b, t, k], k) + gl.Sum(u[j, k] * gl.padded(h[b, t + step, k]), (k, m)) + c[j]
    z = net.define("z", (b, t, j), body)
    net.define("h", (b, t, j), gl.tanh(z[b, t, j]))
    loss = gl.Sum((h[b, T - 1, j] - y[b, j]) ** 2, b, j) if last else gl.Sum((h[b, t, j] - y[b, t, j]) ** 2, b, t, j)
    net.minimize(loss / (2 * B))
    return net


def pooled():
    """A mean over positions, and a state that starts from an input."""
    net = gl.Network("pooled")
    x, g, s = net.input("x", (B, T, n)), net.parameter("g", (n,)), net.parameter("s", (T,))
    a = net.define("a", (b, t, j), gl.tanh(x[b, t, j] * g[j]) * s[t] + sympy.KroneckerDelta(t, 0) * g[j])
    z = net.define("z", (b, j), gl.Sum(a[b, t, j], t) / T)
    net.minimize(gl.Sum(z[b, j] ** 2, b, j))
    return net


NETWORKS = {
    "rnn": rnn,
    "rnn_last": lambda: rnn(last=True),
    "rnn_reverse": lambda: rnn(reverse=True),
    "pooled": pooled,
    "lstm": lambda: gl.Sequential([layers.LSTM(m, initial="input")], input_shape=(T, n), loss=mean),
    "gru": lambda: gl.Sequential([layers.GRU(m, return_sequences=False)], input_shape=(T, n), loss=mean),
    "attention": lambda: gl.Sequential([layers.Attention(N, D)], input_shape=(T, n), loss=mean),
    "causal": lambda: gl.Sequential([layers.Attention(N, D, causal=True)], input_shape=(T, n), loss=mean),
    "embedding": lambda: gl.Sequential(
        [layers.Embedding(C, n), layers.Positions(), layers.Dense(C)],
        input_shape=(T,),
        input_classes=C,
        loss=gl.losses.CrossEntropy(targets="labels"),
    ),
    "language": lambda: gl.Sequential(
        [layers.Embedding(C, n), layers.Attention(N, D), layers.RMSNorm(), layers.Dense(C)],
        input_shape=(T,),
        input_classes=C,
        loss=gl.losses.CrossEntropy(targets="labels"),
    ),
    "transformer": lambda: gl.Sequential([layers.TransformerBlock(4, 2, 3)], input_shape=(T, 4), loss=mean),
    "convolution": lambda: gl.Sequential(
        [layers.Conv2D(3, 2, padding=1, activation=gl.silu)], input_shape=(C, H, W), loss=mean
    ),
}
# Equations with no matrix form: a mask over positions, windows.
WITHOUT = {"causal": {"c1", "d_s1"}, "convolution": {"z1", "d_W1", "d_b1"}}


def at_sizes(size):
    return size.xreplace({dim: sympy.Integer(SIZES[dim.name]) for dim in size.atoms(gl.Dim)})


def filled(network):
    rng = np.random.default_rng(5)
    given = {}
    for tensor in network.tensors.values():
        shape = [
            int(size.xreplace({d: sympy.Integer(SIZES[d.name]) for d in size.atoms(gl.Dim)})) for size in tensor.shape
        ]
        if tensor.classes is not None:
            given[tensor.name] = rng.integers(0, SIZES["C"], shape)
        elif tensor.role != "value":
            given[tensor.name] = rng.normal(size=shape)
    return given


@pytest.mark.parametrize("layout", ["columns", "rows"])
@pytest.mark.parametrize("name", NETWORKS)
def test_matrix_form_at_every_position(name, layout):
    network = NETWORKS[name]()
    given = filled(network)
    equations = [*network.equations, *network.derive().adjoints]
    env = {**given, **evaluate(equations, given, SIZES)}
    view = View(equations, layout, network.batch)
    values = Values(env, SIZES, layout, network.batch, view.example)
    without = set()
    for equation in equations:
        form = view.form(equation)
        if form is None:
            without.add(equation.target.name)
            continue
        places = {
            i: s for i, s in zip(equation.indices, equation.target.shape, strict=True) if i not in (form.row, form.col)
        }
        places = {} if form.left.kind == "tensor" else places
        for at in itertools.product(*(range(int(values.at_sizes(size))) for size in places.values())):
            where = dict(zip(places, at, strict=True))
            expected = np.asarray(values.of(form.left, where))
            found = np.broadcast_to(values.of(form.right, where), expected.shape)
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12, err_msg=equation.target.name)
    assert without == WITHOUT.get(name, set())


def lines(name, layout="columns"):
    return [line.strip() for line in NETWORKS[name]().derive().text(layout=layout).splitlines()]


def test_a_recurrence_shows_the_batch_and_leaves_time_open():
    found = lines("rnn")
    assert "z_t = W x_t + U h_{t-1} [t ≥ 1] + c" in found
    assert "δ_t = (Uᵀ δ_{t+1} [t + 1 < T] + 1/B (h_t - y_t)) ⊙ (1 - h_t²)" in found
    assert "∂L/∂U = Σ_t δ_t h_{t-1}ᵀ [t ≥ 1]" in found
    assert "∂L/∂b = Σ_t δ_t 𝟏".replace("b", "c") in found
    assert "z_t = x_t Wᵀ + h_{t-1} Uᵀ [t ≥ 1] + cᵀ" in lines("rnn", "rows")


def test_attention_shows_positions_and_leaves_the_example_open():
    found = lines("attention")
    assert "s1_{b,h} = 1/sqrt(D) q1_{b,h} k1_{b,h}ᵀ".replace("b,", "i,") in found
    assert "p1_{i,h} = softmax(s1_{i,h})" in found
    assert "o1_{i,h} = p1_{i,h} v1_{i,h}" in found
    assert "z1_i = Σ_h o1_{i,h} Wo1_hᵀ + bo1ᵀ" in found
    assert "∂L/∂v1_{i,h} = p1_{i,h}ᵀ ∂L/∂o1_{i,h}" in found


def test_a_table_is_looked_up_by_a_product_with_one_hot_columns():
    found = lines("embedding")
    assert "a1_t = E1ᵀ onehot(x_t)" in found
    assert any(line.startswith("∂L/∂E1 = Σ_t onehot(x_t) (") for line in found)


def test_tensors_that_no_equation_takes_apart_are_shown_whole():
    found = lines("convolution")
    assert "a1 = silu(z1)" in found
    assert "L = 1/(2 B) ‖a1 - y‖²" in found


def test_latex_of_positions():
    page = NETWORKS["rnn"]().derive().latex()
    assert r"z_{t} &= W \, x_{t} + U \, h_{t-1} \, \left[t \ge 1\right] + c" in page
    assert r"\frac{\partial L}{\partial U} &= \sum_{t} \delta_{t} \, h_{t-1}^\top \, \left[t \ge 1\right]" in page
