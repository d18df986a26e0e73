# ruff: noqa: E501
"""Right lines about several networks, and what to replace in them to make one mistake: its kind, the old, the new."""

import gradloom as gl

S, layers = gl.Sequential, gl.layers


def mlp():
    hidden, out = layers.Dense(gl.dims("m"), gl.sigmoid), layers.Dense(gl.dims("c"), gl.sigmoid)
    return S([hidden, out], input_shape=(gl.dims("n"),), loss=gl.losses.SquaredError())


def deep():
    sizes = gl.dims("p q c")
    net = [layers.Dense(size, gl.tanh) for size in sizes[:2]] + [layers.Dense(sizes[2])]
    loss = gl.losses.SquaredError()
    return S(net, input_shape=(gl.dims("n"),), loss=loss, penalties=[gl.losses.L2(0.25)])


def relu_net():
    return S(
        [layers.Dense(gl.dims("m"), gl.relu), layers.Dense(gl.dims("c"))],
        input_shape=(gl.dims("n"),),
        loss=gl.losses.SquaredError(),
    )


def softmax(targets="one_hot"):
    return S([layers.Dense(gl.dims("c"))], input_shape=(gl.dims("n"),), loss=gl.losses.CrossEntropy(targets))


def soft_targets():
    return softmax("probabilities")


def logistic():
    return S([layers.Dense(gl.dims("c"), gl.sigmoid)], input_shape=(gl.dims("n"),), loss=gl.losses.BinaryCrossEntropy())


def batch_norm():
    return S(
        [layers.Dense(gl.dims("m")), layers.BatchNorm(), layers.Dense(gl.dims("c"))],
        input_shape=(gl.dims("n"),),
        loss=gl.losses.SquaredError(),
    )


def rnn():
    return S(
        [layers.RNN(gl.dims("h")), layers.Dense(gl.dims("c"))],
        input_shape=(gl.dims("T"), gl.dims("n")),
        loss=gl.losses.SquaredError(),
    )


def lstm_step():
    """One step of an LSTM's cell with its gates given, and a loss that reads the state and the cell."""
    B, n = gl.dims("B n")
    i, j = gl.indices("i j")
    net = gl.Network("cell")
    zf, zi, zg, zo, old = (net.input(name, (B, n)) for name in ("zf", "zi", "zg", "zo", "c0"))
    y, v = net.target("y", (B, n)), net.parameter("v", (n,))
    f, u, o = (net.define(name, (i, j), gl.sigmoid(z[i, j])) for name, z in (("f", zf), ("u", zi), ("o", zo)))
    g = net.define("g", (i, j), gl.tanh(zg[i, j]))
    c = net.define("c", (i, j), f[i, j] * old[i, j] + u[i, j] * g[i, j])
    h = net.define("h", (i, j), o[i, j] * gl.tanh(c[i, j]))
    net.minimize(gl.Sum((v[j] * h[i, j] - y[i, j]) ** 2 + c[i, j] ** 2 * y[i, j], i, j))
    return net


def convolution():
    """One channel, a window w over x: z[p] = Σ_u w[u] x[p + u]."""
    B, m, r = gl.dims("B m r")
    i, p, u = gl.indices("i p u")
    net = gl.Network("convolution")
    x, w, y = net.input("x", (B, m + r - 1)), net.parameter("w", (r,)), net.target("y", (B, m))
    z = net.define("z", (i, p), gl.Sum(w[u] * x[i, p + u], u), shape=(B, m))
    a = net.define("a", (i, p), gl.tanh(z[i, p]))
    net.minimize(gl.Sum((a[i, p] - y[i, p]) ** 2, i, p) / (2 * B))
    return net


def attention():
    """One head: S = Q K^T s, P = softmax(S), O = P V."""
    B, n, d, e = gl.dims("B n d e")
    b, i, j, k = gl.indices("b i j k")
    net = gl.Network("attention")
    Q, K, V = net.input("Q", (B, n, d)), net.input("K", (B, n, d)), net.input("V", (B, n, e))
    y = net.target("Y", (B, n, e))
    S_ = net.define("S", (b, i, j), gl.Sum(Q[b, i, k] * K[b, j, k], k))
    P = net.define("P", (b, i, j), gl.softmax(S_[b, i, j], j))
    O = net.define("O", (b, i, j), gl.Sum(P[b, i, k] * V[b, k, j], k))
    net.minimize(gl.Sum((O[b, i, j] - y[b, i, j]) ** 2, b, i, j) / 2)
    return net


