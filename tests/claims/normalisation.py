"""Claims about batch, layer and RMS normalisation."""

# ruff: noqa: E501 - formulas stand on one line, as their sources print them
from __future__ import annotations

from gradloom.symbolic.claims.errors import AmbiguousClaimError

from .case import right, wrong

IOFFE = "Ioffe and Szegedy, Batch Normalization, 2015, section 3"
KRATZERT = "Kratzert, Understanding the backward pass through Batch Normalization Layer, 2016"
CS231N = "CS231n, assignment 2, batchnorm_backward_alt, 2017, as posted and reported wrong three times"
BA = "Ba, Kiros and Hinton, Layer Normalization, 2016"
ZHANG = "Zhang and Sennrich, Root Mean Square Layer Normalization, 2019"

CASES = [
    right("bn-mean", "batch_norm", r"\mu_B = \frac1m \sum_{i=1}^m x_i", f"{IOFFE}, algorithm 1"),
    right("bn-var", "batch_norm", r"\sigma_B^2 = \frac1m \sum_{i=1}^m (x_i - \mu_B)^2", f"{IOFFE}, algorithm 1"),
    right(
        "bn-hat", "batch_norm", r"\hat x_i = \frac{x_i - \mu_B}{\sqrt{\sigma_B^2 + \epsilon}}", f"{IOFFE}, algorithm 1"
    ),
    right("bn-y", "batch_norm", r"y_i = \gamma \hat x_i + \beta", f"{IOFFE}, algorithm 1"),
    right(
        "bn-dhat",
        "batch_norm",
        r"\frac{\partial \ell}{\partial \hat x_i} = \frac{\partial \ell}{\partial y_i} \cdot \gamma",
        IOFFE,
    ),
    right(
        "bn-dvar",
        "batch_norm",
        r"\frac{\partial \ell}{\partial \sigma_B^2} = \sum_{i=1}^m \frac{\partial \ell}{\partial \hat x_i} \cdot (x_i - \mu_B)"
        r" \cdot \frac{-1}{2} (\sigma_B^2 + \epsilon)^{-3/2}",
        IOFFE,
    ),
    right(
        "bn-dmean",
        "batch_norm",
        r"\frac{\partial \ell}{\partial \mu_B} = \left(\sum_{i=1}^m \frac{\partial \ell}{\partial \hat x_i} \cdot"
        r" \frac{-1}{\sqrt{\sigma_B^2 + \epsilon}}\right) + \frac{\partial \ell}{\partial \sigma_B^2} \cdot"
        r" \frac{\sum_{i=1}^m -2 (x_i - \mu_B)}{m}",
        IOFFE,
    ),
    right(
        "bn-dx",
        "batch_norm",
        r"\frac{\partial \ell}{\partial x_i} = \frac{\partial \ell}{\partial \hat x_i} \cdot \frac{1}{\sqrt{\sigma_B^2 + \epsilon}} +"
        r" \frac{\partial \ell}{\partial \sigma_B^2} \cdot \frac{2 (x_i - \mu_B)}{m} + \frac{\partial \ell}{\partial \mu_B} \cdot \frac1m",
        IOFFE,
    ),
    right(
        "bn-dgamma",
        "batch_norm",
        r"\frac{\partial \ell}{\partial \gamma} = \sum_{i=1}^m \frac{\partial \ell}{\partial y_i} \cdot \hat x_i",
        IOFFE,
    ),
    right(
        "bn-dbeta",
        "batch_norm",
        r"\frac{\partial \ell}{\partial \beta} = \sum_{i=1}^m \frac{\partial \ell}{\partial y_i}",
        IOFFE,
    ),
    right(
        "bn-dmean-short",
        "batch_norm",
        r"\frac{\partial \ell}{\partial \mu_B} = -\sum_{i=1}^m \frac{\partial \ell}{\partial \hat x_i} \frac{1}{\sqrt{\sigma_B^2 + \epsilon}}",
        f"{IOFFE}, the second term being 0",
    ),
    right(
        "bn-matrix-dx",
        "batch_norm_matrix",
        r"dx = \frac{\gamma r}{N} \left(N dy - \sum dy - \hat x \sum dy\, \hat x\right)",
        CS231N,
    ),
    right(
        "bn-matrix-dx-entries",
        "batch_norm_matrix",
        r"\frac{\partial L}{\partial x_{ij}} = \frac{\gamma_j r_j}{N} \left(N dy_{ij} - \sum_k dy_{kj} - \hat x_{ij} \sum_k dy_{kj} \hat x_{kj}\right)",
        CS231N,
    ),
    right(
        "bn-matrix-dmu",
        "batch_norm_matrix",
        r"d\mu = -\sum d\hat x\, r",
        "a line of a published derivation, the term of the variance being 0",
    ),
    right(
        "bn-matrix-dvar",
        "batch_norm_matrix",
        r"d\sigma^2 = -\frac12 \sum dy\, \gamma (x-\mu)\, r^3",
        f"{KRATZERT}, joined",
    ),
    right("bn-matrix-dgamma", "batch_norm_matrix", r"d\gamma = \sum_i dy_i \odot \hat x_i", KRATZERT),
    right("bn-matrix-dbeta", "batch_norm_matrix", r"d\beta = \sum_{i=1}^N dy_i", KRATZERT),
    wrong(
        "bn-matrix-dvar-gamma",
        "batch_norm_matrix",
        r"d\sigma^2 = -\tfrac12\sum dy\,(x-\mu)\,r^3",
        "a published derivation of the backward pass of batch normalisation, γ lost",
        "missing factor",
    ),
    wrong(
        "bn-matrix-dvar-power",
        "batch_norm_matrix",
        r"d\sigma^2 = -\frac12 \sum dy\, \gamma (x-\mu)\, r^2",
        "mutation of bn-matrix-dvar",
        "wrong power",
    ),
    wrong(
        "bn-matrix-dx-dropped",
        "batch_norm_matrix",
        r"dx = \frac{\gamma r}{N} \left(N dy - \sum dy\right)",
        "mutation of bn-matrix-dx: the variance taken for a constant",
        "dropped term",
        slow=True,
    ),
    wrong(
        "bn-matrix-dx-simple",
        "batch_norm_matrix",
        r"dx = \gamma r\, dy",
        "mean and variance taken for constants",
        None,
    ),
    wrong(
        "bn-matrix-dx-sign",
        "batch_norm_matrix",
        r"dx = \frac{\gamma r}{N} \left(N dy - \sum dy + \hat x \sum dy\, \hat x\right)",
        "mutation of bn-matrix-dx",
        "sign",
        slow=True,
    ),
    wrong(
        "bn-dvar-factor",
        "batch_norm",
        r"\frac{\partial \ell}{\partial \sigma_B^2} = \sum_{i=1}^m \frac{\partial \ell}{\partial \hat x_i} \cdot (x_i - \mu_B)"
        r" \cdot (-1) (\sigma_B^2 + \epsilon)^{-3/2}",
        "mutation of bn-dvar",
        "factor",
    ),
    wrong(
        "bn-dvar-power",
        "batch_norm",
        r"\frac{\partial \ell}{\partial \sigma_B^2} = \sum_{i=1}^m \frac{\partial \ell}{\partial \hat x_i} \cdot (x_i - \mu_B)"
        r" \cdot \frac{-1}{2} (\sigma_B^2 + \epsilon)^{-1/2}",
        "mutation of bn-dvar",
        "wrong power",
    ),
    wrong(
        "bn-dgamma-no-sum",
        "batch_norm",
        r"\frac{\partial \ell}{\partial \gamma} = \frac{\partial \ell}{\partial y_i} \cdot \hat x_i",
        "mutation of bn-dgamma",
        "missing sum",
    ),
    wrong(
        "bn-dhat-no-gamma",
        "batch_norm",
        r"\frac{\partial \ell}{\partial \hat x_i} = \frac{\partial \ell}{\partial y_i}",
        "mutation of bn-dhat",
        "missing factor",
    ),
    wrong(
        "bn-dx-no-mean",
        "batch_norm",
        r"\frac{\partial \ell}{\partial x_i} = \frac{\partial \ell}{\partial \hat x_i} \cdot \frac{1}{\sqrt{\sigma_B^2 + \epsilon}} +"
        r" \frac{\partial \ell}{\partial \sigma_B^2} \cdot \frac{2 (x_i - \mu_B)}{m}",
        "mutation of bn-dx",
        "dropped term",
    ),
    # ---- layer norm, RMS norm ------------------------------------------------------------------------------------
    right("ln-mean", "layer_norm", r"\mu_i = \frac1d \sum_{j=1}^d x_{ij}", f"{BA}, (3)"),
    right(
        "ln-dg",
        "layer_norm",
        r"\frac{\partial L}{\partial g_j} = \sum_i \frac{\partial L}{\partial y_{ij}} \hat x_{ij}",
        f"{BA}, derived",
    ),
    right(
        "ln-db",
        "layer_norm",
        r"\frac{\partial L}{\partial b} = \sum_i \frac{\partial L}{\partial y_i}",
        f"{BA}, derived",
    ),
    right(
        "ln-dhat",
        "layer_norm",
        r"\frac{\partial L}{\partial \hat x_{ij}} = \frac{\partial L}{\partial y_{ij}} g_j",
        f"{BA}, derived",
    ),
    right(
        "ln-dx",
        "layer_norm",
        r"\frac{\partial L}{\partial x_{ij}} = \frac{1}{\sigma_i} \left( d\hat x_{ij} - \frac1d \sum_k d\hat x_{ik} - \hat x_{ij} \frac1d \sum_k d\hat x_{ik} \hat x_{ik} \right)",
        "NVIDIA Apex, layer norm backward",
        slow=True,
    ),
    right(
        "rms-dx",
        "rms_norm",
        r"\frac{\partial L}{\partial x_{ij}} = \frac{1}{r_i} \left( g_j dy_{ij} - \frac{x_{ij}}{r_i^2 d} \sum_k g_k dy_{ik} x_{ik} \right)",
        f"{ZHANG}, derived",
    ),
    right(
        "rms-dx-asked",
        "rms_norm",
        r"\frac{\partial L}{\partial x_{ij}} = \frac{1}{r_i} \left( g_j dy_{ij} - \frac{x_{ij}}{d\, r_i^2} \sum_k g_k dy_{ik} x_{ik} \right)",
        f"{ZHANG}, derived: d r may be the differential of r",
        AmbiguousClaimError,
    ),
    right(
        "rms-dg", "rms_norm", r"\frac{\partial L}{\partial g_j} = \sum_i dy_{ij} \frac{x_{ij}}{r_i}", f"{ZHANG}, (8)"
    ),
    wrong(
        "ln-dx-batch",
        "layer_norm",
        r"\frac{\partial L}{\partial x_{ij}} = \frac{1}{\sigma_i} \left( d\hat x_{ij} - \frac1B \sum_k d\hat x_{kj} - \hat x_{ij} \frac1B \sum_k d\hat x_{kj} \hat x_{kj} \right)",
        "the rule of batch normalisation for layer normalisation",
        None,
        slow=True,
    ),
    wrong(
        "ln-dg-axis",
        "layer_norm",
        r"\frac{\partial L}{\partial g_j} = \sum_i \frac{\partial L}{\partial y_{ij}}",
        "mutation of ln-dg",
        "missing factor",
    ),
    wrong(
        "rms-dg-no-sum",
        "rms_norm",
        r"\frac{\partial L}{\partial g_j} = dy_{ij} \frac{x_{ij}}{r_i}",
        "mutation of rms-dg",
        "missing sum",
    ),
    wrong(
        "rms-dx-power",
        "rms_norm",
        r"\frac{\partial L}{\partial x_{ij}} = \frac{1}{r_i} \left( g_j dy_{ij} - \frac{x_{ij}}{d\, r_i} \sum_k g_k dy_{ik} x_{ik} \right)",
        "mutation of rms-dx",
        "wrong power",
    ),
    wrong(
        "rms-dx-mean",
        "rms_norm",
        r"\frac{\partial L}{\partial x_{ij}} = \frac{1}{r_i} \left( g_j dy_{ij} - \frac{x_{ij}}{r_i^2} \sum_k g_k dy_{ik} x_{ik} \right)",
        "mutation of rms-dx",
        ("missing factor", "factor"),
    ),
]
