"""The networks of the gallery: one small network of every kind, with sizes as letters where the layer allows it."""

from __future__ import annotations

from collections.abc import Callable

from sympy import log, sqrt

import gradloom as gl

B, C, D, F, H, N, T, W, h, m, n = gl.dims("B C D F H N T W h m n")
i, j, k = gl.indices("i j k")
layers, losses = gl.layers, gl.losses


def chain(name: str, made: list, shape: object, loss: object = None, **options: object) -> gl.Network:
    """Layers, one after another, with half the mean squared error."""
    loss = losses.SquaredError() if loss is None else loss
    return gl.Sequential(made, input_shape=shape, loss=loss, name=name, **options)


def mlp() -> gl.Network:
    made = [layers.Dense(2, gl.sigmoid), layers.Dense(2, gl.sigmoid)]
    return chain("mlp", made, 2)


def three_four_one() -> gl.Network:
    return chain("three_four_one", [layers.Dense(4, gl.sigmoid), layers.Dense(1, gl.sigmoid)], 3)


def classifier() -> gl.Network:
    made = [layers.Dense(h, gl.relu), layers.Dense(m)]
    return chain("softmax_cross_entropy", made, n, losses.CrossEntropy())


def convolution() -> gl.Network:
    return chain("convolution", [layers.Conv2D(F, 3, padding=1, activation=gl.relu)], (C, H, W))


def strided_convolution() -> gl.Network:
    return chain("convolution_stride_2", [layers.Conv2D(F, 3, stride=2)], (C, 9, 11))


def transposed_convolution() -> gl.Network:
    """Each entry of x adds a copy of the kernel, two places from the next; back flows a convolution of stride 2."""
    net = chain("convolution_transposed", [layers.ConvTranspose2D(F, 3, stride=2)], (C, 5, 7))
    net.asked = ["x", "W1", "b1"]
    return net


def grouped_convolution() -> gl.Network:
    """Each channel by itself, every other place of it, then groups of channels; asked for x too.

    Back to the input flows the full correlation with the turned kernel.
    """
    made = [layers.DepthwiseConv2D(3, dilation=2, padding=2), layers.Conv2D(6, 3, groups=2, padding=1)]
    net = chain("convolution_grouped", made, (4, H, W))
    net.asked = ["x", "W1", "b1", "W2", "b2"]
    return net


def max_pooling() -> gl.Network:
    return chain("max_pooling", [layers.Conv2D(F, 3), layers.MaxPool2D(2)], (C, 8, 10))


def average_pooling() -> gl.Network:
    return chain("average_pooling", [layers.Conv2D(F, 3), layers.AveragePool2D(3, 2)], (C, 9, 11))


def lenet() -> gl.Network:
    """LeCun et al. 1998, with average pooling and dense layers of today."""
    made = [
        layers.Conv2D(6, 5, padding=2, activation=gl.tanh),
        layers.AveragePool2D(2),
        layers.Conv2D(16, 5, activation=gl.tanh),
        layers.AveragePool2D(2),
        layers.Flatten(),
        layers.Dense(120, gl.tanh),
        layers.Dense(84, gl.tanh),
        layers.Dense(10),
    ]
    return chain("lenet_5", made, (1, 28, 28), losses.CrossEntropy(targets="labels"))


def rnn() -> gl.Network:
    """Written by equations, with the letters of the textbooks."""
    t = gl.indices("t")
    net = gl.Network("rnn")
    x, y = net.input("x", (B, T, n)), net.target("y", (B, T, m))
    w, u, bias = net.parameter("W", (m, n)), net.parameter("U", (m, m)), net.parameter("b", (m,))
    state = net.sequence("h", (B, T, m))
    body = gl.Sum(w[j, k] * x[i, t, k], k) + gl.Sum(u[j, k] * gl.padded(state[i, t - 1, k]), (k, m)) + bias[j]
    z = net.define("z", (i, t, j), body)
    net.define("h", (i, t, j), gl.tanh(z[i, t, j]))
    net.minimize(gl.Sum((state[i, t, j] - y[i, t, j]) ** 2, i, t, j) / (2 * B))
    return net


