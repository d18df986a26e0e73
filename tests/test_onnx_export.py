"""Exported networks in onnxruntime: every layer and activation, and the networks of examples/, against `predict`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sympy
from everyday import daily

import gradloom as gl
from gradloom.codegen.schedule import output_of
from gradloom.model_file import load_model_file
from gradloom.symbolic.errors import MissingExtraError, SavedFileError, ShapeError, UndefinedError, UnsupportedError

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

L = gl.layers
EXAMPLES = Path(__file__).parent.parent / "examples"
FILES = sorted(EXAMPLES.glob("*.py"))
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
ACTIVATIONS = [
    gl.sigmoid, gl.tanh, gl.relu, gl.leaky_relu, gl.elu, gl.softplus, gl.gelu, gl.gelu_tanh, gl.silu, gl.identity,
    gl.softmax, gl.log_softmax,
]  # fmt: skip


def tied():
    encoder = L.Dense(3, gl.sigmoid)
    return [encoder, L.TiedDense(encoder)]


LAYERS = {
    "Dense on sequences": ([L.Dense(3)], (7, 5)),
    "TiedDense": (tied(), (5,)),
    "Conv1D": ([L.Conv1D(3, 2, stride=2, padding=1, dilation=2)], (5, 11)),
    "Conv2D": ([L.Conv2D(3, (2, 3), padding=1, activation=gl.relu)], (5, 7, 11)),
    "Conv2D strided": ([L.Conv2D(4, 3, stride=2, groups=2)], (2, 7, 11)),
    "DepthwiseConv2D": ([L.DepthwiseConv2D(3, padding=2, dilation=2)], (3, 7, 5)),
    "ConvTranspose1D": ([L.ConvTranspose1D(3, 4, stride=3, padding=1)], (2, 5)),
    "ConvTranspose2D": ([L.ConvTranspose2D(3, 3, stride=2)], (2, 5, 7)),
    "MaxPool1D": ([L.MaxPool1D(3, stride=2)], (2, 11)),
    "MaxPool2D": ([L.MaxPool2D(2)], (2, 6, 10)),
    "AveragePool1D": ([L.AveragePool1D(3)], (2, 9)),
    "AveragePool2D": ([L.AveragePool2D(3, stride=2)], (2, 7, 11)),
    "GlobalAveragePool": ([L.GlobalAveragePool()], (3, 5, 7)),
    "GlobalMaxPool": ([L.GlobalMaxPool()], (3, 5, 7)),
    "RNN": ([L.RNN(3)], (7, 5)),
    "RNN backwards": ([L.RNN(3, reverse=True, return_sequences=False)], (7, 5)),
    "LSTM": ([L.LSTM(3, peepholes=True), L.Dense(2)], (7, 5)),
    "GRU": ([L.GRU(3, return_sequences=False)], (7, 5)),
    "GRU, one step": ([L.GRU(3)], (1, 5)),
    "Bidirectional": ([L.Bidirectional(L.LSTM(3))], (7, 5)),
    "Attention": ([L.Attention(3, head_units=2)], (7, 5)),
    "TransformerBlock": ([L.Positions(), L.TransformerBlock(6, 3, 7, causal=True)], (5, 6)),
    "BatchNorm": ([L.Dense(3), L.BatchNorm()], (5,)),
    "LayerNorm": ([L.LayerNorm()], (7, 5)),
    "GroupNorm": ([L.GroupNorm(3)], (6, 5, 7)),
    "RMSNorm": ([L.RMSNorm()], (5,)),
    "Dropout": ([L.Dense(3), L.Dropout(0.5)], (5,)),
    "Flatten": ([L.Flatten(), L.Dense(2)], (2, 3, 5)),
    "Reshape, Permute": ([L.Reshape((5, 6)), L.Permute(2, 1)], (2, 3, 5)),
    "Slice": ([L.Slice(1, 2, 9, 3)], (11,)),
    "Residual, Parallel": ([L.Residual([L.Dense(5, gl.tanh)]), L.Parallel([L.Dense(2), L.Dense(3)])], (5,)),
}


def drawn(network, sizes, dtype, seed=0):
    """A model whose parameters are random, none of them 0 or 1, and states above 0, as variances are."""
    model = gl.Model(network, target="numpy", dtype=dtype, sizes=sizes)
    rng = np.random.default_rng(seed)
    for name, array in model.params.items():
        array[...] = rng.normal(size=array.shape) / np.sqrt(array.shape[-1] if array.ndim > 1 else 1)
        if name in {tensor.name for tensor in network.states}:
            array[...] = np.abs(array) + 0.5
    return model


def agree(model, seed=0):
    """Check the exported model and compare its output with `predict`, for batches of 1 and 7 rows."""
    made = gl.to_onnx(model)
    onnx.checker.check_model(made, full_check=True)
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = runtime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    rng, network = np.random.default_rng(seed), model.network
    numbers = {gl.Dim(name): value for name, value in model.sizes.items()}
    for rows in (1, 7):
        data = {}
        for tensor in network.inputs:
            shape = [int(size.xreplace({**numbers, network.batch: rows})) for size in tensor.shape]
            if tensor.classes is None:
                data[tensor.name] = rng.normal(size=shape).astype(model.dtype)
            else:
                data[tensor.name] = rng.integers(0, int(tensor.classes.xreplace(numbers)), shape)
        expected = model.predict(data) if network.batch else np.asarray(model.program.predict(model.params, **data))
        (found,) = session.run(None, {name: data[name] for name in names})
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        size = max(1.0, np.abs(expected).max())
        assert np.abs(found - expected).max() <= TOLERANCE[model.dtype] * size
        assert session.get_outputs()[0].name == output_of(network).name
    return made


def chain(layers, shape, **options):
    """Without a loss: nothing need be derived."""
    return with_output(gl.Sequential(layers, shape, **options))


def with_output(network):
    network.set_output(network.output.name)
    return network


@pytest.mark.parametrize("dtype", daily(["float32", "float64"], "float64"))
@pytest.mark.parametrize("name", daily(LAYERS, *list(LAYERS)[::2]))
def test_every_layer(name, dtype):
    agree(drawn(chain(*LAYERS[name]), {}, dtype))


def test_no_layer_is_forgotten():
    """Every layer that `gl.layers` offers stands in a case of this file."""
    source = Path(__file__).read_text(encoding="utf-8")
    kinds = [name for name in L.__all__ if isinstance(getattr(L, name), type) and issubclass(getattr(L, name), L.Layer)]
    assert len(kinds) > 30
    missing = [name for name in kinds if f"L.{name}(" not in source and name not in ("Layer", "Recurrent")]
    assert not missing


@pytest.mark.parametrize("dtype", daily(TOLERANCE, "float64"))
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: a.__name__)
def test_every_activation(activation, dtype):
    agree(drawn(chain([L.Dense(3, activation), L.Chain([L.Activation(activation)])], 5), {}, dtype))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_labels_that_are_looked_up(dtype):
    agree(drawn(chain([L.Embedding(11, 5), L.LSTM(3), L.Dense(2)], 7, input_classes=11), {}, dtype))


def test_symbolic_sizes_and_masks():
    T, n, m = gl.dims("T n m")
    net = chain([L.LSTM(m, mask="seen"), L.Attention(2, 3, mask="seen"), L.Dense(3)], (T, n))
    agree(drawn(net, {"T": 5, "n": 7, "m": 4}, "float64"))


@pytest.mark.parametrize("path", daily(FILES, *FILES[::2]), ids=lambda path: path.stem)
def test_examples(path):
    network = load_model_file(str(path)).network
    symbols = {s.name for t in network.tensors.values() for d in t.shape for s in d.free_symbols} - {"B"}
    sizes = {"n": 5, "q": 7, "c": 3}
    agree(drawn(network, {name: sizes[name] for name in symbols}, "float32"))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_functions_and_conditions_of_ones_own(dtype):
    """Each function that equations may hold, against NumPy's target; a condition; places on a diagonal."""
    B = gl.dims("B")
    i, j, k = gl.indices("i j k")
    net = gl.Network("functions")
    x = net.input("x", (B, 5))
    q = net.parameter("q", (5, 5))
    e = x[i, j]
    parts = [sympy.sin(e), sympy.cos(e), sympy.tan(e / 3), sympy.sinh(e), sympy.cosh(e), sympy.asinh(e), sympy.sign(e)]
    parts += [sympy.floor(3 * e), sympy.ceiling(e), sympy.erf(e), sympy.erfc(e), sympy.log(1 + sympy.exp(e)), abs(e)]
    parts += [sympy.exp(e) ** sympy.Rational(2, 3), (2 + sympy.sin(e)) ** -3, j * e, B / (1 + e**2)]
    parts += [sympy.Piecewise((e, (e > -1) & (e <= 1)), (1 / e, sympy.Or(e > 2, sympy.Eq(e, 7))), (3, True))]
    if dtype == "float32":
        parts += [sympy.asin(sympy.tanh(e)), sympy.acos(sympy.tanh(e)), sympy.atan(e)]
    f = net.define("f", (i, j), sum(parts[n] / (n + 2) for n in range(len(parts))) + q[j, j])
    m = net.define("m", (i,), gl.Max(gl.Sum(f[i, k] * q[j, k], k), j))
    net.define("o", (i, j), f[i, j] * m[i] + gl.one_hot(gl.ArgMax(f[i, k], k), j) + x[i, 4 - j])
    agree(drawn(with_output(net), {}, dtype))


