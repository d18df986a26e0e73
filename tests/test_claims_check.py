"""Claims from end to end: documents of several lines, what follows from what, what is asked about."""

from pathlib import Path

import pytest
import sympy

import gradloom as gl
from gradloom.symbolic.claims.check import check
from gradloom.symbolic.claims.errors import AmbiguousClaimError, UnknownNameError, UnreadableError
from gradloom.symbolic.claims.lines import source_lines
from gradloom.symbolic.errors import ClaimSyntaxError


@pytest.fixture(scope="module")
def mlp():
    n, m, c = gl.dims("n m c")
    layers = [gl.layers.Dense(m, gl.sigmoid), gl.layers.Dense(c, gl.tanh)]
    return gl.Sequential(layers, input_shape=(n,), loss=gl.losses.SquaredError())


def kinds(network, claim, **options):
    return [line.kind for line in check(network, claim, explain=False, **options).lines]


def test_one_error_is_one_error(mlp):
    """What uses a gradient by name is judged on the derived one; what has the wrong one put in follows from it."""
    verdict = check(
        mlp,
        r"""
        \begin{align*}
          \frac{\partial L}{\partial a^{(2)}} &= \frac{1}{B}(a^{(2)}-y) \\
          \delta^{(2)} &= \frac{1}{B}(a^{(2)}-y) \odot a^{(2)} \\  % should be 1 - a²
          \frac{\partial L}{\partial W^{(2)}} &= \delta^{(2)} a^{(1)\top} \\
            &= \frac{1}{B}((a^{(2)}-y) \odot a^{(2)}) a^{(1)\top} \\
          \delta^{(1)} &= W^{(2)\top}\left(\frac{1}{B}(a^{(2)}-y) \odot a^{(2)}\right) \odot a^{(1)}\odot(1-a^{(1)}) \\
          \frac{\partial L}{\partial b^{(1)}} &= -\delta^{(1)} \mathbf 1
        \end{align*}""",
        explain=False,
    )
    assert [line.kind for line in verdict.lines] == ["equal", "not equal", "equal", "follows", "follows", "not equal"]
    assert [line.number for line in verdict.lines] == [3, 4, 5, 6, 7, 8]
    assert [line.after for line in verdict.lines] == [None, None, None, 4, 4, None]
    assert verdict.first_wrong is verdict.lines[1]
    assert not verdict.ok


def test_a_line_that_is_wrong_twice_does_not_follow(mlp):
    text = r"""\delta^{(2)} = \frac{1}{B}(a^{(2)}-y) \odot a^{(2)}
    \delta^{(1)} = W^{(2)\top}(\frac{1}{B}(a^{(2)}-y) \odot a^{(2)}) \odot a^{(1)}"""
    assert kinds(mlp, text) == ["not equal", "not equal"]


def test_a_letter_for_the_layer_means_every_layer():
    layers = [gl.layers.Dense(units, gl.sigmoid) for units in gl.dims("p q r")]
    network = gl.Sequential(layers, input_shape=(gl.dims("n"),), loss=gl.losses.SquaredError())
    right = r"\delta^{l} = ((W^{l+1})^T \delta^{l+1}) \odot \sigma'(z^{l})"
    assert kinds(network, right) == ["equal"]
    assert kinds(network, right.replace("z^{l}", "z^{l+1}")) == ["not equal"]
    assert kinds(network, r"\frac{\partial L}{\partial W^{[k]}} = \delta^{[k]} a^{[k-1]T}") == ["equal"]
    assert kinds(network, r"\delta^{L} = \frac1B (a^{L} - y) \odot a^L \odot (1 - a^L)") == ["equal"]


def test_names_of_ones_own(mlp):
    text = r"""r := \frac{1}{B}(a^{(2)}-y)
    \delta^{(2)} = r \odot (1 - (a^{(2)})^2)"""
    assert kinds(mlp, text) == ["defines", "equal"]
    assert not check(mlp, r"r := 2", explain=False).ok  # nothing is claimed
    aliases = {"e": r"a^{(2)} - y", "N": "B"}
    assert kinds(mlp, r"\delta^{(2)} = \frac{1}{N} e \odot (1 - (a^{(2)})^2)", aliases=aliases) == ["equal"]


