"""`Printable`: what a `Derivation` offers for printing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..notation import Notation
from . import as_html, as_latex, as_markdown, as_pdf, as_text
from .document import Document
from .notebook import shown
from .page import Form, page

if TYPE_CHECKING:
    from ..derivation import Derivation


class Printable:
    """The formats of a derivation. Keywords beside those named are choices of `Notation`."""

    def document(self, form: Form = "matrix", *, steps: bool = False, fold: bool = True, **notation: Any) -> Document:
        """The derivation as a `Document`, which all formats are written from.

        Parameters
        ----------
        form : "matrix" (index form where an equation has no matrix form) or "index"
        steps : whether it tells how each adjoint came about
        fold : whether layers that are alike, three or more, are written once, ``W⟨l⟩`` for l = 2, …, 100
        notation : choices of `Notation`, such as ``layout="rows"``

        Raises
        ------
        UnsupportedError
            If there is no such form or choice.
        """
        return page(cast("Derivation", self), form, Notation.of(notation), steps=steps, fold=fold)

    def text(self, form: Form = "matrix", *, steps: bool = False, fold: bool = True, **notation: Any) -> str:
        """The derivation as plain text; `steps` also shows how each adjoint came about; see `document`."""
        return as_text.text(self.document(form, steps=steps, fold=fold, **notation), steps=steps)

    def latex(
        self,
        form: Form = "matrix",
        *,
        steps: bool = False,
        fold: bool = True,
        standalone: bool = False,
        **notation: Any,
    ) -> str:
        """The derivation as LaTeX for amsmath: a fragment to ``\\input``, or a whole document; see `document`."""
        return as_latex.latex(
            self.document(form, steps=steps, fold=fold, **notation), steps=steps, standalone=standalone
        )

    def markdown(self, form: Form = "matrix", *, steps: bool = False, fold: bool = True, **notation: Any) -> str:
        """The derivation as Markdown with ``$$`` formulas, for notebooks and sites; see `document`."""
        return as_markdown.markdown(self.document(form, steps=steps, fold=fold, **notation), steps=steps)

    def html(
        self,
        form: Form = "matrix",
        *,
        steps: bool = True,
        fold: bool = True,
        standalone: bool = True,
        **notation: Any,
    ) -> str:
        """The derivation as HTML with formulas as MathML, light and dark; see `document`.

        Parameters
        ----------
        steps : whether each adjoint has, to be unfolded, how it came about
        standalone : a whole page that needs no network, or a fragment that takes on the look of what surrounds it

        Raises
        ------
        MissingExtraError
            If latex2mathml is not installed: ``pip install "gradloom[pages]"``.
        UnsupportedError
            If there is no such form or choice, or a symbol that was given (``latex=``) cannot be written as MathML.
        """
        return as_html.html(self.document(form, steps=steps, fold=fold, **notation), standalone=standalone)

    def pdf(
        self,
        path: str | os.PathLike[str],
        form: Form = "matrix",
        *,
        steps: bool = False,
        fold: bool = True,
        **notation: Any,
    ) -> Path:
        """Write the derivation as a PDF, with the pdflatex that is installed; see `document`.

        Raises
        ------
        PdfError
            If there is no pdflatex, or it stops with an error, or `path` cannot be written.
        """
        return as_pdf.pdf(self.latex(form, steps=steps, fold=fold, standalone=True, **notation), path)

    def __str__(self) -> str:
        return self.text()

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _repr_html_(self) -> str | None:
        return shown(self.document(steps=True))
