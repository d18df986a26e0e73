"""Sum and Max: canonical bound names, capture-free replacement, conversion from sympy.Sum."""

import itertools

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom.symbolic.binders import Sum, from_user, rebuilt, rename_free
from gradloom.symbolic.errors import GradloomError, IndexingError, ShapeError
from gradloom.symbolic.evaluate import evaluate
from gradloom.symbolic.indices import BoundIndex, Index

B, n, m = gl.dims("B n m")
i, j, k, q = gl.indices("i j k q")


def tensors():
    net = gl.Network()
    return net, net.input("x", (B, n)), net.parameter("W", (m, n)), net.input("u", (n,))


def test_sums_that_differ_in_letters_are_equal():
    _, x, W, _ = tensors()
    assert Sum(W[j, k] * x[i, k], k) == Sum(W[j, Index("q")] * x[i, Index("q")], Index("q"))
    assert Sum(x[i, k] ** 2, i, k) == Sum(x[j, i] ** 2, i, j)
    assert Sum(x[i, k], k) != Sum(x[j, k], k)


@settings(deadline=None, max_examples=8)
@given(st.permutations(["i", "j", "k", "l"]))
def test_order_and_letters_never_matter(letters):
    net = gl.Network()
    T = net.input("T", (B, n, m, n))
    a, b, c, d = (Index(letter) for letter in letters)
    reference = Sum(T[i, j, k, Index("l")] * T[i, Index("l"), k, j], i, j, k, Index("l"))
    for order in itertools.permutations((a, b, c, d)):
        assert Sum(T[a, b, c, d] * T[a, d, c, b], *order) == reference


def test_nested_sums_merge_and_keep_their_ranges():
    _, x, W, _ = tensors()
    nested = Sum(Sum(x[i, k] * W[j, k], k), j)
    assert nested == Sum(x[i, k] * W[j, k], j, k)
    assert {str(size) for _, size in nested.limits} == {"n", "m"}


def test_replacing_captures_no_name():
    # What is put in sums over the same canonical index as the sum around it.
    _, x, _, u = tensors()
    outer = Sum(u[k] * x[i, k], k)
    total = Sum(u[k], k)
    (inside,) = (e for e in outer.atoms(sympy.Indexed) if e.base == x[i, k].base)
    put = outer.xreplace({inside: total})
    expected = Sum(u[k] * Sum(u[j], j), k)
    assert put == expected
    sizes = {"n": 3}
    eq = gl.Network()
    w = eq.input("u", (n,))
    eq.define("s", (), Sum(w[k] * Sum(w[j], j), k))
    assert evaluate(eq.equations, {"u": [1.0, 2.0, 4.0]}, sizes)["s"] == 49.0


def test_what_is_rebuilt_unopened_captures_no_name():
    # The body names the outer index by its canonical name, which is also that of any innermost sum.
    _, x, W, u = tensors()
    outer = Sum(u[k] * x[i, k], k)
    ((bound, _),) = outer.limits
    inner = Sum(W[j, bound] * W[j, k] * x[i, k], j, k)
    assert inner.has(bound)
    expected = Sum(u[k] * Sum(W[j, k] * W[j, Index("q")] * x[i, Index("q")], j, Index("q")), k)
    assert outer.func(u[bound] * inner, *outer.limits) == expected
    assert outer.xreplace({x[i, bound]: inner}) == expected
    assert rename_free(Sum(W[j, k] * x[i, k], k), {i: bound}).free_symbols >= {bound}
    assert Sum(W[j, k] * x[i, k], k).xreplace({i: bound}) == rename_free(Sum(W[j, k] * x[i, k], k), {i: bound})
    assert Sum(Sum(W[j, k] * x[i, k], k).subs(i, bound) * u[bound], bound) == Sum(Sum(W[j, q] * x[k, q], q) * u[k], k)


def test_parts_are_changed_in_the_opened_body():
    _, x, W, u = tensors()
    read = []

    def change(node):
        if isinstance(node, sympy.Indexed):
            read.append(node)
            return 2 * node
        return rebuilt(node, change) if node.args else node

    nested = Sum(sympy.exp(Sum(W[j, k] * x[i, k], k)) * u[0], j)
    assert change(nested) == Sum(2 * u[0] * sympy.exp(Sum(4 * W[j, k] * x[i, k], k)), j)
    assert len(read) == 3
    assert not any(node.has(BoundIndex) for node in read)


def test_the_first_maximum_of_a_constant_is_the_first():
    _, x, _, _ = tensors()
    assert gl.ArgMax(x[i, 0], (k, n)) == 0