@pytest.mark.parametrize(
    ("claim", "error", "message"),
    [
        (r"\delta^{(2)} = q", UnknownNameError, r"q is not known"),
        (r"\delta^{(3)} = 0", UnknownNameError, r"\\delta\^\{\(3\)\} is not known: the letter \\delta is"),
        (r"\delta = 0", UnknownNameError, r"\\delta is not known"),
        (r"dW3 = 1", UnknownNameError, "W3 is not known"),
        (r"dW1 = 2 W3", UnknownNameError, "W3 is not known"),
        (r"\frac{\partial L}{\partial Q} = 0", UnknownNameError, "Q is not known"),
        (r"\delta^{(2)} = \frac{1}{m}\left(a^{(2)}-y", ClaimSyntaxError, r"\^"),
        (r"a^{(2)} - y", ClaimSyntaxError, "no claim"),
        (r"dW2 = dz2 a1^T, db2 = \sum dz2", ClaimSyntaxError, "second formula"),
        ("", ClaimSyntaxError, "no claim"),
    ],
)
def test_what_is_not_known_is_asked(mlp, claim, error, message):
    with pytest.raises(error, match=message):
        check(mlp, claim)


def test_a_line_that_cannot_be_read_does_not_hide_the_others(mlp):
    verdict = check(mlp, "dW2 = dz2 a1^T\ndW2 = q a1^T", explain=False)
    assert [line.kind for line in verdict.lines] == ["equal", "unread"]
    assert "q is not known" in verdict.lines[1].error
    assert "^" in verdict.lines[1].error
    assert not verdict.ok


def test_total_and_immediate_derivatives_are_told_apart():
    """Of L(u(w), w), the total derivative by w is another one than the immediate."""
    net = gl.Network()
    w = net.parameter("w")
    u = net.define("u", (), w**2)
    v = net.define("v", (), u * w)
    net.minimize(v**2)
    assert kinds(net, r"\frac{dv}{dw} = 3 w^2") == ["equal"]
    assert kinds(net, r"\frac{dv}{dw} = u") == ["not equal"]
    assert kinds(net, r"\frac{\partial L}{\partial w} = 6 w^5") == ["equal"]
    with pytest.raises(AmbiguousClaimError, match="immediate"):
        check(net, r"\frac{\partial v}{\partial w} = u")


def test_one_example_is_said(mlp):
    claim = r"\frac{\partial L}{\partial W^{(2)}_{jk}} = \delta^{(2)}_j a^{(1)}_k"
    assert kinds(mlp, claim) == ["batch 1"]
    assert not check(mlp, claim, explain=False).ok
    assert kinds(mlp, claim, single=True) == ["equal"]


def test_layout_is_said(mlp):
    claim = r"\frac{\partial L}{\partial W^{(2)}} = a^{(1)} (\delta^{(2)})^\top"
    assert kinds(mlp, claim) == ["layout"]
    numerator = r"\frac{\partial L}{\partial W^{(2)}} = a^{(1)} \delta^{(2)}"
    assert kinds(mlp, numerator, derivatives="numerator") == ["equal"]
    rows = r"dW2 = dz2^\top a1"
    assert kinds(mlp, rows) == ["equal"]
    assert kinds(mlp, rows, layout="columns") == ["not equal"]


def test_vectors_lie_one_way():
    """Without examples a vector is a column: what a missing transpose leaves does not fit."""
    n, m = gl.dims("n m")
    i, k = gl.indices("i k")
    net = gl.Network("rectangle")
    A, b = net.parameter("A", (m, n)), net.parameter("b", (m,))
    x, v = net.input("x", (n,)), net.target("v", (m,))
    z = net.define("z", (i,), gl.Sum(A[i, k] * x[k], k) + b[i])
    h = net.define("h", (i,), gl.sigmoid(z[i]))
    net.minimize(gl.Sum((v[i] - h[i]) ** 2, i) / 2)
    right = [r"\frac{\partial L}{\partial A} = \delta x^T", "z = A x + b", r"L = \frac12 (v-h)^T(v-h)"]
    right += [
        r"\frac{\partial L}{\partial x} = A^T \delta",
        r"\frac{\partial h}{\partial x} = \mathrm{diag}(h (1-h)) A",
    ]
    wrong = [
        r"\frac{\partial L}{\partial A} = \delta x",
        r"\frac{\partial L}{\partial A} = \delta^T x",
        "z = A x^T + b",
    ]
    wrong += ["z = x^T A^T + b", r"L = \frac12 (v-h)(v-h)^T", r"\frac{\partial L}{\partial x} = \delta A"]
    assert [kinds(net, claim) for claim in right] == [["equal"]] * len(right)
    assert not {kind for claim in wrong for kind in kinds(net, claim)} & {"equal", "equal given"}