LINES = [
    (
        mlp,
        r"\delta^{(1)} = (W^{(2)})^\top \delta^{(2)} \odot \sigma'(z^{(1)})",
        [
            ("missing transpose", r"(W^{(2)})^\top", "W^{(2)}"),
            ("swapped factors", r"(W^{(2)})^\top \delta^{(2)}", r"\delta^{(2)} (W^{(2)})^\top"),
            ("missing activation derivative", r" \odot \sigma'(z^{(1)})", ""),
            ("missing activation derivative", r"\sigma'", r"\sigma"),
            ("derivative at a instead of z", "z^{(1)}", "a^{(1)}"),
            ("wrong layer", "z^{(1)}", "z^{(2)}"),
            ("wrong layer", "W^{(2)}", "W^{(1)}"),
            ("missing factor", r"(W^{(2)})^\top ", ""),
            ("sign", r"(W^{(2)})", r"-(W^{(2)})"),
            ("factor", r"(W^{(2)})", r"2 (W^{(2)})"),
            ("wrong function", r"\sigma'", r"\tanh'"),
            ("extra 1/B", r"(W^{(2)})", r"\frac{1}{B} (W^{(2)})"),
            ("extra activation derivative", r"\sigma'(z^{(1)})", r"\sigma'(z^{(1)}) \odot \sigma'(z^{(1)})"),
        ],
    ),
    (
        mlp,
        r"\delta^{(1)} = W^{(2)T} \delta^{(2)} * a^{(1)} * (1 - a^{(1)})",
        [
            ("missing transpose", "W^{(2)T}", "W^{(2)}"),
            ("derivative at a instead of z", "a^{(1)} * (1 - a^{(1)})", "z^{(1)} * (1 - z^{(1)})"),
            ("missing bracket", "(1 - a^{(1)})", "1 - a^{(1)}"),
            ("sign", "1 - a", "1 + a"),
            ("wrong layer", "a^{(1)} * (1 - a^{(1)})", "a^{(2)} * (1 - a^{(2)})"),
            ("wrong power", "a^{(1)} * (", "(a^{(1)})^2 * ("),
        ],
    ),
    (
        mlp,
        r"\delta^{(l)} = (W^{(l+1)})^T \delta^{(l+1)} \odot \sigma'(z^{(l)})",
        [
            ("missing transpose", "(W^{(l+1)})^T", "W^{(l+1)}"),
            ("wrong layer", "W^{(l+1)}", "W^{(l)}"),
            ("wrong layer", "z^{(l)}", "z^{(l+1)}"),
            ("derivative at a instead of z", "z^{(l)}", "a^{(l)}"),
        ],
    ),
    (
        mlp,
        r"dW^{[l]} = dz^{[l]} a^{[l-1]T}",
        [
            ("missing transpose", "a^{[l-1]T}", "a^{[l-1]}"),
            ("wrong layer", "l-1", "l"),
            ("missing factor", " a^{[l-1]T}", ""),
            ("extra 1/B", "dz^", r"\frac{1}{B} dz^"),
        ],
    ),
    (
        mlp,
        r"\frac{\partial L}{\partial b^{(2)}} = \delta^{(2)} \mathbf 1",
        [
            ("missing sum", r" \mathbf 1", ""),
            ("wrong layer", r"\delta^{(2)}", r"\delta^{(1)}"),
        ],
    ),
    (
        mlp,
        r"\frac{\partial L}{\partial b^{(2)}_j} = \sum_i \delta^{(2)}_{ij}",
        [("missing sum", r"\sum_i ", ""), ("wrong index", "_{ij}", "_{ji}"), ("broadcast axis", r"\sum_i", r"\sum_j")],
    ),
    (
        mlp,
        r"\frac{\partial L}{\partial W^{(2)}_{jk}} = \sum_i \delta^{(2)}_{ij} a^{(1)}_{ik}",
        [
            ("missing sum", r"\sum_i ", ""),
            ("wrong index", "a^{(1)}_{ik}", "a^{(1)}_{ki}"),
            ("wrong layer", "a^{(1)}_{ik}", "a^{(2)}_{ik}"),
            ("derivative at a instead of z", "a^{(1)}", "z^{(1)}"),
        ],
    ),
    (
        mlp,
        r"\delta^{(1)}_j = \sigma'(z^{(1)}_j) \sum_k W^{(2)}_{kj} \delta^{(2)}_k",
        [
            ("wrong index", "_{kj}", "_{jk}"),
            ("missing sum", r"\sum_k ", ""),
            ("derivative at a instead of z", "z^{(1)}_j", "a^{(1)}_j"),
            ("missing activation derivative", r"\sigma'(z^{(1)}_j) ", ""),
            ("missing factor", "W^{(2)}_{kj} ", ""),
            ("sign", r"\sigma'", r"-\sigma'"),
        ],
    ),
    (
        mlp,
        r"\delta^{(2)} = \frac{1}{B} (a^{(2)} - y) \odot \sigma'(z^{(2)})",
        [
            ("missing 1/B", r"\frac{1}{B} ", ""),
            ("sign", "a^{(2)} - y", "y - a^{(2)}"),
            ("sign", "a^{(2)} - y", "a^{(2)} + y"),
            ("factor", r"\frac{1}{B}", r"\frac{2}{B}"),
            ("missing activation derivative", r" \odot \sigma'(z^{(2)})", ""),
            ("dropped term", "(a^{(2)} - y)", "a^{(2)}"),
        ],
    ),
    (
        mlp,
        r"L = \frac{1}{2B} \|a^{(2)} - y\|^2",
        [
            ("factor", r"\frac{1}{2B}", r"\frac{1}{B}"),
            ("missing 1/B", r"\frac{1}{2B}", r"\frac{1}{2}"),
            ("wrong power", r"\|^2", r"\|"),
        ],
    ),
    (
        mlp,
        r"\text{New } W^{(1)} = W^{(1)} - \eta \frac{\partial L}{\partial W^{(1)}}",
        [
            ("not a step", r"W^{(1)} - \eta", r"-\eta"),
            ("sign", r"W^{(1)} - \eta", r"W^{(1)} + \eta"),
            ("not a step", r"W^{(1)} - \eta", r"|W^{(1)}| - \eta"),
        ],
    ),
    (
        softmax,
        r"\frac{\partial L}{\partial z} = \frac{1}{B} (p - y)",
        [
            ("missing 1/B", r"\frac{1}{B} ", ""),
            ("sign", "p - y", "y - p"),
            ("extra activation derivative", "(p - y)", r"(p - y) \odot p \odot (1 - p)"),
        ],
    ),
    (
        softmax,
        r"\frac{\partial L}{\partial W} = \frac{1}{B} (p - y) x^\top",
        [
            ("missing 1/B", r"\frac{1}{B} ", ""),
            ("missing transpose", r"x^\top", "x"),
            ("missing bracket", r"(p - y) x^\top", r"p - y x^\top"),
        ],
    ),
    (
        softmax,
        r"L = -\frac{1}{B} \sum_i \sum_k y_{ik} \log p_{ik}",
        [
            ("sign", "= -", "= "),
            ("missing 1/B", r"\frac{1}{B} ", ""),
            ("wrong function", r"\log", r"\exp"),
        ],
    ),
    (
        logistic,
        r"\delta = \frac{1}{B c} (a - y)",
        [
            ("missing 1/B", r"\frac{1}{B c} ", r"\frac{1}{c} "),
            ("extra activation derivative", "(a - y)", r"(a - y) \odot \sigma'(z)"),
            ("extra activation derivative", "(a - y)", r"(a - y) \odot a \odot (1 - a)"),
        ],
    ),
    (
        logistic,
        r"L = -\frac{1}{B c} \sum_i \sum_k (y_{ik} \log a_{ik} + (1 - y_{ik}) \log(1 - a_{ik}))",
        [
            ("missing bracket", r"(y_{ik} \log a_{ik} + (1 - y_{ik}) \log(1 - a_{ik}))", r"y_{ik} \log a_{ik} + (1 - y_{ik}) \log(1 - a_{ik})"),
            ("sign", r"a_{ik} + (1", r"a_{ik} - (1"),
        ],
    ),
    (
        relu_net,
        r"\delta^{(1)} = (W^{(2)})^\top \delta^{(2)} \odot \mathbb 1[z^{(1)} > 0]",
        [
            ("missing transpose", r"(W^{(2)})^\top", "W^{(2)}"),
            ("missing activation derivative", r" \odot \mathbb 1[z^{(1)} > 0]", ""),
            ("wrong layer", r"\delta^{(2)} \odot", r"\delta^{(1)} \odot"),
        ],
    ),
    (
        deep,
        r"\frac{\partial L}{\partial W_2} = \delta_2 a_1^\top + \lambda W_2",
        [
            ("dropped term", r" + \lambda W_2", ""),
            ("missing transpose", r"a_1^\top", "a_1"),
            ("factor", r"\lambda W_2", r"2 \lambda W_2"),
            ("wrong layer", r"a_1^\top", r"a_2^\top"),
            ("sign", r"+ \lambda", r"- \lambda"),
        ],
    ),
    (
        deep,
        r"\delta_1 = (W_2^\top \delta_2) \odot (1 - a_1 \odot a_1)",
        [
            ("derivative at a instead of z", r"a_1 \odot a_1", r"z_1 \odot z_1"),
            ("missing activation derivative", r" \odot (1 - a_1 \odot a_1)", ""),
            ("wrong layer", r"a_1 \odot a_1", r"a_2 \odot a_2"),
            ("missing bracket", r"(1 - a_1 \odot a_1)", r"1 - a_1 \odot a_1"),
            ("sign", "1 - a", "1 + a"),
        ],
    ),
    (
        batch_norm,
        r"\frac{\partial L}{\partial \gamma} = \sum_i \frac{\partial L}{\partial a_i} \odot \hat x_i",
        [],
    ),
    (
        batch_norm,
        r"\frac{\partial L}{\partial z1_{ij}} = \frac{\gamma_j r_j}{B} (B g_{ij} - \sum_k g_{kj} - u_{ij} \sum_k g_{kj} u_{kj})",
        [
            ("missing factor", r"\gamma_j r_j", "r_j"),
            ("dropped term", r" - \sum_k g_{kj}", ""),
            ("dropped term", r" - u_{ij} \sum_k g_{kj} u_{kj}", ""),
            ("factor", "(B g", "(g"),
            ("sign", r"- u_{ij}", r"+ u_{ij}"),
            ("missing 1/B", r"\frac{\gamma_j r_j}{B}", r"\gamma_j r_j"),
        ],
    ),
    (
        rnn,
        r"\frac{\partial L}{\partial U1_{jk}} = \sum_i \sum_t \delta1_{itj} h1_{i,t-1,k}",
        [
            ("wrong index", "t-1", "t"),
            ("wrong index", "t-1", "t+1"),
            ("missing sum", r"\sum_t ", ""),
        ],
    ),
    (
        lstm_step,
        r"\frac{\partial L}{\partial f} = \frac{\partial L}{\partial c} \odot c0",
        [("wrong factor", "c0", "g"), ("missing factor", r" \odot c0", ""), ("sign", r"= \frac", r"= -\frac")],
    ),
    (
        lstm_step,
        r"\frac{\partial L}{\partial c} = \frac{\partial L}{\partial h} \odot o \odot (1 - \tanh^2(c)) + 2 c \odot y",
        [
            ("dropped term", r" + 2 c \odot y", ""),
            ("missing factor", r" \odot o", ""),
            ("missing activation derivative", r" \odot (1 - \tanh^2(c))", ""),
            ("wrong power", r"\tanh^2(c)", r"\tanh(c)"),
            ("factor", "2 c", "c"),
        ],
    ),
    (
        lstm_step,
        r"\frac{\partial L}{\partial zo} = \frac{\partial L}{\partial h} \odot \tanh(c) \odot o \odot (1 - o)",
        [
            ("wrong function", r"\tanh", r"\sigma"),
            ("missing factor", r" \odot \tanh(c)", ""),
            ("missing activation derivative", r" \odot o \odot (1 - o)", ""),
            ("derivative at a instead of z", r"\odot o \odot (1 - o)", r"\odot zo \odot (1 - zo)"),
        ],
    ),
    (
        convolution,
        r"\frac{\partial L}{\partial x_{iq}} = \sum_p \frac{\partial L}{\partial z_{ip}} w_{q - p}",
        [("unflipped kernel", "q - p", "q + p"), ("missing sum", r"\sum_p ", "")],
    ),
    (
        convolution,
        r"\frac{\partial L}{\partial w_u} = \sum_i \sum_p \frac{\partial L}{\partial z_{ip}} x_{i,p+u}",
        [("unflipped kernel", "p+u", "p-u"), ("missing sum", r"\sum_i ", ""), ("missing sum", r"\sum_p ", "")],
    ),
    (
        attention,
        r"dS = P \circ (dP - \mathrm{rowsum}(dO \circ O))",
        [
            ("broadcast axis", "rowsum", "colsum"),
            ("sign", "dP -", "dP +"),
            ("dropped term", r" - \mathrm{rowsum}(dO \circ O)", ""),
            ("wrong factor", r"P \circ", r"S \circ"),
        ],
    ),
    (
        attention,
        r"dK = dS^\top Q",
        [
            ("missing transpose", r"dS^\top", "dS"),
            ("swapped factors", r"dS^\top Q", r"Q dS^\top"),
            ("wrong factor", "Q", "K"),
        ],
    ),
    (
        attention,
        r"dP = dO V^\top",
        [("missing transpose", r"V^\top", "V"), ("swapped factors", r"dO V^\top", r"V^\top dO"), ("sign", "dO", "-dO")],
    ),
]  # fmt: skip
ALIASES = {
    batch_norm: {"g": r"\frac{\partial L}{\partial a2}", "u": "h2", r"\gamma": "gamma2", "r": "r2", r"\hat x": "h2"},
}
