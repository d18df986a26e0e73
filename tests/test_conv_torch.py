"""Convolutions, pooling and layers that move entries, against PyTorch in float64, at random structures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch_compare import HOW, compare, draws, network_of

import gradloom as gl
from gradloom.symbolic import layers as L
from gradloom.symbolic.evaluate import evaluate

LENGTHS = st.permutations([3, 5, 7])  # distinct primes, so that no axis can stand in for another
CHANNELS = st.permutations([1, 2, 3])


def window(kernel):
    """Stride, padding and dilation; the padding may reach as far as the kernel does."""
    return st.tuples(st.integers(1, 3), st.integers(0, kernel), st.integers(1, 2))


def fits(sizes, kernels, options):
    return all(
        size + 2 * padding >= dilation * (kernel - 1) + 1
        for size, kernel, (_, padding, dilation) in zip(sizes, kernels, options, strict=True)
    )


@st.composite
def convolutions(draw, rank):
    """Input sizes, kernel, and per axis stride, padding, dilation."""
    sizes = draw(LENGTHS)[:rank]
    kernels = [draw(st.integers(1, 3)) for _ in sizes]
    options = [draw(window(kernel)) for kernel in kernels]
    if not fits(sizes, kernels, options):
        options = [(stride, padding, 1) for stride, padding, _ in options]
    strides, paddings, dilations = (list(column) for column in zip(*options, strict=True))
    return tuple(sizes), kernels, strides, paddings, dilations


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("rank", [1, 2])
def test_convolution(rank, how):
    layer, reference = [(L.Conv1D, F.conv1d), (L.Conv2D, F.conv2d)][rank - 1]

    @draws(how)
    @given(convolutions(rank), CHANNELS, st.booleans(), st.integers(0, 99))
    def check(made, channels, bias, seed):
        sizes, kernel, stride, padding, dilation = made
        inward, outward, _ = channels
        conv = layer(outward, kernel, stride, padding, dilation, bias=bias, activation=gl.tanh)
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        compare(
            [conv],
            (inward, *sizes),
            lambda t: torch.tanh(reference(t["x"], t["W1"], t.get("b1"), **options)),
            how=how,
            seed=seed,
        )

    check()


@pytest.mark.parametrize("how", HOW)
def test_groups(how):
    @draws(how)
    @given(convolutions(2), st.sampled_from([(2, 4, 2), (4, 2, 2), (4, 6, 2), (3, 6, 3), (3, 3, 3), (6, 3, 3)]))
    def check(made, groups):
        sizes, kernel, stride, padding, dilation = made
        inward, outward, count = groups
        compare(
            [L.Conv2D(outward, kernel, stride, padding, dilation, groups=count)],
            (inward, *sizes),
            lambda t: F.conv2d(t["x"], t["W1"], t["b1"], stride, padding, dilation, count),
            batch=1,
            how=how,
        )

    check()


@pytest.mark.parametrize("how", HOW)
def test_depthwise(how):
    @draws(how)
    @given(convolutions(2), st.integers(1, 3), st.integers(1, 3))
    def check(made, channels, multiplier):
        sizes, kernel, stride, padding, dilation = made
        compare(
            [L.DepthwiseConv2D(kernel, multiplier, stride, padding, dilation)],
            (channels, *sizes),
            lambda t: F.conv2d(t["x"], t["W1"][:, None], t["b1"], stride, padding, dilation, channels),
            how=how,
        )

    check()


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("rank", [1, 2])
def test_transposed_convolution(rank, how):
    layer, reference = [(L.ConvTranspose1D, F.conv_transpose1d), (L.ConvTranspose2D, F.conv_transpose2d)][rank - 1]

    @draws(how)
    @given(convolutions(rank), CHANNELS, st.booleans(), st.integers(0, 2))
    def check(made, channels, bias, more):
        sizes, kernel, stride, padding, dilation = made
        inward, outward, _ = channels
        padding = [min(p, d * (k - 1)) for p, d, k in zip(padding, dilation, kernel, strict=True)]
        more = [min(more, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True)]
        conv = layer(outward, kernel, stride, padding, more, dilation, bias=bias)
        compare(
            [conv],
            (inward, *sizes),
            lambda t: reference(t["x"], t["W1"], t.get("b1"), stride, padding, output_padding=more, dilation=dilation),
            how=how,
        )

    check()


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_padding(kernel, dilation, how):
    compare(
        [L.Conv2D(2, kernel, padding="same", dilation=dilation)],
        (1, 5, 7),
        lambda t: F.conv2d(t["x"], t["W1"], t["b1"], padding="same", dilation=dilation),
        how=how,
    )


@pytest.mark.parametrize("size", [5, 6, 7, 8])
@pytest.mark.parametrize("stride", [2, 3])
def test_same_padding_with_a_stride_is_that_of_tensorflow(size, stride):
    """⌈size / stride⌋ come out; of an odd number of zeros, the one more is behind."""
    total = max((-(-size // stride) - 1) * stride + 4 - size, 0)

    def reference(t):
        return F.conv1d(F.pad(t["x"], (total // 2, total - total // 2)), t["W1"], t["b1"], stride)

    network = compare([L.Conv1D(2, 4, stride, "same")], (3, size), reference)
    assert network.output.shape[-1] == -(-size // stride)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize("rank", [1, 2])
def test_pooling(rank, kind, how):
    layer = {
        ("max", 1): L.MaxPool1D,
        ("max", 2): L.MaxPool2D,
        ("average", 1): L.AveragePool1D,
        ("average", 2): L.AveragePool2D,
    }[kind, rank]
    reference = getattr(F, f"{'max' if kind == 'max' else 'avg'}_pool{rank}d")

    @draws(how)
    @given(LENGTHS, st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4)), min_size=rank, max_size=rank))
    def check(sizes, windows):
        size, stride = (list(column) for column in zip(*windows, strict=True))
        compare([layer(size, stride)], (2, *sizes[:rank]), lambda t: reference(t["x"], size, stride), how=how)

    check()


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_of_equal_values_the_first_gets_the_gradient(stride):
    """Images of few different values, so that most windows hold ties; PyTorch too takes the first, row by row."""
    network = network_of([L.MaxPool2D(3, stride)], (1, 5, 7))

    @draws("many")
    @given(st.integers(0, 999))
    def check(seed):
        x = np.random.default_rng(seed).integers(0, 2, (2, 1, 5, 7)).astype(float)
        derivation = network.derive(["x"])
        expected = torch.tensor(x, requires_grad=True)
        output = F.max_pool2d(expected, 3, stride)
        y = np.random.default_rng(seed).normal(size=output.shape)
        (((output - torch.tensor(y)) ** 2).sum() / 4).backward()
        found = evaluate([*network.equations, *derivation.adjoints], {"x": x, "y": y})
        assert np.allclose(found["d_x"], expected.grad.numpy(), rtol=1e-12)

    check()


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("sample", [(3, 5), (2, 5, 3)])
def test_global_pooling(sample, how):
    axes = tuple(range(2, len(sample) + 1))
    compare([L.GlobalAveragePool()], sample, lambda t: t["x"].mean(axes), how=how)
    compare([L.GlobalMaxPool()], sample, lambda t: t["x"].amax(axes), how=how)


MOVES = {
    "flatten": (L.Flatten(), (3, 5, 2), lambda x: x.flatten(1)),
    "flatten_one_axis": (L.Chain([L.Flatten(), L.Activation(gl.tanh)]), (7,), torch.tanh),
    "reshape_split": (L.Reshape((5, 3, 2)), (30,), lambda x: x.reshape(-1, 5, 3, 2)),
    "reshape_join": (L.Reshape((3, -1)), (3, 5, 2), lambda x: x.reshape(-1, 3, 10)),
    "reshape_join_first": (L.Reshape((-1, 2)), (3, 5, 2), lambda x: x.reshape(-1, 15, 2)),
    "reshape_across": (L.Reshape((6, 6)), (4, 9), lambda x: x.reshape(-1, 6, 6)),
    "reshape_across_more": (L.Reshape((2, -1, 5)), (3, 5, 4), lambda x: x.reshape(-1, 2, 6, 5)),
    "permute": (L.Permute(3, 1, 2), (3, 5, 2), lambda x: x.permute(0, 3, 1, 2)),
    "slice": (L.Slice(1, 1, 6, 2), (7, 3), lambda x: x[:, 1:6:2]),
    "slice_last": (L.Slice(-1, -3), (2, 7), lambda x: x[..., -3:]),
    "slice_to_negative": (L.Slice(2, 1, -2), (2, 7), lambda x: x[..., 1:-2]),
    "parallel": (
        L.Parallel([L.Activation(gl.tanh), L.Slice(1, 2), L.Activation(gl.sigmoid)], 1),
        (5, 3),
        lambda x: torch.cat([torch.tanh(x), x[:, 2:], torch.sigmoid(x)], 1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", MOVES)
def test_moving_entries(name, how):
    layer, sample, reference = MOVES[name]
    compare([layer, L.Activation(gl.tanh)], sample, lambda t: torch.tanh(reference(t["x"])), how=how)


@pytest.mark.parametrize("how", HOW)
def test_symbolic_sizes(how):
    """One declaration for images of every size: H - K + 1 rows come out, and half of them after pooling."""
    C, H, W, O, K = gl.dims("C H W O K")
    compare(
        [L.Conv2D(O, K, activation=gl.tanh), L.AveragePool2D(2), L.GlobalMaxPool()],
        (C, H, W),
        lambda t: F.avg_pool2d(torch.tanh(F.conv2d(t["x"], t["W1"], t["b1"])), 2).amax((2, 3)),
        sizes={"C": 2, "H": 7, "W": 8, "O": 3, "K": 3},
        how=how,
    )


@pytest.mark.parametrize("how", HOW)
def test_small_convolutional_network(how):
    """LeNet-5 in small: convolution with padding, pooling, convolution, pooling, dense layers."""
    layers = [
        L.Conv2D(2, 3, padding=1, activation=gl.tanh),
        L.MaxPool2D(2),
        L.Conv2D(3, (2, 3), activation=gl.relu),
        L.AveragePool2D((2, 1)),
        L.Flatten(),
        L.Dense(5, gl.tanh),
        L.Dense(3),
    ]

    def reference(t):
        z = F.max_pool2d(torch.tanh(F.conv2d(t["x"], t["W1"], t["b1"], padding=1)), 2)
        z = F.avg_pool2d(torch.relu(F.conv2d(z, t["W3"], t["b3"])), (2, 1)).flatten(1)
        return F.linear(torch.tanh(F.linear(z, t["W6"], t["b6"])), t["W7"], t["b7"])

    compare(layers, (1, 7, 10), reference, batch=3, how=how)


C, H, W = gl.dims("C H W")


@pytest.mark.parametrize(
    ("layer", "sample", "gradients"),
    [
        (
            L.Conv2D(7, 3),
            (C, H, W),
            {
                "W1": "∂L/∂W1[o, j, k, l] = Σ_i,m,n δ1[i, o, m, n] x[i, j, k + m, l + n]",
                "x": "∂L/∂x[i, j, k, l] = Σ_m,n,p W1[m, j, n, p] δ1[i, m, k - n, l - p] "
                "[0 ≤ k - n < H - 2, 0 ≤ l - p < W - 2]",
            },
        ),
        (
            L.Conv2D(6, 3, groups=2),
            (4, 7, 11),
            {
                "W1": "∂L/∂W1[o, j, k, l] = Σ_i,m,n δ1[i, o, m, n] x[i, 2⌊o/3⌋ + j, k + m, l + n]",
                "x": "∂L/∂x[i, j, k, l] = Σ_m,n,p W1[3⌊j/2⌋ + m, j mod 2, n, p] δ1[i, 3⌊j/2⌋ + m, k - n, l - p] "
                "[0 ≤ k - n < 5, 0 ≤ l - p < 9]",
            },
        ),
        (
            L.DepthwiseConv2D(3, 2),
            (C, H, W),
            {
                "x": "∂L/∂x[i, j, k, l] = Σ_m,n,p W1[2j + m, n, p] δ1[i, 2j + m, k - n, l - p] "
                "[0 ≤ k - n < H - 2, 0 ≤ l - p < W - 2]"
            },
        ),
        (
            # The one input channel is no sum, and no delta is left of its fixed place.
            L.Conv1D(7, 3, bias=False),
            (1, H),
            {"W1": "∂L/∂W1[o, j, k] = Σ_i,l δ1[i, o, l] x[i, 0, k + l]"},
        ),
        (L.AveragePool2D(2), (C, 6, 8), {"x": "∂L/∂x[i, c, j, k] = 1/4 δ1[i, c, ⌊j/2⌋, ⌊k/2⌋]"}),
        (L.Flatten(), (C, H, W), {"x": "∂L/∂x[i, k, l, m] = 1/B (z1[i, H W k + W l + m] - y[i, H W k + W l + m])"}),
        (L.Reshape((-1, W)), (C, H, W), {"x": "∂L/∂x[i, k, l, j] = 1/B (z1[i, H k + l, j] - y[i, H k + l, j])"}),
        (L.Slice(1, 1), (7,), {"x": "∂L/∂x[i, k] = δ1[i, k - 1] [k ≥ 1]"}),
    ],
)
def test_gradients_print_as_in_textbooks(layer, sample, gradients):
    derivation = network_of([layer], sample).derive(tuple(gradients))
    assert {name: str(derivation[name]) for name in gradients} == gradients


def test_the_lectures_image_and_kernel():
    image = [[1, 0, 1, 0, 1], [1, 0, 0, 1, 1], [0, 1, 1, 0, 0], [1, 0, 0, 1, 0], [0, 0, 1, 1, 0]]
    kernel = [[0, 1, 0], [1, 0, -1], [0, 1, 0]]
    network = gl.Sequential([L.Conv2D(1, 3, bias=False)], (1, 5, 5))
    found = evaluate(network.equations, {"x": [[image]], "W1": [[kernel]]})["z1"]
    assert found[0, 0].tolist() == [[2, 1, -1], [-1, 1, 3], [2, 1, 1]]


@pytest.mark.parametrize(
    ("layer", "sample", "words"),
    [
        (L.Conv2D(3, 5), (1, 4, 7), "over 5 places does not fit along an axis of size 4"),
        (L.Conv2D(3, 3, dilation=3), (1, 6, 7), "over 7 places does not fit"),
        (L.Conv2D(3, 5, padding=1), (1, 2, 7), "with its padding of 2 in all"),
        (L.Conv1D(3, 5), (1, 4), "does not fit"),
        (L.MaxPool2D(3), (1, 7, 2), "over 3 places does not fit along an axis of size 2"),
        (L.AveragePool1D(3), (1, 2), "nothing would come out"),
        (L.ConvTranspose2D(3, 3, padding=2), (1, 1, 7), "nothing would be left of an axis of size 1"),
        (L.Conv2D(4, 3, groups=2), (3, 7, 7), "2 groups, which do not divide the 3 channels of x"),
        (L.Conv2D(3, 3, groups=2), (4, 7, 7), "2 groups, which do not divide the 3 filters"),
        (L.Conv2D(3, 3), (7, 7), "takes a tensor (B, C, H, W)"),
        (L.Conv1D(3, 3), (2, 7, 7), "takes a tensor (B, C, L)"),
        (L.MaxPool2D(2), (7,), "but x has shape (B, 7)"),
        (L.GlobalMaxPool(), (7,), "3 to 4 axes"),
        (L.Conv2D(3, 3, 2, "same"), (1, gl.Dim("H"), 7), "depends on the number that H stands for"),
        (L.Reshape((4, 2)), (3, 3), "9 entries for each sample, but shape (4, 2) has 8"),
        (L.Reshape((2, -1)), (3, 3), "cannot be divided"),
        (L.Permute(1, 1), (3, 5), "each of the axes 1 to 2"),
        (L.Slice(1, 3, 3), (7,), "0 ≤ start < stop"),
        (L.Slice(1, 0, 9), (7,), "0 ≤ start < stop"),
        (L.Slice(0), (7,), "axis 0 is the batch"),
        (L.Slice(1, step=0), (7,), "a whole number of at least 1"),
        (L.Parallel([L.Slice(1, 1), L.Activation(gl.tanh)]), (5, 3), "differ in another axis than 2"),
        (L.Parallel([]), (5, 3), "nothing to concatenate"),
    ],
)
def test_layers_that_do_not_fit(layer, sample, words):
    with pytest.raises(gl.ShapeError) as raised:
        gl.Sequential([layer], sample)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: L.Conv2D(3, 0), "a size must be positive"),
        (lambda: L.Conv2D(3, (3, 3, 3)), "one value or 2"),
        (lambda: L.Conv1D(3, 3, stride=0), "whole numbers of at least 1"),
        (lambda: L.Conv2D(3, 3, padding=-1), "whole numbers of at least 0"),
        (lambda: L.Conv2D(3, 3, padding="full"), "'valid', 'same' or whole numbers"),
        (lambda: L.ConvTranspose2D(3, 3, stride=2, output_padding=2), "smaller than one of them"),
        (lambda: L.MaxPool2D(2, 1.5), "whole numbers of at least 1"),
    ],
)
def test_options_that_are_no_sizes(make, words):
    with pytest.raises(gl.ShapeError) as raised:
        make()
    assert words in str(raised.value)


B, C, H, n, m = gl.dims("B C H n m")
i, j, k, t = gl.indices("i j k t")


@pytest.mark.parametrize(
    ("declare", "error", "words"),
    [
        (lambda net, x: net.define("y", (i, 2 * j), x[i, j]), gl.IndexingError, "would leave holes"),
        (lambda net, x: net.define("y", (i, j + 1), x[i, j]), gl.IndexingError, "would leave holes"),
        (lambda net, x: net.define("y", (i, j), x[i, i * j], shape=(B, n)), gl.IndexingError, "index i*j in x[i, i*j]"),
        (lambda net, x: net.define("y", (i, j), x[i, j**2], shape=(B, n)), gl.IndexingError, "index j**2"),
        (lambda net, x: net.define("y", (i, j), x[i, j + 1], shape=(B, n)), gl.IndexingError, "leaves axis 1 of x"),
        (lambda net, x: net.define("y", (i, j), x[i, 2 * j], shape=(B, n)), gl.IndexingError, "leaves axis 1 of x"),
        (lambda net, x: net.define("y", (i, j), x[i, j], shape=(B, 0)), gl.ShapeError, "a size must be positive"),
        (lambda net, x: net.input("q", (B, 0)), gl.ShapeError, "a size must be positive"),
    ],
)
def test_indices_that_are_not_read(declare, error, words):
    net = gl.Network("bad")
    x = net.input("x", (B, n))
    with pytest.raises(error) as raised:
        declare(net, x)
    assert words in str(raised.value)
    assert "y" not in net.tensors, "nothing is added"
