"""Models read from ONNX, written by PyTorch's exporter, by ours and by hand: the same outputs and gradients."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import nn

import gradloom as gl
from gradloom.symbolic.errors import DataError, ShapeError, UndefinedError, UnsupportedError

onnx = pytest.importorskip("onnx")
helper = onnx.helper

MODULES = {
    "perceptron": (lambda: [nn.Linear(5, 7), nn.Sigmoid(), nn.Linear(7, 3, bias=False), nn.Softmax(-1)], (5,)),
    "sequences": (lambda: [nn.Linear(5, 7, bias=False), nn.LayerNorm(7), nn.ELU(0.5), nn.Linear(7, 3)], (11, 5)),
    "images": (
        lambda: [
            nn.Conv2d(2, 4, (3, 2), stride=2, padding=1, groups=2), nn.LeakyReLU(0.2), nn.MaxPool2d(2, 1),
            nn.ConvTranspose2d(4, 3, 3, 2, 1, 1, bias=False), nn.ReLU(), nn.AvgPool2d((2, 1)), nn.Flatten(),
            nn.Linear(90, 3), nn.LogSoftmax(1),
        ],
        (2, 7, 11),
    ),
    "signals": (
        lambda: [nn.Conv1d(2, 4, 3, dilation=2), nn.Tanh(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Softplus()],
        (2, 13),
    ),
}  # fmt: skip


def exported(module, x):
    """By PyTorch's own exporter; None for a free batch size."""
    file = io.BytesIO()
    torch.onnx.export(
        module, (x,), file, dynamo=False, opset_version=17, input_names=["x"], dynamic_axes={"x": {0: "batch"}}
    )
    return onnx.load_from_string(file.getvalue())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", MODULES)
def test_what_pytorch_exports(name, tmp_path):
    torch.manual_seed(3)
    make, sample = MODULES[name]
    module = nn.Sequential(*make()).double().eval()
    for parameter in module.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    x = torch.randn(6, *sample).double()
    path = tmp_path / "model.onnx"
    onnx.save(exported(module, x), path)
    model = gl.from_onnx(path, loss=gl.losses.SquaredError(), target="numpy")
    assert model.dtype == "float64"
    out = module(x)
    y = torch.randn_like(out)
    np.testing.assert_allclose(model.predict(x.numpy()), out.detach().numpy(), rtol=1e-10, atol=1e-12)
    loss = ((out - y) ** 2).sum() / (2 * len(x))
    loss.backward()
    found_loss, found = model.loss_and_gradients(x.numpy(), y.numpy())
    assert abs(found_loss - loss.item()) < 1e-10 * loss.item()
    expected = [parameter.grad.numpy() for parameter in module.parameters()]
    assert len(found) == len(expected)
    for one, (key, other) in zip(expected, found.items(), strict=True):
        assert np.abs(one - other).max() <= 1e-10 * max(1, np.abs(one).max()), key


def test_our_own_export_comes_back():
    layers = [gl.layers.Dense(7, gl.relu), gl.layers.Dense(5, gl.tanh), gl.layers.Dense(3, gl.sigmoid)]
    net = gl.Sequential(layers, 5, name="there")
    net.set_output(net.output.name)
    model = gl.Model(net, target="numpy", seed=3)
    back = gl.from_onnx(gl.to_onnx(model), target="numpy")
    x = np.random.default_rng(0).normal(size=(7, 5)).astype("float32")
    assert [str(layer) for layer in back.network.layers] == [str(layer) for layer in net.layers]
    assert {name: array.tolist() for name, array in back.params.items()} == {
        name: array.tolist() for name, array in model.params.items()
    }
    assert np.array_equal(back.predict(x), model.predict(x))
    assert back.network.name == "there"


