"""The networks that the claims of the suite are about, each with the names of its usual source.

All sizes are symbols, so that a claim is judged for every size; the losses of layers that have none of their own weigh
the outputs with an input, so that nothing cancels.
"""

from __future__ import annotations

from functools import cache

import sympy

import gradloom as gl

B, N, T, n, m, h, c, d, q, K, P = gl.dims("B N T n m h c d q K P")
e, t, i, j, k, l, r, s, u, v, p = gl.indices("e t i j k l r s u v p")
NETWORKS = {}


def network(make):
    """Put a network into the registry under the name of the function that makes it."""
    NETWORKS[make.__name__] = cache(make)
    return make


@network
def mlp():
    """Two dense layers with sigmoids and half the mean squared error."""
    return gl.Sequential(
        [gl.layers.Dense(m, gl.sigmoid), gl.layers.Dense(c, gl.sigmoid)],
        input_shape=(n,),
        loss=gl.losses.SquaredError(),
        name="mlp",
    )


@network
def mlp3():
    """Three dense layers, with tanh inside and a sigmoid at the end."""
    return gl.Sequential(
        [gl.layers.Dense(h, gl.tanh), gl.layers.Dense(m, gl.tanh), gl.layers.Dense(c, gl.sigmoid)],
        input_shape=(n,),
        loss=gl.losses.SquaredError(),
        name="mlp3",
    )


@network
def regression():
    """Bishop's network for regression: tanh inside, linear outputs."""
    return gl.Sequential(
        [gl.layers.Dense(m, gl.tanh), gl.layers.Dense(c)],
        input_shape=(n,),
        loss=gl.losses.SquaredError(),
        name="regression",
    )


@network
def classifier():
    """Softmax regression with a one-hot target, column vectors: z = W x + b."""
    net = gl.Network("classifier")
    x = net.input("x", (B, n))
    W, bias = net.parameter("W", (c, n)), net.parameter("b", (c,))
    z = net.define("z", (i, j), gl.Sum(W[j, k] * x[i, k], k) + bias[j])
    net.minimize(gl.losses.CrossEntropy().term(net, z))
    return net


@network
def soft_targets():
    """The same, with a target that need not sum to 1."""
    net = gl.Network("soft_targets")
    x = net.input("x", (B, n))
    W, bias = net.parameter("W", (c, n)), net.parameter("b", (c,))
    z = net.define("z", (i, j), gl.Sum(W[j, k] * x[i, k], k) + bias[j])
    net.minimize(gl.losses.CrossEntropy(targets="probabilities").term(net, z))
    return net


@network
def two_hot():
    """The same, with a target of two classes at once: it sums to 2."""
    net = gl.Network("two_hot")
    x, y = net.input("x", (B, n)), net.target("y", (B, c))
    net.assume(gl.Sum(y[i, k], k), 2)
    W, bias = net.parameter("W", (c, n)), net.parameter("b", (c,))
    z = net.define("z", (i, j), gl.Sum(W[j, k] * x[i, k], k) + bias[j])
    p_ = net.define("p", (i, j), gl.softmax(z[i, j], j))
    net.minimize(-gl.Sum(y[i, j] * sympy.log(p_[i, j]), i, j) / B)
    return net


@network
def cs231n():
    """The two-layer classifier of CS231n: examples in rows, weights in × out, ReLU, softmax, a penalty."""
    D = gl.dims("D")
    net = gl.Network("cs231n")
    X, y = net.input("X", (N, D)), net.target("y", (N, K), one_hot=True)
    lam = net.constant("lam", sympy.Rational(1, 1000))
    W1, b1 = net.parameter("W1", (D, h), latex="W_1"), net.parameter("b1", (h,), latex="b_1")
    W2, b2 = net.parameter("W2", (h, K), latex="W_2"), net.parameter("b2", (K,), latex="b_2")
    A = net.define("A", (i, j), gl.Sum(X[i, k] * W1[k, j], k) + b1[j])
    H = net.define("H", (i, j), gl.relu(A[i, j]))
    scores = net.define("scores", (i, j), gl.Sum(H[i, k] * W2[k, j], k) + b2[j])
    probs = net.define("probs", (i, j), gl.softmax(scores[i, j], j))
    data = -gl.Sum(y[i, j] * sympy.log(probs[i, j]), i, j) / N
    net.minimize(data + lam / 2 * (gl.Sum(W1[k, j] ** 2, k, j) + gl.Sum(W2[k, j] ** 2, k, j)))
    return net


