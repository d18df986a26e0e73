"""Clipping of gradients and sums in optimizers' equations, against torch.nn.utils, NumPy and the interpreter."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import sympy
import torch
from kernels import plain

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.optimizers import SGD, AdaGrad, Adam, AdamW, Optimizer, RMSProp

STEPS, ENTRIES = 7, 11
o = torch.optim


def torch_clip(parameters, clip_value=None, clip_norm=None, exact=True):
    """PyTorch's own functions. `exact`: with the maximum at which its c/(‖g‖ + 1e-6) is our c/‖g‖."""
    if clip_value is not None:
        torch.nn.utils.clip_grad_value_(parameters, clip_value)
    if clip_norm is not None:
        length = torch.sqrt(sum((p.grad**2).sum() for p in parameters)).item()
        maximum = clip_norm * (length + 1e-6) / length if exact else clip_norm
        torch.nn.utils.clip_grad_norm_(parameters, maximum)


def run_torch(make, start, gradients, **clipping):
    theta = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer, trace = make([theta]), []
    for gradient in gradients:
        theta.grad = torch.from_numpy(gradient.copy())
        torch_clip([theta], **clipping)
        optimizer.step()
        trace.append(theta.detach().numpy().copy())
    return np.array(trace)


def run_equations(optimizer, start, gradients):
    values = {state.name: np.zeros(len(start)) for state in optimizer.states}
    values |= {"theta": start, **optimizer.values}
    trace = []
    for step, gradient in enumerate(gradients, start=1):
        values |= evaluate(optimizer.equations, values | {"g": gradient, "t": step}, sizes={"N": len(start)})
        trace.append(values["theta"])
    return np.array(trace)


def run_generated(optimizer, target, start, gradients, dtype="float64", source=None):
    net = gl.Sequential([gl.layers.Dense(1)], (len(start) - 1,), loss=gl.losses.SquaredError())
    source = source or generate(net, target=target, dtype=dtype, optimizer=optimizer).source
    module, theta = plain(source), start.astype(dtype)
    state = np.zeros((len(module.STATE), len(start)), dtype)
    hyper = np.array([optimizer.values[name] for name in module.HYPER])
    trace = []
    for step, gradient in enumerate(gradients, start=1):
        module.update(theta, gradient.astype(dtype), state, hyper, step)
        trace.append(theta.copy())
    return np.array(trace)


@pytest.fixture
def data():
    """Gradients whose norms lie on both sides of what they are clipped to."""
    rng = np.random.default_rng(29)
    gradients = rng.normal(size=(STEPS, ENTRIES)) * np.geomspace(0.03, 30, STEPS)[:, None]
    return rng.normal(size=ENTRIES), gradients


CLIPPING = [{"clip_value": 0.7}, {"clip_norm": 2.3}, {"clip_value": 1.1, "clip_norm": 2.3}]
OPTIMIZERS = [
    (functools.partial(SGD, 0.1), functools.partial(o.SGD, lr=0.1)),
    (
        functools.partial(SGD, 0.1, 0.8, True, 0.3),
        functools.partial(o.SGD, lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.3),
    ),
    (functools.partial(Adam, 0.1, weight_decay=0.3), functools.partial(o.Adam, lr=0.1, weight_decay=0.3)),
    (functools.partial(AdamW, 0.1), functools.partial(o.AdamW, lr=0.1)),
    (functools.partial(RMSProp, 0.1, centered=True), functools.partial(o.RMSprop, lr=0.1, centered=True)),
    (functools.partial(AdaGrad, 0.1), functools.partial(o.Adagrad, lr=0.1)),
]


@pytest.mark.parametrize("clipping", CLIPPING, ids=str)
@pytest.mark.parametrize(("ours", "theirs"), OPTIMIZERS, ids=[repr(ours()) for ours, _ in OPTIMIZERS])
def test_clipping_is_that_of_torch(ours, theirs, clipping, data):
    optimizer = ours(**clipping)
    expected = run_torch(theirs, *data, **clipping)
    assert not np.allclose(expected, run_torch(theirs, *data))  # something was clipped
    np.testing.assert_allclose(run_equations(optimizer, *data), expected, rtol=1e-10)
    for target in ("numpy", "cpu"):
        np.testing.assert_allclose(run_generated(optimizer, target, *data), expected, rtol=1e-10)
        single = run_generated(optimizer, target, *data, dtype="float32")
        np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-5)


def test_the_clipped_norm_is_the_bound_itself_and_torch_a_millionth_below(data):
    theta, gradients = np.zeros(ENTRIES), data[1][-1:]
    step = run_equations(SGD(1.0, clip_norm=2.3), theta, gradients)[0]
    assert np.linalg.norm(step) == pytest.approx(2.3, rel=1e-14)
    theirs = run_torch(functools.partial(o.SGD, lr=1.0), theta, gradients, clip_norm=2.3, exact=False)[0]
    length = np.linalg.norm(gradients)
    np.testing.assert_allclose(step * length / (length + 1e-6), theirs, rtol=1e-12)


