"""Networks inside of PyTorch and scikit-learn, modules and ONNX files that become networks."""

from __future__ import annotations

import numpy as np

import gradloom as gl

from .case import LABELS, Case, Place, X, model, stacked


def called(*arguments: object, of: gl.Network | None = None, **named: object) -> object:
    """Two sums of two numbers as a function of tensors."""
    net = gl.Sequential([gl.layers.Dense(2)], 2, name="line") if of is None else of
    return gl.torch.function(net, target="numpy")(*arguments, **named)


def ones(*shape: int, dtype: str = "float32") -> object:
    import torch

    return torch.ones(*shape, dtype=getattr(torch, dtype))


def states() -> object:
    scaled = gl.torch.function(gl.Sequential([gl.layers.BatchNorm()], 2), training=False, target="numpy")
    one = ones(2)
    return scaled(ones(4, 2), one, one, one, ones(2).requires_grad_())  # type: ignore[attr-defined]


def twice() -> object:
    import torch

    x = ones(4, 2).requires_grad_()  # type: ignore[attr-defined]
    out = called(x, ones(2, 2), ones(2))
    (first,) = torch.autograd.grad(out.sum(), x, create_graph=True)  # type: ignore[attr-defined]
    return first.sum().backward()


def attribute() -> object:
    net = gl.Network("net")
    net.define("a", (), net.parameter("half") ** 2)
    return gl.torch.Module(net)


def module(*layers: object) -> object:
    from torch import nn

    return gl.from_torch(nn.Sequential(*layers), (5,))


def torch_layer(name: str, *arguments: object, **options: object) -> Case:
    def case(place: Place) -> object:
        from torch import nn

        return module(getattr(nn, name)(*arguments, **options))

    return case


def shared(place: Place) -> object:
    from torch import nn

    one = nn.Linear(5, 5)
    return module(one, one)


def shapeless(place: Place) -> object:
    from torch import nn

    return gl.from_torch(nn.Sequential(nn.ReLU()))


def operators(*nodes: tuple[str, list[str]], shape: tuple[object, ...] = ("batch", 5), **attributes: object) -> Case:
    """An ONNX file of these operators, one after the other; W is a constant of 5 × 7."""

    def case(place: Place) -> object:
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        made = [
            helper.make_node(kind, reads, [str(place_)], **(attributes if not place_ else {}))
            for place_, (kind, reads) in enumerate(nodes)
        ]
        graph = helper.make_graph(
            made,
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(str(len(nodes) - 1), TensorProto.FLOAT, ("batch", "width"))],
            [numpy_helper.from_array(np.ones((5, 7), np.float32), "W")],
        )
        onnx.save(helper.make_model(graph), place.path / "model.onnx")
        return gl.from_onnx(place.path / "model.onnx")

    return case


def estimator(y: object = LABELS, weights: object = None, name: str = "MLPClassifier", **options: object) -> object:
    from gradloom import sklearn

    made = getattr(sklearn, name)(**{"max_iter": 1, "target": "numpy"} | options)
    return made.fit(X, y) if weights is None else made.fit(X, y, sample_weight=weights)


def partial(*fits: object, **options: object) -> object:
    from gradloom import sklearn

    made = sklearn.MLPClassifier(max_iter=1, target="numpy", **options)
    for y in fits:
        made.partial_fit(X, y, classes=[0, 1, 2])
    return made


def sigmoid() -> gl.Network:
    return gl.Sequential([gl.layers.Dense(1, gl.sigmoid)], 2, loss=gl.losses.BinaryCrossEntropy())


def pictures() -> gl.Network:
    return gl.Sequential([gl.layers.Flatten(), gl.layers.Dense(3)], (1, 8, 8), loss=gl.losses.CrossEntropy())


def special() -> gl.Network:
    import sympy

    return stacked(gl.layers.Dense(3, sympy.gamma))


