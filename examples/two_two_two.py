"""Two inputs, two hidden neurons, two outputs: the worked example, every number of it.

Run it with ``gradloom train examples/two_two_two.py`` or ``python examples/two_two_two.py``. It prints the forward
pass, two gradients, the weights after one step, and the error and outputs after 10,000 steps. The numbers are those of
M. Mazur's "A step by step backpropagation example" (2015), in which the biases stay fixed.
"""

import numpy as np

import gradloom as gl

network = gl.Sequential(
    [
        gl.layers.Dense(2, gl.sigmoid, weight_init=[[0.15, 0.20], [0.25, 0.30]], bias_init=0.35, trainable_bias=False),
        gl.layers.Dense(2, gl.sigmoid, weight_init=[[0.40, 0.45], [0.50, 0.55]], bias_init=0.60, trainable_bias=False),
    ],
    input_shape=2,
    loss=gl.losses.SquaredError(),  # E = ½ Σ (target - out)², for one sample
    name="two_two_two",
)
data = (np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]]))
training = {"epochs": 10_000, "batch": 1, "optimizer": gl.optimizers.SGD(lr=0.5), "dtype": "float64", "shuffle": False}


def report(model, epoch):
    """Print the numbers of the worked example: before training, after one step, and at the end."""
    if epoch not in (0, 1, training["epochs"]):
        return
    x, y = data
    params = model.params
    values = gl.evaluate(network.equations, {**params, "x": x, "y": y})
    outputs = values["a2"][0]
    if epoch == 0:
        _, gradients = model.loss_and_gradients(x, y)
        print("forward")
        print(f"  net_h1 {values['z1'][0, 0]:.4f}   out_h1 {values['a1'][0, 0]:.9f}")
        print(f"  out_o1 {outputs[0]:.9f}   out_o2 {outputs[1]:.9f}")
        print(f"  E {values['L']:.9f}")
        print("gradients")
        print(f"  ∂E/∂w5 {gradients['W2'][0, 0]:.9f}   ∂E/∂w1 {gradients['W1'][0, 0]:.9f}")
    elif epoch == 1:
        print("after one step")
        for name, weights, first in (("W2", params["W2"], 5), ("W1", params["W1"], 1)):
            print(f"  {name}: " + "  ".join(f"w{first + n} {w:.9f}" for n, w in enumerate(weights.ravel())))
        print(f"  E {values['L']:.9f}")
    else:
        print(f"after {epoch:,} steps")
        print(f"  E {values['L']:.5e}   outputs {outputs[0]:.9f} {outputs[1]:.9f}")


if __name__ == "__main__":
    from gradloom.cli import main

    raise SystemExit(main(["train", __file__]))
