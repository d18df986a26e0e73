"""Every layer against PyTorch in float64, in a small network, at random sizes that are distinct primes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch_layers import LayerCase, distinct

import gradloom as gl
from gradloom.symbolic.layers import (
    Activation,
    Attention,
    Chain,
    Dense,
    Embedding,
    GroupNorm,
    LayerNorm,
    Positions,
    Residual,
    RMSNorm,
    TiedDense,
    TransformerBlock,
)

T, n, m, h = gl.dims("T n m h")
SIZES = distinct("B", "T", "n", "m", "h")


def dense(x, w, place):
    return F.linear(x, w[f"W{place}"], w.get(f"b{place}"))


def norm(x, w, place, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], w.get(f"gamma{place}"), w.get(f"beta{place}"), eps)


def groups(x, w, place, count, eps=1e-5):
    return F.group_norm(x, count, w.get(f"gamma{place}"), w.get(f"beta{place}"), eps)


def group_norms(x, w):
    return groups(groups(x, w, 1, 3), w, 2, x.shape[1] // 3)


def attention(x, w, place, causal=False, mask=None):
    """By PyTorch's own attention, of queries, keys and values (B, heads, T, head_units)."""

    def projected(name):
        made = torch.einsum("hdk,itk->ihtd", w[f"W{name}{place}"], x)
        bias = w.get(f"b{name}{place}")
        return made if bias is None else made + bias[:, None, :]

    seen = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool)
    seen = seen.tril() if causal else seen
    seen = seen if mask is None else seen & (w[mask] > 0)[:, None, None, :]
    o = F.scaled_dot_product_attention(projected("q"), projected("k"), projected("v"), attn_mask=seen)
    W = w[f"Wo{place}"].flatten(1)
    return F.linear(o.transpose(1, 2).flatten(2), W, w.get(f"bo{place}"))


def padding(rng, shape):
    """Some positions masked, but never the first: PyTorch gives NaN where nothing may be seen."""
    made = rng.integers(0, 2, shape).astype(float)
    made[:, 0] = 1
    return made


def tied(x, w):
    hidden = torch.sigmoid(dense(x, w, 1))
    return torch.tanh(F.linear(hidden, w["W1"].T, w["b2"]))


def autoencoder():
    encoder = Dense(m, gl.sigmoid)
    return [encoder, TiedDense(encoder, gl.tanh)]


def block(x, w, place, **options):
    x = x + attention(norm(x, w, f"{place}_1_1"), w, f"{place}_1_2", **options)
    hidden = F.gelu(dense(norm(x, w, f"{place}_2_1"), w, f"{place}_2_2"))
    return x + dense(hidden, w, f"{place}_2_3")


def words(x, w):
    return w["E1"][x]