def test_a_row_that_goes_on_from_a_line_above(mlp):
    assert kinds(mlp, "dW2 = dz2 a1^T\n= a1 dz2\n= dz2 a1^\\top") == ["equal", "not equal", "equal"]
    with pytest.raises(ClaimSyntaxError, match="in front of the sign"):
        check(mlp, "= dz2 a1^T")


def test_names_with_numbers_behind_them():
    """z1 is a name in a condition, below a slash and in an exponent too."""
    units, classes, n = gl.dims("q c n")
    layers = [gl.layers.Dense(units, gl.relu), gl.layers.Dense(classes)]
    net = gl.Sequential(layers, input_shape=(n,), loss=gl.losses.CrossEntropy())
    for right in (
        r"dz1 = W2^T dz2 \odot [z1 > 0]",
        r"dz1 = W2^T dz2 \odot a1/z1",
        r"dz1 = W2^T dz2 \odot [W1 x + b1 \mathbf 1^T > 0]",
        r"p_{ik} = e^{z2_{ik}} / \sum_j e^{z2_{ij}}",
    ):
        assert kinds(net, right) == ["equal"], right
    for wrong in (
        r"dz1 = W2^T dz2 \odot [z1 < 0]",
        r"dz1 = W2^T dz2 \odot [W1 x > 0]",
        r"p_{ik} = e^{z2_{ik}} / \sum_j z2_{ij}",
    ):
        assert kinds(net, wrong) == ["not equal"], wrong


def test_positions_count_from_where_the_sums_begin():
    """A correlation with three weights, counted from 0 and from 1; Kronecker's δ is along one axis."""
    B, n = gl.dims("B n")
    b, p, u = gl.indices("b p u")
    net = gl.Network("correlation")
    x, y, w = net.input("x", (B, n)), net.target("y", (B, n - 2)), net.parameter("w", (3,))
    z = net.define("z", (b, p), gl.Sum(w[u] * x[b, p + u], (u, 3)), shape=(B, n - 2))
    net.minimize(gl.Sum((z[b, p] - y[b, p]) ** 2, b, p) / 2)
    right = [
        r"z_{bp} = \sum_{u=0}^{2} w_u x_{b,p+u}",
        r"z_{bp} = \sum_{u=1}^{3} w_u x_{b,p+u-1}",
        r"z_{bp} = w_0 x_{b,p} + w_1 x_{b,p+1} + w_2 x_{b,p+2}",
        r"\frac{\partial L}{\partial w_u} = \sum_b \sum_p \delta_{b p} x_{b,p+u}",
        r"\frac{\partial L}{\partial x_{b i}} = \sum_{u} \delta_{b,i-u} w_{u}",
    ]
    wrong = [
        r"z_{bp} = \sum_{u=1}^{3} w_u x_{b,p+u}",
        r"z_{bp} = \sum_{u=0}^{2} w_u x_{b,p+u-1}",
        r"\frac{\partial L}{\partial x_{b i}} = \sum_{u} \delta_{b,i+u} w_{u}",
    ]
    assert [kinds(net, claim) for claim in right] == [["equal"]] * len(right)
    assert [kinds(net, claim) for claim in wrong] == [["not equal"]] * len(wrong)


def test_one_example_is_a_column():
    units, classes, n = gl.dims("q c n")
    layers = [gl.layers.Dense(units, gl.sigmoid), gl.layers.Dense(classes)]
    net = gl.Sequential(layers, input_shape=(n,), loss=gl.losses.CrossEntropy())
    right = r"\frac{\partial L}{\partial W^{(2)}} = \delta^{(2)} a^{(1)T}"
    assert kinds(net, right, single=True) == ["equal"]
    assert kinds(net, r"\frac{\partial L}{\partial W^{(2)}} = \delta^{(2)T} a^{(1)}", single=True) == ["not equal"]
    assert kinds(net, r"\frac{\partial p}{\partial z^{(2)}} = \mathrm{diag}(p) - p p^T", single=True) == ["equal"]
    assert kinds(net, r"\frac{\partial p}{\partial z^{(2)}} = \mathrm{diag}(p) - p^T p", single=True) == ["not equal"]


