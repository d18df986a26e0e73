"""How `gradloom check` decides: right and wrong claims about small networks, written by hand.

Each claim has the kind that a person would give it; the evaluator on grids is held against the reference interpreter.
"""

import dataclasses
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sympy import Abs, Piecewise, Rational, exp, log, pi, sqrt, tanh

import gradloom as gl
from gradloom.symbolic.claims.deciding.counterexample import counterexample
from gradloom.symbolic.claims.deciding.decide import decide
from gradloom.symbolic.claims.deciding.everything import everything
from gradloom.symbolic.claims.deciding.numbers import FRACTIONS, with_digits
from gradloom.symbolic.claims.deciding.point import Point, draw_point
from gradloom.symbolic.claims.deciding.question import Question
from gradloom.symbolic.tensors import Adjoint

sys.path.insert(0, str(Path(__file__).parent.parent / "docs" / "gallery"))

import networks

B, T, n, m, h = gl.dims("B T n m h")
b, i, j, k, l, t, u = gl.indices("b i j k l t u")
Sum = gl.Sum


class Named:
    """The tensors of a network by name, and their adjoints as ``d_name``."""

    def __init__(self, net):
        self.net, self.derivation = net, everything(net)

    def __getattr__(self, name):
        if name.startswith("d_"):
            return Adjoint(self.net.tensors[name[2:]], self.net.loss)
        return self.net.tensors[name]

    def ask(self, left, right, *indices, **options):
        return Question(self.derivation, left, gl.symbolic.binders.from_user(right), indices, **options)


@cache
def named(make):
    return Named(make())


def mlp():
    net = gl.Network("mlp")
    x, y = net.input("x", (B, n)), net.target("y", (B, m))
    w1, b1, w2, b2 = (net.parameter(*given) for given in (("W1", (h, n)), ("b1", (h,)), ("W2", (m, h)), ("b2", (m,))))
    z1 = net.define("z1", (i, j), Sum(w1[j, k] * x[i, k], k) + b1[j])
    a1 = net.define("a1", (i, j), gl.sigmoid(z1[i, j]))
    z2 = net.define("z2", (i, j), Sum(w2[j, k] * a1[i, k], k) + b2[j])
    a2 = net.define("a2", (i, j), gl.sigmoid(z2[i, j]))
    net.minimize(Sum((a2[i, j] - y[i, j]) ** 2, i, j) / (2 * B))
    return net


def one_hot(declared=True):
    net = gl.Network("classifier")
    x, y, w = net.input("x", (B, n)), net.target("y", (B, m), one_hot=declared), net.parameter("W", (m, n))
    z = net.define("z", (i, j), Sum(w[j, k] * x[i, k], k))
    p = net.define("p", (i, j), gl.softmax(z[i, j], j))
    net.minimize(-Sum(y[i, j] * log(p[i, j]), i, j) / B)
    return net


def plain_targets():
    return one_hot(False)


def relu():
    net = gl.Network("relu")
    x, y = net.input("x", (B, n)), net.target("y", (B, m))
    w1, w2 = net.parameter("W1", (h, n)), net.parameter("W2", (m, h))
    z1 = net.define("z1", (i, j), Sum(w1[j, k] * x[i, k], k))
    a1 = net.define("a1", (i, j), gl.relu(z1[i, j]))
    z2 = net.define("z2", (i, j), Sum(w2[j, k] * a1[i, k], k))
    net.minimize(Sum((z2[i, j] - y[i, j]) ** 2, i, j) / (2 * B))
    return net


def dead():
    """No unit is ever on: everything but y is 0."""
    net = gl.Network("dead")
    x, y, w = net.input("x", (B, n)), net.target("y", (B,)), net.parameter("w", (n,))
    z = net.define("z", (i,), -1 - Sum((w[k] * x[i, k]) ** 2, k))
    a = net.define("a", (i,), gl.relu(z[i]))
    net.minimize(Sum((a[i] - y[i]) ** 2, i) / (2 * B))
    return net


def clipped():
    """A branch that random values do not meet."""
    net = gl.Network("clipped")
    x, w, c = net.input("x", (B, n)), net.parameter("w", (n,)), net.constant("c", 10**9)
    z = net.define("z", (i,), Sum(w[k] * x[i, k], k))
    a = net.define("a", (i,), Piecewise((tanh(z[i]), z[i] < c), (z[i], True)))
    net.minimize(Sum(a[i] ** 2, i) / (2 * B))
    return net


