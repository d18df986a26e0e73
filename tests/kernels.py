"""Loading of generated modules for tests, and networks that between them hold everything that lowering knows."""

from __future__ import annotations

import functools
import importlib.util
import sys
import types
from typing import Any

import numba
import numpy as np
import sympy

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.symbolic.evaluate import evaluate


def plain(source: str) -> types.ModuleType:
    """A generated module, a "cpu" one without the compiler: the same source, run by Python."""
    module = types.ModuleType("plain")
    before, numba.config.DISABLE_JIT = numba.config.DISABLE_JIT, True
    try:
        exec(compile(source, "<generated>", "exec"), module.__dict__)
    finally:
        numba.config.DISABLE_JIT = before
    return module


def loaded(source: str, target: str, dtype: str = "float64") -> Any:
    """A generated module for any target, run by Python: the threads of a "cuda" one are simulated."""
    if target != "cuda":
        return plain(source)
    from simulated import device_module

    return device_module(source, dtype)


def compiled(source: str, directory: Any, name: str) -> types.ModuleType:
    """A generated "cpu" module, compiled; its cache is put into `directory`."""
    path = directory / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # or Numba cannot cache it
    spec.loader.exec_module(module)
    return module


def flat(module: Any, values: dict[str, Any], dtype: str) -> np.ndarray:
    """The parameters among `values` as the module's buffer."""
    size = max([offset + int(np.prod(shape)) for offset, shape in module.PARAMETERS.values()], default=0)
    params = np.full(size, np.nan, dtype)
    for name, (offset, shape) in module.PARAMETERS.items():
        params[offset : offset + int(np.prod(shape))] = np.asarray(values[name], dtype).ravel()
    return params


def data(network: Any, values: dict[str, Any], dtype: str) -> list[np.ndarray]:
    return [
        np.array(values[t.name], dtype=np.int64 if t.classes is not None else dtype, order="C")
        for t in [*network.inputs, *network.targets]
    ]


def run(module: Any, network: Any, values: dict[str, Any], dtype: str = "float64") -> tuple[Any, float, dict[str, Any]]:
    """Prediction, loss and gradients of one call."""
    params, arrays = flat(module, values, dtype), data(network, values, dtype)
    rows = max([len(array) for array in arrays if array.ndim], default=1)
    places = module.gradient_places(rows)
    grads = np.full(max([offset + int(np.prod(shape)) for offset, shape in places.values()], default=0), np.nan, dtype)
    loss = module.loss_and_gradients(params, *arrays, module.workspace(rows), grads)
    inputs = arrays[: len(network.inputs)]
    known = hasattr(module, "predict")  # not where the last equations are of several outputs
    output = np.array(module.predict(params, *inputs, module.workspace(rows))) if known else None
    return (
        output,
        float(loss),
        {name: grads[offset : offset + int(np.prod(shape))].reshape(shape) for name, (offset, shape) in places.items()},
    )


def expected(network: Any, values: dict[str, Any], wrt: Any = None) -> dict[str, Any]:
    """Every tensor and every gradient, by the reference interpreter."""
    derivation = network.derive(wrt)
    known = {name: np.asarray(value) for name, value in values.items()}
    known |= {name: float(value) for name, value in network.values.items()}
    found = evaluate([*network.equations, *derivation.adjoints], known)
    return {**found, **{name: found[equation.target.name] for name, equation in derivation.gradients.items()}}


# ---- networks ----------------------------------------------------------------------------------------------------


def product_circuit() -> Any:
    net = gl.Network("product_circuit")
    x, y, z = net.input("x"), net.input("y"), net.input("z")
    net.minimize((x + y) * z, name="f")
    return net, {}, {"x": -2.0, "y": 5.0, "z": -4.0}


def neuron_circuit() -> Any:
    net = gl.Network("neuron_circuit")
    w0, w1, w2 = (net.parameter(f"w{n}") for n in range(3))
    x0, x1 = net.input("x0"), net.input("x1")
    net.minimize(1 / (1 + sympy.exp(-(w0 * x0 + w1 * x1 + w2))), name="f")
    return net, {}, {"w0": 2.0, "w1": -3.0, "w2": -3.0, "x0": -1.0, "x1": -2.0}


