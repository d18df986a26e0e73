"""What training, compiling and using a model are asked wrongly; optimizers and schedules."""

from __future__ import annotations

import numpy as np

import gradloom as gl
from gradloom import optimizers as O
from gradloom import schedules as S

from .case import LABELS, B, Case, X, Y, classifier, declared, fitted, i, model, stacked


class Numbered(O.Optimizer):
    """Its update reads the number of an entry."""

    def __init__(self) -> None:
        super().__init__(lr=0.1)
        self.assign(self.theta, self.theta[self.q] - self.lr * self.g * self.q)


class Strange(O.Optimizer):
    def __init__(self) -> None:
        super().__init__(lr=0.1)
        self.assign(self.theta, self.theta[self.q] - gl.dims("c") * self.g)


class Nested(O.Optimizer):
    def __init__(self) -> None:
        super().__init__(lr=0.1)
        self.assign(self.theta, self.theta[self.q] - self.lr * gl.Sum(self.gradient[i], (i, 3)))


class Stateless(O.Optimizer):
    def __init__(self) -> None:
        super().__init__(lr=0.1)
        self.assign("m", self.g)


class Bare(O.Optimizer):
    def __init__(self) -> None:
        super().__init__(lr=0.1)
        self.assign(self.theta, self.theta - self.lr * self.g)


def two_targets() -> gl.Network:
    net = declared(False)
    u = net.target("u", (B,))
    z = net.tensors["z"]
    net.minimize(gl.Sum((z[i, 0] - u[i]) ** 2, i) + gl.Sum(net.tensors["y"][i, 0] * z[i, 0], i))
    return net


def recurrent() -> gl.Network:
    return stacked(gl.layers.RNN(3), shape=(5, 2))


