"""Models of networks with modes: training, resuming, saving, predicting."""

from __future__ import annotations

import numpy as np
import pytest
from everyday import daily
from oracles import relative_error

import gradloom as gl

B = gl.dims("B")
i = gl.indices("i")
TARGETS = ("cpu", "numpy")
both_targets = pytest.mark.parametrize("target", TARGETS)
DTYPES = ("float32", "float64")
RNG = np.random.default_rng(5)


def tricky():
    net = gl.Sequential(
        [gl.layers.Dense(7, gl.tanh), gl.layers.BatchNorm(), gl.layers.Dropout(0.3), gl.layers.Dense(3)],
        input_shape=5,
        loss=gl.losses.SquaredError(),
        name="tricky",
    )
    return net


X = RNG.normal(size=(53, 5))
Y = np.tanh(X @ RNG.normal(size=(5, 3)))


def trained(epochs, **options):
    model = gl.Model(tricky(), seed=7, **options)
    model.fit(X, Y, epochs=epochs, batch=10, optimizer=gl.optimizers.Adam(lr=0.01))
    return model


@pytest.mark.parametrize("dtype", daily(DTYPES, "float64"))
@both_targets
def test_a_resumed_training_is_bitwise_the_uninterrupted_one(target, dtype, tmp_path, request):
    if (target, dtype) == ("cpu", "float64"):
        request.getfixturevalue("without_compiler")  # float32 is compiled
    whole, part = trained(5, target=target, dtype=dtype), trained(2, target=target, dtype=dtype)
    part.save(tmp_path / "part.npz")
    again = gl.Model.load(tmp_path / "part.npz", tricky())
    assert again.params.flat.tobytes() == part.params.flat.tobytes()
    again.fit(X, Y, epochs=3, batch=10, optimizer=gl.optimizers.Adam(lr=0.01))
    part.fit(X, Y, epochs=3, batch=10)
    assert again.params.flat.tobytes() == whole.params.flat.tobytes()
    assert part.params.flat.tobytes() == whole.params.flat.tobytes()
    assert again.evaluate(X, Y) == whole.evaluate(X, Y)


def test_another_optimizer_draws_other_noise(tmp_path):
    model = trained(1, target="numpy")
    first = model._trainer.seed
    model.save(tmp_path / "model.npz")
    model.fit(X, Y, epochs=1, optimizer=gl.optimizers.SGD(lr=0.01))
    assert model._trainer.seed != first
    again = gl.Model.load(tmp_path / "model.npz", tricky())
    again.fit(X, Y, epochs=1, optimizer=gl.optimizers.SGD(lr=0.01))
    assert again._trainer.seed == model._trainer.seed
    assert again.params.flat.tobytes() == model.params.flat.tobytes()


@pytest.mark.usefixtures("without_compiler")
def test_both_targets_train_alike():
    one, other = (trained(3, target=target, dtype="float64") for target in TARGETS)
    assert relative_error(one.params.flat, other.params.flat) < 1e-10
    assert one.count == one.params.count - 14 == 7 * 5 + 7 + 7 + 7 + 3 * 7 + 3


def test_prediction_and_evaluation_draw_nothing():
    model = trained(2, target="numpy")
    np.testing.assert_array_equal(model.predict(X), model.predict(X))
    before = model.params.flat.copy()
    rows = [model.predict(X[row : row + 1])[0] for row in range(len(X))]
    np.testing.assert_allclose(model.predict(X), rows, rtol=1e-5, atol=1e-6)
    found = ((model.predict(X) - Y) ** 2).sum() / (2 * len(X))
    assert model.evaluate(X, Y)["loss"] == pytest.approx(found, rel=1e-5)
    np.testing.assert_array_equal(model.params.flat, before)


def test_a_file_belongs_to_its_modes(tmp_path):
    def network(inference, after):
        net = gl.Network("modes")
        x, w, s = net.input("x", (B,)), net.parameter("w"), net.state("s")
        net.minimize(gl.Sum(x[i] * w, i), inference=inference * w)
        net.after_step("s", (), s + after)
        return net

    gl.Model(network(2, 1)).save(tmp_path / "model.npz")
    assert gl.Model.load(tmp_path / "model.npz", network(2, 1)).params["s"] == 0
    for other in (network(3, 1), network(2, 2)):
        with pytest.raises(gl.SavedFileError, match="other equations"):
            gl.Model.load(tmp_path / "model.npz", other)


def test_a_network_without_modes_has_no_mode_functions():
    net = gl.Sequential([gl.layers.Dense(3)], input_shape=5, loss=gl.losses.SquaredError())
    source = net.compile(target="numpy", optimizer=gl.optimizers.SGD(lr=0.1)).source
    assert not net.has_modes
    assert not any(name in source for name in ("training_loss", "advance", "noise", "seed"))
