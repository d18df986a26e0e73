"""Models: training, its options, its ends, and its determinism."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import LABELS, X, Y, classifier, model_of, network

import gradloom as gl

SGD = gl.optimizers.SGD


@pytest.fixture(scope="module")
def net():
    return network()


@pytest.fixture(scope="module", name="classifier")
def classifier_network():
    return classifier()


def test_training_lowers_the_loss(net):
    model = gl.Model(net)
    before = model.evaluate(X, Y)["loss"]
    history = model.fit(X, Y, epochs=30, batch=10, optimizer=SGD(lr=0.1))
    after = model.evaluate(X, Y)["loss"]
    assert after < before / 3
    assert history.epoch == list(range(1, 31))
    assert set(history) == {"epoch", "loss"}
    assert model.history is history


def test_one_epoch_is_what_the_equations_say(net):
    """Batches of 20, 20 and a partial one of 13, in order, against steps made one by one."""
    model = model_of(net)
    params = {name: array.copy() for name, array in model.params.items()}
    program = net.compile(target="numpy", dtype="float64")
    total = 0.0
    for start in (0, 20, 40):
        x, y = X[start : start + 20], Y[start : start + 20]
        loss, gradients = program.loss_and_gradients(params, x, y)
        total += loss * len(x)
        params = {name: array - 0.3 * gradients[name] for name, array in params.items()}
    history = model.fit(X, Y, epochs=1, batch=20, optimizer=SGD(lr=0.3), shuffle=False)
    assert history.loss[0] == pytest.approx(total / 53, rel=1e-12)
    for name, array in params.items():
        np.testing.assert_allclose(model.params[name], array, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("target", ["cpu", "numpy"])
def test_same_seed_same_bits(net, target):
    runs = []
    for seed in (3, 3, 4):
        model = gl.Model(net, seed=seed, target=target)
        history = model.fit(X, Y, epochs=4, batch=8, validation=0.25, optimizer=SGD(lr=0.1))
        runs.append((model.params.flat.tobytes(), dict(history)))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_no_seed_is_another_one_each_time(net):
    first, second = (gl.Model(net, seed=None) for _ in range(2))
    assert first.seed != second.seed
    assert first.params.flat.tobytes() != second.params.flat.tobytes()


def test_second_fit_goes_on(net):
    """Two fits of two epochs are one of four: parameters, momentum, order of rows; a new rate compiles nothing."""
    whole, parts = model_of(net), model_of(net)
    whole.fit(X, Y, epochs=4, batch=9, optimizer=SGD(lr=0.05, momentum=0.9))
    parts.fit(X, Y, epochs=2, batch=9, optimizer=SGD(lr=0.05, momentum=0.9))
    module = parts.program.module
    history = parts.fit(X, Y, epochs=2, batch=9, optimizer=SGD(lr=0.05, momentum=0.9))
    assert parts.params.flat.tobytes() == whole.params.flat.tobytes()
    assert history.epoch == [3, 4]
    parts.fit(X, Y, epochs=1, batch=9, optimizer=SGD(lr=0.001, momentum=0.9))
    assert parts.program.module is module
    assert parts.epochs == 5


@pytest.mark.usefixtures("without_compiler")
def test_a_training_goes_on_in_batches_of_another_size():
    """Kernels are chosen for the size of the batch; parameters and the optimizer's state go on."""
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((211, 5)), rng.standard_normal((211, 3))
    network = gl.Sequential([gl.layers.Dense(67, gl.tanh), gl.layers.Dense(3)], (5,), loss=gl.losses.SquaredError())
    model, other = gl.Model(network, seed=1, target="numpy"), gl.Model(network, seed=1)
    for batch in (2, 211, 7):
        for one in (model, other):
            one.fit(x, y, epochs=1, batch=batch, optimizer=gl.optimizers.Adam(), shuffle=False, progress=False)
        assert other.program.batch == batch
        assert other.trainer(None, batch).steps == model.trainer(None, batch).steps
    np.testing.assert_allclose(other.params.flat, model.params.flat, rtol=0, atol=2e-4)


def test_optimizer_changed_in_place(net):
    model, optimizer = model_of(net), SGD(lr=0.1)
    model.fit(X, Y, epochs=1, optimizer=optimizer)
    before = model.params.flat.copy()
    optimizer.set(lr=0.0)
    model.fit(X, Y, epochs=1, optimizer=optimizer)
    np.testing.assert_array_equal(model.params.flat, before)
    model.fit(X, Y, epochs=1)
    np.testing.assert_array_equal(model.params.flat, before)


def test_frozen_parameters_stay():
    net = network()
    net.freeze("W1", "b2")
    model = model_of(net)
    before = {name: array.copy() for name, array in model.params.items()}
    model.fit(X, Y, epochs=2, batch=10, optimizer=SGD(lr=0.1))
    changed = {name: not np.array_equal(array, before[name]) for name, array in model.params.items()}
    assert changed == {"W1": False, "b1": True, "W2": True, "b2": False}
    model.network.freeze("W2")
    weights = model.params["W2"].copy()
    model.fit(X, Y, epochs=1, batch=10)
    np.testing.assert_array_equal(model.params["W2"], weights)


