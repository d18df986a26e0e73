"""ONNX models whose layers are several operators, or recurrent: the same outputs as onnxruntime, and PyTorch's."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import nn

import gradloom as gl
from gradloom.symbolic.errors import UnsupportedError

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
helper = onnx.helper
pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch's exporter warns of itself
RNG = np.random.default_rng(11)


def random(*shape, scale=1.0):
    return (scale * RNG.normal(size=shape)).astype("float32")


def made(nodes, arrays=(), shape=("batch", 5), rank=2, opset=20):
    """A model by hand, of ``(operator, inputs, attributes)``; each gives what the next calls by its number."""
    listed = [
        helper.make_node(op, given, [str(place)], **attributes)
        for place, (op, given, attributes) in enumerate(nodes, start=1)
    ]
    data = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)
    out = helper.make_tensor_value_info(str(len(nodes)), onnx.TensorProto.FLOAT, [None] * rank)
    tensors = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in dict(arrays).items()]
    graph = helper.make_graph(listed, "by hand", [data], [out], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def both(model, x, **options):
    """What is read, and what onnxruntime makes of x beside what is read of it."""
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    read = gl.from_onnx(model, target="numpy", **options)
    expected = session.run(None, {"x": x})[0]
    np.testing.assert_allclose(read.predict(x), expected, rtol=1e-5, atol=1e-5)
    return read


def exported(module, x, opset=17):
    file = io.BytesIO()
    torch.onnx.export(
        module.eval(), (x,), file, dynamo=False, opset_version=opset, input_names=["x"],
        dynamic_axes={"x": {0: "batch"}},
    )  # fmt: skip
    return onnx.load_from_string(file.getvalue())


class First(nn.Module):
    """What a function takes of what a module gives."""

    def __init__(self, module, take=lambda found: found[0]):
        super().__init__()
        self.module, self.take = module, take

    def forward(self, x):
        return self.take(self.module(x))


def recurrent(kind, **options):
    return lambda: First(getattr(nn, kind)(5, 3, batch_first=True, **options))


MODULES = {
    "LSTM of two": (lambda: nn.Sequential(recurrent("LSTM", num_layers=2)(), nn.Linear(3, 2)), (7, 5)),
    "GRU in both directions": (lambda: nn.Sequential(recurrent("GRU", bidirectional=True)(), nn.Linear(6, 2)), (7, 5)),
    "LSTM in both": (recurrent("LSTM", bidirectional=True, num_layers=2), (7, 5)),
    "RNN, rectified": (recurrent("RNN", nonlinearity="relu", bias=False), (7, 5)),
    "the last state": (lambda: First(nn.GRU(5, 3, batch_first=True), lambda found: found[1][-1]), (7, 5)),
    "the last step": (lambda: First(nn.LSTM(5, 3, batch_first=True), lambda found: found[0][:, -1]), (7, 5)),
    "the last step of both": (
        lambda: First(nn.GRU(5, 3, batch_first=True, bidirectional=True), lambda found: found[0][:, -1]), (7, 5),
    ),
    "activations": (
        lambda: nn.Sequential(
            nn.Linear(5, 7), nn.GELU(), nn.Linear(7, 5), nn.SiLU(), nn.GELU("tanh"), nn.Mish(), nn.Hardswish(),
            nn.Linear(5, 3), nn.ReLU6(), nn.Hardtanh(-0.7, 1.1),
        ),
        (5,),
    ),
    "normalised": (
        lambda: nn.Sequential(
            nn.GroupNorm(2, 4), nn.InstanceNorm1d(4, affine=True), nn.GroupNorm(4, 4, affine=False),
            nn.InstanceNorm1d(4), nn.Conv1d(4, 3, 2),
        ),
        (4, 11),
    ),
    "layer norm": (
        lambda: nn.Sequential(nn.LayerNorm(5), nn.Linear(5, 7, bias=False), nn.LayerNorm(7, bias=False), nn.Tanh(),
                              nn.LayerNorm(7, elementwise_affine=False)),
        (3, 5),
    ),
    "flattened by its size": (
        lambda: First(nn.Conv2d(2, 3, 2), lambda found: torch.relu(found).view(found.size(0), -1)), (2, 5, 7),
    ),
}  # fmt: skip


@pytest.mark.parametrize("opset", [17, pytest.param(13, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", MODULES)
def test_what_pytorch_exports(name, opset):
    """Outputs, the loss, and the number of what is trained; in float64."""
    torch.manual_seed(3)
    make, sample = MODULES[name]
    module = make().double()
    for parameter in module.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    x = torch.randn(6, *sample).double()
    model = gl.from_onnx(exported(module, x, opset), loss=gl.losses.SquaredError(), target="numpy", dtype="float64")
    out = module(x)
    rtol = 1e-6 if name == "activations" else 1e-10  # whose constants are written in single precision
    np.testing.assert_allclose(model.predict(x.numpy()), out.detach().numpy(), rtol=rtol, atol=rtol)
    y = torch.randn_like(out)
    ((out - y) ** 2).sum().div(2 * len(x)).backward()
    _, found = model.loss_and_gradients(x.numpy(), y.numpy())
    trained = {key: array for key, array in found.items() if key not in model.network.frozen}
    squares = sum(float((parameter.grad**2).sum()) for parameter in module.parameters())
    # PyTorch has two biases where there is one here, and both have its gradient.
    twice = sum(
        float((parameter.grad[: 2 * 3 if isinstance(layer, nn.GRU) else None] ** 2).sum())
        for layer in module.modules() if isinstance(layer, nn.RNNBase)
        for key, parameter in layer.named_parameters() if "bias_hh" in key
    )  # fmt: skip
    assert abs(sum(float((array**2).sum()) for array in trained.values()) - (squares - twice)) <= 1e-6 * squares


def test_the_names_of_what_was_several_operators():
    module = nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.LayerNorm(7), nn.SiLU(), nn.GELU("tanh"), nn.Mish())
    read = both(exported(module, torch.randn(2, 5), 13), random(7, 5))
    assert [str(layer) for layer in read.network.layers] == [
        "Dense(7, gelu)", "LayerNorm(eps=1e-05, affine=True)", "Activation(silu)", "Activation(gelu_tanh)",
        "Activation(formula_of_file)",
    ]  # fmt: skip


def test_layers_of_sequences_of_any_length():
    torch.manual_seed(5)
    model = exported(First(nn.GRU(5, 3, batch_first=True)), torch.randn(2, 7, 5))
    size = model.graph.input[0].type.tensor_type.shape.dim[1]
    size.dim_param = "time"
    read = gl.from_onnx(model, target="numpy", loss=gl.losses.SquaredError())
    assert str(read.network.tensors["x"].shape) == "(B, T, 5)"


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_recurrent_operators_by_hand(kind, direction):
    """Gates in ONNX's order, peepholes, both biases, a direction: against onnxruntime."""
    gates, ways = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind], 2 if direction == "bidirectional" else 1
    m, n = 3, 5
    arrays = {
        "W": random(ways, gates * m, n), "R": random(ways, gates * m, m), "B": random(ways, 2 * gates * m),
        "P": random(ways, 3 * m), "h": np.zeros((ways, 1, m), "float32"), "one": np.array([1]),
        "s": np.array([0, 0, -1]),
    }  # fmt: skip
    options = {"hidden_size": m, "direction": direction} | ({"linear_before_reset": 1} if kind == "GRU" else {})
    given = ["1", "W", "R", "B"] + (["", "", "", "P"] if kind == "LSTM" else [])
    behind = [("Squeeze", ["2", "one"], {}), ("Transpose", ["3"], {"perm": [1, 0, 2]})]
    if ways == 2:
        behind = [("Transpose", ["2"], {"perm": [0, 2, 1, 3]}), ("Reshape", ["3", "s"], {}),
                  ("Transpose", ["4"], {"perm": [1, 0, 2]})]  # fmt: skip
    nodes = [("Transpose", ["x"], {"perm": [1, 0, 2]}), (kind, given, options), *behind]
    read = both(made(nodes, arrays, ("batch", 7, n), 3), random(11, 7, n))
    assert read.count == sum(arrays[name].size for name in "WR") + ways * m * {"RNN": 1, "GRU": 4, "LSTM": 4}[kind] + (
        arrays["P"].size if kind == "LSTM" else 0
    )