def made(nodes, arrays=(), shape=("batch", 5), kind=onnx.TensorProto.FLOAT, rank=2, opset=20):
    """A model by hand, of ``(operator, inputs, attributes)``; each gives what the next calls by its number."""
    listed = [
        helper.make_node(op, given, [str(place)], **attributes)
        for place, (op, given, attributes) in enumerate(nodes, start=1)
    ]
    data = helper.make_tensor_value_info("x", kind, shape)
    out = helper.make_tensor_value_info(str(len(nodes)), onnx.TensorProto.FLOAT, [None] * rank)
    tensors = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in dict(arrays).items()]
    graph = helper.make_graph(listed, "by hand", [data], [out], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def random(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


def test_operators_that_pytorch_folds():
    """Against onnxruntime: normalisation by statistics, dropout, labels, Gemm as it stands, Gelu of both kinds."""
    runtime = pytest.importorskip("onnxruntime")
    arrays = {"E": random(11, 5), "W": random(5, 7), "b": random(7), "s": np.array([0, -1]), "V": random(14, 3)}
    arrays |= {"g": random(2), "h": random(2), "m": random(2), "v": random(2) ** 2}
    model = made(
        [
            ("Gather", ["E", "x"], {}), ("MatMul", ["1", "W"], {}), ("Add", ["b", "2"], {}), ("Gelu", ["3"], {}),
            ("BatchNormalization", ["4", "g", "h", "m", "v"], {"epsilon": 1e-3, "momentum": 0.8}),
            ("Dropout", ["5"], {}), ("Gelu", ["6"], {"approximate": "tanh"}), ("Reshape", ["7", "s"], {}),
            ("Identity", ["8"], {}), ("Gemm", ["9", "V"], {}),
        ],
        arrays, ("batch", 2), onnx.TensorProto.INT64,
    )  # fmt: skip
    x = np.random.default_rng(0).integers(0, 11, (7, 2))
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = gl.from_onnx(model, target="numpy")
    np.testing.assert_allclose(found.predict(x), session.run(None, {"x": x})[0], rtol=1e-5, atol=1e-5)
    norm = found.network.layers[2]
    assert (norm.momentum, norm.eps) == (0.2, 0.001)
    assert found.network.name == "by_hand"


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("Sin", ["x"], {})], "the operator Sin.* has no counterpart here; supported are .*Gemm"),
        ([("Softmax", ["x"], {}), ("Add", ["1", "x"], {})], "the operator Softmax reads x; expected .* x, alone"),
        ([("Tanh", ["x"], {}), ("Add", ["1", "b"], {})], "the operator Add has no counterpart"),
        ([("Gemm", ["x", "W"], {"alpha": 2.0})], r"Gemm cannot be read: alpha=2\.0; expected 1\.0"),
        ([("Softmax", ["x"], {"axis": 0})], "axis=0; expected the last"),
        ([("MatMul", ["x", "x"], {})], "MatMul reads x, x; expected"),
        ([("Reshape", ["x", "t"], {})], r"its shape is \[5, 1, -1\]; expected \[0, -1\]"),
    ],
)
def test_what_cannot_be_read_is_named(nodes, message):
    model = made(nodes, {"W": random(5, 7), "b": random(5), "t": np.array([5, 1, -1])})
    with pytest.raises(UnsupportedError, match=message):
        gl.from_onnx(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pads": [0, 0, 1, 1]}, "as many at both ends"),
        ({"auto_pad": "SAME_UPPER"}, "auto_pad=b'SAME_UPPER'; expected 'NOTSET'"),
    ],
)
def test_padding_that_cannot_be_read(options, message):
    model = made([("Conv", ["x", "W"], options)], {"W": random(3, 2, 3, 3)}, ("batch", 2, 5, 5), rank=4)
    with pytest.raises(UnsupportedError, match=message):
        gl.from_onnx(model)