# ---- validation, metrics, history ------------------------------------------------------------------------------------


def test_validation_split(classifier):
    """A fraction is held out; the loss and accuracy of those rows are reported, and never trained on."""
    model = model_of(classifier)
    history = model.fit(X, LABELS, epochs=3, batch=10, validation=0.2, optimizer=SGD(lr=0.1), shuffle=False)
    assert set(history) == {"epoch", "loss", "val_loss", "val_accuracy"}
    held = model.evaluate(X[-11:], LABELS[-11:])
    assert history.val_loss[-1] == pytest.approx(held["loss"], rel=1e-12)
    assert history.val_accuracy[-1] == held["accuracy"]
    other = model_of(classifier)
    other.fit(X[:-11], LABELS[:-11], epochs=3, batch=10, optimizer=SGD(lr=0.1), shuffle=False)
    assert model.params.flat.tobytes() == other.params.flat.tobytes()


def test_validation_pair(classifier):
    model = model_of(classifier)
    history = model.fit(X, LABELS, epochs=1, validation=(X[:9], LABELS[:9]), optimizer=SGD(lr=0.1))
    assert history.val_loss[0] == pytest.approx(model.evaluate(X[:9], LABELS[:9])["loss"], rel=1e-12)


def test_accuracy_without_validation_is_of_the_training_rows(classifier):
    model = model_of(classifier)
    history = model.fit(X, LABELS, epochs=1, optimizer=SGD(lr=0.1))
    assert set(history) == {"epoch", "loss", "accuracy"}
    assert history.accuracy[0] == (model.predict(X).argmax(axis=1) == LABELS).mean()


@pytest.mark.parametrize(
    ("loss", "targets", "expected"),
    [
        (gl.losses.SquaredError(), np.eye(3)[LABELS], lambda out: (out.argmax(axis=1) == LABELS).mean()),
        (gl.losses.BinaryCrossEntropy(), (Y > 0) * 1.0, lambda out: ((out > 0.5) == (Y > 0)).mean()),
        (gl.losses.Hinge(), np.where(Y > 0, 1.0, -1.0), lambda out: ((out > 0) == (Y > 0)).mean()),
    ],
    ids=["one-hot", "multi-label", "hinge"],
)
def test_accuracy_of_each_kind_of_target(loss, targets, expected):
    model = model_of(network(loss))
    found = model.evaluate(X, targets, metrics="accuracy")
    assert found["accuracy"] == pytest.approx(expected(model.predict(X)))


def test_metrics_of_ones_own(net):
    def worst(outputs, targets):
        return np.abs(outputs - targets).max()

    model = model_of(net)
    found = model.evaluate(X, Y, metrics=[worst, "mean_absolute_error"])
    assert set(found) == {"loss", "worst", "mean_absolute_error"}
    assert found["worst"] == pytest.approx(np.abs(model.predict(X) - Y).max())
    with pytest.raises(gl.DataError, match=r"metric 'f1' is unknown; choose from accuracy"):
        model.evaluate(X, Y, metrics=["f1"])
    with pytest.raises(gl.DataError, match="accuracy needs targets that are classes"):
        model.evaluate(X, Y, metrics="accuracy")


def test_history_prints_a_table(classifier):
    history = model_of(classifier).fit(X, LABELS, epochs=30, validation=0.2, optimizer=SGD(lr=0.1))
    lines = str(history).splitlines()
    assert lines[0].split() == ["epoch", "loss", "val_loss", "val_accuracy"]
    assert len(lines) == 13
    assert lines[1].split()[0] == "1"
    assert lines[-1].split()[0] == "30"
    with pytest.raises(AttributeError, match="no 'accuracy'; it has epoch, loss"):
        history.accuracy  # noqa: B018


def test_predict_in_batches(net):
    model = model_of(net)
    np.testing.assert_allclose(model.predict(X, batch=7), model.predict(X), rtol=1e-13)
    assert model.predict(X[:1]).shape == (1, 3)


def test_sum_and_mean_losses_of_evaluate():
    """The loss of all rows at once, whether the equations divide by the batch size or not."""
    for loss in (gl.losses.SquaredError("sum"), gl.losses.SquaredError("mean")):
        model = model_of(network(loss))
        big = np.tile(X, (20, 1)), np.tile(Y, (20, 1))
        errors = (model.predict(big[0]) - big[1]) ** 2
        expected = errors.sum() if loss.reduction == "sum" else errors.mean()
        assert model.evaluate(*big)["loss"] == pytest.approx(expected, rel=1e-12)


# ---- options and data ------------------------------------------------------------------------------------------------


