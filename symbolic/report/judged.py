"""Judged lines, what users wrote, and blocks below a small title, in every format."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from html import escape

from ..errors import UnsupportedError
from .document import Block, Judgement, Prose, Titled, Written
from .typed import clean, markdown_code, markdown_words, tex_code

Blocks = Callable[[Sequence[Block]], list[str]]
KINDS = (Written, Titled, Judgement)
WIDTH = 96  # columns of a terminal that words take
# What a mark says, for those who hear a page.
SPOKEN = {
    "right": "right",
    "wrong": "wrong",
    "partly": "right in part",
    "follows": "follows from a wrong line",
    "open": "not decided",
    "defines": "a definition",
}
_TEX_MARKS = {
    "✓": r"\ensuremath{\checkmark}",
    "✗": r"\ensuremath{\times}",
    "→": r"\ensuremath{\rightarrow}",
    "~": r"\ensuremath{\sim}",
    "·": r"\ensuremath{\cdot}",
}

# ---- text ------------------------------------------------------------------------------------------------------------


def as_text(block: Written | Titled | Judgement, inner: Blocks) -> list[str]:
    """`block` in lines; `inner` writes blocks, not yet indented."""
    if isinstance(block, Written):
        return ["  " + row for row in clean(block.source).split("\n")]
    if isinstance(block, Titled):
        return [block.title.text, *_indented([row for part in block.blocks for row in _wrapped(part, inner)], 2)]
    mark = block.mark if block.number is None else f"{block.mark} {block.number:>4}"
    below = len(mark) + 2
    words = textwrap.wrap(block.words.text, WIDTH - below) if block.words.text else []
    written = clean(block.written.source).split("\n") if block.written else []
    if block.number is None:
        out = [f"{mark} {words[0] if words else ''}".rstrip(), *_indented(words[1:], 2)]
        out += ["", *_indented(written, 4)] if written else []
        below = 2
    else:
        out = [f"{mark}  {written[0] if written else ''}".rstrip(), *_indented([*written[1:], *words], below)]
    for part in block.blocks:
        out += ["", *_indented(_wrapped(part, inner), below)]
    return out


def _wrapped(block: Block, inner: Blocks) -> list[str]:
    return textwrap.wrap(block.text, WIDTH) if isinstance(block, Prose) else inner([block])


def _indented(rows: Sequence[str], columns: int) -> list[str]:
    return [" " * columns + row if row else "" for row in rows]


# ---- LaTeX -----------------------------------------------------------------------------------------------------------


def as_latex(block: Written | Titled | Judgement, inner: Blocks, words: Callable[[str], str]) -> list[str]:
    """`block` for TeX; `words` escapes a sentence with formulas."""
    if isinstance(block, Written):
        return [rf"\begin{{quote}}\raggedright {_tex_written(block)}\end{{quote}}"]
    if isinstance(block, Titled):
        return [rf"\medskip\noindent\emph{{{words(block.title.latex)}}}\par", *inner(block.blocks)]
    mark = _TEX_MARKS.get(block.mark, block.mark)
    said = words(block.words.latex)
    if block.number is None:
        out = [rf"\medskip\noindent{{\large {mark}\enspace {said}\par}}"]
        return out + (as_latex(block.written, inner, words) if block.written else []) + inner(block.blocks)
    row = rf"\noindent\hangindent=4em\hangafter=1\makebox[1.6em][l]{{{mark}}}\makebox[2.4em][l]{{{block.number}}}"
    out = [row + (_tex_written(block.written) if block.written else "") + (r"\\" if said and block.written else "")]
    return [*out, rf"{said}\par\smallskip" if said else r"\par\smallskip", *inner(block.blocks)]


def _tex_written(written: Written) -> str:
    return tex_code(written.source) if written.latex is None else rf"$\displaystyle {written.latex}$"


# ---- Markdown --------------------------------------------------------------------------------------------------------


def as_markdown(block: Written | Titled | Judgement, inner: Blocks, words: Callable[[Prose], str]) -> list[str]:
    """`block` for Markdown; `words` escapes a sentence with formulas."""
    if isinstance(block, Written):
        if block.latex is None:
            return [*markdown_code(block.source), ""]
        return [f"$$ {_markdown_formula(block.latex)} $$", ""]
    if isinstance(block, Titled):
        return [f"**{words(block.title)}**", "", *_markdown_blocks(block.blocks, inner, words), ""]
    said = words(block.words)
    if block.number is None:
        out = [f"**{markdown_words(block.mark)} {said}**", ""]
    else:
        out = [f"{markdown_words(block.mark)} **{block.number}** {said}".rstrip(), ""]
    out += as_markdown(block.written, inner, words) if block.written else []
    return [*out, *_markdown_blocks(block.blocks, inner, words), ""] if block.blocks else out


def _markdown_blocks(blocks: Sequence[Block], inner: Blocks, words: Callable[[Prose], str]) -> list[str]:
    """Blocks in which words of a user's may stand."""
    out: list[str] = []
    for block in blocks:
        out += [words(block), ""] if isinstance(block, Prose) else inner([block])
    return out


