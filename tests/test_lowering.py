"""What equations are lowered to, which loops are fused, what is kept; and that generated code reads well."""

from __future__ import annotations

import kernels
import pytest
from sympy import KroneckerDelta, exp, log

import gradloom as gl
from gradloom.codegen.fuse import fuse
from gradloom.codegen.generate import generate
from gradloom.codegen.loops import nest
from gradloom.codegen.lower import Lowering
from gradloom.codegen.nests import Dot, Loop
from gradloom.codegen.ops import Contraction, Pointwise, Reduction, tensors_read
from gradloom.codegen.share import share_functions
from gradloom.codegen.sizes import resolve_sizes

B, n, m = gl.dims("B n m")
i, j, k = gl.indices("i j k")
SIZES = {"n": 7, "m": 5}


@pytest.fixture
def net():
    made = gl.Network("lowered")
    made.input("x", (B, n))
    made.input("label", (B,), classes=m)
    made.parameter("W", (m, n))
    made.parameter("b", (m,))
    made.parameter("E", (m, n))
    return made


def lowered(net, body, indices=(i, j), sizes=SIZES):
    """The ops of one equation ``a[indices] = body``, after those that stand before it."""
    net.define("a", indices, body)
    lowering = Lowering(net, resolve_sizes(net, sizes))
    for equation in net.equations:
        lowering.add(equation)
    return lowering


def kinds(ops):
    return [type(op).__name__ for op in ops]


def tensors(net):
    return [net.tensors[name] for name in ("x", "label", "W", "b", "E")]


def test_a_sum_of_products_is_a_contraction_and_the_rest_pointwise(net):
    x, _, W, b, _ = tensors(net)
    product, rest = lowered(net, gl.Sum(W[j, k] * x[i, k], k) + b[j]).ops
    assert isinstance(product, Contraction)
    assert (product.left, product.right) == (x[i, k], W[j, k])
    assert isinstance(rest, Pointwise)
    assert rest.body == product.target + b[j]


def test_a_pure_contraction_writes_its_tensor_directly(net):
    x, _, W, _, _ = tensors(net)
    (product,) = lowered(net, gl.Sum(W[j, k] * x[i, k], k)).ops
    assert product.tensor == net.tensors["a"]


def test_what_does_not_depend_on_the_summed_index_moves_out(net):
    x, _, W, b, _ = tensors(net)
    product, rest = lowered(net, gl.Sum(3 * W[j, k] * b[j] * x[i, k] / B, k)).ops
    assert product.body == W[j, k] * x[i, k]
    assert rest.body == 3 * b[j] * product.target / B


def test_operands_that_are_no_elements_are_made_first_where_that_pays(net):
    x, _, W, *_ = tensors(net)
    made, product = lowered(net, gl.Sum(exp(W[j, k]) * W[j, k] * x[i, k], k)).ops
    assert made.body == exp(W[j, k]) * W[j, k]
    assert isinstance(product, Contraction)
    other = gl.Network("vector_product")
    x = other.input("x", (B, n))
    w = other.parameter("w", (n,))
    assert kinds(lowered(other, gl.Sum(exp(w[k]) * x[i, k], k), (i,), {"n": 7}).ops) == ["Reduction"]


def test_small_products_are_loops():
    net = gl.Network("small")
    x, W = net.input("x", (B, 2)), net.parameter("W", (3, 2))
    assert kinds(lowered(net, gl.Sum(W[j, k] * x[i, k], k), sizes={}).ops) == ["Reduction"]


def test_a_sum_over_a_kronecker_delta_is_a_gather(net):
    _, label, _, _, E = tensors(net)
    (op,) = lowered(net, gl.Sum(KroneckerDelta(j, label[i]) * E[j, k], j), (i, k)).ops
    assert op.body == E[label[i], k]


def test_the_adjoint_of_a_gather_is_a_scatter(net):
    x, label, _, _, _ = tensors(net)
    (op,) = lowered(net, gl.Sum(KroneckerDelta(j, label[i]) * x[i, k], i), (j, k)).ops
    assert isinstance(op, Reduction)
    assert op.is_scatter
    assert op.target == net.tensors["a"][label[i], k]
    assert op.body == x[i, k]


def test_alpha_equivalent_sums_are_computed_once(net):
    x, _, _, _, _ = tensors(net)
    p = gl.indices("p")
    total = gl.Sum(x[i, k] ** 2, k) + gl.Sum(x[i, p] ** 2, p) * gl.Sum(x[i, j] ** 2, j)
    lowering = lowered(net, total, (i,))
    assert kinds(lowering.ops) == ["Reduction", "Pointwise"]


def test_independent_factors_are_summed_apart(net):
    x, _, _, b, _ = tensors(net)
    lowering = lowered(net, gl.Sum(exp(x[i, k]) * b[j] ** 2, j, k), (i,))
    assert [len(op.bound) for op in lowering.ops] == [1, 1, 0]


def test_functions_that_stand_twice_are_computed_once(net):
    x, *_ = tensors(net)
    lowering = lowered(net, exp(x[i, j]) / gl.Sum(exp(x[i, k]), k))
    shared = share_functions(lowering.ops, lowering.temporary, lowering.sizes.numbers)
    assert sum(op.body.has(exp) for op in shared) == 1


