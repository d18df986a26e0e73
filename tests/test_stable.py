"""Stable forms against mpmath: no overflow, no NaN, full precision at arguments of up to 10^4, gradients too."""

from __future__ import annotations

import kernels
import mpmath
import numpy as np
import pytest
import sympy
from sympy import cosh, exp, log, sinh, tanh

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.codegen.stable import stabilise
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.tensors import Tensor

POINTS = np.array([-1e4, -750.0, -95.0, -20.0, -1.5, -1e-3, 0.25, 1e-3, 2.5, 30.0, 95.0, 750.0, 1e4])

FUNCTIONS = {
    "sigmoid": lambda z: 1 / (1 + exp(-z)),
    "sigmoid_other_form": lambda z: exp(z) / (1 + exp(z)),
    "sigmoid_of_a_multiple": lambda z: 3 / (2 + 4 * exp(-2 * z)),
    "tanh_in_exponentials": lambda z: (exp(z) - exp(-z)) / (exp(z) + exp(-z)),
    "tanh_other_form": lambda z: (exp(2 * z) - 1) / (exp(2 * z) + 1),
    "softplus": lambda z: log(1 + exp(z)),
    "log_sigmoid": lambda z: log(1 / (1 + exp(-z))),
    "log_one_minus_sigmoid": lambda z: log(1 - gl.sigmoid(z)),
    "log_cosh": lambda z: log(cosh(z)),
    "log_of_three_terms": lambda z: log(2 + 3 * exp(z) + exp(-z)),
    "silu": lambda z: z / (1 + exp(-z)),
    "mish": lambda z: z * tanh(log(1 + exp(z))),
    "elu": gl.elu,
    "gelu": gl.gelu,
    "gelu_tanh": gl.gelu_tanh,
}


def vector(function):
    """Σ_j f(z[j]) over a parameter z, with the values f(z[j]) as the output."""
    j = gl.indices("j")
    net = gl.Network("vector")
    z = net.parameter("z", (len(POINTS),))
    a = net.define("a", j, function(z[j]))
    net.minimize(gl.Sum(a[j], j))
    return net


def exact(network, values, digits):
    """The output and the gradients of the parameters, in high precision (exp(10^4) is no trouble there)."""
    derivation = network.derive([parameter.name for parameter in network.parameters])
    found = evaluate([*network.equations, *derivation.adjoints], values, digits=digits)
    gradients = {name: found[equation.target.name].astype(float) for name, equation in derivation.gradients.items()}
    return np.array(found[network.output.name], dtype=float), gradients