@pytest.mark.parametrize("target", ["numpy", "cpu"])
def test_zero_gradients_stay_zero(target):
    start = np.arange(1.0, ENTRIES + 1)
    for optimizer in (SGD(0.1, clip_norm=0.5), SGD(0.1, clip_value=0.5)):
        found = run_generated(optimizer, target, start, np.zeros((2, ENTRIES)))
        np.testing.assert_array_equal(found, [start, start])
        np.testing.assert_array_equal(run_equations(optimizer, start, np.zeros((2, ENTRIES))), [start, start])


@pytest.mark.parametrize("target", ["numpy", "cpu"])
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_squares_neither_underflow_nor_overflow_in_float32(target, scale, data):
    gradient = data[1][:1] * scale
    optimizer = SGD(1.0, clip_norm=scale * np.linalg.norm(data[1][0]) / 3)
    found = run_generated(optimizer, target, np.zeros(ENTRIES), gradient, dtype="float32")
    np.testing.assert_allclose(found, -gradient / 3, rtol=1e-6)


@pytest.mark.parametrize("target", ["numpy", "cpu"])
def test_nan_is_not_clipped_away(target, data):
    start, gradients = data
    gradients[0, 3] = np.nan
    for optimizer in (SGD(0.1, clip_norm=0.5), SGD(0.1, clip_value=0.5)):
        assert np.isnan(run_generated(optimizer, target, start, gradients[:1])[0, 3])


def test_the_bounds_can_be_changed_without_other_source(data):
    net = gl.Sequential([gl.layers.Dense(1)], (ENTRIES - 1,), loss=gl.losses.SquaredError())
    optimizer = Adam(0.1, clip_value=3.0, clip_norm=9.0)
    source = generate(net, target="cpu", dtype="float64", optimizer=optimizer).source
    optimizer.set(clip_value=1.1, clip_norm=2.3)
    assert generate(net, target="cpu", dtype="float64", optimizer=optimizer).source == source
    expected = run_torch(functools.partial(o.Adam, lr=0.1), *data, clip_value=1.1, clip_norm=2.3)
    found = run_generated(optimizer, "cpu", *data, source=source)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("target", ["numpy", "cpu"])
def test_training_a_network_clips_as_torch_does(target, dtype, request):
    """Whole epochs of kernels, those of float32 compiled; b1 is frozen, so that it has no part in the norm."""
    if dtype == "float64":
        request.getfixturevalue("without_compiler")
    rng = np.random.default_rng(31)
    x, y = rng.normal(size=(13, 5)) * 3, rng.normal(size=(13, 3)) * 4
    net = gl.Sequential(
        [gl.layers.Dense(7, gl.tanh, trainable_bias=False), gl.layers.Dense(3)], 5, loss=gl.losses.SquaredError()
    )
    model = gl.Model(net, target=target, dtype=dtype)
    start = {name: rng.normal(size=array.shape) for name, array in model.params.items()}
    model.params.fill(start)
    clipping = {"clip_value": 1.3, "clip_norm": 2.9}
    model.fit(x, y, epochs=3, batch=5, shuffle=False, optimizer=SGD(0.05, 0.9, **clipping), progress=False)

    leaves = {name: torch.tensor(array, requires_grad=name != "b1") for name, array in start.items()}
    trained = [leaf for leaf in leaves.values() if leaf.requires_grad]
    optimizer = o.SGD(trained, lr=0.05, momentum=0.9)
    for rows in [slice(0, 5), slice(5, 10), slice(10, 13)] * 3:
        a = torch.tanh(torch.tensor(x[rows]) @ leaves["W1"].T + leaves["b1"])
        error = a @ leaves["W2"].T + leaves["b2"] - torch.tensor(y[rows])
        optimizer.zero_grad()
        ((error**2).sum() / (2 * len(error))).backward()
        torch_clip(trained, **clipping)
        optimizer.step()
    for name, leaf in leaves.items():
        tolerance = {"rtol": 1e-9} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-5}
        np.testing.assert_allclose(model.params[name], leaf.detach().numpy(), err_msg=name, **tolerance)


class Trust(Optimizer):
    """Layer-wise scaling without layers (You et al. 2017), of centred gradients: sums of sums, and of what is new."""

    def __init__(self, lr=0.1, **clipping):
        super().__init__(lr, **clipping)
        q, theta = self.q, self.theta[self.q]
        mean = gl.Sum(self.g, q) / self.size
        self.assign(self.gradient, (self.g - mean) / sympy.sqrt(gl.Sum((self.g - mean) ** 2, q) / self.size))
        u = self.assign(self.state("u"), self.g + self.state("old")[q] / self.step)
        self.assign(self.states[1], theta)
        self.assign(self.theta, theta - self.lr * u * sympy.sqrt(gl.Sum(theta**2, q) / gl.Sum(u**2, q)))


