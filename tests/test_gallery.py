"""The gallery is what its script writes today, byte for byte, and nothing else."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GALLERY = Path(__file__).parent.parent / "docs" / "gallery"
sys.path.insert(0, str(GALLERY))

import make  # noqa: E402
import networks  # noqa: E402


@pytest.mark.parametrize("title", networks.GALLERY)
def test_pages_are_as_written(title):
    for name, text in make.pages(title).items():
        assert (GALLERY / name).read_text(encoding="utf-8") == text, "run python docs/gallery/make.py and read the diff"


@pytest.mark.slow
def test_lists_are_as_written():
    listed = make.lists()
    for name, text in listed.items():
        assert (GALLERY / name).read_text(encoding="utf-8") == text
    named = {title: make_network().name for title, make_network in networks.GALLERY.items()}
    pages = {f"{name}{end}" for name in named.values() for end in (".md", ".tex")}
    shown = {
        f"{name}{end}" for name in (*(named[title] for title in make.SHOWN), make.WORKED) for end in (".html", ".svg")
    }
    found = {path.name for path in GALLERY.iterdir() if path.suffix in (".md", ".tex", ".html", ".svg")}
    assert found == pages | shown | set(listed)


@pytest.mark.parametrize("title", make.SHOWN)
def test_html_pages_hold_today_s_formulas(title):
    """How a page is written depends on libraries; its formulas, as LaTeX, do not."""
    pytest.importorskip("latex2mathml")
    network = networks.GALLERY[title]()
    page = (GALLERY / f"{network.name}.html").read_text(encoding="utf-8")
    formulas = re.findall(r'data-latex="([^"]*)"', page)
    assert formulas == re.findall(r'data-latex="([^"]*)"', network.derive().html(picture=False))
    assert len(formulas) > len(network.equations)
    assert "<svg" in page


def test_the_worked_page_holds_today_s_formulas():
    page = (GALLERY / f"{make.WORKED}.html").read_text(encoding="utf-8")
    formulas = re.findall(r'data-latex="([^"]*)"', page)
    assert formulas == re.findall(r'data-latex="([^"]*)"', make.worked().html())
    assert "0.082167041" in page


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on the PATH")
def test_the_gallery_compiles_and_fits_its_page(tmp_path):
    for path in GALLERY.glob("*.tex"):
        shutil.copy(path, tmp_path)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "gallery.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=240)
    assert done.returncode == 0, done.stdout[-3000:]
    wide = [float(width) for width in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide", done.stdout)]
    assert max(wide, default=0) < 5, sorted(wide)[-5:]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on the PATH")
@pytest.mark.parametrize(
    "options", [{"steps": True, "costs": True}, {"bold": True, "derivatives": "numerator"}], ids=str
)
def test_a_document_of_its_own_compiles(options, tmp_path):
    names = ("lstm", "attention", "max_pooling")
    for make_network in networks.GALLERY.values():
        if make_network.__name__ in names:
            path = make_network().derive().pdf(tmp_path / f"{make_network.__name__}.pdf", **options)
            assert path.read_bytes().startswith(b"%PDF")