@network
def ridge():
    """Linear least squares with a penalty; one output."""
    net = gl.Network("ridge")
    X, y, w = net.input("X", (N, d)), net.target("y", (N,)), net.parameter("w", (d,))
    lam = net.constant("lam", sympy.Rational(1, 100))
    yh = net.define("y_hat", (i,), gl.Sum(X[i, k] * w[k], k))
    net.minimize(gl.Sum((yh[i] - y[i]) ** 2, i) / (2 * N) + lam / 2 * gl.Sum(w[k] ** 2, k), name="J")
    return net


@network
def logistic():
    """Logistic regression with the mean cross-entropy of bits."""
    net = gl.Network("logistic")
    X, y, w = net.input("X", (N, d)), net.target("y", (N,)), net.parameter("w", (d,))
    z = net.define("z", (i,), gl.Sum(X[i, k] * w[k], k))
    yh = net.define("y_hat", (i,), gl.sigmoid(z[i]))
    terms = y[i] * sympy.log(yh[i]) + (1 - y[i]) * sympy.log(1 - yh[i])
    net.minimize(-gl.Sum(terms, i) / N, name="J")
    return net


@network
def many_labels():
    """Bits for several labels, from logits: the sum of their cross-entropies."""
    net = gl.Network("many_labels")
    x, y = net.input("x", (B, n)), net.target("y", (B, c))
    W = net.parameter("W", (c, n))
    z = net.define("z", (i, j), gl.Sum(W[j, k] * x[i, k], k), latex=r"\ell")
    body = y[i, j] * sympy.log(gl.sigmoid(z[i, j])) + (1 - y[i, j]) * sympy.log(1 - gl.sigmoid(z[i, j]))
    net.minimize(-gl.Sum(body, i, j), latex=r"\mathcal L")
    return net


@network
def margins():
    """A linear classifier with the mean hinge loss, targets of -1 and 1."""
    net = gl.Network("margins")
    X, y, w = net.input("X", (N, d)), net.target("y", (N,)), net.parameter("w", (d,))
    f = net.define("f", (i,), gl.Sum(X[i, k] * w[k], k))
    net.minimize(gl.Sum(gl.relu(1 - y[i] * f[i]), i) / N)
    return net


@network
def huber():
    """Linear regression with Huber's loss, δ = 1, summed."""
    net = gl.Network("huber")
    X, y, w = net.input("X", (N, d)), net.target("y", (N,)), net.parameter("w", (d,))
    f = net.define("f", (i,), gl.Sum(X[i, k] * w[k], k))
    e = net.define("r", (i,), f[i] - y[i])
    small = sympy.Abs(e[i]) <= 1
    net.minimize(gl.Sum(sympy.Piecewise((e[i] ** 2 / 2, small), (sympy.Abs(e[i]) - sympy.Rational(1, 2), True)), i))
    return net


@network
def batch_norm():
    """Batch normalisation of one activation over a mini-batch of m, in the names of Ioffe and Szegedy."""
    net = gl.Network("batch_norm")
    x, w = net.input("x", (m,)), net.input("w", (m,))
    gamma, beta = net.parameter("gamma", ()), net.parameter("beta", ())
    eps = net.constant("eps", sympy.Rational(1, 1000), latex=r"\epsilon")
    mu = net.define("mu", (), gl.Sum(x[i], i) / m, latex=r"\mu_B")
    var = net.define("var", (), gl.Sum((x[i] - mu) ** 2, i) / m, latex=r"\sigma^2_B")
    xhat = net.define("x_hat", (i,), (x[i] - mu) / sympy.sqrt(var + eps))
    y = net.define("y", (i,), gamma * xhat[i] + beta)
    net.minimize(gl.Sum(w[i] * gl.tanh(y[i]), i), latex=r"\ell")
    return net


