"""LeNet-5 for handwritten digits: two convolutions with pooling, then three dense layers (LeCun et al. 1998).

``gradloom train examples/lenet.py`` trains a smaller one on scikit-learn's digits of 8 × 8 pixels: 97 % and more of the
rows that are held out. ``gradloom train examples/lenet.py:lenet5 --data mnist.npz``, where the file holds ``images``
(n, 28, 28) and ``labels``, trains LeNet-5 itself, of 61,706 parameters: more than 97 % after 8,000 digits of MNIST.
``gradloom derive examples/lenet.py:lenet5`` prints what flows back through the windows.

Each map here reads all maps before, activations are ReLU, windows give their maximum, and the last layer is a softmax:
the paper leaves some maps out, takes tanh, means with a learned factor, and distances to drawn digits.
"""

import gradloom as gl

HE = gl.initializers.HeNormal()


def conv(filters, size, padding=0):
    """A convolution with ReLU, and the maxima of 2 × 2 windows."""
    return [
        gl.layers.Conv2D(filters, size, padding=padding, activation=gl.relu, weight_init=HE),
        gl.layers.MaxPool2D(2),
    ]


def lenet(name, pixels, convolutions, dense):
    """Convolutions, dense layers of these sizes, and softmax cross-entropy over ten classes."""
    hidden = [gl.layers.Dense(units, gl.relu, weight_init=HE) for units in dense]
    return gl.Sequential(
        [gl.layers.Reshape((1, pixels, pixels)), *convolutions, gl.layers.Flatten(), *hidden, gl.layers.Dense(10)],
        input_shape=pixels * pixels,
        loss=gl.losses.CrossEntropy(targets="labels"),
        name=name,
    )


# 28 × 28 in a frame of two zeros, 6 maps of 14 × 14, 16 maps of 5 × 5.
lenet5 = lenet("lenet5", 28, [*conv(6, 5, padding=2), *conv(16, 5)], [120, 84])
# 8 × 8 in a frame of one zero, 12 maps of 4 × 4, 32 maps of 2 × 2.
network = lenet("lenet", 8, [*conv(12, 3, padding=1), *conv(32, 3, padding=1)], [64])
training = {"epochs": 20, "batch": 16, "optimizer": gl.optimizers.Adam(lr=1e-3), "validation": 0.2}

if __name__ == "__main__":
    from gradloom.cli import main

    raise SystemExit(main(["train", __file__]))