def test_a_row_of_a_softmax_is_one_pass(net):
    x, *_ = tensors(net)
    lowering = lowered(net, exp(x[i, j]) / gl.Sum(exp(x[i, k]), k))
    (row,) = fuse(nest(op, lowering.sizes, "float32", lowering.temporary) for op in lowering.ops)
    assert isinstance(row, Loop)
    assert row.extent == B
    assert all(isinstance(inner, Loop) and inner.extent == 7 for inner in row.body)


def test_what_a_whole_loop_makes_is_not_fused_into_it(net):
    x, *_ = tensors(net)
    lowering = lowered(net, x[i, j] / gl.Sum(x[i, k] ** 2, i, k))
    loops = fuse(nest(op, lowering.sizes, "float32", lowering.temporary) for op in lowering.ops)
    assert len(loops) == 2


def test_a_loop_is_not_moved_over_a_product_that_it_needs(net):
    x, _, W, b, _ = tensors(net)
    net.define("c", (i, k), x[i, k] + 1)
    lowering = lowered(net, gl.Sum(W[j, k] * net.tensors["c"][i, k], k) + b[j])
    first, product, last = fuse(nest(op, lowering.sizes, "float32", lowering.temporary) for op in lowering.ops)
    assert isinstance(first, Loop)
    assert isinstance(product, Dot)
    assert isinstance(last, Loop)


def perceptron():
    return gl.Sequential(
        [gl.layers.Dense(16, gl.sigmoid), gl.layers.Dense(16, gl.sigmoid), gl.layers.Dense(10, gl.sigmoid)],
        (784,),
        loss=gl.losses.SquaredError(),
    )


def test_the_numpy_module_reads_like_the_equations():
    source = generate(perceptron(), target="numpy").source
    for line in (
        "TRAINABLE = 13002",
        "    # z1[i, j] = Σ_k W1[j, k] x[i, k] + b1[j]\n    z1 = x @ W1.T + b1",
        "    a1 = expit(z1)",
        "    d_z2 = d_z3 @ W3 * a2 * (1 - a2)",
        "    d_W1[...] = d_z1.T @ x",
        "    d_b1[...] = np.sum(d_z1, axis=0)",
    ):
        assert line in source


def test_the_cpu_module_fuses_bias_activation_derivative_and_sums():
    source = generate(perceptron(), target="cpu", optimizer=gl.optimizers.SGD(lr=0.1)).source
    assert (
        "    product_1(x, W1, z1, B, first, last)\n"
        "    for i in range(first, last):\n"
        "        for j in range(16):\n"
        "            z1_ij = z1[i, j] + b1[j]\n"
        "            a1[i, j] = logistic(z1_ij)\n"
    ) in source
    assert (
        "    product_4(d_z3, W3, d_z2, B, first, last)\n"
        "    for i in range(first, last):\n"
        "        for j in range(16):\n"
        "            d_z2[i, j] = d_z2[i, j] * a2[i, j] * (real(1) - a2[i, j])\n"
    ) in source
    assert source.count("for q in range(begin(13002, thread, threads), begin(13002, thread + 1, threads)):") == 1


def test_every_function_of_the_contract_is_there_and_nothing_else_is_imported():
    for target in ("cpu", "numpy"):
        source = generate(perceptron(), target=target, optimizer=gl.optimizers.Adam()).source
        one, team = (", thread=0, threads=1, gate=None", ", threads=1") if target == "cpu" else ("", "")
        for head in (
            "def workspace(batch):",
            "def predict(params, x, work):",
            f"def loss(params, x, y, work{one}):",
            "def loss_and_gradients(params, x, y, work, grads):",
            f"def update(params, grads, state, hyper, step{one}):",
            f"def epoch(params, grads, state, x, y, order, batch, hyper, step, work{team}):",
        ):
            assert head in source
        imported = [
            line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))
        ]
        standard = {"__future__", "collections", "hashlib", "importlib", "math", "operator", "threading", "typing"}
        assert set(imported) <= standard | {"numpy", "scipy", "numba", "llvmlite"}
        assert source.endswith("\n")
        assert not source.endswith("\n\n")
        assert "def epoch" not in generate(perceptron(), target=target).source


def test_names_of_the_declaration_never_collide_with_those_of_the_module():
    source = kernels.made("awkward_names", "cpu", optimizer=gl.optimizers.SGD(lr=0.1))[1]
    assert "compiled = njit" in source
    assert "value_ = params[" in source
    compile(source, "<generated>", "exec")


def test_a_logarithm_looks_through_several_definitions():
    net = gl.Network("steps")
    z, y = net.parameter("z", (3, 5)), net.target("y", (3, 5))
    e = net.define("e", (i, j), exp(z[i, j]))
    s = net.define("s", (i,), gl.Sum(e[i, k], k))
    p = net.define("p", (i, j), e[i, j] / s[i])
    net.minimize(-gl.Sum(y[i, j] * log(p[i, j]), i, j))
    lowering = Lowering(net, resolve_sizes(net, {}))
    lowering.add(net.equation("L"))
    assert net.tensors["z"] in tensors_read(lowering.ops)
    assert p not in tensors_read(lowering.ops)