def max_circuit() -> Any:
    net = gl.Network("max_circuit")
    (i,) = (gl.indices("i"),)
    x, y, v = net.input("x"), net.input("y"), net.input("v", (5,))
    m = net.define("m", (), sympy.Max(x, y))
    net.minimize(2 * m + 3 * gl.Max(v[i], i), name="f")
    return net, {}, {"x": 2.0, "y": 7.0, "v": [0.5, 3.0, -1.0, 3.0, 2.0]}


def perceptron() -> Any:
    """Dense layers with a weight in two places, a value used twice, L1 and L2 terms."""
    B, n, m = gl.dims("B n m")
    i, j, k = gl.indices("i j k")
    net = gl.Network("perceptron")
    x, y = net.input("x", (B, n)), net.target("y", (B, m))
    V, W, b = net.parameter("V", (m, n)), net.parameter("W", (m, m)), net.parameter("b", (m,))
    scale = net.parameter("scale")
    rate = net.constant("rate", 0.03)
    a = net.define("a", (i, j), gl.tanh(gl.Sum(V[j, k] * x[i, k], k) + b[j]))
    h = net.define("h", (i, j), gl.silu(gl.Sum(W[j, k] * a[i, k], k) + b[j]) + a[i, j])
    o = net.define("o", (i, j), scale * gl.Sum(W[j, k] * h[i, k], k))
    penalty = rate * (gl.Sum(W[j, k] ** 2, j, k) / 2 + gl.Sum(sympy.Abs(V[j, k]), j, k))
    net.minimize(gl.Sum((o[i, j] - y[i, j]) ** 2, i, j) / (2 * B) + penalty)
    rng = np.random.default_rng(1)
    values = {"x": rng.normal(size=(5, 11)), "y": rng.normal(size=(5, 7)), "scale": 0.7}
    values |= {"V": rng.normal(size=(7, 11)), "W": rng.normal(size=(7, 7)), "b": rng.normal(size=7)}
    return net, {"n": 11, "m": 7}, values


def one_row() -> Any:
    network, sizes, values = case("perceptron")
    return network, sizes, {**values, "x": values["x"][:1], "y": values["y"][:1]}


def classifier(labels: bool = True) -> Any:
    """Embedding by a gather, layer normalisation, softmax, cross-entropy with labels or one-hot targets."""
    B, w, e, c = gl.dims("B w e c")
    i, j, k = gl.indices("i j k")
    net = gl.Network("classifier")
    word = net.input("word", (B,), classes=w)
    E, U, g = net.parameter("E", (w, e)), net.parameter("U", (c, e)), net.parameter("g", (e,))
    mean = net.define("mean", i, gl.Sum(E[word[i], k], k) / e)
    var = net.define("var", i, gl.Sum((E[word[i], k] - mean[i]) ** 2, k) / e)
    h = net.define("h", (i, k), g[k] * (E[word[i], k] - mean[i]) / sympy.sqrt(var[i] + sympy.Rational(1, 10**5)))
    z = net.define("z", (i, j), gl.Sum(U[j, k] * h[i, k], k))
    p = net.define("p", (i, j), gl.softmax(z[i, j], j))
    rng = np.random.default_rng(2)
    values = {"word": rng.integers(0, 13, 7), "E": rng.normal(size=(13, 5)), "U": rng.normal(size=(11, 5))}
    values["g"] = rng.normal(size=5)
    if labels:
        y = net.target("y", (B,), classes=c)
        net.minimize(-gl.Sum(sympy.log(p[i, y[i]]), i) / B)
        values["y"] = rng.integers(0, 11, 7)
    else:
        y = net.target("y", (B, c), one_hot=True)
        net.minimize(-gl.Sum(y[i, j] * sympy.log(p[i, j]), i, j) / B)
        values["y"] = np.eye(11)[rng.integers(0, 11, 7)]
    return net, {"w": 13, "e": 5, "c": 11}, values


