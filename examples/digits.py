"""scikit-learn's handwritten digits with ReLU, softmax cross-entropy and class labels: 97 % and more in seconds.

``gradloom train examples/digits.py``; the digits are the command line's default data, so this file declares none.
"""

import gradloom as gl

network = gl.Sequential(
    [gl.layers.Dense(64, gl.relu, weight_init=gl.initializers.HeNormal()), gl.layers.Dense(10)],
    input_shape=64,
    loss=gl.losses.CrossEntropy(targets="labels"),
    penalties=[gl.losses.L2(1e-4)],
    name="digits",
)
training = {
    "epochs": 40,
    "batch": 32,
    "optimizer": gl.optimizers.Adam(lr=2e-3),
    "validation": 0.2,
    "early_stopping": gl.EarlyStopping(patience=10),
}

if __name__ == "__main__":
    from gradloom.cli import main

    raise SystemExit(main(["train", __file__]))
