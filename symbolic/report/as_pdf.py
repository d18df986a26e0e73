"""A LaTeX document as PDF, by the pdflatex that is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from ..errors import PdfError

SECONDS = 120  # for one run of TeX
_MEND = "install one (Debian: apt install texlive-latex-recommended), or write LaTeX or HTML instead"


def pdf(latex_document: str, path: str | os.PathLike[str]) -> Path:
    """Typeset a LaTeX document with pdflatex.

    Parameters
    ----------
    latex_document : a whole document, as ``latex(standalone=True)`` gives it
    path : where to write the PDF; replaced only by a PDF that is complete

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    PdfError
        If there is no pdflatex, or it stops with an error or not at all, or `path` cannot be written. What the
        document may do is limited: no other programs are run, and no files outside of a new folder are written.
    """
    target = Path(path)
    program = shutil.which("pdflatex")
    if program is None:
        raise PdfError(f"a PDF needs TeX, and there is no pdflatex on the PATH: {_MEND}")
    with tempfile.TemporaryDirectory(prefix="gradloom-") as folder:
        Path(folder, "page.tex").write_text(latex_document, encoding="utf-8")
        for _ in range(2):  # the second run knows the numbers of the first
            _run(program, folder)
        made = Path(folder, "page.pdf")
        if not made.exists():
            raise PdfError("pdflatex made no page: found a document without contents")
        try:
            shutil.copyfile(made, target)
        except OSError as error:
            raise PdfError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _run(program: str, folder: str) -> None:
    command = [
        program,
        "-no-shell-escape",
        "-interaction=nonstopmode",
        "-halt-on-error",
        "-file-line-error",
        "page.tex",
    ]
    # Fixed times give the same bytes for the same document; "p" lets TeX write only below its folder.
    own = {"SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1", "openout_any": "p", "openin_any": "p"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | own,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PdfError(f"pdflatex was stopped after {SECONDS} s: expected a page within that time") from None
    except OSError as error:
        raise PdfError(f"cannot run {program}: {error.strerror or error}") from error
    if done.returncode:
        raise PdfError(f"pdflatex stopped: {_first_error(done.stdout.decode('utf-8', 'replace'))}")


def _first_error(log: str) -> str:
    """The first complaint of a log, and the line of the document that it points to."""
    lines = log.splitlines()
    for place, line in enumerate(lines):
        if line.startswith("!") or re.match(r"(\./)?page\.tex:\d+: ", line):
            where = next((after for after in lines[place + 1 : place + 9] if re.match(r"l\.\d+ ", after)), "")
            said = re.sub(r"^(! |(\./)?page\.tex:)", "", line)
            return " ".join(f"{said} {where}".split())
    return lines[-1] if lines else "it said nothing"