CASES = {
    "layer_norm": LayerCase([Dense(m), LayerNorm()], (n,), lambda x, w: norm(dense(x, w, 1), w, 2)),
    "layer_norm_plain": LayerCase([LayerNorm(0.1, affine=False)], (T, n), lambda x, w: norm(x, w, 1, 0.1)),
    "layer_norm_axes": LayerCase([LayerNorm(), Dense(m)], (T, n), lambda x, w: dense(norm(x, w, 1), w, 2)),
    "rms_norm": LayerCase(
        [Dense(m), RMSNorm()], (n,), lambda x, w: F.rms_norm(dense(x, w, 1), w["gamma2"].shape, w["gamma2"], 1e-5)
    ),
    "rms_norm_plain": LayerCase(
        [RMSNorm(0.1, affine=False), Dense(m)], (T, n), lambda x, w: dense(F.rms_norm(x, x.shape[-1:], eps=0.1), w, 2)
    ),
    "group_norm": LayerCase([GroupNorm(3), GroupNorm(m)], (3 * m, T, h), group_norms),
    "group_norm_sequence": LayerCase(
        [GroupNorm(n, 0.1), Dense(m)],
        (5 * n, T),
        lambda x, w: dense(groups(x, w, 1, len(w["gamma1"]) // 5, 0.1), w, 2),
    ),
    "group_norm_features": LayerCase(
        [Dense(5 * m), GroupNorm(5, affine=False)], (n,), lambda x, w: groups(dense(x, w, 1), w, 2, 5)
    ),
    "group_norm_each_channel": LayerCase([GroupNorm(m)], (m, T), lambda x, w: groups(x, w, 1, x.shape[1])),
    "embedding": LayerCase([Embedding(h, n), Dense(m)], (), lambda x, w: dense(words(x, w), w, 2), classes=h),
    "embedding_positions": LayerCase(
        [Embedding(h, n), Positions(), Dense(m, gl.tanh)],
        (T,),
        lambda x, w: torch.tanh(dense(words(x, w) + w["P2"], w, 3)),
        classes=h,
    ),
    "residual": LayerCase(
        [Residual([Dense(m, gl.tanh), Dense(n)]), Residual(Dense(n, gl.sigmoid))],
        (n,),
        lambda x, w: (
            (y := x + dense(torch.tanh(dense(x, w, "1_1")), w, "1_2")) + torch.sigmoid(dense(y, w, "2_1"))
        ),
    ),
    "chain": LayerCase(
        [Chain([Dense(m), Chain([Activation(gl.softmax), Dense(n)])]), Dense(h)],
        (T, n),
        lambda x, w: dense(dense(F.softmax(dense(x, w, "1_1"), -1), w, "1_2_2"), w, 2),
    ),
    "tied": LayerCase(autoencoder, (n,), tied),
    "sparse": LayerCase(
        [Dense(m, gl.tanh), Dense(n)],
        (n,),
        lambda x, w: dense(torch.tanh(dense(x, w, 1)), w, 2),
        options={"penalties": [gl.losses.ActivityL1(0.3, "a1")]},
        penalty=lambda x, w: 0.3 * torch.tanh(dense(x, w, 1)).abs().sum() / len(x),
    ),
    "attention": LayerCase([Attention(h, m)], (T, n), lambda x, w: attention(x, w, 1)),
    "attention_no_bias": LayerCase([Attention(h, m, bias=False)], (T, n), lambda x, w: attention(x, w, 1)),
    "attention_causal": LayerCase([Attention(h, m, causal=True)], (T, n), lambda x, w: attention(x, w, 1, causal=True)),
    "attention_masked": LayerCase(
        [Attention(h, m, mask="seen"), Attention(3, m, mask="seen")],
        (T, n),
        lambda x, w: attention(attention(x, w, 1, mask="seen"), w, 2, mask="seen"),
        inputs={"seen": padding},
    ),
    "attention_causal_masked": LayerCase(
        [Attention(h, m, causal=True, mask="seen")],
        (T, n),
        lambda x, w: attention(x, w, 1, causal=True, mask="seen"),
        inputs={"seen": padding},
    ),
    "block": LayerCase([TransformerBlock(6, 2, m)], (T, 6), lambda x, w: block(x, w, 1)),
    "words": LayerCase(
        [Embedding(h, 6), Positions(), TransformerBlock(6, 3, m, causal=True), Dense(n)],
        (T,),
        lambda x, w: dense(block(words(x, w) + w["P2"], w, 3, causal=True), w, 4),
        classes=h,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_numpy_target(name):
    CASES[name].at_random_sizes(SIZES, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_numpy_target_at_many_sizes(name):
    CASES[name].at_random_sizes(SIZES, 25)


@pytest.mark.parametrize("name", CASES)
def test_cpu_source(name):
    CASES[name].check({"B": 3, "T": 5, "n": 7, "m": 3, "h": 2}, 1, ["cpu"])


@pytest.mark.parametrize("name", ["layer_norm", "embedding_positions", "attention_causal_masked"])
def test_the_equations_themselves(name):
    CASES[name].check({"B": 3, "T": 4, "n": 5, "m": 2, "h": 2}, 4, ["interpreter"])


def test_sizes_that_are_numbers():
    """The literal sizes of a usual declaration: n / heads units per head, all in one go."""
    case = LayerCase(
        [Embedding(11, 6), Positions(), TransformerBlock(6, 2, 7, causal=True), LayerNorm(), Dense(11)],
        (5,),
        lambda x, w: dense(norm(block(words(x, w) + w["P2"], w, 3, causal=True), w, 4), w, 5),
        classes=11,
    )
    case.check({"B": 3}, 2, ["numpy", "cpu"])


def test_a_row_where_nothing_may_be_seen_has_a_finite_gradient():
    case = LayerCase([Attention(1, m, mask="seen")], (T, n), None, inputs={"seen": lambda rng, shape: np.zeros(shape)})
    sizes = {"B": 3, "T": 5, "n": 7, "m": 3}
    values = case.values(sizes, 3)
    _, _, gradients = case.found(values, sizes, "numpy")
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())
    assert not gradients["Wq1"].any(), "no score is read"
    mean = np.einsum("hdk,itk->ihd", values["Wv1"], values["x"]) / 5 + values["bv1"]
    z = np.einsum("jhd,ihd->ij", values["Wo1"], mean) + values["bo1"]
    expected = np.repeat((z - 0)[:, None, :], 5, axis=1)
    assert np.allclose(case.found(values, sizes, "numpy")[0], expected, rtol=1e-12)


def test_group_norm_derives_the_three_terms():
    """As for layer norm: the gradient, less its mean, less what it has along the normalised values."""
    H, W = gl.dims("H W")
    network = gl.Sequential([GroupNorm(2)], (6, H, W), loss=gl.losses.SquaredError())
    printed = [str(adjoint) for adjoint in network.derive(["x"]).adjoints]
    assert (
        "∂L/∂v1[i, g, c, h, w] = 1/(3 H W) (3 H W ∂L/∂xh1[i, g, c, h, w] - Σ_j,k,l ∂L/∂xh1[i, g, j, k, l] "
        "- xh1[i, g, c, h, w] Σ_j,k,l ∂L/∂xh1[i, g, j, k, l] xh1[i, g, j, k, l]) r1[i, g]"
    ) in printed
    assert "∂L/∂x[i, j, h, w] = ∂L/∂v1[i, ⌊j/3⌋, j mod 3, h, w]" in printed


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: gl.Sequential([GroupNorm(2)], (7, 3)), gl.ShapeError, r"2 groups, which do not divide the 7 channels"),
        (lambda: gl.Sequential([GroupNorm(2)], (n,)), gl.ShapeError, r"2 groups, which do not divide the n channels"),
        (lambda: gl.Sequential([GroupNorm(4)], (2,)), gl.ShapeError, r"4 groups, which do not divide the 2 channels"),
        (lambda: gl.Sequential([GroupNorm(1)], (2, 3, 4, 5)), gl.ShapeError, "2 to 4 axes"),
        (lambda: GroupNorm(0), gl.ShapeError, "groups of GroupNorm"),
        (lambda: GroupNorm(2, eps=-1), gl.DataError, "eps of GroupNorm"),
    ],
)
def test_group_norm_refuses(make, error, words):
    with pytest.raises(error, match=words):
        make()
