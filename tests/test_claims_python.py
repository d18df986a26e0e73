"""Claims in Python: functions as people write them, right and wrong ones; the oracle is PyTorch's autograd."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pytest
import sympy
import torch

import gradloom as gl
from gradloom.symbolic.claims.code.python_claims import check_python
from gradloom.symbolic.claims.code.python_judge import Runs, choose
from gradloom.symbolic.claims.code.python_mistakes import diagnosis
from gradloom.symbolic.claims.code.python_names import Names
from gradloom.symbolic.claims.code.python_source import UserCodeError, UserFunction
from gradloom.symbolic.claims.deciding.everything import everything
from gradloom.symbolic.claims.deciding.survey import Judge
from gradloom.symbolic.claims.errors import UnknownNameError
from gradloom.symbolic.errors import DataError


@pytest.fixture(scope="module")
def mlp():
    network = gl.Sequential(
        [gl.layers.Dense(gl.dims("h"), gl.sigmoid), gl.layers.Dense(gl.dims("c"), gl.softmax)],
        input_shape=(gl.dims("n"),),
        loss=gl.losses.CrossEntropy(),
    )
    return everything(network)


@pytest.fixture(scope="module")
def affine():
    layer = gl.layers.Dense(gl.dims("M"))
    return everything(gl.Sequential([layer], input_shape=(gl.dims("D"),), loss=gl.losses.SquaredError()))


@pytest.fixture(scope="module")
def batch_norm():
    return everything(gl.Sequential([gl.layers.BatchNorm()], input_shape=(5,), loss=gl.losses.SquaredError()))


def kinds(derivation, function, **options):
    return [line.kind for line in check_python(derivation, function, explain=False, **options).lines]


def only(derivation, function, **options):
    (line,) = check_python(derivation, function, explain=False, **options).lines
    return line


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z, axis):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


# ---- an oracle: the same functions, called on values of PyTorch's -----------------------------------------------


def torch_mlp():
    """Values and gradients of the network of `mlp`, by autograd, at sizes of its own."""
    rng = np.random.default_rng(5)
    B, n, h, c = 4, 3, 6, 5
    made = {"x": rng.normal(size=(B, n)), "y": np.eye(c)[rng.integers(0, c, B)], "B": B}
    made |= {"W1": rng.normal(size=(h, n)), "b1": rng.normal(size=h)}
    made |= {"W2": rng.normal(size=(c, h)), "b2": rng.normal(size=c)}
    t = {k: torch.tensor(v, requires_grad=k != "y") for k, v in made.items() if k != "B"}
    t["z1"] = t["x"] @ t["W1"].T + t["b1"]
    t["a1"] = torch.sigmoid(t["z1"])
    t["z2"] = t["a1"] @ t["W2"].T + t["b2"]
    t["a2"] = torch.softmax(t["z2"], 1)
    for name in ("z1", "a1", "z2", "a2"):
        t[name].retain_grad()
    loss = -(t["y"] * torch.log(t["a2"])).sum() / B
    loss.backward()
    made |= {k: v.detach().numpy() for k, v in t.items()}
    return made | {f"d{k}": v.grad.numpy() for k, v in t.items() if v.grad is not None}


def dW2(dz2, a1):
    return dz2.T @ a1


def db2(dz2):
    return dz2.sum(axis=0)


def da1(dz2, W2):
    return dz2 @ W2


def dz1(dz2, W2, a1):
    return (dz2 @ W2) * a1 * (1 - a1)


def dz2(a2, y, B):
    return (a2 - y) / B


def dx(x, W1, b1, W2, b2, y):
    a1 = sigmoid(x @ W1.T + b1)
    d2 = (softmax(a1 @ W2.T + b2, 1) - y) / len(x)
    return (d2 @ W2 * a1 * (1 - a1)) @ W1


def dW1(dz1, x):
    return np.einsum("ij,ik->jk", dz1, x)


RIGHT = [dW2, db2, da1, dz1, dz2, dx, dW1]


@pytest.mark.parametrize("function", RIGHT, ids=lambda f: f.__name__)
def test_right_functions(mlp, function):
    values = torch_mlp()
    arguments = [values[p.name] for p in UserFunction(function, function.__name__).parameters]
    np.testing.assert_allclose(function(*arguments), values[function.__name__], rtol=1e-12)
    line = only(mlp, function)
    assert line.kind in ("equal", "equal given")
    assert (line.kind == "equal given") == (function in (dz2, dx))  # p - y needs Σ y = 1
    assert "random points in float64" in line.finding.decision.method
    assert "symbolically" not in line.finding.decision.method


# Each makes a wrong result of a right one, in a way that a person could.
MUTATIONS = {
    "sign": lambda f, v: -f,
    "factor": lambda f, v: 2 * f,
    "missing 1/B": lambda f, v: f * v["B"],
    "extra 1/B": lambda f, v: f / v["B"],
}


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("function", RIGHT, ids=lambda f: f.__name__)
def test_wrong_functions(mlp, function, mutation):
    import inspect

    # The mutation needs B, whatever the function takes.
    def wrong(*args, B):
        return MUTATIONS[mutation](function(*(args + ((B,) if function is dz2 else ()))), {"B": B})

    own = [p for p in inspect.signature(function).parameters.values() if p.name != "B"]
    wrong.__signature__ = inspect.Signature([*own, inspect.Parameter("B", inspect.Parameter.KEYWORD_ONLY)])
    wrong.__name__ = function.__name__
    line = only(mlp, wrong)
    assert line.kind == ("batch 1" if "1/B" in mutation else "not equal")
    assert found_mistake(mlp, wrong)[0] == mutation


def found_mistake(derivation, function):
    runs = Runs(UserFunction(function, function.__name__), Names(derivation), Judge(derivation))
    layout, _ = choose(runs, None)
    return diagnosis(runs, layout, function.__name__, runs.names.output(function.__name__))


def test_mistakes_in_words(mlp):
    def dz1(dz2, W2):
        return dz2 @ W2

    assert found_mistake(mlp, dz1) == ("missing activation derivative", "the derivative of a1 by z1 is missing")

    def dz1(dz2, W2, a1):
        s = sigmoid(a1)
        return dz2 @ W2 * s * (1 - s)

    assert found_mistake(mlp, dz1)[0] == "derivative at a instead of z"

    def dz1(dz2, W2, a1):
        return dz2 @ W2 * (1 - a1)

    assert found_mistake(mlp, dz1) == ("missing factor", "the factor a1 is missing")

    def db2(dz2):
        return dz2

    assert found_mistake(mlp, db2) == ("missing sum", "the sum over the batch is missing")
    assert only(mlp, db2).kind == "batch 1"

    def db1(dz1):
        return dz1.sum()

    assert found_mistake(mlp, db1)[0] == "extra sum"
    assert "shape" in only(mlp, db1).finding.reason

    def dW2(dz2, x):
        return np.ones(7)

    assert found_mistake(mlp, dW2) is None
    assert only(mlp, dW2).kind == "not equal"


def test_missing_branch():
    network = gl.Network("two_ways")
    B, n = gl.dims("B n")
    i, j = gl.indices("i j")
    x, y = network.input("x", (B, n)), network.target("y", (B, n))
    w = network.parameter("w", (n,))
    a = network.define("a", (i, j), w[j] * x[i, j])
    b = network.define("b", (i, j), gl.tanh(a[i, j]) + x[i, j])
    network.minimize(gl.Sum((a[i, j] * b[i, j] - y[i, j]) ** 2, i, j))
    derivation = everything(network)

    def da(a, b, y):
        return 2 * (a * b - y) * b

    assert only(derivation, da).kind == "not equal"
    assert found_mistake(derivation, da) == ("missing term", "what comes back through b is missing")


# ---- layouts ----------------------------------------------------------------------------------------------------


def coursera_backward(X, Y, cache):
    m = X.shape[1]
    W2, A1, A2 = cache["W2"], cache["A1"], cache["A2"]
    dZ2 = (A2 - Y) / m
    dW2 = np.dot(dZ2, A1.T)
    db2 = np.sum(dZ2, axis=1, keepdims=True)
    dZ1 = np.dot(W2.T, dZ2) * A1 * (1 - A1)
    dW1 = np.dot(dZ1, X.T)
    db1 = np.sum(dZ1, axis=1)
    return {"dZ2": dZ2, "dW2": dW2, "db2": db2, "dZ1": dZ1, "dW1": dW1, "db1": db1}


def test_examples_in_columns(mlp):
    verdict = check_python(mlp, coursera_backward)
    assert [line.written.rpartition(" ")[2] for line in verdict.lines] == ["dZ2", "dW2", "db2", "dZ1", "dW1", "db1"]
    assert verdict.ok
    assert all(str(line.finding.meaning.manner) == "one example per column" for line in verdict.lines)
    notes = [line.finding.decision.note for line in verdict.lines]
    assert "its shape is" in notes[-1]  # (h,) for (h, 1)
    assert not any(notes[:-1])


def test_weights_as_inputs_by_outputs(affine):
    def affine_backward(dout, cache):
        x, w, b = cache  # noqa: RUF059
        dx = dout.dot(w.T).reshape(x.shape)
        dw = x.reshape(x.shape[0], -1).T.dot(dout)
        db = np.sum(dout, axis=0)
        return dx, dw, db

    verdict = check_python(affine, affine_backward)
    assert verdict.ok
    assert "weights as (in, out)" in verdict.lines[1].finding.meaning.notes[0]

    def dW(x, dz):
        return x.T @ dz

    assert only(affine, dW).kind == "layout"  # nothing says here that the weights are (in, out)


def test_square_weights_are_not_transposed_for_anyone():
    network = gl.Sequential(
        [gl.layers.Dense(4, gl.tanh), gl.layers.Dense(4, gl.tanh)], input_shape=(4,), loss=gl.losses.SquaredError()
    )

    def da1(dz2, W2):
        return dz2 @ W2.T

    assert only(everything(network), da1).kind == "not equal"


def nielsen_backprop(x, y, W1, b1, W2, b2):
    weights, biases = [W1, W2], [b1, b2]
    activation, activations, zs = x, [x], []
    for b, w in zip(biases, weights, strict=True):
        z = np.dot(w, activation) + b
        zs.append(z)
        activation = sigmoid(z) if len(zs) == 1 else softmax(z, 0)
        activations.append(activation)
    nabla_b = [np.zeros(b.shape) for b in biases]
    nabla_w = [np.zeros(w.shape) for w in weights]
    delta = activations[-1] - y
    nabla_b[-1] = delta
    nabla_w[-1] = np.dot(delta, activations[-2].T)
    sp = activations[-2] * (1 - activations[-2])
    delta = np.dot(weights[-1].T, delta) * sp
    nabla_b[-2] = delta
    nabla_w[-2] = np.dot(delta, activations[-3].T)
    return (nabla_b, nabla_w)


def test_lists_of_layers_for_one_example(mlp):
    assert kinds(mlp, nielsen_backprop) == ["batch 1"] * 4
    assert check_python(mlp, nielsen_backprop, single=True, explain=False).ok

    def dW2(dz2, a1):
        return np.outer(dz2, a1)

    assert only(mlp, dW2).kind == "batch 1"
    assert only(mlp, dW2, single=True).kind == "equal"


# ---- batch normalisation ----------------------------------------------------------------------------------------


def batchnorm_backward_alt(dout, cache):
    x, gamma, mu, var = cache
    eps = 1e-5
    N = x.shape[0]
    r = 1.0 / np.sqrt(var + eps)
    xhat = (x - mu) * r
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dx = gamma * r / N * (N * dout - dbeta - xhat * dgamma)
    return dx, dgamma, dbeta


def test_batch_norm(batch_norm):
    rng = np.random.default_rng(1)
    x = torch.tensor(rng.normal(size=(7, 5)), requires_grad=True)
    gamma = torch.tensor(rng.normal(size=5), requires_grad=True)
    dout = rng.normal(size=(7, 5))
    out = torch.nn.functional.batch_norm(x, None, None, gamma, torch.zeros(5).double(), training=True, eps=1e-5)
    out.backward(torch.tensor(dout))
    data = x.detach().numpy()
    made = batchnorm_backward_alt(dout, (data, gamma.detach().numpy(), data.mean(0), data.var(0)))
    np.testing.assert_allclose(made[0], x.grad, rtol=1e-9)
    np.testing.assert_allclose(made[1], gamma.grad, rtol=1e-9)
    assert kinds(batch_norm, batchnorm_backward_alt) == ["equal"] * 3


def test_batch_norm_without_gamma(batch_norm):
    def dx(dout, x, mu, var, N):
        r = 1 / np.sqrt(var + 1e-5)
        h = (x - mu) * r
        return r / N * (N * dout - dout.sum(0) - h * (dout * h).sum(0))

    assert only(batch_norm, dx).kind == "not equal"
    assert found_mistake(batch_norm, dx) == ("missing factor", "the factor gamma1 is missing")


@pytest.mark.parametrize("eps", [0.0, 1e-6, 2e-5])
def test_another_epsilon_is_never_right(batch_norm, eps):
    """Nearly equal at a plain point; where everything is small, it is not."""

    def dx(dout, x, gamma, mu, var, N):
        r = 1 / np.sqrt(var + eps)
        h = (x - mu) * r
        return gamma * r / N * (N * dout - dout.sum(0) - h * (dout * h).sum(0))

    assert only(batch_norm, dx).kind == "not equal"


# ---- one error is one error -------------------------------------------------------------------------------------


def test_what_follows_from_a_wrong_result(mlp):
    def backward(cache, x, y, B):
        a1, a2, W2 = cache["a1"], cache["a2"], cache["W2"]
        dz2 = (a2 - y) / B
        da1 = dz2 @ W2
        dz1 = da1 * a1
        return {"dW2": dz2.T @ a1, "dz1": dz1, "dW1": dz1.T @ x, "db1": dz1.sum(0), "db2": -dz2.sum(0)}

    verdict = check_python(mlp, backward)
    assert [line.kind for line in verdict.lines] == ["equal given", "not equal", "follows", "follows", "not equal"]
    assert [line.after for line in verdict.lines] == [None, None, 2, 2, None]
    assert verdict.first_wrong.number == 2


def test_a_second_error_is_one_of_its_own(mlp):
    def backward(cache, x, y):
        dz2 = cache["a2"] - y
        dz1 = dz2 @ cache["W2"] * cache["a1"] * (1 - cache["a1"])
        return {"dz2": -dz2, "dz1": -dz1, "dW1": dz1.T @ x}

    assert [line.kind for line in check_python(mlp, backward).lines] == ["not equal", "follows", "batch 1"]


# ---- what is no plain yes or no ---------------------------------------------------------------------------------


def test_one_hot_rows(mlp):
    def dz2(a2, y, B):
        a2[np.arange(B), np.argmax(y, axis=1)] -= 1
        return a2 / B

    line = only(mlp, dz2)
    assert line.kind == "equal given"
    assert [fact.source for fact in line.finding.decision.facts] == ["declared: one-hot"]
    assert "changes a2 in place" in line.finding.meaning.notes[0]


ROUNDED_SCALE = 0.79788456


def gelu_network():
    network = gl.Network("gelu")
    B, n = gl.dims("B n")
    i, j = gl.indices("i j")
    x, y = network.input("x", (B, n)), network.target("y", (B, n))
    w = network.parameter("w", (n,))
    z = network.define("z", (i, j), w[j] * x[i, j])
    inner = sympy.sqrt(2 / sympy.pi) * (z[i, j] + sympy.Rational(44715, 1000000) * z[i, j] ** 3)
    a = network.define("a", (i, j), z[i, j] / 2 * (1 + gl.tanh(inner)))
    network.minimize(gl.Sum((a[i, j] - y[i, j]) ** 2, i, j))
    return everything(network)


def test_rounded_constants():
    derivation = gelu_network()

    def exact(z):
        return 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))

    def rounded(z):
        return 0.5 * z * (1 + np.tanh(0.797885 * (z + 0.044715 * z**3)))

    def by_name(z):
        return 0.5 * z * (1 + np.tanh(ROUNDED_SCALE * (z + 0.044715 * z**3)))

    def coarse(z):
        return 0.5 * z * (1 + np.tanh(0.8 * (z + 0.044715 * z**3)))

    def wrong(z):
        return 0.5 * z * (1 + np.tanh(0.797885 * (z + 0.044815 * z**3)))

    made = [only(derivation, named(function, "a")) for function in (exact, rounded, by_name, coarse, wrong)]
    assert [line.kind for line in made[:4]] == ["equal", "rounded", "rounded", "not equal"]
    assert made[4].kind not in ("equal", "rounded")
    assert made[1].finding.decision.digits in (5, 6, 7)
    assert made[2].finding.decision.digits > made[1].finding.decision.digits


def named(function, name):
    function.__name__ = name
    return function


def test_float32_is_compared_as_such(mlp):
    def dW2(dz2, a1):
        return dz2.astype(np.float32).T @ a1.astype(np.float32)

    line = only(mlp, dW2)
    assert line.kind == "equal"
    assert "float32" in line.finding.decision.note


def test_what_it_was_given_is_no_result(mlp):
    def dW2(cache):
        return cache["dW2"]

    assert only(mlp, dW2).kind == "undecided"


def test_numeric_gradients_are_not_called_right(mlp):
    def dz2(z2, y, B):
        def loss(z):
            return -np.sum(y * np.log(softmax(z, 1))) / B

        made = np.zeros_like(z2)
        for at in np.ndindex(*z2.shape):
            step = np.zeros_like(z2)
            step[at] = 1e-3
            made[at] = (loss(z2 + step) - loss(z2 - step)) / 2e-3
        return made

    assert only(mlp, dz2).kind in ("undecided", "not equal")


def _nan(dz2, a1):
    return dz2.T @ a1 * np.log(-1.0)


def _complex(dz2, a1):
    return (dz2.T @ a1).astype(complex)


def _shape(dz2, a1):
    return (dz2.T @ a1)[:, :2]


def _text(dz2, a1):
    return "dz2.T @ a1"


@pytest.mark.parametrize(
    ("function", "said"),
    [(_nan, "NaN"), (_complex, "complex"), (_shape, "the correct one"), (_text, "no array of numbers")],
)
def test_wrong_by_kind(mlp, function, said):
    line = only(mlp, named(lambda dz2, a1: function(dz2, a1), "dW2"))
    assert line.kind == "not equal"
    assert said in line.finding.decision.note


def test_code_that_fails(mlp):
    def dW2(dz2, a1):
        return dz2 @ undefined_name  # noqa: F821

    line = only(mlp, dW2)
    assert line.kind == "unread"
    assert f"{Path(__file__)}, line " in line.error
    assert "NameError: name 'undefined_name' is not defined" in line.error
    assert "Traceback" not in line.error

    def dW2(dz2, a1):
        dz2.T @ a1

    assert "is there a return?" in only(mlp, dW2).error


def test_chance_is_found(mlp):
    def dW2(dz2, a1):
        return dz2.T @ a1 + np.random.normal(size=1)  # noqa: NPY002

    assert "something else each time" in only(mlp, dW2).error


def test_inputs_are_copies(mlp):
    def dz2(a2, y, B):
        a2 -= y
        a2 /= B
        return a2

    assert [only(mlp, dz2).kind for _ in range(2)] == ["equal given"] * 2
    assert only(mlp, dW2).kind == "equal"


def test_unknown_names(mlp):
    def dW2(dz2, a7):
        return dz2.T @ a7

    with pytest.raises(UnknownNameError, match=r"a7 is no name of network; there are tensors x, W1"):
        check_python(mlp, dW2)

    def dW2(cache):
        return cache["dz2"].T @ cache["a9"]

    with pytest.raises(UnknownNameError, match=r"cache\['a9'\]: there is no such name; there are tensors x, W1"):
        check_python(mlp, dW2)

    def dW2(dz, a1):
        return dz.T @ a1

    with pytest.raises(UnknownNameError, match="z may be z1, z2"):
        check_python(mlp, dW2)

    def mine(dz2, a1):
        return dz2.T @ a1

    with pytest.raises(UnknownNameError, match="name it for what it returns"):
        check_python(mlp, mine)


def test_results_in_the_order_of_the_parameters(mlp):
    def mine(dz1, dz2, x, a1):
        return dz1.T @ x, dz1.sum(0), dz2.T @ a1, dz2.sum(0)

    verdict = check_python(mlp, mine)
    assert verdict.ok
    assert "in this order" in verdict.lines[0].finding.meaning.notes[0]


def test_results_by_unknown_names(mlp):
    def backward(dz2, a1):
        return {"dW2": dz2.T @ a1, "dQ": 3.0}

    verdict = check_python(mlp, backward)
    assert [line.kind for line in verdict.lines] == ["equal", "unread"]
    assert "dQ is no name" in verdict.lines[1].error


# ---- files ------------------------------------------------------------------------------------------------------


def test_a_file(mlp, tmp_path):
    (tmp_path / "my_activations.py").write_text("import numpy as np\n\ndef slope(a):\n    return a * (1 - a)\n")
    path = tmp_path / "claims.py"
    path.write_text(
        textwrap.dedent(
            """\
            import numpy as np
            from my_activations import slope

            def sigmoid(z):
                return 1 / (1 + np.exp(-z))

            def dz1(dz2, W2, a1):
                return dz2 @ W2 * slope(a1)

            def dW1(dz1, x):
                return x.T @ dz1

            def dW9(dz2):
                return dz2

            def dW2(dz2, a1):
                return dz2.T @ nothing
            """
        )
    )
    verdict = check_python(mlp, path)
    assert [(line.kind, line.number) for line in verdict.lines] == [
        ("equal", 7),
        ("layout", 10),
        ("unread", 13),
        ("unread", 16),
    ]
    assert "not judged: dW9 is no name" in verdict.lines[2].error
    assert f"{path}, line 17: NameError" in verdict.lines[3].error
    assert not verdict.ok


def test_files_that_say_nothing(mlp, tmp_path):
    path = tmp_path / "claims.py"
    with pytest.raises(DataError, match="cannot read the claim"):
        check_python(mlp, path)
    path.write_text("def f(x):\n    return x\n")
    with pytest.raises(UserCodeError, match="claims nothing"):
        check_python(mlp, path)
    path.write_text("import numpy as np\n\n1 / 0\n")
    with pytest.raises(UserCodeError, match="line 3: ZeroDivisionError"):
        check_python(mlp, path)
    path.write_text("def f(:\n")
    with pytest.raises(UserCodeError, match="line 1: SyntaxError"):
        check_python(mlp, path)


# ---- pages ------------------------------------------------------------------------------------------------------


def test_a_page(mlp):
    def backward(X, A1, A2, Y, W2, m):
        dZ2 = (A2 - Y) / m
        dZ1 = W2.T @ dZ2
        return {"dZ2": dZ2, "dZ1": dZ1, "dW1": dZ1 @ X.T}

    verdict = check_python(mlp, backward)
    assert verdict.mistake.kind == "missing activation derivative"
    example = verdict.counterexample
    assert np.argmax(np.abs(example.left - example.right)) == np.ravel_multi_index(example.entry, example.left.shape)
    page = verdict.explain()
    for said in (
        "1 of 3 lines is right. The first wrong one is line 2.",
        "follows from line 2, which is wrong",
        "The derivative of a1 by z1 is missing.",
        "one example per column",
        "random points in float64",
        "They differ most at example",
    ):
        assert said in page
    assert "dZ1" in verdict.html()


def test_a_counterexample_is_what_the_function_returns(mlp):
    def dW2(dz2, a1):
        return -(dz2.T @ a1)

    example = check_python(mlp, dW2).counterexample
    np.testing.assert_allclose(example.right, dW2(example.adjoints["z2"], example.values["a1"]))
    np.testing.assert_allclose(example.left, -example.right)
