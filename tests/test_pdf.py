"""Documents as PDF: made by pdflatex where there is one, and a clear word where not."""

from __future__ import annotations

import shutil

import pytest

from gradloom.symbolic.errors import PdfError
from gradloom.symbolic.report import as_pdf

DOCUMENT = r"\documentclass{article}\usepackage{amsmath}\begin{document}%s\end{document}"
needs_tex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on the PATH")


def test_without_tex_the_mend_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PdfError, match=r"no pdflatex on the PATH: install one .*or write LaTeX or HTML"):
        as_pdf.pdf(DOCUMENT % "x", tmp_path / "a.pdf")
    assert not (tmp_path / "a.pdf").exists()


@needs_tex
def test_a_document_is_typeset_to_the_same_bytes(tmp_path):
    made = [as_pdf.pdf(DOCUMENT % r"$\frac{1}{2}$", tmp_path / name).read_bytes() for name in ("a.pdf", "b.pdf")]
    assert made[0].startswith(b"%PDF-")
    assert made[0] == made[1]


@needs_tex
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (r"\foo", r"Undefined control sequence.*\\foo"),
        ("$x", r"Missing \$ inserted"),
        ("", "without contents"),
        (r"\input{/etc/hostname.tex}", "not found"),
    ],
)
def test_the_first_error_is_told(tmp_path, body, message):
    (tmp_path / "a.pdf").write_text("kept")
    with pytest.raises(PdfError, match=message):
        as_pdf.pdf(DOCUMENT % body, tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_text() == "kept"


@needs_tex
def test_a_document_cannot_run_or_write_elsewhere(tmp_path):
    escape = rf"\immediate\write18{{touch {tmp_path}/run}}x"
    as_pdf.pdf(DOCUMENT % escape, tmp_path / "a.pdf")
    assert not (tmp_path / "run").exists()
    with pytest.raises(PdfError, match="can't write"):
        as_pdf.pdf(DOCUMENT % rf"\newwrite\f\immediate\openout\f={tmp_path}/out.tex x", tmp_path / "a.pdf")


@needs_tex
def test_what_never_ends_is_stopped(monkeypatch, tmp_path):
    monkeypatch.setattr(as_pdf, "SECONDS", 1.5)
    with pytest.raises(PdfError, match=r"stopped after 1\.5 s"):
        as_pdf.pdf(DOCUMENT % r"\def\a{\a}\a", tmp_path / "a.pdf")


@needs_tex
def test_a_path_that_cannot_be_written(tmp_path):
    with pytest.raises(PdfError, match="cannot write"):
        as_pdf.pdf(DOCUMENT % "x", tmp_path / "none" / "a.pdf")
