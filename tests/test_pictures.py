"""Pictures: their numbers against PyTorch and finite differences, their geometry, their bytes, and what they refuse."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import sympy
import torch

import gradloom as gl
from gradloom.symbolic.pictures.circuit import number_text, numbers_of, scalars
from gradloom.symbolic.pictures.draw import COLOURS
from gradloom.symbolic.pictures.gates import circuit_of
from gradloom.symbolic.pictures.labels import extent, label
from gradloom.symbolic.pictures.layered import Box, layered

pytest.importorskip("matplotlib")
pytest.importorskip("igraph")
ENGINES = [
    "igraph",
    pytest.param("dot", marks=pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")),
]
POINT = {"w0": 2, "x0": -1, "w1": -3, "x1": -2, "w2": -3}


def neuron(name="neuron"):
    """σ(w0 x0 + w1 x1 + w2), written out."""
    net = gl.Network(name)
    w0, x0, w1, x1, w2 = (net.input(name) for name in POINT)
    net.minimize(1 / (1 + sympy.exp(-(w0 * x0 + w1 * x1 + w2))), name="f")
    return net


def two_layers(**options):
    made = [gl.layers.Dense(3, gl.sigmoid), gl.layers.Dense(2, gl.tanh)]
    return gl.Sequential(made, input_shape=5, loss=gl.losses.SquaredError(), name="two_layers", **options)


def lenet():
    made = [gl.layers.Reshape((1, 28, 28))]
    for maps, padding in ((6, 2), (16, 0)):
        made += [gl.layers.Conv2D(maps, 5, padding=padding, activation=gl.relu), gl.layers.MaxPool2D(2)]
    made += [gl.layers.Flatten(), gl.layers.Dense(120, gl.relu), gl.layers.Dense(84, gl.relu), gl.layers.Dense(10)]
    return gl.Sequential(made, input_shape=784, loss=gl.losses.CrossEntropy(targets="labels"), name="lenet5")


def lstm():
    T, n, m = gl.dims("T n m")
    return gl.Sequential([gl.layers.LSTM(m)], input_shape=(T, n), loss=gl.losses.SquaredError(), name="lstm")


# ---- numbers -----------------------------------------------------------------------------------------------------


def test_the_circuit_of_the_notes_has_their_numbers():
    """CS231n, "Backpropagation, intuitions": every value and every gradient of its sigmoid circuit."""
    picture = neuron().picture(POINT, split=True)
    numbers = [word.written.replace("−", "-") for word in picture.sheet.words if re.fullmatch(r"[−\d.]+", word.written)]
    values = "2.00 -1.00 -3.00 -2.00 -3.00 -2.00 6.00 4.00 1.00 -1.00 0.37 1.37 0.73".split()
    gradients = "-0.20 0.39 -0.39 -0.59 0.20 0.20 0.20 0.20 0.20 -0.20 -0.53 -0.53 1.00".split()
    by_role = {role: [w.written for w in picture.sheet.words if w.role == role] for role in ("value", "gradient")}
    assert sorted(by_role["value"]) == sorted(value.replace("-", "−") for value in values)
    assert sorted(by_role["gradient"]) == sorted(value.replace("-", "−") for value in gradients)
    assert len(numbers) == len(values) + len(gradients)
    at = {word.written: word for word in picture.sheet.words}
    leaf = at["$w_{1}$"]  # its value stands above its line, its gradient below it
    beside = [word for word in picture.sheet.words if leaf.x < word.x < leaf.x + 60 and abs(word.y - leaf.y) < 15]
    assert [word.written for word in sorted(beside, key=lambda word: word.y)] == ["−3.00", "−0.39"]


def test_a_named_function_is_one_gate_or_is_opened():
    net = gl.Network("named")
    x = net.input("x")
    net.minimize(gl.sigmoid(3 * x), name="f")
    closed, opened = (circuit_of(net, split=split) for split in (False, True))
    assert [gate.mark for gate in closed.gates] == [r"$\times\,3$", r"$\sigma$"]
    assert [gate.mark for gate in opened.gates] == [r"$\times\,3$", r"$\times\,-1$", "exp", "$+1$", "$1/x$"]
    for made in (closed, opened):
        found = numbers_of(made, {"x": 0.2})
        slope = 3 * 0.6456563062257954 * (1 - 0.6456563062257954)
        assert found.gradients["x"] == pytest.approx(slope, rel=1e-12)


def many_operations():
    net = gl.Network("many")
    a, b, c, d = (net.input(name) for name in "abcd")
    p = net.define("p", (), a * b - c / d)
    q = net.define("q", (), sympy.Max(p, a) * sympy.sqrt(d) + sympy.log(b) + 0.5)
    r = net.define("r", (), gl.relu(q) + gl.softplus(p) ** 2 + sympy.Abs(a - c) + sympy.Min(a, c))
    net.minimize(gl.tanh(r / 7) + d**1.5 * gl.gelu(a), name="loss_value")
    return net


def torch_many(a, b, c, d):
    p = a * b - c / d
    q = torch.maximum(p, a) * torch.sqrt(d) + torch.log(b) + 0.5
    r = torch.relu(q) + torch.nn.functional.softplus(p) ** 2 + torch.abs(a - c) + torch.minimum(a, c)
    loss = torch.tanh(r / 7) + d**1.5 * torch.nn.functional.gelu(a)
    return {"p": p, "q": q, "r": r, "loss_value": loss}


@pytest.mark.parametrize("split", [False, True])
def test_values_and_gradients_agree_with_pytorch(split):
    rng = np.random.default_rng(3)
    for _ in range(4):
        point = dict(zip("abcd", rng.uniform(0.3, 2.0, 4), strict=True))
        leaves = {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in point.items()}
        defined = torch_many(**leaves)
        for tensor in defined.values():
            tensor.retain_grad()
        defined["loss_value"].backward()
        made = circuit_of(many_operations(), split=split)
        found = numbers_of(made, point)
        for name, tensor in {**leaves, **defined}.items():
            assert found.values[name] == pytest.approx(tensor.item(), rel=1e-12)
            assert found.gradients[name] == pytest.approx(tensor.grad.item(), rel=1e-10), name


@pytest.mark.parametrize("split", [False, True])
def test_the_gradient_of_every_line_is_the_difference_quotient(split):
    """Each tensor of the circuit in turn is cut loose and moved, copies too."""
    made = circuit_of(many_operations(), split=split)
    point = {"a": 0.7, "b": 1.3, "c": 1.9, "d": 0.6}
    found = numbers_of(made, point)
    equations = made.network.equations

    def loss(name, value):
        others = [equation for equation in equations if equation.target.name != name]
        return float(gl.evaluate(others, {**point, name: value})["loss_value"])

    step = 1e-6
    for equation in equations[:-1]:
        name = equation.target.name
        slope = (loss(name, found.values[name] + step) - loss(name, found.values[name] - step)) / (2 * step)
        assert found.gradients[name] == pytest.approx(slope, rel=1e-6, abs=1e-8), str(equation)
    copies = {}
    for gate in made.gates:
        if gate.is_copy:
            copies.setdefault(gate.reads[0].name, []).append(found.gradients[gate.tensor.name])
    assert any(len(branches) > 2 for branches in copies.values())
    for name, branches in copies.items():
        assert found.gradients[name] == pytest.approx(sum(branches), rel=1e-12)


def test_an_unrolled_network_agrees_with_pytorch():
    net, rng = two_layers(), np.random.default_rng(5)
    shapes = {"x": (1, 5), "y": (1, 2), "W1": (3, 5), "b1": (3,), "W2": (2, 3), "b2": (2,)}
    values = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    t = {name: torch.tensor(value, requires_grad=True) for name, value in values.items()}
    a1 = torch.sigmoid(t["x"] @ t["W1"].T + t["b1"])
    (0.5 * ((torch.tanh(a1 @ t["W2"].T + t["b2"]) - t["y"]) ** 2).sum()).backward()
    flat, point = scalars(net, values, None)
    found = numbers_of(circuit_of(flat), point)
    for name, tensor in t.items():
        for place, scalar in flat.entries[name].items():
            assert found.gradients[scalar.name] == pytest.approx(tensor.grad[place].item(), rel=1e-9, abs=1e-15)


def test_labels_are_put_in():
    net = gl.Sequential([gl.layers.Dense(3)], 2, loss=gl.losses.CrossEntropy(targets="labels"), name="labelled")
    rng = np.random.default_rng(0)
    values = {"W1": rng.normal(size=(3, 2)), "b1": rng.normal(size=3), "x": rng.normal(size=(1, 2)), "y": np.array([2])}
    t = {name: torch.tensor(values[name], requires_grad=True) for name in ("W1", "b1", "x")}
    torch.nn.functional.cross_entropy(t["x"] @ t["W1"].T + t["b1"], torch.tensor([2])).backward()
    flat, point = scalars(net, values, None)
    found = numbers_of(circuit_of(flat, split=True), point)
    for place, scalar in flat.entries["W1"].items():
        assert found.gradients[scalar.name] == pytest.approx(t["W1"].grad[place].item(), rel=1e-9)


@pytest.mark.parametrize(
    ("number", "digits", "written"),
    [
        (0.7310585, 2, "0.73"),
        (-0.0527, 2, "−0.053"),
        (4.38568e-4, 2, "4.4e−4"),
        (0, 2, "0.00"),
        (123456.0, 3, "1.23e5"),
    ],
)
def test_numbers_are_written_short(number, digits, written):
    assert number_text(number, digits) == written


# ---- geometry ----------------------------------------------------------------------------------------------------


def overlap(one, other):
    (x, y, w, h), (u, v, a, b) = one, other
    return abs(x - u) < (w + a) / 2 - 0.01 and abs(y - v) < (h + b) / 2 - 0.01


def along(curve, steps=24):
    """Points on Bézier pieces."""
    for first in range(0, len(curve) - 1, 3):
        p = np.array(curve[first : first + 4])
        for s in np.linspace(0, 1, steps + 1):
            yield (1 - s) ** 3 * p[0] + 3 * s * (1 - s) ** 2 * p[1] + 3 * s**2 * (1 - s) * p[2] + s**3 * p[3]


def check_layout(boxes, links, layout, spread=0.0, direction="down"):
    rects = [(x, y, box.width, box.height) for (x, y), box in zip(layout.centres, boxes, strict=True)]
    for place, rect in enumerate(rects):
        assert rect[2] / 2 <= rect[0] + 0.02
        assert rect[0] + rect[2] / 2 <= layout.width + 0.02
        assert rect[3] / 2 <= rect[1] + 0.02
        assert rect[1] + rect[3] / 2 <= layout.height + 0.02
        assert not any(overlap(rect, other) for other in rects[:place])
    for (tail, head), curve in zip(links, layout.curves, strict=True):
        for end, place in ((curve[0], tail), (curve[-1], head)):
            x, y, w, h = rects[place]
            on_side = np.isclose(abs(end[0] - x), w / 2, atol=0.02) and abs(end[1] - y) <= h / 2 + spread
            on_end = np.isclose(abs(end[1] - y), h / 2, atol=0.02) and abs(end[0] - x) <= w / 2 + spread
            assert on_side or on_end
        for place, (x, y, w, h) in enumerate(rects):
            if place not in (tail, head):
                for u, v in along(curve):
                    assert not (abs(u - x) < w / 2 - 0.05 and abs(v - y) < h / 2 - 0.05), "a link runs through a box"
        if tail < head:
            axis = 0 if direction == "right" else 1
            assert layout.centres[tail][axis] < layout.centres[head][axis]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("direction", ["down", "right"])
@pytest.mark.parametrize("seed", range(4))
def test_no_boxes_overlap_and_links_end_at_them(engine, direction, seed):
    rng = np.random.default_rng(seed)
    boxes = [Box(*rng.uniform(10, 90, 2)) for _ in range(17)]
    links = [(tail, head) for head in range(1, 17) for tail in sorted(set(rng.integers(0, head, 2).tolist()))]
    links += [(9, 4), (9, 2), (12, 12), (3, 7), (3, 7)]  # back, to itself, and twice the same
    spread = 3.0 if seed % 2 else 0.0
    layout = layered(boxes, links, direction=direction, engine=engine, spread=spread, flush=seed > 1)
    check_layout(boxes, links, layout, spread * 2, direction)
    assert layout == layered(boxes, links, direction=direction, engine=engine, spread=spread, flush=seed > 1)


def test_nothing_is_laid_out_as_nothing():
    assert layered([], []).centres == ()
    alone = layered([Box(30, 20)], [], engine="igraph")
    assert alone.centres == ((15, 10),)


def test_a_heavy_chain_is_straight():
    boxes = [Box(40, 20)] * 3 + [Box(30, 15), Box(30, 15), Box(40, 20)]
    links = [(0, 1), (1, 2), (2, 5), (3, 5), (4, 5)]
    found = layered(boxes, links, weights=[100, 100, 100, 1, 1], engine="igraph")
    across = [found.centres[place][0] for place in (0, 1, 2, 5)]
    assert max(across) - min(across) < 2


def pictures(engine):
    values = {"W1": [[1, 2]], "b1": [0.5], "x": [[1, -1]], "y": [[3]]}
    one = gl.Sequential([gl.layers.Dense(1)], 2, loss=gl.losses.SquaredError(), name="one")
    return {
        "lenet": lenet().picture(engine=engine),
        "lenet back": lenet().derive().picture(engine=engine),
        "lstm": lstm().derive().picture(engine=engine),
        "two layers": two_layers().derive().picture(engine=engine, deltas=False),
        "folded": two_layers().picture(parameters="folded", engine=engine),
        "notes": neuron().picture(POINT, split=True, engine=engine),
        "without numbers": neuron().picture(engine=engine),
        "one neuron": one.picture(values, engine=engine),
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_boxes_are_apart_and_words_are_in_the_picture(engine):
    for name, picture in pictures(engine).items():
        sheet = picture.sheet
        for place, box in enumerate(sheet.boxes):
            assert not any(overlap(box, other) for other in sheet.boxes[:place]), name
        words = []
        for word in sheet.words:
            size = extent(word.written, word.size)
            box = (
                word.left + size.width / 2,
                word.y + (size.below - size.above) / 2,
                size.width,
                size.above + size.below,
            )
            assert -sheet.margin <= word.left
            assert word.left + size.width <= sheet.width + sheet.margin, (name, word)
            assert -sheet.margin <= word.y - size.above
            assert word.y + size.below <= sheet.height + sheet.margin, (name, word)
            if word.written != "$-$":  # the sign at a line
                assert not any(overlap(box, other) for _, other in words), (name, word, words)
                words.append((word.written, box))
        for line in sheet.lines:
            assert all(-8 <= x <= sheet.width + 8 and -8 <= y <= sheet.height + 8 for x, y in line)


def test_every_tensor_of_lenet_is_in_its_dataflow():
    network = lenet()
    written = [word.written for word in network.picture().sheet.words]
    boxes = len(network.equations) + 2  # with input and target; parameters are folded into their readers
    assert len(network.picture().sheet.boxes) == boxes
    for symbol in ("$x$", "$y$", "$W^{(2)}$", "$b^{(9)}$", "$z^{(7)}$", "$a^{(5)}$", "$L$"):
        assert written.count(symbol) == 1
    assert "B × 16 × 10 × 10" in written
    assert "MaxPool2D, layer 3" in written
    assert "relu, layer 7" in written
    back = [word.written for word in network.derive().picture().sheet.words if word.role == "gradient"]
    assert r"$\delta^{(9)}$" in back
    assert r"$\partial L / \partial W^{(4)}$" in back


def test_parameters_have_boxes_are_folded_or_hidden():
    network = two_layers()
    counts = {how: len(network.picture(parameters=how).sheet.boxes) for how in ("boxes", "folded", "hidden")}
    assert counts == {"boxes": 11, "folded": 7, "hidden": 7}
    written = {how: [w.written for w in network.picture(parameters=how).sheet.words] for how in ("folded", "hidden")}
    assert "$W^{(1)}$" in written["folded"]
    assert "$W^{(1)}$" not in written["hidden"]
    assert len(network.picture().sheet.boxes) == 11  # four parameters are few
    named = [word.written for word in network.picture(layers="names", symbols={"x": r"\xi"}).sheet.words]
    assert "$W_{1}$" in named
    assert r"$\xi$" in named


# ---- bytes -------------------------------------------------------------------------------------------------------

BYTES = """
import hashlib, sympy, gradloom as gl
net = gl.Network("bytes")
x, w = net.input("x"), net.parameter("w")
p = net.define("p", (), gl.sigmoid(x * w) + x)
net.minimize(sympy.Max(p, w) ** 2)
circuit = net.picture({"x": 0.3, "w": -1.7}, engine="igraph")
flow = net.derive().picture(kind="dataflow", engine="igraph")
print(hashlib.sha256((circuit.svg() + flow.svg()).encode() + circuit.png()).hexdigest())
"""


def test_the_same_picture_has_the_same_bytes():
    found = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", BYTES], env=environment, capture_output=True, text=True, check=True
        )
        found.add(done.stdout.strip())
    assert len(found) == 1
    assert re.fullmatch(r"[0-9a-f]{64}", found.pop())
    picture = two_layers().picture()
    assert picture.svg() == picture.svg() == two_layers().picture().svg()


def test_an_svg_follows_the_theme_of_its_page_and_touches_nothing_else():
    first, second = (neuron(name).picture(POINT).svg() for name in ("one", "two"))
    root = ElementTree.fromstring(first)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.find("{http://www.w3.org/2000/svg}title").text.startswith("The circuit of one")
    drawn = re.sub(r"<style>.*?</style>", "", first)
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", drawn)  # no colour of its own
    assert "currentColor" in drawn
    assert set(re.findall(r"var\(--gl-(\w+)\)", drawn)) == {"value", "gradient", "input", "loss", "faint"}
    style = re.search(r"<style>(.*?)</style>", first)[1]
    for role in COLOURS:
        assert role == "ink" or style.count(f"--gl-{role}:") == 2
    assert all(rule.startswith(".gl-picture") for rule in re.findall(r"[^{}]+(?=\{)", style) if "@media" not in rule)
    assert "background" not in first
    assert "background:#ffffff" in neuron().picture(POINT).svg(standalone=True)
    assert "<metadata" not in first
    identifiers = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]
    assert identifiers[0]
    assert not identifiers[0] & identifiers[1]
    used = set(re.findall(r'href="#([^"]+)"', first)) | set(re.findall(r"url\(#([^)]+)\)", first))
    assert used <= identifiers[0]


def test_what_matplotlib_cannot_set_is_written_as_text():
    assert label(r"\hat y_{1}", "y_hat") == r"$\hat y_{1}$"
    assert label(r"\begin{cases} a \end{cases}", "cases") == "cases"
    assert label(r"\operatorname{relu}", "relu") == r"$\mathrm{relu}$"
    net = gl.Network("odd")
    x = net.input("x", latex=r"\underbrace{x}_{n}")
    net.minimize(x**2)
    assert "x" in [word.written for word in net.picture({"x": 2}).sheet.words]
    ElementTree.fromstring(net.picture({"x": 2}).svg())


def test_pictures_are_saved(tmp_path):
    picture = neuron().picture(POINT)
    assert picture.save(tmp_path / "a.svg").read_text() == picture.svg(standalone=True) == picture._repr_svg_()
    assert picture.save(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert picture.block().svg == picture.svg()
    with pytest.raises(gl.UnsupportedError, match=r"ends in \.svg or \.png"):
        picture.save(tmp_path / "a.pdf")
    with pytest.raises(gl.GradloomError, match="cannot write"):
        picture.save(tmp_path / "nowhere" / "a.svg")


def test_the_command_line_writes_a_picture(tmp_path, capsys):
    from gradloom.cli import main

    model = tmp_path / "model.py"
    model.write_text(
        "import gradloom as gl\n"
        "network = gl.Sequential([gl.layers.Dense(3)], 2, loss=gl.losses.SquaredError(), name='small')\n"
    )
    assert main(["derive", str(model), "--picture", str(tmp_path / "small.svg")]) == 0
    ElementTree.fromstring((tmp_path / "small.svg").read_text())
    assert main(["derive", str(model), "--picture", str(tmp_path / "small.jpg")]) == 2
    assert "ends in .svg or .png" in capsys.readouterr().err


# ---- what is refused ---------------------------------------------------------------------------------------------


def test_a_missing_library_is_named(monkeypatch):
    from gradloom.symbolic.pictures import engines as module

    monkeypatch.setitem(sys.modules, "igraph", None)
    monkeypatch.setattr(module.shutil, "which", lambda command: None)
    with pytest.raises(gl.MissingExtraError, match=r"gradloom\[pages\].*dot"):
        neuron().picture(POINT)
    with pytest.raises(gl.MissingExtraError, match=r"gradloom\[pages\]"):
        neuron().picture(POINT, engine="igraph")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(gl.MissingExtraError, match=r'matplotlib.*pip install "gradloom\[pages\]"'):
        neuron("other").picture(POINT)


def test_bad_requests_are_refused():
    net = two_layers()
    with pytest.raises(gl.UndefinedError, match="no tensor 'X'"):
        net.picture({"X": [[1.0]]})
    with pytest.raises(gl.UndefinedError, match="w2 has no value"):
        neuron().picture({"w0": 2, "x0": -1, "w1": -3, "x1": -2})
    with pytest.raises(gl.UnsupportedError, match="more than 7 gates"):
        neuron().picture(POINT, split=True, limit=7)
    with pytest.raises(gl.UnsupportedError, match="kind='graph'"):
        net.picture(kind="graph")
    with pytest.raises(gl.UnsupportedError, match="no option 'split'"):
        net.picture(split=True)
    with pytest.raises(gl.UnsupportedError, match="shows no numbers"):
        neuron().picture(POINT, kind="dataflow")
    with pytest.raises(gl.UndefinedError, match="parameters='gone'"):
        net.picture(parameters="gone")
    with pytest.raises(gl.UndefinedError, match="nothing to draw"):
        gl.Network("empty").picture()
    with pytest.raises(gl.LossError, match="no loss"):
        gl.Network("empty").picture(kind="circuit")
    with pytest.raises(gl.DataError, match="digits=0"):
        neuron().picture(POINT, digits=0)


def test_a_digest_is_no_constant():
    """The names of two pictures give their identifiers other prefixes."""
    prefixes = {re.search(r'id="(p[0-9a-f]{6})-', neuron(name).picture(POINT).svg())[1] for name in ("one", "two")}
    assert prefixes == {"p" + hashlib.sha256(f"{name}-circuit".encode()).hexdigest()[:6] for name in ("one", "two")}