def lstm() -> gl.Network:
    return chain("lstm", [layers.LSTM(m)], (T, n))


def gru() -> gl.Network:
    return chain("gru", [layers.GRU(m)], (T, n))


def bidirectional() -> gl.Network:
    """Two recurrences in opposite directions, the states side by side; a step that the mask leaves out changes none."""
    return chain("bidirectional_rnn", [layers.Bidirectional(layers.RNN(m, mask="seen"))], (T, n))


def batch_norm() -> gl.Network:
    return chain("batch_norm", [layers.Dense(m), layers.BatchNorm()], n)


def layer_norm() -> gl.Network:
    return chain("layer_norm", [layers.Dense(m), layers.LayerNorm()], n)


def group_norm() -> gl.Network:
    return chain("group_norm", [layers.Conv1D(6, 3), layers.GroupNorm(2)], (C, 11))


def rms_norm() -> gl.Network:
    return chain("rms_norm", [layers.Dense(m), layers.RMSNorm()], n)


def embedding() -> gl.Network:
    made = [layers.Embedding(C, n), layers.Positions(), layers.Dense(C)]
    return chain("embedding", made, (T,), losses.CrossEntropy(targets="labels"), input_classes=C)


def residual() -> gl.Network:
    made = [layers.Residual([layers.Dense(h, gl.relu), layers.Dense(n)])]
    return chain("residual", made, n)


def attention() -> gl.Network:
    """Self-attention by equations, with the letters of the paper."""
    b, h, t, u, d = gl.indices("b h t u d")
    net = gl.Network("attention")
    x, y = net.input("X", (B, T, n)), net.target("Y", (B, T, n))
    weights = {name: net.parameter(f"W_{name}", (N, D, n)) for name in "QKV"}
    made = {
        name: net.define(name, (b, h, t, d), gl.Sum(weight[h, d, k] * x[b, t, k], k))
        for name, weight in weights.items()
    }
    s = net.define("S", (b, h, t, u), gl.Sum(made["Q"][b, h, t, d] * made["K"][b, h, u, d], d) / sqrt(D))
    p = net.define("P", (b, h, t, u), gl.softmax(s[b, h, t, u], u))
    out = net.define("O", (b, h, t, d), gl.Sum(p[b, h, t, u] * made["V"][b, h, u, d], u))
    w = net.parameter("W_O", (n, N, D))
    z = net.define("Z", (b, t, j), gl.Sum(w[j, h, d] * out[b, h, t, d], h, d))
    net.minimize(gl.Sum((z[b, t, j] - y[b, t, j]) ** 2, b, t, j) / (2 * B))
    return net


def causal_attention() -> gl.Network:
    return chain("causal_attention", [layers.Attention(N, D, causal=True)], (T, n))


def transformer_block() -> gl.Network:
    return chain("transformer_block", [layers.TransformerBlock(12, 3, 48, causal=True)], (T, 12))


def dropout() -> gl.Network:
    return chain("dropout", [layers.Dense(h, gl.relu), layers.Dropout(0.25), layers.Dense(m)], n)


def autoencoder() -> gl.Network:
    """The decoder's weight is the transpose of the encoder's."""
    net = gl.Network("tied_autoencoder")
    x, w = net.input("x", (B, n)), net.parameter("W", (h, n))
    b, c = net.parameter("b", (h,)), net.parameter("c", (n,))
    z1 = net.define("z1", (i, j), gl.Sum(w[j, k] * x[i, k], k) + b[j])
    a1 = net.define("a1", (i, j), gl.sigmoid(z1[i, j]))
    z2 = net.define("z2", (i, j), gl.Sum(w[k, j] * a1[i, k], k) + c[j])
    net.minimize(gl.Sum((z2[i, j] - x[i, j]) ** 2, i, j) / (2 * B))
    return net


