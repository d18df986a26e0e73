"""Declarations: programs against the API, of sensible and of hostile arguments, derived, compiled and run a step."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing.choices import Choices
from fuzzing.equations import NAMES, hostile, network
from fuzzing.target import Target

# What a list of arguments is made of, by the name of a parameter; the rest are numbers, or hostile.
SENSIBLE: dict[str, Any] = {
    "units": (2, 3, 4), "filters": (1, 2), "kernel": (1, 2, (1, 2)), "stride": (1, 2), "padding": (0, 1, "same"),
    "heads": (1, 2), "head_units": (None, 2), "classes": (2, 3), "rate": (0.5, 0, 0.1), "eps": (1e-5,),
    "groups": (1, 2), "dilation": (1, 2), "multiplier": (1, 2), "size": (2,), "pool": (2, 1), "window": (1, 2),
    "reduction": ("mean", "sum", "mean", "half"), "targets": ("one_hot", "labels"), "axis": (-1, 1, -1, 2),
    "shape": ((2, 2), (4,), -1, (2, -1)), "momentum": (0.9, 0.1),
    "start": (0, 1, -1), "stop": (None, 2, -1), "step": (1, 2), "truncate": (None, 1, 2),
    "lr": (0.1, 1e-3), "delta": (1, 0.5), "margin": (1, 2), "strength": (0.1, 1), "hidden": (2, 3), "factor": (0.5,),
    "every": (1, 3), "steps": (2, 9), "mask": (None, "mask"), "order": (1, 2, 3), "lr_min": (0.0,), "value": (0.0, 1),
}  # fmt: skip


FITTING = {
    1: "Dense Activation BatchNorm LayerNorm RMSNorm Dropout Residual Chain Reshape Slice Parallel",
    2: "Dense GRU LSTM RNN Attention TransformerBlock Positions Conv1D MaxPool1D Bidirectional GlobalMaxPool",
    3: "Conv2D MaxPool2D AveragePool2D DepthwiseConv2D ConvTranspose2D GroupNorm Flatten Permute Residual",
}  # layers that take samples of so many axes


def _squared(output: Any, target: Any) -> Any:
    return (output - target) ** 2


def filled(choices: Choices, gl: Any, make: Any, spoilt: int) -> Any:
    """Call a class or function with arguments by their names; one of `spoilt` is hostile."""
    given: list[Any] = []
    named: dict[str, Any] = {}
    for name, parameter in inspect.signature(make).parameters.items():
        needed = parameter.default is parameter.empty
        if parameter.kind == parameter.VAR_KEYWORD or (not needed and choices.below(3)):
            continue
        if choices.one_in(spoilt):
            value = hostile(choices, gl)
        elif name in ("activation", "cell"):
            value = choices.pick((gl.relu, gl.sigmoid, gl.tanh, gl.softmax, gl.gelu, gl.identity, gl.elu, gl.softplus))
        elif name in ("layer", "layers", "of", "then"):
            inner = [layer(choices, gl, spoilt) for _ in range(1 + choices.below(2))]
            value = inner if name == "layers" else inner[0] if name != "then" else 0.1
        elif name == "entry":
            value = _squared
        elif name.endswith("init") or name == "init":
            value = choices.pick((None, gl.initializers.Normal(), gl.initializers.HeUniform(), 0.5))
        elif name in SENSIBLE:
            value = choices.pick(SENSIBLE[name])
        elif needed:
            value = choices.pick((1, 2, 0.5, "W1"))
        else:
            value = choices.pick((True, False)) if isinstance(parameter.default, bool) else parameter.default
        if parameter.kind == parameter.VAR_POSITIONAL:
            given += [value, *[choices.below(3) for _ in range(choices.below(3))]]
        elif parameter.kind == parameter.KEYWORD_ONLY or not needed:
            named[name] = value
        else:
            given.append(value)
    return make(*given, **named)


def layer(choices: Choices, gl: Any, spoilt: int, rank: int = 1) -> Any:
    """A layer, mostly one that takes samples of so many axes."""
    makers = _makers(gl, "layers")
    if not choices.one_in(8):
        makers = [one for one in makers if one.__name__ in FITTING[rank].split()]
    return filled(choices, gl, choices.pick(makers), spoilt)


def _makers(gl: Any, name: str) -> list[Any]:
    if name not in _known:
        module = getattr(gl, name)
        found = [getattr(module, key) for key in dir(module) if key[0].isupper()]
        bases = (
            "Layer",
            "Loss",
            "ClassLoss",
            "Schedule",
            "Optimizer",
            "Recurrent",
            "Cell",
            "Penalty",
            "L1",
            "L2",
            "ActivityL1",
        )
        _known[name] = [one for one in found if inspect.isclass(one) and ".symbolic." in one.__module__
                        and one.__name__ not in bases and not issubclass(one,
                                                            Exception | gl.Tensor | gl.Network)]  # fmt: skip
    return _known[name]


_known: dict[str, list[Any]] = {}


def sequential(choices: Choices, gl: Any) -> Any:
    spoilt = choices.pick((10**6, 40, 8))
    shape = choices.pick(((4,), 3, (3, 4), (2, 4, 4), (gl.Dim("n"),), (gl.Dim("T"), 3)))
    rank = len(shape) if isinstance(shape, tuple) else 1
    layers: Any = [layer(choices, gl, spoilt, rank) for _ in range(1 + choices.below(3))]
    loss = filled(choices, gl, choices.pick(_makers(gl, "losses")), spoilt)
    options: dict[str, Any] = {"loss": loss}
    for name, values in {"name": NAMES, "input_classes": (None, 3), "penalties": ((), [gl.losses.L2(0.1)])}.items():
        if choices.one_in(6):
            options[name] = hostile(choices, gl) if choices.one_in(3) else choices.pick(values)
    if choices.one_in(spoilt):
        shape = hostile(choices, gl)
    if choices.one_in(spoilt):
        layers = hostile(choices, gl)
    return gl.Sequential(layers, shape, **options)


def used(choices: Choices, gl: Any, net: Any) -> None:
    """Derive, print, compile and take a step."""
    wrt = hostile(choices, gl) if choices.one_in(12) else None
    derivation = net.derive(wrt)
    getattr(derivation, choices.pick(("text", "latex", "markdown")))()
    optimizer: Any = filled(choices, gl, choices.pick(_makers(gl, "optimizers")), choices.pick((10**6, 10)))
    known = {"n": 3, "m": 2, "T": 2, "B": 4}
    found = {size.name for tensor in net.tensors.values() for one in tensor.shape for size in one.free_symbols}
    sizes: Any = {name: known[name] for name in sorted(found & {"n", "m", "T"})}
    if choices.one_in(12):
        sizes = hostile(choices, gl)
    model = gl.Model(net, target="numpy", dtype="float64", sizes=sizes)
    rng = np.random.default_rng(2)
    data = []
    for tensor in (*net.inputs, *net.targets):
        shape = [size.subs({gl.Dim(name): number for name, number in known.items()}) for size in tensor.shape]
        shape = [int(size) if size.is_number else 4 for size in shape]
        if np.prod(shape) > 10**6:
            return
        kind = (
            hostile(choices, gl)
            if choices.one_in(16)
            else rng.normal(size=shape)
            if tensor.classes is None
            else np.zeros(shape, int)
        )
        data.append((tensor.name, kind))
    inputs = {name: value for name, value in data if name in {one.name for one in net.inputs}}
    targets = {name: value for name, value in data if name not in inputs}
    model.fit(inputs, targets, epochs=1, batch=4, optimizer=optimizer)
    model.predict(inputs)


def prepare(folder: Path) -> Target:
    import gradloom as gl
    from gradloom.runtime import explain, gradcheck, training  # noqa: F401 - what is imported later would be watched

    gl.initializers.Normal()
    gl.Model(gl.Sequential([gl.layers.Dense(2)], 3, loss=gl.losses.SquaredError()), target="numpy").fit(
        np.ones((4, 3)), np.ones((4, 2)), epochs=1, batch=2
    )

    def call(choices: Choices) -> None:
        made = choices.pick((network, sequential))(choices, gl)
        size = sum(int(np.prod([size for size in t.shape if isinstance(size, int)])) for t in made.tensors.values())
        if size < 10**6:
            used(choices, gl, made)

    seeds = [bytes([n % 2, *(n * k % 251 for k in range(1, 60 + n))]) for n in range(40)]
    return Target(call, limit=90.0, seeds=seeds)