def test_a_sum_ends_where_its_axis_does(mlp):
    """A number, or another size, that is beyond the axis at small sizes cuts nothing off there."""
    assert kinds(mlp, r"db2_j = \sum_{i=1}^{B} \delta^{(2)}_{ij}") == ["equal"]
    assert kinds(mlp, r"db2_j = \sum_{i=2}^{B} \delta^{(2)}_{ij}") == ["not equal"]
    assert kinds(mlp, r"db2_j = \sum_{i=1}^{c} \delta^{(2)}_{ij}") == ["not equal"]
    with pytest.raises(UnreadableError, match="letter: whether there are as many"):
        check(mlp, r"db2_j = \sum_{i=1}^{B} [i \le 16] \delta^{(2)}_{ij}")


def test_a_text_has_one_layout(mlp):
    """Each of these is right in one layout; together they are not."""
    rows = ["dW2 = dz2^T a1", "dz1 = dz2 W2 * (a1 * (1 - a1))"]
    assert kinds(mlp, "\n".join(rows)) == ["equal", "equal"]
    assert kinds(mlp, "\n".join([*rows, "dW1 = dz1 x^T"])) == ["equal", "equal", "not equal"]
    assert kinds(mlp, "dW1 = dz1 x^T") == ["equal"]


@pytest.mark.parametrize("units", [3, 5])
def test_the_transpose_of_a_square_matrix_is_no_equal(units):
    network = gl.Sequential(
        [gl.layers.Dense(units), gl.layers.Dense(units)], input_shape=(units,), loss=gl.losses.SquaredError()
    )
    assert kinds(network, "dW2 = dz2 z1^T") == ["equal"]
    assert kinds(network, "dW2 = z1 dz2^T") == ["layout"]
    assert kinds(network, "dz1 = W2^T dz2") == ["equal"]
    assert kinds(network, "dz1 = W2 dz2") == ["not equal"]


def test_updates():
    net = gl.Network()
    B, n = gl.dims("B n")
    i, j = gl.indices("i j")
    x, y = net.input("x", (B, n)), net.target("y", (B,))
    w, lam = net.parameter("w", (n,)), net.constant("lam", 0.3)
    z = net.define("z", i, gl.Sum(w[j] * x[i, j], j))
    net.minimize(gl.Sum((z[i] - y[i]) ** 2, i) / B + lam / 2 * gl.Sum(w[j] ** 2, j))
    assert kinds(net, r"w \leftarrow w - \eta \frac{\partial L}{\partial w}") == ["equal"]
    step = r"w^{\text{new}} = (1 - \eta\lambda) w - \frac{2\eta}{B} x (z - y)^T"
    assert kinds(net, step) == ["equal"]
    assert kinds(net, step.replace("^T", "")) == ["batch 1"]
    assert kinds(net, step.replace("2", "3")) == ["not equal"]
    assert kinds(net, r"w_j \leftarrow (1 - \eta\lambda) w_j - \frac{2\eta}{B} \sum_i (z_i - y_i) x_{ij}") == ["equal"]
    assert kinds(net, r"\text{New } w = -\eta \frac{dE_T}{dw}") == ["not equal"]
    assert kinds(net, r"w \leftarrow w - \eta \frac{\partial L}{\partial w} - \lambda |w|") == ["not equal"]
    with pytest.raises(UnreadableError, match="both taken for the learning rate"):
        check(net, r"w \leftarrow w - \eta \frac{\partial L}{\partial w} + \alpha w - \alpha w")


def test_formulas_of_a_text():
    text = "\n".join(
        [
            r"# Title",
            r"Let $a$ be given. % $c = d$",
            r"\begin{align}",
            r"  a &= b \label{one} \\",
            r"    &= c \nonumber \\",
            r"  d &= e \\ &\quad + f",
            r"\end{align}",
            r"and \[ g = \begin{cases} 1 & \text{if } x > 0 \\ 0 & \text{otherwise} \end{cases} \]",
            r"$$\begin{aligned} h &= i \\ j &= k \end{aligned}$$",
        ]
    )
    lines, silent = source_lines(text)
    assert [(line.number, line.text) for line in lines] == [
        (4, "a &= b"),
        (5, "a = c"),
        (6, r"d &= e &\quad + f"),
        (8, r"g = \begin{cases} 1 & \text{if } x > 0 \\ 0 & \text{otherwise} \end{cases}"),
        (9, "h &= i"),
        (9, "j &= k"),
    ]
    assert silent == 2  # $a$, and the comment
    assert [line.goes_on for line in lines] == [False, True, False, False, False, False]


