"""What a user wrote, to be shown: as a formula where it was read as one and amsmath can set it, else as code."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import fields, is_dataclass
from typing import Any

from ...errors import GradloomError
from ...report.document import Written
from ..latex.reader import read_relation
from ..latex.signs import (
    ACCENTS,
    BARS,
    CASES,
    CHARACTERS,
    CLOSING,
    DOTS,
    FONTS,
    FRACTIONS,
    FUNCTIONS,
    LAYOUT,
    NAMES,
    OPENING,
    OPERATORS,
    RELATIONS,
    SIZES,
    SPACES,
    SUMS,
    TEXTS,
)  # fmt: skip

# Written in another way, since the command needs a package; "" leaves it out.
_OTHERWISE: dict[str, str] = {
    **dict.fromkeys((r"\bm", r"\pmb"), r"\boldsymbol"),
    **dict.fromkeys((r"\coloneqq", r"\coloneq"), ":="),
    **dict.fromkeys((r"\nicefrac", r"\sfrac"), r"\frac"),
    **dict.fromkeys((r"\hfill", r"\hfil"), r"\quad"),
    **dict.fromkeys(r"\textnormal \mbox \hbox \textrm \intertext \shortintertext".split(), r"\text"),
    **dict.fromkeys(r"\nonumber \notag \allowbreak \nobreak \break \relax \noindent \centering \null".split(), ""),
    **dict.fromkeys(r"\protect \displaystyle \strut \mathstrut".split(), ""),
    **{r"\argmax": r"\operatorname{argmax}", r"\argmin": r"\operatorname{argmin}"},
    **{r"\lt": "<", r"\gt": ">", r"\lbrack": "[", r"\rbrack": "]", r"\lparen": "(", r"\rparen": ")"},
    **{r"\mathscr": r"\mathcal", r"\widecheck": r"\check"},
}
_SIDES = frozenset(rf"\{size}{side}" for size in ("big", "Big", "bigg", "Bigg") for side in "lr")
_KNOWN = (
    frozenset([*ACCENTS, *BARS, *CLOSING, *DOTS, *FONTS, *FRACTIONS, *NAMES, *OPENING, *OPERATORS, *RELATIONS, *SUMS])
    | frozenset([*LAYOUT, *SIZES, *SPACES, *TEXTS, *_SIDES])
    | {"\\" + name.removeprefix("\\") for name in FUNCTIONS}
    | {r"\left", r"\right", r"\sqrt", r"\operatorname", r"\mathsf", r"\begin", r"\end", r"\\", r"\div", r"\mod"}
) - {r"\mathbfit", r"\symbf", r"\symbfit", r"\symup", r"\-", r"\overrightarrow", r"\circledast"}  # no part of amsmath
_COMMAND = re.compile(r"\\(?:[A-Za-z]+|.)", re.DOTALL)
_WORDS = re.compile("(?:" + "|".join(map(re.escape, sorted(TEXTS, key=len, reverse=True))) + r")\s*\{([^{}]*)\}")
_RAISED = re.compile("[⁰¹²³⁴-⁹⁺⁻⁼⁽⁾ⁱⁿᵀ]+|[₀-₉₊₋₌₍₎ₐₑₒₓₕₖₗₘₙₚₛₜᵢⱼ]+")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{([^{}]*)\}")
_TAG = re.compile(r"\\(?:tag\*?|label)\{[^{}]*\}")
_PLAIN = re.compile(r"[A-Za-z0-9 ,.;:()=+'/!?-]*")


def written(source: str) -> Written:
    """`source` for a page."""
    return Written(source.strip(), latex_of(source))


def latex_of(source: str) -> str | None:
    """A formula in math mode that amsmath and amssymb set, or None.

    Every command in it is one of those in `signs`; words in it are letters, digits and marks.
    """
    try:
        relation = read_relation(source)
    except GradloomError:
        return None
    text = _TAG.sub("", source.strip())
    if any(mark in text for mark in "%#$~") or not _scripts_fit(relation):
        return None
    words = _WORDS.findall(text)
    if not all(map(_PLAIN.fullmatch, words)) or len(words) != sum(
        command in TEXTS for command in _COMMAND.findall(text)
    ):
        return None
    text = without_alignment(_as_commands(text))
    commands = _COMMAND.findall(text)
    if not text.isascii() or not all(command in _KNOWN for command in commands):
        return None
    if not all(name.rstrip("*") in CASES - {"dcases", "rcases"} for name in _ENVIRONMENT.findall(text)):
        return None
    if commands.count(r"\left") != commands.count(r"\right"):
        return None
    text = _COMMAND.sub(lambda found: _otherwise(found[0]), text)
    return re.sub(r"\s+", " ", text).strip() or None


def _as_commands(text: str) -> str:
    """`text` with characters beyond ASCII as the commands that they stand for, as the reader takes them."""
    text = _RAISED.sub(lambda run: f"{_raised(run[0][0])[0]}{{{''.join(_raised(c)[1] for c in run[0])}}}", text)
    text = text.replace("Σ_", r"\sum_")
    return "".join(
        CHARACTERS[c] + " " if CHARACTERS.get(c, "").startswith("\\") else CHARACTERS.get(c, c) for c in text
    )


def _raised(sign: str) -> tuple[str, str]:
    how, _, code = unicodedata.decomposition(sign).partition(" ")
    return "^" if how == "<super>" else "_", chr(int(code, 16))


def _otherwise(command: str) -> str:
    other = _OTHERWISE.get(command)
    # a letter behind a name of another length must not become a part of it
    return command if other is None else other + " " * (other[-1:].isalpha() and other.startswith("\\"))


def without_alignment(text: str) -> str:
    """The formula without its marks of alignment, but for those between cases."""
    parts = re.split(r"(\\begin\{\w+\*?\}.*\\end\{\w+\*?\})", text, flags=re.DOTALL)
    return "".join(part if place % 2 else re.sub(r"(?<!\\)&", " ", part) for place, part in enumerate(parts))


def _scripts_fit(part: Any) -> bool:
    """Whether TeX takes the scripts: one below, one above, primes before that above."""
    stack = [part]
    while stack:
        one = stack.pop()
        if isinstance(one, tuple):
            stack += one
            continue
        if not is_dataclass(one):
            continue
        kinds = [script.kind for script in getattr(one, "scripts", ())]
        primed = [kind for kind in kinds if kind != "sub"]
        if kinds.count("sub") > 1 or kinds.count("sup") > 1 or primed not in ([], ["sup"], ["prime"], ["prime", "sup"]):
            return False
        stack += [getattr(one, entry.name) for entry in fields(one) if entry.name != "span"]
    return True
