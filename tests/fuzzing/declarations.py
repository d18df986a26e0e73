"""Declarations: programs against the API, of sensible and of hostile arguments, derived, compiled and run a step."""

from __future__ import annotations

import inspect
import itertools
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing.choices import Choices
from fuzzing.oracle import CANARY, PAYLOADS
from fuzzing.target import Target

NAMES = ("x", "y", "W", "b", "z", "h", "V", "L", "state", "mask", "W1", "lambda", "def", "_", "__class__", "a b", "x" * 300,
         "", "1", "δ", "ｘ", "print", "np", "real", "B", "i", "loss", "params", "step", "seed", "n\nm", *PAYLOADS)  # fmt: skip
# What a list of arguments is made of, by the name of a parameter; the rest are numbers, or hostile.
SENSIBLE: dict[str, Any] = {
    "units": (2, 3, 4), "filters": (1, 2), "kernel": (1, 2, (1, 2)), "stride": (1, 2), "padding": (0, 1, "same", "valid"),
    "heads": (1, 2), "head_units": (None, 2), "classes": (2, 3), "rate": (0.5, 0, 0.1), "eps": (1e-5,), "axis": (-1, 1, 2),
    "groups": (1, 2), "dilation": (1, 2), "multiplier": (1, 2), "size": (2,), "pool": (2, 1), "window": (1, 2),
    "reduction": ("mean", "sum", "mean", "half"), "targets": ("one_hot", "labels"), "shape": ((2, 3), (6,), -1, (3, -1)),
    "start": (0, 1, -1), "stop": (None, 2, -1), "step": (1, 2), "truncate": (None, 1, 2), "momentum": (0.9, 0.1),
    "lr": (0.1, 1e-3), "delta": (1, 0.5), "margin": (1, 2), "strength": (0.1, 1), "hidden": (2, 3), "factor": (0.5,),
    "every": (1, 3), "steps": (2, 9), "mask": (None, "mask"), "order": (1, 2, 3), "lr_min": (0.0,), "value": (0.0, 1),
}  # fmt: skip


def hostile(choices: Choices, gl: Any) -> Any:
    """What should never be given, and now and then what may be."""
    other = gl.Network("other")
    plain = (None, True, False, "", 0, -1, 1, 2**70, 10**400, 0.0, -0.5, 1e308, 5e-324, float("nan"), float("inf"), 1j, b"x", [],
             (), {}, set(), object(), object, len, gl, Ellipsis, NotImplemented, range(3), [1, [2]], {"a": 1}, ("a",), CANARY,
             lambda *a: CANARY, lambda *a: 1 / 0, np.zeros(3), np.float32(2), np.int64(3), np.array("x"), np.bool_(True),
             np.array([None]), np.nan, gl.Dim("n"), gl.Index("i"), gl.dims("n m"), other, gl.relu, gl.sigmoid, gl.softmax,
             gl.layers.Dense, gl.layers.Dense(2), gl.losses.SquaredError, gl.losses.SquaredError(), gl.optimizers.SGD())  # fmt: skip
    kind = choices.below(8)
    if kind == 0:
        return choices.text(20)
    if kind == 1:
        return choices.pick(PAYLOADS)
    if kind == 2:
        return choices.number()
    if kind == 3:
        import sympy

        return choices.pick((sympy.Symbol("q"), sympy.Float("nan"), sympy.oo, sympy.zoo, sympy.I, sympy.Rational(1, 3), sympy.pi,
                             sympy.Integer(2), sympy.true, sympy.Matrix([[1]]), sympy.Lambda(sympy.Symbol("q"), 1), sympy.S(0),
                             sympy.Function("f"), sympy.Eq(sympy.Symbol("q"), 1), sympy.Tuple(1, 2), sympy.EmptySet))  # fmt: skip
    return choices.pick(plain)


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
        elif name.endswith("init") or name == "init":
            value = choices.pick((None, gl.initializers.Normal(), gl.initializers.HeUniform(), 0.5))
        elif name in SENSIBLE:
            value = choices.pick(SENSIBLE[name])
        elif needed:
            value = choices.pick((1, 2, 0.5, "W1"))
        else:
            value = choices.pick((True, False, parameter.default))
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
        fit = {1: "Dense Activation BatchNorm LayerNorm RMSNorm Dropout Residual Chain Reshape Slice Parallel",
               2: "Dense GRU LSTM RNN Attention TransformerBlock Positions Conv1D MaxPool1D Bidirectional GlobalMaxPool Slice",
               3: "Conv2D MaxPool2D AveragePool2D DepthwiseConv2D ConvTranspose2D GroupNorm Flatten Permute Residual"}  # fmt: skip
        makers = [one for one in makers if one.__name__ in fit[rank].split()]
    return filled(choices, gl, choices.pick(makers), spoilt)


def _makers(gl: Any, name: str) -> list[Any]:
    if name not in _known:
        module = getattr(gl, name)
        found = [getattr(module, key) for key in dir(module) if key[0].isupper()]
        bases = ("Layer", "Loss", "ClassLoss", "Schedule", "Optimizer", "Recurrent", "Cell", "Penalty", "L1", "L2", "ActivityL1")
        _known[name] = [one for one in found if inspect.isclass(one) and ".symbolic." in one.__module__
                        and one.__name__ not in bases and not issubclass(one, Exception | gl.Tensor | gl.Network)]  # fmt: skip
    return _known[name]


