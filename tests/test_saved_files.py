"""Saved models: what a file gives back, and every kind of file that is refused."""

from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pytest

import gradloom as gl
from gradloom.runtime.saved_files import fingerprint


def network(units=4, activation=gl.sigmoid, name="saved", strength=None):
    penalties = [] if strength is None else [gl.losses.L2(strength)]
    return gl.Sequential(
        [gl.layers.Dense(units, activation), gl.layers.Dense(2)],
        input_shape=3,
        loss=gl.losses.SquaredError(),
        penalties=penalties,
        name=name,
    )


NET = network()
RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(23, 3)), RNG.normal(size=(23, 2))


def trained(epochs=3):
    model = gl.Model(NET, seed=1, target="numpy", dtype="float64")
    model.fit(X, Y, epochs=epochs, batch=5, optimizer=gl.optimizers.Adam(lr=0.01))
    return model


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.npz"
    trained().save(path)
    return path


def test_saved_model_comes_back(saved):
    model, again = trained(), gl.Model.load(saved, NET, target="numpy")
    np.testing.assert_array_equal(again.params.flat, model.params.flat)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert (again.dtype, again.seed, again.epochs) == ("float64", 1, 3)


def test_training_goes_on_as_if_not_interrupted(saved):
    """Parameters, optimizer state, step count and the order of rows: the same bits as one training of six epochs."""
    again = gl.Model.load(saved, NET, target="numpy")
    history = again.fit(X, Y, epochs=3, batch=5, optimizer=gl.optimizers.Adam(lr=0.01))
    np.testing.assert_array_equal(again.params.flat, trained(6).params.flat)
    assert history.epoch == [4, 5, 6]


def test_saving_again_keeps_the_training(saved, tmp_path):
    gl.Model.load(saved, NET, target="numpy").save(tmp_path / "copy.npz")
    again = gl.Model.load(tmp_path / "copy.npz", NET, target="numpy")
    again.fit(X, Y, epochs=3, batch=5, optimizer=gl.optimizers.Adam(lr=0.01))
    np.testing.assert_array_equal(again.params.flat, trained(6).params.flat)


def test_file_holds_plain_arrays(saved):
    with np.load(saved, allow_pickle=False) as archive:
        assert {"parameter.W1", "parameter.b1", "parameter.W2", "parameter.b2", "about", "state"} == set(archive.files)
        assert json.loads(bytes(archive["about"]))["format"] == 1


