"""`precision="tf32"`: products by tensor cores, where they are asked for and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_products import WARP
from lockstep_kernels import tf32_rounded
from simulated import SimulatedDevice, device_module, drawn, host_part, start
from small_models import MODEL, run
from test_cuda_compiler import compiled

import gradloom as gl
from gradloom.codegen.cuda import write
from gradloom.codegen.cuda_tiles import (
    BROAD_TF32,
    HUGE_TF32,
    LARGE_TF32,
    MOST_SHARED,
    SHARED,
    TF32_TILES,
    TILES,
    Way,
    shared_asked,
)
from gradloom.codegen.generate import generate
from gradloom.runtime import cuda_device, cuda_host

ROWS, INPUTS, OUTPUTS = 19, 23, 11


@pytest.fixture
def tensor_cores(monkeypatch, one_warp):
    """Tiles of one warp of tensor cores; the others are too dear to be chosen."""
    monkeypatch.setattr(write, "TF32_TILES", (WARP,))


def dense(width=INPUTS, out=OUTPUTS):
    return gl.Sequential([gl.layers.Dense(out)], (width,), loss=gl.losses.SquaredError())


@pytest.mark.usefixtures("tensor_cores")
@pytest.mark.parametrize("width", [INPUTS, 24])
def test_factors_are_rounded_and_sums_are_not(width):
    """A dense layer by NumPy: its output and its gradients, in float64, of factors that are rounded first."""
    net = dense(width)
    module = device_module(generate(net, target="cuda", precision="tf32").source, "float32")
    x, y = (array.astype(np.float32) for array in drawn(net, ROWS))
    flat = start(module, "float32")
    W, b = flat[: width * OUTPUTS].reshape(OUTPUTS, width), flat[width * OUTPUTS :]
    found = module.predict(flat, x, module.workspace(ROWS))
    rounded = tf32_rounded(x).astype(np.float64) @ tf32_rounded(W).T.astype(np.float64) + b
    exact = x.astype(np.float64) @ W.T.astype(np.float64) + b
    np.testing.assert_allclose(found, rounded, rtol=2e-6, atol=2e-6)
    assert 1e-4 < np.abs(found - exact).max() < 1e-2

    grads = np.empty_like(flat)
    module.loss_and_gradients(flat, x, y, module.workspace(ROWS), grads)
    delta = (found - y) / ROWS
    known = tf32_rounded(delta.astype(np.float32)).T.astype(np.float64) @ tf32_rounded(x).astype(np.float64)
    np.testing.assert_allclose(grads[: width * OUTPUTS].reshape(OUTPUTS, width), known, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("tensor_cores")
def test_a_recurrent_network_and_one_of_convolutions_train_nearly_alike():
    nets = [
        gl.Sequential([gl.layers.LSTM(5), gl.layers.Dense(3)], (4, 6), loss=gl.losses.SquaredError()),
        gl.Sequential(
            [gl.layers.Conv2D(3, 3, activation=gl.tanh), gl.layers.Flatten(), gl.layers.Dense(4)],
            (2, 6, 5),
            loss=gl.losses.SquaredError(),
        ),
    ]
    for net in nets:
        module = device_module(generate(net, target="cuda", precision="tf32").source, "float32", races=True)
        program = net.compile(target="numpy", dtype="float64")
        data, flat = drawn(net, 5), start(module, "float32")
        known = np.empty(flat.size)
        expected = program.module.loss_and_gradients(flat.astype(float), *data, program.workspace(5), known)
        found = np.empty_like(flat)
        loss = module.loss_and_gradients(flat, *data, module.workspace(5), found)
        assert loss == pytest.approx(float(expected), rel=5e-3)
        assert not np.array_equal(found, known.astype(np.float32))
        np.testing.assert_allclose(found, known, rtol=0, atol=5e-3 * np.abs(known).max())


def test_nothing_is_rounded_unless_it_is_asked_for():
    net = dense()
    exact = generate(net, target="cuda").source
    assert "tf32" not in exact
    assert generate(net, target="cuda", precision="float32").source == exact
    assert "tf32_tile((" in generate(net, target="cuda", precision="tf32").source
    assert not any(tile.tensor_cores for tile in TILES)


@pytest.mark.usefixtures("tensor_cores")
def test_a_training_goes_on_with_it_after_saving(monkeypatch, tmp_path):
    monkeypatch.setattr(cuda_device, "default_device", lambda: SimulatedDevice(races=False))
    monkeypatch.setattr(cuda_host, "device_part", lambda source, options: host_part(source))
    net = dense(24)
    x, y = (array.astype(np.float32) for array in drawn(net, ROWS))
    settings = {"epochs": 1, "batch": ROWS, "optimizer": gl.optimizers.Adam(lr=0.05)}
    model = gl.Model(net, target="cuda", precision="tf32")
    model.fit(x, y, **settings)
    model.save(tmp_path / "tf32.npz")
    gl.Model.load(tmp_path / "tf32.npz", net).save(tmp_path / "again.npz")
    for name in ("tf32.npz", "again.npz"):
        again = gl.Model.load(tmp_path / name, net)
        assert again.precision == "tf32"
        again.fit(x, y, **settings)
        assert "tf32_tile((" in again.program.source
        assert again.trainings == 1  # of the same state of the optimizer
        if name == "tf32.npz":
            model.fit(x, y, **settings)
        np.testing.assert_array_equal(again.params.flat, model.params.flat)
    # Other targets have no tensor cores.
    assert gl.Model.load(tmp_path / "tf32.npz", net, target="numpy").precision is None


def test_their_tiles_fit_into_the_shared_memory_of_any_gpu():
    """With 32 numbers more for sums; the others into what a block has without asking, in double precision, too."""
    ways = [Way(along, wide) for along in (False, True) for wide in (False, True)]
    for tile in TF32_TILES:
        assert tile.threads == 256
        each, most = (4, MOST_SHARED) if tile.tensor_cores else (8, SHARED)
        stages = {tile.stage(left, right) for left in ways for right in ways}
        assert (max(stages) + 32) * each <= most
        assert tile.tensor_cores or {shared_asked(stage, each) for stage in stages} == {0}
    assert shared_asked(HUGE_TF32.stage(*ways[-2:]), 4) > SHARED


@pytest.mark.parametrize(
    ("size", "tile"), [(4096, HUGE_TF32), (2048, LARGE_TF32), (256, BROAD_TF32)], ids=["4096", "2048", "256"]
)
def test_the_largest_tiles_are_chosen_where_there_are_enough_of_them(size, tile):
    net = gl.Sequential([gl.layers.Dense(size, bias=False)], (size,), loss=gl.losses.SquaredError())
    source = generate(net, target="cuda", precision="tf32", batch=size).source
    assert f"tf32_tile(({tile.rows}, {tile.columns})," in source
    is_dynamic = tile in (HUGE_TF32, LARGE_TF32)
    assert ("stage = cuda.shared.array(0, real, alignment=16)" in source) == is_dynamic
    assert ("SHARED = 0 " in source) != is_dynamic


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "cpu"}, "precision 'tf32' is one of tensor cores, and target 'cpu' has none; leave it out"),
        ({"target": "cuda", "dtype": "float64"}, "one of float32 factors, and the dtype is float64; leave it out"),
        ({"target": "cuda", "precision": "bfloat16"}, "precision 'bfloat16' is not offered; choose 'tf32'"),
    ],
)
def test_what_is_not_offered(options, said):
    options = {"precision": "tf32"} | options
    for make in (
        dense().compile,
        lambda **given: gl.Model(dense(), **given),
        lambda **given: generate(dense(), **given),
    ):
        with pytest.raises(gl.UnsupportedError, match=said):
            make(**options)


def test_the_command_line_and_model_files(capsys, tmp_path):
    plain, asking = tmp_path / "plain.py", tmp_path / "asking.py"
    model = (
        MODEL.replace("Dense(4,", "Dense(40,").replace("input_shape=3", "input_shape=30").replace("(20, 3)", "(20, 30)")
    )
    plain.write_text(model)
    asking.write_text(model + '\ntraining["precision"] = "tf32"\n')

    def tiles(*options):
        status, out, err = run(capsys, "generate", *options)
        assert (status, err) == (0, "")
        return "tf32_tile((" in out

    large = "--batch", "200", "--target", "cuda"
    assert not tiles(plain, *large)
    assert tiles(plain, *large, "--precision", "tf32")
    assert tiles(asking, *large)
    assert not tiles(asking, "--target", "numpy")  # it says how a GPU computes
    status, _, err = run(capsys, "generate", plain, "--precision", "tf32")
    assert status == 2
    assert "target 'cpu' has none" in err
    assert run(capsys, "train", asking, "--epochs", "1")[0] == 0


@compiled
def test_a_training_kernel_of_tensor_cores_is_lean(record_property):
    from test_cuda_gates import CompilingDevice, loaded

    from gradloom.runtime import cuda_compiler
    from gradloom.runtime.cuda_module import DeviceModule

    net = gl.Sequential(
        [gl.layers.Dense(512, gl.relu), gl.layers.Dense(10)], (784,), loss=gl.losses.CrossEntropy("labels")
    )
    rule = gl.optimizers.SGD(lr=0.1)
    source = generate(net, target="cuda", optimizer=rule, precision="tf32", batch=512).source
    device = CompilingDevice((9, 0))
    module = DeviceModule(loaded(source), device, "float32")
    size = max(place + int(np.prod(shape)) for place, shape in module.PARAMETERS.values())
    params, data = np.zeros(size, np.float32), drawn(net, 3)
    state = np.zeros((0, size), np.float32)
    module.epoch(params, params.copy(), state, *data, np.arange(3), 3, np.array([0.1]), 0, module.workspace(3))
    counts, resources = cuda_compiler.counts(device.ptx), device.cubin.resources
    record_property("registers", resources.registers)
    assert counts["mma"] > 0
    assert (counts["float64"], counts["calls"], counts["read_only"]) == (0, 0, 0)
    assert (resources.local, resources.spills) == (0, 0)
