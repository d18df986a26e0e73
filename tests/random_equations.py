"""Random networks of odd equations, and the slope of the loss along random directions to check derivations with.

``random_equations(kind, seed)`` is a network and values of everything. The kinds:

- "normalised": exponentials (and the like) of sums of terms, divided by their sum; log-sum-exp; attention, each in one
  equation
- "places": positions with remainders, quotients and negative steps, padded or in cases, under sums and maxima
- "states": a recurrence whose state is made so

By hand, ``python tests/random_equations.py places 0 1000`` checks a thousand of them and prints what is wrong.
"""

from __future__ import annotations

import random
import signal
import sys

import kernels
import numpy as np
import sympy
from sympy import KroneckerDelta, Piecewise, Rational, exp, log, sqrt

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.symbolic.binders import rename_free
from gradloom.symbolic.dependence import sources
from gradloom.symbolic.evaluate import evaluate

NUMBERS = {"B": 3, "n": 2, "m": 5}
STEPS, TIMES = 7, 4  # sizes of axes that are not those of the data


class Grower:
    """Grows expressions over free indices, a dict of index → size."""

    def __init__(self, kind, seed):
        self.rng = random.Random(f"{kind} {seed}")
        self.kind, self.network, self.made = kind, gl.Network(kind), 0
        self.B, self.n, self.m = gl.dims("B n m")
        if self.rng.random() < 0.4:
            self.n, self.m = sympy.Integer(2), sympy.Integer(5)
        net, (B, n, m) = self.network, (self.B, self.n, self.m)
        self.data = [net.input("x", (B, m)), net.input("u", (B, n)), net.parameter("c", (m,))]
        self.data += [net.parameter("U", (m, m)), net.parameter("v", (n,)), net.parameter("M", (m, n))]
        self.data += [net.parameter("s")]
        self.labels = net.target("y", (B,), classes=m)
        self.defined = []

    def pick(self, *choices):
        """One of some (weight, function), called."""
        return self.rng.choices([make for _, make in choices], [weight for weight, _ in choices])[0]()

    def index(self):
        self.made += 1
        return gl.Index(f"{self.rng.choice('abcdefgpqr')}{self.made}")  # which comes first must not matter

    def number(self, size):
        return NUMBERS[size.name] if size.is_Symbol else int(size)

    def bound(self):
        other = [sympy.Integer(3), sympy.Integer(TIMES)] if self.kind == "places" else []
        return self.index(), self.rng.choice([self.m, self.m, self.n, self.B, *other])

    # ---- elements ------------------------------------------------------------------------------------------------

    def element(self, free, plain=True):
        """An element of a tensor, preferably one whose axes the free indices run over."""
        for _ in range(6):
            tensor = self.rng.choice([*self.data, *self.defined, *self.defined])
            if all(size in free.values() for size in tensor.shape):
                break
        return self.at(tensor, [self.place(size, free, plain) for size in tensor.shape])

    def along(self, index, size, free):
        """An element that `index` indexes."""
        tensor = self.rng.choice([tensor for tensor in self.data if size in tensor.shape])
        axis = self.rng.choice([axis for axis, found in enumerate(tensor.shape) if found == size])
        places = [self.place(found, free, True) for found in tensor.shape]
        return self.at(tensor, [*places[:axis], (index, False), *places[axis + 1 :]])

    def at(self, tensor, places):
        if not tensor.rank:
            return tensor
        element = tensor[tuple(place for place, _ in places)]
        return gl.padded(element) if any(leaves for _, leaves in places) else element

    def place(self, size, free, plain):
        """A position along an axis, and whether it may leave it."""
        same = [index for index, found in free.items() if found == size]
        if same and self.rng.random() < (0.93 if plain else 0.5):
            return self.rng.choice(same), False
        examples = [index for index, found in free.items() if found == self.B]
        if plain or not free or self.rng.random() < 0.2:
            if size == self.m and examples and self.rng.random() < 0.2:
                return self.labels[self.rng.choice(examples)], False
            return sympy.Integer(self.rng.randrange(2)), False
        i, k, shift = self.rng.choice(list(free)), self.rng.choice(list(free)), self.rng.randrange(-3, 4)
        sign, step, other = self.rng.choice([1, -1]), self.rng.choice([2, 3, -2]), self.rng.choice([2, 3, -1, -3])
        line = self.pick(
            (3, lambda: i + shift),
            (3, lambda: sign * i + self.rng.choice([1, -1, 2]) * k + shift),
            (1, lambda: step * i + shift),
            (1, lambda: step * i + other * k + shift),
            (0.7, lambda: free[k] * i + k),
            (0.5, lambda: i // 2 * 2 + k),
        )
        if sympy.sympify(line).is_Integer:
            return sympy.Integer(int(line) % 2), False
        return self.pick(
            (3, lambda: (line % size, False)),
            (1, lambda: (line // 2 % size, False)),
            (2, lambda: (line, True)),
            (1, lambda: (line // self.rng.choice([2, 3]), True)),
            (1, lambda: (line % self.rng.choice([2, 3, 4, 7, 8]), True)),
            (0.5, lambda: (line // 2 + k % 2, True)),
            (0.4, lambda: (line % 4 // 2, True)),
        )

    # ---- bodies --------------------------------------------------------------------------------------------------

    def normalised(self, free):
        """Exponentials of a sum of terms over their sum along one of the free indices."""
        i = self.rng.choice(list(free))
        size, rest = free[i], {index: found for index, found in free.items() if index != i}

        def product():
            k, length = self.index(), self.rng.choice([self.m, self.n])
            return gl.Sum(self.along(k, length, free) * self.along(k, length, free), (k, length))

        def largest():
            k, length = self.bound()
            return gl.Max(self.along(k, length, {**free, k: length}), (k, length))

        z = sum(
            self.pick(
                (4, lambda: self.along(i, size, free)),
                (2, product),
                (1, lambda: self.element(free)),
                (1, lambda: -self.element(free)),
                (1, lambda: self.element(free) * self.along(i, size, free)),
                (0.5, largest),
                (0.4, lambda: Rational(self.rng.choice([1, 2, -1]), self.rng.choice([1, 2, 3]))),
            )
            for _ in range(self.rng.choice([1, 2, 2, 3]))
        )
        scale = self.pick(
            (5, lambda: 1), (2, lambda: self.element(rest)), (1, lambda: 1 / (1 + self.element(rest) ** 2))
        )
        z = z * scale if z.has(i) else z * scale + self.along(i, size, free)
        f = self.pick(
            (5, lambda: exp(z)),
            (1, lambda: 2**z),
            (1, lambda: exp(-z)),
            (1, lambda: exp(2 * z)),
            (1, lambda: gl.sigmoid(z)),
            (1, lambda: exp(-(z**2) / 2)),
            (1, lambda: gl.softplus(z)),
            (1, lambda: exp(gl.tanh(z))),
            (1, lambda: 1 + exp(z)),
        )
        k = self.index()
        total, there, weight = gl.Sum(f, (i, size)), rename_free(f, {i: k}), self.along(k, size, free)
        return self.pick(
            (5, lambda: f / total),
            (1, lambda: f / (1 + total)),
            (1, lambda: z - log(total)),
            (1, lambda: gl.Sum(there * weight, (k, size)) / total),
            (1, lambda: gl.Sum(there / total * weight, (k, size))),
            (1, lambda: log(total)),
            (0.5, lambda: self.along(i, size, free) * f / total),
            (0.5, lambda: f / sqrt(gl.Sum(there**2, (k, size)))),
            (0.5, lambda: f / gl.Max(there, (k, size))),
            (0.5, lambda: (f / total) ** Rational(3, 2)),
            (0.5, lambda: 1 - f / total),
            (0.5, lambda: gl.tanh(log(f / total))),
            (0.5, lambda: f / total + self.element(free)),
            (0.5, lambda: f / total * self.element(free)),
        )

    def places(self, free):
        """Products of elements at odd positions, under a sum, a maximum, cases."""
        (i, size), (k, length) = self.bound(), self.bound()
        inner, both = {**free, i: size}, {**free, i: size, k: length}

        def product(free):
            made = self.element(free, plain=False)
            made *= self.pick((4, lambda: 1), (3, lambda: self.element(free)), (3, lambda: self.element(free, False)))
            return self.pick((4, lambda: made), (1, lambda: gl.tanh(made)))

        def first():
            largest = gl.ArgMax(self.element(inner, plain=False), (i, size))
            at = self.index()
            return gl.Sum(KroneckerDelta(at, largest) * self.element({**free, at: size}, plain=False), (at, size))

        def deltas():
            at = self.place(size, free, plain=False)[0]
            return gl.Sum(KroneckerDelta(i, at) * self.element(inner, plain=False) * self.element(inner), (i, size))

        return self.pick(
            (4, lambda: gl.Sum(product(inner), (i, size))),
            (2, lambda: product(free)),
            (1, lambda: gl.Max(product(inner), (i, size))),
            (0.5, lambda: log(gl.Sum(exp(product(inner)), (i, size)))),
            (0.7, lambda: self.cases(free, product)),
            (0.5, lambda: gl.Sum(self.cases(inner, product), (i, size))),
            (0.4, first),
            (0.4, deltas),
            (0.4, lambda: gl.Sum(self.element(both, False) * self.element(both, False), (i, size), (k, length))),
        )

    def cases(self, free, make):
        """Cases that the positions decide."""
        i, k = self.rng.choice(list(free)), self.rng.choice(list(free))
        bound = self.rng.randrange(3)
        condition = self.pick(
            (1, lambda: i >= bound),
            (1, lambda: sympy.Or(i > bound, i < 1)),
            (1, lambda: i < 2 if i == k else i < k + 1),
        )
        return Piecewise((make(free), condition), (self.pick((1, lambda: 0), (1, lambda: make(free))), True))

    def state(self):
        """A recurrence with a normalised or a plain state."""
        b, t, i, k, j = (self.index() for _ in range(5))
        m, free = self.m, {b: self.B, i: self.m}
        h = self.network.sequence("h", (self.B, TIMES, m))
        before = t + self.rng.choice([1, -1, -2])
        z = self.pick(
            (1, lambda: gl.padded(h[b, before, i])),
            (2, lambda: gl.Sum(self.data[3][i, k] * gl.padded(h[b, before, k]), (k, m))),
            (1, lambda: gl.padded(h[b, before, i]) * self.element(free)),
        )
        z += self.pick((1, lambda: self.element(free)), (1, lambda: self.element(free) + self.element(free)))
        there = rename_free(z, {i: j})
        body = self.pick(
            (3, lambda: exp(z) / gl.Sum(exp(there), (j, m))),
            (1, lambda: exp(gl.tanh(z)) / gl.Sum(exp(gl.tanh(there)), (j, m))),
            (1, lambda: gl.tanh(z)),
            (1, lambda: gl.tanh(z) - log(gl.Sum(exp(gl.tanh(there)), (j, m)))),
            (1, lambda: gl.tanh(z) / sqrt(1 + gl.Sum(there**2, (j, m)))),
            (1, lambda: gl.tanh(z + gl.Max(there, (j, m)))),
        )
        self.defined.append(self.network.define("h", (b, t, i), body))

    def build(self):
        """Some equations, each of which may read those before it, and a loss of the last."""
        B, m, n = self.B, self.m, self.n
        shapes = [(B, m), (B, m), (B, n), (m,), (B,), (m, n)]
        if self.kind == "places":
            shapes = [(B, m), (B, n), (B, sympy.Integer(TIMES)), (B, sympy.Integer(STEPS)), (m,), (B, m, 3)]
        if self.kind == "states":
            self.state()
        for name in ["a", "e"][: self.rng.choice([1, 1, 2])] if self.kind != "states" else []:
            shape = self.rng.choice(shapes)
            where = tuple(self.index() for _ in shape)
            free = dict(zip(where, shape, strict=True))
            body = self.normalised(free) if self.kind == "normalised" else self.places(free)
            if self.kind == "places" and self.rng.random() < 0.4:
                body += self.places(free)
            self.defined.append(self.network.define(name, where, body, shape=shape))
        last = self.defined[-1]
        where = tuple(self.index() for _ in last.shape)
        free = dict(zip(where, last.shape, strict=True))
        entry = last[where]
        body = self.pick(
            (3, lambda: entry**2 * (1 + sum((place + 1) * index for place, index in enumerate(where)))),
            (3, lambda: (entry - self.element(free)) ** 2),
            (1, lambda: log(1 + entry**2) * self.element(free)),
            (1, lambda: gl.tanh(entry) * gl.tanh(self.element(free, self.kind != "places") + entry)),
            (1, lambda: -log(entry**2 + Rational(1, 3))),
        )
        self.network.minimize(gl.Sum(body, *free.items()))


def random_equations(kind, seed):
    """A network, and values of its inputs, targets and parameters."""
    grower = Grower(kind, seed)
    grower.build()
    rng = np.random.default_rng(seed)
    values = {t.name: rng.normal(size=tuple(map(grower.number, t.shape))) for t in grower.data}
    return grower.network, {**values, "y": rng.integers(0, 5, 3)}


def slope(network, values, directions, names, step=1e-4):
    """The derivative of the loss along the directions of some tensors, by differences of fourth order."""

    def loss(length):
        moved = {name: values[name] + length * directions[name] for name in names}
        return float(evaluate(network.equations, {**values, **moved}, NUMBERS)["L"])

    return (8 * (loss(step) - loss(-step)) - loss(2 * step) + loss(-2 * step)) / (12 * step)


def derives(network, names):
    """Whether the loss depends on all that is named."""
    try:
        network.derive(names)
    except gl.UnusedParameterError:
        return False
    return True


def check_slopes(network, values, targets=("numpy", "cpu")):
    """Derive; the slope along random directions must be that of the loss, and generated code must give the same.

    What the loss is said not to depend on must have the slope 0.
    """
    read = sources(network.equations, [network.loss])
    named = [t.name for t in network.by_role("input", "parameter") if t in read]
    wrt = named if derives(network, named) else [name for name in named if derives(network, [name])]
    rng = np.random.default_rng(5)
    directions = {name: rng.normal(size=values[name].shape) for name in named}
    loss = float(evaluate(network.equations, values, NUMBERS)["L"])
    idle = [name for name in named if name not in wrt]
    assert not idle or abs(slope(network, values, directions, idle)) < 1e-6 * (1 + abs(loss)), f"of {idle}: not 0"
    if not wrt:
        return
    derivation = network.derive(wrt)
    assert str(derivation)
    assert derivation.latex()
    found = evaluate([*network.equations, *derivation.adjoints], values, NUMBERS)
    gradients = {name: np.asarray(found[derivation[name].target.name], float) for name in wrt}
    largest = 1 + sum(np.abs(gradient).sum() for gradient in gradients.values())
    got = {name: float(np.sum(gradients[name] * directions[name])) for name in wrt}
    if abs(sum(got.values()) - slope(network, values, directions, wrt)) > 1e-6 * largest:
        wanted = {name: slope(network, values, directions, [name]) for name in wrt}
        raise AssertionError(f"slopes {got}, by differences {wanted}")
    symbols = {size.name for t in network.tensors.values() for size in t.shape if size.is_Symbol}
    sizes = {name: NUMBERS[name] for name in symbols - {"B"}}
    for target in targets:
        source = generate(network, target=target, dtype="float64", sizes=sizes, wrt=wrt).source
        _, value, written = kernels.run(kernels.loaded(source, target), network, values)
        assert abs(value - loss) < 1e-10 * (1 + abs(loss)), f"{target}: loss {value}, interpreted {loss}"
        for name in wrt:
            apart = np.abs(written[name].reshape(gradients[name].shape) - gradients[name]).max()
            assert apart < 1e-9 * largest, f"{target}: ∂L/∂{name} is off by {apart}"


def main(kind, first, count):
    def give_up(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, give_up)
    done = {}
    for seed in range(first, first + count):
        said = "right"
        signal.alarm(120)
        try:
            check_slopes(*random_equations(kind, seed), [(), ("numpy",), ("cpu",)][seed % 3])
        except (gl.IndexingError, gl.ShapeError, gl.UnsupportedError, TimeoutError) as error:
            said = type(error).__name__
            print(kind, seed, said, str(error)[:150], flush=True)
        except Exception as error:
            said = "wrong"
            print(kind, seed, "WRONG", type(error).__name__, str(error)[:300], flush=True)
        finally:
            signal.alarm(0)
        done[said] = done.get(said, 0) + 1
        if (seed + 1 - first) % 50 == 0:
            print(kind, seed, done, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
