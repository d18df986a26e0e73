"""Gradients as textbooks and papers give them, in the notation of gradloom's text: what the gallery is compared with.

Each row: the title of the network in the gallery, the tensor whose gradient it is, the form of the source, the source.
σ′ and the like are written out, as the sources define them; a loss that a source leaves open is that of the network.
"After" a source means that it gives the rule and not this formula, which was put together from it by hand.
"""

from __future__ import annotations

NIELSEN = "Nielsen, Neural Networks and Deep Learning (2015), ch. 2"
GOODFELLOW = "Goodfellow, Bengio and Courville, Deep Learning (2016)"
GREFF = "Greff et al., LSTM: A Search Space Odyssey (2017), appendix A"
DAO = "Dao et al., FlashAttention (2022), appendix B.2"
BATCH_NORM = "Ioffe and Szegedy (2015), section 3, put together as in the notes of Stanford's cs231n"

TEXTBOOK = [
    ("2-2-2 perceptron", "z2", "1/B (a2 - y) ⊙ a2 ⊙ (1 - a2)", f"{NIELSEN}, BP1a"),
    ("2-2-2 perceptron", "z1", "(W2ᵀ δ2) ⊙ a1 ⊙ (1 - a1)", f"{NIELSEN}, BP2"),
    ("2-2-2 perceptron", "b1", "δ1 𝟏", f"{NIELSEN}, BP3"),
    ("2-2-2 perceptron", "W1", "δ1 xᵀ", f"{NIELSEN}, BP4"),
    ("3-4-1 perceptron", "z2", "1/B (a2 - y) ⊙ a2 ⊙ (1 - a2)", f"{NIELSEN}, BP1a"),
    ("3-4-1 perceptron", "z1", "(W2ᵀ δ2) ⊙ a1 ⊙ (1 - a1)", f"{NIELSEN}, BP2"),
    (
        "Softmax with cross-entropy",
        "z2",
        "1/B (p - y)",
        "Bishop, Pattern Recognition and Machine Learning (2006), (4.109)",
    ),
    ("Softmax with cross-entropy", "z1", "(W2ᵀ δ2) ⊙ [z1 > 0]", f"{NIELSEN}, BP2"),
    (
        "Convolution, stride 1, padding 1",
        "W1",
        "Σ_i,p,q δ1[i, o, p, q] x[i, j, p + k - 1, q + l - 1]",
        f"{GOODFELLOW}, (9.11)",
    ),
    ("Convolution, stride 2", "W1", "Σ_i,p,q δ1[i, o, p, q] x[i, j, 2p + k, 2q + l]", f"{GOODFELLOW}, (9.11)"),
    (
        "LeNet-5",
        "z2",
        "Σ_o,k,l W3[o, c, k, l] δ3[i, o, p - k, q - l]",
        f"{GOODFELLOW}, (9.13), stride 1",
    ),
    ("LeNet-5", "z7", "(W8ᵀ δ8) ⊙ (1 - a7²)", f"{NIELSEN}, BP2"),
    (
        "Max pooling",
        "z1",
        "1/B (a2[i, o, ⌊p/2⌋, ⌊q/2⌋] - y[i, o, ⌊p/2⌋, ⌊q/2⌋])"
        " [(p mod 2, q mod 2) = argmax_j,k z1[i, o, 2⌊p/2⌋ + j, 2⌊q/2⌋ + k]]",
        "after LeCun et al. (1998) and the notes of Stanford's cs231n: to the maximum of the window",
    ),
    (
        "Average pooling, overlapping",
        "z1",
        "1/9 Σ_k,j 1/B (z2[i, o, k, j] - y[i, o, k, j])",
        "after LeCun et al. (1998), section II: a linear layer of equal weights",
    ),
    (
        "Simple recurrent network",
        "z",
        "(Uᵀ δ_{t+1} + 1/B (h_t - y_t)) ⊙ (1 - h_t²)",
        f"{GOODFELLOW}, (10.19) to (10.21)",
    ),
    ("Simple recurrent network", "W", "Σ_t δ_t x_tᵀ", f"{GOODFELLOW}, (10.28)"),
    ("Simple recurrent network", "U", "Σ_t δ_t h_{t-1}ᵀ", f"{GOODFELLOW}, (10.26)"),
    (
        "LSTM",
        "h1",
        "1/B (h1_t - y_t) + Ug1ᵀ δg1_{t+1} + Ui1ᵀ δi1_{t+1} + Uf1ᵀ δf1_{t+1} + Uo1ᵀ δo1_{t+1}",
        GREFF,
    ),
    ("LSTM", "zo1", "∂L/∂h1_t ⊙ tanh(c1_t) ⊙ o1_t ⊙ (1 - o1_t)", GREFF),
    ("LSTM", "c1", "∂L/∂h1_t ⊙ o1_t ⊙ (1 - tanh(c1_t)²) + ∂L/∂c1_{t+1} ⊙ f1_{t+1}", GREFF),
    ("LSTM", "zf1", "∂L/∂c1_t ⊙ c1_{t-1} ⊙ f1_t ⊙ (1 - f1_t)", GREFF),
    ("LSTM", "zi1", "∂L/∂c1_t ⊙ g1_t ⊙ i1_t ⊙ (1 - i1_t)", GREFF),
    ("LSTM", "zg1", "∂L/∂c1_t ⊙ i1_t ⊙ (1 - g1_t²)", GREFF),
    (
        "Batch normalisation",
        "z1",
        "1/B (B ∂L/∂h2 - ∂L/∂h2 𝟏 - h2 ⊙ (∂L/∂h2 ⊙ h2) 𝟏) ⊙ r2",
        BATCH_NORM,
    ),
    ("Batch normalisation", "gamma2", "(∂L/∂a2 ⊙ h2) 𝟏", "Ioffe and Szegedy (2015), section 3"),
    (
        "Layer normalisation",
        "z1",
        "1/m (m ∂L/∂xh2 - 𝟏ᵀ ∂L/∂xh2 - xh2 ⊙ 𝟏ᵀ (∂L/∂xh2 ⊙ xh2)) ⊙ r2",
        "after Xu et al., Understanding and Improving Layer Normalization (2019), section 3, in the form of batch norm",
    ),
    (
        "RMS normalisation",
        "z1",
        "(gamma2 ⊙ ∂L/∂a2 - 1/m z1 ⊙ r2² ⊙ 𝟏ᵀ (gamma2 ⊙ ∂L/∂a2 ⊙ z1)) ⊙ r2",
        "after Zhang and Sennrich, Root Mean Square Layer Normalization (2019), section 4",
    ),
    ("Multi-head attention", "V", "P_{b,h}ᵀ ∂L/∂O_{b,h}", DAO),
    ("Multi-head attention", "P", "∂L/∂O_{b,h} V_{b,h}ᵀ", DAO),
    ("Multi-head attention", "S", "P_{b,h} ⊙ (∂L/∂P_{b,h} - (P_{b,h} ⊙ ∂L/∂P_{b,h}) 𝟏)", DAO),
    ("Multi-head attention", "Q", "1/sqrt(D) ∂L/∂S_{b,h} K_{b,h}", DAO),
    ("Multi-head attention", "K", "1/sqrt(D) (∂L/∂S_{b,h})ᵀ Q_{b,h}", DAO),
    (
        "Transformer block",
        "z1_2_2",
        "∂L/∂a1_2_{i} W1_2_3 ⊙ (1/2 (1 + erf(1/sqrt(2) z1_2_2_{i})) + z1_2_2_{i} ⊙ 1/sqrt(2 pi) exp(-1/2 z1_2_2_{i}²))",
        "after Hendrycks and Gimpel, Gaussian Error Linear Units (2016): (x Φ(x))′ = Φ(x) + x φ(x)",
    ),
    (
        "Transformer block",
        "z1_1_2",
        "1/12 (12 ∂L/∂xh1_2_1_{i} - ∂L/∂xh1_2_1_{i} 𝟏 - xh1_2_1_{i} ⊙ (∂L/∂xh1_2_1_{i} ⊙ xh1_2_1_{i}) 𝟏) ⊙ r1_2_1_{i}"
        " + ∂L/∂a1_2_{i}",
        "after layer normalisation as above, and He et al., Identity Mappings (2016), (5)",
    ),
    (
        "Transposed convolution",
        "x",
        "Σ_o,p,q δ1[i, o, p, q] W1[j, o, p - 2k, q - 2l]",
        "after Dumoulin and Visin, A Guide to Convolution Arithmetic (2016), section 4",
    ),
    (
        "Depthwise and grouped convolution, dilated",
        "x",
        "Σ_l,m W1[o, l, m] δ1[i, o, j + 2 - 2l, k + 2 - 2m]",
        f"after {GOODFELLOW}, (9.13)",
    ),
    ("GRU", "zn1", "∂L/∂h1_t ⊙ (1 - u1_t) ⊙ (1 - n1_t²)", "after Cho et al. (2014), section 2.3"),
    ("GRU", "zu1", "∂L/∂h1_t ⊙ (h1_{t-1} - n1_t) ⊙ u1_t ⊙ (1 - u1_t)", "after Cho et al. (2014), section 2.3"),
    ("GRU", "zr1", "δn1_t ⊙ s1_t ⊙ r1_t ⊙ (1 - r1_t)", "after Cho et al. (2014), section 2.3"),
    (
        "Bidirectional recurrence with a mask",
        "z1_1",
        "∂L/∂h1_1_{t} ⊙ seen_t ⊙ (1 - tanh(z1_1_{t})²)",
        f"after {GOODFELLOW}, (10.21)",
    ),
    (
        "Group normalisation",
        "v2",
        "1/27 r2[i, g] (27 ∂L/∂xh2_{i,g} - ⟨𝟏, ∂L/∂xh2_{i,g}⟩ - xh2_{i,g} ⟨∂L/∂xh2_{i,g}, xh2_{i,g}⟩)",
        "after Wu and He, Group Normalization (2018), in the form of batch norm",
    ),
    ("Embedding and positions", "a2", "W3ᵀ δ3_t", f"{NIELSEN}, BP2"),
    ("Embedding and positions", "E1", "Σ_t onehot(x_t) (∂L/∂a2_t)ᵀ", f"{NIELSEN}, BP4, of a one-hot input"),
    ("Causal attention", "v1", "p1_{i,h}ᵀ ∂L/∂o1_{i,h}", DAO),
    (
        "Causal attention",
        "s1",
        "[u ≤ t] p1[i, h, t, u] (∂L/∂p1[i, h, t, u] - Σ_j p1[i, h, t, j] ∂L/∂p1[i, h, t, j])",
        DAO,
    ),
    (
        "Contrastive divergence",
        "W",
        "δk held(vk)ᵀ + δ vᵀ",
        "Hinton, Training Products of Experts (2002): what the data say less what the reconstruction says",
    ),
    (
        "Forward mode: a Jacobian-vector product",
        "W2",
        "∂L̇/∂z2 a1ᵀ + ∂L̇/∂ż2 ȧ1ᵀ",
        "after Pearlmutter, Fast Exact Multiplication by the Hessian (1994)",
    ),
    (
        "Gauss-Newton product",
        "z1",
        "(W2ᵀ δ̇2) ⊙ (1 - a1²)",
        "after Schraudolph, Fast Curvature Matrix-Vector Products (2002)",
    ),
    ("Dropout", "z1", "(W3ᵀ δ3) ⊙ 4/3 [u2 ≥ 1/4] ⊙ [z1 > 0]", "after Srivastava et al. (2014), section 5.1"),
    ("Residual block", "z1_1", "(W1_2ᵀ δ1_2) ⊙ [z1_1 > 0]", f"{NIELSEN}, BP2"),
    (
        "Autoencoder with tied weights",
        "W",
        "δ1 xᵀ + a1 δ2ᵀ",
        "after Vincent et al. (2010), section 2.2: both uses of W add",
    ),
    (
        "Free energy of a restricted Boltzmann machine",
        "W",
        "δ vᵀ",
        "Fischer and Igel, An Introduction to Restricted Boltzmann Machines (2012): the positive phase",
    ),
    (
        "Free energy of a restricted Boltzmann machine",
        "z",
        "-1/B sigmoid(z)",
        "Fischer and Igel (2012): p(h = 1 | v) = sigmoid(z)",
    ),
    (
        "Hessian-vector product of logistic regression",
        "z",
        "1/B p ⊙ (1 - p) ⊙ (v_wᵀ x + v_b)",
        "Bishop (2006), (4.97): H = Φᵀ R Φ",
    ),
]  # fmt: skip
