"""Claims about losses: linear models, cross-entropies, margins, energies."""

# ruff: noqa: E501 - formulas stand on one line, as their sources print them
from __future__ import annotations

from gradloom.symbolic.claims.errors import AmbiguousClaimError

from .case import right, wrong

CS229 = "Ng, CS229 Lecture Notes, 2012"
HASTIE = "Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2009"
BISHOP = "Bishop, Pattern Recognition and Machine Learning, 2006"
HINTON = "Hinton, A Practical Guide to Training Restricted Boltzmann Machines, 2010"
BENGIO = "Bengio, Learning Deep Architectures for AI, 2009"

CASES = [
    # ---- least squares -------------------------------------------------------------------------------------------
    right(
        "ridge", "ridge", r"\nabla_w J = \frac{X^\top (X w - y)}{N} + \lambda w", f"{HASTIE}, (3.43), scaled by 1/(2N)"
    ),
    right(
        "ridge-loss",
        "ridge",
        r"J = \frac{1}{2N} \|Xw - y\|^2 + \frac{\lambda}{2} \|w\|_2^2",
        f"{HASTIE}, (3.43), scaled",
    ),
    right(
        "ridge-lms",
        "ridge",
        r"\frac{\partial J}{\partial w_j} = \frac1N \sum_{i=1}^N (\hat y_i - y_i) x_{ij} + \lambda w_j",
        f"{CS229}, part I, LMS",
        aliases={"x": "X"},
    ),
    right(
        "ridge-product", "ridge", r"\nabla_w J = \frac1N (X^\top X w - X^\top y) + \lambda w", f"{CS229}, part I, 2.2"
    ),
    right(
        "ridge-trace",
        "ridge",
        r"\nabla_w J = \left(\frac1N X^T X + \lambda I\right) w - \frac1N X^T y",
        f"{HASTIE}, (3.44)",
    ),
    wrong(
        "ridge-transpose",
        "ridge",
        r"\nabla_w J = \frac{X (X w - y)}{N} + \lambda w",
        "mutation of ridge",
        "missing transpose",
    ),
    wrong("ridge-sign", "ridge", r"\nabla_w J = \frac{X^\top (y - X w)}{N} + \lambda w", "mutation of ridge", "sign"),
    wrong(
        "ridge-factor", "ridge", r"\nabla_w J = \frac{2 X^\top (X w - y)}{N} + \lambda w", "mutation of ridge", "factor"
    ),
    wrong(
        "ridge-penalty",
        "ridge",
        r"\nabla_w J = \frac{X^\top (X w - y)}{N} + 2 \lambda w",
        "mutation of ridge",
        "factor",
    ),
    wrong("ridge-no-penalty", "ridge", r"\nabla_w J = \frac{X^\top (X w - y)}{N}", "mutation of ridge", "dropped term"),
    wrong(
        "ridge-no-n",
        "ridge",
        r"\nabla_w J = X^\top (X w - y) + \lambda w",
        "mutation of ridge",
        "missing 1/B",
        expect="batch 1",
    ),
    wrong(
        "ridge-bracket",
        "ridge",
        r"\nabla_w J = \frac1N X^\top X w - X^\top y + \lambda w",
        "mutation of ridge-product",
        "missing bracket",
        expect="batch 1",
    ),
    wrong(
        "ridge-l1",
        "ridge",
        r"\nabla_w J = \frac{X^\top (X w - y)}{N} + \lambda |w|",
        "mutation of ridge",
        "wrong function",
    ),
    # ---- logistic regression -------------------------------------------------------------------------------------
    right("logistic", "logistic", r"\nabla_w J = \frac1N X^\top (\sigma(Xw) - y)", f"{BISHOP}, (4.91), averaged"),
    right(
        "logistic-sum",
        "logistic",
        r"\nabla_w J = \frac1N \sum_{n=1}^{N} (\hat y_n - y_n) X_n",
        f"{BISHOP}, (4.91), averaged",
    ),
    right(
        "logistic-entries",
        "logistic",
        r"\frac{\partial J}{\partial w_k} = -\frac{1}{N}\sum_i (y_i - \sigma(z_i)) X_{ik}",
        f"{CS229}, part II, 5",
    ),
    right(
        "logistic-chain",
        "logistic",
        r"\frac{\partial J}{\partial \hat y_i} = -\frac1N\left(\frac{y_i}{\hat y_i} - \frac{1-y_i}{1-\hat y_i}\right)",
        "Ng, Neural Networks and Deep Learning (Coursera), 2017, week 2, averaged",
    ),
    right(
        "logistic-dz",
        "logistic",
        r"\frac{dJ}{dz} = \frac{\hat y - y}{N}",
        "Ng, Neural Networks and Deep Learning (Coursera), 2017, week 2, averaged",
    ),
    wrong("logistic-sign", "logistic", r"\nabla_w J = \frac1N X^\top (y - \sigma(Xw))", "mutation of logistic", "sign"),
    wrong(
        "logistic-transpose",
        "logistic",
        r"\nabla_w J = \frac1N X (\sigma(Xw) - y)",
        "mutation of logistic",
        "missing transpose",
    ),
    wrong(
        "logistic-derivative",
        "logistic",
        r"\nabla_w J = \frac1N X^\top ((\sigma(Xw) - y) \odot \sigma'(Xw))",
        "mutation of logistic",
        "extra activation derivative",
    ),
    wrong(
        "logistic-no-n",
        "logistic",
        r"\nabla_w J = X^\top (\sigma(Xw) - y)",
        "mutation of logistic",
        "missing 1/B",
        expect="batch 1",
    ),
    wrong(
        "logistic-linear", "logistic", r"\nabla_w J = \frac1N X^\top (Xw - y)", "mutation of logistic", "wrong function"
    ),
    wrong(
        "logistic-chain-sign",
        "logistic",
        r"\frac{\partial J}{\partial \hat y_i} = -\frac1N\left(\frac{y_i}{\hat y_i} + \frac{1-y_i}{1-\hat y_i}\right)",
        "mutation of logistic-chain",
        "sign",
    ),
    wrong(
        "logistic-square",
        "logistic",
        r"\frac{\partial J}{\partial \hat y_i} = -\frac1N\left(\frac{y_i}{\hat y_i^2} - \frac{1-y_i}{1-\hat y_i}\right)",
        "mutation of logistic-chain",
        "wrong power",
    ),
    # ---- softmax -------------------------------------------------------------------------------------------------
    right("ce", "classifier", r"\delta = \frac{1}{B} (p - y)", f"{BISHOP}, (4.109), averaged", "equal given"),
    right(
        "ce-one",
        "classifier",
        r"\frac{\partial L}{\partial z} = p - y",
        f"{BISHOP}, (4.109)",
        "equal given",
        single=True,
    ),
    right(
        "ce-entries",
        "classifier",
        r"\frac{\partial L}{\partial z_{ij}} = \frac{p_{ij} - y_{ij}}{B}",
        f"{BISHOP}, (4.109)",
        "equal given",
    ),
    right(
        "ce-w",
        "classifier",
        r"\frac{\partial L}{\partial W} = \frac1B (\mathrm{softmax}(Wx + b) - y) x^\top",
        f"{HASTIE}, 4.4",
        "equal given",
    ),
    right("ce-loss", "classifier", r"L = -\frac1B \sum_{i=1}^B \sum_{k=1}^c y_{ik} \log p_{ik}", f"{BISHOP}, (4.108)"),
    right(
        "ce-logits",
        "classifier",
        r"L = \frac1B \sum_i \left(\log \sum_k e^{z_{ik}} - \sum_k y_{ik} z_{ik}\right)",
        "Boyd and Vandenberghe, Convex Optimization, 2004, 7.1.1",
        "equal given",
    ),
    right(
        "ce-any",
        "soft_targets",
        r"\frac{\partial L}{\partial z_{ij}} = \frac{1}{B}\left(p_{ij} \sum_k y_{ik} - y_{ij}\right)",
        "own derivation for a target that need not sum to 1",
    ),
    right(
        "ce-two",
        "two_hot",
        r"\frac{\partial L}{\partial z} = \frac{2 p - y}{B}",
        "own derivation, Σ y = 2",
        "equal given",
    ),
    right(
        "softmax-jacobian",
        "functions",
        r"\frac{\partial p_i}{\partial x_j} = p_i (\delta_{ij} - p_j)",
        f"{BISHOP}, (4.106)",
    ),
    right(
        "softmax-jacobian-examples",
        "classifier",
        r"\frac{\partial p_{i}}{\partial z_{j}} = p_i (\delta_{ij} - p_j)",
        f"{BISHOP}, (4.106)",
        single=True,
    ),
    right(
        "softmax-jacobian-asked",
        "classifier",
        r"\frac{\partial p_{i}}{\partial z_{j}} = p_i (\delta_{ij} - p_j)",
        f"{BISHOP}, (4.106): p_i may be the i-th example, δ_{{ij}} a gradient",
        AmbiguousClaimError,
        slow=True,
    ),
    right(
        "softmax-jacobian-matrix",
        "functions",
        r"\frac{\partial p}{\partial x} = \mathrm{diag}(p) - pp^\top",
        "Dao et al., FlashAttention, 2022, appendix B.2",
    ),
    right(
        "softmax-chain",
        "classifier",
        r"\frac{\partial L}{\partial p_{ij}} = -\frac{1}{B} \frac{y_{ij}}{p_{ij}}",
        f"{BISHOP}, 4.3.4",
    ),
    right(
        "lse",
        "functions",
        r"\frac{\partial lse}{\partial x_i} = \frac{e^{x_i}}{\sum_j e^{x_j}}",
        "Boyd and Vandenberghe, Convex Optimization, 2004, 3.1.5",
    ),
    wrong(
        "ce-soft",
        "soft_targets",
        r"\frac{\partial L}{\partial z} = \frac{1}{B}(p - y)",
        "the rule for one-hot targets, for targets of any sum",
        "one-hot assumption",
    ),
    wrong(
        "ce-two-hot",
        "two_hot",
        r"\frac{\partial L}{\partial z} = \frac{1}{B}(p - y)",
        "the rule for one-hot targets where the target sums to 2",
        ("one-hot assumption", "factor"),
    ),
    wrong("ce-sign", "classifier", r"\frac{\partial L}{\partial z} = \frac{1}{B}(y - p)", "mutation of ce", "sign"),
    wrong(
        "ce-no-b",
        "classifier",
        r"\frac{\partial L}{\partial z} = p - y",
        "mutation of ce",
        "missing 1/B",
        expect="batch 1",
    ),
    wrong(
        "ce-dropped", "classifier", r"\frac{\partial L}{\partial z} = \frac{1}{B} p", "mutation of ce", "dropped term"
    ),
    wrong(
        "softmax-jacobian-sign",
        "functions",
        r"\frac{\partial p}{\partial x} = \mathrm{diag}(p) + pp^\top",
        "mutation of softmax-jacobian-matrix",
        "sign",
    ),
    wrong(
        "softmax-jacobian-diagonal",
        "functions",
        r"\frac{\partial p}{\partial x} = \mathrm{diag}(p \odot (1 - p))",
        "the derivative of the sigmoid in the place of the Jacobian, as often asked on forums",
        slow=True,
    ),
    wrong(
        "softmax-jacobian-index",
        "functions",
        r"\frac{\partial p_i}{\partial x_j} = p_i (\delta_{ij} - p_i)",
        "mutation of softmax-jacobian",
        "wrong index",
    ),
    wrong(
        "softmax-jacobian-inner",
        "functions",
        r"\frac{\partial p}{\partial x} = \mathrm{diag}(p) - p^\top p",
        "mutation of softmax-jacobian-matrix",
        "swapped factors",
        layout="columns",
    ),
    wrong(
        "ce-loss-bits",
        "many_labels",
        r"\mathcal L = -\sum_{i=1}^B \sum_k y_{ik}\log\sigma(\ell_{ik}) + (1-y_{ik})\log(1-\sigma(\ell_{ik}))",
        "binary cross-entropy as a published paper prints it, its bracket lost",
        "missing bracket",
    ),
    right(
        "bce-loss",
        "many_labels",
        r"\mathcal L = -\sum_{i}\sum_k \left[ y_{ik}\log\sigma(\ell_{ik}) + (1-y_{ik})\log(1-\sigma(\ell_{ik})) \right]",
        f"{BISHOP}, (4.90)",
    ),
    right("bce", "many_labels", r"\frac{\partial \mathcal L}{\partial \ell} = \sigma(\ell) - y", f"{BISHOP}, (4.91)"),
    right(
        "bce-logits",
        "many_labels",
        r"\mathcal L = \sum_{i,k} \left( \ell_{ik} - \ell_{ik} y_{ik} + \log(1 + e^{-\ell_{ik}}) \right)",
        "TensorFlow, tf.nn.sigmoid_cross_entropy_with_logits, documentation",
    ),
    right(
        "bce-logits-softplus",
        "many_labels",
        r"\mathcal L = \sum_{i,k} \left( \zeta(\ell_{ik}) - \ell_{ik} y_{ik} \right)",
        "Goodfellow, Bengio and Courville, Deep Learning, 2016, 6.2.2.2",
    ),
    wrong(
        "bce-logits-sign",
        "many_labels",
        r"\mathcal L = \sum_{i,k} \left( \ell_{ik} - \ell_{ik} y_{ik} + \log(1 + e^{\ell_{ik}}) \right)",
        "mutation of bce-logits",
        "sign",
    ),
    wrong(
        "bce-derivative",
        "many_labels",
        r"\frac{\partial \mathcal L}{\partial \ell} = (\sigma(\ell) - y) \odot \sigma'(\ell)",
        "mutation of bce",
        "extra activation derivative",
    ),
    # ---- margins -------------------------------------------------------------------------------------------------
    right(
        "hinge",
        "margins",
        r"\frac{\partial L}{\partial w} = -\frac1N \sum_{i=1}^N \mathbb 1[y_i f_i < 1] y_i X_i",
        "Shalev-Shwartz et al., Pegasos, 2007, (4), without the penalty",
    ),
    right(
        "hinge-cases",
        "margins",
        r"\frac{\partial L}{\partial f_i} = \begin{cases} -\frac{y_i}{N} & y_i f_i < 1 \\ 0 & \text{otherwise} \end{cases}",
        "Hinge loss, Wikipedia",
    ),
    wrong(
        "hinge-sign",
        "margins",
        r"\frac{\partial L}{\partial w} = \frac1N \sum_{i=1}^N \mathbb 1[y_i f_i < 1] y_i X_i",
        "mutation of hinge",
        "sign",
    ),
    wrong(
        "hinge-side",
        "margins",
        r"\frac{\partial L}{\partial w} = -\frac1N \sum_{i=1}^N \mathbb 1[y_i f_i > 1] y_i X_i",
        "mutation of hinge",
    ),
    right(
        "huber",
        "huber",
        r"\frac{\partial L}{\partial f_i} = \begin{cases} r_i & |r_i| \le 1 \\ \mathrm{sign}(r_i) & \text{otherwise} \end{cases}",
        "Huber, Robust Estimation of a Location Parameter, 1964",
    ),
    right("huber-w", "huber", r"\nabla_w L = X^\top \frac{\partial L}{\partial f}", "Huber, 1964, chain rule"),
    wrong(
        "huber-factor",
        "huber",
        r"\frac{\partial L}{\partial f_i} = \begin{cases} 2 r_i & |r_i| \le 1 \\ \mathrm{sign}(r_i) & \text{otherwise} \end{cases}",
        "mutation of huber",
        "factor",
    ),
    # ---- energies ------------------------------------------------------------------------------------------------
    right(
        "rbm-w",
        "rbm",
        r"\frac{\partial L}{\partial W} = \frac{1}{B} \left(\sigma(\tilde z) \tilde v^\top - \sigma(z) v^\top \right)",
        f"{BENGIO}, (5.21), averaged over data and samples",
        aliases={"z": "z_f", r"\tilde z": "z_g"},
    ),
    right(
        "rbm-b",
        "rbm",
        r"\frac{\partial L}{\partial b_k} = \frac{1}{B} \sum_i (\tilde v_{ik} - v_{ik})",
        f"{BENGIO}, 5.3",
    ),
    wrong(
        "rbm-w-sign",
        "rbm",
        r"\frac{\partial L}{\partial W} = \frac{1}{B} \left(\sigma(z) v^\top - \sigma(\tilde z) \tilde v^\top \right)",
        f"the rule for the log-likelihood ({HINTON}, (5)) as that for the energy",
        "sign",
        aliases={"z": "z_f", r"\tilde z": "z_g"},
    ),
    wrong(
        "rbm-w-sample",
        "rbm",
        r"\frac{\partial L}{\partial W} = \frac{1}{B} \left(\sigma(\tilde z) \tilde v^\top - \sigma(z) \tilde v^\top \right)",
        "mutation of rbm-w",
        aliases={"z": "z_f", r"\tilde z": "z_g"},
    ),
    wrong(
        "bits-printed",
        "many_labels",
        r"\mathcal L = -\sum_k y_k\log\sigma(\ell_k) + (1-y_k)\log(1-\sigma(\ell_k))",
        "binary cross-entropy of one example, the bracket lost, as printed",
        "missing bracket",
        single=True,
    ),
]