def batch_norm():
    """By equations: mean, variance, x̂, and a loss that is no square, so that nothing cancels by accident."""
    net = gl.Network("batch_norm")
    x, y = net.input("x", (B, n)), net.target("y", (B, n))
    gamma, beta = net.parameter("gamma", (n,)), net.parameter("beta", (n,))
    eps = net.constant("eps", Rational(1, 10**5))
    mu = net.define("mu", (j,), Sum(x[i, j], i) / B)
    v = net.define("v", (j,), Sum((x[i, j] - mu[j]) ** 2, i) / B)
    r = net.define("r", (j,), 1 / sqrt(v[j] + eps))
    hat = net.define("hat", (i, j), (x[i, j] - mu[j]) * r[j])
    out = net.define("o", (i, j), gamma[j] * hat[i, j] + beta[j])
    net.minimize(Sum(tanh(out[i, j]) * y[i, j], i, j))
    return net


def gelu():
    net = gl.Network("gelu")
    x, y = net.input("x", (B,)), net.target("y", (B,))
    a = net.define("a", (i,), gl.gelu_tanh(x[i]))
    net.minimize(Sum(a[i] * y[i], i))
    return net


def convolution():
    net = gl.Network("convolution")
    x, y, w = net.input("x", (B, n)), net.target("y", (B, n - 2)), net.parameter("w", (3,))
    z = net.define("z", (i, j), Sum(w[k] * x[i, j + k], k), shape=(B, n - 2))
    net.minimize(Sum(tanh(z[i, j]) * y[i, j], i, j) / B)
    return net


def log_loss():
    net = gl.Network("log_loss")
    x, y, w = net.input("x", (B, n)), net.target("y", (B,)), net.parameter("w", (n,))
    z = net.define("z", i, Sum(w[k] * x[i, k], k))
    a = net.define("a", i, gl.sigmoid(z[i]))
    net.minimize(-Sum(y[i] * log(a[i]) + (1 - y[i]) * log(1 - a[i]), i) / B)
    return net