def test_renaming_a_free_index_to_the_letter_of_a_bound_one():
    _, x, W, _ = tensors()
    expr = Sum(W[j, k] * x[i, k], k)
    assert rename_free(expr, {i: k}) == Sum(W[j, Index("q")] * x[k, Index("q")], Index("q"))


def test_sympy_sums_are_converted():
    _, x, W, u = tensors()
    mine = from_user(sympy.Sum(W[j, k] * x[i, k], (k, 0, n - 1)))
    assert mine == Sum(W[j, k] * x[i, k], k)
    assert from_user(sympy.Sum(k * u[0], (k, 1, n))) == Sum((k + 1) * u[0], (k, n))


def test_constant_bodies():
    _, x, _, _ = tensors()
    assert Sum(3 * x[i, j], (k, m)) == 3 * m * x[i, j]
    assert Sum(0 * x[i, k], (k, n)) == 0
    assert gl.Max(x[i, j], (k, m)) == x[i, j]


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda x: Sum(x[i, j], k), IndexingError, "its range is unknown"),
        (lambda x: Sum(x[i, j], j, j), IndexingError, "index j is used twice"),
        (lambda x: gl.Max(x[i, j], j, j), IndexingError, "index j is used twice"),
        (lambda x: Sum(x[i, j], B), IndexingError, "runs over an index"),
        (lambda x: Sum("__import__('os').getcwd()", k), GradloomError, "expected a number or a SymPy expression"),
        (lambda x: x[i], ShapeError, "has 2 axes"),
        (lambda x: x[i, 1:2], IndexingError, "slices"),
        (lambda x: x["i", j], IndexingError, "an index is a symbol"),
        (lambda x: Sum(sympy.Heaviside(x[i, j]), j), IndexingError, "states its value at 0"),
    ],
)
def test_bad_binders_name_the_mend(make, error, says):
    _, x, _, _ = tensors()
    with pytest.raises(error, match=says):
        make(x)


PAYLOAD = "__import__('gradloom').ran_a_text()"


@pytest.mark.parametrize(
    "make",
    [
        lambda: gl.Network().input("x", [(PAYLOAD,)]),
        lambda: gl.Network().input("x", 3, classes=[PAYLOAD]),
        lambda: gl.Network().input(3, 3),
        lambda: gl.Network().constant("c", (PAYLOAD,)),
        lambda: gl.Network().constant("c", {PAYLOAD: 1}),
        lambda: gl.Network().minimize({PAYLOAD}),
        lambda: gl.Network().define("z", (), sympy.Function("f")),
        lambda: gl.Network().define("z", (), sympy.ImmutableMatrix([[1]])),
        lambda: gl.Network().define("z", (), sympy.true),
        lambda: gl.held(PAYLOAD),
        lambda: gl.held([PAYLOAD]),
        lambda: gl.sigmoid((PAYLOAD,)),
        lambda: gl.normal([PAYLOAD], 0.5),
        lambda: gl.inside(i, [PAYLOAD]),
        lambda: gl.inside(PAYLOAD, 3),
        lambda: Sum(1, (k, [PAYLOAD])),
        lambda: gl.elementwise("f", lambda z: PAYLOAD),
        lambda: gl.Sequential([gl.layers.Dense([PAYLOAD])], 3),
        lambda: gl.Sequential([gl.layers.Slice(1, PAYLOAD)], 3),
        lambda: gl.Sequential([gl.layers.Slice(1, 0, [PAYLOAD])], 3),
        lambda: gl.Sequential([gl.layers.Permute(PAYLOAD, 1)], (3, 2)),
        lambda: gl.Sequential([gl.layers.Reshape([[PAYLOAD]])], 3),
        lambda: gl.Sequential([], [[PAYLOAD]]),
        lambda: gl.Sequential(3, 3),
        lambda: gl.Sequential(PAYLOAD, 3),
        lambda: gl.layers.Chain(PAYLOAD),
        lambda: gl.layers.Parallel(None),
    ],
)
def test_no_text_is_evaluated(make, monkeypatch):
    """Not where SymPy itself would: as an argument of a function, or inside of a list."""
    ran = []
    monkeypatch.setattr(gl, "ran_a_text", lambda: ran.append(True) or 1, raising=False)
    with pytest.raises(GradloomError):
        make()
    assert not ran


@pytest.mark.parametrize("wrt", [3, [["W1"]], [3], {None}, sympy.Symbol("W1")])
def test_what_is_asked_for_are_names(wrt):
    net = gl.Sequential([gl.layers.Dense(2)], 3, loss=gl.losses.SquaredError())
    with pytest.raises(GradloomError, match="expected names of tensors"):
        net.derive(wrt)
