"""Trainings in which each block does everything small for itself, on a simulated device."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from everyday import daily
from lockstep import Race
from simulated import device_module, drawn, small_tiles, start, trained

import gradloom as gl
from benchmarks.gpu.estimate import waits_of
from gradloom.codegen.cuda import assumed, block_training, write
from gradloom.codegen.cuda.block_ops import gradients_of
from gradloom.codegen.cuda.divided import Parts, divisions
from gradloom.codegen.generate import generate

L = gl.layers
ADAM = gl.optimizers.Adam(lr=0.05)


def perceptron(inputs=53):
    layers = [L.Dense(7, gl.sigmoid), L.Dense(5, gl.sigmoid), L.Dense(3, gl.sigmoid)]
    return gl.Sequential(layers, (inputs,), loss=gl.losses.SquaredError())


def tiny():
    return gl.Sequential([L.Dense(2, gl.sigmoid), L.Dense(2, gl.sigmoid)], (2,), loss=gl.losses.SquaredError())


def softmax():
    penalties = [gl.losses.L2(0.01)]
    layers = [L.Dense(5, gl.tanh), L.Dense(3)]
    return gl.Sequential(layers, (11,), loss=gl.losses.CrossEntropy("labels"), penalties=penalties)


def residual():
    """Two inputs, a sum past a layer, a weight that is used twice."""
    B, (i, j, k) = gl.dims("B"), gl.indices("i j k")
    net = gl.Network("residual")
    x, u, y = net.input("x", (B, 5)), net.input("u", (B, 7)), net.target("y", (B, 5))
    w, v = net.parameter("w", (5, 5)), net.parameter("v", (5, 7))
    h = net.define("h", (i, j), gl.tanh(gl.Sum(w[j, k] * x[i, k], k) + gl.Sum(v[j, k] * u[i, k], k)))
    a = net.define("a", (i, j), h[i, j] + gl.tanh(gl.Sum(w[j, k] * h[i, k], k)))
    net.minimize(gl.Sum((a[i, j] - y[i, j]) ** 2, i, j) / B)
    return net


def tied():
    """An autoencoder that reads its weight in both directions: what it makes of x is divided as the weight is."""
    B, (i, j, k) = gl.dims("B"), gl.indices("i j k")
    net = gl.Network("tied")
    x, w, b = net.input("x", (B, 13)), net.parameter("w", (3, 13)), net.parameter("b", (13,))
    h = net.define("h", (i, j), gl.tanh(gl.Sum(w[j, k] * x[i, k], k)))
    r = net.define("r", (i, k), gl.Sum(w[j, k] * h[i, j], j) + b[k])
    net.minimize(gl.Sum((r[i, k] - x[i, k]) ** 2, i, k) / B + gl.Sum(w[j, k] ** 2, j, k) / 50)
    return net


def scaled():
    """Numbers alone as parameters: of a layer, and of what comes out."""
    B, (i, j, k) = gl.dims("B"), gl.indices("i j k")
    net = gl.Network("scaled")
    x, y, w = net.input("x", (B, 7)), net.target("y", (B, 3)), net.parameter("w", (3, 7))
    s, t = net.parameter("s"), net.parameter("t")
    h = net.define("h", (i, j), gl.tanh(gl.Sum(w[j, k] * x[i, k], k) * s))
    net.minimize(gl.Sum((h[i, j] + t - y[i, j]) ** 2, i, j) / B + s**2 / 20)
    return net


def looked_up():
    """Rows of an even length, between which there are gaps in shared memory."""
    B, (i, k) = gl.dims("B"), gl.indices("i k")
    net = gl.Network("looked_up")
    x, y, table = net.input("x", (B,), classes=5), net.target("y", (B, 4)), net.parameter("E", (5, 4))
    a = net.define("a", (i, k), gl.tanh(table[x[i], k]))
    net.minimize(gl.Sum((a[i, k] - y[i, k]) ** 2, i, k) / B)
    return net


def frozen():
    net = perceptron(11)
    net.freeze("W2")
    return net


NETWORKS = {
    "perceptron": perceptron,
    "tiny": tiny,
    "softmax": softmax,
    "residual": residual,
    "tied": tied,
    "frozen": frozen,
    "scaled": scaled,
    "looked up": looked_up,
}


def as_asked(monkeypatch, parameter=None, axis=0, size=1):
    """Divide a parameter, whatever takes how long; without one, nothing."""

    def chosen(ops, plan, threads, only=None, most=None):
        if parameter is None:
            return 0.0, None
        found = divisions(ops, gradients_of(plan), plan.sizes)
        tensor = plan.network.tensors[parameter]
        division = next(one for one in found if one.axes.get(tensor) == axis)
        return 0.0, Parts.of(division, size)

    monkeypatch.setattr(block_training, "chosen", chosen)


def kernel(net, dtype="float64", rule=ADAM, batch=8):
    source = generate(net, target="cuda", dtype=dtype, optimizer=rule, batch=batch).source
    assert "def step_alone(" in source
    return source


def waits(source):
    return source[source.index("def step_alone(") : source.index("def change(")].count("grid_barrier(gate)")


def assert_as_numpy(net, source, rule=ADAM, dtype="float64", rows=7, batch=3, **options):
    reference = net.compile(target="numpy", dtype=dtype, optimizer=rule)
    found = trained(device_module(source, dtype, **options), net, rule, dtype, rows=rows, batch=batch)
    known = trained(reference.module, net, rule, dtype, rows=rows, batch=batch)
    near = {"rtol": 1e-8, "atol": 1e-10} if dtype == "float64" else {"rtol": 2e-4, "atol": 2e-5}
    np.testing.assert_allclose(found[0], known[0], **near)
    np.testing.assert_allclose(found[1], known[1], **near)
    assert found[2] == pytest.approx(known[2], rel=near["rtol"])
    assert found[3] == known[3]
    return found


@pytest.mark.usefixtures("one_warp")
@pytest.mark.parametrize("name", NETWORKS)
def test_one_block_trains_as_numpy(monkeypatch, name):
    as_asked(monkeypatch)
    net = NETWORKS[name]()
    source = kernel(net)
    assert waits(source) == 0
    assert_as_numpy(net, source)


DIVIDED = {  # network, parameter, axis, size of a part, waits
    "the inputs": ("perceptron", "W1", 1, 7, 1),
    "a shorter last part": ("perceptron", "W1", 1, 20, 1),
    "the outputs of a layer": ("perceptron", "W1", 0, 3, 1),
    "a layer within": ("perceptron", "W2", 1, 2, 1),
    "labels and a penalty": ("softmax", "W1", 1, 4, 1),
    "one of two inputs": ("residual", "v", 1, 2, 1),
    "there and back": ("tied", "w", 1, 4, 3),
    "beside what is frozen": ("frozen", "W1", 1, 3, 1),
    "beside numbers alone": ("scaled", "w", 1, 2, 1),
    "what numbers alone scale": ("scaled", "w", 0, 1, 2),
}


@pytest.mark.usefixtures("one_warp")
@pytest.mark.parametrize("blocks", daily([1, 2, 9], 2))
@pytest.mark.parametrize("case", daily(DIVIDED, *list(DIVIDED)[1::2]))
def test_divided_trainings_are_as_numpy(monkeypatch, case, blocks):
    """With fewer blocks than parts, too: then blocks have several, in global memory."""
    name, parameter, axis, size, count = DIVIDED[case]
    as_asked(monkeypatch, parameter, axis, size)
    net = NETWORKS[name]()
    source = kernel(net)
    assert waits(source) == count
    assert_as_numpy(net, source, blocks=blocks)


@pytest.mark.usefixtures("one_warp")
@pytest.mark.parametrize(
    "rule", [gl.optimizers.SGD(lr=0.1), gl.optimizers.AdamW(lr=0.05), gl.optimizers.SGD(lr=0.1, momentum=0.9)]
)
def test_optimizers(monkeypatch, rule):
    as_asked(monkeypatch, "W1", 1, 7)
    net = perceptron()
    assert_as_numpy(net, kernel(net, rule=rule), rule, blocks=8)


@pytest.mark.usefixtures("one_warp")
@pytest.mark.parametrize("batch", [1, 31, 33, 100])
def test_batches_of_all_sizes_in_float32(monkeypatch, batch):
    as_asked(monkeypatch, "W1", 1, 4)
    net = perceptron(11)
    assert_as_numpy(net, kernel(net, "float32", batch=batch), dtype="float32", rows=batch + 2, batch=batch, blocks=3)


@pytest.mark.usefixtures("one_warp")
@pytest.mark.parametrize("blocks", [2, 9])
def test_batches_of_more_rows_than_there_are(monkeypatch, blocks):
    """Also of more than have space: a block's memory is divided for the rows that there are."""
    as_asked(monkeypatch, "W1", 1, 4)
    net = perceptron(11)
    source = kernel(net)
    for batch in (8, 3 * constants(source)[1]):
        assert_as_numpy(net, source, rows=5, batch=batch, blocks=blocks)


