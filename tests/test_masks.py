"""Losses of sequences and images, whole and under a mask, against PyTorch: values and gradients of both targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from kernels import plain, run

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.symbolic import losses

B, T, H, IN, C = 5, 7, 3, 2, 11
IGNORED = -100


def mean(terms, mask, each=1):
    """The sum of the terms that count over their number; `each` is how many share one entry of the mask."""
    return (terms * mask).sum() / (mask.sum() * each)


def squares(z, y):
    return (z - y) ** 2


def cross_entropy(z, y):
    return -(y * torch.log_softmax(z, -1)).sum(-1)


def binary(z, y):
    return F.binary_cross_entropy_with_logits(z, y, reduction="none")


def ignoring(z, labels, mask):
    """PyTorch's own way to leave places out: the class axis second, a label that is ignored."""
    labels = torch.where(mask > 0, labels, IGNORED)
    return F.cross_entropy(z.movedim(-1, 1), labels, ignore_index=IGNORED)


def margins(z, labels, mask):
    found = F.multi_margin_loss(z.reshape(-1, C), labels.reshape(-1), reduction="none")
    return mean(found.reshape(labels.shape), mask)


# Loss, what its target is, and the same by PyTorch for output, target and a mask of all axes but the last.
CASES = {
    "squares": (losses.SquaredError, "real", lambda z, y, m: mean(squares(z, y).sum(-1), m) / 2),
    "squares-mean": (
        lambda **o: losses.SquaredError("mean", **o),
        "real",
        lambda z, y, m: mean(squares(z, y), m[..., None], C),
    ),
    "squares-sum": (
        lambda **o: losses.SquaredError("sum", **o),
        "real",
        lambda z, y, m: (squares(z, y) * m[..., None]).sum(),
    ),
    "huber": (
        losses.Huber,
        "real",
        lambda z, y, m: mean(F.huber_loss(z, y, reduction="none"), m[..., None], C),
    ),
    "one-hot": (losses.CrossEntropy, "one_hot", lambda z, y, m: mean(cross_entropy(z, y), m)),
    "labels": (lambda **o: losses.CrossEntropy("labels", **o), "labels", ignoring),
    "labels-sum": (
        lambda **o: losses.CrossEntropy("labels", "sum", **o),
        "labels",
        lambda z, y, m: ignoring(z, y, m) * m.sum(),
    ),
    "bits": (losses.BinaryCrossEntropy, "bits", lambda z, y, m: mean(binary(z, y), m[..., None], C)),
    "margins": (lambda **o: losses.MultiClassHinge(1, "labels", **o), "labels", margins),
}
SHAPES = {"sequence": (B, T), "image": (B, T, H)}


def target(kind, places, rng):
    if kind == "real":
        return rng.normal(size=(*places, C)) * 2
    if kind == "bits":
        return rng.integers(0, 2, (*places, C)).astype(float)
    labels = rng.integers(0, C, places)
    return np.eye(C)[labels] if kind == "one_hot" else labels


def values_of(network, kind, places, rng, mask=None):
    values = {"x": rng.normal(size=(*places, IN)) * 2, "y": target(kind, places, rng)}
    values |= {p.name: rng.normal(size=[int(size) for size in p.shape]) for p in network.parameters}
    return values if mask is None else values | {"mask": mask}


def by_torch(function, values, mask):
    W, b = (torch.tensor(values[name], requires_grad=True) for name in ("W1", "b1"))
    z = torch.tensor(values["x"]) @ W.T + b
    loss = function(z, torch.tensor(values["y"]), torch.tensor(mask, dtype=torch.float64))
    loss.backward()
    return z.detach().numpy(), loss.item(), {"W1": W.grad.numpy(), "b1": b.grad.numpy()}


def check(network, values, expected):
    output, loss, gradients = expected
    for backend in ("numpy", "cpu"):
        module = plain(generate(network, target=backend, dtype="float64").source)
        found = run(module, network, values)
        np.testing.assert_allclose(found[0], output, rtol=1e-10, atol=1e-12)
        assert found[1] == pytest.approx(loss, rel=1e-11)
        for name, gradient in gradients.items():
            np.testing.assert_allclose(found[2][name], gradient, rtol=1e-9, atol=1e-12, err_msg=name)


