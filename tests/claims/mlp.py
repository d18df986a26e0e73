"""Claims about dense networks, in the notations of textbooks and courses."""

from __future__ import annotations

from .case import right, wrong

NIELSEN = "Nielsen, Neural Networks and Deep Learning, 2015, chapter 2"
GOODFELLOW = "Goodfellow, Bengio and Courville, Deep Learning, 2016"
BISHOP = "Bishop, Pattern Recognition and Machine Learning, 2006"
COURSERA = "Ng, Katanforoosh and Mourri, Neural Networks and Deep Learning (Coursera), 2017"
UFLDL = "Ng et al., UFLDL Tutorial, 2011, Backpropagation Algorithm"
CS231N = "Karpathy, CS231n notes, Putting it together: minimal neural network case study, 2015"

_w = {"symbols": {"W1": "w^{1}", "b1": "b^{1}", "W2": "w^{2}", "b2": "b^{2}", "y": "y"}}
_g = {"aliases": {r"h^{(0)}": "x", r"h^{(1)}": "a1", r"h^{(2)}": "a2", r"\hat y": "a2", r"a^{(1)}": "z1",
                  r"a^{(2)}": "z2"}}  # fmt: skip
_b = {
    "symbols": {"W1": "w^{(1)}", "W2": "w^{(2)}", "z1": "a^{(1)}", "a1": "z", "z2": "a^{(2)}", "y": "t"},
    "aliases": {"y": r"a^{(2)}", r"\delta_j": r"\delta^{(1)}_j", r"\delta_k": r"\delta^{(2)}_k", "a_j": "a^{(1)}_j"},
}
_c = {
    "aliases": {
        "m": "B", "A^{[0]}": "x", "X": "x", "A^{[1]}": "a1", "A^{[2]}": "a2", "Z^{[1]}": "z1", "Z^{[2]}": "z2",
        "dZ^{[1]}": r"B \frac{\partial L}{\partial z^{(1)}}", "dZ^{[2]}": r"B \frac{\partial L}{\partial z^{(2)}}",
    },
}  # fmt: skip

