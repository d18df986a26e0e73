"""Worked numbers: the lecture's, and everything against the NumPy target and PyTorch."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import gradloom as gl
from gradloom.cli import main
from gradloom.model_file import load_model_file
from gradloom.symbolic.report import as_latex, as_text
from gradloom.symbolic.report.document import Line, Table

L = gl.layers
TWO = Path(__file__).parent.parent / "examples" / "two_two_two.py"

# M. Mazur, "A step by step backpropagation example" (2015): every number that it prints, where our page has it.
# Its ∂E_o2/∂out_h1, -0.019049119, was multiplied of rounded numbers: 0.50 · -0.03809823651… is -0.01904911825….
LECTURE = {
    "z1[0]": "0.3775",
    "a1[0]": "0.593269992",
    "a1[1]": "0.596884378",
    "z2[0]": "1.105905967",
    "a2[0]": "0.75136507",
    "a2[1]": "0.772928465",
    "1/2 (a2[0] - y[0])²": "0.274811083",
    "1/2 (a2[1] - y[1])²": "0.023560026",
    "L": "0.298371109",
    "∂L/∂a2[0]": "0.74136507",
    "∂a2[0]/∂z2[0]": "0.186815602",
    "∂z2[0]/∂W2[0, 0]": "0.593269992",
    "∂L/∂W2[0, 0]": "0.082167041",
    "δ2[0]": "0.138498562",
    "∂z2[0]/∂a1[0]": "0.40",
    "δ2[0] · ∂z2[0]/∂a1[0]": "0.055399425",
    "δ2[1] · ∂z2[1]/∂a1[0]": "-0.019049119",
    "∂L/∂a1[0]": "0.036350306",
    "∂a1[0]/∂z1[0]": "0.241300709",
    "∂z1[0]/∂W1[0, 0]": "0.05",
    "∂L/∂W1[0, 0]": "0.000438568",
    "W2[0, 0]⁺": "0.35891648",
    "W2[0, 1]⁺": "0.408666186",
    "W2[1, 0]⁺": "0.511301270",
    "W2[1, 1]⁺": "0.561370121",
    "W1[0, 0]⁺": "0.149780716",
    "W1[0, 1]⁺": "0.19956143",
    "W1[1, 0]⁺": "0.24975114",
    "W1[1, 1]⁺": "0.29950229",
}


def lines(document):
    return [block.formula.text for section in document.sections for block in section.blocks if isinstance(block, Line)]


def named(document):
    """Left side → the last number of its last line."""
    return {line.split(" = ")[0]: float(line.split(" = ")[-1]) for line in lines(document) if _is_number(line)}


def _is_number(line):
    return re.fullmatch(r"-?[\d.]+(e-?\d+)?", line.split(" = ")[-1]) is not None and " = " in line


def table(document, title):
    """The table of a section: first cells → numbers."""
    section = next(section for section in document.sections if section.title == title)
    found = [block for block in section.blocks if isinstance(block, Table)][-1]
    return [(row[0].text, *(float(cell.text) for cell in row[1:])) for row in found.rows]


@pytest.fixture(scope="module")
def two():
    file = load_model_file(str(TWO))
    return gl.explain(file.network, file.data, optimizer=file.training["optimizer"])


def test_the_lecture_number_by_number(two):
    found = named(two)
    for name, printed in LECTURE.items():
        digits = len(printed.partition(".")[2])
        assert round(found[name], digits) == pytest.approx(float(printed), abs=1.01 * 10.0**-9), name


def test_the_lecture_as_it_is_printed(two):
    text = as_text.text(two)
    assert "z1[0] = W1[0, 0] x[0] + W1[0, 1] x[1] + b1[0] = 0.15 · 0.05 + 0.2 · 0.1 + 0.35 = 0.3775" in text
    assert "L = 0.274811083 + 0.023560026 = 0.298371109" in text
    assert (
        "∂L/∂W2[0, 0] = ∂L/∂a2[0] · ∂a2[0]/∂z2[0] · ∂z2[0]/∂W2[0, 0] = "
        "0.74136507 · 0.186815602 · 0.593269992 = 0.082167041"
    ) in text
    assert "δ2[0] = ∂L/∂z2[0] = ∂L/∂a2[0] · ∂a2[0]/∂z2[0] = 0.74136507 · 0.186815602 = 0.138498562" in text
    assert "W2[0, 0]⁺ = W2[0, 0] - lr ∂L/∂W2[0, 0] = 0.4 - 0.5 · 0.082167041 = 0.35891648" in text
    assert "With the new weights L = 0.291027774; before, it was 0.298371109." in text
    for printed in ("0.511301270", "0.358916480", "0.149780716"):
        assert printed in text  # the table of the update
    # What is needed stands before what needs it.
    order = ["∂L/∂a2[0] = a2", "δ2[0] = ", "∂L/∂W2[0, 0] = ", "∂L/∂a1[0] = ", "δ1[0] = ", "∂L/∂W1[0, 0] = "]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)


def test_every_line_is_an_equation_that_holds(two):
    """What stands on the right of the last two signs of equality is the same number, recomputed from its digits."""
    count = 0
    for line in lines(two):
        sides = line.split(" = ")
        if len(sides) < 3 or re.search(r"[A-Za-z∂δ]", sides[-2].replace("sigmoid", "")):
            continue
        code = sides[-2].replace("·", "*").replace("²", "**2").replace("sigmoid", "_s")
        assert eval(code, {"_s": lambda z: 1 / (1 + np.exp(-z))}) == pytest.approx(float(sides[-1]), abs=3e-9), line
        count += 1
    assert count > 40


def test_what_if(two):
    rows = table(two, "What if")
    assert len(rows) == 16
    file = load_model_file(str(TWO))
    model = gl.Model(file.network, dtype="float64", target="numpy")
    base, gradients = model.loss_and_gradients(*file.data)
    for name, step, loss, change, predicted, gap, second in rows:
        tensor, places = name.rstrip("]").split("[")
        at = tuple(map(int, places.split(",")))
        model.params[tensor][at] += step
        found = model.evaluate(*file.data, metrics=[])["loss"]
        model.params[tensor][at] -= step
        assert loss == pytest.approx(found, abs=1e-9)
        assert change == pytest.approx(found - base, abs=1e-9)
        assert predicted == pytest.approx(gradients[tensor][at] * step, abs=1e-9)
        assert gap == pytest.approx(found - base - gradients[tensor][at] * step, rel=1e-5, abs=1e-15)
        # The rest is of third order.
        assert gap == pytest.approx(second, rel=0.01)


def case(name):
    rng = np.random.default_rng(3)
    if name == "classes":
        network = gl.Sequential(
            [L.Dense(3, gl.tanh), L.Dense(4)], input_shape=2, loss=gl.losses.CrossEntropy(targets="labels")
        )
        return (
            network,
            (rng.normal(size=(5, 2)), rng.integers(0, 4, 5)),
            lambda w, x, y: F.cross_entropy(F.linear(torch.tanh(F.linear(x, w["W1"], w["b1"])), w["W2"], w["b2"]), y),
        )
    if name == "convolution":
        network = gl.Sequential(
            [L.Conv2D(1, 2, activation=gl.relu), L.MaxPool2D((1, 2)), L.Flatten(), L.Dense(2)],
            input_shape=(1, 3, 3), loss=gl.losses.SquaredError(),
        )  # fmt: skip
        return (
            network,
            (rng.normal(size=(5, 1, 3, 3)), rng.normal(size=(5, 2))),
            lambda w, x, y: (
                (
                    (
                        F.linear(
                            F.max_pool2d(torch.relu(F.conv2d(x, w["W1"], w["b1"])), (1, 2)).flatten(1), w["W4"], w["b4"]
                        )
                        - y
                    )
                    ** 2
                ).sum()
                / (2 * len(x))
            ),
        )
    network = gl.Sequential([L.RNN(2, return_sequences=False)], input_shape=(3, 1), loss=gl.losses.SquaredError())

    def recurrent(w, x, y):
        h = torch.zeros(len(x), 2, dtype=x.dtype)
        for t in range(3):
            h = torch.tanh(F.linear(x[:, t], w["W1"], w["b1"]) + h @ w["U1"].T)
        return ((h - y) ** 2).sum() / (2 * len(x))

    return network, (rng.normal(size=(5, 3, 1)), rng.normal(size=(5, 2))), recurrent


@pytest.mark.parametrize("name", ["classes", "convolution", "recurrent"])
@pytest.mark.parametrize("rows", [2, [3, 1]])
def test_pages_against_numpy_and_pytorch(name, rows):
    network, (X, Y), reference = case(name)
    optimizer = gl.optimizers.SGD(lr=0.3, momentum=0.9)
    page = gl.explain(network, (X, Y), rows=rows, optimizer=optimizer, seed=4)
    chosen = [rows] if isinstance(rows, int) else rows
    model = gl.Model(network, seed=4, dtype="float64", target="numpy")
    loss, gradients = model.loss_and_gradients(X[chosen], Y[chosen])
    w = {name: torch.tensor(array, requires_grad=True) for name, array in model.params.items()}
    by_torch = reference(w, torch.tensor(X[chosen]), torch.tensor(Y[chosen]))
    by_torch.backward()
    assert named(page)["L"] == pytest.approx(loss, abs=1e-9)
    assert loss == pytest.approx(by_torch.item(), rel=1e-12)
    torch.optim.SGD(w.values(), lr=0.3, momentum=0.9).step()
    rows_found = table(page, "Update")
    assert len(rows_found) == model.count
    for weight, _, gradient, velocity, new in rows_found:
        tensor, places = weight.rstrip("]").split("[")
        at = tuple(map(int, places.split(",")))
        assert gradient == pytest.approx(gradients[tensor][at], abs=1e-9)
        assert named(page)[f"∂L/∂{weight}"] == pytest.approx(w[tensor].grad[at].item(), abs=1e-9)
        assert velocity == pytest.approx(gradient, abs=1e-9)
        assert new == pytest.approx(w[tensor][at].item(), abs=1e-9)


def test_a_larger_network_is_shown_in_arrays():
    network = gl.Sequential([L.Dense(11, gl.sigmoid), L.Dense(5)], input_shape=13, loss=gl.losses.CrossEntropy())
    rng = np.random.default_rng(5)
    X, Y = rng.normal(size=(7, 13)), np.eye(5)[rng.integers(0, 5, 7)]
    page = gl.explain(network, (X, Y), rows=slice(3), optimizer=gl.optimizers.Adam(), entries=["W1[2, 7]"], seed=1)
    model = gl.Model(network, seed=1, dtype="float64", target="numpy")
    loss, gradients = model.loss_and_gradients(X[:3], Y[:3])
    text = as_text.text(page)
    assert f"z1 (3 × 11): {np.round(model.params['W1'] @ X[0], 9)[0]:.9f}".rstrip("0") in text
    assert f"norm {np.linalg.norm(gradients['W1']):.9f}".rstrip("0") in text
    assert f"L = {loss:.9f}".rstrip("0") in text
    assert named(page)["∂L/∂W1[2, 7]"] == pytest.approx(gradients["W1"][2, 7], abs=1e-9)
    sections = {section.title: section.blocks for section in page.sections}
    terms = next(block for block in sections["Backward"] if isinstance(block, Table))
    assert sum(float(row[-1].text) for row in terms.rows) == pytest.approx(gradients["W1"][2, 7], abs=1e-8)
    for name, norm, of_gradient, change in table(page, "Update"):
        assert norm == pytest.approx(np.linalg.norm(model.params[name]), abs=1e-9)
        assert of_gradient == pytest.approx(np.linalg.norm(gradients[name]), abs=1e-9)
        # Adam's first step is lr in every entry that has a gradient.
        assert change == pytest.approx(0.001 * np.sqrt(gradients[name].size), rel=1e-3)
    for name, *_ in table(page, "What if"):
        tensor, places = name.rstrip("]").split("[")
        at = tuple(map(int, places.split(",")))
        assert abs(gradients[tensor][at]) == np.abs(gradients[tensor]).max()


def test_given_parameters_nudges_and_random_data():
    network = gl.Sequential([L.Dense(1)], input_shape=2, loss=gl.losses.SquaredError())
    data = {"x": [[2.0, 3.0]], "y": [[1.0]]}
    page = gl.explain(network, data, {"W1": [[0.5, -1.0]]}, nudge=["x[0, 1]"], epsilon=0.25)
    assert "z1[0] = W1[0, 0] x[0] + W1[0, 1] x[1] + b1[0] = 0.5 · 2 + (-1) · 3 + 0 = -2" in as_text.text(page)
    (more, less) = table(page, "What if")
    assert more == ("x[0, 1]", 0.25, 5.28125, 0.78125, 0.75, 0.03125, 0.03125)
    assert less[1:4] == (-0.25, 3.78125, -0.71875)
    one, again, other = (as_text.text(gl.explain(network, seed=seed)) for seed in (0, 0, 1))
    assert one == again != other


def test_modes_and_frozen_weights():
    network = gl.Sequential([L.Dense(3), L.Dropout(0.5), L.Dense(1)], input_shape=2, loss=gl.losses.SquaredError())
    network.freeze("W1")
    page = gl.explain(network, seed=2)
    assert "These are the numbers of a training step." in as_text.text(page)
    assert "Fixed: W1." in as_text.text(page)
    assert not any(row[0].startswith("W1") for row in table(page, "Update"))


def test_command_line(capsys, tmp_path):
    assert main(["explain", str(TWO)]) == 0
    assert "∂L/∂W1[0, 0] = ∂L/∂a1[0]" in capsys.readouterr().out
    assert main(["explain", str(TWO), "--format", "latex", "--standalone", "-o", str(tmp_path / "two.tex")]) == 0
    assert r"\begin{pmatrix} 0.15 & 0.2 \\ 0.25 & 0.3 \end{pmatrix}" in (tmp_path / "two.tex").read_text()
    assert main(["explain", str(TWO), "--format", "markdown", "--nudge", "W2[1,0]", "--epsilon", "0.001"]) == 0
    found = capsys.readouterr().out
    assert "### What if" in found
    assert found.count("| $W^{(2)}_{1 0}$ | $+0.001$") == 1
    assert main(["explain", str(TWO), "--optimizer", "sgd", "--lr", "1"]) == 0
    assert "= 0.4 - 1 · 0.082167041 = 0.317832959" in capsys.readouterr().out
    assert main(["explain", str(TWO), "--row", "1"]) == 2
    assert "there is no row 1: the data have 1, counted from 0" in capsys.readouterr().err
    assert main(["explain", str(TWO), "--entry", "W9[0,0]"]) == 2
    assert "no tensor 'W9'" in capsys.readouterr().err
    assert main(["explain", str(TWO), "--format", "text", "--standalone"]) == 2
    assert main(["explain", str(TWO), "--format", "pdf"]) == 2
    assert "add -o FILE.pdf" in capsys.readouterr().err


def test_html(two):
    pytest.importorskip("latex2mathml")
    from gradloom.symbolic.report import as_html

    page = as_html.html(two)
    assert "0.082167041" in page
    assert "<math" in page


def test_latex_has_every_number(two):
    latex = as_latex.latex(two, standalone=True)
    for printed in ("0.593269992", "0.082167041", "0.138498562", "0.036350306", "0.000438568", "0.511301270"):
        assert printed in latex


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rows": 5}, gl.DataError, "there is no row 5: the data have 2"),
        ({"rows": []}, gl.DataError, "no row is chosen of 2"),
        ({"epsilon": 0}, gl.DataError, "epsilon must be a positive number"),
        ({"params": {"V": [[1.0]]}}, gl.UndefinedError, "has no parameter 'V'; it has W1, b1"),
        ({"params": {"W1": [1.0]}}, gl.ShapeError, r"W1 has shape \(1, 2\), found an array of shape \(1,\)"),
        ({"entries": ["W1[3,0]"]}, gl.GradloomError, "W1"),
        ({"nudge": ["W1[0]"]}, gl.IndexingError, "W1 has 2 axes"),
        ({"nudge": ["z1[0,0]"]}, gl.UndefinedError, "z1 is no parameter or real input"),
        ({"colour": "red"}, gl.UnsupportedError, "no choice of notation"),
        ({"data": ([[1.0, 2.0]],)}, gl.DataError, "must be a pair"),
        ({"data": {"x": [[1.0, 2.0]]}}, gl.DataError, "target y has no data"),
    ],
)
def test_refusals(options, error, message):
    network = gl.Sequential([L.Dense(1)], input_shape=2, loss=gl.losses.SquaredError())
    given = {"data": ([[1.0, 2.0], [3.0, 4.0]], [[1.0], [2.0]]), **options}
    with pytest.raises(error, match=message):
        gl.explain(network, **given)


def test_a_network_without_loss_is_refused():
    network = gl.Network("open")
    network.parameter("w")
    with pytest.raises(gl.LossError, match="open has no loss"):
        gl.explain(network)


def test_a_circuit_without_parameters():
    network = gl.Network("circuit")
    x, y, z = network.input("x"), network.input("y"), network.input("z")
    network.minimize((x + y) * z, name="f")
    page = gl.explain(network, {"x": -2.0, "y": 5.0, "z": -4.0})
    assert [section.title for section in page.sections] == ["Given", "Error", "Backward", "What if"]
    text = as_text.text(page)
    assert text.count("∂f/∂z = ") == 1
    assert "∂f/∂z = x + y = -2 + 5 = 3" in text
    assert table(page, "What if")[0] == ("x", 0.01, -12.04, -0.04, -0.04, 0, 0)
    assert table(page, "What if")[4:] == [
        ("z", 0.01, -11.97, 0.03, 0.03, 0, 0),
        ("z", -0.01, -12.03, -0.03, -0.03, 0, 0),
    ]


@pytest.mark.parametrize("limit", [60, 0])
def test_what_is_held_has_no_gradient_and_no_comparison(limit):
    network = gl.Network("h")
    w, x = network.parameter("w", (2,)), network.input("x")
    k = gl.indices("k")
    p = network.define("p", (k,), w[k] * x)
    q = network.define("q", (k,), p[k] ** 2)
    h = network.define("h", (k,), gl.held(q[k]))
    network.minimize(gl.Sum((p[k] - h[k]) ** 2, k))
    page = gl.explain(network, {"x": 2.0}, {"w": [1.5, -0.5]}, limit=limit, entries=["w[1]"])
    text = as_text.text(page)
    assert "∂L/∂q" not in text
    assert "∂L/∂h" not in text
    assert re.search(r"∂L/∂\w+(\[\d\])? = *\n", text) is None
    assert named(page)["∂L/∂w[1]"] == pytest.approx(2 * (-1 - 1) * 2)  # h = 1 as a constant
    last = page.sections[-1]
    assert last.title == "What if"
    assert not any(isinstance(block, Table) for block in last.blocks)
    assert "Values are held here" in text


def small():
    layers = [L.Dense(2, gl.sigmoid), L.Dense(1)]
    return gl.Sequential(layers, input_shape=2, loss=gl.losses.SquaredError(), name="small")


def test_a_network_of_second_order_has_no_update_and_its_symbols_have_brackets():
    page = gl.explain(gl.hessian_vector(small()))
    assert [section.title for section in page.sections] == ["Given", "Forward", "Error", "Backward", "What if"]
    text = as_text.text(page)
    assert "∂(∂L/∂W1[0, 0])/∂(∂L/∂z1[0])" in text
    assert "∂L̇/∂(∂L/∂z1[0]) = " in text
    assert "∂∂" not in text


@pytest.mark.parametrize("limit", [60, 0])
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"entries": ["W1[0,9]"]}, gl.IndexingError, r"axis 1 of W1 \(2, 2\) ends at 1"),
        ({"entries": ["W9[0]"]}, gl.UndefinedError, "small has no tensor 'W9'; it has x, W1, b1"),
        ({"entries": ["x[1,0]"]}, gl.GradloomError, "x"),
        ({"nudge": ["x[4,0]"]}, gl.IndexingError, r"axis 0 of x \(B, 2\) ends at 0"),
        ({"sizes": {"q": 3}}, gl.SizeError, "'q' is no size of small: its sizes are B"),
        ({"rows": 3}, gl.DataError, "the data are random, found 3; rows=slice"),
        ({"rows": [0, 1]}, gl.DataError, "the data are random"),
        ({"rows": slice(1, 3)}, gl.DataError, "the data are random"),
        ({"rows": slice(None)}, gl.DataError, "expected how many random ones"),
        ({"rows": slice(3), "sizes": {"B": 2}}, gl.DataError, "3 random rows, and size B = 2"),
    ],
)
def test_refusals_name_what_the_network_declares(limit, options, error, message):
    with pytest.raises(error, match=message):
        gl.explain(small(), limit=limit, **options)


def test_rows_of_random_data_and_of_networks_without_rows():
    page = gl.explain(small(), rows=slice(3), seed=5)
    text = as_text.text(page)
    assert "z1[2, 1] = " in text
    assert "z1[3, 1]" not in text
    assert named(page)["L"] == pytest.approx(sum(named(page)[f"1/6 (z2[{i}, 0] - y[{i}, 0])²"] for i in range(3)))
    circuit = gl.Network("circuit")
    circuit.minimize(circuit.input("x") ** 2)
    with pytest.raises(gl.DataError, match="circuit has no batch, so that there are no rows"):
        gl.explain(circuit, {"x": 2.0}, rows=1)


@pytest.mark.parametrize("limit", [60, 0])
def test_an_entry_that_no_gradient_is_asked_of(limit):
    page = gl.explain(small(), entries=["x[0, 1]"], seed=3, limit=limit)
    moved = gl.explain(small(), nudge=["x[0, 1]"], epsilon=1e-5, seed=3)
    (_, _, _, change, *_), _ = table(moved, "What if")
    name = "∂L/∂x[1]" if limit else "∂L/∂x[0, 1]"
    assert named(page)[name] == pytest.approx(change / 1e-5, rel=1e-3)


def test_what_takes_too_long_is_refused():
    network = gl.Sequential([L.Dense(900), L.Dense(900)], input_shape=900, loss=gl.losses.SquaredError())
    with pytest.raises(
        gl.UnsupportedError, match=r"takes [\d,]+ operations, more than the 10,000,000 .*--size.*--rows"
    ):
        gl.explain(network, rows=slice(2))


@pytest.mark.parametrize("limit", [60, 0])
def test_constants_are_given_and_direct_is_explained(limit):
    layers = [L.Dense(2)]
    penalties = [gl.losses.L2(0.25)]
    network = gl.Sequential(layers, input_shape=2, loss=gl.losses.SquaredError(), penalties=penalties)
    page = gl.explain(network, limit=limit)
    given = as_text.text(page).split("Forward")[0]
    assert "lam = 0.25" in given
    if limit:
        assert as_text.text(page).count("“direct”: the derivative by way of this equation alone") == 1


def test_headings_name_all_that_weights_go_into():
    one = as_text.text(gl.explain(small()))
    assert one.count("The weights into z2[0]:") == 1
    two = as_text.text(gl.explain(small(), rows=slice(2)))
    assert two.count("The weights into z2[0, 0], z2[1, 0]:") == 1
    many = as_text.text(gl.explain(small(), rows=slice(7)))
    named_six = ", ".join(f"z2[{i}, 0]" for i in range(6))
    assert f"The weights into {named_six}, …:" in many


def test_what_if_says_what_it_shows():
    network = gl.Sequential([L.Dense(4), L.Dense(1)], input_shape=3, loss=gl.losses.SquaredError())
    page = gl.explain(network, seed=2)
    gradients = sorted(abs(row[2]) for row in table(page, "Update"))
    shown = {row[0]: abs(row[3]) for row in table(page, "What if")}
    assert len(shown) == 12
    assert "Of the 21 weights, these are the 12 with the largest gradients." in as_text.text(page)
    kept = [abs(row[2]) for row in table(page, "Update") if row[0] in shown]
    assert sorted(kept) == gradients[-12:]
    for options in ({"nudge": ["W1[0, 0]"]}, {"limit": 0, "nudge": ["W1[0, 0]"]}):
        assert "with the largest gradient" not in as_text.text(gl.explain(network, **options)).split("What if")[1]
    text = as_text.text(gl.explain(network, limit=0))
    assert "Of each parameter, this is the entry with the largest gradient." in text