@pytest.mark.usefixtures("one_warp")
def test_the_same_bits_on_any_grid_in_any_order(monkeypatch):
    """Parts are as many as sizes say; more rows than shared memory has place for change nothing, either."""
    as_asked(monkeypatch, "W1", 1, 7)
    net = perceptron()
    source = kernel(net, "float32", batch=33)
    assert "PARTS, ROWS = 8, " in source
    few = source.replace("PARTS, ROWS = 8, ", "PARTS, ROWS = 8, 0 * ")
    grids = [(source, {"blocks": 8}), (source, {"blocks": 8, "order": 5}), (source, {"blocks": 3, "order": "reverse"})]
    grids += [(source, {"blocks": 1}), (few, {"blocks": 8, "order": 3})]
    found = [
        trained(device_module(text, "float32", races=False, **options), net, ADAM, np.float32, rows=40, batch=33)
        for text, options in grids
    ]
    for params, state, losses, _ in found[1:]:
        np.testing.assert_array_equal(params, found[0][0])
        np.testing.assert_array_equal(state, found[0][1])
        assert losses == found[0][2]


@pytest.mark.usefixtures("one_warp")
@pytest.mark.parametrize("bad", [0, 2])
@pytest.mark.parametrize("parameter", [None, "W1"])
def test_a_loss_that_is_not_finite_changes_nothing(monkeypatch, parameter, bad):
    """What there is at the end is what there was after the steps before it."""
    as_asked(monkeypatch, parameter, 1, 4)
    net = perceptron(11)
    module = device_module(kernel(net), "float64", blocks=3)
    data, order = drawn(net, 9), np.arange(9)
    hyper = np.array([ADAM.values[name] for name in module.HYPER])

    def train(data, order):
        params = start(module, float)
        state = np.random.default_rng(2).uniform(size=(len(module.STATE), module.TRAINABLE))
        given = (params, np.zeros_like(params), state, *data, order, 3, hyper, 0, module.workspace(3))
        return params, state, *module.epoch(*given)

    first = start(module, float)
    params, state, _, _ = train(data, order[: 3 * bad]) if bad else (first, None, 0, 0)
    data[0][3 * bad + 1, 5] = np.nan
    found = train(data, order)
    assert found[3] == bad
    assert np.isnan(found[2])
    np.testing.assert_array_equal(found[0], params)
    if bad:
        np.testing.assert_array_equal(found[1], state)