CASES = [
    # ---- Nielsen -------------------------------------------------------------------------------------------------
    right("bp1", "mlp", r"\delta^L_j = \frac{\partial C}{\partial a^L_j} \sigma'(z^L_j)", f"{NIELSEN}, BP1"),
    right("bp1a", "mlp", r"\delta^L = \nabla_{a^L} C \odot \sigma'(z^L)", f"{NIELSEN}, BP1a"),
    right("bp1-quadratic", "mlp", r"\delta^L = (a^L-y) \odot \sigma'(z^L)", f"{NIELSEN}, (30)", "batch 1"),
    right(
        "bp1-quadratic-one", "mlp", r"\delta^L = (a^L-y) \odot \sigma'(z^L)", f"{NIELSEN}, (30)", single=True
    ),
    right("bp2", "mlp", r"\delta^l = ((w^{l+1})^T \delta^{l+1}) \odot \sigma'(z^l)", f"{NIELSEN}, BP2", **_w),
    right(
        "bp2-entries", "mlp", r"\delta^l_j = \sum_k w^{l+1}_{kj} \delta^{l+1}_k \sigma'(z^l_j)", f"{NIELSEN}, (46)", **_w
    ),
    right("bp3", "mlp", r"\frac{\partial C}{\partial b^l_j} = \delta^l_j", f"{NIELSEN}, BP3", "batch 1", **_w),
    right("bp3-one", "mlp", r"\frac{\partial C}{\partial b^l_j} = \delta^l_j", f"{NIELSEN}, BP3", single=True, **_w),
    right(
        "bp4", "mlp", r"\frac{\partial C}{\partial w^2_{jk}} = a^{1}_k \delta^2_j", f"{NIELSEN}, BP4, l = 2",
        "batch 1", **_w,
    ),
    right(
        "bp4-one", "mlp", r"\frac{\partial C}{\partial w^l_{jk}} = a^{l-1}_k \delta^l_j", f"{NIELSEN}, BP4", single=True,
        symbols={**_w["symbols"], "x": "a^{0}"},
    ),
    right("sigma-prime", "mlp", r"\sigma'(z^1) = \sigma(z^1) (1-\sigma(z^1))", f"{NIELSEN}, (50)"),
    right("sigma-prime-a", "mlp", r"\sigma'(z^l_j) = a^l_j (1 - a^l_j)", f"{NIELSEN}, problems of chapter 2"),
    wrong(
        "bp2-no-transpose", "mlp", r"\delta^l = (w^{l+1} \delta^{l+1}) \odot \sigma'(z^l)", "mutation of bp2",
        "missing transpose", **_w,
    ),
    wrong(
        "bp2-no-derivative", "mlp", r"\delta^l = (w^{l+1})^T \delta^{l+1}", "mutation of bp2",
        "missing activation derivative", **_w,
    ),
    wrong(
        "bp2-at-a", "mlp", r"\delta^l = ((w^{l+1})^T \delta^{l+1}) \odot \sigma'(a^l)", "mutation of bp2",
        "derivative at a instead of z", **_w,
    ),
    wrong(
        "bp2-no-prime", "mlp", r"\delta^1 = ((w^{2})^T \delta^{2}) \odot \sigma(z^1)", "mutation of bp2",
        "wrong function", **_w,
    ),
    wrong(
        "bp2-index", "mlp", r"\delta^1_j = \sum_k w^{2}_{kj} \delta^{2}_k \sigma'(z^1_j) (1 - a^1_j)", "mutation of bp2-entries",
        "extra term", waits="an extra factor has no name of its own in the list of mistakes", **_w,
    ),
    wrong("bp1-sign", "mlp", r"\delta^L = (y-a^L) \odot \sigma'(z^L)", "mutation of bp1-quadratic-one", "sign", single=True),
    wrong(
        "bp1-factor", "mlp", r"\delta^L = 2(a^L-y) \odot \sigma'(z^L)", "mutation of bp1-quadratic-one", "factor", single=True
    ),
    wrong(
        "bp1-bracket", "mlp", r"\delta^L = a^L-y \odot \sigma'(z^L)", "mutation of bp1-quadratic-one", "missing bracket",
        single=True,
    ),
    wrong(
        "bp4-swapped", "mlp", r"\frac{\partial C}{\partial w^2_{jk}} = a^{1}_j \delta^2_k", "mutation of bp4-one",
        "wrong index", single=True, **_w,
    ),
    # ---- three layers --------------------------------------------------------------------------------------------
    right("delta-3", "mlp3", r"\delta^{(l)} = (W^{(l+1)})^\top \delta^{(l+1)} \odot g'(z^{(l)})", f"{GOODFELLOW}, algorithm 6.4"),
    right("delta-3-tanh", "mlp3", r"\delta^{(2)} = W^{(3)\top} \delta^{(3)} \odot (1 - a^{(2)} \odot a^{(2)})", f"{GOODFELLOW}, 6.5"),
    right("delta-3-square", "mlp3", r"\delta^{(1)} = W^{(2)\top} \delta^{(2)} \odot (1 - (a^{(1)})^2)", f"{GOODFELLOW}, 6.5"),
    right(
        "delta-whole", "mlp3",
        r"\delta^{(1)} = \frac{1}{B} (W^{(2)})^\top ((W^{(3)})^\top ((a^{(3)} - y) \odot \sigma'(z^{(3)})) \odot \tanh'(z^{(2)}))"
        r" \odot \tanh'(z^{(1)})",
        "own chain of the three rules",
    ),
    wrong(
        "delta-3-layer", "mlp3", r"\delta^{(2)} = (W^{(3)})^\top \delta^{(3)} \odot \tanh'(z^{(1)})", "mutation of delta-3",
        "wrong layer",
    ),
    wrong(
        "delta-3-weights", "mlp3", r"\delta^{(1)} = (W^{(3)})^\top \delta^{(2)} \odot \tanh'(z^{(1)})", "mutation of delta-3",
        "wrong layer",
    ),
    wrong(
        "delta-3-function", "mlp3", r"\delta^{(2)} = (W^{(3)})^\top \delta^{(3)} \odot \sigma'(z^{(2)})", "mutation of delta-3",
        "wrong function",
    ),
    wrong(
        "delta-3-power", "mlp3", r"\delta^{(2)} = W^{(3)\top} \delta^{(3)} \odot (1 - a^{(2)})", "mutation of delta-3-square",
        "wrong power",
    ),
    wrong(
        "delta-3-sign", "mlp3", r"\delta^{(2)} = W^{(3)\top} \delta^{(3)} \odot (1 + (a^{(2)})^2)",
        "mutation of delta-3-square", "sign",
    ),
    wrong(
        "delta-3-twice", "mlp3", r"\delta^{(2)} = W^{(3)\top} \delta^{(3)} \odot \tanh'(z^{(2)}) \odot \tanh'(z^{(2)})",
        "mutation of delta-3", "extra activation derivative",
    ),
    # ---- Goodfellow ----------------------------------------------------------------------------------------------
    right("g-b", "mlp", r"\nabla_{b^{(2)}} J = \nabla_{a^{(2)}} J \mathbf 1", f"{GOODFELLOW}, algorithm 6.4, of a batch", **_g),
    right(
        "g-w", "mlp", r"\nabla_{W^{(2)}} J = (\nabla_{a^{(2)}} J) h^{(1)\top}", f"{GOODFELLOW}, algorithm 6.4", **_g
    ),
    right(
        "g-h", "mlp", r"\nabla_{h^{(1)}} J = W^{(2)\top} \nabla_{a^{(2)}} J", f"{GOODFELLOW}, algorithm 6.4", **_g
    ),
    right(
        "g-a", "mlp", r"\nabla_{a^{(1)}} J = \nabla_{h^{(1)}} J \odot f'(a^{(1)})", f"{GOODFELLOW}, algorithm 6.4", **_g
    ),
    wrong(
        "g-w-swapped", "mlp", r"\nabla_{W^{(2)}} J = h^{(1)\top} (\nabla_{a^{(2)}} J)", "mutation of g-w", "swapped factors",
        layout="columns", **_g
    ),
    wrong("g-h-plain", "mlp", r"\nabla_{h^{(1)}} J = W^{(2)} \nabla_{a^{(2)}} J", "mutation of g-h", "missing transpose", **_g),
    wrong(
        "g-b-no-sum", "mlp", r"\nabla_{b^{(2)}} J = \nabla_{a^{(2)}} J", "mutation of g-b", "missing sum", expect="batch 1", **_g
    ),
    # ---- Bishop --------------------------------------------------------------------------------------------------
    right("bishop-5.54", "regression", r"\delta_k = y_k - t_k", f"{BISHOP}, (5.54)", single=True, **_b),
    right(
        "bishop-5.56", "regression", r"\delta_j = h'(a_j) \sum_k w^{(2)}_{kj} \delta_k", f"{BISHOP}, (5.56)", single=True, **_b
    ),
    right(
        "bishop-5.66", "regression", r"\delta_j = (1 - z_j^2) \sum_{k=1}^{c} w^{(2)}_{kj} \delta_k", f"{BISHOP}, (5.66)",
        single=True, **_b,
    ),
    right(
        "bishop-5.67", "regression",
        r"\frac{\partial E}{\partial w^{(1)}_{ji}} = \delta_j x_i", f"{BISHOP}, (5.67)", single=True, **_b,
    ),
    right(
        "bishop-5.67b", "regression", r"\frac{\partial E}{\partial w^{(2)}_{kj}} = \delta_k z_j", f"{BISHOP}, (5.67)",
        single=True, **_b,
    ),
    wrong(
        "bishop-5.56-index", "regression", r"\delta_j = h'(a_j) \sum_k w^{(2)}_{jk} \delta_k", "mutation of bishop-5.56",
        "wrong index", single=True, **_b,
    ),
    wrong(
        "bishop-5.56-no-derivative", "regression", r"\delta_j = \sum_k w^{(2)}_{kj} \delta_k", "mutation of bishop-5.56",
        "missing activation derivative", single=True, **_b,
    ),
    wrong(
        "bishop-5.66-power", "regression", r"\delta_j = (1 - z_j) \sum_{k=1}^{c} w^{(2)}_{kj} \delta_k",
        "mutation of bishop-5.66", "wrong power", single=True, **_b,
    ),
    # ---- Coursera ------------------------------------------------------------------------------------------------
    right("coursera-dz1", "mlp", r"dZ^{[1]} = W^{[2]T} dZ^{[2]} * g'(Z^{[1]})", f"{COURSERA}, week 3", **_c),
    right("coursera-dw", "mlp", r"dW^{[2]} = \frac{1}{m} dZ^{[2]} A^{[1]T}", f"{COURSERA}, week 3", **_c),
    right("coursera-dw1", "mlp", r"dW^{[1]} = \frac{1}{m} dZ^{[1]} X^T", f"{COURSERA}, week 3", **_c),
    right(
        "coursera-db", "mlp", r"db^{[2]} = \frac{1}{m} \sum_{i=1}^{m} dZ^{[2](i)}", f"{COURSERA}, week 4", **_c
    ),
    right("coursera-da", "mlp", r"dA^{[1]} = W^{[2]T} dZ^{[2]}", f"{COURSERA}, week 4", aliases={
        **_c["aliases"], "dA^{[1]}": r"B \frac{\partial L}{\partial a^{(1)}}"}),
    right("coursera-dz2", "mlp", r"dZ^{[2]} = (A^{[2]} - Y) * g'(Z^{[2]})", f"{COURSERA}, week 4", aliases={
        **_c["aliases"], "Y": "y"}),
    right("coursera-one", "mlp", r"dW^{[l]} = dz^{[l]} a^{[l-1]T}", f"{COURSERA}, week 4", aliases={"a^{[0]}": "x"}),
    wrong(
        "coursera-one-no-transpose", "mlp", r"dW^{[l]} = dz^{[l]} a^{[l-1]}",
        f"{COURSERA}, week 4, slide of the backward step as circulated", "missing transpose", aliases={"a^{[0]}": "x"},
    ),
    wrong(
        "coursera-dw-no-m", "mlp", r"dW^{[2]} = dZ^{[2]} A^{[1]T}", "mutation of coursera-dw", "missing 1/B",
        expect="batch 1", **_c,
    ),
    wrong(
        "coursera-dw-twice-m", "mlp", r"dW^{[2]} = \frac{1}{m} dz^{[2]} A^{[1]T}", "mutation of coursera-dw", "extra 1/B",
        expect="batch 1", aliases={"m": "B", "A^{[1]}": "a1"},
    ),
    wrong(
        "coursera-dw-swapped", "mlp", r"dW^{[2]} = \frac{1}{m} A^{[1]T} dZ^{[2]}", "mutation of coursera-dw",
        "swapped factors", layout="columns", **_c,
    ),
    wrong(
        "coursera-dz1-layer", "mlp", r"dZ^{[1]} = W^{[2]T} dZ^{[2]} * g'(Z^{[2]})", "mutation of coursera-dz1", "wrong layer",
        **_c,
    ),
    wrong(
        "coursera-dz1-transpose", "mlp", r"dZ^{[1]} = W^{[2]} dZ^{[2]} * g'(Z^{[1]})", "mutation of coursera-dz1",
        "missing transpose", **_c,
    ),
    wrong(
        "coursera-dz1-g", "mlp", r"dZ^{[1]} = W^{[2]T} dZ^{[2]}", "mutation of coursera-dz1", "missing activation derivative",
        **_c,
    ),
    # ---- UFLDL ---------------------------------------------------------------------------------------------------
    right(
        "ufldl-last", "ufldl", r"\delta^{(3)} = -(y - a^{(3)}) \bullet f'(z^{(3)})", f"{UFLDL}, step 2", single=True
    ),
    right(
        "ufldl-hidden", "ufldl", r"\delta^{(2)} = \left((W^{(2)})^T \delta^{(3)}\right) \bullet f'(z^{(2)})", f"{UFLDL}, step 3"
    ),
    right(
        "ufldl-w", "ufldl", r"\nabla_{W^{(1)}} J = \delta^{(2)} (a^{(1)})^T + \lambda W^{(1)}", f"{UFLDL}, step 4, with decay"
    ),
    right(
        "ufldl-entry", "ufldl",
        r"\delta^{(2)}_i = \left(\sum_{j=1}^{c} W^{(2)}_{ji} \delta^{(3)}_j\right) f'(z^{(2)}_i)", f"{UFLDL}, step 3",
    ),
    right(
        "ufldl-prime", "ufldl", r"f'(z^{(2)}_i) = a^{(2)}_i (1 - a^{(2)}_i)", f"{UFLDL}, neural networks"
    ),
    wrong(
        "ufldl-no-decay", "ufldl", r"\nabla_{W^{(1)}} J = \delta^{(2)} (a^{(1)})^T", "mutation of ufldl-w", "dropped term"
    ),
    wrong(
        "ufldl-decay-factor", "ufldl", r"\nabla_{W^{(1)}} J = \delta^{(2)} (a^{(1)})^T + 2 \lambda W^{(1)}",
        "mutation of ufldl-w", "factor",
    ),
    wrong(
        "ufldl-layer", "ufldl", r"\nabla_{W^{(1)}} J = \delta^{(2)} (a^{(2)})^T + \lambda W^{(1)}", "mutation of ufldl-w",
        "wrong layer",
    ),
    # ---- CS231n --------------------------------------------------------------------------------------------------
    right("cs231n-dscores", "cs231n", r"dscores = \frac{probs - y}{N}", f"{CS231N}", "equal given"),
    right("cs231n-dw2", "cs231n", r"dW_2 = H^T dscores + \lambda W_2", f"{CS231N}"),
    right("cs231n-db2", "cs231n", r"db_2 = \sum_i dscores_i", f"{CS231N}"),
    right("cs231n-dhidden", "cs231n", r"dH = dscores\, W_2^T", f"{CS231N}"),
    right("cs231n-relu", "cs231n", r"dA = dH \odot \mathbb 1[H > 0]", f"{CS231N}"),
    right("cs231n-dw1", "cs231n", r"dW_1 = X^T dA + \lambda W_1", f"{CS231N}"),
    wrong("cs231n-no-n", "cs231n", r"dscores = probs - y", "mutation of cs231n-dscores", "missing 1/B", expect="batch 1"),
    wrong("cs231n-dhidden-plain", "cs231n", r"dH = dscores\, W_2", "mutation of cs231n-dhidden", "missing transpose"),
    wrong("cs231n-dw2-plain", "cs231n", r"dW_2 = H\, dscores + \lambda W_2", "mutation of cs231n-dw2", "missing transpose"),
    wrong("cs231n-dw2-reg", "cs231n", r"dW_2 = H^T dscores", "mutation of cs231n-dw2", "dropped term"),
    wrong("cs231n-no-relu", "cs231n", r"dA = dH", "mutation of cs231n-relu", "missing activation derivative"),
]