@network
def batch_norm_matrix():
    """Batch normalisation of (N, d), with the reciprocal r of the standard deviation."""
    net = gl.Network("batch_norm_matrix")
    x, w = net.input("x", (N, d)), net.input("w", (N, d))
    gamma, beta = net.parameter("gamma", (d,)), net.parameter("beta", (d,))
    eps = net.constant("eps", sympy.Rational(1, 1000), latex=r"\epsilon")
    mu = net.define("mu", (j,), gl.Sum(x[i, j], i) / N)
    var = net.define("var", (j,), gl.Sum((x[i, j] - mu[j]) ** 2, i) / N, latex=r"\sigma^2")
    r_ = net.define("r", (j,), 1 / sympy.sqrt(var[j] + eps))
    xhat = net.define("x_hat", (i, j), (x[i, j] - mu[j]) * r_[j])
    y = net.define("y", (i, j), gamma[j] * xhat[i, j] + beta[j])
    net.minimize(gl.Sum(w[i, j] * gl.tanh(y[i, j]), i, j))
    return net


@network
def layer_norm():
    """Layer normalisation of (B, d) with gain g and bias b (Ba, Kiros and Hinton 2016)."""
    net = gl.Network("layer_norm")
    x, w = net.input("x", (B, d)), net.input("w", (B, d))
    g, bias = net.parameter("g", (d,)), net.parameter("b", (d,))
    eps = net.constant("eps", sympy.Rational(1, 1000), latex=r"\epsilon")
    mu = net.define("mu", (i,), gl.Sum(x[i, j], j) / d)
    sd = net.define("s", (i,), sympy.sqrt(gl.Sum((x[i, j] - mu[i]) ** 2, j) / d + eps), latex=r"\sigma")
    xhat = net.define("x_hat", (i, j), (x[i, j] - mu[i]) / sd[i])
    y = net.define("y", (i, j), g[j] * xhat[i, j] + bias[j])
    net.minimize(gl.Sum(w[i, j] * gl.tanh(y[i, j]), i, j))
    return net


@network
def rms_norm():
    """RMS normalisation (Zhang and Sennrich 2019)."""
    net = gl.Network("rms_norm")
    x, w, g = net.input("x", (B, d)), net.input("w", (B, d)), net.parameter("g", (d,))
    eps = net.constant("eps", sympy.Rational(1, 1000), latex=r"\epsilon")
    rms = net.define("r", (i,), sympy.sqrt(gl.Sum(x[i, j] ** 2, j) / d + eps))
    y = net.define("y", (i, j), g[j] * x[i, j] / rms[i])
    net.minimize(gl.Sum(w[i, j] * gl.tanh(y[i, j]), i, j))
    return net


@network
def rnn():
    """The recurrent network of Goodfellow, Bengio and Courville, equations 10.8 to 10.11, one loss for each step."""
    C, S = gl.dims("C S")
    net = gl.Network("rnn")
    x, y = net.input("x", (B, T, n)), net.target("y", (B, T, C), one_hot=True)
    U, W, V = net.parameter("U", (S, n)), net.parameter("W", (S, S)), net.parameter("V", (C, S))
    bias, cias = net.parameter("b", (S,)), net.parameter("c", (C,))
    H = net.sequence("h", (B, T, S))
    before = gl.Sum(W[i, k] * gl.padded(H[e, t - 1, k]), (k, S))
    a = net.define("a", (e, t, i), bias[i] + before + gl.Sum(U[i, k] * x[e, t, k], k))
    H = net.define("h", (e, t, i), gl.tanh(a[e, t, i]))
    o = net.define("o", (e, t, j), cias[j] + gl.Sum(V[j, i] * H[e, t, i], i))
    p_ = net.define("p", (e, t, j), gl.softmax(o[e, t, j], j), latex=r"\hat y")
    net.minimize(-gl.Sum(y[e, t, j] * sympy.log(p_[e, t, j]), e, t, j))
    return net


@network
def lstm():
    """A vanilla LSTM with peepholes (Greff et al. 2017), the output weighed at each step."""
    return _lstm("lstm", peepholes=True)


@network
def lstm_plain():
    """The same without peepholes, one example at a time."""
    return _lstm("lstm_plain", peepholes=False)


