"""Golden files: what is printed and generated for a few networks, byte for byte.

After a change that is meant, ``pytest tests/test_golden.py --update`` writes them anew; read the diff.
"""

import difflib
from pathlib import Path

import pytest
from small_models import perceptron

import gradloom as gl
from gradloom.codegen.generate import generate

GOLDEN = Path(__file__).parent / "golden"


def classifier():
    net = gl.Sequential(
        [gl.layers.Dense(7, gl.relu), gl.layers.Dense(5, gl.silu), gl.layers.Dense(3)],
        input_shape=(11,),
        loss=gl.losses.CrossEntropy(targets="labels"),
        penalties=[gl.losses.L2(0.01)],
        name="classifier",
    )
    return net, gl.optimizers.AdamW(lr=gl.schedules.Cosine(0.01, 1000)), {}


def circuit():
    net = gl.Network("circuit")
    x, y, z = (net.input(name) for name in "xyz")
    net.minimize((x + y) * z, name="f")
    return net, None, {}


def modes():
    B, i, j = gl.dims("B"), *gl.indices("i j")
    net = gl.Sequential([gl.layers.Dense(3), gl.layers.Dropout(0.25)], input_shape=5, name="modes")
    a, y, mean = net.tensors["a2"], net.target("y", (B, 3)), net.state("mean", (3,))
    net.minimize(gl.Sum((a[i, j] - mean[j] - y[i, j]) ** 2, i, j) / B)
    net.after_step("mean", j, 0.9 * mean[j] + gl.Sum(a[i, j], i) / (10 * B))
    return net, gl.optimizers.SGD(lr=0.1), {}


def documents():
    made = (perceptron(), gl.optimizers.SGD(lr=0.1), {"n": 5, "m": 3})
    for network, optimizer, sizes in (made, classifier(), circuit(), modes()):
        derivation = network.derive()
        yield f"{network.name}.tex", lambda d=derivation: d.latex(steps=True)
        yield f"{network.name}.index.tex", lambda d=derivation: d.latex("index")
        # What CUDA modules carry is much, and the same in all.
        for target in ("cpu", "numpy", *(["cuda"] if network.name in ("perceptron", "modes") else [])):
            options = {"target": target, "optimizer": optimizer, "sizes": sizes}
            yield f"{network.name}.{target}.py", lambda n=network, o=options: generate(n, **o).source


@pytest.mark.parametrize(("name", "make"), list(documents()), ids=lambda value: value if isinstance(value, str) else "")
def test_golden(name, make, request):
    path, found = GOLDEN / f"{name}.golden", make()
    if request.config.getoption("--update"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
    wanted = path.read_text(encoding="utf-8")
    diff = difflib.unified_diff(wanted.splitlines(), found.splitlines(), "golden", "now", lineterm="")
    assert found == wanted, "\n".join(diff)