def test_failed_save_leaves_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(gl.SavedFileError, match="No space left"):
        trained(1).save(saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["model.npz"]


def test_save_into_nowhere(tmp_path):
    with pytest.raises(gl.SavedFileError, match="cannot write"):
        trained(1).save(tmp_path / "absent" / "model.npz")


def test_missing_file(tmp_path):
    with pytest.raises(gl.SavedFileError, match="there is no saved model"):
        gl.Model.load(tmp_path / "absent.npz", NET)


def test_directory(tmp_path):
    with pytest.raises(gl.SavedFileError, match="Is a directory"):
        gl.Model.load(tmp_path, NET)


def test_truncated_at_any_length(saved):
    content = saved.read_bytes()
    for length in range(0, len(content), 97):
        saved.write_bytes(content[:length])
        with pytest.raises(gl.SavedFileError, match="truncated or corrupt"):
            gl.Model.load(saved, NET, target="numpy")


def test_corrupt_bytes_never_load_other_numbers(saved):
    """A flipped byte is refused, or falls where nothing is stored (between the archive's members)."""
    content = saved.read_bytes()
    right = gl.Model.load(saved, NET, target="numpy").params.flat.copy()
    refused = 0
    for place in range(0, len(content), 61):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        saved.write_bytes(bytes(damaged))
        try:
            found = gl.Model.load(saved, NET, target="numpy")
        except gl.SavedFileError:
            refused += 1
        else:
            np.testing.assert_array_equal(found.params.flat, right)
    assert refused > len(content) // 61 // 2


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and no more", pickle.dumps({"W1": 1})])
def test_other_files(tmp_path, content):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(gl.SavedFileError, match="is not a saved model"):
        gl.Model.load(path, NET)


def test_pickled_objects_are_not_read(tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, about=np.array([{"format": 1}]))
    with pytest.raises(gl.SavedFileError, match="is not a saved model"):
        gl.Model.load(path, NET)


def rewritten(path, change):
    """Write the file anew with its JSON text or arrays changed."""
    with np.load(path) as archive:
        arrays = dict(archive)
    about = json.loads(bytes(arrays["about"]))
    change(about, arrays)
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    "change",
    [
        lambda about, arrays: arrays.pop("parameter.b2"),
        lambda about, arrays: arrays.update({"parameter.W1": np.zeros((3, 4))}),
        lambda about, arrays: arrays.update({"parameter.W1": np.zeros((4, 3), dtype=np.float32)}),
        lambda about, arrays: about.pop("order"),
        lambda about, arrays: about.update(dtype="complex"),
        lambda about, arrays: about.update(precision="tf32"),  # of float64
        lambda about, arrays: about.update(precision=["tf32"]),
        lambda about, arrays: about.update(order={"bit_generator": "nothing"}),
        lambda about, arrays: about["order"]["state"].update(state=10**400),
        lambda about, arrays: about.update(steps=10**400),
        lambda about, arrays: about.update(seed="x"),
        lambda about, arrays: arrays.update(state=np.zeros((1, 2), dtype=np.float32)),
        lambda about, arrays: arrays.update(state=np.zeros((2, 99))),
    ],
)
def test_inconsistent_files(saved, change):
    rewritten(saved, change)
    with pytest.raises(gl.SavedFileError, match="truncated or corrupt"):
        gl.Model.load(saved, NET, target="numpy")


def test_files_that_name_no_precision(saved):
    """As earlier versions wrote them."""
    rewritten(saved, lambda about, arrays: about.pop("precision"))
    assert gl.Model.load(saved, NET).precision is None


def test_newer_format(saved):
    rewritten(saved, lambda about, arrays: about.update(format=2))
    with pytest.raises(gl.SavedFileError, match="has format 2; this version of gradloom reads format 1"):
        gl.Model.load(saved, NET)


def test_another_network(saved):
    with pytest.raises(gl.SavedFileError, match=r"its W1 is \(4, 3\), that of other is \(5, 3\)"):
        gl.Model.load(saved, network(units=5, name="other"))
    with pytest.raises(gl.SavedFileError, match="the same parameters as saved, but other equations"):
        gl.Model.load(saved, network(activation=gl.tanh))


def test_fingerprint():
    """Of equations and constants; not of titles, letters, or how an equation was built."""
    assert fingerprint(network()) == fingerprint(network(name="renamed"))
    assert fingerprint(network(strength=0.1)) != fingerprint(network(strength=0.2))
    assert fingerprint(network(strength=0.1)) != fingerprint(network())

    def own(formula, letters="i j"):
        i, j = gl.indices(letters)
        B = gl.dims("B")
        net = gl.Network()
        x, w = net.input("x", (B, 3)), net.parameter("w", (3,))
        a = net.define("a", (i, j), gl.elementwise("own", formula)(w[j] * x[i, j]))
        net.minimize(gl.Sum(a[i, j], i, j))
        return fingerprint(net)

    assert own(lambda z: z**2) == own(lambda z: z**2, "p q")
    assert own(lambda z: z**2) != own(lambda z: z**3)


def test_json_that_is_too_deep(tmp_path):
    np.savez(tmp_path / "deep.npz", about=np.frombuffer(b"[" * 100_000, np.uint8))
    with pytest.raises(gl.SavedFileError, match="is not a saved model"):
        gl.Model.load(tmp_path / "deep.npz", NET)


@pytest.mark.parametrize("name", ["a\0b.npz", "a\0/b.npz", None, 3])
def test_what_names_no_file_is_not_written(name):
    with pytest.raises(gl.SavedFileError, match="it is not the name of a file"):
        gl.Model(NET, target="numpy").save(name)