def claims():
    def add(kind, title, make, *ask, **options):
        found.append(pytest.param(kind, make, ask, options, id=f"{make.__name__}-{title}"))

    found = []
    s = named(mlp)

    def d2(at, s=s):
        return (s.a2[at, j] - s.y[at, j]) * s.a2[at, j] * (1 - s.a2[at, j]) / B

    w2 = (s.d_W2[j, k],)
    of_w2 = ((j, m), (k, h))
    add("equal", "dW", mlp, *w2, Sum(s.d_z2[i, j] * s.a1[i, k], i), *of_w2)
    add("equal", "dW in full", mlp, *w2, Sum(d2(i) * s.a1[i, k], i), *of_w2)
    add(
        "equal",
        "dW by exponentials",
        mlp,
        *w2,
        Sum((s.a2[i, j] - s.y[i, j]) * exp(-s.z2[i, j]) / (1 + exp(-s.z2[i, j])) ** 2 * s.a1[i, k], i) / B,
        *of_w2,
    )
    add(
        "equal",
        "δ by tanh",
        mlp,
        s.d_z1[i, j],
        Sum(s.W2[k, j] * s.d_z2[i, k], k) * (1 - tanh(s.z1[i, j] / 2) ** 2) / 4,
        (i, B),
        (j, h),
    )
    add("equal", "loss", mlp, s.L, Sum(s.a2[i, j] ** 2 - 2 * s.a2[i, j] * s.y[i, j] + s.y[i, j] ** 2, i, j) / B / 2)
    add("not equal", "sign", mlp, *w2, -Sum(s.d_z2[i, j] * s.a1[i, k], i), *of_w2)
    add("not equal", "factor 2", mlp, *w2, 2 * Sum(s.d_z2[i, j] * s.a1[i, k], i), *of_w2)
    add("not equal", "a small factor", mlp, *w2, (1 + Rational(1, 10**9)) * Sum(s.d_z2[i, j] * s.a1[i, k], i), *of_w2)
    add(
        "batch 1",
        "1/B missing",
        mlp,
        *w2,
        Sum((s.a2[i, j] - s.y[i, j]) * s.a2[i, j] * (1 - s.a2[i, j]) * s.a1[i, k], i),
        *of_w2,
    )
    add("batch 1", "1/3 at a batch of 3", mlp, *w2, B / 3 * Sum(s.d_z2[i, j] * s.a1[i, k], i) * 3 / B**2, *of_w2)
    add("not equal", "a number for B", mlp, *w2, B / 3 * Sum(s.d_z2[i, j] * s.a1[i, k], i), *of_w2)
    add(
        "equal",
        "for one example",
        mlp,
        *w2,
        Sum((s.a2[i, j] - s.y[i, j]) * s.a2[i, j] * (1 - s.a2[i, j]) * s.a1[i, k], i),
        *of_w2,
        example=True,
    )
    add("not equal", "σ′ missing", mlp, s.d_z1[i, j], Sum(s.W2[k, j] * s.d_z2[i, k], k), (i, B), (j, h))
    add(
        "not equal",
        "σ′ at a",
        mlp,
        s.d_z1[i, j],
        Sum(s.W2[k, j] * s.d_z2[i, k], k) * gl.sigmoid(s.a1[i, j]) * (1 - gl.sigmoid(s.a1[i, j])),
        (i, B),
        (j, h),
    )
    add(
        "not equal",
        "rounded, but not declared so",
        mlp,
        s.d_b2[j] / 3,
        Rational(3333333, 10**7) * Sum(s.d_z2[i, j], i),
        (j, m),
    )
    add(
        "rounded",
        "seven digits",
        mlp,
        s.d_b2[j] / 3,
        Rational(3333333, 10**7) * Sum(s.d_z2[i, j], i),
        (j, m),
        rounded=True,
    )
    add(
        "not equal",
        "more than rounding",
        mlp,
        s.d_b2[j] / 3,
        Rational(3333333, 10**7) * Sum(s.d_z2[i, j] + s.z2[i, j] / 10**5, i),
        (j, m),
        rounded=True,
    )

    s = named(one_hot)
    p_y = (s.p[i, j] - s.y[i, j]) / B
    add("equal", "p - y", one_hot, s.d_z[i, j], p_y, (i, B), (j, m))
    add("equal", "p - y, weights", one_hot, s.d_W[j, k], Sum(p_y * s.x[i, k], i), (j, m), (k, n))
    add("equal", "general form", one_hot, s.d_z[i, j], (s.p[i, j] * Sum(s.y[i, k], k) - s.y[i, j]) / B, (i, B), (j, m))
    add(
        "equal",
        "log of the sum",
        one_hot,
        s.L,
        Sum(log(Sum(exp(s.z[i, k]), k)), i) / B - Sum(s.y[i, k] * s.z[i, k], i, k) / B,
    )
    add("equal", "y² = y", one_hot, s.d_z[i, j], (s.p[i, j] - s.y[i, j] ** 2) / B, (i, B), (j, m))
    add("not equal", "y - p", one_hot, s.d_z[i, j], -p_y, (i, B), (j, m))
    add("not equal", "transposed", one_hot, s.d_z[i, j], (s.p[i, j] ** 2 - s.y[i, j]) / B, (i, B), (j, m))
    s = named(plain_targets)
    p_y = (s.p[i, j] - s.y[i, j]) / B
    add("not equal", "p - y", plain_targets, s.d_z[i, j], p_y, (i, B), (j, m))
    add(
        "equal",
        "general form",
        plain_targets,
        s.d_z[i, j],
        (s.p[i, j] * Sum(s.y[i, k], k) - s.y[i, j]) / B,
        (i, B),
        (j, m),
    )
    add(
        "equal",
        "Σp = 1",
        plain_targets,
        s.d_z[i, j],
        (s.p[i, j] * Sum(s.y[i, k], k) - s.y[i, j] * Sum(s.p[i, k], k)) / B,
        (i, B),
        (j, m),
    )

    s = named(relu)
    on = Piecewise((1, s.z1[i, j] > 0), (0, True))
    back = Sum(s.W2[k, j] * s.d_z2[i, k], k)
    add("equal", "mask", relu, s.d_z1[i, j], back * on, (i, B), (j, h))
    add("equal", "at a", relu, s.d_z1[i, j], back * Piecewise((1, s.a1[i, j] > 0), (0, True)), (i, B), (j, h))
    add("equal", "half a sign", relu, s.a1[i, j], (s.z1[i, j] + Abs(s.z1[i, j])) / 2, (i, B), (j, h))
    add("not equal", "the other branch", relu, s.d_z1[i, j], back * (1 - on), (i, B), (j, h))
    add("not equal", "no mask", relu, s.d_z1[i, j], back, (i, B), (j, h))
    add(
        "not equal",
        "a leak",
        relu,
        s.d_z1[i, j],
        back * Piecewise((1, s.z1[i, j] > 0), (Rational(1, 100), True)),
        (i, B),
        (j, h),
    )

    s = named(dead)
    add("undecided", "0 = 0", dead, s.d_w[k], Sum(s.a[i] * s.x[i, k] * s.w[k], i), (k, n))
    add("not equal", "what is not 0", dead, s.d_a[i], s.y[i] / B, (i, B))
    s = named(clipped)

    def slope(beyond, s=s):
        return Piecewise((1 - s.a[i] ** 2, s.z[i] < s.c), (beyond, True))

    add("equal", "both branches", clipped, s.d_z[i], s.d_a[i] * slope(1), (i, B))
    add("undecided", "a branch that is not met", clipped, s.d_z[i], s.d_a[i] * slope(7), (i, B))

    s = named(batch_norm)

    def d_hat(at, s=s):
        return s.d_o[at, j] * s.gamma[j]

    add(
        "equal",
        "dx",
        batch_norm,
        s.d_x[i, j],
        s.gamma[j]
        * s.r[j]
        / B
        * (B * s.d_o[i, j] - Sum(s.d_o[k, j], k) - s.hat[i, j] * Sum(s.d_o[k, j] * s.hat[k, j], k)),
        (i, B),
        (j, n),
    )
    add("equal", "dγ", batch_norm, s.d_gamma[j], Sum(s.d_o[i, j] * s.hat[i, j], i), (j, n))
    add("equal", "dσ²", batch_norm, s.d_v[j], -Sum(d_hat(i) * (s.x[i, j] - s.mu[j]), i) * s.r[j] ** 3 / 2, (j, n))
    add(
        "not equal",
        "dσ² without γ",
        batch_norm,
        s.d_v[j],
        -Sum(s.d_o[i, j] * (s.x[i, j] - s.mu[j]), i) * s.r[j] ** 3 / 2,
        (j, n),
    )
    add(
        "not equal",
        "dσ² without ε",
        batch_norm,
        s.d_v[j],
        -Sum(d_hat(i) * (s.x[i, j] - s.mu[j]), i) * s.v[j] ** Rational(-3, 2) / 2,
        (j, n),
    )
    add(
        "not equal",
        "ε is no rounding",
        batch_norm,
        s.d_v[j],
        -Rational(49999, 10**5) * Sum(d_hat(i) * (s.x[i, j] - s.mu[j]), i) * s.v[j] ** Rational(-3, 2),
        (j, n),
        rounded=True,
    )
    add("equal", "dμ without the term of the variance", batch_norm, s.d_mu[j], -Sum(d_hat(i), i) * s.r[j], (j, n))
    add("equal", "Σ(x - μ) = 0", batch_norm, Sum(s.x[i, j] - s.mu[j], i), 0, (j, n))
    add("not equal", "dx with the mean held", batch_norm, s.d_x[i, j], d_hat(i) * s.r[j], (i, B), (j, n))

    s = named(gelu)

    def derivative(root, cubic):
        inner = tanh(root * (s.x[i] + cubic * s.x[i] ** 3))
        return s.y[i] * ((1 + inner) / 2 + s.x[i] / 2 * (1 - inner**2) * root * (1 + 3 * cubic * s.x[i] ** 2))

    add("equal", "exact", gelu, s.d_x[i], derivative(sqrt(2 / pi), Rational(44715, 10**6)), (i, B))
    add(
        "rounded",
        "constants",
        gelu,
        s.d_x[i],
        derivative(Rational(797885, 10**6), Rational(44715, 10**6)),
        (i, B),
        rounded=True,
    )
    add(
        "not equal",
        "a wrong digit",
        gelu,
        s.d_x[i],
        derivative(Rational(797895, 10**6), Rational(44715, 10**6)),
        (i, B),
        rounded=True,
    )
    add(
        "not equal",
        "too coarse",
        gelu,
        s.d_x[i],
        derivative(Rational(4, 5), Rational(44715, 10**6)),
        (i, B),
        rounded=True,
    )
    add(
        "not equal",
        "factor 3 missing",
        gelu,
        s.d_x[i],
        derivative(Rational(797885, 10**6), Rational(44715, 3 * 10**6)),
        (i, B),
        rounded=True,
    )

    s = named(convolution)

    def padded(place, s=s):
        return gl.padded(s.d_z[i, place])

    add("equal", "dw", convolution, s.d_w[k], Sum(s.d_z[i, j] * s.x[i, j + k], i, j), (k, 3))
    add("equal", "dx, turned", convolution, s.d_x[i, l], Sum(s.w[k] * padded(l - k), k), (i, B), (l, n))
    add(
        "not equal", "dx, not turned", convolution, s.d_x[i, l], Sum(s.w[2 - k] * padded(l - k), (k, 3)), (i, B), (l, n)
    )
    add("not equal", "dx, correlated", convolution, s.d_x[i, l], Sum(s.w[k] * padded(l - 2 + k), k), (i, B), (l, n))

    s = named(log_loss)
    add("equal", "a - y", log_loss, s.d_z[i], (s.a[i] - s.y[i]) / B, (i, B))
    add(
        "not equal", "a bracket lost", log_loss, s.L, Sum(-s.y[i] * log(s.a[i]) + (1 - s.y[i]) * log(1 - s.a[i]), i) / B
    )
    add("not equal", "no value anywhere", log_loss, s.d_z[i], log(-s.a[i]), (i, B))

    s = named(networks.rnn)
    time, extent = gl.indices("t"), networks.T
    nB, nm = networks.B, networks.m
    later = gl.inside(time + 1, extent) * Sum(s.U[k, j] * s.d_z[i, time + 1, k], k)
    at_h = (s.h[i, time, j] - s.y[i, time, j]) / nB
    of_h = ((i, nB), (time, extent), (j, nm))
    add("equal", "through time", networks.rnn, s.d_h[i, time, j], at_h + later, *of_h)
    add("equal", "through tanh", networks.rnn, s.d_z[i, time, j], (at_h + later) * (1 - s.h[i, time, j] ** 2), *of_h)
    add(
        "equal",
        "dU",
        networks.rnn,
        s.d_U[j, k],
        Sum(s.d_z[i, time, j] * gl.padded(s.h[i, time - 1, k]), i, (time, extent)),
        (j, nm),
        (k, nm),
    )
    add("not equal", "immediate alone", networks.rnn, s.d_h[i, time, j], at_h, *of_h)
    add(
        "not equal",
        "dU at the same step",
        networks.rnn,
        s.d_U[j, k],
        Sum(s.d_z[i, time, j] * s.h[i, time, k], i, time),
        (j, nm),
        (k, nm),
    )
    add(
        "not equal",
        "U not transposed",
        networks.rnn,
        s.d_h[i, time, j],
        at_h + gl.inside(time + 1, extent) * Sum(s.U[j, k] * s.d_z[i, time + 1, k], k),
        *of_h,
    )

    s = named(networks.lstm)
    after = gl.inside(time + 1, extent) * s.d_c1[i, time + 1, j] * s.f1[i, time + 1, j]
    d_c = s.d_h1[i, time, j] * s.o1[i, time, j] * (1 - tanh(s.c1[i, time, j]) ** 2)
    of_c = ((i, B), (time, extent), (j, nm))
    add("equal", "dc", networks.lstm, s.d_c1[i, time, j], d_c + after, *of_c)
    add("not equal", "dc of this step", networks.lstm, s.d_c1[i, time, j], d_c, *of_c)
    add(
        "not equal",
        "tanh of tanh",
        networks.lstm,
        s.d_c1[i, time, j],
        s.d_h1[i, time, j] * s.o1[i, time, j] * (1 - tanh(tanh(s.c1[i, time, j])) ** 2) + after,
        *of_c,
    )
    add(
        "equal",
        "dWi",
        networks.lstm,
        s.d_Wi1[j, k],
        Sum(s.d_c1[i, t, j] * s.g1[i, t, j] * s.i1[i, t, j] * (1 - s.i1[i, t, j]) * s.x[i, t, k], i, t),
        (j, nm),
        (k, networks.n),
    )

    s = named(networks.attention)
    H, D = networks.N, networks.D
    head, d = gl.indices("h d")
    of_s = ((b, B), (head, H), (t, networks.T), (u, networks.T))

    def d_p(at, s=s):
        return Sum(s.d_O[b, head, t, d] * s.V[b, head, at, d], d)

    rows = Sum(s.d_O[b, head, t, d] * s.O[b, head, t, d], d)
    P = s.P[b, head, t, u]
    of_k = ((b, B), (head, H), (u, networks.T), (d, D))
    add("equal", "dS by rowsum(dO∘O)", networks.attention, s.d_S[b, head, t, u], P * (d_p(u) - rows), *of_s)
    add(
        "equal",
        "dS by the Jacobian",
        networks.attention,
        s.d_S[b, head, t, u],
        P * (d_p(u) - Sum(d_p(k) * s.P[b, head, t, k], k)),
        *of_s,
    )
    add("not equal", "dS without the rows", networks.attention, s.d_S[b, head, t, u], P * d_p(u), *of_s)
    add(
        "equal",
        "dK",
        networks.attention,
        s.d_K[b, head, u, d],
        Sum(s.d_S[b, head, t, u] * s.Q[b, head, t, d], t) / sqrt(D),
        *of_k,
    )
    add(
        "not equal",
        "dK without the root",
        networks.attention,
        s.d_K[b, head, u, d],
        Sum(s.d_S[b, head, t, u] * s.Q[b, head, t, d], t),
        *of_k,
    )
    return found


