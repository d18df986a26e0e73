"""Claims about convolution and pooling."""

# ruff: noqa: E501 - formulas stand on one line, as their sources print them
from __future__ import annotations

from .case import right, wrong

DUMOULIN = "Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016"
GOODFELLOW = "Goodfellow, Bengio and Courville, Deep Learning, 2016"
KAFUNAH = "Kafunah, Backpropagation in Convolutional Neural Networks, 2016"

CASES = [
    right("conv1d-y", "conv1d", r"y_p = \sum_{k=0}^{K-1} w_k x_{p+k}", f"{GOODFELLOW}, (9.6) in one dimension"),
    right(
        "conv1d-dw",
        "conv1d",
        r"\frac{\partial L}{\partial w_k} = \sum_p \frac{\partial L}{\partial y_p} x_{p+k}",
        f"{GOODFELLOW}, (9.11)",
    ),
    right(
        "conv1d-dx",
        "conv1d",
        r"\frac{\partial L}{\partial x_i} = \sum_{k=0}^{K-1} w_k \frac{\partial L}{\partial y_{i-k}}",
        f"{GOODFELLOW}, (9.13)",
    ),
    right("conv1d-dy", "conv1d", r"\frac{\partial L}{\partial y_p} = v_p (1 - \tanh^2 y_p)", "own derivation"),
    wrong(
        "conv1d-dx-unflipped",
        "conv1d",
        r"\frac{\partial L}{\partial x_i} = \sum_{k=0}^{K-1} w_k \frac{\partial L}{\partial y_{i+k}}",
        "mutation of conv1d-dx",
        "unflipped kernel",
    ),
    wrong(
        "conv1d-dw-flipped",
        "conv1d",
        r"\frac{\partial L}{\partial w_k} = \sum_p \frac{\partial L}{\partial y_p} x_{p-k}",
        "mutation of conv1d-dw",
        "unflipped kernel",
    ),
    wrong(
        "conv1d-dw-shift",
        "conv1d",
        r"\frac{\partial L}{\partial w_k} = \sum_p \frac{\partial L}{\partial y_p} x_{p+k+1}",
        "mutation of conv1d-dw",
        "wrong index",
    ),
    wrong(
        "conv1d-dw-no-sum",
        "conv1d",
        r"\frac{\partial L}{\partial w_k} = \frac{\partial L}{\partial y_p} x_{p+k}",
        "mutation of conv1d-dw",
        "missing sum",
    ),
    right(
        "conv2d-y",
        "conv2d",
        r"y_{ijrs} = \sum_{l,u,v} w_{jluv} x_{i,l,r+u,s+v} + b_j",
        f"{GOODFELLOW}, (9.7), without stride",
    ),
    right(
        "conv2d-dw",
        "conv2d",
        r"\frac{\partial L}{\partial w_{jluv}} = \sum_{i,r,s} \frac{\partial L}{\partial y_{ijrs}} x_{i,l,r+u,s+v}",
        f"{GOODFELLOW}, (9.11)",
    ),
    right(
        "conv2d-db",
        "conv2d",
        r"\frac{\partial L}{\partial b_j} = \sum_i \sum_r \sum_s \frac{\partial L}{\partial y_{ijrs}}",
        KAFUNAH,
    ),
    right(
        "conv2d-dx",
        "conv2d",
        r"\frac{\partial L}{\partial x_{i,l,p,q}} = \sum_{j} \sum_{u=0}^{K-1} \sum_{v=0}^{K-1} w_{jluv} \frac{\partial L}{\partial y_{i,j,p-u,q-v}}",
        f"{KAFUNAH}; {DUMOULIN}, 4.1",
        slow=True,
    ),
    wrong(
        "conv2d-dx-unflipped",
        "conv2d",
        r"\frac{\partial L}{\partial x_{i,l,p,q}} = \sum_{j} \sum_{u=0}^{K-1} \sum_{v=0}^{K-1} w_{jluv} \frac{\partial L}{\partial y_{i,j,p+u,q+v}}",
        "mutation of conv2d-dx",
        "unflipped kernel",
        slow=True,
    ),
    wrong(
        "conv2d-dw-one",
        "conv2d",
        r"\frac{\partial L}{\partial w_{jluv}} = \sum_{r,s} \frac{\partial L}{\partial y_{ijrs}} x_{i,l,r+u,s+v}",
        "mutation of conv2d-dw",
        "missing sum",
    ),
    wrong(
        "conv2d-db-mean",
        "conv2d",
        r"\frac{\partial L}{\partial b_j} = \frac1B \sum_{i,r,s} \frac{\partial L}{\partial y_{ijrs}}",
        "mutation of conv2d-db",
        "extra 1/B",
        expect="batch 1",
    ),
    right(
        "pool-average", "pooling", r"a_p = \frac12 (x_{2p} + x_{2p+1})", "LeCun et al., 1998, subsampling of 2", first=0
    ),
    right("pool-max", "pooling", r"y_p = \max(x_{2p}, x_{2p+1})", "Boureau, Ponce and LeCun, 2010", first=0),
    right("pool-max-k", "pooling", r"y_p = \max_{k=0}^{1} x_{2p+k}", "Boureau, Ponce and LeCun, 2010", first=0),
    right(
        "pool-average-dx", "pooling", r"\frac{\partial a_p}{\partial x_{2p}} = \frac12", "LeCun et al., 1998", first=0
    ),
    wrong("pool-average-sum", "pooling", r"a_p = x_{2p} + x_{2p+1}", "mutation of pool-average", "factor", first=0),
]