@pytest.mark.parametrize(
    ("text", "formulas", "silent"),
    [
        ("We gain 10% so $a = b$ holds", ["a = b"], 0),  # no TeX: a per cent
        ("\\frac{a}{b} = c\n$$d = e$$\n", [r"\frac{a}{b} = c", "d = e"], 0),
        ("```math\na = b\n```\n```python\nc = d\n```\n", ["a = b"], 0),
        (r"\begin{IEEEeqnarray}{}a &=& b\end{IEEEeqnarray}", ["{}a &=& b"], 0),
        (r"\begin{align}\begin{aligned} a &= b \end{aligned} \\ c &= d \end{align}", ["a &= b", "c &= d"], 0),
        ("It costs $5 to see $a = b$ now. $$c = d$$", ["a = b", "c = d"], 0),
        ("$a = b$ and then $-c$, where $\\odot$ is elementwise", ["a = b"], 2),
        (
            r"a = \begin{cases} 1 & b = c \\ 2 & d = e \end{cases}",
            [r"a = \begin{cases} 1 & b = c \\ 2 & d = e \end{cases}"],
            0,
        ),
        ("$$a = b% note\n + c$$", ["a = b + c"], 0),
        (
            "a = \\frac{b}{c}\n$$d = e$$\nf = \\frac{g}{h} \\text{ (chain rule)}",
            [r"a = \frac{b}{c}", "d = e", r"f = \frac{g}{h} \text{ (chain rule)}"],
            0,
        ),
        ("so $ a = b $ holds", ["a = b"], 0),
        (r"\begin{align} a &= b & c &= d \\ e &= f \end{align}", ["a &= b", "c &= d", "e &= f"], 0),
        (r"\begin{theorem} If $a = b$ then \begin{equation} c = d \end{equation}\end{theorem}", ["a = b", "c = d"], 0),
    ],
)
def test_no_formula_of_a_text_is_lost(text, formulas, silent):
    lines, counted = source_lines(text)
    assert ([line.text for line in lines], counted) == (formulas, silent)


@pytest.fixture(scope="module")
def sums():
    """L = Σ c z², p = softmax(z), h a hard tangent."""
    n = gl.dims("n")
    i = gl.indices("i")
    net = gl.Network("sums")
    z, c = net.input("z", (n,)), net.input("c", (n,))
    p = net.define("p", i, gl.softmax(z[i], i))
    net.define("h", i, sympy.Piecewise((-1, z[i] < -1), (1, z[i] > 1), (z[i], True)))
    net.minimize(gl.Sum(c[i] * z[i] ** 2 + 0 * p[i], i))
    return net


