"""Second order, forward mode and per-example gradients of every kind of layer, against PyTorch in float64."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from everyday import daily
from kernels import data, flat, plain
from oracles import relative_error
from torch.autograd import functional
from torch_layers import LayerCase

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.symbolic import layers as L
from gradloom.symbolic.evaluate import evaluate

TOLERANCE = 1e-9
T, n, m, h = gl.dims("T n m h")
SIZES = {"B": 3, "T": 5, "n": 7, "m": 2, "h": 3}


def dense(x, w, place):
    return F.linear(x, w[f"W{place}"], w[f"b{place}"])


def affine(w, gate, x, state):
    return F.linear(x, w[f"W{gate}1"], w[f"b{gate}1"]) + F.linear(state, w[f"U{gate}1"])


def rnn(w, x, s):
    return (torch.tanh(affine(w, "", x, s[0])),)


def lstm(w, x, s):
    write, keep, out = (torch.sigmoid(affine(w, gate, x, s[0])) for gate in "ifo")
    c = keep * s[1] + write * torch.tanh(affine(w, "g", x, s[0]))
    return out * torch.tanh(c), c


def gru(w, x, s):
    r, u = (torch.sigmoid(affine(w, gate, x, s[0])) for gate in "ru")
    inner = F.linear(s[0], w["Un1"]) + w["cn1"]
    new = torch.tanh(F.linear(x, w["Wn1"], w["bn1"]) + r * inner)
    return ((1 - u) * new + u * s[0],)


def steps(cell, x, w, count=1):
    """All states of a recurrence, step by step: PyTorch's own layers have no forward mode."""
    units = next(value for name, value in w.items() if name.startswith("U")).shape[0]
    state, made = tuple(x.new_zeros(len(x), units) for _ in range(count)), []
    for at in range(x.shape[1]):
        state = cell(w, x[:, at], state)
        made.append(state[0])
    return torch.stack(made, 1)


def attention(x, w):
    q, k, v = (torch.einsum("hdk,itk->ihtd", w[f"W{name}1"], x) for name in "qkv")
    q, v = q + w["bq1"][:, None], v + w["bv1"][:, None]
    hidden = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
    scores = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).masked_fill(hidden, -torch.inf)
    o = torch.einsum("ihtu,ihud->ithd", F.softmax(scores, -1), v)
    return F.linear(o.flatten(2), w["Wo1"].flatten(1), w["bo1"])


def batch_norm(z, w, place):
    xh = (z - z.mean(0)) / torch.sqrt(z.var(0, unbiased=False) + 1e-5)
    return w[f"gamma{place}"] * xh + w[f"beta{place}"]


def convolutional(x, w):
    z = F.max_pool2d(torch.tanh(F.conv2d(x, w["W1"], w["b1"], padding=1)), 2)
    return dense(z.flatten(1), w, 4)


