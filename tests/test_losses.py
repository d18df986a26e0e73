"""Every loss against PyTorch, forward; targets, reductions, penalties, losses of one's own, and errors."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
import torch
import torch.nn.functional as F
from oracles import ACTIVATIONS, LOSSES, random_case, torch_gradients

from gradloom.symbolic.activations import log_softmax, sigmoid, softmax
from gradloom.symbolic.binders import Sum
from gradloom.symbolic.errors import LossError, ShapeError, UndefinedError
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.indices import dims, indices
from gradloom.symbolic.layers import Dense
from gradloom.symbolic.losses import (
    L1,
    L2,
    AbsoluteError,
    BinaryCrossEntropy,
    CrossEntropy,
    Entrywise,
    Hinge,
    Huber,
    Loss,
    MultiClassHinge,
    SquaredError,
)
from gradloom.symbolic.network import Network
from gradloom.symbolic.sequential import Sequential

B, n = dims("B n")
i, j, k = indices("i j k")


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", LOSSES)
def test_agrees_with_torch(activation, loss):
    case = random_case(activation, loss, np.random.default_rng(11), depth=2, largest=11)
    found = evaluate(case.network.equations, case.values)["L"]
    assert found == pytest.approx(torch_gradients(case)[0], rel=1e-13)


def value(loss, z, y):
    net = Network()
    t = net.input("t", tuple(dims("B n m")[: z.ndim]))
    out = net.define("z", indices("i j k")[: z.ndim], 2 * t[indices("i j k")[: z.ndim]])
    net.minimize(loss.term(net, out))
    return float(evaluate(net.equations, {"t": z / 2, "y": y})["L"])


def reductions():
    rng = np.random.default_rng(2)
    z, t = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    labels, bits, signs = rng.integers(0, 3, size=5), rng.integers(0, 2, size=(5, 3)), rng.choice([-1, 1], size=(5, 3))
    Z, T, Y = torch.from_numpy(z), torch.from_numpy(t), torch.from_numpy(labels)
    for reduction in ("mean", "sum"):
        yield SquaredError(reduction), z, t, F.mse_loss(Z, T, reduction=reduction)
        yield AbsoluteError(reduction), z, t, F.l1_loss(Z, T, reduction=reduction)
        yield Huber(0.3, reduction), z, t, F.huber_loss(Z, T, delta=0.3, reduction=reduction)
        hinge = torch.clamp(1 - torch.from_numpy(signs) * Z, min=0)
        yield Hinge(reduction), z, signs, getattr(hinge, reduction)()
        yield CrossEntropy("labels", reduction), z, labels, F.cross_entropy(Z, Y, reduction=reduction)
        yield CrossEntropy("one_hot", reduction), z, np.eye(3)[labels], F.cross_entropy(Z, Y, reduction=reduction)
        margin = F.multi_margin_loss(Z, Y, margin=0.4, reduction=reduction)
        yield MultiClassHinge(0.4, "labels", reduction), z, labels, margin
        yield MultiClassHinge(0.4, "one_hot", reduction), z, np.eye(3)[labels], margin
        binary = F.binary_cross_entropy_with_logits(Z, torch.from_numpy(bits).double(), reduction=reduction)
        yield BinaryCrossEntropy(reduction), z, bits, binary
    yield SquaredError(), z, t, F.mse_loss(Z, T, reduction="sum") / (2 * 5)


@pytest.mark.parametrize(("loss", "z", "y", "expected"), list(reductions()), ids=repr)
def test_reductions_agree_with_torch(loss, z, y, expected):
    assert value(loss, z, y) == pytest.approx(float(expected), rel=1e-13)


def test_more_axes_before_the_classes():
    rng = np.random.default_rng(2)
    z, labels = rng.normal(size=(5, 2, 3)), rng.integers(0, 3, size=(5, 2))
    flat = torch.from_numpy(z).reshape(-1, 3), torch.from_numpy(labels).reshape(-1)
    assert value(CrossEntropy("labels"), z, labels) == pytest.approx(float(F.cross_entropy(*flat)), rel=1e-13)
    assert value(MultiClassHinge(1, "labels"), z, labels) == pytest.approx(float(F.multi_margin_loss(*flat)), rel=1e-13)


def built(activation, loss):
    return Sequential([Dense(5, activation)], (3,), loss=loss)


def test_cross_entropy_adds_a_softmax_only_where_there_is_none():
    names = [e.target.name for e in built(lambda z: z, CrossEntropy()).equations]
    assert names == ["z1", "a1", "p", "L"]
    net = built(softmax, CrossEntropy())
    y, a = net.tensors["y"], net.tensors["a1"]
    assert net.equation("L").body == -Sum(y[i, j] * sympy.log(a[i, j]), i, j) / B
    net = built(log_softmax, CrossEntropy())
    y, a = net.tensors["y"], net.tensors["a1"]
    assert net.equation("L").body == -Sum(y[i, j] * a[i, j], i, j) / B
    assert "p" in built(sigmoid, CrossEntropy()).tensors


def test_a_softmax_is_found_however_it_was_written():
    net = Network()
    x = net.input("x", (B, n))
    p = net.define("q", (i, j), sympy.exp(-2 * x[i, j]) / Sum(sympy.exp(-2 * x[i, k]), k))
    net.minimize(CrossEntropy().term(net, p))
    assert "p" not in net.tensors
    # Along the other axis it is no distribution over classes.
    net = Network()
    x = net.input("x", (B, n))
    p = net.define("q", (i, j), sympy.exp(x[i, j]) / Sum(sympy.exp(x[k, j]), k))
    net.minimize(CrossEntropy().term(net, p))
    assert "p" in net.tensors


def test_binary_cross_entropy_adds_a_sigmoid_only_where_there_is_none():
    assert "p" not in built(sigmoid, BinaryCrossEntropy()).tensors
    assert "p" not in built(lambda z: 1 / (1 + sympy.exp(-z)), BinaryCrossEntropy()).tensors
    assert "p" in built(softmax, BinaryCrossEntropy()).tensors
    assert built(lambda z: z, BinaryCrossEntropy()).output.name == "p"


def test_only_a_one_hot_target_is_said_to_sum_to_one():
    for targets, facts in [("one_hot", 1), ("probabilities", 0), ("labels", 0)]:
        net = built(softmax, CrossEntropy(targets))
        assert len([fact for fact in net.facts if fact.tensor.name == "y"]) == facts
    net = built(softmax, CrossEntropy("labels"))
    assert net.tensors["y"].shape == (B,)
    assert net.tensors["y"].classes == 5


def test_a_loss_of_ones_own():
    def log_cosh(a, y):
        return sympy.log(sympy.cosh(a - y))

    class Weighted(Loss):
        """Later outputs weigh more."""

        def expression(self, network, output, target):
            w = network.input("w", output.shape[1:])
            return self.reduced(Sum(w[j] * (output[i, j] - target[i, j]) ** 2, i, j), output.shape)

    rng = np.random.default_rng(3)
    z, y, w = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), rng.uniform(size=3)
    net = Sequential([Dense(3)], (2,), loss=log_cosh)
    assert net.equation("L").body.has(sympy.cosh)
    assert value(Entrywise(log_cosh), z, y) == pytest.approx(np.log(np.cosh(z - y)).mean(), rel=1e-13)
    assert value(Entrywise(log_cosh, "sum"), z, y) == pytest.approx(np.log(np.cosh(z - y)).sum(), rel=1e-13)
    net = Sequential([Dense(3)], (2,), loss=Weighted)
    values = {"x": rng.normal(size=(5, 2)), "y": y, "w": w, "W1": rng.normal(size=(3, 2)), "b1": rng.normal(size=3)}
    out = values["x"] @ values["W1"].T + values["b1"]
    assert evaluate(net.equations, values)["L"] == pytest.approx((w * (out - y) ** 2).mean(), rel=1e-13)


def test_losses_and_penalties_by_hand():
    net = Network()
    x, W, y = net.input("x", (B, n)), net.parameter("W", (5, n)), net.target("t", (B, 5))
    z = net.define("z", (i, j), Sum(W[j, k] * x[i, k], k))
    net.minimize(SquaredError("sum").term(net, z, y) + L2(0.3).term(net) + L1(0.2).term(net))
    assert {name: float(v) for name, v in net.values.items()} == {"lam": 0.3, "lam2": 0.2}
    rng = np.random.default_rng(3)
    values = {"x": rng.normal(size=(2, 3)), "W": rng.normal(size=(5, 3)), "t": rng.normal(size=(2, 5))}
    w = values["W"]
    expected = ((values["x"] @ w.T - values["t"]) ** 2).sum() + 0.15 * (w**2).sum() + 0.2 * np.abs(w).sum()
    assert evaluate(net.equations, values | net.values)["L"] == pytest.approx(expected, rel=1e-13)


def test_penalties_spare_biases_unless_they_are_named():
    net = Sequential([Dense(3), Dense(2)], (2,), loss=SquaredError(), penalties=[L2(1)])
    penalised = {t.name for t in net.equation("L").reads if t.role == "parameter"}
    assert penalised == {"W1", "W2"}
    net = Sequential([Dense(3), Dense(2)], (2,), loss=SquaredError(), penalties=[L2(1, ["b1", "W2"])])
    assert {t.name for t in net.equation("L").reads if t.role == "parameter"} == {"b1", "W2"}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: AbsoluteError("average"), LossError, "reduction 'average' is not offered; choose from mean, sum"),
        (lambda: SquaredError("none"), LossError, "choose from half, mean, sum"),
        (lambda: CrossEntropy("one-hot"), LossError, "choose from one_hot, probabilities, labels"),
        (lambda: Huber(0), LossError, "delta must be a positive number, found 0"),
        (lambda: MultiClassHinge("one"), LossError, "margin must be a positive number"),
        (lambda: L2(-1), LossError, "strength must be a number of at least 0, found -1"),
        (lambda: built(softmax, lambda a, y: None), LossError, "returned None"),
        (lambda: built(softmax, 3), LossError, "3 is not a loss"),
        (lambda: Sequential([Dense(2)], (2,), loss=SquaredError(), penalties=[L1(1, ["W3"])]), UndefinedError, "'W3'"),
    ],
)  # fmt: skip
def test_bad_input_says_what_to_mend(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_targets_must_fit_the_output():
    net = Network()
    x = net.input("x", (B, n))
    y, short = net.target("y", (B,)), net.define("s", (i,), Sum(x[i, k], k))
    with pytest.raises(ShapeError, match=r"takes a target of shape \(B, n\), but y has shape \(B,\)"):
        SquaredError().term(net, x, y)
    with pytest.raises(ShapeError, match="over classes along the last of at least 2 axes"):
        CrossEntropy().term(net, short)
    with pytest.raises(ShapeError, match="labels of n classes, but is declared with classes=None"):
        CrossEntropy("labels").term(net, x, y)