@pytest.mark.parametrize(("kind", "make", "ask", "options"), claims())
def test_claims_are_of_the_kind_that_they_are(kind, make, ask, options):
    question = named(make).ask(*ask, **options)
    decision = decide(question)
    assert decision.kind == kind, decision
    assert decision.method or kind == "undecided"
    assert (decision.digits is not None) == (kind == "rounded")
    assert decide(question) == decision


WRONG = [claim for claim in claims() if claim.values[0] in ("not equal", "batch 1")]


@pytest.mark.parametrize(("kind", "make", "ask", "options"), WRONG)
def test_wrong_claims_have_counterexamples_of_small_numbers(kind, make, ask, options):
    question = named(make).ask(*ask, **options)
    found = counterexample(question)
    if "no real value" in decide(question).note:
        assert found is None
        return
    derivation = question.derivation
    point = Point(derivation, found.sizes, {})
    for name, value in found.values.items():
        point.put(derivation.network.tensors[name], value)
    left, right = (point.array(side, question.indices) for side in (question.left, question.right))
    np.testing.assert_allclose(left, found.left, rtol=1e-9)
    np.testing.assert_allclose(right, found.right, rtol=1e-9)
    gap = np.abs(left - right)
    assert gap[found.entry] == gap.max() > 0
    assert max(found.sizes.values(), default=0) <= 5
    given = [v for t in derivation.network.by_role("input", "parameter") if (v := found.values.get(t.name)) is not None]
    assert all(np.all(value * 100 == np.round(value * 100)) and np.all(np.abs(value) <= 3) for value in given)