@pytest.mark.parametrize(
    ("kind", "attributes", "more", "message"),
    [
        ("GRU", {}, [], "linear_before_reset=0; expected 1"),
        ("GRU", {"linear_before_reset": 1}, ["", "h"], "initial state, input 5, is not 0"),
        ("GRU", {"linear_before_reset": 1}, ["l"], "sequence_lens is given"),
        ("GRU", {"linear_before_reset": 1, "clip": 2.0}, [], "clip=2.0"),
        ("GRU", {"linear_before_reset": 1, "activations": ["Relu", "Tanh"]}, [], r"activations=\['Relu', 'Tanh'\]"),
    ],
)
def test_recurrences_that_cannot_be_read(kind, attributes, more, message):
    arrays = {"W": random(1, 9, 5), "R": random(1, 9, 3), "B": random(1, 18), "h": random(1, 1, 3),
              "l": np.array([7], "int32"), "one": np.array([1])}  # fmt: skip
    nodes = [("Transpose", ["x"], {"perm": [1, 0, 2]}), (kind, ["1", "W", "R", "B", *more], attributes),
             ("Squeeze", ["2", "one"], {}), ("Transpose", ["3"], {"perm": [1, 0, 2]})]  # fmt: skip
    with pytest.raises(UnsupportedError, match=f"the operator {kind} cannot be read: .*{message}"):
        gl.from_onnx(made(nodes, arrays, (1, 7, 5), 3))