def test_batches_of_products_and_several_summed_axes():
    B = gl.dims("B")
    i, j, k, l = gl.indices("i j k l")
    net = gl.Network("products")
    x = net.input("x", (B, 3, 11))
    W = net.parameter("W", (3, 13, 11))
    V = net.parameter("V", (7, 3, 13))
    z = net.define("z", (i, j, k), gl.Sum(x[i, j, l] * W[j, k, l], l))
    net.define("o", (i, j), gl.Sum(V[j, k, l] * z[i, k, l], k, l))
    made = agree(drawn(with_output(net), {}, "float64"))
    assert "Einsum" in {node.op_type for node in made.graph.node}


def test_a_sequence_that_looks_two_steps_back():
    """With an index of time as a number, a guard on it, and a second sequence that runs the other way."""
    B = gl.dims("B")
    i, t = gl.indices("i t")
    net = gl.Network("fibonacci")
    x = net.input("x", (B, 7))
    w = net.parameter("w", (7,))
    h = net.sequence("h", (B, 7))
    net.define("h", (i, t), x[i, t] + gl.padded(h[i, t - 1]) / 2 - gl.padded(h[i, t - 2]) * w[t] + t)
    g = net.sequence("g", (B, 7))
    net.define("g", (i, t), h[i, t] * gl.tanh(gl.padded(g[i, t + 1]) + w[t]))
    model = drawn(with_output(net), {}, "float64")
    agree(model)
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(3, 7)), model.params["w"]
    h = np.zeros((3, 9))
    for step in range(7):
        h[:, step + 2] = x[:, step] + h[:, step + 1] / 2 - h[:, step] * w[step] + step
    g = np.zeros((3, 8))
    for step in range(6, -1, -1):
        g[:, step] = h[:, step + 2] * np.tanh(g[:, step + 1] + w[step])
    session = runtime.InferenceSession(gl.to_onnx(model).SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": x})[0], g[:, :7], rtol=1e-12)


def test_a_file_and_a_network_with_parameters(tmp_path):
    net = chain([L.Dense(3, gl.tanh)], 5)
    model = drawn(net, {}, "float64")
    path = tmp_path / "model.onnx"
    made = gl.to_onnx(net, path, params=dict(model.params), dtype="float32")
    assert onnx.load(path) == made
    assert {i.name for i in made.graph.initializer} == {"W1", "b1"}
    assert made.graph.node[1].doc_string == str(net.equation("z1"))
    with pytest.raises(UndefinedError, match="W1 has no value"):
        gl.to_onnx(net)
    with pytest.raises(ShapeError, match=r"b1 has shape \(2,\); expected \(3,\)"):
        gl.to_onnx(net, params={**model.params, "b1": np.ones(2)})
    with pytest.raises(SavedFileError, match="does not exist"):
        gl.to_onnx(model, tmp_path / "none" / "model.onnx")


def test_what_cannot_be_exported_names_the_equation():
    B = gl.dims("B")
    i, j = gl.indices("i j")
    net = gl.Network("odd")
    x = net.input("x", (B, 5))
    net.define("o", (i, j), sympy.atan(x[i, j]))
    with pytest.raises(UnsupportedError, match=r"o: .*no Atan of float64.*its equation is o\[i, j\] = atan"):
        gl.to_onnx(gl.Model(with_output(net), target="numpy", dtype="float64"))


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r'pip install "gradloom\[onnx\]"'):
        gl.to_onnx(chain([L.Dense(3)], 5))


def test_tensors_that_are_the_same():
    """Two equations with one right side, and one that is another's tensor: each keeps its name in the graph."""
    B = gl.dims("B")
    i, j, t = gl.indices("i j t")
    net = gl.Network("twins")
    x = net.input("x", (B, 5))
    a = net.define("a", (i, j), sympy.tanh(x[i, j]))
    b = net.define("b", (i, j), sympy.tanh(x[i, j]))
    c = net.define("c", (i, j), b[i, j])
    g = net.sequence("g", (B, 5))
    net.define("g", (i, t), gl.padded(g[i, t + 1]) / 2 + a[i, t])
    d = net.define("d", (i, j), g[i, j])
    net.define("o", (i, j), a[i, j] * b[i, j] + 2 * c[i, j] + a[i, 4 - j] * g[i, j] + d[i, 4 - j])
    agree(drawn(with_output(net), {}, "float64"))
