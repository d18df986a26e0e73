"""Norms of gradients against PyTorch's, and what the callback says of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import gradloom as gl

ROWS, WIDTHS = 23, (5, 7, 11, 3)


def network(activation=gl.sigmoid, widths=WIDTHS, **options):
    hidden = [gl.layers.Dense(width, activation, **options) for width in widths[1:-1]]
    return gl.Sequential([*hidden, gl.layers.Dense(widths[-1])], widths[0], loss=gl.losses.SquaredError())


def rows(seed=37):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(ROWS, WIDTHS[0])), rng.normal(size=(ROWS, WIDTHS[-1]))


def by_torch(params, x, y):
    """The norms of the gradients of all parameters and of z1, z2, z3."""
    leaves = {
        name: torch.tensor(np.array(array, dtype="float64"), requires_grad=True) for name, array in params.items()
    }
    a = torch.tensor(x)
    for layer in (1, 2, 3):
        leaves[f"z{layer}"] = z = a @ leaves[f"W{layer}"].T + leaves[f"b{layer}"]
        z.retain_grad()
        a = torch.sigmoid(z)
    (((leaves["z3"] - torch.tensor(y)) ** 2).sum() / (2 * len(x))).backward()
    return {name: torch.linalg.norm(leaf.grad).item() for name, leaf in leaves.items()}


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("target", ["numpy", "cpu"])
def test_norms_are_those_of_torch(target):
    x, y = rows()
    model = gl.Model(network(), target=target, dtype="float64")
    expected = by_torch(model.params, x, y)
    names = [name for name in expected if not name.startswith("z")]
    assert gl.gradient_norms(model, x, y) == pytest.approx({name: expected[name] for name in names}, rel=1e-12)
    wanted = ("z3", "W2", "z1")
    found = gl.gradient_norms(model, x, y, of=wanted)
    assert tuple(found) == wanted
    assert found == pytest.approx({name: expected[name] for name in wanted}, rel=1e-12)
    # Of a program too, with the parameters and the data by position or by name.
    assert gl.gradient_norms(model.program, model.params, x, y=y) == gl.gradient_norms(model, x, y)
    assert gl.gradient_norms(model.program, dict(model.params), x, y, of=wanted) == found


def test_norms_of_float32_do_not_underflow():
    x, y = rows()
    model = gl.Model(network(), target="numpy", dtype="float32")
    model.params["W3"] = model.params["W3"] * 1e-30
    found, expected = gl.gradient_norms(model, x, y), by_torch(model.params, x, y)
    assert 0 < found["W1"] < 1e-25
    assert found["W1"] == pytest.approx(expected["W1"], rel=1e-5)


def test_the_callback_measures_before_and_after_the_epochs():
    x, y = rows()
    model = gl.Model(network(), target="numpy", dtype="float64")
    norms, seen = gl.GradientNorms((x[:7], y[:7]), every=2, of=("z1", "z3", "W2")), []
    copy = gl.Model(network(), target="numpy", dtype="float64")
    seen.append(by_torch(copy.params, x[:7], y[:7]))

    def see(model, epoch, logs):
        seen.append(by_torch(model.params, x[:7], y[:7]))

    history = model.fit(x, y, epochs=5, batch=5, callbacks=[norms, see])
    assert norms.epochs == [0, 2, 4]
    assert list(norms.norms) == ["z1", "z3", "W2"]
    for name, found in norms.norms.items():
        assert found == pytest.approx([seen[epoch][name] for epoch in (0, 2, 4)], rel=1e-11)
    assert norms.ratios == pytest.approx([seen[epoch]["z1"] / seen[epoch]["W2"] for epoch in (0, 2, 4)], rel=1e-11)
    expected = [math.hypot(*(seen[epoch][name] for name in norms.norms)) for epoch in (2, 4)]
    assert history.gradient_norm[1::2] == pytest.approx(expected, rel=1e-11)
    assert all(math.isnan(number) for number in history.gradient_norm[::2])


def test_measuring_does_not_change_the_training():
    x, y = rows()
    trained = []
    for callbacks in ((), gl.GradientNorms(of=["z2"])):
        model = gl.Model(network(), target="numpy")
        model.fit(x, y, epochs=3, batch=5, callbacks=callbacks, validation=0.2)
        trained.append(model.params.flat.copy())
    np.testing.assert_array_equal(*trained)


def test_by_default_it_measures_trained_parameters_on_the_first_training_rows():
    x, y = rows()
    model = gl.Model(network(trainable_bias=False), target="numpy", dtype="float64")
    norms = gl.GradientNorms(rows=11)
    model.fit(x, y, epochs=2, batch=5, validation=0.3, shuffle=False, callbacks=norms)
    assert list(norms.norms) == ["W1", "W2", "W3", "b3"]
    expected = by_torch(model.params, x[:11], y[:11])
    assert {name: found[-1] for name, found in norms.norms.items()} == pytest.approx(
        {name: expected[name] for name in norms.norms}, rel=1e-11
    )
    # The ratio is that of the weights, not of the last bias.
    assert norms.ratios[-1] == pytest.approx(expected["W1"] / expected["W3"], rel=1e-11)
    # Another fit begins anew, where the model stands.
    model.fit(x, y, epochs=1, batch=5, validation=0.3, shuffle=False, callbacks=norms)
    assert norms.epochs == [2, 3]
    assert str(norms).splitlines()[0].split() == ["epoch", "W1", "W2", "W3", "b3"]


def test_without_a_batch_axis():
    net = gl.Network()
    w, x = net.parameter("w"), net.input("x")
    net.minimize((w * x - 1) ** 2)
    model, norms = gl.Model(net, target="numpy", dtype="float64"), gl.GradientNorms()
    model.params["w"] = 2.0
    model.fit(3.0, epochs=1, optimizer=gl.optimizers.SGD(0.01), callbacks=norms)
    assert norms.norms["w"] == pytest.approx([30.0, 2 * (1.7 * 3 - 1) * 3])


def measured(model, **options):
    x, y = rows()
    norms = gl.GradientNorms(**options)
    model.fit(x, y, epochs=0, callbacks=norms)
    return norms


def test_the_report_says_in_words_what_happens():
    deep = (5, *[7] * 9, 3)
    small, large = gl.initializers.Normal(0.5), gl.initializers.Normal(4.0)
    vanishing = measured(gl.Model(network(gl.sigmoid, deep, weight_init=small), target="numpy"))
    assert vanishing.ratios[0] < 1e-3
    assert "Gradients vanish on the way from W10 back to W1" in vanishing.report()
    # Linear layers scale what is passed back by their weights, and what goes on too; the δ shows it alone.
    exploding = measured(gl.Model(network(gl.identity, deep, weight_init=large), target="numpy"), of=("z1", "z10"))
    assert exploding.ratios[0] > 1e3
    assert "Gradients explode on the way from z10 back to z1" in exploding.report()
    shallow = measured(gl.Model(network(), target="numpy"))
    assert shallow.report().splitlines()[1] == "Gradients neither vanish nor explode."
    assert shallow.report().startswith("After epoch 0: ‖∂L/∂W1‖ = ")
    # What holds before and after the training is said once, what changes twice.
    x, y = rows()
    model, norms = gl.Model(network(), target="numpy"), gl.GradientNorms()
    model.fit(x, y, epochs=2, callbacks=norms)
    assert [line.split(":")[0] for line in norms.report().splitlines()] == [
        "After epoch 0", "After epoch 2", "Gradients neither vanish nor explode."
    ]  # fmt: skip
    model.params["W3"] *= 0
    model.fit(x, y, epochs=1, optimizer=gl.optimizers.SGD(0.5), callbacks=norms)
    assert [line.split(":")[0] for line in norms.report().splitlines()][::2] == ["After epoch 2", "After epoch 3"]
    assert norms.report().splitlines()[1].startswith("Gradients vanish on the way from W3 back to W1")
    model = gl.Model(network(gl.relu), target="numpy")
    model.params["b2"], model.params["W3"], model.params["b3"] = np.full(11, -1e6), np.zeros((3, 11)), np.zeros(3)
    dead = gl.GradientNorms()
    model.fit(x, np.zeros((ROWS, 3)), epochs=0, callbacks=dead)
    assert "Every gradient is 0" in dead.report()
    assert "give this callback to fit" in gl.GradientNorms().report()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: gl.GradientNorms(rows=0), gl.DataError, "rows of the gradient norms is 0"),
        (lambda: gl.GradientNorms(every=1.5), gl.DataError, "every of the gradient norms is 1.5"),
        (lambda: gl.GradientNorms(np.zeros(3)), gl.DataError, "data of the gradient norms is ndarray; expected a pair"),
        (lambda: gl.GradientNorms(of=()), gl.DataError, "expected names of tensors"),
        (lambda: measured(gl.Model(network(), target="numpy"), of="z9"), gl.UndefinedError, "no tensor 'z9'"),
    ],
)
def test_bad_input_says_what_to_mend(make, error, message):
    with pytest.raises(error, match=message):
        make()
