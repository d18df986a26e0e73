"""Claims about activations and their derivatives."""

# ruff: noqa: E501 - formulas stand on one line, as their sources print them
from __future__ import annotations

from .case import right, wrong

GELU = "Hendrycks and Gimpel, Gaussian Error Linear Units, 2016"
SILU = "Elfwing, Uchibe and Doya, Sigmoid-Weighted Linear Units, 2017"
_s = {"symbols": {"s": r"\sigma"}}

CASES = [
    right(
        "sigma-bare",
        "functions",
        r"\frac{d\sigma}{dx} = (1-\sigma)\sigma",
        "a published lecture's line, reported as an error",
        **_s,
    ),
    right("sigma-x", "functions", r"\frac{d\sigma(x)}{dx} = \sigma(x)(1-\sigma(x))", "any textbook"),
    right("sigma-exp", "functions", r"s = \frac{1}{1 + e^{-x}}", "any textbook"),
    right("sigma-exp-prime", "functions", r"\sigma'(x) = \frac{e^{-x}}{(1+e^{-x})^2}", "any textbook"),
    right(
        "sigma-tanh",
        "functions",
        r"\sigma(x) = \frac12 \left(1 + \tanh\frac x2\right)",
        "Bishop, PRML, 2006, exercise 3.1",
    ),
    right("sigma-mirror", "functions", r"\sigma(-x) = 1 - \sigma(x)", "Bishop, PRML, 2006, (4.60)"),
    right("sigma-second", "functions", r"\sigma''(x) = \sigma(x) (1 - \sigma(x)) (1 - 2\sigma(x))", "own derivation"),
    right("tanh", "functions", r"\frac{\partial t}{\partial x} = 1 - \tanh^2(x)", "any textbook"),
    right(
        "tanh-t",
        "functions",
        r"\frac{\partial t_i}{\partial x_i} = 1 - t_i^2",
        "LeCun et al., Efficient BackProp, 1998",
    ),
    right("tanh-sech", "functions", r"\tanh'(x) = \mathrm{sech}^2(x)", "any textbook"),
    right("tanh-exp", "functions", r"t = \frac{e^{x} - e^{-x}}{e^{x} + e^{-x}}", "any textbook"),
    right(
        "softplus",
        "functions",
        r"\frac{\partial z}{\partial x} = \sigma(x)",
        "Goodfellow, Bengio and Courville, Deep Learning, 2016, (3.39)",
    ),
    right(
        "softplus-minus",
        "functions",
        r"\zeta(x) - \zeta(-x) = x",
        "Goodfellow, Bengio and Courville, Deep Learning, 2016, (3.41)",
    ),
    right(
        "softplus-log",
        "functions",
        r"\log \sigma(x) = -\zeta(-x)",
        "Goodfellow, Bengio and Courville, Deep Learning, 2016, (3.37)",
    ),
    right("silu", "functions", r"\frac{\partial f}{\partial x} = \sigma(x) (1 + x (1 - \sigma(x)))", f"{SILU}, (3)"),
    right(
        "silu-f",
        "functions",
        r"\frac{\partial f}{\partial x} = f + \sigma(x) (1 - f)",
        "Ramachandran, Zoph and Le, Searching for Activation Functions, 2017",
    ),
    right(
        "gelu",
        "functions",
        r"g = \frac{x}{2} \left(1 + \mathrm{erf}\left(\frac{x}{\sqrt 2}\right)\right)",
        f"{GELU}, 2",
    ),
    right(
        "gelu-prime",
        "functions",
        r"\frac{\partial g}{\partial x} = \frac12 \left(1 + \mathrm{erf}\frac{x}{\sqrt 2}\right) + \frac{x}{\sqrt{2\pi}} e^{-x^2/2}",
        f"{GELU}, derived",
    ),
    right(
        "gelu-tanh",
        "functions",
        r"a = 0.5 x \left(1 + \tanh\left[\sqrt{2/\pi}\,(x + 0.044715 x^3)\right]\right)",
        f"{GELU}, 2",
    ),
    right(
        "gelu-tanh-digits",
        "functions",
        r"a = 0.5 x \left(1 + \tanh\left(0.797885 (x + 0.044715 x^3)\right)\right)",
        "GELU as printed with its constant in 6 digits in many code bases",
        "rounded",
    ),
    right(
        "relu", "functions", r"r = \max(0, x)", "Glorot, Bordes and Bengio, Deep Sparse Rectifier Neural Networks, 2011"
    ),
    right("relu-prime", "functions", r"\frac{\partial r_i}{\partial x_i} = \mathbb{1}[x_i > 0]", "CS231n notes, 2015"),
    right(
        "relu-cases",
        "functions",
        r"\frac{\partial r_i}{\partial x_i} = \begin{cases} 1 & \text{if } x_i > 0 \\ 0 & \text{otherwise} \end{cases}",
        "Wikipedia, Rectifier (neural networks)",
    ),
    right(
        "elu-prime",
        "functions",
        r"\frac{\partial u_i}{\partial x_i} = \begin{cases} 1 & x_i > 0 \\ u_i + 1 & x_i \le 0 \end{cases}",
        "Clevert, Unterthiner and Hochreiter, ELUs, 2016, (15), α = 1",
    ),
    right(
        "softmax-shift",
        "functions",
        r"p_i = \frac{e^{x_i - \max_j x_j}}{\sum_k e^{x_k - \max_j x_j}}",
        "CS231n notes, 2015",
    ),
    right("softmax-one", "functions", r"\sum_i p_i = 1", "any textbook"),
    wrong("sigma-sign", "functions", r"\frac{d\sigma}{dx} = (1+\sigma)\sigma", "mutation of sigma-bare", "sign", **_s),
    wrong(
        "sigma-square",
        "functions",
        r"\frac{d\sigma}{dx} = (1-\sigma^2)",
        "mutation of sigma-bare: the rule of tanh",
        **_s,
    ),
    wrong("sigma-lost", "functions", r"\sigma'(x) = 1-\sigma(x)", "mutation of sigma-prime", "missing factor"),
    wrong(
        "sigma-bracket",
        "functions",
        r"\frac{d\sigma}{dx} = 1 - \sigma \sigma",
        "mutation of sigma-bare",
        "missing bracket",
        **_s,
    ),
    wrong(
        "tanh-power",
        "functions",
        r"\frac{\partial t_i}{\partial x_i} = 1 - t_i",
        "mutation of tanh-t",
        ("wrong power", "missing factor"),
    ),
    wrong("tanh-plus", "functions", r"\frac{\partial t_i}{\partial x_i} = 1 + t_i^2", "mutation of tanh-t", "sign"),
    wrong(
        "tanh-sigma",
        "functions",
        r"\frac{\partial t}{\partial x} = 1 - \sigma^2(x)",
        "mutation of tanh",
        "wrong function",
    ),
    wrong("softplus-wrong", "functions", r"\frac{\partial z}{\partial x} = \sigma(-x)", "mutation of softplus", "sign"),
    wrong(
        "silu-lost",
        "functions",
        r"\frac{\partial f}{\partial x} = \sigma(x) + x \sigma(x)",
        "mutation of silu",
        ("missing factor", "missing activation derivative"),
    ),
    wrong(
        "silu-sign",
        "functions",
        r"\frac{\partial f}{\partial x} = \sigma(x) (1 + x (1 + \sigma(x)))",
        "mutation of silu",
        "sign",
    ),
    wrong(
        "silu-bracket",
        "functions",
        r"\frac{\partial f}{\partial x} = \sigma(x) (1 + x 1 - \sigma(x))",
        "mutation of silu",
        "missing bracket",
    ),
    wrong(
        "gelu-root",
        "functions",
        r"g = \frac{x}{2} \left(1 + \mathrm{erf}(x)\right)",
        "mutation of gelu",
        "missing factor",
    ),
    wrong(
        "gelu-constant",
        "functions",
        r"a = 0.5 x \left(1 + \tanh\left(0.797885 (x + 0.044175 x^3)\right)\right)",
        "mutation of gelu-tanh-digits: two digits swapped",
        "wrong factor",
    ),
    wrong("gelu-forms", "functions", r"g = a", "the two forms of GELU taken for one"),
    wrong(
        "relu-side", "functions", r"\frac{\partial r_i}{\partial x_i} = \mathbb{1}[x_i < 0]", "mutation of relu-prime"
    ),
]
