"""Claims that are the same in many notations, rules of matrix calculus, and what has to be asked about."""

# ruff: noqa: E501 - formulas stand on one line, as their sources print them
from __future__ import annotations

from gradloom.symbolic.claims.errors import ClaimSyntaxError, UnknownNameError

from .case import right, wrong

COOKBOOK = "Petersen and Pedersen, The Matrix Cookbook, 2012"

CASES = [
    right("cb-100", "traces", r"\frac{\partial f}{\partial X} = A^\top B^\top", f"{COOKBOOK}, (101)"),
    right("cb-loss-f", "traces", r"f = \mathrm{tr}(A X B)", f"{COOKBOOK}, (101)"),
    right("cb-gradient", "traces", r"\nabla_X f = A^T B^T", f"{COOKBOOK}, (101)"),
    right("cb-108", "traces", r"\frac{\partial g}{\partial X} = (M + M^\top) X", f"{COOKBOOK}, (108)"),
    right("cb-g", "traces", r"g = \mathrm{Tr}(X^\top M X)", f"{COOKBOOK}, (108)"),
    right("cb-81", "traces", r"\frac{\partial h}{\partial x} = (M + M^T) x", f"{COOKBOOK}, (81)"),
    right("cb-h", "traces", r"h = x^\top M x", f"{COOKBOOK}, (81)"),
    right("cb-70", "traces", r"\frac{\partial q}{\partial X} = a b^T", f"{COOKBOOK}, (70)"),
    right("cb-70-m", "traces", r"\frac{\partial q}{\partial a} = X b", f"{COOKBOOK}, (69)"),
    right("cb-norm", "traces", r"\frac{\partial s}{\partial X} = 2 X", f"{COOKBOOK}, (132)"),
    right("cb-norm-f", "traces", r"s = \|X\|_F^2", f"{COOKBOOK}, (132)"),
    right(
        "cb-numerator",
        "traces",
        r"\frac{\partial L}{\partial a} = (X b)^\top",
        f"{COOKBOOK}, (69) in numerator layout",
        derivatives="numerator",
    ),
    wrong("cb-100-plain", "traces", r"\frac{\partial f}{\partial X} = A B", "mutation of cb-100", None),
    wrong(
        "cb-100-swapped",
        "traces",
        r"\frac{\partial f}{\partial X} = B^\top A^\top",
        "mutation of cb-100",
        "swapped factors",
    ),
    wrong(
        "cb-81-symmetric",
        "traces",
        r"\frac{\partial h}{\partial x} = 2 M x",
        "the rule for symmetric matrices, for any",
        None,
    ),
    wrong(
        "cb-108-order",
        "traces",
        r"\frac{\partial g}{\partial X} = X (M + M^\top)",
        "mutation of cb-108",
        "swapped factors",
    ),
    wrong("cb-norm-factor", "traces", r"\frac{\partial s}{\partial X} = X", "mutation of cb-norm", "factor"),
    wrong(
        "cb-70-swapped", "traces", r"\frac{\partial q}{\partial X} = b a^T", "mutation of cb-70", None, expect="layout"
    ),
    # ---- the same in many notations --------------------------------------------------------------------------------
    right("n-frac", "mlp", r"\frac{\partial L}{\partial W^{(2)}} = \delta^{(2)} (a^{(1)})^\top", "notation"),
    right("n-slash", "mlp", r"\partial L/\partial W^{(2)} = \delta^{(2)} {a^{(1)}}^T", "notation"),
    right("n-nabla", "mlp", r"\nabla_{W_2} L = \delta_2 a_1^\top", "notation"),
    right("n-d", "mlp", r"dW2 = \delta2 a1^T", "notation of code"),
    right("n-cdot", "mlp", r"\frac{dL}{dW^{[2]}} = \delta^{[2]} \cdot a^{[1]\mathsf{T}}", "notation"),
    right(
        "n-bold",
        "mlp",
        r"\frac{\partial \mathcal{L}}{\partial \mathbf{W}^{(2)}} = \boldsymbol{\delta}^{(2)} \mathbf{a}^{(1)\top}",
        "notation",
    ),
    right(
        "n-dfrac",
        "mlp",
        r"\dfrac{\partial E}{\partial W^{(2)}} = \delta^{(2)}\left(a^{(1)}\right)^{\intercal}",
        "notation",
    ),
    right(
        "n-sum",
        "mlp",
        r"\frac{\partial L}{\partial W^{(2)}} = \sum_{i=1}^{B} \delta^{(2)}_i (a^{(1)}_i)^\top",
        "notation: outer products",
    ),
    right(
        "n-sum-otimes",
        "mlp",
        r"\frac{\partial L}{\partial W^{(2)}} = \sum_{i} \delta^{(2)}_i \otimes a^{(1)}_i",
        "notation: outer products",
    ),
    right(
        "n-rows",
        "mlp",
        r"\frac{\partial L}{\partial W^{(2)}} = (\delta^{(2)})^\top a^{(1)}",
        "notation: examples in rows",
        layout="rows",
    ),
    right(
        "n-rows-any", "mlp", r"\delta^{(1)} = \delta^{(2)} W^{(2)} \odot \sigma'(z^{(1)})", "notation: examples in rows"
    ),
    right(
        "n-entries",
        "mlp",
        r"\frac{\partial L}{\partial W^{(2)}_{jk}} = \sum_i \delta^{(2)}_{ij} a^{(1)}_{ik}",
        "notation",
    ),
    right(
        "n-diag",
        "mlp",
        r"\delta^{(1)} = \mathrm{diag}(\sigma'(z^{(1)})) (W^{(2)})^\top \delta^{(2)}",
        "notation",
        single=True,
    ),
    right("n-circ", "mlp", r"\delta^{(1)} = (W^{(2)})^\top \delta^{(2)} \circ \sigma'(z^{(1)})", "notation"),
    right("n-unicode", "mlp", "δ^{(1)} = (W^{(2)})^⊤ δ^{(2)} ⊙ σ′(z^{(1)})", "notation: characters"),
    right(
        "n-chain",
        "mlp",
        r"\frac{\partial L}{\partial z^{(1)}} = \frac{\partial L}{\partial a^{(1)}} \odot \frac{\partial a^{(1)}}{\partial z^{(1)}}",
        "notation",
    ),
    right(
        "n-align",
        "mlp",
        r"""\begin{align}
        \delta^{(2)} &= \frac1B (a^{(2)} - y) \odot \sigma'(z^{(2)}) \\
        \delta^{(1)} &= (W^{(2)})^\top \delta^{(2)} \odot \sigma'(z^{(1)}) \\
        \frac{\partial L}{\partial W^{(1)}} &= \delta^{(1)} x^\top \\
        \frac{\partial L}{\partial b^{(1)}} &= \delta^{(1)} \mathbf 1
        \end{align}""",
        "notation: an environment of four lines",
    ),
    right(
        "n-steps",
        "mlp",
        r"""\begin{align*}
        \frac{\partial L}{\partial W^{(1)}} &= \delta^{(1)} x^\top \\
          &= \left((W^{(2)})^\top \delta^{(2)} \odot \sigma'(z^{(1)})\right) x^\top
        \end{align*}""",
        "notation: a chain of steps",
    ),
    right(
        "n-k",
        "mlp3",
        r"\delta_k = W_{k+1}^T\delta_{k+1}\odot g'(z_k)",
        "notation: layers below, as in a published lecture",
    ),
    right(
        "n-k-printed",
        "mlp3",
        r"\delta_k = W_k^T\delta_{k+1}\odot g'(a_k)",
        "a published lecture, as printed; W_k leads out of layer k",
        symbols={
            "W1": "W_0",
            "W2": "W_1",
            "W3": "W_2",
            "z1": "a_1",
            "z2": "a_2",
            "z3": "a_3",
            "a1": "h_1",
            "a2": "h_2",
            "a3": "h_3",
        },
    ),
    right(
        "n-layout",
        "mlp",
        r"\frac{\partial L}{\partial W^{(2)}} = a^{(1)} (\delta^{(2)})^\top",
        "numerator layout in a text of the other",
        "layout",
    ),
    right(
        "n-numerator",
        "mlp",
        r"\frac{\partial L}{\partial W^{(2)}} = a^{(1)} \delta^{(2)}",
        "notation: numerator layout, δ a row",
        derivatives="numerator",
    ),
    wrong(
        "n-align-wrong",
        "mlp",
        r"""\begin{align}
        \delta^{(2)} &= \frac1B (a^{(2)} - y) \odot \sigma'(z^{(2)}) \\
        \delta^{(1)} &= (W^{(2)})^\top \delta^{(2)} \\
        \frac{\partial L}{\partial W^{(1)}} &= \delta^{(1)} x^\top
        \end{align}""",
        "mutation of n-align",
        "missing activation derivative",
    ),
    wrong(
        "n-sum-extra",
        "mlp",
        r"\frac{\partial L}{\partial W^{(2)}} = \frac1B \sum_{i=1}^{B} \delta^{(2)}_i (a^{(1)}_i)^\top",
        "mutation of n-sum",
        "extra 1/B",
        expect="batch 1",
    ),
    wrong(
        "n-sum-missing",
        "mlp",
        r"\frac{\partial L}{\partial W^{(2)}} = \delta^{(2)}_i (a^{(1)}_i)^\top",
        "mutation of n-sum",
        "missing sum",
    ),
    wrong("n-d-extra", "mlp", r"dW2 = \delta2^T a1^T", "mutation of n-d", "extra transpose", layout="columns"),
    wrong(
        "n-inner",
        "mlp",
        r"\frac{\partial L}{\partial b^{(2)}} = \sum_i \sum_j \delta^{(2)}_{ij}",
        "mutation of n-entries",
        "extra sum",
    ),
    # ---- to be asked about -----------------------------------------------------------------------------------------
    wrong(
        "ask-q", "mlp", r"\frac{\partial L}{\partial Q} = \delta^{(2)}", "an unknown tensor", expect=UnknownNameError
    ),
    wrong("ask-layer", "mlp", r"\delta^{(3)} = a^{(2)} - y", "a layer that is not there", expect=UnknownNameError),
    wrong(
        "ask-e-i",
        "mlp",
        r"\frac{\partial E_i}{\partial W^{(2)}} = \delta^{(2)}_i (a^{(1)}_i)^\top",
        "the loss of one example is no tensor",
        expect=UnknownNameError,
    ),
    wrong("ask-text", "mlp", r"\delta^{(2)} = \text{the error}", "words", expect=UnknownNameError),
    wrong("ask-words", "mlp", r"\delta^{(2)}", "no relation", expect=ClaimSyntaxError),
    wrong("ask-integral", "mlp", r"L = \int a^{(2)}", "what is not read", expect=ClaimSyntaxError),
    wrong(
        "ask-bracket", "mlp", r"\delta^{(2)} = (a^{(2)} - y", "a bracket that is not closed", expect=ClaimSyntaxError
    ),
    wrong("ask-g", "regression", r"\delta^{(2)} = q(z^{(2)})", "an unknown function", expect=UnknownNameError),
]