def _lstm(name, peepholes):
    net = gl.Network(name)
    x, w = net.input("x", (B, T, n)), net.input("w", (B, T, h))
    y, cell = net.sequence("y", (B, T, h)), net.sequence("c", (B, T, h))

    def gate(letter, function, after=None):
        W = net.parameter(f"W_{letter}", (h, n))
        R = net.parameter(f"R_{letter}", (h, h))
        bias = net.parameter(f"b_{letter}", (h,))
        body = gl.Sum(W[i, k] * x[e, t, k], k) + gl.Sum(R[i, k] * gl.padded(y[e, t - 1, k]), (k, h)) + bias[i]
        if peepholes and letter != "z":
            peep = net.parameter(f"p_{letter}", (h,))
            body += peep[i] * (gl.padded(cell[e, t - 1, i]) if after is None else after[e, t, i])
        bar = net.define(f"{letter}_bar", (e, t, i), body)
        return net.define(letter, (e, t, i), function(bar[e, t, i]))

    z, gi, gf = gate("z", gl.tanh), gate("i", gl.sigmoid), gate("f", gl.sigmoid)
    cell = net.define("c", (e, t, i), z[e, t, i] * gi[e, t, i] + gl.padded(cell[e, t - 1, i]) * gf[e, t, i])
    o = gate("o", gl.sigmoid, cell)
    y = net.define("y", (e, t, i), gl.tanh(cell[e, t, i]) * o[e, t, i])
    net.minimize(gl.Sum(w[e, t, i] * y[e, t, i] ** 2, e, t, i))
    return net


@network
def lstm_cell():
    """One step of an LSTM with the loss behind it, in the names of the exercise of Coursera's sequence models."""
    net = gl.Network("lstm_cell")
    x, w, w2 = net.input("x", (B, n)), net.input("w", (B, h)), net.input("w2", (B, h), latex="v")
    a0, c0 = net.input("a0", (B, h), latex="a_{prev}"), net.input("c0", (B, h), latex="c_{prev}")

    def gate(letter, function, latex):
        W = net.parameter(f"W{letter}", (h, n), latex=f"W_{letter}")
        R = net.parameter(f"R{letter}", (h, h), latex=f"R_{letter}")
        bias = net.parameter(f"b{letter}", (h,), latex=f"b_{letter}")
        z = net.define(f"z{letter}", (e, i), gl.Sum(W[i, k] * x[e, k], k) + gl.Sum(R[i, k] * a0[e, k], k) + bias[i])
        return net.define(f"g{letter}", (e, i), function(z[e, i]), latex=latex)

    f, g_u = gate("f", gl.sigmoid, r"\Gamma_f"), gate("u", gl.sigmoid, r"\Gamma_u")
    cc, o = gate("c", gl.tanh, r"\tilde c"), gate("o", gl.sigmoid, r"\Gamma_o")
    cell = net.define("cn", (e, i), f[e, i] * c0[e, i] + g_u[e, i] * cc[e, i], latex="c")
    a = net.define("an", (e, i), o[e, i] * gl.tanh(cell[e, i]), latex="a")
    net.minimize(gl.Sum(w[e, i] * a[e, i] ** 2 + w2[e, i] * cell[e, i] ** 3, e, i))
    return net


@network
def gru():
    """A gated recurrent unit, the reset gate in front of the matrix (Cho et al. 2014)."""
    S = gl.dims("S")
    net = gl.Network("gru")
    x, w = net.input("x", (B, T, n)), net.input("w", (B, T, S))
    H = net.sequence("h", (B, T, S))

    def affine(letter, state):
        W, U = net.parameter(f"W_{letter}", (S, n)), net.parameter(f"U_{letter}", (S, S))
        return gl.Sum(W[i, k] * x[e, t, k], k) + gl.Sum(U[i, k] * state(k), (k, S))

    def before(at):
        return gl.padded(H[e, t - 1, at])

    az = net.define("a_z", (e, t, i), affine("z", before))
    z = net.define("z", (e, t, i), gl.sigmoid(az[e, t, i]))
    ar = net.define("a_r", (e, t, i), affine("r", before))
    rr = net.define("r", (e, t, i), gl.sigmoid(ar[e, t, i]))
    ah = net.define("a_h", (e, t, i), affine("h", lambda at: rr[e, t, at] * before(at)))
    ht = net.define("h_tilde", (e, t, i), gl.tanh(ah[e, t, i]))
    H = net.define("h", (e, t, i), z[e, t, i] * before(i) + (1 - z[e, t, i]) * ht[e, t, i])
    net.minimize(gl.Sum(w[e, t, i] * H[e, t, i] ** 2, e, t, i))
    return net


