"""Words and code that a user typed, made harmless for each format: nothing of it is a command or a tag."""

from __future__ import annotations

import re

from ..claims.latex.signs import CHARACTERS

_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "✓": r"\ensuremath{\checkmark}", "✗": r"\ensuremath{\times}",
    "²": r"\ensuremath{^2}", "ᵀ": r"\ensuremath{^\top}", "𝟏": r"\ensuremath{\mathbf 1}", "½": r"\ensuremath{\frac12}",
}  # fmt: skip
_PLAIN = frozenset("’‘“”–—…§°")  # what pdflatex sets without a package
_ACTIVE = re.compile(r"[\\`*_{}\[\]<>&#|~$]")


def clean(text: str) -> str:
    """`text` without what steers a terminal or is no character of XML."""
    return "".join(c if c.isprintable() or c == "\n" else " " if c == "\t" else "\ufffd" for c in text)


def tex_words(words: str) -> str:
    """`words` for TeX, outside of math mode."""
    return "".join(map(_tex, clean(words)))


def _tex(sign: str) -> str:
    if sign in _TEX:
        return _TEX[sign]
    if sign == "-" or sign.isascii() or sign in _PLAIN or ("À" <= sign <= "ÿ" and sign.isalpha()):
        return sign
    meant = CHARACTERS.get(sign)
    if meant is None or meant in (r"\coloneqq", r"\implies"):
        return f"[U+{ord(sign):04X}]"
    return r"\ensuremath{" + meant + "}" if meant.startswith("\\") else meant


def tex_code(text: str) -> str:
    """Lines of code for TeX, in type of one width; spaces and dashes stay as they are."""
    rows = [tex_words(row).replace("-", "-{}").replace(" ", r"\ ") for row in clean(text).split("\n")]
    return r"\texttt{" + "}\\\\\n\\texttt{".join(row or r"\ " for row in rows) + "}"


def markdown_words(words: str) -> str:
    """`words` for Markdown: no tags, no emphasis, no formula."""
    return _ACTIVE.sub(lambda mark: {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(mark[0], "\\" + mark[0]), clean(words))


def markdown_code(text: str) -> list[str]:
    """Lines of code for Markdown, in a fence that nothing in them closes."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *clean(text).split("\n"), fence]
