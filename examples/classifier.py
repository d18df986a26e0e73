"""A classifier of handwritten digits with one hidden layer, whose gradients a student has derived by hand.

``gradloom check examples/classifier.py examples/my_derivation.tex`` says which lines of that derivation are right;
``gradloom train examples/classifier.py`` learns the digits that scikit-learn brings.
"""

import gradloom as gl

n, q, c = gl.dims("n q c")  # pixels, hidden neurons, classes
network = gl.Sequential(
    [gl.layers.Dense(q, gl.tanh), gl.layers.Dense(c)],
    input_shape=(n,),
    loss=gl.losses.CrossEntropy(),
    name="classifier",
)
training = {"sizes": {"n": 64, "q": 16, "c": 10}, "epochs": 10, "batch": 32, "optimizer": gl.optimizers.Adam(lr=0.01)}

# How the derivation calls things: m examples, h what the hidden neurons give, s the scores of the classes.
claims = {"aliases": {"m": "B", "h": "a1", "s": "z2"}}

if __name__ == "__main__":
    from gradloom.cli import main

    raise SystemExit(main(["train", __file__]))