@pytest.mark.usefixtures("one_warp")
@pytest.mark.parametrize("which", range(4))
def test_a_wait_that_is_missing_is_found(monkeypatch, which):
    as_asked(monkeypatch, "W1", 1, 4)
    net = perceptron(11)
    source = kernel(net)
    begin, end = source.index("def step_alone("), source.index("def change(")
    lines = source[begin:end].splitlines(keepends=True)
    places = [at for at, line in enumerate(lines) if line.strip() in ("cuda.syncthreads()", "grid_barrier(gate)")]
    assert len(places) == 4
    del lines[places[which]]
    broken = source[:begin] + "".join(lines) + source[end:]
    with pytest.raises(Race):
        trained(device_module(broken, "float64", blocks=3), net, ADAM, float, rows=40, batch=40)


# ---- what is chosen ------------------------------------------------------------------------------------------------


def constants(source):
    """PARTS and ROWS."""
    found = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    pairs = (node for node in found if isinstance(node.targets[0], ast.Tuple))
    return next(ast.literal_eval(n.value) for n in pairs if [e.id for e in n.targets[0].elts] == ["PARTS", "ROWS"])


def test_large_first_layers_are_divided_and_what_is_small_is_one_blocks():
    digits = gl.Sequential([L.Dense(16, gl.sigmoid), L.Dense(16, gl.sigmoid), L.Dense(10, gl.sigmoid)], (784,),
                           loss=gl.losses.SquaredError())  # fmt: skip
    for rule in (ADAM, gl.optimizers.SGD(lr=0.1)):
        source = kernel(digits, "float32", rule, batch=100)
        assert waits(source) == 1
        parts, rows = constants(source)
        assert parts > 10
        assert rows >= 100
    small = gl.Sequential([L.Dense(16, gl.tanh), L.Dense(10)], (64,), loss=gl.losses.CrossEntropy("labels"))
    for net in (small, tiny(), gl.Sequential([L.Dense(4), L.Dense(1)], (3,), loss=gl.losses.SquaredError())):
        source = kernel(net, "float32", batch=100)
        assert constants(source)[0] == 1
        assert waits(source) == 0