CASES: dict[str, Case] = {
    "Too many tensors": lambda place: called(ones(4, 2), ones(2, 2), ones(2), ones(2)),
    "A tensor that is missing": lambda place: called(ones(4, 2), ones(2, 2)),
    "A tensor of a name that is not there": lambda place: called(ones(4, 2), ones(2, 2), ones(2), q=ones(2)),
    "A tensor of another shape": lambda place: called(ones(4, 3), ones(2, 2), ones(2)),
    "Tensors of two types": lambda place: called(ones(4, 2), ones(2, 2, dtype="float64"), ones(2)),
    "Tensors of a short type": lambda place: called(*(ones(*s, dtype="float16") for s in ((4, 2), (2, 2), (2,)))),
    "A complex tensor": lambda place: called(ones(4, 2, dtype="complex64"), ones(2, 2), ones(2)),
    "A tensor of another device": lambda place: called(ones(4, 2).to("meta"), ones(2, 2), ones(2)),  # type: ignore[attr-defined]
    "A sparse tensor": lambda place: called(ones(4, 2).to_sparse(), ones(2, 2), ones(2)),  # type: ignore[attr-defined]
    "A state whose gradient is asked for": lambda place: states(),
    "A gradient of a gradient": lambda place: twice(),
    "An output that is not there": lambda place: gl.torch.function(stacked(), "q"),
    "A target of another library that is not offered": lambda place: gl.torch.function(stacked(), target="cuda"),
    "A module of a short type": lambda place: gl.torch.Module(stacked(), dtype=__import__("torch").float16),
    "A module with a parameter of a name that it has": lambda place: attribute(),
    "Something else than a module": lambda place: gl.from_torch(3),
    "A module without a counterpart": torch_layer("Hardswish"),
    "A module with an option that is not read": torch_layer("LSTM", 5, 3),
    "A module along another axis": torch_layer("Softmax", 0),
    "A module at two places": shared,
    "A module of no known shape": shapeless,
    "Something else than an ONNX file": lambda place: gl.from_onnx(3),
    "An ONNX file that is not there": lambda place: gl.from_onnx(place.path / "model.onnx"),
    "An ONNX file that is damaged": lambda place: gl.from_onnx(place.file("model.onnx", "hello")),
    "An operator without a counterpart": operators(("Sin", ["x"])),
    "An operator that reads what stands far before": operators(
        ("MatMul", ["x", "W"]), ("Softmax", ["0"]), ("Add", ["1", "0"])
    ),
    "An operator with an attribute that is not read": operators(("Gemm", ["x", "W"]), alpha=2.0),
    "An ONNX file of no known shape": operators(("Relu", ["x"]), shape=("batch", None)),
    "An export of a function that ONNX does not have": lambda place: gl.to_onnx(
        special(), params={"W1": np.ones((3, 2)), "b1": np.ones(3)}
    ),
    "An export without parameters": lambda place: gl.to_onnx(stacked()),
    "An export of parameters of another shape": lambda place: gl.to_onnx(stacked(), params={"W1": X, "b1": np.ones(3)}),
    "An export to a folder that does not exist": lambda place: gl.to_onnx(model(), place.path / "nowhere" / "m.onnx"),
    "A penalty of an estimator that is none": lambda place: estimator(alpha=-1),
    "An activation of an estimator by an unknown name": lambda place: estimator(activation="softmax"),
    "A solver that is not offered": lambda place: estimator(solver="lbfgs"),
    "A way of the learning rate that is not offered": lambda place: estimator(learning_rate="invscaling"),
    "A tolerance that is no number": lambda place: estimator(tol="small"),
    "Layers of an estimator of no units": lambda place: estimator(hidden_layer_sizes=(3, 0)),
    "Weights of another number": lambda place: estimator(weights=np.ones(3)),
    "Weights below 0": lambda place: estimator(weights=-np.ones(4)),
    "Weights that are all 0": lambda place: estimator(weights=np.zeros(4)),
    "Weights that are words": lambda place: estimator(weights=["a"] * 4),
    "A class that was not there before": lambda place: partial(LABELS, LABELS + 5),
    "Early stopping in parts": lambda place: partial(LABELS, early_stopping=True),
    "A network of an estimator that is none": lambda place: estimator(name="NetworkClassifier", network=3),
    "A network of other inputs": lambda place: estimator(name="NetworkClassifier", network=pictures()),
    "One class for a sigmoid": lambda place: estimator(LABELS * 0, name="NetworkClassifier", network=sigmoid()),
    "More classes than outputs": lambda place: estimator(name="NetworkClassifier", network=sigmoid()),
}
