"""Ten layers deep: the gradients of sigmoid networks vanish on the way back, those of ReLU and tanh arrive.

``python examples/vanishing_gradients.py`` trains three networks that differ in the activation (and in the initial
values that go with it) on scikit-learn's digits. For each it prints the norm of every layer's weight gradient, epoch by
epoch, and the ratio of the first layer's to the last one's. The figure goes to ``vanishing_gradients.png``, or to
``-o FILE``; it needs matplotlib: ``pip install 'gradloom[pages]'``.

Each δ is the next one's times σ′(z) ≤ 1/4 times the weights: after nine layers little is left (Hochreiter 1991; Glorot
and Bengio 2010). ReLU′ is 0 or 1, tanh′ is 1 at 0, and the initial values of He and of Glorot keep the size of what is
passed back.
"""

import argparse

import gradloom as gl

HIDDEN, WIDTH = 9, 32
CHOICES = {
    "sigmoid": (gl.sigmoid, None),
    "tanh, Glorot": (gl.tanh, gl.initializers.GlorotUniform()),
    "ReLU, He": (gl.relu, gl.initializers.HeNormal()),
}


def deep(activation, weight_init=None, inputs=64, classes=10, name="deep"):
    """`HIDDEN` layers of one activation, and softmax cross-entropy."""
    hidden = [gl.layers.Dense(WIDTH, activation, weight_init=weight_init) for _ in range(HIDDEN)]
    loss = gl.losses.CrossEntropy(targets="labels")
    return gl.Sequential([*hidden, gl.layers.Dense(classes)], input_shape=inputs, loss=loss, name=name)


network = deep(gl.sigmoid, name="deep_sigmoid")  # for ``gradloom derive examples/vanishing_gradients.py``
training = {"epochs": 10, "batch": 32, "optimizer": gl.optimizers.SGD(lr=0.1), "validation": 0.2}


def measure(dataset, epochs, target):
    """Train each network; name → (norms of its gradients, last validation accuracy)."""
    found = {}
    x = dataset.x.reshape(len(dataset.x), -1)
    for name, (activation, weight_init) in CHOICES.items():
        model = gl.Model(deep(activation, weight_init, x.shape[1], dataset.classes), target=target)
        norms = gl.GradientNorms()  # on the first 100 training rows
        history = model.fit(x, dataset.y, **{**training, "epochs": epochs}, callbacks=norms)
        found[name] = norms, history.val_accuracy[-1]
    return found


def weights(norms):
    """The norms of the weights alone, first layer first."""
    return {name: values for name, values in norms.norms.items() if name.startswith("W")}


def print_table(name, norms, accuracy):
    print(f"{name}: ‖∂L/∂W‖ by epoch and layer")
    print("epoch " + " ".join(f"{weight:>8}" for weight in weights(norms)) + "     W1/last")
    for place, epoch in enumerate(norms.epochs):
        cells = " ".join(f"{values[place]:8.1e}" for values in weights(norms).values())
        print(f"{epoch:5d} {cells}     {norms.ratios[place]:.1e}")
    print(norms.report())
    print(f"Validation accuracy {accuracy:.1%}\n")


def draw(found, path):
    """Norm by layer on a logarithmic axis, one line per epoch; False where matplotlib is not installed."""
    titles = {f"{name} ({accuracy:.0%} accuracy)": norms for name, (norms, accuracy) in found.items()}
    try:
        gl.norms_by_layer(titles, name="vanishing_gradients").save(path)
    except gl.MissingExtraError as error:
        print(f"No figure: {error}.")
        return False
    return True


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Gradient norms of deep networks, layer by layer.")
    parser.add_argument("-o", "--output", metavar="FILE", default="vanishing_gradients.png", help="the figure")
    parser.add_argument("--data", metavar="FILE", help="an .npz file with images and labels instead of the digits")
    parser.add_argument("--epochs", metavar="N", type=int, default=training["epochs"])
    parser.add_argument("--target", choices=("numpy", "cpu"), default="numpy", help="numpy compiles nothing (default)")
    options = parser.parse_args(arguments)
    dataset = gl.datasets.load_file(options.data) if options.data else gl.datasets.load_digits()
    found = measure(dataset, options.epochs, options.target)
    for name, (norms, accuracy) in found.items():
        print_table(name, norms, accuracy)
    if draw(found, options.output):
        print(f"The figure is in {options.output}.")


if __name__ == "__main__":
    main()