CASES: dict[str, Case] = {
    "A learning rate below 0": lambda place: O.SGD(lr=-1),
    "A learning rate that is no number": lambda place: O.Adam(lr="fast"),
    "A learning rate that is not finite": lambda place: O.Adam(lr=float("nan")),
    "A decay of Adam that is none": lambda place: O.Adam(beta1=1.5),
    "A clip that is no positive number": lambda place: O.SGD(lr=0.1, clip_norm=0),
    "Nesterov without momentum": lambda place: O.SGD(lr=0.1, nesterov=True),
    "A schedule that returns no expression": lambda place: O.SGD(lr=lambda t: None),
    "A schedule of something else than the step": lambda place: O.SGD(lr=lambda t: t * gl.dims("n")),
    "A schedule of steps below 1": lambda place: S.Cosine(0.1, 0),
    "A number that the optimizer does not have": lambda place: O.SGD(lr=0.1).set(beta1=0.9),
    "An update that reads a vector without an index": lambda place: Bare(),
    "An update that reads a position as a number": lambda place: Numbered(),
    "An update that reads what it does not have": lambda place: Strange(),
    "An update with a sum over something else": lambda place: Nested(),
    "An update of a state that is not declared": lambda place: Stateless(),
    "A network that is none": lambda place: gl.Model([gl.layers.Dense(3)]),
    "The class of a network": lambda place: gl.Model(gl.Sequential),
    "A target that is not offered": lambda place: stacked().compile(target="gpu"),
    "A type that is not offered": lambda place: model(dtype="float16"),
    "A seed below 0": lambda place: model(seed=-1),
    "Sizes that are no numbers by name": lambda place: model(sizes=3),
    "A size below 1 for a symbol": lambda place: model(declared(), sizes={"n": 0}),
    "A size that the network does not have": lambda place: stacked().compile(target="numpy", sizes={"q": 3}),
    "A symbolic size without a number": lambda place: model(declared()).params,
    "A size at which an axis is empty": lambda place: narrow(),
    "A batch below 1, compiled": lambda place: stacked().compile(target="numpy", batch=0),
    "A gradient of what is not there": lambda place: stacked().compile(target="numpy", wrt=["V"]),
    "Gradients that are no names": lambda place: stacked().compile(target="numpy", wrt=3),
    "A precision that is not offered": lambda place: model(precision="half"),
    "Tensor cores on a CPU": lambda place: model(precision="tf32"),
    "A schedule of kernels that is none": lambda place: stacked().compile(target="cpu", schedule=3),
    "A schedule of kernels with an unknown way": lambda place: stacked().compile(target="cpu", schedule={"reuse": 3}),
    "A schedule of a product that is not there": lambda place: stacked().compile(
        target="cpu", schedule={"products": {"q": "loops"}}
    ),
    "A schedule on a target without one": lambda place: stacked().compile(target="numpy", schedule={"epoch": "python"}),
    "Checkpoints of recurrences on a target without them": lambda place: model(recurrent(), checkpoint=2),
    "Checkpoints without a recurrence": lambda place: stacked().compile(target="cpu", checkpoint=2),
    "More steps between checkpoints than there are": lambda place: recurrent().compile(target="cpu", checkpoint=9),
    "Checkpoints that are no number of steps": lambda place: recurrent().compile(target="cpu", checkpoint="all"),
    "A function that kernels do not have": lambda place: stacked(gl.layers.Dense(3, __import__("sympy").gamma)).compile(
        target="numpy"
    ),
    "No loss to train": lambda place: gl.Model(gl.Sequential([gl.layers.Dense(3)], 2), target="numpy").fit(X, Y),
    "No parameters to train": lambda place: nothing_to_train(),
    "Epochs below 0": lambda place: fitted(epochs=-1),
    "A batch below 1": lambda place: fitted(batch=0),
    "An optimizer by name": lambda place: fitted(optimizer="sgd"),
    "The class of an optimizer": lambda place: fitted(optimizer=O.SGD),
    "A fraction of validation above 1": lambda place: fitted(validation=2),
    "A fraction of validation without a row": lambda place: fitted(validation=0.01),
    "A validation without a batch": lambda place: unbatched(),
    "A flag that is a word": lambda place: fitted(shuffle="no"),
    "A bar of progress that is none": lambda place: fitted(progress="bar"),
    "Callbacks that are none": lambda place: fitted(callbacks=3),
    "A callback that is none": lambda place: fitted(callbacks=[3]),
    "A patience below 1": lambda place: fitted(early_stopping=0),
    "A least improvement that is no number": lambda place: gl.EarlyStopping(min_delta="a"),
    "Early stopping by what is not measured": lambda place: fitted(early_stopping=gl.EarlyStopping(monitor="val_loss")),
    "A metric that is unknown": lambda place: fitted(metrics=["f1"]),
    "A metric that returns no number": lambda place: fitted(metrics=lambda outputs, targets: "good"),
    "An accuracy of what are no classes": lambda place: fitted(metrics="accuracy"),
    "A metric of two targets": lambda place: model(two_targets()).fit(
        X, {"y": Y, "u": Y[:, 0]}, epochs=1, progress=False, metrics="mean_absolute_error"
    ),
    "Numbers that grow without end": lambda place: fitted(optimizer=O.SGD(lr=1e12), epochs=99),
    "A prediction of a network without output": lambda place: model(without_output()).predict(X),
    "Rows at a time below 1": lambda place: model().predict(X, batch=0),
    "Results left on a GPU by another target": lambda place: model().predict(X, on_device=True),
    "A parameter that the model does not have": lambda place: model().params.fill({"V": 3}),
    "A parameter of another shape": lambda place: set_bias(),
    "Parameters that are no numbers": lambda place: model().params.fill({"W1": np.full((3, 2), "a"), "b1": np.ones(3)}),
    "An initial value that is none": lambda place: model(started("he")).params,
    "An initial value of another shape": lambda place: model(started(np.ones(2))).params,
    "An initial value that is not finite": lambda place: model(started(float("inf"))).params,
    "Labels in the place of a parameter's gradient": lambda place: classifier().compile(target="numpy", wrt=["y"]),
    "Gradients from a program without a loss": lambda place: (
        gl.Sequential([gl.layers.Dense(3)], 2)
        .compile(target="numpy")
        .loss_and_gradients({"W1": np.ones((3, 2)), "b1": np.ones(3)}, X)
    ),
    "Too many arrays for a program": lambda place: (
        classifier().compile(target="numpy").predict({"W1": np.ones((3, 2)), "b1": np.ones(3)}, X, LABELS, X)
    ),
    "A number of threads below 1": lambda place: gl.set_threads(0),
}


def narrow() -> object:
    """A window of three over an axis whose size is not known when it is declared."""
    H = gl.dims("H")
    net = stacked(gl.layers.Conv1D(2, 3), gl.layers.Permute(2, 1), shape=(2, H))
    return net.compile(target="numpy", sizes={"H": 2})


def nothing_to_train() -> object:
    net = gl.Network("fixed")
    x = net.input("x")
    net.minimize(x**2)
    return gl.Model(net, target="numpy").fit(3.0)


def unbatched() -> object:
    net = gl.Network("scalar")
    x, w = net.input("x"), net.parameter("w")
    net.minimize((w * x - 1) ** 2)
    return gl.Model(net, target="numpy").fit(3.0, validation=0.5)


def without_output() -> gl.Network:
    net = gl.Network("net")
    x, y, w = net.input("x", (B, 2)), net.target("y", (B,)), net.parameter("w")
    r = net.define("r", i, w * x[i, 0] - y[i])
    net.minimize(gl.Sum(r[i] ** 2, i))
    return net


def set_bias() -> None:
    model().params["b1"] = np.ones(7)


def started(init: object) -> gl.Network:
    return stacked(gl.layers.Dense(3, weight_init=init))