FACTS = [
    ("p - y", one_hot, lambda s: (s.d_z[i, j], (s.p[i, j] - s.y[i, j]) / B, (i, B), (j, m)), ["y"]),
    (
        "p - y for the weights",
        one_hot,
        lambda s: (s.d_W[j, k], Sum((s.p[i, j] - s.y[i, j]) * s.x[i, k], i) / B, (j, m), (k, n)),
        ["y"],
    ),
    (
        "general form",
        one_hot,
        lambda s: (s.d_z[i, j], (s.p[i, j] * Sum(s.y[i, k], k) - s.y[i, j]) / B, (i, B), (j, m)),
        [],
    ),
    ("by δ", one_hot, lambda s: (s.d_W[j, k], Sum(s.d_z[i, j] * s.x[i, k], i), (j, m), (k, n)), []),
    ("the sum of p", one_hot, lambda s: (Sum(s.p[i, k], k), 1, (i, B)), ["p"]),
    ("the sum of y", one_hot, lambda s: (Sum(s.y[i, k], k), 1, (i, B)), ["y"]),
    ("the rows of δ", one_hot, lambda s: (Sum(s.d_z[i, k], k), 0, (i, B)), ["p"]),
    ("σ", mlp, lambda s: (s.d_b2[j], Sum(s.d_z2[i, j], i), (j, m)), []),
]


