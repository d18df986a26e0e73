"""Indices that run over the first places of an axis alone: slices from the start, and what is concatenated first."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch_compare import compare, network_of

import gradloom as gl
from gradloom.codegen.generate import generate
from gradloom.symbolic import layers as L

both = pytest.mark.parametrize("how", ["evaluate", "numpy", "cpu"])


def dense(t, place, x):
    return F.linear(x, t[f"W{place}"], t[f"b{place}"])


@both
@pytest.mark.parametrize("part", [(1, 0, 2), (1, None, 3), (2, 0, -1), (-1, 0, 1)])
def test_a_slice_from_the_start(part, how):
    axis, start, stop = part
    where = [slice(None)] * 3
    where[axis] = slice(start, stop)
    layers = [L.Activation(gl.tanh), L.Slice(axis, start or 0, stop), L.Activation(gl.sigmoid)]
    compare(layers, (5, 3), lambda t: torch.sigmoid(torch.tanh(t["x"])[tuple(where)]), how=how)


@both
def test_a_product_behind_a_slice(how):
    """The adjoint of the first layer is guarded, and the product in it reads no further than the second's weights."""
    layers = [L.Dense(7), L.Slice(1, 0, 3), L.Dense(5, gl.tanh)]
    compare(layers, (11,), lambda t: torch.tanh(dense(t, 3, dense(t, 1, t["x"])[:, :3])), batch=5, how=how)


@both
def test_products_with_the_first_part_of_what_is_concatenated(how):
    layers = [L.Dense(5, gl.tanh), L.Parallel([L.Dense(7), L.Dense(3, gl.sigmoid)])]

    def reference(t):
        h = torch.tanh(dense(t, 1, t["x"]))
        return torch.cat([dense(t, "2_1", h), torch.sigmoid(dense(t, "2_2", h))], -1)

    compare(layers, (11,), reference, how=how)


@both
def test_a_part_and_the_whole_are_not_shared(how):
    """∂L/∂Wo of the first part and ∂L/∂P read the same adjoint, over some of its steps and over all of them."""
    attention = L.Attention(2, 3)
    layers = [L.Parallel([attention, L.Activation(gl.tanh)], axis=1), L.Positions(), L.Activation(gl.tanh)]

    def reference(t):
        q, k, v = (
            torch.einsum("hdk,itk->ihtd", t[f"W{name}1_1"], t["x"])
            + (0 if name == "k" else t[f"b{name}1_1"][:, None, :])
            for name in "qkv"
        )
        o = F.scaled_dot_product_attention(q, k, v)
        z = torch.einsum("jhd,ihtd->itj", t["Wo1_1"], o) + t["bo1_1"]
        return torch.tanh(torch.cat([z, torch.tanh(t["x"])], 1) + t["P2"])

    compare(layers, (2, 5), reference, batch=3, how=how)


def test_a_part_of_a_matrix_is_not_printed_as_the_matrix():
    derivation = network_of([L.Slice(1, 0, 2), L.Dense(3)], (5,)).derive()
    assert "z1[i, j] = x[i, j]" in str(derivation)
    derivation = network_of([L.Dense(3), L.Parallel([L.Dense(7), L.Dense(2)])], (5,)).derive()
    assert "∂L/∂W2_1[j, k] = Σ_i δ2[i, j] z1[i, k]" in str(derivation)
    assert "∂L/∂W2_2 = δ2_2 z1ᵀ" in str(derivation)


@pytest.mark.parametrize("target", ["numpy", "cpu"])
def test_the_logarithm_of_a_softmax_of_a_state(target):
    """It is taken of the softmax's definition, which reads the state as it is stored: time first."""
    net = gl.Sequential([L.RNN(5), L.Activation(gl.softmax)], (3, 2), loss=gl.losses.CrossEntropy())
    assert "z2" not in net.tensors
    assert generate(net, target=target).source


@both
@pytest.mark.parametrize("size", [4, 7])
def test_a_stride_that_leaves_places_over(size, how):
    compare([L.Conv1D(5, 1, 2)], (3, size), lambda t: F.conv1d(t["x"], t["W1"], t["b1"], 2), how=how)