@pytest.mark.parametrize("target", ["numpy", "cpu"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_large_arguments(name, dtype, target, derived):
    network, value, slope = derived(name)
    module = kernels.plain(generate(network, target=target, dtype=dtype).source)
    # Overflow to infinity in 1 / (1 + inf) is meant; Numba, unlike NumPy's scalars, does not warn of it.
    with np.errstate(over="ignore"):
        output, _, grads = kernels.run(module, network, {"z": POINTS}, dtype)
    tolerance = {"float64": 1e-12, "float32": 2e-5}[dtype]
    np.testing.assert_allclose(output, value, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(grads["z"], slope, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def derived():
    made = {}

    def get(name):
        if name not in made:
            network = vector(FUNCTIONS[name])
            # 1 - sigmoid(10^4) has its first digit at place 4343.
            value, gradients = exact(network, {"z": POINTS}, 4_400 if name == "log_one_minus_sigmoid" else 60)
            made[name] = network, value, gradients["z"]
        return made[name]

    return get


def rows(last):
    """A softmax by rows of the parameter z, and targets for a cross-entropy that takes its logarithm."""
    i, j, k = gl.indices("i j k")
    net = gl.Network("softmax_rows")
    z, y = net.parameter("z", (3, 5)), net.target("y", (3, 5))
    p = last(net, z, i, j, k)
    return net, y, p, (i, j)


def plain_softmax(net, z, i, j, k):
    return net.define("p", (i, j), exp(z[i, j]) / gl.Sum(exp(z[i, k]), k))


def shifted_softmax(net, z, i, j, k):
    return net.define("p", (i, j), exp(z[i, j] - gl.Max(z[i, k], k)) / gl.Sum(exp(z[i, k] - gl.Max(z[i, j], j)), k))


ROWS = np.array([[1e4, -1e4, 0.0, 9990.0, 3.0], [0.1, -0.7, 1.3, 0.9, -2.2], [-1e4, -9999.0, -9990.0, -1e4, -9998.5]])
TARGETS = np.array([[0.2, 0.1, 0.3, 0.25, 0.15], [0.1, 0.2, 0.3, 0.4, 0.5], [0.0, 1.0, 0.0, 0.0, 0.0]])


@pytest.mark.parametrize("target", ["numpy", "cpu"])
@pytest.mark.parametrize("softmax", [plain_softmax, shifted_softmax])
def test_cross_entropy_of_a_softmax(softmax, target):
    net, y, p, (i, j) = rows(softmax)
    net.minimize(-gl.Sum(y[i, j] * log(p[i, j]), i, j))
    values = {"z": ROWS, "y": TARGETS}
    output, loss, grads = kernels.run(kernels.plain(generate(net, target=target, dtype="float64").source), net, values)
    logarithm = ROWS - np.logaddexp.reduce(ROWS, axis=1)[:, None]
    np.testing.assert_allclose(output, np.exp(logarithm), rtol=1e-12)
    np.testing.assert_allclose(grads["z"], np.exp(logarithm) * TARGETS.sum(1)[:, None] - TARGETS, atol=1e-12)
    assert loss == pytest.approx(-np.sum(TARGETS * logarithm), rel=1e-13)


@pytest.mark.parametrize("target", ["numpy", "cpu"])
def test_binary_cross_entropy_of_a_sigmoid(target):
    j = gl.indices("j")
    net = gl.Network("binary")
    z, y = net.parameter("z", (len(POINTS),)), net.target("y", (len(POINTS),))
    a = net.define("a", j, gl.sigmoid(z[j]))
    net.minimize(-gl.Sum(y[j] * log(a[j]) + (1 - y[j]) * log(1 - a[j]), j))
    labels = (np.arange(len(POINTS)) % 2).astype(float)
    module = kernels.plain(generate(net, target=target, dtype="float64").source)
    with np.errstate(over="ignore"):
        _, loss, grads = kernels.run(module, net, {"z": POINTS, "y": labels})
    assert loss == pytest.approx(np.sum(np.logaddexp(0, POINTS) - labels * POINTS), rel=1e-13)
    np.testing.assert_allclose(grads["z"], 1 / (1 + np.exp(-np.clip(POINTS, -700, 700))) - labels, atol=1e-15)


NEAR = {"float64": 1e-13, "float32": 3e-6}
LOGITS = np.array([[1e4, 9999.0, 9998.0], [-9998.0, -9999.0, -1e4], [0.5, 1e4, -2.25], [3e6, 3e6 - 2, 3e6 - 1]])
LABELS = np.array([0, 2, 1, 1])


def log_probabilities(form):
    """A cross-entropy with labels, its logarithm of the softmax written in one of several forms."""
    i, j = gl.indices("i j")
    net = gl.Network("log_probabilities")
    z, y = net.parameter("z", LOGITS.shape), net.target("y", LABELS.shape, classes=LOGITS.shape[1])
    net.define("q", (i, j), 2 * z[i, j])  # a prediction, where there is no other
    if form == "log_softmax":
        entry = net.define("a", (i, j), gl.log_softmax(z[i, j], j))[i, j]
    elif form == "log of softmax":
        entry = log(net.define("p", (i, j), gl.softmax(z[i, j], j))[i, j])
    elif form == "inlined":
        entry = gl.log_softmax(z[i, j], j)
    elif form == "of a sum":
        b = net.define("b", j, sympy.Piecewise((-3, j > 0), (7, True)), shape=(3,))
        entry = gl.log_softmax(z[i, j] + b[j], j) + j
    elif form == "picked":
        net.minimize(gl.Sum(log(gl.Sum(exp(z[i, j]), j)) - z[i, y[i]], i))
        return net
    net.minimize(-gl.Sum(gl.one_hot(y[i], j) * entry, i, j))
    return net


@pytest.mark.parametrize("target", ["numpy", "cpu"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("form", ["log_softmax", "log of softmax", "inlined", "of a sum", "picked"])
@mpmath.workdps(60)
def test_log_softmax_keeps_the_digits_of_large_logits(form, dtype, target):
    net = log_probabilities(form)
    module = kernels.plain(generate(net, target=target, dtype=dtype).source)
    output, loss, grads = kernels.run(module, net, {"z": LOGITS, "y": LABELS}, dtype)
    values = [list(map(mpmath.mpf, row)) for row in LOGITS.tolist()]
    if form == "of a sum":
        values = [[row[0] + 7, row[1] - 3, row[2] - 3] for row in values]
    logarithm = np.array([[float(entry - mpmath.log(sum(map(mpmath.exp, row)))) for entry in row] for row in values])
    rows = np.arange(len(LABELS))
    expected = -logarithm[rows, LABELS].sum() - (LABELS.sum() if form == "of a sum" else 0)
    assert loss == pytest.approx(expected, rel=NEAR[dtype])
    assert form != "log_softmax" or output == pytest.approx(logarithm, rel=NEAR[dtype])
    slope = np.exp(logarithm) - np.eye(LOGITS.shape[1])[LABELS]
    np.testing.assert_allclose(grads["z"], slope, rtol=NEAR[dtype], atol=NEAR[dtype])


TAIL = np.array([-12.0, -8.0, -5.0, -2.5, -1e-3, 0.0, 0.75, 5.0])
ERROR_FUNCTIONS = {
    "gelu": (gl.gelu, lambda z: z * mpmath.ncdf(z), lambda z: mpmath.ncdf(z) + z * mpmath.npdf(z)),
    "one_less_erf": (
        lambda z: 1 - sympy.erf(-z),
        lambda z: mpmath.erfc(-z),
        lambda z: 2 * mpmath.exp(-(z**2)) / mpmath.sqrt(mpmath.pi),
    ),
    "expanded": (
        lambda z: z * sympy.erf(z) + z,
        lambda z: z * mpmath.erfc(-z),
        lambda z: mpmath.erfc(-z) + 2 * z * mpmath.exp(-(z**2)) / mpmath.sqrt(mpmath.pi),
    ),
}


@pytest.mark.parametrize("target", ["numpy", "cpu"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ERROR_FUNCTIONS)
@mpmath.workdps(60)
def test_left_tail_of_the_error_function(name, dtype, target):
    function, value_of, slope_of = ERROR_FUNCTIONS[name]
    output, slope = elementwise(function, TAIL, dtype, target)
    # The exponential of -z^2 has |z|^2 times the rounding of z^2; below 1e-37 float32 is denormal.
    near, least = {"float64": (1e-12, 1e-300), "float32": (3e-5, 1e-37)}[dtype]
    points = [mpmath.mpf(float(point)) for point in TAIL.astype(dtype)]
    np.testing.assert_allclose(output, [float(value_of(point)) for point in points], rtol=near, atol=least)
    np.testing.assert_allclose(slope, [float(slope_of(point)) for point in points], rtol=near, atol=least)


def elementwise(function, points, dtype, target):
    """The values and the slopes of a function, by generated code."""
    j = gl.indices("j")
    net = gl.Network("elementwise")
    z = net.parameter("z", (len(points),))
    a = net.define("a", j, function(z[j]))
    net.minimize(gl.Sum(a[j], j))
    module = kernels.plain(generate(net, target=target, dtype=dtype).source)
    output, _, grads = kernels.run(module, net, {"z": points}, dtype)
    return output, grads["z"]


STEPS = {  # each as SymPy takes it, then its values and its slopes by mpmath
    "hard_sigmoid": (
        lambda z: sympy.Min(1, sympy.Max(0, z / 6 + sympy.Rational(1, 2))),
        lambda z: min(1, max(0, z / 6 + mpmath.mpf(1) / 2)),
        lambda z: mpmath.mpf(1) / 6 if -3 < z < 3 else 0,
    ),
    "clip": (
        lambda z: sympy.Max(-2, sympy.Min(z, 2)),
        lambda z: max(-2, min(z, 2)),
        lambda z: 1 if -2 < z < 2 else 0,
    ),
    "relu6": (
        lambda z: sympy.Min(gl.relu(z), 6),
        lambda z: min(max(z, 0), 6),
        lambda z: 1 if 0 < z < 6 else 0,
    ),
    "relu_of_relu": (
        lambda z: gl.relu(gl.relu(z) - 1),
        lambda z: max(max(z, 0) - 1, 0),
        lambda z: 1 if z > 1 else 0,
    ),
    "conditions": (
        lambda z: sympy.Piecewise((z**2, ((z > 1) & (z < 4)) | ~((z > -4) | (z < -6))), (3 * z, True)),
        lambda z: z**2 if 1 < z < 4 or -6 <= z <= -4 else 3 * z,
        lambda z: 2 * z if 1 < z < 4 or -6 <= z <= -4 else 3,
    ),
}


@pytest.mark.parametrize("target", ["numpy", "cpu"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", STEPS)
def test_nested_minima_and_maxima(name, dtype, target):
    function, value_of, slope_of = STEPS[name]
    points = np.array([-7.5, -5.0, -3.5, -2.5, -0.25, 0.3, 1.5, 2.75, 5.5, 8.0]).astype(dtype)
    output, slope = elementwise(function, points, dtype, target)
    exactly = [mpmath.mpf(float(point)) for point in points]
    np.testing.assert_allclose(output, [float(value_of(point)) for point in exactly], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(slope, [float(slope_of(point)) for point in exactly], rtol=1e-6, atol=1e-7)


def test_rewriting_keeps_the_value():
    x, z = Tensor("x"), Tensor("z")
    expressions = [function(z) for function in FUNCTIONS.values()]
    expressions += [
        (exp(2 * z) + exp(z)) / (1 + exp(z)) ** 2,
        exp(-2 * z) * x / (1 + exp(-z)) ** 3,
        sinh(z) / cosh(z) ** 2 + 1 / (exp(z) + exp(-z)),
        log(x**2 * exp(z) / (1 + exp(x))) + log(1 - tanh(z)) + log(1 + x**2),
        x * exp(z) / (exp(z) + exp(-z)) * (exp(x) - 1),
        2 * exp(z) - 2 + x,
        x * sympy.erf(z) + 3 * z - x + sympy.Rational(1, 2) + sympy.erf(x) / 2,
        2 * gl.Sum(x, (gl.indices("i"), 1)) - x + sympy.Piecewise((z, gl.relu(gl.relu(z) - 1) > x), (x, True)),
    ]
    for expr in expressions:
        stable = stabilise(expr, {})
        for at in ((0.3, -1.7), (-2.1, 0.4)):
            where = dict(zip((x, z), map(sympy.Float, at), strict=True))
            assert value(stable, where) == pytest.approx(value(expr, where), rel=1e-12), (expr, stable)


def value(expr, where):
    definitions = {
        "Logistic": lambda u: 1 / (1 + exp(-u)),
        "LogAddExp": lambda u, v: log(exp(u) + exp(v)),
        "Log1p": lambda u: log(1 + u),
        "Expm1": lambda u: exp(u) - 1,
        "Difference": lambda u, v: u - v,
        "Erfc": lambda u: 1 - sympy.erf(u),
    }
    while True:
        found = [node for node in sympy.preorder_traversal(expr) if type(node).__name__ in definitions]
        found += [node for node in sympy.preorder_traversal(expr) if hasattr(node, "expand_definition")]
        if not found:
            return float(expr.xreplace(where))
        node = found[-1]
        written = definitions.get(type(node).__name__)
        expr = expr.xreplace({node: written(*node.args) if written else node.expand_definition()})


def test_functions_of_numbers_are_numbers():
    """A declaration may hold them; what they become for generated code alone SymPy gives a value, too."""
    i = gl.indices("i")
    net = gl.Network("numbers")
    w = net.parameter("w", (3,))
    net.minimize(gl.Sum(w[i] ** 2 * gl.sigmoid(2) + w[i] * gl.softplus(sympy.Rational(-7, 3)) + gl.gelu(-3), i))
    values = np.array([0.5, -1.5, 2.0])
    for target in ("numpy", "cpu"):
        source = generate(net, target=target, dtype="float64").source
        _, loss, found = kernels.run(kernels.plain(source), net, {"w": values})
        sigmoid, softplus = 1 / (1 + mpmath.exp(-2)), mpmath.log(1 + mpmath.exp(mpmath.mpf(-7) / 3))
        gelu = -3 * mpmath.ncdf(-3)
        assert loss == pytest.approx(float((values**2).sum() * sigmoid + values.sum() * softplus + 3 * gelu), rel=1e-14)
        np.testing.assert_allclose(found["w"], 2 * values * float(sigmoid) + float(softplus), rtol=1e-14)