def test_what_all_blocks_share_still():
    """What is large; and steps of time, windows, noise, states, norms of gradients."""
    mse = gl.losses.SquaredError()
    others = {
        "large": gl.Sequential([L.Dense(512, gl.relu), L.Dense(512, gl.relu), L.Dense(10)], (784,), loss=mse),
        "in time": gl.Sequential([L.LSTM(5, return_sequences=False), L.Dense(3)], (3, 2), loss=mse),
        "windows": gl.Sequential([L.Conv2D(2, 3), L.Flatten(), L.Dense(3)], (1, 9, 7), loss=mse),
        "noise": gl.Sequential([L.Dense(5), L.Dropout(0.5), L.Dense(3)], (7,), loss=mse),
        "states": gl.Sequential([L.Dense(5), L.BatchNorm(), L.Dense(3)], (7,), loss=mse),
    }
    for name, net in others.items():
        assert "def step_alone(" not in generate(net, target="cuda", optimizer=ADAM).source, name
    clipped = gl.optimizers.Adam(lr=0.05, clip_norm=0.5)
    assert "def step_alone(" not in generate(tiny(), target="cuda", optimizer=clipped).source


def test_a_step_that_all_blocks_share_is_reckoned_with_all_of_its_waits(monkeypatch):
    """Where the two forms are compared: the wait that it begins with, too."""
    asked = []
    monkeypatch.setattr(write, "training_by_block", lambda plan, cycles, tiles: asked.append(cycles))
    source = generate(tiny(), target="cuda", optimizer=ADAM).source
    count = waits_of(source, "train")
    assert count > 1
    assert count <= asked[0] / assumed.WAIT < count + 1


def test_blocks_of_many_warps(monkeypatch):
    """As kernels are launched on a GPU: 256 threads."""
    net = softmax()
    assert_as_numpy(net, kernel(net), rows=5, blocks=1)


def test_one_warp_is_what_the_others_are_simulated_with(monkeypatch):
    small_tiles(monkeypatch)
    assert "THREADS = 32\n" in kernel(tiny())
