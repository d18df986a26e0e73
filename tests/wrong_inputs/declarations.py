"""Networks that are declared wrongly, as source: what Python runs, and the command line in a MODEL file."""

from __future__ import annotations

import textwrap

from .case import Case

HEAD = textwrap.dedent("""
    import sympy
    import gradloom as gl
    B, n, m = gl.dims("B n m")
    i, j, k = gl.indices("i j k")
    network = gl.Network("bad")
    x = network.input("x", (B, n))
    y = network.target("y", (B, m))
    W = network.parameter("W", (m, n))
""")
GOOD = 'z = network.define("z", (i, j), gl.Sum(W[j, k] * x[i, k], k))\n'
LOSS = "network.minimize(gl.Sum((z[i, j] - y[i, j]) ** 2, i, j))"

NAMES = {
    "A name that is taken": 'network.parameter("x", (m,))',
    "The name of a size": 'network.parameter("m", (m,))',
    "A size with the name of a tensor": 'network.parameter("V", (gl.dims("x"),))',
    "A name that Python has": 'network.parameter("lambda", (m,))',
    "A name that the generated module has": 'network.parameter("np", (m,))',
    "A name that is no identifier": 'network.parameter("W 1", (m,))',
    "A name with code in it": 'network.parameter("W; import os", (m,))',
    "A name with LaTeX in it": r'network.parameter("W}\\input{x", (m,))',
    "A name that is no string": "network.parameter(3, (m,))",
    "A name that gradients have": 'network.parameter("d_W", (m,))',
    "Names of indices that are no string": "gl.indices(3)",
    "A function whose name has code in it": 'gl.elementwise("f(); import os", lambda z: z)',
    "A symbol that is no LaTeX": 'network.parameter("V", (m,), latex="}")',
}
SHAPES = {
    "Two sizes that differ, along one index": (
        'V = network.parameter("V", (m, 7))\nnetwork.define("z", (i, j), gl.Sum(V[j, k] * x[i, k], k))'
    ),
    "Two sizes that differ, in a sum of tensors": GOOD + 'network.define("a", (i, j), z[i, j] + x[i, j])',
    "Too few indices": GOOD + 'network.define("a", i, z[i])',
    "Indices that do not fit the shape": 'network.define("a", (i, j), 1, shape=(m,))',
    "A size that is a fraction": 'network.parameter("V", (2.5,))',
    "A size that is None": 'network.input("u", (None, 3))',
    "A size below 1": 'network.parameter("V", (m, -3))',
    "A size that is a word": 'network.parameter("V", "m")',
    "Labels that pick along a shorter axis": (
        'c = network.input("c", (B,), classes=5)\nV = network.parameter("V", (3,))\nnetwork.define("a", i, V[c[i]])'
    ),
    "One-hot without an axis": 'network.target("c", (), one_hot=True)',
    "A constant that is no number": 'network.constant("c", "one")',
}
INDICES = {
    "An index used twice on the left": 'network.define("z", (i, i), x[i, i])',
    "An index neither on the left nor summed": 'network.define("z", (i, j), W[j, k] * x[i, k])',
    "An index that runs over nothing known": 'network.define("z", (i, j), 2 * x[i, k])',
    "A sum over a number": GOOD + 'network.define("a", (i, j), gl.Sum(z[i, j], 3))',
    "A sum over an index twice": 'network.define("a", i, gl.Sum(x[i, k], k, k))',
    "A sum whose range is unknown": 'network.define("a", i, gl.Sum(x[i, 0], k))',
    "A position beyond the end of an axis": 'V = network.parameter("V", (3,))\nnetwork.define("a", (), V[3])',
    "A position before the beginning": 'network.define("z", (i, k), x[i, k] * x[i - 1, k])',
    "A position that is not read": 'network.define("z", (i, k), x[i, k] * x[i, k**2])',
    "A slice": 'network.define("z", (i, j), x[i, :])',
    "A string for an index": 'network.define("z", (i, j), x[i, "j"])',
    "Labels where a number is expected": 'c = network.input("c", (B,), classes=5)\nnetwork.define("a", i, 2 * c[i])',
    "Padding of an expression": 'network.define("z", (i, k), gl.padded(2 * x[i, k]))',
}
EQUATIONS = {
    "A tensor used before it is defined": ('q = gl.Network("q").parameter("q", (m,))\nnetwork.define("z", j, q[j])'),
    "A tensor of another network": ('V = gl.Network("q").parameter("W", (m,))\nnetwork.define("z", j, V[j])'),
    "A tensor without indices": GOOD + 'network.define("a", (i, j), z + y[i, j])',
    "A symbol that is no tensor": 'network.define("z", (i, k), x[i, k] * sympy.Symbol("c"))',
    "A right side that is no expression": 'network.define("z", (i, k), "x")',
    "A number that is not finite": 'network.define("z", (i, k), x[i, k] * sympy.oo)',
    "A number that is not real": 'network.define("z", (i, k), x[i, k] * sympy.I)',
    "Cases that leave something open": 'network.define("z", (i, k), sympy.Piecewise((1, x[i, k] > 0)))',
    "A condition in the place of a number": 'network.define("z", (i, k), x[i, k] > 0)',
    "A step function without its value at 0": 'network.define("z", (i, k), sympy.Heaviside(x[i, k]))',
    "A function's formula that is none": 'gl.elementwise("f", "z**2")',
    "A formula of NumPy's functions": 'import numpy\ngl.elementwise("f", lambda z: numpy.exp(z))',
    "A formula with Python's if": 'gl.elementwise("f", lambda z: z if z > 0 else 0)',
    "A formula that sums": 'gl.elementwise("f", lambda z: z * gl.Sum(x[i, k], k))',
    "A function with too many arguments": 'network.define("z", (i, k), gl.silu(x[i, k], 2))',
    "A recurrence that reads its own step": (
        'h = network.sequence("h", (B, n))\nnetwork.define("h", (i, k), x[i, k] + h[i, k])'
    ),
    "A recurrence that reads far away": (
        'h = network.sequence("h", (B, n))\nnetwork.define("h", (i, k), x[i, k] + gl.padded(h[i, 2 * k - 1]))'
    ),
    "A recurrence that is announced with another shape": (
        'network.sequence("h", (B, m))\nnetwork.define("h", (i, k), x[i, k])'
    ),
    "Two recurrences, one in each direction, that need each other": (
        'g, h = network.sequence("g", (B, n)), network.sequence("h", (B, n))\n'
        'network.define("g", (i, k), x[i, k] + gl.padded(h[i, k + 1]))\n'
        'network.define("h", (i, k), gl.padded(h[i, k + 1]) + gl.padded(g[i, k - 1]) + gl.padded(h[i, k - 1]))'
    ),
    "A left side of what is no index": 'network.define("z", (i, "k"), x[i, 0])',
    "A state that is changed at too few indices": 's = network.state("s", (n, m))\nnetwork.after_step("s", k, 1)',
    "A state that is changed at one place": 's = network.state("s", (n,))\nnetwork.after_step("s", 0, 1)',
    "A constant that is not real": 'network.constant("c", 1j)',
    "A state that is changed twice": (
        's = network.state("s", (n,))\nfor _ in (1, 2):\n    network.after_step("s", k, 2 * s[k])'
    ),
    "A parameter that a step changes": 'network.after_step("W", (j, k), 2 * W[j, k])',
    "A fact that is no sum": "network.assume(x[i, k], 1)",
    "A fact about the rows of a batch": "network.assume(gl.Sum(x[i, k], i), 1)",
    "Freezing what is no parameter": 'network.freeze("x")',
}
LOSSES = {
    "A loss with an index left": GOOD + "network.minimize(z[i, j] - y[i, j])",
    "A loss that is a tensor": GOOD + "network.minimize(z)",
    "Two losses": GOOD + LOSS + "\n" + LOSS,
    "A sequence that is never defined": GOOD + 'network.sequence("h", (B, n))\n' + LOSS,
}


# Said of the whole network, by what asks for its gradients.
WHOLE = {
    "No loss": GOOD,
    "A parameter that nothing reads": 'b = network.parameter("b", (m,))\n' + GOOD + LOSS,
    "A parameter without influence": (
        'b = network.parameter("b", (m,))\n'
        + GOOD
        + "network.minimize(gl.Sum((z[i, j] - y[i, j]) ** 2 + sympy.Piecewise((1, b[j] > 0), (0, True)), i, j))"
    ),
}
DECLARED = NAMES | SHAPES | INDICES | EQUATIONS | LOSSES


def case(source: str) -> Case:
    return lambda place: exec(HEAD + source, {"__name__": "declared"})


CASES = {wrong: case(source) for wrong, source in DECLARED.items()}
CASES |= {wrong: case(source + "\nnetwork.derive()\n") for wrong, source in WHOLE.items()}
