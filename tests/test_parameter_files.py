"""Files of parameters alone: read by safetensors and NumPy themselves, and what does not fit is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_models import X, model_of, network

import gradloom as gl
from gradloom.symbolic.errors import MissingExtraError, SavedFileError, ShapeError

SUFFIXES = (".npz", ".safetensors")


def with_states(**options):
    layers = [gl.layers.Dense(7, gl.tanh), gl.layers.BatchNorm(), gl.layers.Dense(3)]
    net = gl.Sequential(layers, 5, loss=gl.losses.SquaredError(), name="normal")
    model = model_of(net, **options)
    rng = np.random.default_rng(options.get("seed", 0))
    for array in model.params.values():
        array[...] = rng.normal(size=array.shape) ** 2 + 0.1
    return model


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip_and_another_precision(tmp_path, suffix):
    pytest.importorskip("safetensors")
    model, path = with_states(seed=1), tmp_path / f"parameters{suffix}"
    model.save_parameters(path)
    other = with_states(seed=2)
    assert not np.array_equal(other.predict(X), model.predict(X))
    other.load_parameters(str(path))
    assert np.array_equal(other.predict(X), model.predict(X))
    assert list(other.params) == ["W1", "b1", "gamma2", "beta2", "W3", "b3", "running_mean2", "running_var2"]
    single = with_states(seed=3, dtype="float32")
    single.load_parameters(path)
    assert all(np.array_equal(single.params[name], model.params[name].astype("float32")) for name in model.params)


def test_others_read_and_write_them(tmp_path):
    torch_files = pytest.importorskip("safetensors.torch")
    from safetensors import safe_open

    model = with_states()
    model.save_parameters(tmp_path / "a.safetensors")
    tensors = torch_files.load_file(tmp_path / "a.safetensors")
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {n: a.shape for n, a in model.params.items()}
    assert all(np.array_equal(tensor.numpy(), model.params[name]) for name, tensor in tensors.items())
    with safe_open(tmp_path / "a.safetensors", "np") as file:
        assert file.metadata()["network"] == "normal"
        assert len(file.metadata()["fingerprint"]) == 64
    torch_files.save_file({name: 2 * tensor for name, tensor in tensors.items()}, tmp_path / "b.safetensors")
    model.load_parameters(tmp_path / "b.safetensors")
    assert np.array_equal(model.params["W1"], 2 * tensors["W1"].numpy())
    model.save_parameters(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as archive:
        assert set(archive.files) == {*model.params, "__about__"}
        assert json.loads(bytes(archive["__about__"]))["network"] == "normal"


def test_symbolic_sizes_are_read_off_the_file(tmp_path):
    n, m = gl.dims("n m")

    def made():
        return model_of(gl.Sequential([gl.layers.Dense(m)], n, loss=gl.losses.SquaredError()))

    np.savez(tmp_path / "a.npz", W1=np.ones((3, 5)), b1=np.zeros(3))
    model = made()
    model.load_parameters(tmp_path / "a.npz")
    assert model.sizes == {"n": 5, "m": 3}
    assert np.allclose(model.predict(X), X.sum(1, keepdims=True))
    np.savez(tmp_path / "b.npz", W1=np.ones((3, 5)), b1=np.zeros(2))
    with pytest.raises(ShapeError, match=r"b1 has shape \(2,\); expected \(3,\), declared \(m,\)"):
        made().load_parameters(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda a: a.pop("b2"), SavedFileError, "holds W1, b1, W2; small has W1, b1, W2, b2; missing: b2"),
        (lambda a: a.update(c=np.ones(3)), SavedFileError, "unknown: c"),
        (lambda a: a.update(b2=np.ones(2)), ShapeError, r"b2 has shape \(2,\); expected \(3,\)"),
        (lambda a: a.update(b2=np.ones((3, 1))), ShapeError, r"b2 has shape \(3, 1\); expected \(3,\)"),
        (lambda a: a.update(b2=np.ones(3, int)), SavedFileError, "b2 holds int64; expected floating-point"),
    ],
)
def test_what_does_not_fit_changes_nothing(tmp_path, change, error, message):
    model = model_of(network())
    arrays = {name: 2 * array for name, array in model.params.items()}
    change(arrays)
    np.savez(tmp_path / "a.npz", **arrays)
    before = model.params.flat.copy()
    with pytest.raises(error, match=message):
        model.load_parameters(tmp_path / "a.npz")
    assert np.array_equal(model.params.flat, before)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_and_damaged_files(tmp_path, suffix):
    pytest.importorskip("safetensors")
    model, path = model_of(network()), tmp_path / f"a{suffix}"
    with pytest.raises(SavedFileError, match="there is no file of parameters"):
        model.load_parameters(path)
    model.save_parameters(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SavedFileError, match="is damaged"):
        model.load_parameters(path)
    with pytest.raises(SavedFileError, match="does not exist; create it"):
        model.save_parameters(tmp_path / "none" / f"a{suffix}")


def test_other_suffixes_and_a_missing_package(tmp_path, monkeypatch):
    model = model_of(network())
    with pytest.raises(SavedFileError, match=r"end in \.safetensors or \.npz"):
        model.save_parameters(tmp_path / "a.pt")
    monkeypatch.setitem(__import__("sys").modules, "safetensors.numpy", None)
    with pytest.raises(MissingExtraError, match=r'pip install "gradloom\[safetensors\]"'):
        model.save_parameters(tmp_path / "a.safetensors")


def test_half_precisions_of_others(tmp_path):
    torch = pytest.importorskip("torch")
    torch_files = pytest.importorskip("safetensors.torch")
    model, path = with_states(seed=1), tmp_path / "half.safetensors"
    for kind in (torch.bfloat16, torch.float16):
        halves = {name: torch.tensor(array).to(kind) for name, array in with_states(seed=2).params.items()}
        torch_files.save_file(halves, path)
        model.load_parameters(path)
        for name, half in halves.items():
            assert np.array_equal(model.params[name], half.double().numpy())
    torch_files.save_file({name: half.to(torch.float8_e4m3fn) for name, half in halves.items()}, path)
    with pytest.raises(SavedFileError, match="holds F8_E4M3; expected F64"):
        model.load_parameters(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_numbers_too_large_for_the_model_change_nothing(tmp_path, suffix):
    pytest.importorskip("safetensors")
    model, path = with_states(), tmp_path / f"a{suffix}"
    model.params["b1"][3] = -1e300
    model.save_parameters(path)
    single = with_states(dtype="float32")
    before = single.params.flat.copy()
    with pytest.raises(SavedFileError, match=r"b1 holds 1e\+300, too large for float32; take float64"):
        single.load_parameters(path)
    assert np.array_equal(single.params.flat, before)