def test_time_before_the_batch_is_refused():
    arrays = {"W": random(1, 3, 5), "R": random(1, 3, 3), "one": np.array([1])}
    nodes = [("RNN", ["x", "W", "R"], {}), ("Squeeze", ["1", "one"], {})]
    with pytest.raises(UnsupportedError, match=r"RNN cannot be read: it runs along the first axis.*batch_first=True"):
        gl.from_onnx(made(nodes, arrays, (7, "batch", 5), 3))


def test_formulas_scales_and_orders_of_axes():
    """What is no layer by itself: root mean squares with scales, constants from both sides, powers, axes in turn."""
    arrays = {"g": random(5), "two": np.float32(2), "e": np.float32(1e-3), "c": np.float32(-0.3), "W": random(3, 2)}
    nodes = [
        ("Pow", ["x", "two"], {}), ("ReduceMean", ["1"], {"axes": [2]}), ("Add", ["e", "2"], {}), ("Sqrt", ["3"], {}),
        ("Div", ["x", "4"], {}), ("Mul", ["g", "5"], {}), ("Exp", ["6"], {}), ("Sub", ["c", "7"], {}),
        ("Tanh", ["8"], {}), ("Mul", ["9", "8"], {}), ("Transpose", ["10"], {"perm": [0, 2, 1]}),
        ("MatMul", ["11", "W"], {}), ("Clip", ["12", "c"], {}),
    ]  # fmt: skip
    read = both(made(nodes, arrays, ("batch", 3, 5), 3, 17), random(7, 3, 5))
    assert [type(layer).__name__ for layer in read.network.layers] == [
        "RMSNorm", "Activation", "Activation", "Activation", "Permute", "Dense",
    ]  # fmt: skip
    assert np.array_equal(read.params["gamma1"], arrays["g"])
    assert read.network.layers[0].eps == 1e-3


def test_formulas_that_are_not_real_everywhere():
    """A root and what is rectified behind it; one number for all units; a constant of more axes than the data."""
    c, W = np.float32(0.3), random(5, 1)
    nodes = [("Sub", ["x", "c"], {}), ("Abs", ["1"], {}), ("Sqrt", ["2"], {}), ("Div", ["3", "c"], {}),
             ("Relu", ["4"], {}), ("MatMul", ["5", "W"], {}), ("Add", ["b", "6"], {}), ("Neg", ["7"], {})]  # fmt: skip
    read = both(made(nodes, {"c": c, "W": W, "b": random(1)}), random(7, 5))
    assert read.params["b6"].shape == (1,)
    with pytest.raises(UnsupportedError, match="the operator Mul has no counterpart"):
        gl.from_onnx(made([("Mul", ["x", "c"], {})], {"c": c.reshape(1, 1, 1)}, rank=3))


def test_group_normalisation_of_opset_21():
    arrays = {"g": random(6), "h": random(6)}
    nodes = [("GroupNormalization", ["x", "g", "h"], {"num_groups": 3, "epsilon": 1e-3})]
    both(made(nodes, arrays, ("batch", 6, 7), 3, 21), random(5, 6, 7))
    with pytest.raises(UnsupportedError, match="opset 18 has scales of groups"):
        gl.from_onnx(made(nodes, {"g": random(3), "h": random(3)}, ("batch", 6, 7), 3, 18))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("ReduceMean", ["x"], {"axes": [1]})], "ReduceMean.* has no counterpart"),
        ([("Gather", ["x", "p"], {"axis": 1})], "it takes a place of axis 1; expected one of time"),
        ([("Transpose", ["x"], {"perm": [1, 0]}), ("Gemm", ["1", "W"], {})], "the batch is not the first axis"),
        ([("Transpose", ["x"], {"perm": [1, 0]})], "the output 1 cannot be read: the batch is not the first axis"),
        ([("Mul", ["x", "v"], {})], "the operator Mul.* has no counterpart here; supported are .*Gemm"),
    ],
)
def test_what_cannot_be_read_is_named(nodes, message):
    arrays = {"W": random(5, 7), "v": random(5), "p": np.array(2)}
    with pytest.raises(UnsupportedError, match=message):
        gl.from_onnx(made(nodes, arrays, opset=17))