CASES = {
    "convolution": LayerCase(
        [L.Conv2D(3, 3, padding=1, activation=gl.tanh), L.MaxPool2D(2), L.Flatten(), L.Dense(5)],
        (2, 5, 7),
        convolutional,
    ),
    "convolution_stride": LayerCase(
        [L.Conv1D(m, 3, stride=2, dilation=2, activation=gl.sigmoid), L.AveragePool1D(2, 1)],
        (3, 11),
        lambda x, w: F.avg_pool1d(torch.sigmoid(F.conv1d(x, w["W1"], w["b1"], 2, 0, 2)), 2, 1),
    ),
    "rnn": LayerCase([L.RNN(m)], (T, n), lambda x, w: steps(rnn, x, w)),
    "lstm": LayerCase([L.LSTM(m)], (T, n), lambda x, w: steps(lstm, x, w, 2)),
    "gru": LayerCase([L.GRU(m, return_sequences=False)], (T, n), lambda x, w: steps(gru, x, w)[:, -1]),
    "layer_norm": LayerCase(
        [L.LayerNorm(), L.Dense(m)], (T, n), lambda x, w: dense(F.layer_norm(x, x.shape[-1:], *of(w, 1)), w, 2)
    ),
    "group_norm": LayerCase([L.GroupNorm(2)], (2 * m, T), lambda x, w: F.group_norm(x, 2, *of(w, 1))),
    "attention": LayerCase([L.Attention(h, m, causal=True)], (T, n), attention),
    "embedding": LayerCase(
        [L.Embedding(h, n), L.Dense(m, gl.tanh)], (T,), lambda x, w: torch.tanh(dense(w["E1"][x], w, 2)), classes=h
    ),
    "residual": LayerCase(
        [L.Residual([L.Dense(m, gl.tanh), L.Dense(n)]), L.Dense(h, gl.softmax)],
        (n,),
        lambda x, w: F.softmax(dense(x + dense(torch.tanh(dense(x, w, "1_1")), w, "1_2"), w, 2), -1),
    ),
    "batch_norm": LayerCase(
        [L.Dense(m, gl.tanh), L.BatchNorm(), L.Dense(h)],
        (n,),
        lambda x, w: dense(batch_norm(torch.tanh(dense(x, w, 1)), w, 2), w, 3),
    ),
}  # fmt: skip


def of(w, place):
    return w[f"gamma{place}"], w[f"beta{place}"]


@functools.cache
def network(name):
    """Without the derivation that a case keeps, which is not that of a copy."""
    case = CASES[name]
    return gl.Sequential(case.layers, case.sample, input_classes=case.classes, loss=gl.losses.SquaredError())


@functools.cache
def made(name, how):
    return {"hessian_vector": gl.hessian_vector, "jvp": gl.jvp}[how](network(name), moving(name))


def moving(name):
    """What has a direction: the parameters, and the input where it is real."""
    return [p.name for p in network(name).parameters] + (["x"] if CASES[name].classes is None else [])


def values_of(name, seed):
    known = {s.name for t in network(name).tensors.values() for d in t.shape for s in d.free_symbols}
    known |= set() if CASES[name].classes is None else {"h"}
    sizes = {size: value for size, value in SIZES.items() if size in known}
    CASES[name].__dict__.setdefault("network", network(name))
    return sizes, CASES[name].values(sizes, seed)


def torch_loss(name, values):
    """PyTorch's loss as a function of what moves."""
    data = {key: torch.from_numpy(np.asarray(value)) for key, value in values.items()}

    def loss(*moved):
        w = {**data, **dict(zip(moving(name), moved, strict=True))}
        return ((CASES[name].torch(w["x"], w) - w["y"]) ** 2).sum() / (2 * len(w["x"]))

    return loss


def program_of(network, sizes, target):
    given = {size: value for size, value in sizes.items() if size != "B"}
    return network.compile(target=target, dtype="float64", sizes=given)


def parameters_of(name, values):
    """Parameters, and states that no derivative in training reads."""
    states = {s.name: np.full([int(SIZES.get(str(d), 0)) for d in s.shape], np.nan) for s in network(name).states}
    return {p.name: values[p.name] for p in network(name).parameters} | states


def torch_tensors(names, values):
    return tuple(torch.from_numpy(np.asarray(values[name])) for name in names)


def check_product(name, how, seed):
    """The slope along a direction and, of it, the gradient."""
    sizes, values = values_of(name, seed)
    rng = np.random.default_rng(seed + 10)
    directions = {key: rng.normal(size=values[key].shape) for key in moving(name)}
    program = program_of(made(name, how), sizes, "numpy")
    named = {f"v_{key}": v for key, v in directions.items()}
    slope, product = program.loss_and_gradients(parameters_of(name, values), values["x"], values["y"], **named)
    point, moved = torch_tensors(moving(name), values), torch_tensors(moving(name), directions)
    loss = torch_loss(name, values)
    _, expected = functional.hvp(loss, point, moved)
    errors = {k: relative_error(product[k], e.numpy()) for k, e in zip(moving(name), expected, strict=True)}
    errors["slope"] = relative_error(slope, functional.jvp(loss, point, moved)[1].numpy())
    assert max(errors.values()) < TOLERANCE, errors


