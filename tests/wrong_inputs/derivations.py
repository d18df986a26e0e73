"""What is asked wrongly of a declared network: derivations, pages, pictures, numbers."""

from __future__ import annotations

import math

import numpy as np

import gradloom as gl

from .case import Case, Place, X, Y, classifier, declared, i, j, model, stacked


def scalar() -> gl.Network:
    net = gl.Network("scalar")
    x, w = net.input("x"), net.parameter("w")
    net.minimize((w * x - 1) ** 2)
    return net


def normalised() -> gl.Network:
    return stacked(gl.layers.BatchNorm())


def noisy() -> gl.Network:
    return stacked(gl.layers.Dense(3), gl.layers.Dropout(0.5))


def linear() -> gl.Network:
    net = declared(False)
    z, y = net.tensors["z"], net.tensors["y"]
    net.minimize(gl.Sum(z[i, j] * y[i, j], i, j))
    return net


def penalised() -> gl.Network:
    return stacked(penalties=[gl.losses.L2(0.1)])


def summed() -> gl.Network:
    net = declared(False)
    x, z = net.tensors["x"], net.tensors["z"]
    net.minimize(gl.Sum(z[i, j] ** 2, i, j) + gl.Sum(x[i, 0], i))
    return net


def empty() -> gl.Network:
    return gl.Network("empty")


def explained(**options: object) -> object:
    return gl.explain(stacked(), (X, Y), **options)  # type: ignore[arg-type]


def without_tex(place: Place) -> object:
    place.patch.setenv("PATH", str(place.path))
    return stacked().derive().pdf(place.path / "page.pdf")


