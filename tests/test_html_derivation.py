"""HTML and PDF of derivations: by method, in notebooks, on the command line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from small_models import MODEL, run

import gradloom as gl
from gradloom.symbolic.network import Network

pytest.importorskip("latex2mathml")
NOTATIONS = [{}, {"bold": True, "layout": "rows"}, {"derivatives": "numerator", "deltas": False, "layers": "names"}]


@pytest.fixture(scope="module")
def network() -> Network:
    layers = [gl.layers.Dense(3, gl.tanh), gl.layers.LayerNorm(), gl.layers.Dense(5, gl.softmax)]
    return gl.Sequential(layers, input_shape=(7,), loss=gl.losses.CrossEntropy())


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(MODEL)
    return path


@pytest.mark.parametrize("form", ["matrix", "index"])
@pytest.mark.parametrize("notation", NOTATIONS)
def test_every_equation_is_a_line_in_every_notation(network, form, notation):
    derivation = network.derive()
    tree = ElementTree.fromstring(derivation.html(form, **notation))
    sources = [node.get("data-latex") for node in tree.iter("button")]
    plain = re.sub(r"\s*\\\\\n\s*&\\q?quad|&", "", derivation.latex(form, **notation))
    assert len(sources) == len(network.equations) + len(derivation.adjoints)
    assert all(source.replace(" ", "") in re.sub(r"\s", "", plain) for source in sources)
    assert len(list(tree.iter("details"))) == len(derivation.adjoints) + 1  # and the costs
    shown = "".join("".join(node.itertext()) for node in tree.find("body/main"))
    assert "\\" not in shown
    assert "$" not in shown
    assert not list(ElementTree.fromstring(derivation.html(form, steps=False, costs=False, **notation)).iter("details"))


def test_a_symbol_of_the_user_s_is_shown_or_refused():
    net = gl.Network()
    i, n = gl.Index("i"), gl.Dim("n")
    w = net.parameter("w", (n,), latex=r"\boldsymbol{\omega}")
    net.minimize(gl.Sum(w[i] ** 2, i))
    assert "<mi>𝝎</mi>" in net.derive().html()
    with pytest.raises(gl.UnsupportedError, match=r"unknowncommand.*latex="):
        net.derive().html(symbols={"w": r"\unknowncommand"})


def test_notebooks_get_html_for_derivations_networks_and_equations(network):
    equation = network.equations[0]
    for shown, lines in ((network.derive(), None), (network, len(network.equations)), (equation, 1)):
        tree = ElementTree.fromstring(shown._repr_html_())
        found = [node for node in tree.iter("div") if node.get("class") == "gl-line"]
        assert len(found) == lines or (lines is None and len(found) > len(network.equations))
    shown = ElementTree.fromstring(equation._repr_html_()).find("section")
    assert "".join(shown.itertext()).strip() == "zij(1)=∑kWjk(1)xik+bj(1)"


def test_without_the_package_notebooks_get_latex(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "latex2mathml.converter", None)
    for shown in (network.derive(), network, network.equations[0]):
        assert shown._repr_html_() is None
    assert network.equations[0]._repr_latex_()
    with pytest.raises(gl.MissingExtraError, match=r"gradloom\[pages\]"):
        network.derive().html()


def test_html_on_the_command_line(capsys, model, tmp_path):
    status, out, err = run(capsys, "derive", model, "--format", "html", "--bold")
    assert (status, err) == (0, "")
    assert out.startswith("<!DOCTYPE html>")
    assert "<details>" in out
    assert "𝑾" in out
    ElementTree.fromstring(out)
    status, nothing, _ = run(capsys, "derive", model, "--format", "html", "--bold", "-o", tmp_path / "page.html")
    assert (status, nothing) == (0, "")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == out


def test_pdf_on_the_command_line(capsys, model, tmp_path, monkeypatch):
    status, _, err = run(capsys, "derive", model, "--format", "pdf")
    assert status == 2
    assert "-o FILE.pdf" in err
    if shutil.which("pdflatex"):
        status, out, err = run(capsys, "derive", model, "--format", "pdf", "--steps", "-o", tmp_path / "page.pdf")
        assert (status, out, err) == (0, "", "")
        assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")
    monkeypatch.setenv("PATH", str(tmp_path))
    status, _, err = run(capsys, "derive", model, "--format", "pdf", "-o", tmp_path / "other.pdf")
    assert status == 2
    assert "no pdflatex on the PATH" in err
    assert not (tmp_path / "other.pdf").exists()


def test_the_same_bytes_for_every_hash_seed(model):
    outputs = {
        subprocess.run(
            [sys.executable, "-m", "gradloom", "derive", model, "--format", "html"],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONUTF8": "1"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
