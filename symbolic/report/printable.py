"""`Printable`: what a `Derivation` offers to readers: documents in every format, chains, pictures, costs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..costs import Costs, costs_of
from ..notation import Notation
from . import as_html, as_latex, as_markdown, as_pdf, as_text
from .document import Document, Line
from .notebook import shown
from .page import Form, page

if TYPE_CHECKING:
    from ..derivation import Derivation
    from ..pictures.draw import Drawing
    from .chain import Chain


class Printable:
    """The formats of a derivation. Each takes the options of `document`, and so the choices of `Notation`."""

    def document(
        self,
        form: Form = "matrix",
        *,
        steps: bool = False,
        fold: bool = True,
        costs: bool | Mapping[str, int] = False,
        picture: bool = False,
        **notation: Any,
    ) -> Document:
        """The derivation as a `Document`, which all formats are written from.

        Parameters
        ----------
        form : "matrix" (index form where an equation has no matrix form) or "index"
        steps : whether it tells how each adjoint came about
        fold : whether layers that are alike, three or more, are written once, ``W⟨l⟩`` for l = 2, …, 100
        costs : whether it ends with the costs of both passes; sizes, ``{"B": 64}``, also put numbers in
        picture : whether it shows the network as a picture (in formats that show pictures)
        notation : choices of `Notation`, such as ``layout="rows"``

        Raises
        ------
        UnsupportedError
            If there is no such form or choice.
        SizeError
            If a size of `costs` is unknown, or one is missing.
        MissingExtraError
            If a picture is wanted and neither Graphviz nor igraph is there: ``pip install "gradloom[pages]"``.
        """
        choices = Notation.of(notation)
        derivation = cast("Derivation", self)
        document = page(derivation, form, choices, steps=steps, fold=fold)
        if picture:
            drawing = self.picture(kind="dataflow", **notation)
            document.add("Picture", [drawing.block()])
        if costs:
            document.add("Costs", self.costs().section(costs if isinstance(costs, Mapping) else None, choices))
        return document

    def text(self, form: Form = "matrix", *, steps: bool = False, **options: Any) -> str:
        """The derivation as plain text; options are those of `document`."""
        return as_text.text(self.document(form, steps=steps, **options), steps=steps)

    def latex(self, form: Form = "matrix", *, steps: bool = False, standalone: bool = False, **options: Any) -> str:
        """The derivation as LaTeX for amsmath: a fragment to ``\\input``, or a whole document; see `document`."""
        return as_latex.latex(self.document(form, steps=steps, **options), steps=steps, standalone=standalone)

    def markdown(self, form: Form = "matrix", *, steps: bool = False, **options: Any) -> str:
        """The derivation as Markdown with ``$$`` formulas, for notebooks and sites; see `document`."""
        return as_markdown.markdown(self.document(form, steps=steps, **options), steps=steps)

    def html(
        self,
        form: Form = "matrix",
        *,
        steps: bool = True,
        costs: bool | Mapping[str, int] = True,
        picture: bool = True,
        standalone: bool = True,
        **options: Any,
    ) -> str:
        """The derivation as HTML with formulas as MathML, light and dark; see `document`.

        Steps, costs and the picture are in it unless they are refused; steps and costs are there to be unfolded.

        Parameters
        ----------
        standalone : a whole page that needs no network, or a fragment that takes on the look of what surrounds it

        Raises
        ------
        MissingExtraError
            If latex2mathml, or what draws, is not installed: ``pip install "gradloom[pages]"``.
        UnsupportedError
            If there is no such form or choice, or a symbol that was given (``latex=``) cannot be written as MathML.
        """
        document = self.document(form, steps=steps, costs=costs, picture=picture, **options)
        return as_html.html(document, standalone=standalone)

    def pdf(self, path: str | os.PathLike[str], form: Form = "matrix", **options: Any) -> Path:
        """Write the derivation as a PDF, with the pdflatex that is installed; see `document`.

        Raises
        ------
        PdfError
            If there is no pdflatex, or it stops with an error, or `path` cannot be written.
        """
        return as_pdf.pdf(self.latex(form, standalone=True, **options), path)

    def costs(self, itemsize: Any = 4) -> Costs:
        """Operations, bytes moved and stored activations of both passes, as expressions in the sizes.

        `itemsize` is the number of bytes per number, or a size from `dims`.

        Raises
        ------
        ShapeError
            If `itemsize` is neither.
        """
        return costs_of(cast("Derivation", self), itemsize)

    def chain(self, entry: str, **notation: Any) -> Chain:
        """The gradient of one entry as the product of local derivatives along its way to the loss.

        Where the way branches, over rows of the batch or over neurons, there is a sum, and the gradient at which it
        branches has a line of its own.

        Parameters
        ----------
        entry : a tensor and whole numbers, counted from 0: ``"W2[0, 1]"``, or the name of a scalar
        notation : choices of `Notation`

        Raises
        ------
        IndexingError, UndefinedError
            If `entry` names none.
        UnusedParameterError
            If the loss does not depend on it.

        Examples
        --------
        >>> import gradloom as gl
        >>> net = gl.Sequential([gl.layers.Dense(2, gl.sigmoid)], input_shape=3, loss=gl.losses.SquaredError())
        >>> print(net.derive().chain("W1[0, 2]"))
        Chain
          ∂L/∂W1[0, 2] = Σ_i ∂L/∂a1[i, 0] · ∂a1[i, 0]/∂z1[i, 0] · ∂z1[i, 0]/∂W1[0, 2]
        <BLANKLINE>
        Factors
          ∂L/∂a1[i, 0] = 1/B (a1[i, 0] - y[i, 0])
          ∂a1[i, 0]/∂z1[i, 0] = a1[i, 0] (1 - a1[i, 0])
          ∂z1[i, 0]/∂W1[0, 2] = x[i, 2]
        <BLANKLINE>
        Together
          ∂L/∂W1[0, 2] = Σ_i δ1[i, 0] x[i, 2]
          δ1[i, j] = 1/B (a1[i, j] - y[i, j]) a1[i, j] (1 - a1[i, j])
        <BLANKLINE>
        """
        from .chain import Chain

        return Chain(cast("Derivation", self), entry, Notation.of(notation))

    def picture(self, values: Mapping[str, Any] | None = None, *, kind: str | None = None, **options: Any) -> Drawing:
        """Draw the network with the gradients beside the tensors, or as a circuit; see `Network.picture`."""
        from ..pictures.choose import picture

        derivation = cast("Derivation", self)
        return picture(derivation.network, derivation, values, kind, **options)

    def __str__(self) -> str:
        return self.text()

    def _repr_latex_(self) -> str:
        lines = [line for section in self.document().sections for line in section.blocks if isinstance(line, Line)]
        rows = " \\\\\n".join(line.formula.latex.replace(" = ", " &= ", 1) for line in lines)
        return f"$$\\begin{{aligned}}\n{rows}\n\\end{{aligned}}$$"

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _repr_html_(self) -> str | None:
        return shown(self.document(steps=True))
