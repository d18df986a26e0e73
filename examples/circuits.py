"""Scalar circuits are networks too: gates, and how the gradient flows back through them.

``python examples/circuits.py`` prints each circuit's gradients, as formulas and in numbers. Each can be named on the
command line: ``gradloom derive examples/circuits.py:neuron``, ``gradloom gradcheck examples/circuits.py:gates``.
"""

import sympy

import gradloom as gl

# f = (x + y) z: + distributes the gradient, × switches its inputs.
network = gl.Network("product")
x, y, z = (network.input(name) for name in "xyz")
network.minimize((x + y) * z, name="f")

# A sigmoid neuron, all of it written out.
neuron = gl.Network("neuron")
w0, x0, w1, x1, w2 = (neuron.input(name) for name in ("w0", "x0", "w1", "x1", "w2"))
neuron.minimize(1 / (1 + sympy.exp(-(w0 * x0 + w1 * x1 + w2))), name="f")

# 2 (x y + max(z, w)): max routes the whole gradient to the larger input.
gates = gl.Network("gates")
x, y, z, w = (gates.input(name) for name in "xyzw")
gates.minimize(2 * (x * y + sympy.Max(z, w)), name="f")

POINTS = {
    "product": (network, {"x": -2, "y": 5, "z": -4}),
    "neuron": (neuron, {"w0": 2, "x0": -1, "w1": -3, "x1": -2, "w2": -3}),
    "gates": (gates, {"x": 3, "y": -4, "z": 2, "w": -1}),
}


def gradients(circuit, point):
    """The value of a circuit at a point, and its gradient with respect to every input."""
    program = circuit.compile(target="numpy", dtype="float64")
    value, found = program.loss_and_gradients({}, **point)
    return value, {name: float(gradient) for name, gradient in found.items()}


if __name__ == "__main__":
    for title, (circuit, point) in POINTS.items():
        value, found = gradients(circuit, point)
        print(f"{title} at {', '.join(f'{name} = {number}' for name, number in point.items())}: f = {value:.2f}")
        derivation = circuit.derive()
        for name, gradient in found.items():
            print(f"  {derivation[name]} = {gradient:.2f}")