CASES: dict[str, Case] = {
    "A network that is none, to derive": lambda place: gl.hessian_vector(3),
    "A gradient by what is not there": lambda place: declared().derive(wrt=["V"]),
    "A gradient by class labels": lambda place: classifier().derive(wrt=["y"]),
    "A gradient by no names": lambda place: declared().derive(wrt=3),
    "The δ of what is not there": lambda place: declared().derive().delta("V"),
    "The δ of what was not asked for": lambda place: declared().derive().delta("x"),
    "An equation of what is not there": lambda place: declared().equation("V"),
    "An equation of an input": lambda place: declared().equation("x"),
    "Second derivatives without a loss": lambda place: gl.hessian_vector(declared(False)),
    "Second derivatives by what equations define": lambda place: gl.hessian_vector(declared(), wrt=["z"]),
    "Second derivatives by what is declared one-hot": lambda place: gl.hessian_vector(
        stacked(loss=gl.losses.CrossEntropy()), wrt=["y"]
    ),
    "A Hessian of too many rows": lambda place: gl.hessian(stacked(), model().params, X, Y, limit=5),
    "Gauss-Newton with respect to an input": lambda place: gl.gauss_newton_vector(declared(), output="x"),
    "Gauss-Newton beside the output": lambda place: gl.gauss_newton_vector(penalised()),
    "Gauss-Newton of a linear loss": lambda place: gl.gauss_newton_vector(linear()),
    "The name of a derivative that is taken": lambda place: gl.tangent(named(), "z", {"W": once}, label="u"),
    "A direction of what is not there": lambda place: gl.tangent(declared(), "z", {"V": once}),
    "A direction of class labels": lambda place: gl.tangent(classifier(), "z1", {"y": once}),
    "A direction that is none": lambda place: gl.tangent(declared(), "z", {"W": 3}),
    "A direction of another shape": lambda place: (net := declared(), gl.tangent(net, "z", {"W": net.tensors["x"]})),
    "Directions without names": lambda place: gl.tangent(declared(), "z", once),
    "A tangent along what has no influence": lambda place: gl.tangent(declared(), "z", {"y": once}),
    "Outputs that are not there": lambda place: gl.vjp(declared(), outputs="V"),
    "Outputs that no equation defines": lambda place: gl.vjp(declared(), outputs="x"),
    "A product with what has no influence": lambda place: gl.vjp(declared(), outputs="z", wrt=["y"]),
    "A derivative along what is not reached": lambda place: gl.jvp(declared(), of="z", wrt=["y"]),
    "A derivative of nothing": lambda place: gl.jvp(declared(False)),
    "No outputs": lambda place: gl.vjp(declared(), outputs=[]),
    "A direction that returns no expression": lambda place: gl.tangent(declared(), "z", {"W": lambda i, j: None}),
    "Gradients per example without a batch": lambda place: gl.per_example(scalar()),
    "Gradients per example by an input": lambda place: gl.per_example(declared(), wrt=["x"]),
    "Gradients per example with a penalty": lambda place: gl.per_example(penalised()),
    "Penalties that are unknown": lambda place: gl.per_example(declared(), penalties="sum"),
    "An unrolled size without a number": lambda place: gl.unrolled(declared(), {"B": 1}),
    "An unrolled size that is no number": lambda place: gl.unrolled(declared(), {"B": -1, "n": 2, "m": 3}),
    "An unrolled size that is not there": lambda place: gl.unrolled(declared(), {"B": 1, "n": 2, "m": 3, "q": 5}),
    "An unrolled network of too many terms": lambda place: gl.unrolled(declared(), {"B": 99, "n": 99, "m": 99}),
    "Costs at a size that is not there": lambda place: declared().derive().costs().at(q=3),
    "Costs at a size that is no number": lambda place: declared().derive().costs().at(B=2.5, n=2, m=3),
    "Costs at a size without a number": lambda place: declared().derive().costs().at(B=2),
    "A form of a page that is unknown": lambda place: stacked().derive().text(form="lines"),
    "A choice of notation that is unknown": lambda place: stacked().derive().text(layout="diagonal"),
    "A choice of notation that is not there": lambda place: stacked().derive().text(colour="red"),
    "A symbol for what is not there": lambda place: stacked().derive().latex(symbols={"V": "v"}),
    "Symbols that are no mapping": lambda place: stacked().derive().latex(symbols=3),
    "A PDF without TeX": without_tex,
    "A kind of picture that is unknown": lambda place: stacked().picture(kind="tree"),
    "An option that a picture does not have": lambda place: stacked().picture(colour="red"),
    "A picture of nothing": lambda place: empty().picture(),
    "A circuit with half its values": lambda place: scalar().picture({"x": 1}, kind="circuit"),
    "A circuit with a value for what is not there": lambda place: scalar().picture({"v": 1}, kind="circuit"),
    "A circuit of too many gates": lambda place: stacked().picture(
        {"x": X, "y": Y, "W1": np.ones((3, 2)), "b1": np.ones(3)}, kind="circuit", limit=5
    ),
    "Digits that are no number": lambda place: scalar().picture({"x": 1, "w": 2}, kind="circuit", digits="two"),
    "Curves of no training": lambda place: gl.training_curves(gl.History()),
    "Images of what is not there": lambda place: gl.weight_images(model(), "V"),
    "Images of a vector": lambda place: gl.weight_images(model(), "b1"),
    "Images of another size": lambda place: gl.weight_images(model(), "W1", shape=(3, 3)),
    "Images of what are no numbers": lambda place: gl.weight_images(np.full((2, 4), math.nan)),
    "Gradient norms that are none": lambda place: gl.norms_by_layer(gl.GradientNorms()),
    "Gradient norms of no names": lambda place: gl.gradient_norms(model(), X, Y, of=3),
    "Data of gradient norms that are no pair": lambda place: gl.GradientNorms(X),
    "To explain without a loss": lambda place: gl.explain(declared(False)),
    "To explain a row that is not there": lambda place: explained(rows=9),
    "To explain data that are no pair": lambda place: gl.explain(stacked(), X),
    "To explain parameters that are not there": lambda place: explained(params={"V": 1}),
    "To explain an entry that is not there": lambda place: explained(entries=["V[0]"]),
    "To explain an entry beyond the end": lambda place: explained(entries=["W1[0, 5]"]),
    "To explain an entry by too few positions": lambda place: explained(entries=["W1[0]"]),
    "To explain parameters without names": lambda place: explained(params=3),
    "To explain parameters of another shape": lambda place: explained(params={"W1": X}),
    "To explain no row": lambda place: explained(rows=slice(0)),
    "To explain a row of random data": lambda place: gl.explain(stacked(), rows=2),
    "To explain a row of what has no batch": lambda place: gl.explain(scalar(), rows=2),
    "To explain without an array for a target": lambda place: gl.explain(stacked(), {"x": X}),
    "To move an entry by nothing": lambda place: explained(epsilon=0),
    "To explain a size that is not there": lambda place: explained(sizes={"q": 3}),
    "To explain with an optimizer by name": lambda place: explained(optimizer="sgd"),
    "To explain a network that is too large": lambda place: gl.explain(stacked(gl.layers.Dense(1700), shape=1700)),
    "To check gradients on a target that is not offered": lambda place: gl.gradcheck(stacked(), target="gpu"),
    "To check gradients with data without names": lambda place: gl.gradcheck(stacked(), target="numpy", data=(X, Y)),
    "To check gradients where the loss is not finite": lambda place: gl.gradcheck(
        scalar(), target="numpy", data={"x": 1e300}
    ),
    "To evaluate without a value": lambda place: gl.evaluate(declared().equations, {"x": X, "y": Y}),
    "To evaluate a value of another shape": lambda place: gl.evaluate(declared().equations, {"x": X[0]}),
}


def named() -> gl.Network:
    net = declared()
    net.define("z_u", i, net.tensors["z"][i, 0])
    return net


def once(*where: object) -> int:
    return 1