@network
def attention():
    """Attention of one head without a scale, in the names of FlashAttention: rows are positions."""
    net = gl.Network("attention")
    Q, Kk, V = (net.parameter(name, (N, d)) for name in "QKV")
    w = net.input("w", (N, d))
    S = net.define("S", (i, j), gl.Sum(Q[i, k] * Kk[j, k], k))
    Pp = net.define("P", (i, j), gl.softmax(S[i, j], j))
    O = net.define("O", (i, k), gl.Sum(Pp[i, j] * V[j, k], j))
    net.minimize(gl.Sum(w[i, k] * O[i, k] ** 2, i, k))
    return net


@network
def cross_attention():
    """Scaled attention of q queries to N keys, values of another width."""
    net = gl.Network("cross_attention")
    Q, Kk, V = net.parameter("Q", (q, d)), net.parameter("K", (N, d)), net.parameter("V", (N, c))
    w = net.input("w", (q, c))
    S = net.define("S", (i, j), gl.Sum(Q[i, k] * Kk[j, k], k) / sympy.sqrt(d))
    A = net.define("A", (i, j), gl.softmax(S[i, j], j))
    O = net.define("O", (i, k), gl.Sum(A[i, j] * V[j, k], j))
    net.minimize(gl.Sum(w[i, k] * O[i, k] ** 2, i, k))
    return net


@network
def conv1d():
    """A valid cross-correlation of a signal with a kernel, one channel."""
    net = gl.Network("conv1d")
    x, w, wt = net.parameter("x", (P,)), net.parameter("w", (K,)), net.input("v", (P - K + 1,))
    y = net.define("y", (p,), gl.Sum(w[k] * x[p + k], k), shape=(P - K + 1,))
    net.minimize(gl.Sum(wt[p] * gl.tanh(y[p]), p))
    return net


@network
def conv2d():
    """A valid cross-correlation in two dimensions with channels, batch first."""
    H, W = gl.dims("H W")
    net = gl.Network("conv2d")
    x = net.input("x", (B, d, H, W))
    w, bias = net.parameter("w", (c, d, K, K)), net.parameter("b", (c,))
    wt = net.input("v", (B, c, H - K + 1, W - K + 1))
    body = gl.Sum(w[j, l, u, v] * x[i, l, r + u, s + v], l, u, v) + bias[j]
    y = net.define("y", (i, j, r, s), body, shape=(B, c, H - K + 1, W - K + 1))
    net.minimize(gl.Sum(wt[i, j, r, s] * gl.tanh(y[i, j, r, s]), i, j, r, s))
    return net


@network
def pooling():
    """Average and maximal pooling over windows of 2 without overlap."""
    M = gl.dims("M")
    net = gl.Network("pooling")
    x, wa, wm = net.parameter("x", (2 * M,)), net.parameter("v", (M,)), net.parameter("w", (M,))
    a = net.define("a", (p,), (x[2 * p] + x[2 * p + 1]) / 2, shape=(M,))
    y = net.define("y", (p,), gl.Max(x[2 * p + k], (k, 2)), shape=(M,))
    net.minimize(gl.Sum(wa[p] * a[p] ** 2, p) + gl.Sum(wm[p] * y[p] ** 2, p))
    return net


@network
def residual():
    """A residual block, y = x + W₂ relu(W₁ x)."""
    net = gl.Network("residual")
    x, w = net.input("x", (B, n)), net.input("w", (B, n))
    W1, W2 = net.parameter("W1", (m, n), latex="W_1"), net.parameter("W2", (n, m), latex="W_2")
    z = net.define("z", (i, j), gl.Sum(W1[j, k] * x[i, k], k))
    a = net.define("a", (i, j), gl.relu(z[i, j]))
    f = net.define("f", (i, k), gl.Sum(W2[k, j] * a[i, j], j), latex="F")
    y = net.define("y", (i, k), x[i, k] + f[i, k])
    net.minimize(gl.Sum(w[i, k] * gl.tanh(y[i, k]), i, k))
    return net