def test_files_that_are_none(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        gl.from_onnx(tmp_path / "a.onnx")
    (tmp_path / "a.onnx").write_bytes(b"hello")
    with pytest.raises(DataError, match="is not an ONNX model, or is damaged"):
        gl.from_onnx(tmp_path / "a.onnx")
    with pytest.raises(DataError, match="3 is no ONNX model"):
        gl.from_onnx(3)
    model = made([("Relu", ["x"], {})], shape=("batch", None))
    with pytest.raises(UndefinedError, match="give it, as input_shape"):
        gl.from_onnx(model)
    assert gl.from_onnx(model, 5, target="numpy").predict([[-1, 0, 1, 2, 3]]).tolist() == [[0, 0, 1, 2, 3]]


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
def test_softmax_before_opset_13_ran_over_several_axes(kind):
    model = made([(kind, ["x"], {})], shape=("batch", 3, 5), rank=3, opset=12)
    with pytest.raises(UnsupportedError, match="axis=1; expected the last"):
        gl.from_onnx(model)
    runtime = pytest.importorskip("onnxruntime")
    x = random(7, 3, 5)
    for attributes, shape, data in (({}, ("batch", 5), x[:, 0]), ({"axis": 2}, ("batch", 3, 5), x)):
        model = made([(kind, ["x"], attributes)], shape=shape, rank=data.ndim, opset=12)
        session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        found = gl.from_onnx(model, target="numpy").predict(data)
        np.testing.assert_allclose(found, session.run(None, {"x": data})[0], rtol=1e-5, atol=1e-6)


def test_what_is_added_or_flattened_along_other_axes_is_refused():
    column = made([("MatMul", ["x", "W"], {}), ("Add", ["1", "b"], {})], {"W": random(5, 5), "b": random(5, 1)},
                  ("batch", 5, 5), rank=3)  # fmt: skip
    with pytest.raises(UnsupportedError, match="the operator Add has no counterpart"):
        gl.from_onnx(column)
    rows = made([("Gemm", ["x", "W", "b"], {})], {"W": random(5, 3), "b": random(7, 3)})
    with pytest.raises(UnsupportedError, match=r"input 2 has shape \(7, 3\); expected the same for all rows"):
        gl.from_onnx(rows)
    merged = made([("Reshape", ["x", "s"], {})], {"s": np.array([-1, 5])}, ("batch", 3, 5))
    with pytest.raises(ShapeError, match="15 entries for each sample"):
        gl.from_onnx(merged)


def test_operators_of_other_domains_are_not_taken_for_those_of_onnx():
    model = made([("Softplus", ["x"], {"domain": "some.where"}), ("Relu", ["1"], {})])
    with pytest.raises(UnsupportedError, match=r"the operator some\.where\.Softplus.* has no counterpart"):
        gl.from_onnx(model)
    assert gl.from_onnx(made([("Gelu", ["x"], {"domain": "com.microsoft"})]), target="numpy").network.layers


def test_a_matrix_of_two_layers_is_refused():
    """Its gradient would be of one of them; vectors may be one because they were equal when they were written."""
    nodes = [("Gemm", ["x", "W", "b"], {}), ("Gemm", ["1", "V", "b"], {})]
    assert gl.from_onnx(made(nodes, {"W": random(5, 5), "V": random(5, 5), "b": random(5)}), target="numpy").count == 60
    nodes[1] = ("Gemm", ["1", "W", "b"], {})
    with pytest.raises(UnsupportedError, match=r"the operator Gemm.* shares W with another operator"):
        gl.from_onnx(made(nodes, {"W": random(5, 5), "b": random(5)}))


@pytest.mark.parametrize("change", [{"dims": [2, 4]}, {"data_type": 255}])
def test_constants_that_are_not_what_they_say(change):
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((3, 4), np.float32), "W")
    for name, value in change.items():
        if name == "dims":
            del weights.dims[:]
            weights.dims.extend(value)
        else:
            weights.data_type = value
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 3))]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("batch", 4))]
    node = helper.make_node("MatMul", ["x", "W"], ["y"])
    model = helper.make_model(helper.make_graph([node], "graph", inputs, outputs, [weights]))
    with pytest.raises(DataError, match="is damaged"):
        gl.from_onnx(model)
