"""`gradloom bench`: what it counts is the training that users run, and every equation has its share."""

from __future__ import annotations

import platform

import pytest

import gradloom as gl
from gradloom.cli import main
from gradloom.codegen.generate import generate
from gradloom.runtime.bench import X86, bench
from gradloom.symbolic.errors import SizeError, UndefinedError, UnsupportedError

x86 = pytest.mark.skipif(platform.machine() not in X86, reason="the processor does not count cycles for users")


def network():
    layers = [gl.layers.Dense(7, gl.tanh), gl.layers.Dropout(0.3), gl.layers.Dense(3)]
    return gl.Sequential(layers, (5,), loss=gl.losses.CrossEntropy(targets="labels"))


@pytest.mark.slow
@x86
def test_every_equation_of_a_step_has_a_share():
    net, optimizer = network(), gl.optimizers.Adam()
    timing = bench(net, batch=11, optimizer=optimizer, seconds=0.01)
    assert sum(part.share for part in timing.parts) == pytest.approx(1)
    assert all(part.share >= 0 for part in timing.parts)
    named = {equation for part in timing.parts for equation in part.equations}
    assert {str(equation) for equation in [*net.equations, *net.derive().adjoints]} <= named
    assert any("theta" in equation for equation in named)
    text = str(timing)
    assert "µs a step of 11 rows" in text
    assert all(equation in text for equation in named)


def test_the_buffers_are_those_of_the_training():
    timing = bench(network(), batch=11, optimizer=gl.optimizers.Adam(), dtype="float64", seconds=0.01)
    assert timing.buffers["parameters"] == timing.buffers["gradients"] == 8 * (5 * 7 + 7 + 7 * 3 + 3)
    assert timing.buffers["optimizer"] == 2 * timing.buffers["parameters"]
    assert timing.batch == 11
    assert min(timing.steps) > 0


@x86
def test_counting_changes_no_number():
    net = network()
    plain, timed = (generate(net, optimizer=gl.optimizers.SGD(), timed=timed) for timed in (False, True))
    kept = [line for line in timed.source.splitlines() if "clock(" not in line]
    assert len(timed.parts) > len(net.equations) / 2
    wanted = plain.source.splitlines()
    start, stop = (
        next(at for at, line in enumerate(wanted) if line.startswith(head)) for head in ("def forward", "# --")
    )
    assert "\n".join(wanted[start:stop]) in "\n".join(kept)


def test_the_command(tmp_path, capsys):
    model = tmp_path / "model.py"
    model.write_text(
        "import gradloom as gl\n"
        "network = gl.Sequential([gl.layers.Dense(3, gl.sigmoid)], (5,), loss=gl.losses.SquaredError())\n"
    )
    assert main(["bench", str(model), "--batch", "7", "--seconds", "0.01", "--optimizer", "sgd", "--lr", "0.1"]) == 0
    printed = capsys.readouterr().out
    assert "rows a second" in printed
    assert "straight line" in printed
    assert "∂L/∂b1[j]" in printed or platform.machine() not in X86


def test_what_cannot_be_timed():
    with pytest.raises(UnsupportedError, match="numpy"):
        generate(network(), target="numpy", timed=True)
    net = gl.Network("alone")
    w = net.parameter("w", ())
    net.minimize(w**2)
    with pytest.raises(UndefinedError, match="no batch axis"):
        bench(net, optimizer=gl.optimizers.SGD())
    n = gl.dims("n")
    with pytest.raises(SizeError, match="n"):
        bench(gl.Sequential([gl.layers.Dense(n)], (5,), loss=gl.losses.SquaredError()), optimizer=gl.optimizers.SGD())