@pytest.mark.parametrize("target", ["numpy", "cpu"])
def test_sums_in_an_optimizer_of_ones_own(target, data):
    theta, gradients = data
    expected, old = [], np.zeros(ENTRIES)
    for step, g in enumerate(gradients, start=1):
        g = g * min(1, 2.3 / np.linalg.norm(g))
        u = (g - g.mean()) / g.std() + old / step
        old = theta
        theta = theta - 0.1 * u * np.linalg.norm(theta) / np.linalg.norm(u)
        expected.append(theta)
    optimizer = Trust(clip_norm=2.3)
    np.testing.assert_allclose(run_equations(optimizer, *data), expected, rtol=1e-10)
    np.testing.assert_allclose(run_generated(optimizer, target, *data), expected, rtol=1e-10)
    single = run_generated(optimizer, target, *data, dtype="float32")
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-5)


def test_an_equal_sum_is_computed_once_and_again_where_its_terms_changed():
    class Twice(Optimizer):
        def __init__(self):
            super().__init__(0.1)
            total = gl.Sum(self.theta[self.q], self.q)
            self.assign(self.gradient, self.g / (1 + total**2))
            self.assign(self.state("u"), self.g * total)
            self.assign(self.theta, self.theta[self.q] - self.lr * self.states[0][self.q])
            self.assign(self.theta, self.theta[self.q] / (1 + total**2))

    net = gl.Sequential([gl.layers.Dense(1)], 3, loss=gl.losses.SquaredError())
    source = generate(net, target="numpy", optimizer=Twice()).source
    assert source.count("= np.sum(theta") == 2
    start, gradients = np.array([0.3, -0.2, 0.7, 0.4]), np.array([[1.0, 2.0, -3.0, 0.5]])
    g = gradients[0] / (1 + start.sum() ** 2)
    theta = start - 0.1 * g * start.sum()
    theta = theta / (1 + theta.sum() ** 2)
    for target in ("numpy", "cpu"):
        np.testing.assert_allclose(run_generated(Twice(), target, start, gradients)[0], theta, rtol=1e-12)


def test_clipping_is_printed_with_the_update():
    optimizer = SGD(gl.schedules.StepDecay(0.1, 5), clip_value=2.0, clip_norm=1.5)
    lines = str(optimizer).splitlines()
    assert lines[0].startswith("g[q] ← {")
    assert "clip_norm/norm_g" in lines[1]
    assert lines[2] == "theta[q] ← theta[q] - lr_t g[q]"
    assert lines[3].startswith("lr_t = ")
    assert lines[4] == "norm_g = sqrt(Σ_i g[i]²)"
    latex = optimizer.latex()
    assert r"\lVert g \rVert &= \sqrt{\sum_{i} g_{i}^{2}}" in latex
    assert r"\frac{c_{\mathrm{n}}}{\lVert g \rVert}" in latex
    assert repr(optimizer) == "SGD(factor=0.1, every=5, lr=0.1, clip_value=2, clip_norm=1.5)"


def own(body):
    """An optimizer with one equation of θ."""
    optimizer = Optimizer(0.1)
    optimizer.assign(optimizer.theta, body(optimizer, *gl.indices("p r")))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(clip_value=0), gl.DataError, "clip_value must be a number above 0, found 0"),
        (lambda: Adam(clip_norm=-1.0), gl.DataError, "clip_norm must be a number above 0, found -1.0"),
        (lambda: AdamW(clip_norm=float("inf")), gl.DataError, "clip_norm must be one finite number"),
        (lambda: RMSProp(clip_norm="1"), gl.DataError, "clip_norm must be one finite number"),
        (lambda: AdaGrad(clip_value=1).set(clip_value=0), gl.DataError, "clip_value must be a number above 0"),
        (lambda: SGD().set(clip_norm=1), gl.UndefinedError, "SGD has no 'clip_norm' to set; it has lr"),
        (lambda: own(lambda s, p, r: gl.Max(s.gradient[p], p)), gl.UnsupportedError, "expected a Sum over one index"),
        (
            lambda: own(lambda s, p, r: gl.Sum(s.gradient[p] * s.theta[r] ** p, p, r)),
            gl.UnsupportedError,
            "cannot be computed in one pass",
        ),
        (lambda: own(lambda s, p, r: gl.Sum(s.g * s.gradient[p], p)), gl.UndefinedError, "each vector at"),
        (lambda: own(lambda s, p, r: gl.Sum(s.g * sympy.Symbol("c"), s.q)), gl.UndefinedError, "c in the equation"),
        (lambda: own(lambda s, p, r: gl.Sum(s.gradient[p], (p, 3))), gl.UnsupportedError, "Sum over one index"),
        (lambda: own(lambda s, p, r: s.gradient[0]), gl.UndefinedError, r"g\[0\] in the equation"),
    ],
)
def test_bad_input_says_what_to_mend(make, error, message):
    with pytest.raises(error, match=message):
        make()
