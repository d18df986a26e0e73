"""Second order, forward mode and per-example gradients against PyTorch in float64."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import sympy
import torch
from everyday import daily
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import ACTIVATIONS, LOSSES, PRIMES, random_case, relative_error
from sympy import KroneckerDelta, Piecewise
from torch.autograd import functional

import gradloom as gl
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.tensors import Direction

TOLERANCE = 1e-9
RNG = np.random.default_rng


def program_of(network, case, **options):
    return network.compile(**{"target": "numpy", "dtype": "float64", **options})


def torch_loss(case, output=None):
    """PyTorch's loss (or a layer's activation) as a function of the parameters, in order of declaration."""
    data = {name: torch.from_numpy(case.values[name]) for name in ("x", "y")}

    def loss(*parameters):
        values = dict(zip((t.name for t in case.network.parameters), parameters, strict=True))
        a = data["x"]
        for place in range(1, case.depth + 1):
            z = torch.nn.functional.linear(a, values[f"W{place}"], values[f"b{place}"])
            a = ACTIVATIONS[case.activation][1](z)
            if output == f"z{place}":
                return z
            if output == f"a{place}":
                return a
        return LOSSES[case.loss].torch(a, data["y"], case.activation)

    return loss


def parameters_of(case):
    return {t.name: case.values[t.name] for t in case.network.parameters}


def directions_for(case, seed=5):
    rng = RNG(seed)
    return {name: rng.normal(size=value.shape) for name, value in parameters_of(case).items()}


def tensors(arrays):
    return tuple(torch.from_numpy(np.asarray(array, dtype=float)) for array in arrays.values())


def check(found, expected, tolerance=TOLERANCE):
    for name, value in zip(found, expected, strict=True):
        assert relative_error(found[name], value.detach().numpy()) < tolerance, name


CASES = [
    ("tanh", "squared"),
    ("sigmoid", "cross_entropy_labels"),
    ("softplus", "cross_entropy"),
    ("silu", "huber"),
    ("gelu", "squared"),
    ("elu", "squared"),
    ("gelu_tanh", "cross_entropy_labels"),
    ("softmax", "squared"),
    ("softmax", "cross_entropy"),
    ("log_softmax", "cross_entropy_labels"),
    ("relu", "squared"),
    ("sigmoid", "binary_cross_entropy"),
    ("tanh", "hinge"),
]
DAILY = [("silu", "huber"), ("softmax", "cross_entropy"), ("log_softmax", "cross_entropy_labels"), ("relu", "squared")]


@pytest.fixture(
    params=[pytest.param(pair, marks=[pytest.mark.slow] * (pair not in DAILY)) for pair in CASES],
    ids="-".join,
    scope="module",
)
def case(request):
    return random_case(*request.param, RNG(17), depth=2, largest=13)


def test_jvp_of_the_loss(case):
    directions = directions_for(case)
    program = program_of(gl.jvp(case.network), case)
    named = {f"v_{name}": v for name, v in directions.items()}
    slope, product = program.loss_and_gradients(parameters_of(case), case.values["x"], case.values["y"], **named)
    loss, moved = torch_loss(case), tensors(directions)
    _, expected = functional.jvp(loss, tensors(parameters_of(case)), moved)
    assert abs(slope - float(expected)) <= TOLERANCE * max(1, abs(float(expected)))
    # Reverse over forward: the Hessian-vector product once more, by another way.
    _, second = functional.hvp(loss, tensors(parameters_of(case)), moved)
    check(product, second)


def test_jvp_of_the_output(case):
    directions = directions_for(case)
    forward = gl.jvp(case.network, of="z2")
    assert forward.loss is None
    named = {f"v_{name}": v for name, v in directions.items()}
    found = program_of(forward, case).predict(parameters_of(case), case.values["x"], **named)
    _, expected = functional.jvp(torch_loss(case, "z2"), tensors(parameters_of(case)), tensors(directions))
    assert relative_error(found, expected.numpy()) < TOLERANCE
    evaluated = evaluate(forward.equations, {**parameters_of(case), "x": case.values["x"], **named})
    assert relative_error(evaluated["t_z2"], expected.numpy()) < TOLERANCE


def test_hessian_vector(case):
    directions = directions_for(case)
    program = program_of(gl.hessian_vector(case.network), case)
    named = {f"v_{name}": v for name, v in directions.items()}
    slope, product = program.loss_and_gradients(parameters_of(case), case.values["x"], case.values["y"], **named)
    loss, point, moved = torch_loss(case), tensors(parameters_of(case)), tensors(directions)
    _, expected = functional.hvp(loss, point, moved)
    check(product, expected)
    _, transposed = functional.vhp(loss, point, moved)
    check(product, transposed)
    assert abs(slope - float(functional.jvp(loss, point, moved)[1])) <= TOLERANCE * max(1, abs(slope))


@pytest.mark.parametrize(
    ("activation", "loss", "output"),
    daily(
        [
            ("tanh", "squared", None),
            ("tanh", "huber", "z2"),
            ("gelu", "cross_entropy_labels", "a2"),
            ("softmax", "cross_entropy", "z2"),
            ("softmax", "squared", "a2"),
            ("sigmoid", "cross_entropy", "z2"),
            ("log_softmax", "cross_entropy_labels", "z2"),
        ],
        ("tanh", "huber", "z2"),
        ("log_softmax", "cross_entropy_labels", "z2"),
    ),
)
def test_gauss_newton_vector(activation, loss, output):
    case = random_case(activation, loss, RNG(23), depth=2, largest=11)
    directions = directions_for(case)
    product = gl.gauss_newton_vector(case.network, output=output)
    named = {f"v_{name}": v for name, v in directions.items()}
    point, moved = tensors(parameters_of(case)), tensors(directions)
    middle = output or "a2"
    curvature, found = program_of(product, case).loss_and_gradients(
        parameters_of(case), case.values["x"], case.values["y"], **named
    )

    def head(a):
        if middle == "z2":
            a = ACTIVATIONS[activation][1](a)
        return LOSSES[loss].torch(a, torch.from_numpy(case.values["y"]), activation)

    jacobians = functional.jacobian(torch_loss(case, middle), point)
    a = torch_loss(case, middle)(*point)
    inner = functional.hessian(head, a).reshape(a.numel(), a.numel())
    matrices = [jacobian.reshape(a.numel(), -1) for jacobian in jacobians]
    pushed = sum(matrix @ v.reshape(-1) for matrix, v in zip(matrices, moved, strict=True))
    expected = [(m.T @ (inner @ pushed)).reshape(p.shape) for m, p in zip(matrices, point, strict=True)]
    check(found, expected)
    quadratic = float(pushed @ inner @ pushed)
    assert abs(curvature - quadratic) <= TOLERANCE * abs(quadratic)


def test_gauss_newton_refuses_what_goes_around_the_output():
    net = gl.Sequential(
        [gl.layers.Dense(3, gl.tanh), gl.layers.Dense(2)],
        input_shape=5,
        loss=gl.losses.SquaredError(),
        penalties=[gl.losses.L2(0.1)],
    )
    with pytest.raises(gl.UnsupportedError, match=r"depends on W1.*other than through z2.*W2.*penalty"):
        gl.gauss_newton_vector(net)
    with pytest.raises(gl.UndefinedError, match="no tensor 'q'"):
        gl.gauss_newton_vector(net, output="q")
    with pytest.raises(gl.UnsupportedError, match="x is input"):
        gl.gauss_newton_vector(net, output="x")
    linear = gl.Sequential([gl.layers.Dense(3)], input_shape=5, loss=gl.losses.AbsoluteError())
    with pytest.raises(gl.UnsupportedError, match="linear in z1"):
        gl.gauss_newton_vector(linear)


@pytest.mark.parametrize(
    ("activation", "loss"),
    daily(
        [("tanh", "squared"), ("gelu", "cross_entropy_labels"), ("softmax", "cross_entropy"), ("elu", "huber")],
        ("softmax", "cross_entropy"),
    ),
)
def test_per_example_gradients_are_those_of_each_row(activation, loss):
    case = random_case(activation, loss, RNG(29), depth=2, largest=11)
    x, y = case.values["x"], case.values["y"]
    rows = len(x)
    _, found = program_of(gl.per_example(case.network), case).loss_and_gradients(parameters_of(case), x, y)
    for row in range(rows):
        single = case._replace(values={**case.values, "x": x[row : row + 1], "y": y[row : row + 1]})
        point = tuple(tensor.requires_grad_() for tensor in tensors(parameters_of(case)))
        expected = torch.autograd.grad(torch_loss(single)(*point) / rows, point)
        check({name: gradient[row] for name, gradient in found.items()}, expected)
    _, whole = program_of(case.network, case).loss_and_gradients(parameters_of(case), x, y)
    for name, gradient in whole.items():
        assert relative_error(found[name].sum(0), gradient) < TOLERANCE


def penalised():
    B, n, m = gl.dims("B n m")
    i, j, k = gl.indices("i j k")
    net = gl.Network("penalised")
    x, y, W = net.input("x", (B, n)), net.target("y", (B, m)), net.parameter("W", (m, n))
    body = gl.Sum((gl.Sum(W[j, k] * x[i, k], k) - y[i, j]) ** 2, i, j)
    net.minimize(body + gl.Sum(W[j, k] ** 2, j, k))
    return net


def test_per_example_within_one_sum_and_penalties():
    net = penalised()
    with pytest.raises(gl.UnsupportedError, match=r"W is read in the equation of L where no index over the batch B"):
        gl.per_example(net)
    rng = RNG(3)
    x, y, W = rng.normal(size=(7, 5)), rng.normal(size=(7, 3)), rng.normal(size=(3, 5))
    program = gl.per_example(net, penalties="leave_out").compile(
        target="numpy", dtype="float64", sizes={"n": 5, "m": 3}
    )
    _, found = program.loss_and_gradients({"W": W}, x, y)
    assert relative_error(found["W"], 2 * np.einsum("bj,bk->bjk", x @ W.T - y, x)) < TOLERANCE
    assert "∂L/∂W_each[i, j, k]" in gl.per_example(net, penalties="leave_out").derive().text("index")


def test_per_example_by_labels():
    """An embedding: the gradient of each example is at the rows that it read."""
    B, v, m = gl.dims("B v m")
    i, j = gl.indices("i j")
    net = gl.Network("embedding")
    t, y = net.input("t", (B,), classes=v), net.target("y", (B, m))
    E = net.parameter("E", (v, m))
    net.minimize(gl.Sum((gl.tanh(E[t[i], j]) - y[i, j]) ** 2, i, j))
    rng = RNG(4)
    values = {"t": np.array([1, 6, 1, 0, 4]), "y": rng.normal(size=(5, 3))}
    E0 = rng.normal(size=(7, 3))
    program = gl.per_example(net).compile(target="numpy", dtype="float64", sizes={"v": 7, "m": 3})
    _, found = program.loss_and_gradients({"E": E0}, **values)
    a = np.tanh(E0[values["t"]])
    expected = np.zeros((5, 7, 3))
    expected[np.arange(5), values["t"]] = 2 * (a - values["y"]) * (1 - a**2)
    assert relative_error(found["E"], expected) < TOLERANCE


def test_per_example_refusals():
    net = penalised()
    with pytest.raises(gl.UndefinedError, match="x is input; expected a parameter"):
        gl.per_example(net, wrt=["x"], penalties="leave_out")
    with pytest.raises(gl.UndefinedError, match="penalties is 'drop'"):
        gl.per_example(net, penalties="drop")
    with pytest.raises(gl.UnsupportedError, match="gradient per example"):
        gl.per_example(net, penalties="leave_out").compile(
            target="numpy", sizes={"n": 5, "m": 3}, optimizer=gl.optimizers.SGD(lr=0.1)
        )
    circuit = gl.Network()
    w = circuit.parameter("w")
    circuit.minimize(w**2)
    with pytest.raises(gl.UndefinedError, match="no batch axis"):
        gl.per_example(circuit)


def kinked():
    """A maximum over an axis, cases, a weight that labels pick from, and a maximum of two."""
    B, n, m, v = gl.dims("B n m v")
    i, j, k = gl.indices("i j k")
    net = gl.Network("kinked")
    x, t = net.input("x", (B, n)), net.input("t", (B,), classes=v)
    W, E, s = net.parameter("W", (m, n)), net.parameter("E", (v, m)), net.parameter("s")
    z = net.define("z", (i, j), gl.Sum(W[j, k] * x[i, k], k) * (1 + E[t[i], j] ** 2))
    c = net.define("c", (i, j), Piecewise((z[i, j] ** 3, z[i, j] > s), (sympy.sin(z[i, j] * s), True)))
    h = net.define("h", i, gl.Max(c[i, j] * E[t[i], j] ** 2, j))
    net.minimize(gl.Sum(sympy.Max(h[i] ** 2, s * h[i]), i) + gl.Max(c[i, j] ** 2, i, j))
    return net


def kinked_torch(x, t):
    def loss(W, E, s):
        e = E[t]
        z = (x @ W.T) * (1 + e**2)
        c = torch.where(z > s, z**3, torch.sin(z * s))
        h = (c * e**2).max(1).values
        return torch.maximum(h**2, s * h).sum() + (c**2).max()

    return loss


@pytest.mark.slow
@pytest.mark.parametrize("target", ["numpy", "cpu"])
def test_kinks_and_labels(target):
    rng = RNG(8)
    x, t = rng.normal(size=(11, 3)), rng.integers(0, 7, 11)
    params = {"W": rng.normal(size=(5, 3)), "E": rng.normal(size=(7, 5)), "s": np.array(0.4)}
    directions = {name: rng.normal(size=value.shape) for name, value in params.items()}
    named = {f"v_{name}": v for name, v in directions.items()}
    loss = kinked_torch(torch.from_numpy(x), torch.from_numpy(t))
    slope, expected = functional.hvp(loss, tensors(params), tensors(directions))
    slope = functional.jvp(loss, tensors(params), tensors(directions))[1]
    for network in (gl.hessian_vector(kinked()), gl.jvp(kinked())):
        program = network.compile(target=target, dtype="float64", sizes={"n": 3, "m": 5, "v": 7})
        value, product = program.loss_and_gradients(params, x, t, **named)
        assert abs(value - float(slope)) < TOLERANCE * abs(float(slope))
        check(product, expected)


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("target", daily(["numpy", "cpu"], "numpy"))
def test_whole_hessian(target):
    case = random_case("tanh", "cross_entropy_labels", RNG(31), depth=2, largest=11)
    params, x, y = parameters_of(case), case.values["x"], case.values["y"]
    found = gl.hessian(case.network, params, x, y, target=target)
    expected = functional.hessian(torch_loss(case), tensors(params))
    for row, name in enumerate(params):
        for column, other in enumerate(params):
            assert relative_error(found[name, other], expected[row][column].numpy()) < TOLERANCE
            turned = np.moveaxis(found[other, name], range(params[other].ndim), range(-params[other].ndim, 0))
            assert relative_error(found[name, other], turned) < TOLERANCE
    program = case.network.compile(target=target, dtype="float64")
    again = program.hessian(params, x, y)
    assert all(np.array_equal(found[pair], again[pair]) for pair in found)
    with pytest.raises(gl.SizeError, match=r"rows, which is more than limit=3; .*raise the limit"):
        program.hessian(params, x, y, limit=3)


def test_hessian_of_inputs_and_of_what_is_flat():
    net = gl.Network("flat")
    w, x = net.parameter("w", (3,)), net.input("x", (3,))
    (k,) = (gl.indices("k"),)
    net.minimize(gl.Sum(w[k] * x[k], k))
    zero = gl.hessian(net, {"w": np.ones(3)}, np.arange(3.0))
    assert np.array_equal(zero["w", "w"], np.zeros((3, 3)))
    mixed = gl.hessian(net, {"w": np.ones(3)}, np.arange(3.0), wrt=["w", "x"])
    assert np.array_equal(mixed["w", "x"], np.eye(3))
    assert np.array_equal(mixed["x", "x"], np.zeros((3, 3)))


shapes = st.permutations(PRIMES[:5]).map(lambda primes: primes[:4])


@settings(max_examples=10, deadline=None)
@given(shape=shapes, seed=st.integers(0, 10**6), activation=st.sampled_from(["tanh", "silu", "softmax", "gelu"]))
@pytest.mark.slow
def test_random_shapes(shape, seed, activation):
    """Hessian and Jacobian products of two layers by equations, by the reference interpreter."""
    batch, inputs, hidden, outputs = shape
    net = gl.Sequential(
        [gl.layers.Dense(hidden, ACTIVATIONS[activation][0]), gl.layers.Dense(outputs)],
        input_shape=inputs,
        loss=gl.losses.CrossEntropy("labels"),
    )
    rng = RNG(seed)
    values = {"x": rng.normal(size=(batch, inputs)), "y": rng.integers(0, outputs, batch)}
    params = {t.name: rng.normal(size=tuple(map(int, t.shape))) for t in net.parameters}
    directions = {name: rng.normal(size=value.shape) for name, value in params.items()}
    given_values = {**values, **params, **{f"v_{name}": v for name, v in directions.items()}}
    x, y = torch.from_numpy(values["x"]), torch.from_numpy(values["y"])

    def loss(W1, b1, W2, b2):
        hidden_layer = ACTIVATIONS[activation][1](torch.nn.functional.linear(x, W1, b1))
        return torch.nn.functional.cross_entropy(torch.nn.functional.linear(hidden_layer, W2, b2), y)

    product = gl.hessian_vector(net)
    derived = product.derive()
    found = evaluate([*product.equations, *derived.adjoints], given_values)
    _, expected = functional.hvp(loss, tensors(params), tensors(directions))
    check({name: found[derived[name].target.name] for name in params}, expected)
    forward = gl.jvp(net)
    slope = evaluate(forward.equations, given_values)["t_L"]
    assert relative_error(slope, functional.jvp(loss, tensors(params), tensors(directions))[1].numpy()) < TOLERANCE


def physics(width=32):
    """u(x) of x = (t, p, q); the loss asks that ∂u/∂t - ∂²u/∂p² = u², and that u is y at the points."""
    i = gl.indices("i")
    net = gl.Sequential(
        [gl.layers.Dense(width, gl.tanh), gl.layers.Dense(width, gl.tanh), gl.layers.Dense(1)], input_shape=3
    )
    (x,) = net.inputs
    B, y = x.shape[0], net.target("y", (x.shape[0],))
    u = net.output
    u_t = gl.tangent(net, u, {"x": lambda i, k: KroneckerDelta(k, 0)}, label="t")
    u_p = gl.tangent(net, u, {"x": lambda i, k: KroneckerDelta(k, 1)}, label="p")
    u_pp = gl.tangent(net, u_p, {"x": lambda i, k: KroneckerDelta(k, 1)}, label="p")
    residual = u_t[i, 0] - u_pp[i, 0] - u[i, 0] ** 2
    net.minimize(gl.Sum(residual**2 + (u[i, 0] - y[i]) ** 2, i) / B)
    return net


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("target", ["numpy", "cpu"])
def test_a_loss_with_derivatives_of_the_output(target):
    net = physics()
    rng = RNG(41)
    x0, y0 = rng.normal(size=(7, 3)), rng.normal(size=7)
    params = {t.name: rng.normal(size=tuple(map(int, t.shape))) / 3 for t in net.parameters}
    loss, found = net.compile(target=target, dtype="float64").loss_and_gradients(params, x0, y0)
    x = torch.from_numpy(x0).requires_grad_()
    point = [tensor.requires_grad_() for tensor in tensors(params)]
    W1, b1, W2, b2, W3, b3 = point
    u = torch.tanh(torch.tanh(x @ W1.T + b1) @ W2.T + b2) @ W3.T + b3
    (first,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first[:, 1].sum(), x, create_graph=True)
    residual = first[:, 0] - second[:, 1] - u[:, 0] ** 2
    expected = (residual**2 + (u[:, 0] - torch.from_numpy(y0)) ** 2).mean()
    assert relative_error(loss, expected.detach().numpy()) < TOLERANCE
    gradients = torch.autograd.grad(expected, point, materialize_grads=True)
    check(found, gradients)


def logistic():
    B, n = gl.dims("B n")
    i, k = gl.indices("i k")
    net = gl.Network("logistic")
    x, y = net.input("x", (B, n)), net.target("y", (B,))
    w, b = net.parameter("w", (n,)), net.parameter("b")
    z = net.define("z", i, gl.Sum(w[k] * x[i, k], k) + b)
    a = net.define("a", i, gl.sigmoid(z[i]))
    net.minimize(gl.Sum((a[i] - y[i]) ** 2, i) / (2 * B))
    return net


def test_what_is_printed():
    forward = gl.jvp(logistic())
    lines = str(forward).splitlines()
    assert lines[-3:] == [
        "ż[i] = Σ_j v_w[j] x[i, j] + v_b",
        "ȧ[i] = ż[i] a[i] (1 - a[i])",
        "L̇ = 1/B Σ_i (a[i] - y[i]) ȧ[i]",
    ]
    assert r"\dot{z}_{i} &= \sum_{j} v_{w;\,j} \, x_{i j} + v_{b}" in forward._repr_latex_()
    product = gl.hessian_vector(logistic())
    assert str(product).splitlines()[-1] == "L̇ = Σ_i ∂L/∂w[i] v_w[i] + ∂L/∂b v_b"
    page = product.derive().text()
    assert "∂L̇/∂w = x (∂L̇/∂z)ᵀ" in page
    assert "δ = 1/B (a - y) ⊙ a ⊙ (1 - a)" in page
    assert r"\frac{\partial \dot{L}}{\partial w}" in product.derive().latex()
    deep = gl.jvp(gl.Sequential([gl.layers.Dense(3, gl.tanh)], 5, loss=gl.losses.SquaredError()))
    assert r"\dot{a}^{(1)}_{i j}" in deep._repr_latex_()
    assert r"v_{W^{(1)};\,j k}" in deep._repr_latex_()
    assert gl.hessian_vector(logistic()).compile(target="numpy", sizes={"n": 3}).source == (
        gl.hessian_vector(logistic()).compile(target="numpy", sizes={"n": 3}).source
    )
    examples = gl.per_example(logistic()).derive().text("index")
    assert "∂L/∂w_each[i, j] = δ[i] x[i, j]" in examples.split("Gradients")[1]


def test_products_can_be_checked_by_differences_and_derived_again():
    product = gl.hessian_vector(logistic())
    assert gl.gradcheck(product, target="numpy").ok
    net = gl.Network("quartic")
    w = net.parameter("w")
    net.minimize(w**4)
    third = gl.hessian_vector(gl.hessian_vector(net), label="u")
    program = third.compile(target="numpy", dtype="float64")
    value, found = program.loss_and_gradients({"w": 3.0}, v_w=2.0, v_w_u=5.0)
    assert value == 12 * 9 * 2 * 5
    assert found["w"] == 24 * 3 * 2 * 5


@pytest.mark.parametrize("make", [gl.jvp, gl.hessian_vector])
def test_saturated_softmax(make):
    """Probabilities that are 0 in floating point: nothing is divided by them."""
    net = gl.Sequential([gl.layers.Dense(3)], input_shape=5, loss=gl.losses.CrossEntropy("labels"))
    rng = RNG(9)
    x, y = 1e4 * rng.normal(size=(7, 5)), rng.integers(0, 3, 7)
    params = {"W1": rng.normal(size=(3, 5)), "b1": rng.normal(size=3)}
    directions = {name: rng.normal(size=value.shape) for name, value in params.items()}
    program = make(net).compile(target="numpy", dtype="float64")
    slope, product = program.loss_and_gradients(params, x, y, **{f"v_{name}": v for name, v in directions.items()})
    X, Y = torch.from_numpy(x), torch.from_numpy(y)

    def loss(W, b):
        return torch.nn.functional.cross_entropy(torch.nn.functional.linear(X, W, b), Y)

    assert relative_error(slope, functional.jvp(loss, tensors(params), tensors(directions))[1].numpy()) < TOLERANCE
    _, expected = functional.hvp(loss, tensors(params), tensors(directions))
    for name, value in zip(product, expected, strict=True):
        assert np.abs(product[name] - value.numpy()).max() < TOLERANCE * np.abs(x).max() ** 2


def test_directions_are_no_batch_data():
    product = gl.hessian_vector(logistic())
    assert product.batch == gl.dims("B")
    assert [t.name for t in product.inputs if isinstance(t, Direction)] == ["v_w", "v_b"]
    program = product.compile(target="numpy", dtype="float64", sizes={"n": 3})
    x, y, params = np.ones((7, 3)), np.ones(7), {"w": np.ones(3), "b": 0.5}
    with pytest.raises(gl.DataError, match=r"v_w has shape \(7,\)"):
        program.loss_and_gradients(params, x, y, v_w=np.ones(7), v_b=1.0)
    with pytest.raises(gl.DataError, match="v_b has no data"):
        program.loss_and_gradients(params, x, y, v_w=np.ones(3))
    assert program.predict(params, x, v_w=np.ones(3), v_b=1.0).shape == (7,)
    copied = pickle.loads(pickle.dumps(product.tensors["v_w"]))
    assert copied == product.tensors["v_w"]


def labelled():
    B, v = gl.dims("B v")
    i = gl.indices("i")
    net = gl.Network("labelled")
    t, y, E = net.input("t", (B,), classes=v), net.target("y", (B, 3), one_hot=True), net.parameter("E", (v, 3))
    j = gl.indices("j")
    net.minimize(gl.Sum((E[t[i], j] - y[i, j]) ** 2, i, j))
    return net


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: gl.jvp(logistic(), wrt=["q"]), gl.UndefinedError, "no tensor 'q'"),
        (lambda: gl.hessian_vector(logistic(), wrt=["q"]), gl.UndefinedError, "no tensor 'q'"),
        (lambda: gl.hessian_vector(labelled(), wrt=["t"]), gl.UnusedParameterError, "t holds class labels"),
        (lambda: gl.jvp(labelled(), wrt=["t"]), gl.UnusedParameterError, "t holds class labels"),
        (lambda: gl.tangent(labelled(), "L", {"t": lambda i: 1}), gl.UnusedParameterError, "class labels"),
        (lambda: gl.hessian_vector(labelled(), wrt=["y"]), gl.UnsupportedError, "y is declared to have a fixed sum"),
        (lambda: gl.hessian_vector(logistic(), wrt=["a"]), gl.UnsupportedError, "a is defined by an equation"),
        (lambda: gl.jvp(gl.Network("empty")), gl.LossError, "has no loss"),
        (lambda: gl.hessian_vector(gl.Network("empty")), gl.LossError, "has no loss"),
        (lambda: gl.gauss_newton_vector(gl.Network("empty")), gl.LossError, "has no loss"),
        (lambda: gl.per_example(gl.Network("empty")), gl.LossError, "has no loss"),
        (lambda: gl.hessian(gl.Network("empty"), {}), gl.LossError, "has no loss"),
        (lambda: gl.jvp(logistic(), of="q"), gl.UndefinedError, "no tensor 'q'"),
        (lambda: gl.jvp(logistic(), wrt=["y"], of="a"), gl.UnusedParameterError, "a does not depend on y"),
        (lambda: gl.jvp(gl.jvp(logistic())), gl.NameTakenError, "'v_w', .*label="),
        (lambda: gl.tangent(logistic(), "a", {"w": 3}), gl.IndexingError, "direction of w is 3"),
        (lambda: gl.tangent(logistic(), "a", {"w": lambda k: "k"}), gl.IndexingError, "found 'k'"),
        (lambda: gl.tangent(logistic(), "a", {}), gl.UnusedParameterError, "along nothing is 0"),
        (lambda: gl.tangent(logistic(), "a", {"b": logistic().tensors["w"]}), gl.ShapeError, r"its shape, \(\)"),
        (
            lambda: gl.jvp(logistic(), of="a").compile(target="numpy", sizes={"n": 2}, wrt=["w"]),
            gl.LossError,
            "no loss",
        ),
        (
            lambda: gl.jvp(logistic(), of="a").compile(target="numpy", sizes={"n": 2}).loss({"w": [1, 2], "b": 0}, x=1),
            gl.DataError,
            "v_w has no data",
        ),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_nothing_is_added_when_a_name_is_taken():
    net = logistic()
    net.define("t_a", (), net.tensors["b"] ** 2)
    before = dict(net.tensors), list(net.equations)
    with pytest.raises(gl.NameTakenError, match="'t_a', the name of a derivative, is taken"):
        gl.tangent(net, "a", {"b": lambda: 1})
    assert (net.tensors, net.equations) == before
    a_b = gl.tangent(net, "a", {"b": lambda: 1}, label="b")
    assert str(net.equation(a_b.name)) == "a_b[i] = a[i] (1 - a[i])"


@pytest.mark.usefixtures("without_compiler")
def test_a_network_without_a_loss_predicts():
    net = gl.Network("map")
    x, w = net.input("x", (5,)), net.parameter("w", (5,))
    k = gl.indices("k")
    net.define("s", (), gl.Sum(w[k] * x[k], k))
    with pytest.raises(gl.LossError, match="call minimize"):
        net.compile(target="numpy")
    net.set_output("s")
    for target in ("numpy", "cpu"):
        program = net.compile(target=target, dtype="float64")
        assert program.predict({"w": np.arange(5.0)}, np.ones(5)) == 10
        with pytest.raises(gl.LossError, match="only an output"):
            program.loss_and_gradients({"w": np.arange(5.0)}, np.ones(5))