@pytest.mark.parametrize(("make", "ask", "tensors"), [pytest.param(*case[1:], id=case[0]) for case in FACTS])
def test_an_equality_names_the_facts_that_it_needs(make, ask, tensors):
    s = named(make)
    decision = decide(s.ask(*ask(s)))
    assert decision.kind == "equal", decision
    assert sorted(fact.tensor.name for fact in decision.facts) == tensors


GRIDS = [title for title in networks.GALLERY if title not in ("LeNet-5", "Transformer block", "Transposed convolution")]


@pytest.mark.parametrize("title", GRIDS)
def test_the_grid_computes_what_the_reference_interpreter_does(title):
    net = networks.GALLERY[title]()
    derivation = everything(net)
    point = draw_point(derivation, 1)
    given = {t.name: point[t.name] for t in net.tensors.values() if t.role != "value"}
    adjoints = [step.equation for step in derivation.steps.values()]
    expected = gl.evaluate([*net.equations, *adjoints], given, point.sizes)
    fine = Point(derivation, point.sizes, point.given, with_digits(40))
    for equation in [*net.equations, *adjoints]:
        value = expected[equation.target.name]
        scale = max(1e-3, np.abs(value).max())  # the bias before a batch norm has the gradient 0, but for rounding
        np.testing.assert_allclose(point.read(equation.target), value, rtol=1e-9, atol=1e-11 * scale)
        np.testing.assert_allclose(fine.read(equation.target).astype(float), value, rtol=1e-9, atol=1e-11 * scale)


