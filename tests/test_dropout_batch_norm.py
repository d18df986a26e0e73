"""Dropout and batch normalisation, in training and in inference, against PyTorch in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from everyday import daily
from oracles import relative_error

import gradloom as gl

RNG = np.random.default_rng(17)
B = gl.dims("B")
BatchNorm, Dense, Dropout = gl.layers.BatchNorm, gl.layers.Dense, gl.layers.Dropout
TARGETS = ("cpu", "numpy")
both_targets = pytest.mark.parametrize("target", TARGETS)

# shape of a sample, axis of the features, PyTorch's module, where PyTorch has our axes
CASES = {
    "features": ((7,), -1, torch.nn.BatchNorm1d, (0, 1)),
    "positions": ((3, 7), -1, torch.nn.BatchNorm1d, (0, 2, 1)),
    "images": ((5, 3, 7), 1, torch.nn.BatchNorm2d, (0, 1, 2, 3)),
}


def normalised(shape, axis, **options):
    """A batch normalisation of an affine map of the input, and a loss that tells all of its entries apart."""
    net = gl.Network("normalised")
    x, y = net.input("x", (B, *shape)), net.target("y", (B, *shape))
    where = gl.indices("i j k l")[: x.rank]
    s = net.parameter("s", shape)
    z = net.define("z", where, x[where] * s[where[1:]])
    a = BatchNorm(axis, **options).build(net, z, 1)
    net.minimize(gl.Sum(y[where] * gl.tanh(a[where]), *where))
    return net


def batch_norm_of(kind, count, **options):
    module = kind(count, **options).double()
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(RNG.normal(size=count)))
        module.bias.copy_(torch.from_numpy(RNG.normal(size=count)))
        module.running_mean.copy_(torch.from_numpy(RNG.normal(size=count)))
        module.running_var.copy_(torch.from_numpy(RNG.uniform(0.5, 2, size=count)))
    return module


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("case", daily(CASES, "features", "images"))
@both_targets
def test_batch_norm_gradients_and_predictions(case, target):
    shape, axis, kind, order = CASES[case]
    net = normalised(shape, axis, momentum=0.3, eps=1e-3)
    module = batch_norm_of(kind, shape[axis if axis < 0 else axis - 1], momentum=0.3, eps=1e-3)
    x, y = RNG.normal(size=(11, *shape)), RNG.normal(size=(11, *shape))
    params = {
        "s": RNG.uniform(0.5, 1.5, size=shape),
        "gamma1": module.weight.detach().numpy(),
        "beta1": module.bias.detach().numpy(),
        "running_mean1": module.running_mean.numpy().copy(),
        "running_var1": module.running_var.numpy().copy(),
    }
    program = net.compile(target=target, dtype="float64")
    loss, gradients = program.loss_and_gradients(params, x, y)

    s = torch.tensor(params["s"], requires_grad=True)

    def forward():
        return module((torch.from_numpy(x) * s).permute(order)).permute(order)

    module.eval()
    evaluated = forward()
    assert relative_error(program.predict(params, x), evaluated.detach().numpy()) < 1e-12
    assert relative_error(program.loss(params, x, y), (torch.from_numpy(y) * evaluated.tanh()).sum().item()) < 1e-12
    module.train()
    wanted = (torch.from_numpy(y) * forward().tanh()).sum()
    wanted.backward()
    assert relative_error(loss, wanted.item()) < 1e-12
    for name, parameter in (("s", s), ("gamma1", module.weight), ("beta1", module.bias)):
        assert relative_error(gradients[name], parameter.grad.numpy()) < 1e-9, name
    # The module has made one step of its statistics; so do the equations.
    values = {**params, "x": x, "y": y}
    passed = gl.evaluate(net.equations, values)
    stepped = gl.evaluate(net.assignments, {**values, **passed}, {"B": 11})
    assert relative_error(stepped["running_mean1"], module.running_mean.numpy()) < 1e-12
    assert relative_error(stepped["running_var1"], module.running_var.numpy()) < 1e-12


@pytest.mark.parametrize("rows", [23, 24, 22])  # the last batch of 7 is of 2, 3 and 1 rows
@pytest.mark.parametrize("target", daily(TARGETS, "numpy"))
def test_training_with_batch_norm_is_pytorchs(target, rows):
    net = gl.Sequential([Dense(5, gl.tanh), BatchNorm(), Dense(3)], input_shape=4, loss=gl.losses.SquaredError())
    x, y = RNG.normal(size=(rows, 4)), RNG.normal(size=(rows, 3))
    model = gl.Model(net, seed=1, target=target, dtype="float64")
    module = torch.nn.Sequential(
        torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 3)
    ).double()
    pairs = {"W1": module[0].weight, "b1": module[0].bias, "gamma2": module[2].weight, "beta2": module[2].bias}
    pairs |= {"W3": module[3].weight, "b3": module[3].bias}
    with torch.no_grad():
        for name, parameter in pairs.items():
            parameter.copy_(torch.from_numpy(model.params[name]))
    model.fit(x, y, epochs=3, batch=7, optimizer=gl.optimizers.SGD(lr=0.05), shuffle=False)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
    norm = module[2]
    for _ in range(3):
        for first in range(0, rows, 7):
            part, wanted = torch.from_numpy(x[first : first + 7]), torch.from_numpy(y[first : first + 7])
            optimizer.zero_grad()
            if len(part) > 1:
                found = module(part)
            else:
                # PyTorch refuses one row: its variance is 0, and so is what it adds to the running one.
                hidden = module[1](module[0](part))
                found = module[3](norm.weight * (hidden - hidden) / np.sqrt(1e-5) + norm.bias)
                with torch.no_grad():
                    norm.running_mean.mul_(0.9).add_(0.1 * hidden[0])
                    norm.running_var.mul_(0.9)
            (((found - wanted) ** 2).sum() / (2 * len(part))).backward()
            optimizer.step()
    for name, parameter in pairs.items():
        assert relative_error(model.params[name], parameter.detach().numpy()) < 1e-9, name
    assert relative_error(model.params["running_mean2"], norm.running_mean.numpy()) < 1e-10
    assert relative_error(model.params["running_var2"], norm.running_var.numpy()) < 1e-10
    module.eval()
    assert relative_error(model.predict(x), module(torch.from_numpy(x)).detach().numpy()) < 1e-10


@pytest.mark.usefixtures("without_compiler")
@both_targets
def test_dropout_gradients_for_given_noise(target):
    net = gl.Sequential(
        [Dropout(0.2), Dense(7, gl.tanh), Dropout(0.6), Dense(3)], input_shape=(2, 5), loss=gl.losses.SquaredError()
    )
    x, y = RNG.normal(size=(11, 2, 5)), RNG.normal(size=(11, 2, 3))
    u1, u3 = RNG.uniform(size=x.shape), RNG.uniform(size=(11, 2, 7))
    params = {t.name: RNG.normal(size=[int(size) for size in t.shape]) for t in net.parameters}
    program = net.compile(target=target, dtype="float64")
    loss, gradients = program.loss_and_gradients(params, x, y, u1=u1, u3=u3)
    w = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}

    def forward(first, second):
        h = torch.tanh(torch.from_numpy(x * first) @ w["W2"].T + w["b2"]) * torch.from_numpy(second)
        return h @ w["W4"].T + w["b4"]

    wanted = ((forward((u1 >= 0.2) / 0.8, (u3 >= 0.6) / 0.4) - torch.from_numpy(y)) ** 2).sum() / 22
    wanted.backward()
    assert relative_error(loss, wanted.item()) < 1e-12
    for name in params:
        assert relative_error(gradients[name], w[name].grad.numpy()) < 1e-9, name
    plain = forward(np.ones_like(u1), np.ones_like(u3)).detach().numpy()
    assert relative_error(program.predict(params, x), plain) < 1e-12
    assert program.loss_and_gradients(params, x, y)[0] != program.loss_and_gradients(params, x, y, u1=u1)[0]


def test_dropout_keeps_the_mean():
    net = gl.Sequential([Dropout(0.3)], input_shape=4)
    i, j = gl.indices("i j")
    a, v = net.tensors["a1"], net.parameter("v")
    net.minimize(gl.Sum(v * a[i, j], i, j) / (4 * B))
    program = net.compile(target="numpy", dtype="float64")
    loss, _ = program.loss_and_gradients({"v": 1}, np.ones((50_000, 4)))
    assert abs(loss - 1) < 5 * np.sqrt(0.3 / 0.7 / 200_000)


@pytest.mark.usefixtures("without_compiler")
@both_targets
def test_gradcheck(target):
    net = gl.Sequential(
        [Dense(5, gl.sigmoid), BatchNorm(), Dropout(0.4), Dense(3)], input_shape=4, loss=gl.losses.CrossEntropy()
    )
    result = gl.gradcheck(net, target=target, batch=7)
    assert result.ok, str(result)


def test_a_layer_used_twice_shares_parameters_and_keeps_statistics_apart():
    norm, drop = BatchNorm(), Dropout(0.5)
    net = gl.Sequential([norm, drop, norm, drop], input_shape=5, loss=gl.losses.SquaredError())
    assert [tensor.name for tensor in net.parameters] == ["gamma1", "beta1"]
    assert [tensor.name for tensor in net.states] == ["running_mean1", "running_var1", "running_mean3", "running_var3"]
    assert [tensor.name for tensor in net.noises] == ["u2", "u4"]
    assert (repr(norm), repr(drop)) == ("BatchNorm(axis=-1)", "Dropout(0.5)")


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5, "a", True, float("nan")])
def test_a_wrong_rate_is_refused(rate):
    with pytest.raises(gl.DataError, match="rate of Dropout"):
        Dropout(rate)


def test_wrong_options_of_batch_norm_are_refused():
    for options, named in (({"momentum": 0}, "momentum"), ({"momentum": 2}, "momentum"), ({"eps": 0}, "eps")):
        with pytest.raises(gl.DataError, match=f"{named} of BatchNorm"):
            BatchNorm(**options)
    for axis in (0, 2, -2, -3):
        with pytest.raises(gl.ShapeError, match=f"other axes than {axis}"):
            gl.Sequential([BatchNorm(axis)], input_shape=5)