def _markdown_formula(latex: str) -> str:
    return latex.replace("<", r"\lt ").replace(">", r"\gt ")


# ---- HTML ------------------------------------------------------------------------------------------------------------


class JudgedHtml:
    """Writes these blocks as HTML.

    Parameters
    ----------
    terms : writes a formula
    words : writes a sentence
    blocks : writes blocks
    standalone : whether there is a script that copies LaTeX
    """

    def __init__(
        self,
        terms: Callable[[str], str],
        words: Callable[[Prose], str],
        blocks: Callable[[tuple[Block, ...]], str],
        standalone: bool,
    ) -> None:
        self.terms, self.words, self.blocks, self.standalone = terms, words, blocks, standalone

    def block(self, block: Written | Titled | Judgement) -> str:
        if isinstance(block, Written):
            return self.written(block)
        if isinstance(block, Titled):
            return (
                f'<div class="gl-titled"><p class="gl-title">{self.words(block.title)}</p>\n'
                f"{self.blocks(block.blocks)}</div>"
            )
        return self.judgement(block)

    def written(self, written: Written) -> str:
        """A formula, or code where it is none or has no MathML."""
        source = escape(clean(written.source))
        if written.latex is not None:
            try:
                shown = f'<span class="gl-right">{self.terms(written.latex.replace(":=", "≔"))}</span>'
            except UnsupportedError:
                written = Written(written.source)
        if written.latex is None:
            shown = f'<pre class="gl-code">{source}</pre>'
        tools = ""
        if self.standalone and written.latex is not None:
            tools = (
                f'<span class="gl-tools"><button type="button" hidden="" data-latex="{source}" '
                'aria-label="Copy as LaTeX" title="Copy as LaTeX">TeX</button></span>'
            )
        return f'<div class="gl-written">{shown}{tools}</div>'

    def judgement(self, block: Judgement) -> str:
        head = block.number is None
        mark = f'<span class="gl-mark" role="img" aria-label="{SPOKEN[block.tone]}">{escape(block.mark)}</span>'
        number = "" if head else f'<span class="gl-place" title="line of the text">{block.number}</span>'
        words = f'<p class="gl-words">{self.words(block.words)}</p>' if block.words.latex else ""
        written = self.written(block.written) if block.written else ""
        parts = [words, written] if head else [written, words]
        more = f'<div class="gl-more">{self.blocks(block.blocks)}</div>' if block.blocks else ""
        inside = "".join(parts) + more
        kind = f"gl-judged gl-is-{block.tone}{' gl-headline' if head else ''}"
        return f'<div class="{kind}">{mark}{number}<div class="gl-claim">{inside}</div></div>'