def test_bad_options(net):
    model = model_of(net)
    for options, words in [
        ({"epochs": -1}, "epochs is -1"),
        ({"epochs": 1.5}, "epochs is 1.5"),
        ({"batch": 0}, "batch is 0; expected a whole number of at least 1"),
        ({"validation": 1.5}, "validation is 1.5; expected a fraction"),
        ({"validation": 0.001}, "leaves 0 rows for validation"),
        ({"validation": 0.999}, "0 for training"),
        ({"validation": "half"}, "expected a fraction"),
    ]:
        with pytest.raises(gl.DataError, match=words):
            model.fit(X, Y, **options)
    with pytest.raises(gl.UndefinedError, match="SGD, a class"):
        model.fit(X, Y, optimizer=SGD)
    with pytest.raises(gl.DataError, match="seed is -1"):
        gl.Model(net, seed=-1)
    with pytest.raises(gl.DataError, match="callbacks is 5; expected a list"):
        model.fit(X, Y, callbacks=5)
    with pytest.raises(gl.UndefinedError, match="network is None; expected a network"):
        gl.Model(None)
    with pytest.raises(gl.UndefinedError, match="network is 'x'; expected a network"):
        gl.Model.load("model.npz", "x")
    with pytest.raises(gl.SizeError, match=r"sizes is \['a'\]; expected a dict"):
        gl.Model(net, sizes=["a"])
    with pytest.raises(gl.UnsupportedError, match="target 'gpu'"):
        gl.Model(net, target="gpu")
    with pytest.raises(gl.DataError, match=r"y has no data|target y .* has no data"):
        model.fit(X)


def test_nothing_is_lost_by_bad_data(net):
    model = model_of(net)
    model.fit(X, Y, epochs=1)
    before = model.params.flat.copy()
    with pytest.raises(gl.DataError, match="x holds NaN"):
        model.fit(np.full_like(X, np.nan), Y)
    np.testing.assert_array_equal(model.params.flat, before)
    assert model.epochs == 1


def test_network_without_parameters():
    net = gl.Network("circuit")
    x, y = net.input("x"), net.input("y")
    net.minimize(x * y)
    with pytest.raises(gl.UndefinedError, match="circuit has no parameters, so there is nothing to train"):
        gl.Model(net).fit({"x": 1, "y": 2})


def test_symbolic_sizes_are_read_off_the_data():
    B, n = gl.dims("B n")
    i, k = gl.indices("i k")
    net = gl.Network("sized")
    x, y = net.input("x", (B, n)), net.target("y", (B,))
    w = net.parameter("w", (n,))
    a = net.define("a", i, gl.Sum(w[k] * x[i, k], k))
    net.minimize(gl.Sum((a[i] - y[i]) ** 2, i) / B)
    model = model_of(net)
    with pytest.raises(gl.SizeError, match="call fit, which reads sizes off the data"):
        model.params  # noqa: B018
    true = np.arange(5.0)
    history = model.fit(X, X @ true, epochs=200, batch=10, optimizer=SGD(lr=0.1))
    assert model.sizes == {"n": 5}
    np.testing.assert_allclose(model.params["w"], true, atol=1e-3)
    assert history.loss[-1] < 1e-4
    with pytest.raises(gl.DataError, match=r"expected 5 \(n = 5\)"):
        model.predict(X[:, :4])
    assert gl.Model(net, sizes={"n": 7}).params["w"].shape == (7,)


def test_several_inputs_and_targets():
    B = gl.dims("B")
    i = gl.indices("i")
    net = gl.Network("several")
    u, v = net.input("u", (B,)), net.input("v", (B,))
    s, t = net.target("s", (B,)), net.target("t", (B,))
    p, q = net.parameter("p"), net.parameter("q")
    a = net.define("a", i, p * u[i])
    b = net.define("b", i, q * v[i])
    net.minimize(gl.Sum((a[i] - s[i]) ** 2 + (b[i] - t[i]) ** 2, i) / B)
    model = model_of(net)
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=(2, 40))
    model.fit({"v": v, "u": u}, {"t": 3 * v, "s": -2 * u}, epochs=100, batch=8, optimizer=SGD(lr=0.1))
    assert float(model.params["p"]) == pytest.approx(-2, abs=1e-6)
    assert float(model.params["q"]) == pytest.approx(3, abs=1e-6)
    assert model.predict({"u": u, "v": v}).shape == (40,)


def test_network_without_a_batch_axis():
    """A scalar equation can be trained too; every epoch is one step."""
    net = gl.Network("parabola")
    x = net.input("x")
    p = net.parameter("p", init=5.0)
    net.minimize((p - x) ** 2)
    model = model_of(net)
    history = model.fit({"x": 2.0}, epochs=50, optimizer=SGD(lr=0.25))
    assert history.loss[0] == 9
    assert float(model.params["p"]) == pytest.approx(2)


def test_loaded_model_has_the_target_it_was_saved_with(net, tmp_path):
    model_of(net).save(tmp_path / "model.npz")
    assert gl.Model.load(tmp_path / "model.npz", net).target == "numpy"
    assert gl.Model.load(tmp_path / "model.npz", net, target="cpu").target == "cpu"