def boltzmann() -> gl.Network:
    """The mean free energy of a restricted Boltzmann machine; its gradient is one half of contrastive divergence."""
    net = gl.Network("rbm_free_energy")
    v, w = net.input("v", (B, n)), net.parameter("W", (h, n))
    a, b = net.parameter("a", (n,)), net.parameter("b", (h,))
    z = net.define("z", (i, j), gl.Sum(w[j, k] * v[i, k], k) + b[j])
    energy = -gl.Sum(a[k] * v[i, k], i, k) - gl.Sum(gl.softplus(z[i, j]), i, j)
    net.minimize(energy / B, name="F")
    return net


def contrastive_divergence() -> gl.Network:
    """CD-k: the free energy of the data less that of what k steps of Gibbs sampling made of them, which is held."""
    net = gl.Network("rbm_contrastive_divergence")
    v, made = net.input("v", (B, n)), net.input("vk", (B, n), latex="v_{k}")
    w, a, b = net.parameter("W", (h, n)), net.parameter("a", (n,)), net.parameter("b", (h,))
    z = net.define("z", (i, j), gl.Sum(w[j, k] * v[i, k], k) + b[j])
    zk = net.define("zk", (i, j), gl.Sum(w[j, k] * gl.held(made[i, k]), k) + b[j], latex="z_{k}")
    energy = -gl.Sum(a[k] * v[i, k], i, k) - gl.Sum(gl.softplus(z[i, j]), i, j)
    reached = -gl.Sum(a[k] * gl.held(made[i, k]), i, k) - gl.Sum(gl.softplus(zk[i, j]), i, j)
    net.minimize((energy - reached) / B)
    return net


def small() -> gl.Network:
    return chain("tanh_network", [layers.Dense(h, gl.tanh), layers.Dense(m)], n)


def jvp() -> gl.Network:
    """Forward mode: the slope of the loss along a direction v; its gradient is the Hessian's product with v."""
    return gl.jvp(small())


def gauss_newton() -> gl.Network:
    """The Gauss-Newton matrix of the same network, times a direction v."""
    return gl.gauss_newton_vector(small())


def hessian_vector() -> gl.Network:
    """The Hessian of logistic regression times a direction v."""
    net = gl.Network("logistic_regression")
    x, y = net.input("x", (B, n)), net.target("y", (B,))
    w, b = net.parameter("w", (n,)), net.parameter("b")
    z = net.define("z", i, gl.Sum(w[k] * x[i, k], k) + b)
    p = net.define("p", i, gl.sigmoid(z[i]))
    net.minimize(-gl.Sum(y[i] * log(p[i]) + (1 - y[i]) * log(1 - p[i]), i) / B)
    return gl.hessian_vector(net)


GALLERY: dict[str, Callable[[], gl.Network]] = {
    "2-2-2 perceptron": mlp,
    "3-4-1 perceptron": three_four_one,
    "Softmax with cross-entropy": classifier,
    "Convolution, stride 1, padding 1": convolution,
    "Convolution, stride 2": strided_convolution,
    "Transposed convolution": transposed_convolution,
    "Depthwise and grouped convolution, dilated": grouped_convolution,
    "Max pooling": max_pooling,
    "Average pooling, overlapping": average_pooling,
    "LeNet-5": lenet,
    "Simple recurrent network": rnn,
    "LSTM": lstm,
    "GRU": gru,
    "Bidirectional recurrence with a mask": bidirectional,
    "Batch normalisation": batch_norm,
    "Layer normalisation": layer_norm,
    "Group normalisation": group_norm,
    "RMS normalisation": rms_norm,
    "Embedding and positions": embedding,
    "Residual block": residual,
    "Multi-head attention": attention,
    "Causal attention": causal_attention,
    "Transformer block": transformer_block,
    "Dropout": dropout,
    "Autoencoder with tied weights": autoencoder,
    "Free energy of a restricted Boltzmann machine": boltzmann,
    "Contrastive divergence": contrastive_divergence,
    "Forward mode: a Jacobian-vector product": jvp,
    "Gauss-Newton product": gauss_newton,
    "Hessian-vector product of logistic regression": hessian_vector,
}
