"""Claims about updates by gradient descent, with and without a penalty."""

from __future__ import annotations

from .case import right, wrong

CASES = [
    right("sgd", "mlp", r"W^{(1)} \leftarrow W^{(1)} - \eta \frac{\partial L}{\partial W^{(1)}}", "any textbook"),
    right(
        "sgd-nielsen",
        "mlp",
        r"w^l \rightarrow w^l - \eta \frac{\partial C}{\partial w^l}",
        "Nielsen, Neural Networks and Deep Learning, 2015, chapter 2",
        symbols={"W1": "w^{1}", "W2": "w^{2}"},
    ),
    right("sgd-coursera", "mlp", r"W^{[l]} := W^{[l]} - \alpha\, dW^{[l]}", "Ng et al., Coursera, 2017, week 4"),
    right("sgd-new", "mlp", r"W^{(2)}_{new} = W^{(2)} - \eta \nabla_{W^{(2)}} L", "any lecture"),
    right("sgd-delta", "mlp", r"W^{(2)} \leftarrow W^{(2)} - \eta\, \delta^{(2)} (a^{(1)})^\top", "any lecture"),
    right("sgd-bias", "mlp", r"b^{(2)} \leftarrow b^{(2)} - \eta\, \delta^{(2)} \mathbf{1}", "any lecture"),
    right(
        "ridge-decay",
        "ridge",
        r"w \leftarrow (1 - \eta\lambda) w - \frac{\eta}{N} X^\top (Xw - y)",
        "Nielsen, Neural Networks and Deep Learning, 2015, (93)",
    ),
    right(
        "ridge-step",
        "ridge",
        r"w \leftarrow w - \eta \left(\frac1N X^\top (Xw - y) + \lambda w\right)",
        "Krogh and Hertz, 1992",
    ),
    wrong(
        "sgd-not-a-step",
        "mlp",
        r"\text{New } W_1 = -\eta \frac{dE_T}{dW_1}",
        "a published tutorial's update, with λ for η",
        "not a step",
    ),
    wrong(
        "sgd-not-a-step-5",
        "mlp3",
        r"\text{New } W_3 = -\lambda \frac{dE_T}{dW_3}",
        "a published tutorial: New W_5 = -λ dE_T/dW_5",
        "not a step",
        aliases={r"\lambda": r"\eta"},
    ),
    wrong(
        "sgd-plus",
        "mlp",
        r"W^{(1)} \leftarrow W^{(1)} + \eta \frac{\partial L}{\partial W^{(1)}}",
        "mutation of sgd",
        "sign",
    ),
    wrong(
        "sgd-layer",
        "mlp3",
        r"b^{(1)} \leftarrow b^{(1)} - \eta \frac{\partial L}{\partial b^{(2)}}",
        "mutation of sgd",
        "wrong layer",
    ),
    wrong(
        "sgd-no-rate",
        "mlp",
        r"W^{(1)} \leftarrow W^{(1)} - \frac{\partial L}{\partial W^{(1)}}",
        "mutation of sgd",
        "missing factor",
    ),
    wrong(
        "sgd-half",
        "mlp",
        r"W^{(1)} \leftarrow W^{(1)} - 2\eta \frac{\partial L}{\partial W^{(1)}}",
        "mutation of sgd",
        "factor",
    ),
    wrong(
        "ridge-abs",
        "ridge",
        r"w \leftarrow w - \eta\frac1N X^\top (Xw - y) - \lambda |w|",
        "a published course: W ← W - η ∂L/∂W - λ|W| as the update of an L2 penalty",
    ),
    wrong(
        "ridge-decay-sign",
        "ridge",
        r"w \leftarrow (1 + \eta\lambda) w - \frac{\eta}{N} X^\top (Xw - y)",
        "mutation of ridge-decay",
        "sign",
    ),
    wrong(
        "ridge-decay-twice",
        "ridge",
        r"w \leftarrow w - \eta \nabla_w J - \eta \lambda w",
        "the penalty counted twice",
        "extra term",
    ),
    wrong(
        "ridge-decay-none",
        "ridge",
        r"w \leftarrow w - \frac{\eta}{N} X^\top (Xw - y)",
        "mutation of ridge-decay",
        "dropped term",
    ),
    wrong(
        "new-w5",
        "mlp3",
        r"\text{New } W_5 = -\lambda \frac{dE_T}{dW_5}",
        "a published tutorial, as printed",
        "not a step",
        symbols={"W3": "W_5"},
        aliases={r"\lambda": r"\eta"},
    ),
    wrong(
        "abs-printed",
        "ridge",
        r"W \leftarrow W - \eta\frac{\partial L}{\partial W} - \lambda |W|",
        "a published course's update for L2, as printed",
        symbols={"w": "W"},
    ),
]
