"""Derivations to be checked that cannot be read, or judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy

import gradloom as gl

from .case import Case, declared, stacked


def check(claim: object, **options: object) -> Case:
    return lambda place: gl.check(stacked(), claim, **options)  # type: ignore[arg-type]


def code(source: str) -> Case:
    return lambda place: gl.check(stacked(), place.file("claims.py", source))


def text(content: str | bytes, name: str = "claims.tex") -> Case:
    return lambda place: gl.check(stacked(), place.file(name, content))


def chained() -> gl.Network:
    """L(u(w), w): the total derivative of v by w is another one than the immediate."""
    net = gl.Network("chained")
    w = net.parameter("w")
    u = net.define("u", (), w**2)
    v = net.define("v", (), u * w)
    net.minimize(v**2)
    return net


def unknown(delta7: Any) -> Any:
    return delta7


def short(delta1: Any) -> Any:
    return np.float16(delta1.sum(0))


unknown.__name__ = "dW1"
short.__name__ = "db1"

CASES: dict[str, Case] = {
    "Nothing": check(""),
    "A formula without an equals sign": check(r"\frac{\partial L}{\partial W_1}"),
    "A formula with nothing before the sign": check("= x"),
    "A formula that only bounds": check(r"\frac{\partial L}{\partial b_1} \le \delta_1"),
    "A bracket that is never closed": check(r"\frac{\partial L}{\partial W_1} = \delta_1 (x"),
    "A brace that is never closed": check(r"\frac{\partial L}{\partial b_1} = \text{sum"),
    "A sum with dots": check(r"\frac{\partial L}{\partial b_1} = \delta_1 + \dots + \delta_n"),
    "A comma within a number": check(r"\frac{\partial L}{\partial b_1} = 0,5 \delta_1"),
    "A character that stands for nothing": check(r"\frac{\partial L}{\partial b_1} = \delta_1 ☃"),
    "A formula that is too long": check("L = " + "x + " * 20000 + "x"),
    "Brackets nested too deep": check("L = " + "(" * 200 + "x" + ")" * 200),
    "A name that is unknown": check(r"\frac{\partial L}{\partial V} = \delta_1"),
    "A function that is unknown": check(r"\frac{\partial L}{\partial b_1} = \psi(x)"),
    "A formula whose sum runs over nothing": check(r"\frac{\partial L}{\partial b_j} = \sum_i \delta_{1j}"),
    "A formula with two meanings that differ": lambda place: gl.check(chained(), r"\frac{\partial v}{\partial w} = u"),
    "A network without a loss": lambda place: gl.check(declared(False), "L = 1"),
    "A first position that is none": check("L = 1", first=7),
    "An alias that is no text": check("L = 1", aliases={"m": 3}),
    "An alias of what is no name": check("L = 1", aliases={"1 +": "B"}),
    "A function that is none": check("L = 1", functions={"g": "tanh"}),
    "A symbol of what is not there": check("L = 1", symbols={"V": "v"}),
    "An empty list": check([]),
    "Something that is no claim": check(3),
    "An equation that SymPy has decided": check(sympy.Eq(1, 1)),
    "A text within a claim of SymPy": check({"W1": "delta"}),
    "A gradient of what is not there": check({"V": sympy.Symbol("x")}),
    "A name that is no tensor, in SymPy": check({"b1": sympy.Symbol("q")}),
    "A tensor without indices, in SymPy": lambda place: gl.check(net := stacked(), {"b1": net.tensors["x"]}),
    "A file that is not there": lambda place: gl.check(stacked(), place.path / "claims.tex"),
    "A file that is no text": text(b"\xff\xfe\x00"),
    "A file of code that is not there": lambda place: gl.check(stacked(), place.path / "claims.py"),
    "A file of code that is no Python": code("def dW1(:\n"),
    "A file of code that claims nothing": code("x = 1\n"),
    "A function that reads what is not there": check(unknown),
    "A function of few digits": check(short),
    "A function that says nothing of what it returns": check(lambda delta1, x: delta1.T @ x),
}