def network_of(loss, places):
    layers = [gl.layers.Dense(C)]
    net = gl.Sequential(layers, (*places[1:], IN), loss=loss)
    net.set_output("z1")
    return net


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", CASES)
def test_a_loss_of_more_axes(case, shape):
    make, kind, function = CASES[case]
    places, rng = SHAPES[shape], np.random.default_rng(41)
    network = network_of(make(), places)
    values = values_of(network, kind, places, rng)
    expected = by_torch(function, values, np.ones(places))
    if case == "squares":  # half the squared norm of all of a row's entries, averaged over the batch
        scale = np.prod(places[1:])
        expected = (expected[0], expected[1] * scale, {name: grad * scale for name, grad in expected[2].items()})
    check(network, values, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", CASES)
def test_a_masked_loss(case, shape):
    make, kind, function = CASES[case]
    places, rng = SHAPES[shape], np.random.default_rng(43)
    network = network_of(make(mask="mask"), places)
    assert [tensor.name for tensor in network.targets] == ["y", "mask"]
    lengths = rng.integers(1, T + 1, B)
    mask = np.broadcast_to(
        (np.arange(T) < lengths[:, None]).astype(float).reshape(B, T, *[1] * (len(places) - 2)), places
    )
    assert 0 < mask.mean() < 1
    values = values_of(network, kind, places, rng, mask)
    check(network, values, by_torch(function, values, mask))
    # What is masked has no say: other numbers there change nothing.
    other = {**values, "y": np.where(mask.reshape(*places, *[1] * (np.ndim(values["y"]) - len(places))) > 0,
                                     values["y"], target(kind, places, rng))}  # fmt: skip
    assert not np.array_equal(other["y"], values["y"])
    check(network, other, by_torch(function, values, mask))


def of_labels(z, labels, mask):
    return mean(F.cross_entropy(z, labels, reduction="none"), mask)


@pytest.mark.parametrize("case", CASES)
def test_weights_of_rows(case):
    """Other numbers than 0 and 1 weigh the rows: Σ w ℓ / Σ w, as scikit-learn's `sample_weight` does."""
    make, kind, function = CASES[case]
    rng = np.random.default_rng(61)
    network = network_of(make(mask="sample_weight"), (B,))
    assert [(tensor.name, tensor.rank) for tensor in network.targets][1] == ("sample_weight", 1)
    weights = rng.exponential(2, B)
    values = values_of(network, kind, (B,), rng) | {"sample_weight": weights}
    torchs = {
        "labels": of_labels,
        "labels-sum": lambda z, y, m: of_labels(z, y, m) * m.sum(),
    }.get(case, function)
    check(network, values, by_torch(torchs, values, weights))


def test_a_mask_of_rows_and_one_of_entries():
    rng = np.random.default_rng(47)
    Bs = gl.Dim("B")
    for axes in (1, 2, 3):
        net = gl.Network()
        x, W, b = net.input("x", (Bs, T, IN)), net.parameter("W1", (C, IN)), net.parameter("b1", (C,))
        m = net.input("m", (Bs, T, C)[:axes])
        i, t, j, k = gl.indices("i t j k")
        z = net.define("z", (i, t, j), gl.Sum(W[j, k] * x[i, t, k], k) + b[j])
        net.minimize(losses.SquaredError("mean", mask=m).term(net, z))
        shape = (B, T, C)[:axes]
        mask = rng.integers(0, 2, shape).astype(float)
        mask.flat[0] = 1
        values = values_of(net, "real", (B, T), rng) | {"m": mask}
        wide = mask.reshape(*shape, *[1] * (3 - axes)) * np.ones((B, T, C))
        check(net, values, by_torch(lambda z, y, w: mean(squares(z, y), w), values, wide))


def test_a_model_trains_on_sequences_of_different_lengths():
    """The mask is data like the target: it is shuffled and cut into batches with it, and predict does without."""
    rng = np.random.default_rng(53)
    net = network_of(losses.CrossEntropy("labels", mask="mask"), (B, T))
    rows = 37
    x, lengths = rng.normal(size=(rows, T, IN)), rng.integers(1, T + 1, rows)
    mask = (np.arange(T) < lengths[:, None]).astype(float)
    labels = (x @ rng.normal(size=(IN, C))).argmax(-1)
    noise = rng.integers(0, C, labels.shape)
    trained = []
    for filled in (labels, np.where(mask > 0, labels, noise)):
        model = gl.Model(net, target="numpy", dtype="float64")
        history = model.fit(x, {"y": filled, "mask": mask}, epochs=20, batch=5, validation=0.2)
        trained.append(model.params.flat.copy())
    np.testing.assert_array_equal(*trained)
    assert history.loss[-1] < history.loss[0]
    assert model.predict(x).shape == (rows, T, C)


@pytest.mark.parametrize(
    ("loss", "delta"),
    [
        (losses.CrossEntropy, "((p[i, t, j] - y[i, t, j]) mask[i, t])/n_mask"),
        (lambda **o: losses.CrossEntropy("labels", **o), "((p[i, t, j] - [j = y[i, t]]) mask[i, t])/n_mask"),
        (losses.BinaryCrossEntropy, "((p[i, t, j] - y[i, t, j]) mask[i, t])/(11 n_mask)"),
        (losses.SquaredError, "((z1[i, t, j] - y[i, t, j]) mask[i, t])/n_mask"),
    ],
)
def test_deltas_stay_short_under_a_mask(loss, delta):
    derivation = network_of(loss(mask="mask"), (B, T)).derive()
    assert f"δ1[i, t, j] = {delta}" in derivation.text(form="index")


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_a_masked_cross_entropy_does_not_overflow(backend):
    rng = np.random.default_rng(59)
    network = network_of(losses.CrossEntropy("labels", mask="mask"), (B, T))
    values = values_of(network, "labels", (B, T), rng, (rng.integers(0, 2, (B, T)) | np.eye(B, T, dtype=int)) * 1.0)
    values["x"] = values["x"] * 1e4
    _, loss, gradients = run(plain(generate(network, target=backend, dtype="float64").source), network, values)
    _, expected, theirs = by_torch(ignoring, values, values["mask"])
    assert loss == pytest.approx(expected, rel=1e-11)
    np.testing.assert_allclose(gradients["W1"], theirs["W1"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("make", [losses.SquaredError, losses.CrossEntropy, lambda **o: losses.Huber(2, "sum", **o)])
def test_an_input_as_mask_is_not_the_output(make):
    net = gl.Network()
    size, (i, t, j) = gl.Dim("B"), gl.indices("i t j")
    x, w, m = net.input("x", (size, T, C)), net.parameter("w", (C,)), net.input("m", (size, T))
    z = net.define("z", (i, t, j), x[i, t, j] * w[j])
    loss = make(mask=m)
    net.minimize(loss.term(net, z) + loss.term(net, z, net.target("y2", (size, T, C))) if make is losses.SquaredError
                 else loss.term(net, z))  # fmt: skip
    assert net.output.name == ("p" if make is losses.CrossEntropy else "z")
    assert len([equation for equation in net.equations if equation.target.name == "n_m"]) == (loss.reduction != "sum")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: losses.SquaredError(mask=3), gl.LossError, "mask is 3; expected a tensor of the network, or a name"),
        (
            lambda: network_of(losses.CrossEntropy(mask=gl.Tensor("m", (C,), "input")), (B, T)),
            gl.ShapeError,
            r"takes a mask of shape \(B,\) or \(B, 7\), but m has shape \(11,\)",
        ),
        (
            lambda: network_of(losses.SquaredError(mask=gl.Tensor("m", (), "input")), (B, T)),
            gl.ShapeError,
            r"takes a mask of shape \(B,\) or \(B, 7\) or \(B, 7, 11\), but m has shape \(\)",
        ),
    ],
)
def test_bad_input_says_what_to_mend(make, error, message):
    with pytest.raises(error, match=message):
        make()