@pytest.mark.parametrize("make", [relu, networks.residual, networks.convolution])
def test_fractions_are_exact(make):
    derivation = everything(make())
    point = draw_point(derivation, 2)
    exact, fine = (Point(derivation, point.sizes, point.given, kind) for kind in (FRACTIONS, with_digits(50)))
    for step in derivation.steps.values():
        values, near = exact.read(step.equation.target), fine.read(step.equation.target)
        for one, other in zip(values.flat, near.flat, strict=True):
            assert abs(other - other.context.mpf(one.numerator) / one.denominator) < 1e-45


def test_everything_has_the_adjoint_of_every_real_tensor_that_the_loss_needs():
    for make in (mlp, networks.lstm, networks.attention, networks.embedding):
        net = make()
        names = {t.name for t in net.tensors.values() if t.classes is None and t != net.loss}
        assert set(everything(net).steps) == names


def test_sizes_are_distinct_primes_and_long_enough():
    for make in (networks.lstm, networks.convolution, networks.attention):
        derivation = everything(make())
        for seed in range(5):
            sizes = draw_point(derivation, seed).sizes
            assert len(set(sizes.values())) == len(sizes)
            assert all(size in (2, 3, 5, 7, 11, 13) for size in sizes.values())
            assert sizes["B"] >= 3
            assert make is not networks.lstm or sizes["T"] >= 3
    assert draw_point(derivation, 0, batch=1).sizes["B"] == 1


def test_large_numbers_for_sizes_are_decided_in_time():
    layers = [gl.layers.Dense(16, gl.sigmoid), gl.layers.Dense(10, gl.sigmoid)]
    s = Named(gl.Sequential(layers, input_shape=(784,), loss=gl.losses.SquaredError()))
    right = Sum(s.d_z1[i, j] * s.x[i, k], i)
    asked = s.ask(s.d_W1[j, k], right, (j, s.W1.shape[0]), (k, s.W1.shape[1]))
    assert decide(asked).kind == "equal"
    assert decide(dataclasses.replace(asked, right=right + s.W1[j, k] / 10**4)).kind == "not equal"