@network
def functions():
    """Activations of one vector, side by side."""
    net = gl.Network("functions")
    x = net.parameter("x", (n,))
    made = {
        "s": gl.sigmoid, "t": gl.tanh, "g": gl.gelu, "f": gl.silu, "z": gl.softplus, "r": gl.relu, "u": gl.elu,
        "a": gl.gelu_tanh,
    }  # fmt: skip
    outputs = [net.define(name, (i,), function(x[i])) for name, function in made.items()]
    p_ = net.define("p", (i,), gl.softmax(x[i], i))
    lse = net.define("lse", (), sympy.log(gl.Sum(sympy.exp(x[i]), i)))
    net.minimize(gl.Sum(sum(y[i] ** 2 for y in (*outputs, p_)), i) + lse)
    return net


@network
def rbm():
    """The mean free energy of a restricted Boltzmann machine, of data and of a chain's samples."""
    net = gl.Network("rbm")
    data, model = net.input("v", (B, n)), net.input("u", (B, n), latex=r"\tilde v")
    W, bias, cias = net.parameter("W", (m, n)), net.parameter("b", (n,)), net.parameter("c", (m,))
    energies = {}
    for name, x, sign in (("f", data, 1), ("g", model, -1)):
        z = net.define(f"z_{name}", (i, j), cias[j] + gl.Sum(W[j, k] * x[i, k], k))
        energies[name] = sign * (-gl.Sum(bias[k] * x[i, k], i, k) - gl.Sum(gl.softplus(z[i, j]), i, j)) / B
    net.minimize(energies["f"] + energies["g"])
    return net


@network
def traces():
    """Scalars of a matrix, for the rules of matrix calculus."""
    net = gl.Network("traces")
    X, A, D = net.parameter("X", (n, m)), net.parameter("A", (c, n)), net.parameter("B", (m, c))
    M, x, a = net.parameter("M", (n, n)), net.parameter("x", (n,)), net.parameter("a", (n,))
    bb = net.parameter("b", (m,))
    one = net.define("f", (), gl.Sum(A[r, i] * X[i, j] * D[j, r], i, j, r))
    two = net.define("g", (), gl.Sum(X[i, j] * M[i, k] * X[k, j], i, j, (k, n)))
    three = net.define("h", (), gl.Sum(x[i] * M[i, k] * x[k], i, (k, n)))
    four = net.define("q", (), gl.Sum(a[i] * X[i, j] * bb[j], i, j))
    five = net.define("s", (), gl.Sum(X[i, j] ** 2, i, j))
    net.minimize(one + two + three + four + five)
    return net


@network
def ufldl():
    """The three layers of UFLDL's tutorial: the input is layer 1, so W^{(l)} leads from layer l to l + 1."""
    net = gl.Network("ufldl")
    x, y = net.input("x", (B, n), latex="a^{(1)}"), net.target("y", (B, c))
    W1, b1 = net.parameter("W1", (m, n)), net.parameter("b1", (m,))
    W2, b2 = net.parameter("W2", (c, m)), net.parameter("b2", (c,))
    lam = net.constant("lam", sympy.Rational(1, 1000))
    z2 = net.define("z2", (i, j), gl.Sum(W1[j, k] * x[i, k], k) + b1[j])
    a2 = net.define("a2", (i, j), gl.sigmoid(z2[i, j]))
    z3 = net.define("z3", (i, l), gl.Sum(W2[l, j] * a2[i, j], j) + b2[l])
    a3 = net.define("a3", (i, l), gl.sigmoid(z3[i, l]))
    decay = lam / 2 * (gl.Sum(W1[j, k] ** 2, j, k) + gl.Sum(W2[l, j] ** 2, l, j))
    net.minimize(gl.Sum((a3[i, l] - y[i, l]) ** 2, i, l) / (2 * B) + decay, name="J")
    return net
