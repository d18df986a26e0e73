"""The command line: MODEL files, options, places to write to."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from .case import LABELS, Case, Place, X

DECLARED = textwrap.dedent("""
    import numpy as np
    import gradloom as gl
    network = gl.Sequential([gl.layers.Dense(3)], 2, loss=gl.losses.CrossEntropy(targets="labels"))
    data = np.ones((4, 2)), np.zeros(4, int)
    training = {"target": "numpy", "epochs": 1}
""")


def run(command: str, *arguments: Any, source: str = DECLARED) -> Case:
    """A command on a MODEL file of this source; {} in an argument is the case's directory."""

    def case(place: Place) -> None:
        model = place.file("model.py", source)
        place.gradloom(command, model, *(str(argument).replace("{}", str(place.path)) for argument in arguments))

    return case


def model(source: str, name: str = "") -> Case:
    return lambda place: place.gradloom("derive", f"{place.file('model.py', source)}{name}")


def settings(**given: object) -> Case:
    return run("train", source=DECLARED + f"training = {{'target': 'numpy'}} | {given!r}\n")


def data(name: str, **arrays: Any) -> Case:
    def case(place: Place) -> None:
        place.gradloom("train", place.file("model.py", DECLARED), "--data", place.arrays(name, **arrays))

    return case


def unwritable(place: Place) -> None:
    place.gradloom("derive", place.file("model.py", DECLARED), "-o", place.path / "nowhere" / "page.txt")


MODELS: dict[str, Case] = {
    "A MODEL file that is not there": lambda place: place.gradloom("derive", place.path / "model.py"),
    "A folder in the place of the MODEL file": lambda place: place.gradloom("derive", place.path),
    "A MODEL file without a network": model("x = 1\n"),
    "A MODEL file whose network has another name": model("import gradloom as gl\nnet = gl.Network()\n"),
    "A MODEL file without a network of the name that was given": model(DECLARED, ":net"),
    "A MODEL file whose network is none": model("network = 3\n"),
    "A MODEL file that is no Python": model("def f(:\n"),
    "A MODEL file that fails": model("x = 1\nraise RuntimeError('oh no')\n"),
    "A MODEL file that needs what is not installed": model("import absent_module\n"),
    "A MODEL file that declares wrongly": model("import gradloom as gl\nnetwork = gl.Network('a b')\n"),
    "A setting of training that is not there": settings(lr=3),
    "Settings of training that are no dict": run("train", source=DECLARED + "training = 3\n"),
    "A size in the settings that is none": settings(sizes={"q": 3}),
    "Sizes in the settings that are no dict": settings(sizes=["q"]),
    "An optimizer by its name in the settings": settings(optimizer="sgd"),
    "Half an epoch in the settings": settings(epochs=0.5),
    "Data that are no pair": run("train", source=DECLARED + "data = 3\n"),
    "A function of data that fails": run("train", source=DECLARED + "def data():\n    raise OSError('no disk')\n"),
    "A report that is no function": run("train", source=DECLARED + "report = 3\n"),
    "Settings of claims that are no dict": run("check", "L = 1", source=DECLARED + "claims = 3\n"),
    "A setting of claims that is not there": run("check", "L = 1", source=DECLARED + "claims = {'q': 3}\n"),
}
OPTIONS: dict[str, Case] = {
    "No command": lambda place: place.gradloom(),
    "A command that is not there": lambda place: place.gradloom("learn"),
    "A command without its MODEL": lambda place: place.gradloom("train"),
    "An option that is not there": run("derive", "--colour", "red"),
    "A choice that an option does not have": run("derive", "--form", "round"),
    "A target of the command line that is not offered": run("generate", "--target", "abacus"),
    "An optimizer of the command line that is not offered": run("train", "--optimizer", "lbfgs"),
    "A number of epochs below 1": run("train", "--epochs", "-3"),
    "A batch that is no number": run("train", "--batch", "many"),
    "A row that is no number": run("explain", "--row", "-1"),
    "A size without a number": run("generate", "--size", "n"),
    "A size that is not there": run("generate", "--target", "numpy", "--size", "q=3"),
    "An alias without a meaning": run("check", "L = 1", "--alias", "m"),
    "A function that is not there": run("check", "L = 1", "--function", "g=cube"),
    "A symbol without its LaTeX": run("derive", "--symbol", "z1"),
    "A symbol of a tensor that is not there": run("derive", "--symbol", "V=v"),
    "A whole document of something else than LaTeX": run("derive", "--standalone"),
    "A PDF without a file": run("derive", "--format", "pdf"),
    "An architecture of a GPU for another target": run("generate", "--arch", "sm_90"),
    "Machine code without a file": run("generate", "--target", "cuda", "--arch", "sm_90"),
    "An architecture that is not offered": run("generate", "--target", "cuda", "--arch", "sm_30", "-o", "{}/k.py"),
    "To resume without a directory": run("train", "--resume"),
    "A time between checkpoints without a directory": run("train", "--every", "5"),
    "A learning rate of an optimizer that has none": run(
        "train",
        "--lr",
        "0.1",
        source=DECLARED + "training = {'optimizer': gl.optimizers.SGD(lr=lambda t: 1 / t)}\n",
    ),
    "A file that cannot be written": unwritable,
    "A picture of another ending": run("derive", "--picture", "{}/net.gif"),
    "A model that cannot be saved": run("train", "--save", "{}/nowhere/model.npz"),
    "A CLAIM file that is not there": run("check", "claims.tex"),
    "Data files that are not there": run("train", "--data", "{}/data.npz"),
    "Data of other names": data("data.npz", a=X, b=LABELS),
    "A demo with labels that are no classes": lambda place: place.gradloom(
        "demo", "--data", place.arrays(X=X, y=LABELS / 2), "--out", place.path / "out"
    ),
    "A demo with too few rows": lambda place: place.gradloom(
        "demo", "--data", place.arrays(X=X, y=LABELS), "--out", place.path / "out"
    ),
    "A demo in the place of a file": lambda place: place.gradloom("demo", "--out", place.file("out", "")),
    "Two inputs and an unnamed array for them": lambda place: place.gradloom(
        "train",
        place.file(
            "model.py",
            "import gradloom as gl\nB, i = gl.dims('B'), gl.indices('i')\nnetwork = gl.Network()\n"
            "a, b, w = network.input('a', (B,)), network.input('b', (B,)), network.parameter('w')\n"
            "network.minimize(gl.Sum(w * a[i] * b[i], i))\n",
        ),
        "--data",
        place.arrays(X=np.ones(12), y=np.ones(12)),
    ),
    "Numbers that grow without end, on the command line": run(
        "train",
        "--lr",
        "1e30",
        "--epochs",
        "99",
        source=(
            "import gradloom as gl\nimport numpy as np\n"
            "network = gl.Sequential([gl.layers.Dense(3)], input_shape=2, loss=gl.losses.SquaredError())\n"
            "data = (np.ones((9, 2)), np.ones((9, 3)))\ntraining = {'target': 'numpy'}\n"
        ),
    ),
}
CASES = MODELS | OPTIONS
