"""Copies and pickles of networks, optimizers and models: what was declared and arrays, never kernels."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from small_models import X, Y

import gradloom as gl
from gradloom.runtime.declaration import declaration_digest
from gradloom.runtime.saved_files import fingerprint

L = gl.layers
LOSS = gl.losses.SquaredError
NETWORKS = {
    "activations": lambda: gl.Sequential(
        [*(L.Dense(5, getattr(gl, name)) for name in ("relu", "gelu", "elu", "tanh", "softmax")), L.Dense(3)],
        4,
        loss=gl.losses.CrossEntropy("labels", mask="sample_weight"),
        penalties=[gl.losses.L2(0.1)],
    ),
    "functions of one's own": lambda: gl.Sequential([L.Dense(5, lambda z: z * gl.tanh(z))], 4, loss=lambda a, y: a * y),
    "lstm": lambda: gl.Sequential([L.LSTM(5, return_sequences=False)], (7, 4), loss=LOSS()),
    "modes": lambda: gl.Sequential([L.Dense(5), L.BatchNorm(), L.Dropout(0.3)], 4, loss=LOSS()),
    "convolution": lambda: gl.Sequential([L.Conv2D(3, 3), L.MaxPool2D(2), L.Flatten()], (1, 8, 8), loss=LOSS()),
    "symbols": lambda: gl.Sequential([L.Dense(gl.Dim("m"), bias_init=0.5)], gl.Dim("n"), loss=LOSS()),
}
WAYS = {"deepcopy": copy.deepcopy, "pickle": lambda thing: pickle.loads(pickle.dumps(thing))}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_declared_the_same(name, way):
    network = NETWORKS[name]()
    found = WAYS[way](network)
    assert fingerprint(found) == fingerprint(network)
    assert declaration_digest(found, None, []) == declaration_digest(network, None, [])
    assert str(found.derive()) == str(network.derive())
    assert found.initializers == network.initializers
    i = gl.indices("i")
    found.define("more", i, found.target("t", (gl.Dim("B"),))[i] ** 2)
    assert "more" not in network.tensors


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "optimizer",
    [
        gl.optimizers.SGD(gl.schedules.Cosine(0.1, 50), momentum=0.9, weight_decay=0.1, clip_norm=1.0),
        gl.optimizers.AdamW(lr=lambda t: 1 / t),
    ],
)
def test_an_optimizer_has_numbers_of_its_own(optimizer, way):
    network = NETWORKS["symbols"]()
    found = WAYS[way](optimizer)
    assert declaration_digest(network, found, []) == declaration_digest(network, optimizer, [])
    name, before = next(iter(optimizer.values.items()))
    found.set(**{name: before / 2})
    assert optimizer.values[name] == before
    assert found.values == {**optimizer.values, name: before / 2}


def noisy(**options):
    """A model whose training draws noise and carries states, in double precision."""
    net = gl.Sequential([L.Dense(7, gl.tanh), L.BatchNorm(), L.Dropout(0.3), L.Dense(3)], 5, loss=LOSS())
    return gl.Model(net, **{"seed": 3, "target": "numpy", "dtype": "float64", **options})


@pytest.mark.parametrize("way", WAYS)
def test_a_training_goes_on_in_the_copy(way):
    """The same bits as one training, without naming the optimizer; and the original stays as it was."""
    model = noisy()
    model.fit(X, Y, epochs=3, batch=10, optimizer=gl.optimizers.Adam(lr=0.01))
    before = model.params.flat.copy()
    found = WAYS[way](WAYS[way](model))  # of a copy that was never used, too
    assert found.history == model.history
    np.testing.assert_array_equal(found.predict(X), model.predict(X))
    assert found.fit(X, Y, epochs=2, batch=10).epoch == [4, 5]
    np.testing.assert_array_equal(model.params.flat, before)
    model.fit(X, Y, epochs=2, batch=10)
    np.testing.assert_array_equal(found.params.flat, model.params.flat)
    assert found.optimizer is not model.optimizer


def test_a_model_that_is_not_trained_begins_as_its_copy():
    net = NETWORKS["symbols"]()
    model = gl.Model(net, seed=5, target="numpy")
    copies = [way(model) for way in WAYS.values()]
    model.fit(X, Y, epochs=2, batch=10)
    for found in copies:
        found.fit(X, Y, epochs=2, batch=10)
        np.testing.assert_array_equal(found.params.flat, model.params.flat)


def test_a_pickle_holds_no_kernels_and_is_used_in_another_process(tmp_path):
    """Predictions are the same bits in a process whose kernel cache is empty."""
    model = noisy(target="cpu", dtype="float32")
    model.params.flat[:] = np.random.default_rng(7).normal(size=model.params.flat.size)
    expected = model.predict(X)
    content = pickle.dumps(model)
    assert b"def " not in content
    assert b"njit" not in content
    (tmp_path / "model.pickle").write_bytes(content)
    np.save(tmp_path / "x.npy", X)
    script = (
        "import pickle, sys, pathlib, numpy as np\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "model = pickle.loads((folder / 'model.pickle').read_bytes())\n"
        "assert 'numba' not in sys.modules\n"
        "np.save(folder / 'y.npy', model.predict(np.load(folder / 'x.npy')))\n"
    )
    environment = {**os.environ, "GRADLOOM_CACHE_DIR": str(tmp_path / "kernels")}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=environment)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)
    assert list((tmp_path / "kernels").glob("*.py"))


def test_an_elementwise_function_is_found_by_its_module():
    assert pickle.loads(pickle.dumps(gl.relu)) is gl.relu
    assert gl.relu.__module__ == "gradloom.symbolic.activations"
    local = gl.elementwise("local", lambda z: z**3)
    net = gl.Sequential([L.Dense(3, local)], 4, loss=LOSS())
    assert copy.deepcopy(net).equation("a1") == net.equation("a1")
    with pytest.raises((pickle.PicklingError, AttributeError), match="local"):
        pickle.dumps(net)
