"""MODEL names on the command line: only the file that is named is run, whatever the name looks like."""

from __future__ import annotations

import os
from pathlib import Path

from fuzzing.choices import Choices
from fuzzing.oracle import CANARY, PAYLOADS, command
from fuzzing.target import Target

MODEL = """import gradloom as gl
network = gl.Sequential([gl.layers.Dense(2)], input_shape=3, loss=gl.losses.SquaredError())
other = 3
def made(): import sys; sys.audit("canary")
class lazy:
    def __getattr__(self, name): made()
lazy = lazy()
"""
EVIL = f"{CANARY}\n"  # run by whatever imports or executes a file that was not named
FILES = {"model.py": MODEL, "a b.py": MODEL, "ünï.py": MODEL, "-d.py": MODEL, "c:d.py": MODEL, "noend": MODEL,
         "m.txt": MODEL,
         "evil.py": EVIL, "network.py": EVIL, "model": EVIL, "package/__init__.py": EVIL, "package/module.py": EVIL,
         "sub/model.py": EVIL, "sub/gradloom.py": EVIL, "numpy.py": EVIL, "sympy.py": EVIL, "conftest.py": EVIL,
         "sitecustomize.py": EVIL, "__main__.py": EVIL, "setup.cfg": EVIL, "broken.py": "def (", "nul.py": "\0",
         "exits.py": "raise SystemExit(3)", "raises.py": "raise BaseException if 0 else KeyError(3)", "empty.py": "",
         "latin.py": "é = 1", "deep.py": "(" * 5000, "wide.py": "x = " + "-" * 9000 + "1",
         "loop.py": "import loop"}  # fmt: skip
SETTINGS = ("training = {}", "training = {0}", "claims = {0}", "data = {0}", "report = {0}", "network = {0}",
            "training = {{'sizes': {0}}}", "training = {{'epochs': {0}}}", "training = {{'dtype': {0}}}",
            "training = {{'target': {0}}}", "training = {{'batch': {0}}}", "training = {{'optimizer': {0}}}",
            "training = {{'seed': {0}}}", "training = {{'validation': {0}}}", "training = {{'early_stopping': {0}}}",
            "training = {{'metrics': {0}}}", "training = {{'checkpoint': {0}}}", "training = {{'schedule': {0}}}",
            "training = {{'shuffle': {0}}}", "claims = {{'aliases': {0}}}", "claims = {{'functions': {0}}}",
            "claims = {{'first': {0}}}", "claims = {{'layout': {0}}}", "claims = {{'symbols': {0}}}")  # fmt: skip
VALUES = ("None", "True", "-1", "0", "3", "1e308", "float('nan')", "''", "'x'", "[]", "()", "{}", "object()",
          "{'a': 1}",
          "{1: 'a'}", "[1, 2]", "(1, 2)", "lambda *a: 1", "network", "gl", "'cpu'", "'numpy'", "'float64'", "10 ** 400",
          "{'a': 'b'}", "{'W1': 'V', 'x': None}", "__import__('numpy').zeros((4, 3))", "0.5", "b'x'", "1j",
          "([[1, 2, 3]] * 4, [[1, 2]] * 4)", "gl.optimizers.SGD(lr=0.1)", "{'g': gl.tanh}", "['accuracy']")  # fmt: skip
ENDS = ("", ":network", ":other", ":made", ":lazy", ":none", ":__builtins__", ":gl", ":1", ":", "::network",
        ":network.name",
        ":network()", ":made()", ":lazy.x", f":{CANARY}", ":network:network", ":ｎetwork", ": network",
        ":" + "n" * 3000)  # fmt: skip
FRONTS = ("", "./", "sub/../", "~/", "file://", "./././", "//", "*", "@", "$HOME/", "`", "package.", "-m ", "%", "\\")
COMMANDS = (("derive",), ("derive", "--format", "latex"), ("derive", "--costs"), ("check", "MODEL", "x = x"),
            ("generate",),
            ("generate", "--target", "numpy"), ("gradcheck", "--target", "numpy", "--entries", "1"), ("explain",),
            ("train", "--target", "numpy", "--epochs", "1"), ("derive", "--size"), ("explain", "--row"))  # fmt: skip


def prepare(folder: Path) -> Target:
    from gradloom import cli, commands  # noqa: F401 - what is imported later would be watched

    place = folder / "models"
    for name, content in FILES.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content.encode("latin-1" if name == "latin.py" else "utf-8"))
    (place / "folder.py").mkdir(exist_ok=True)
    os.mkfifo(place / "pipe.py")
    os.chdir(place)
    named: list[str] = []

    def may_run(file: str) -> bool:
        """Whether the argument is this file, alone or with something behind a colon."""
        return any(
            os.path.realpath(path) == file for path in (named[-1], named[-1].rpartition(":")[0]) if "\0" not in path
        )

    def call(choices: Choices) -> None:
        kind = choices.below(4)
        if kind == 0:
            name = choices.rest().decode("utf-8", "surrogateescape")
        elif kind == 1:  # a file that is run, with settings of every type
            lines = [choices.pick(SETTINGS).format(choices.pick(VALUES)) for _ in range(1 + choices.below(3))]
            (place / "set.py").write_text(MODEL + "\n".join(lines))
            name = "set.py" + choices.pick(("", "", ":other", ":network"))
        else:
            odd = choices.pick(("", "", "", choices.text(), choices.pick(PAYLOADS), "x" * 300, "/" * 5000, "a/" * 3000))
            name = (
                choices.pick(FRONTS) * (kind - 2) + choices.pick(("model.py", *FILES, "folder.py", "nowhere.py")) + odd
            )
            name += choices.pick(ENDS)
        if os.path.basename(name.rpartition(":")[0] or name) == "pipe.py" or name.startswith(("/dev/", "//dev")):
            name = "model.py"  # what is a pipe waits for what comes out of it, as it should
        named.append(name)
        what, *options = choices.pick(COMMANDS)
        if what == "check":
            options = [
                name,
                choices.pick(("x = x", CANARY, "a" * 5000 + ".tex", "model.py\0.md", "folder.py/x.md", name)),
            ]
            named[-1:] = [options[-1] if options[-1].endswith(".py") else name, name]
        elif options[-1:] in (["--size"], ["--row"]):
            options += [choices.pick(("n=3", "x", "=", "n=²", "n=" + "9" * 5000, "n=-1", "²", choices.text())), name]
        else:
            options += [name]
        command(what, *options)

    seeds = [bytes([2, 0, n, 0, 0, 0, m]) for n in range(0, len(FILES), 3) for m in range(0, len(COMMANDS), 2)]
    return Target(call, limit=20.0, seeds=[*seeds, b"\0model.py", b"\0package.module:network"], may_run=may_run)
