"""Costs of derivations against operations carried out one by one, PyTorch's counter, and the figures of textbooks."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import sympy
import torch
from counted import counted
from sympy import Integer
from torch.utils.flop_counter import FlopCounterMode

import gradloom as gl
from gradloom.symbolic.operation_count import count
from gradloom.symbolic.report.document import Details, Prose, Table

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "gallery"))
from networks import GALLERY

B, C, D, H, N, T, W, h, m, n = gl.dims("B C D H N T W h m n")
L = gl.layers
SIZES = {"B": 5, "C": 3, "D": 2, "F": 2, "H": 7, "N": 3, "T": 4, "W": 5, "h": 7, "m": 3, "n": 2}


def chain(layers, shape, loss=None, **options):
    loss = gl.losses.SquaredError() if loss is None else loss
    return gl.Sequential(layers, input_shape=shape, loss=loss, name="chain", **options)


def equal(found, expected):
    return sympy.expand(found - expected) == 0


# ---- against every operation carried out ----------------------------------------------------------------------

COUNTED = [
    "2-2-2 perceptron",
    "Softmax with cross-entropy",
    "Convolution, stride 2",
    "Simple recurrent network",
    "LSTM",
    "GRU",
    "Batch normalisation",
    "Layer normalisation",
    "RMS normalisation",
    "Embedding and positions",
    "Residual block",
    "Multi-head attention",
    "Causal attention",
    "Dropout",
    "Autoencoder with tied weights",
]


def check(network, sizes):
    rng = np.random.default_rng(7)
    derivation = network.derive()
    costs = derivation.costs()
    given = {name: size for name, size in sizes.items() if name in costs.sizes}
    put_in = costs.at(given)
    labels = {}
    for tensor in (*network.inputs, *network.targets):
        if tensor.classes is not None:
            put = {size: Integer(sizes[size.name]) for size in (B, C, T)}
            *shape, classes = (int(size.xreplace(put)) for size in (*tensor.shape, tensor.classes))
            labels[tensor.name] = rng.integers(0, classes, shape)
    rows = zip([*network.equations, *derivation.adjoints], (*put_in.forward, *put_in.backward), strict=True)
    for equation, row in rows:
        flops, functions = counted(equation, sizes, labels)
        assert int(row.flops) == flops, str(equation)
        assert dict(row.functions) == functions, str(equation)


@pytest.mark.parametrize("title", COUNTED)
def test_every_equation_takes_what_carrying_it_out_takes(title):
    sizes = {**SIZES, "B": 3, "C": 2} if "Conv" in title else SIZES
    check(GALLERY[title](), sizes)


def test_a_strided_convolution_passes_back_only_what_it_read():
    # (9 - 3) / 2 + 1 = 4 and (7 - 3) / 2 + 1 = 3 positions: the windows cover the whole image.
    network = chain([L.Conv2D(2, 1), L.Conv2D(3, 3, stride=2)], (2, 9, 7))
    check(network, {"B": 2})
    costs = network.derive().costs()
    taken = {row.target.name: row.flops for row in (*costs.forward, *costs.backward)}
    assert equal(taken["d_z1"], 2 * B * 2 * 3 * 9 * 4 * 3)


def test_padding_that_widens_reads_only_what_is_there():
    """For each place of the kernel, as many positions read something as the image has."""
    check(chain([L.Conv2D(2, 1), L.Conv2D(2, 3, padding=2)], (1, 5, 3)), {"B": 2})


def test_padding_that_keeps_the_size_is_counted():
    """The counter takes what is read beside the image for computed: it finds more than is carried out, never less."""
    network = chain([L.Conv2D(3, 3, padding=1)], (2, 5, 7))
    equation = network.equations[0]
    flops, _ = counted(equation, {"B": 2})
    found = count(equation).flops.xreplace({B: Integer(2)})
    assert equal(found, 2 * 3 * 5 * 7 * (2 * 2 * 9 + 1))
    assert flops < found < 1.6 * flops


# ---- against PyTorch's counter of matrix products -------------------------------------------------------------


def torch_flops(run, *arrays):
    """What PyTorch counts for the loss and the gradients of the `arrays` that require one."""
    with FlopCounterMode(display=False) as counter:
        run(*arrays).pow(2).sum().backward()
    return counter.get_total_flops()


def leaf(*shape, grad=True):
    return torch.zeros(*shape, dtype=torch.float64, requires_grad=grad)


@pytest.mark.parametrize("with_inputs", [False, True])
def test_mlp_as_pytorch_counts_it(with_inputs):
    network = chain([L.Dense(h, gl.sigmoid), L.Dense(m)], n)
    wrt = ["x", *(t.name for t in network.parameters)] if with_inputs else None
    leading = network.derive(wrt).costs().leading()
    weights = h * n + m * h
    assert equal(leading, 6 * B * weights - (0 if with_inputs else 2 * B * h * n))  # the rule of 6 B per parameter
    sizes = {B: 11, n: 5, h: 7, m: 3}
    found = torch_flops(
        lambda x, v, w: torch.tanh(x @ v.T) @ w.T, leaf(11, 5, grad=with_inputs), leaf(7, 5), leaf(3, 7)
    )
    assert leading.xreplace(sizes) == found


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 0)])
def test_convolutions_as_pytorch_counts_them(stride, padding):
    network = chain([L.Conv2D(3, 1), L.Conv2D(5, 3, stride=stride, padding=padding)], (2, 11, 7))
    costs = network.derive().costs()
    rows = [row for row in (*costs.forward, *costs.backward) if row.target.name in _PRODUCTS]
    biases = sum(sympy.prod(row.target.shape) for row in rows if row.target.name in ("z1", "z2"))
    products = sum(row.flops for row in rows) - biases

    def run(x, v, w):
        return torch.conv2d(torch.conv2d(x, v), w, stride=stride, padding=padding)

    found = torch_flops(run, leaf(2, 2, 11, 7, grad=False), leaf(3, 2, 1, 1), leaf(5, 3, 3, 3))
    assert products.xreplace({B: Integer(2)}) == found


_PRODUCTS = ("z1", "z2", "d_z1", "d_W1", "d_W2")


def test_attention_as_pytorch_counts_it():
    network = GALLERY["Multi-head attention"]()
    leading = network.derive().costs().leading()
    sizes = {B: 2, T: 5, n: 7, N: 3, D: 11}

    def run(x, q, k, v, o):
        q, k, v = (torch.einsum("bti,hdi->bhtd", x, weight) for weight in (q, k, v))
        return torch.einsum("bhtd,jhd->btj", torch.softmax(q @ k.transpose(2, 3), 3) @ v, o)

    found = torch_flops(run, leaf(2, 5, 7, grad=False), *(leaf(3, 11, 7) for _ in range(3)), leaf(7, 3, 11))
    assert leading.xreplace(sizes) == found


# ---- against textbooks ----------------------------------------------------------------------------------------


def test_dense_layer():
    costs = chain([L.Dense(m)], n).derive().costs()
    assert equal(costs.forward[0].flops, 2 * B * n * m + B * m)
    assert equal(costs.leading("forward"), 2 * B * n * m)
    assert equal(costs.leading(), 4 * B * n * m)  # no gradient of the input
    inner = chain([L.Dense(h), L.Dense(m)], n).derive().costs()
    assert equal(inner.leading().coeff(h * m), 6 * B)


def test_network_3_4_1():
    """Forward: 4 (2·3 + 1) + (2·4 + 1); back: δ2 to δ1 2·4, gradients of the weights 2·12 and 2·4, each per example."""
    network = chain([L.Dense(4, gl.sigmoid), L.Dense(1)], 3)
    costs = network.derive().costs()
    rows = {row.target.name: row.flops for row in (*costs.forward, *costs.backward)}
    assert [rows[name] for name in ("z1", "z2", "d_W1", "d_W2", "d_b1")] == [28 * B, 9 * B, 24 * B, 8 * B, 4 * B]
    # δ1 = (W2ᵀ δ2) ⊙ a ⊙ (1 − a): a multiply-add, two products and a difference for each of four units.
    assert rows["d_z1"] == 4 * (2 + 2 + 1) * B
    assert costs.total("forward").functions == {"sigmoid": 4 * B}
    assert costs.stored_numbers == 5 * B  # a1 for its own derivative and W2, z2 for the loss
    assert int(costs.at(B=1).total("forward").flops) == 28 + 9 + 4


def test_convolution():
    """2·B·O·H·W·C·K²."""
    costs = chain([L.Conv2D(5, 3, padding=1)], (C, H, W)).derive().costs()
    assert equal(costs.leading("forward"), 2 * B * 5 * H * W * C * 9)
    assert equal(costs.leading("backward"), 2 * B * 5 * H * W * C * 9)


def test_lstm_counts_all_steps():
    """4 (2 n m + 2 m²) per step and example; the two gradients of each product again, but none of the data."""
    costs = chain([L.LSTM(m)], (T, n)).derive().costs()
    assert equal(costs.leading("forward"), B * T * 4 * (2 * n * m + 2 * m**2))
    assert equal(costs.leading("backward"), B * T * 4 * (2 * n * m + 4 * m**2))
    assert costs.total("forward").functions == {"sigmoid": 3 * B * T * m, "tanh": 2 * B * T * m}


def test_attention():
    """Scores and their sum of values: 4·B·T²·d with d = N·D, twice that on the way back."""
    costs = GALLERY["Multi-head attention"]().derive().costs()
    for part, times in (("forward", 1), ("backward", 2)):
        assert equal(costs.leading(part).coeff(T, 2), times * 4 * B * N * D)


def test_normaliser_of_a_softmax_is_computed_once_per_row():
    i, j = gl.indices("i j")
    net = gl.Network()
    z = net.input("z", (B, m))
    net.define("p", (i, j), gl.softmax(z[i, j], j))
    found = count(net.equations[0])
    assert found.functions == {"exp": B * m}
    assert equal(found.flops, 2 * B * m)  # m additions in a row, and a division for each entry


# ---- conventions, one by one ----------------------------------------------------------------------------------


def flops_of(body, target, indices):
    net = gl.Network()
    tensors = body(net)
    net.define("y", indices, tensors, shape=target)
    return count(net.equations[0])


def test_products_are_counted_in_the_order_that_is_written():
    i, j, k, l = gl.indices("i j k l")

    def left_first(net):
        a, b, c = net.input("A", (m, n)), net.input("M", (n, h)), net.input("K", (h, D))
        return gl.Sum(gl.Sum(a[i, k] * b[k, l], k) * c[l, j], l)

    def right_first(net):
        a, b, c = net.input("A", (m, n)), net.input("M", (n, h)), net.input("K", (h, D))
        return gl.Sum(a[i, k] * gl.Sum(b[k, l] * c[l, j], l), k)

    assert equal(flops_of(left_first, (m, D), (i, j)).flops, 2 * m * n * h + 2 * m * h * D)
    assert equal(flops_of(right_first, (m, D), (i, j)).flops, 2 * n * h * D + 2 * m * n * D)


def test_what_does_not_depend_on_a_sum_stands_outside():
    i, j, k = gl.indices("i j k")

    def body(net):
        x, w, s = net.input("x", (B, n)), net.input("w", (n,)), net.input("s", (B,))
        return gl.Sum(s[i] * 3 * x[i, k] * w[k], k)

    # 3 s once a row, n multiplications and additions, one product.
    assert equal(flops_of(body, (B,), (i,)).flops, B + 2 * B * n + B)

    def separate(net):
        x, w = net.input("x", (B,)), net.input("w", (n,))
        return gl.Sum(x[i] * w[j], i, j)

    assert equal(flops_of(separate, (), ()).flops, B + n + 1)


def test_what_the_fewest_factors_need_is_summed_first():
    i, j = gl.indices("i j")

    def body(net):
        a, v = net.input("a", (n,)), net.input("v", (B, n))
        return gl.Sum(a[i] * v[j, i], i, j)

    # The rows of v are added, then a multiply-add for each entry of a.
    assert equal(flops_of(body, (), ()).flops, B * n + 2 * n)


def test_a_bracket_that_leaves_one_term_is_no_sum():
    i, k = gl.indices("i k")

    def body(net):
        label, w = net.input("label", (B,), classes=n), net.input("w", (n,))
        return 2 * gl.Sum(sympy.KroneckerDelta(k, label[i]) * w[k], k)

    assert equal(flops_of(body, (B,), (i,)).flops, B)  # a product for each label


def test_brackets_that_give_each_index_by_the_other_are_used_once():
    """Of [0 ≤ i - j < 3] and [i = j + 1] both say i for each j; were one to say j for each i, nearly all were lost."""
    i, j = gl.indices("i j")

    def body(net):
        x = net.input("x", (7, 11))
        return gl.Sum(gl.inside(i - j, 3) * sympy.KroneckerDelta(i, j + 1) * x[i, j] ** 2, (i, 7), (j, 11))

    assert flops_of(body, (), ()).flops == 11 + 11


def test_a_sum_of_a_bracket_alone_is_no_factor():
    i, k = gl.indices("i k")

    def body(net):
        x, label = net.input("x", (7,)), net.input("label", (7,), classes=11)
        return gl.Sum(x[i] ** 2 * sympy.KroneckerDelta(k, label[i]), (i, 7), (k, 11))

    assert flops_of(body, (), ()).flops == 7 + 7


def test_powers_divisions_and_functions():
    (i,) = (gl.indices("i"),)

    def body(net):
        x = net.input("x", (n,))
        return x[i] ** 5 / (1 + sympy.sqrt(x[i])) - gl.sigmoid(x[i]) + sympy.Abs(x[i]) ** sympy.Rational(1, 3)

    found = flops_of(body, (n,), (i,))
    # x⁵ by squaring 3, 1 + √x 1, the division 1, two sums 2.
    assert equal(found.flops, 7 * n)
    assert found.functions == {"sigmoid": n, "sqrt": n, "abs": n, "pow": n}


def test_maximum_and_labels():
    network = chain([L.Conv2D(3, 1), L.MaxPool2D(2)], (2, 6, 10))
    costs = network.derive().costs()
    assert costs.forward[1].functions == {"max": B * 3 * 3 * 5 * 4}
    words = GALLERY["Embedding and positions"]().derive().costs()
    rows = {row.target.name: row for row in (*words.forward, *words.backward)}
    assert rows["a1"].flops == 0  # a look-up
    assert equal(rows["a1"].numbers, 2 * B * T * n + B * T)  # one row for each label, not the whole table
    assert equal(rows["d_E1"].flops, B * T * n)  # one row is added for each label
    assert equal(rows["d_E1"].numbers, C * n + B * T + B * T * n)


# ---- bytes and what is stored ---------------------------------------------------------------------------------


def test_bytes_are_those_of_whole_tensors_once():
    network = chain([L.Dense(m, gl.sigmoid)], n)
    costs = network.derive().costs()
    assert equal(costs.forward[0].bytes, 4 * (B * n + m * n + m + B * m))
    width = gl.dims("s")
    for itemsize in (2, width):
        other = network.derive().costs(itemsize=itemsize)
        assert equal(other.total().bytes * 4, costs.total().bytes * itemsize)
        assert equal(other.stored_bytes, itemsize * B * m)
    assert network.derive().costs(width).at(B=3, n=5, m=7, s=8).stored_bytes == 8 * 21
    with pytest.raises(gl.ShapeError, match="itemsize"):
        network.derive().costs(itemsize=0.5)


def test_a_recurrence_reads_its_state_once():
    costs = GALLERY["Simple recurrent network"]().derive().costs()
    assert equal(costs.forward[0].numbers, B * T * n + m * n + m**2 + m + 2 * B * T * m)


def test_stored_activations_are_those_that_the_backward_equations_read():
    derivation = chain([L.Dense(h, gl.relu), L.Dense(m)], n, gl.losses.CrossEntropy()).derive()
    costs = derivation.costs()
    assert [tensor.name for tensor in costs.stored] == ["z1", "a1", "p"]
    assert equal(costs.stored_numbers, 2 * B * h + B * m)


# ---- numbers, and how it is shown -----------------------------------------------------------------------------


def test_numbers_put_in():
    costs = chain([L.Dense(h, gl.relu), L.Dense(m)], n).derive().costs()
    numbers = costs.at({B: 64, "n": 784}, h=np.int64(30), m=10)
    sizes = {B: 64, n: 784, h: 30, m: 10}
    for part in ("forward", "backward", "total"):
        assert numbers.total(part).flops == costs.total(part).flops.xreplace(sizes)
        assert numbers.total(part).bytes == costs.total(part).bytes.xreplace(sizes)
    assert numbers.flops == numbers.total("forward").flops + numbers.total("backward").flops
    assert numbers.flops.is_Integer
    assert numbers.sizes == {}


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"B": 2, "n": 3}, "size m has no number"),
        ({"B": 2, "n": 3, "m": 5, "k": 7}, "'k' is no size of chain: its sizes are B, n, m"),
        ({"B": 2, "n": 3, "m": 0}, "size m is 0; expected a whole number of at least 1"),
        ({"B": 2, "n": 3, "m": 2.5}, "size m is 2.5; expected a whole number of at least 1"),
        ({"B": True, "n": 3, "m": 5}, "size B is True; expected a whole number"),
    ],
)
def test_numbers_that_are_no_sizes(sizes, said):
    with pytest.raises(gl.SizeError, match=said):
        chain([L.Dense(m)], n).derive().costs().at(sizes)


def test_sizes_that_leave_nothing():
    costs = chain([L.Conv2D(2, 3)], (C, H, W)).derive().costs()
    with pytest.raises(gl.SizeError, match=r"z1 \(B, 2, H - 2, W - 2\) has shape \(2, 2, 0, 5\)"):
        costs.at(B=2, C=3, H=2, W=7)
    with pytest.raises(gl.UnsupportedError, match="part 'both'"):
        costs.leading("both")


def test_expressions_are_factored():
    costs = chain([L.Conv2D(2, 3)], (C, H, W)).derive().costs()
    assert costs.forward[0].flops == 2 * B * (H - 2) * (W - 2) * (18 * C + 1)


def test_text():
    costs = chain([L.Dense(m)], n).derive().costs()
    shown = str(costs).splitlines()
    assert shown[0] == "Costs of chain"
    assert "  z1        B m (2 n + 1)             4 (B m + B n + m n + m)" in shown
    assert any(line.startswith("  Both: 4 B m n") and "(leading: 4 B m n)" in line for line in shown)
    numbers = str(costs.at(B=64, n=784, m=10)).splitlines()
    row = next(line for line in numbers if line.startswith("  z1"))
    assert row.split() == ["z1", "1,004,160", f"{4 * (640 + 64 * 784 + 7840 + 10):,}"]


def test_section_is_made_of_blocks():
    derivation = chain([L.Dense(h, gl.relu), L.Dense(m)], n, gl.losses.CrossEntropy()).derive()
    costs = derivation.costs()
    blocks = costs.section({"B": 64, "n": 784, "h": 30, "m": 10})
    prose = [block for block in blocks if isinstance(block, Prose)]
    assert any("$4 \\, B \\, h \\, n + 6 \\, B \\, h \\, m$" in block.latex for block in prose)
    (table,) = (block for block in blocks if isinstance(block, Table))
    assert table.caption is not None
    assert table.caption.text == "With B = 64, n = 784, h = 30, m = 10"
    at = costs.at(B=64, n=784, h=30, m=10)
    assert [row[1].text for row in table.rows[:3]] == [
        f"{int(at.total(part).flops):,}" for part in ("forward", "backward", "total")
    ]
    (details,) = (block for block in blocks if isinstance(block, Details))
    cells = [cell for made in details.blocks for row in made.rows for cell in row]
    assert all(cell.latex.count("$") % 2 == 0 for cell in cells)
    assert r"$\delta^{(1)}$" in [cell.latex for cell in cells]
    *_, details = costs.section(notation=gl.symbolic.notation.Notation(symbols={"d_z1": "e"}))
    assert "$e$" in [row[0].latex for made in details.blocks for row in made.rows]
    with pytest.raises(gl.SizeError, match="size n has no number"):
        costs.section({"B": 64})
