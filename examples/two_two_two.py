"""Two inputs, two hidden neurons, two outputs: the worked example, every number of it.

Run it with ``gradloom train examples/two_two_two.py`` or ``python examples/two_two_two.py``. It prints the forward
pass, two gradients, the weights after one step, and error and outputs after 10,000 steps.

The example is M. Mazur's "A step by step backpropagation example" (2015), in which the biases stay fixed. Its forward
pass, gradients and new weights are those of gradient descent. Its program, which gave the error after one step and the
outputs at the end, changes w5…w8 first and then passes the error back to the hidden layer through the *changed*
weights, so these differ from gradient descent in the seventh digit. Both are printed; what its program does is written
as a network too (`hidden` below), so that here as well every derivative is derived.
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
X, Y = data = (np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]]))
RATE, STEPS = 0.5, 10_000
training = {"epochs": STEPS, "batch": 1, "optimizer": gl.optimizers.SGD(lr=RATE), "dtype": "float64", "shuffle": False}

# Its gradient in W1 passes the error `delta` of the outputs back through whatever weights V are given.
hidden = gl.Sequential(network.layers[:1], input_shape=2, name="hidden")
i, j, k = gl.indices("i j k")
a1, delta = hidden.tensors["a1"], hidden.input("delta", hidden.tensors["a1"].shape)
V = hidden.input("V", (2, 2))
hidden.minimize(gl.Sum(delta[i, j] * V[j, k] * a1[i, k], i, j, k))


def in_the_order_of_the_source(steps):
    """Error and outputs after `steps` steps that change W2 before the hidden layer's deltas are computed."""
    params = {name: array.copy() for name, array in gl.Model(network, dtype="float64", target="numpy").params.items()}
    outer = network.compile(target="numpy", dtype="float64")
    inner = hidden.compile(target="numpy", dtype="float64", wrt=["W1"])
    for _ in range(steps):
        _, gradients = outer.loss_and_gradients(params, X, Y)
        params["W2"] -= RATE * gradients["W2"]
        first = {"W1": params["W1"], "b1": params["b1"]}
        # For one sample the gradient of a bias is the delta of its neuron.
        _, through = inner.loss_and_gradients(first, X, gradients["b2"][None], params["W2"])
        params["W1"] -= RATE * through["W1"]
    return outer.loss(params, X, Y), outer.predict(params, X)[0]


def report(model, epoch):
    """Print the numbers of the worked example: before training, after one step, and at the end."""
    if epoch not in (0, 1, STEPS):
        return
    params = model.params
    values = gl.evaluate(network.equations, {**params, "x": X, "y": Y})
    error, outputs = float(values["L"]), values["a2"][0]
    if epoch == 0:
        _, gradients = model.loss_and_gradients(X, Y)
        print("forward")
        print(f"  net_h1 {values['z1'][0, 0]:.4f}   out_h1 {values['a1'][0, 0]:.9f}")
        print(f"  out_o1 {outputs[0]:.9f}   out_o2 {outputs[1]:.9f}   E {error:.9f}")
        print("gradients")
        print(f"  ∂E/∂w5 {gradients['W2'][0, 0]:.9f}   ∂E/∂w1 {gradients['W1'][0, 0]:.9f}")
        return
    as_there, outputs_there = in_the_order_of_the_source(epoch)
    if epoch == 1:
        print("after one step")
        for weights, first in ((params["W2"], 5), (params["W1"], 1)):
            print("  " + "   ".join(f"w{first + place} {weight:.9f}" for place, weight in enumerate(weights.ravel())))
        print(f"  E {error:.9f}   (in the order of the source {as_there:.9f})")
    else:
        print(f"after {epoch:,} steps")
        print(f"  E {short(model.history.loss[-1])} before the last step, {short(error)} after it")
        print(f"  outputs {outputs[0]:.9f} {outputs[1]:.9f}", end="")
        print(f"   (in the order of the source {outputs_there[0]:.9f} {outputs_there[1]:.9f})")


def short(number):
    """Six digits, as in 3.51085e-5."""
    return f"{number:.5e}".replace("e-0", "e-")


if __name__ == "__main__":
    from gradloom.cli import main

    raise SystemExit(main(["train", __file__]))