_known: dict[str, list[Any]] = {}


def sequential(choices: Choices, gl: Any) -> Any:
    spoilt = choices.pick((10**6, 40, 8))
    shape = choices.pick(((4,), 3, (3, 4), (2, 4, 4), (gl.Dim("n"),), (gl.Dim("T"), 3)))
    layers: Any = [layer(choices, gl, spoilt, len(shape) if isinstance(shape, tuple) else 1) for _ in range(1 + choices.below(3))]
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


def expression(choices: Choices, gl: Any, tensors: list[Any], letters: list[Any], depth: int = 3) -> Any:
    """An expression of elements, of which some are out of place."""
    kind = choices.below(12) if depth else choices.below(3)
    more = lambda: expression(choices, gl, tensors, letters, depth - 1)  # noqa: E731
    if kind < 3 and tensors:
        tensor = choices.pick(tensors)
        places = [letters["Bnm".find(str(size)) % 4] for size in tensor.shape]
        if choices.one_in(12):
            places = [choices.pick(letters) + choices.pick((0, 0, 0, 1, -1)) for _ in range(choices.below(4))]
        if choices.one_in(60):
            places = [hostile(choices, gl)]
        return tensor[tuple(places)] if places or choices.one_in(2) else tensor
    if kind == 4:
        return more() + more()
    if kind == 5:
        return more() * more()
    if kind == 6:
        return more() - more() / choices.pick((2, 3, more()))
    if kind == 7:
        return choices.pick((gl.sigmoid, gl.tanh, gl.relu, gl.softplus, gl.gelu, gl.held, gl.elu))(more())
    if kind == 8:
        return choices.pick((gl.Sum, gl.Sum, gl.Max, gl.ArgMax))(more(), *[choices.pick(letters) for _ in range(choices.pick((1, 2, 0)))])
    if kind == 9:
        return more() ** choices.pick((2, 3, -1, 0.5, more()))
    if kind == 10:
        return gl.padded(more()) if choices.one_in(2) else gl.inside(choices.pick(letters), choices.pick((3, gl.Dim("n"))))
    return hostile(choices, gl) if choices.one_in(50) else choices.pick((1, 2, 0.5, gl.Dim("B"), gl.Dim("n")))


def network(choices: Choices, gl: Any) -> Any:
    B, n, m = gl.dims("B n m")
    letters = list(gl.indices("i j k l"))
    net = gl.Network(choices.pick(("net", "net", choices.pick(NAMES))))
    tensors: list[Any] = []
    names = itertools.chain(("x", "W", "b"), (f"t{number}" for number in itertools.count()))
    spoilt = choices.pick((10**6, 30, 8))

    def name() -> Any:
        return hostile(choices, gl) if choices.one_in(3 * spoilt) else choices.pick(NAMES) if choices.one_in(spoilt) else next(names)

    for number in range(2 + choices.below(3)):
        how = (net.input, net.parameter, net.parameter, net.target, net.sequence)[number % 5]
        shape: Any = choices.pick(((B, n), (m, n), (n,), (), (B, m), (3, 2)))
        shape = hostile(choices, gl) if choices.one_in(spoilt) else shape
        latex = {"latex": choices.pick((r"\hat y", *PAYLOADS, "{", hostile(choices, gl)))} if choices.one_in(spoilt) else {}
        tensors.append(how(name(), shape, **latex))
    if choices.one_in(4):
        tensors.append(net.constant(name(), hostile(choices, gl) if choices.one_in(spoilt) else 0.5))
    for _ in range(choices.below(3)):
        body = expression(choices, gl, tensors, letters)
        where: Any = tuple(letter for letter in letters if letter in getattr(body, "free_symbols", ()))
        where = hostile(choices, gl) if choices.one_in(spoilt) else where
        tensors.append(net.define(name(), where, body))
    body = expression(choices, gl, tensors, letters, 4) + sum(expression(choices, gl, [t], letters, 0) for t in net.parameters)
    if choices.one_in(spoilt):
        body = hostile(choices, gl)
    free = [letter for letter in letters if letter in getattr(body, "free_symbols", ())]
    net.minimize(body if choices.one_in(9) else gl.Sum(body, *free))
    return net


def used(choices: Choices, gl: Any, net: Any) -> None:
    """Derive, print, compile and take a step."""
    wrt = hostile(choices, gl) if choices.one_in(12) else None
    derivation = net.derive(wrt)
    getattr(derivation, choices.pick(("text", "latex", "markdown")))()
    optimizer: Any = filled(choices, gl, choices.pick(_makers(gl, "optimizers")), choices.pick((10**6, 10)))
    sizes: Any = {"n": 3, "m": 2, "T": 2, "B": 4} if not choices.one_in(8) else hostile(choices, gl)
    model = gl.Model(net, target="numpy", dtype="float64", sizes=sizes)
    known = {"n": 3, "m": 2, "T": 2, "B": 4}
    rng = np.random.default_rng(2)
    data = []
    for tensor in (*net.inputs, *net.targets):
        shape = [int(size.subs(known)) if hasattr(size, "subs") and size.subs(known).is_number else 4 for size in tensor.shape]
        if np.prod(shape) > 10**6:
            return
        kind = hostile(choices, gl) if choices.one_in(16) else rng.normal(size=shape) if tensor.classes is None else np.zeros(shape, int)
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