def many_axes() -> Any:
    """Contractions over two indices, batched contractions, diagonals, fixed positions, transposes, a broadcast."""
    B, n, m = gl.dims("B n m")
    i, j, k, p, q = gl.indices("i j k p q")
    net = gl.Network("many_axes")
    x = net.input("x", (B, n, m))
    W, D, b = net.parameter("W", (m, n, m)), net.parameter("D", (m, m)), net.parameter("b", (m,))
    u = net.define("u", (i, p), gl.Sum(W[p, j, k] * x[i, j, k], j, k) + b[p])
    v = net.define("v", (i, j, q), gl.Sum(x[i, j, k] * D[k, q], k))
    s = net.define("s", (i, j, p), gl.Sum(x[i, j, k] * v[i, p, k], k))
    t = net.define("t", (q, i), gl.sigmoid(v[i, 1, q]) * D[q, q])
    r = net.define("r", (i, p), b[p] + sympy.cos(p) / m, shape=(B, m))
    o = net.define("o", (i, p), u[i, p] * r[i, p] + t[p, i])
    net.set_output("o")
    total = gl.Sum(o[i, p] ** 2, i, p) + gl.Sum(s[i, j, p] ** 3, i, j, p) / 100
    net.minimize(total / B + gl.Sum(D[k, k], k))
    rng = np.random.default_rng(3)
    values = {"x": rng.normal(size=(3, 7, 5)), "W": rng.normal(size=(5, 7, 5)), "D": rng.normal(size=(5, 5))}
    return net, {"n": 7, "m": 5}, values | {"b": rng.normal(size=5)}


def arithmetic() -> Any:
    """Powers, conditions and functions, over a vector without a batch axis."""
    (j, k) = gl.indices("j k")
    net = gl.Network("arithmetic")
    w = net.parameter("w", (7,))
    u = w[j]
    c = net.define("c", j, u**3 - 2 / u + u**11 / 5 + sympy.sqrt(1 + u**2) + u / 3)
    e = net.define("e", j, (u + 1) ** 2 * sympy.exp(-u) + sympy.log(2 + u**2) * sympy.cos(u))
    inside = sympy.And(u > -1, u < 1)
    f = net.define("f", j, sympy.Piecewise((u**2, inside), (sympy.Abs(u), u >= 1), (sympy.sin(u), True)) - gl.gelu(u))
    a = net.define("a", j, c[j] + e[j] * f[j])
    m = net.define("m", (), gl.Max(a[k], k))
    net.minimize(gl.Sum((a[j] - m) ** 2 * u, j) + gl.Sum(a[j] * w[j], j) ** 2)
    return net, {}, {"w": np.random.default_rng(4).normal(size=7) * 1.5}


def awkward_names() -> Any:
    """Names that generated code, its loops, NumPy or Python use for themselves."""
    B, t = gl.dims("B t")
    i, x_rows, k = gl.indices("i x_rows k")
    net = gl.Network("awkward_names")
    x, total = net.input("x", (B, t)), net.target("total", (B,))
    expit, value, j = net.parameter("expit", (t,)), net.parameter("value"), net.parameter("j")
    compiled_ = net.define("compiled", (i, x_rows), gl.sigmoid(x[i, x_rows] * expit[x_rows] + j) ** 2)
    quiet = net.define("quiet", i, gl.Sum(compiled_[i, k], k) * value)
    net.minimize(gl.Sum((quiet[i] - total[i] + 1) ** 2, i) / B, name="sigmoid")
    rng = np.random.default_rng(5)
    values = {"x": rng.normal(size=(3, 5)), "total": rng.normal(size=3), "expit": rng.normal(size=5)}
    return net, {"t": 5}, values | {"value": 0.3, "j": -0.2}


CASES = {
    "product_circuit": product_circuit,
    "neuron_circuit": neuron_circuit,
    "max_circuit": max_circuit,
    "perceptron": perceptron,
    "one_row": one_row,
    "classifier": classifier,
    "one_hot": lambda: classifier(labels=False),
    "many_axes": many_axes,
    "arithmetic": arithmetic,
    "awkward_names": awkward_names,
}


@functools.cache
def case(name: str) -> Any:
    """A network, its sizes, and values of its tensors; what is derived of it is derived once."""
    network, sizes, values = CASES[name]()
    derive = functools.cache(network.derive)
    network.derive = lambda wrt=None: derive(None if wrt is None else tuple(wrt))
    return network, sizes, values


def made(name: str, target: str, dtype: str = "float64", **options: Any) -> Any:
    """The network, the source for it, and values of its tensors."""
    network, sizes, values = case(name)
    return network, generate(network, target=target, dtype=dtype, sizes=sizes, **options).source, values