@pytest.mark.parametrize("name", daily(CASES, "convolution", "attention", "embedding", "batch_norm"))
def test_hessian_vector(name):
    check_product(name, "hessian_vector", 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_hessian_vector_by_forward_mode_and_of_more_values(name):
    check_product(name, "jvp", 2)
    check_product(name, "hessian_vector", 3)


@pytest.mark.parametrize("name", CASES)
def test_jvp(name):
    """The tangents of the output, as equations, without a derivation."""
    sizes, values = values_of(name, 4)
    rng = np.random.default_rng(14)
    names = moving(name)
    forward = gl.jvp(network(name), names, of=network(name).output)
    names = [key for key in names if f"v_{key}" in forward.tensors]
    directions = {key: rng.normal(size=values[key].shape) for key in names}
    given = {**values, **{f"v_{key}": v for key, v in directions.items()}}
    found = evaluate(forward.equations, given, sizes)[forward.output.name]
    w = {key: torch.from_numpy(np.asarray(value)) for key, value in values.items()}

    def output(*moved):
        changed = {**w, **dict(zip(names, moved, strict=True))}
        return CASES[name].torch(changed["x"], changed)

    _, expected = functional.jvp(output, torch_tensors(names, values), torch_tensors(names, directions))
    assert relative_error(found, expected.numpy()) < TOLERANCE


@pytest.mark.parametrize(
    "name", daily([name for name in CASES if name != "batch_norm"], "convolution", "lstm", "attention", "group_norm")
)
def test_gradients_per_example(name):
    """Each row is the gradient of that example alone; batch normalisation mixes examples, and so has none."""
    sizes, values = values_of(name, 5)
    parameters = parameters_of(name, values)
    program = program_of(gl.per_example(network(name)), sizes, "numpy")
    _, found = program.loss_and_gradients(parameters, values["x"], values["y"])
    rows = len(values["x"])
    for row in range(rows):
        single = {**values, "x": values["x"][row : row + 1], "y": values["y"][row : row + 1]}
        w = {key: torch.from_numpy(np.asarray(value)) for key, value in single.items()}
        for key in parameters:
            w[key].requires_grad_()
        loss = ((CASES[name].torch(w["x"], w) - w["y"]) ** 2).sum() / (2 * rows)
        expected = torch.autograd.grad(loss, [w[key] for key in parameters])
        scale = {key: np.abs(found[key]).max() for key in parameters}
        for key, gradient in zip(parameters, expected, strict=True):
            assert np.abs(found[key][row] - gradient.numpy()).max() < TOLERANCE * scale[key], (key, row)


# ---- modes ---------------------------------------------------------------------------------------------------------


def noisy(*more):
    layers = [L.Dense(3, gl.tanh), L.Dropout(0.3), *more, L.Dense(2)]
    return gl.Sequential(layers, (5,), loss=gl.losses.SquaredError())


def noisy_case():
    """Dropout with a given mask, then batch normalisation by the statistics of the batch."""
    net, rng = noisy(L.BatchNorm()), np.random.default_rng(6)
    params = {p.name: rng.normal(size=tuple(map(int, p.shape))) for p in net.parameters}
    states = {s.name: rng.uniform(1, 2, size=tuple(map(int, s.shape))) for s in net.states}
    x, y, u = rng.normal(size=(7, 5)), rng.normal(size=(7, 2)), rng.uniform(size=(7, 3))
    directions = {name: rng.normal(size=value.shape) for name, value in params.items()}

    def loss(*moved):
        w = dict(zip(params, moved, strict=True))
        a = torch.tanh(dense(torch.from_numpy(x), w, 1)) * torch.from_numpy((u >= 0.3) / 0.7)
        return ((dense(batch_norm(a, w, 3), w, 4) - torch.from_numpy(y)) ** 2).sum() / 14

    return net, params, states, (x, y, u), directions, loss


@pytest.mark.parametrize(
    ("how", "target"),
    [
        (gl.hessian_vector, "cpu"),
        (gl.jvp, "numpy"),
        pytest.param(gl.hessian_vector, "numpy", marks=pytest.mark.slow),
        pytest.param(gl.jvp, "cpu", marks=pytest.mark.slow),
    ],
)
def test_derivatives_are_those_of_the_training(how, target):
    net, params, states, (x, y, u), directions, loss = noisy_case()
    made = how(net)
    module = plain(generate(made, target=target, dtype="float64").source)
    given = {**params, **states, "x": x, "y": y, **{f"v_{name}": v for name, v in directions.items()}}
    flat_params = flat(module, given, "float64")
    grads = np.full(len(flat_params), np.nan)
    with np.errstate(all="ignore"):
        slope = module.loss_and_gradients(flat_params, *data(made, given, "float64"), u, module.workspace(7), grads)
    _, expected = functional.hvp(loss, torch_tensors(params, params), torch_tensors(params, directions))
    for (name, (offset, shape)), value in zip(module.gradient_places(7).items(), expected, strict=True):
        found = grads[offset : offset + int(np.prod(shape))].reshape(shape)
        assert relative_error(found, value.numpy()) < TOLERANCE, name
    slopes = functional.jvp(loss, torch_tensors(params, params), torch_tensors(params, directions))[1]
    assert relative_error(slope, slopes.numpy()) < TOLERANCE


def test_the_gauss_newton_product_is_that_of_the_training():
    net, params, states, (x, y, u), directions, _ = noisy_case()
    program = gl.gauss_newton_vector(net).compile(target="numpy", dtype="float64")
    named = {f"v_{name}": v for name, v in directions.items()}
    curvature, found = program.loss_and_gradients({**params, **states}, x, y, u2=u, **named)

    def output(*moved):
        w = dict(zip(params, moved, strict=True))
        a = torch.tanh(dense(torch.from_numpy(x), w, 1)) * torch.from_numpy((u >= 0.3) / 0.7)
        return dense(batch_norm(a, w, 3), w, 4)

    point = torch_tensors(params, params)
    _, pushed = functional.jvp(output, point, torch_tensors(params, directions))
    _, expected = functional.vjp(output, point, pushed / 7)
    for name, value in zip(params, expected, strict=True):
        assert relative_error(found[name], value.numpy()) < TOLERANCE, name
    assert relative_error(curvature, float((pushed**2).sum()) / 7) < TOLERANCE


def test_a_derivative_with_noise_has_no_value_in_inference():
    product = gl.hessian_vector(noisy())
    program = product.compile(target="numpy", dtype="float64")
    params = {p.name: np.zeros([int(size) for size in p.shape]) for p in product.parameters}
    directions = {f"v_{name}": value for name, value in params.items()}
    with pytest.raises(gl.UndefinedError, match="no value in inference"):
        program.loss(params, np.zeros((3, 5)), np.zeros((3, 2)), **directions)
    with pytest.raises(gl.UndefinedError, match="no value in inference"):
        program.predict(params, np.zeros((3, 5)), **directions)
    with pytest.raises(gl.UnsupportedError, match="reads noise u2"):
        gl.jvp(noisy(), of="z3")


def test_the_loss_of_a_product_is_the_slope_in_training():
    """Without noise there is one; running statistics are not read, and so not asked for; they may be given."""
    net = gl.Sequential([L.Dense(3), L.BatchNorm(), L.Dense(2)], (5,), loss=gl.losses.SquaredError())
    program = gl.hessian_vector(net).compile(target="numpy", dtype="float64")
    rng = np.random.default_rng(7)
    params = {p.name: rng.normal(size=tuple(map(int, p.shape))) for p in [*net.parameters, *net.states]}
    named = {f"v_{p.name}": rng.normal(size=tuple(map(int, p.shape))) for p in net.parameters}
    x, y = rng.normal(size=(7, 5)), rng.normal(size=(7, 2))
    slope, _ = program.loss_and_gradients(params, x, y, **named)
    assert program.loss(params, x, y, **named) == slope
    assert not program.network.states
    weights = {p.name: params[p.name] for p in net.parameters}
    assert program.loss_and_gradients(weights, x, y, **named)[0] == slope
    for other in (gl.gauss_newton_vector(net), gl.jvp(net), gl.jvp(net, of="z3")):
        assert not other.states


def test_a_state_that_a_derivative_reads_is_asked_for():
    net = gl.Network("scaled")
    w, x, s = net.parameter("w"), net.input("x"), net.state("s")
    net.minimize(s * (w * x) ** 2)
    product = gl.hessian_vector(net)
    assert [state.name for state in product.states] == ["s"]
    program = product.compile(target="numpy", dtype="float64")
    assert program.loss_and_gradients({"w": 2.0, "s": 3.0}, 5.0, v_w=1.0)[1]["w"] == 150
    with pytest.raises(gl.UndefinedError, match="missing: s"):
        program.loss_and_gradients({"w": 2.0}, 5.0, v_w=1.0)


def test_a_tangent_over_an_equation_with_modes_is_refused():
    net = noisy(L.BatchNorm())
    with pytest.raises(gl.UnsupportedError, match="a2 is another equation in inference"):
        gl.tangent(net, "z4", {"x": lambda i, k: 1})


@pytest.mark.parametrize("target", daily(["numpy", "cpu"], "numpy"))
@pytest.mark.parametrize("name", daily(["rnn", "lstm", "gru"], "lstm"))
def test_the_gauss_newton_product_where_the_output_is_a_state(name, target):
    """The states of all steps come out of a recurrence: J v runs through it, and ∇²ℓ does not."""
    layer, units = CASES[name].layers[0], {"rnn": 1, "lstm": 2, "gru": 1}[name]
    net = gl.Sequential([type(layer)(3)], (5, 2), loss=gl.losses.SquaredError())
    product = gl.gauss_newton_vector(net)
    rng = np.random.default_rng(8)
    values = {p.name: rng.normal(size=tuple(map(int, p.shape))) for p in net.parameters}
    directions = {key: rng.normal(size=value.shape) for key, value in values.items()}
    x, y = rng.normal(size=(7, 5, 2)), rng.normal(size=(7, 5, 3))
    named = {f"v_{key}": v for key, v in directions.items()}
    program = product.compile(target=target, dtype="float64")
    curvature, found = program.loss_and_gradients(values, x, y, **named)

    def output(*moved):
        weights = dict(zip(values, moved, strict=True))
        return steps({"rnn": rnn, "lstm": lstm, "gru": gru}[name], torch.from_numpy(x), weights, units)

    point = torch_tensors(values, values)
    _, pushed = functional.jvp(output, point, torch_tensors(values, directions))
    _, expected = functional.vjp(output, point, pushed / 7)
    for key, value in zip(values, expected, strict=True):
        assert relative_error(found[key], value.numpy()) < TOLERANCE, key
    assert relative_error(curvature, float((pushed**2).sum()) / 7) < TOLERANCE


def test_what_only_a_held_tensor_reads_has_no_gradient_in_time():
    """Neither δ[t] = Uᵀ δ[t + 1] without end nor a tangent of a state that is given stands in what is derived."""
    product = gl.gauss_newton_vector(gl.Sequential([L.RNN(3)], (5, 2), loss=gl.losses.SquaredError()))
    derived = [equation.target.of.name for equation in product.derive().adjoints]
    assert derived == ["z1", "W1", "U1", "b1"]