@pytest.mark.parametrize(
    ("claim", "kind"),
    [
        (r"\frac{\partial L}{\partial z_i} = 2 c_i z_i", "equal"),
        (r"\frac{\partial L}{\partial z_i} = 2 c_i z_i \text{ (data term) } + 17 c_i", ClaimSyntaxError),
        (r"\frac{\partial L}{\partial z_i} = 2 c_i z_i ,\; - 17 c_i", ClaimSyntaxError),
        (r"\frac{\partial L}{\partial z_i} = 2 c_i z_i, \quad i \neq 3", ClaimSyntaxError),
        (r"\frac{\partial L}{\partial z_i} = 2 c_i z_i \quad \text{for all } i", "equal"),
        (r"\frac{\partial L}{\partial z_i} = 2 c_i z_i \quad \forall i", "equal"),
        (r"\frac{\partial L}{\partial z_i} \neq 2 c_i z_i", ClaimSyntaxError),
        (r"L = \sum_{k=1}^{n} c_k z_k^2", "equal"),
        (r"L = \sum_{k=0}^{n-1} c_k z_k^2", "equal"),
        (r"\sum_{k=1}^{n} c_k z_k = \sum_{k=0}^{n-1} c_k z_k", "equal"),
        (r"L = \sum_{k=1}^{N} c_k z_k^2", UnknownNameError),
        (r"\sum_{k=1}^n\sum_{i=1}^n [k \le i] c_i z_k = \sum_{i=1}^n\sum_{k=1}^{i} c_i z_k", "equal"),
        (r"\sum_{k=1}^n\sum_{i=1}^n [k < i] c_i z_k = \sum_{i=1}^n\sum_{k=1}^{i} c_i z_k", "not equal"),
        (r"\sum_{k=1}^{n} k c_k = \sum_{k=1}^{n} [k \ge 2] k c_k", "not equal"),
        (r"\sum_{k=1}^{n} k c_k = c_1 + \sum_{k=2}^{n} k c_k", "equal"),
        (r"L = \sum_{k=1}^n c_k z_k^2 [k = 1] + \sum_{k=2}^n c_k z_k^2", "equal"),
        (r"h_i = \begin{cases} z_i & -1 < z_i < 1 \\ -1 & z_i < -1 \\ 1 & \text{otherwise} \end{cases}", "equal"),
        (r"h_i = \begin{cases} 17 & -1 < z_i < 1 \\ h_i & \text{otherwise} \end{cases}", "not equal"),
        (r"\frac{\partial L}{\partial z_i} = 2^T c_i z_i", "not equal"),
        (r"\mathrm{dz} := 17 \frac{\partial L}{\partial z}", UnknownNameError),
        (r"\frac{\partial L}{\partial z_i} = 2 c_i z_i + \epsilon", UnknownNameError),
        (r"\frac{\partial p_i}{\partial z_j} = p_i ([i = j] - p_j)", "equal"),
        (r"\sum_i p_i = \mathbf{1}_n^\top p", "equal"),
        (r"\frac{\partial L}{\partial c_i} = z_i^2 \mathbf 1", "not equal"),
        (
            r"h_i = \begin{cases} z_i & |z_i| < 1 \text{ and } z_i > 17 \\ h_i & \text{otherwise} \end{cases}",
            UnreadableError,
        ),
        (r"L + \log_2(c^2 + 1) = L + \log(c_2^2 + 1)", UnreadableError),
        (r"\sum_{i=1}^{n} e^{z_{i+1}} - 1 = \sum_{i=2}^{n} e^{z_i}", UnreadableError),
    ],
)
def test_nothing_is_overlooked(sums, claim, kind):
    if isinstance(kind, str):
        assert kinds(sums, claim) == [kind]
    else:
        with pytest.raises(kind):
            check(sums, claim)


@pytest.mark.parametrize(
    ("claim", "options", "words"),
    [
        ("x = x", {"aliases": {"m": None}}, "alias m is None; expected what it means"),
        ("x = x", {"aliases": {3: "B"}}, "alias 3 is 'B'; expected"),
        ("x = x", {"aliases": "m=B"}, "aliases is 'm=B'; expected a dict"),
        ("x = x", {"functions": {"g": "tanh"}}, "function g is 'tanh'; expected a function"),
        ("x = x", {"symbols": {"none": "m"}}, "symbols: .* has no tensor 'none'; it has x"),
        ("x = x", {"layout": "diagonal"}, "layout is 'diagonal'; choose from None, 'columns', 'rows'"),
        ("x = x", {"derivatives": None}, "derivatives is None; choose from"),
        ("x = x", {"first": 0.5}, "first is 0.5; expected 0 or 1"),
        (r"x = \sum_{jk=1}^{n} x_j", {}, "before an equals sign below an operator stands one index"),
        (Path("a\0b.tex"), {}, "cannot read the claim"),
    ],
)
def test_settings_and_limits_of_another_kind_are_refused(mlp, claim, options, words):
    with pytest.raises(gl.GradloomError, match=words):
        gl.check(mlp, claim, **options)


def test_a_power_beyond_what_many_digits_hold_is_undecided():
    """δ^L is read as a power of the loss, too: floats have a value there."""
    network = gl.Sequential([gl.layers.Dense(2, gl.tanh)], input_shape=3, loss=gl.losses.SquaredError())
    line = r"\delta^L = \nabla_{a^L} C \odot \sigma'(z^L)"
    assert "equal" not in kinds(network, f"{line.replace('=', '=0')}\n{line}")
