"""`check`: hold a claim against what gradloom derives."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import DataError, GradloomError, UnsupportedError
from ..network import Network
from .deciding.everything import everything
from .errors import AmbiguousClaimError, ClaimSyntaxError, UnknownNameError, UnreadableError
from .follows import follows
from .judge import Finding, Frame, judge
from .latex.reader import read_relation
from .latex.syntax import Name, Number, Product, Relation, Text
from .lines import SourceLine, source_lines
from .meaning.function_names import own_functions
from .meaning.items import items_of
from .meaning.layers import layer_letters
from .meaning.lexicon import Entry, Lexicon, key_of, lexicon_of
from .verdict import RIGHT, Judged, Verdict


def check(
    network: Network,
    claim: Any,
    *,
    aliases: Mapping[str, str] | None = None,
    functions: Mapping[str, Any] | None = None,
    layout: str | None = None,
    derivatives: str = "denominator",
    single: bool = False,
    first: int | None = None,
    symbols: Mapping[str, str] | None = None,
    explain: bool = True,
) -> Verdict:
    """Judge what somebody claims about a network's gradients.

    Parameters
    ----------
    network : what the claim is about, with its loss
    claim : LaTeX, one formula or a text of many; a `Path` of a .tex, .md or .py file; an `Equation` or a SymPy equation
        over the network's tensors; a Python function over NumPy arrays, named for what it returns (``dW2``), or a whole
        ``backward``
    aliases : what the claim writes → what it means, in LaTeX or by name:
        ``{"m": "B", r"\\delta_j": r"\\delta^{(1)}_j"}``
    functions : what the claim calls functions: ``{"g": gl.tanh}``
    layout : "columns" (one example per column) or "rows"; by default whichever fits, one for all lines
    derivatives : "denominator" where ∂L/∂W has the shape of W, "numerator" where it has that of its transpose
    single : whether the claim is about one example alone; otherwise what is right for that only is "batch 1"
    first : the number of the first position along an axis, 1 or 0, where the claim has numbers for indices
    symbols : name of a tensor → the LaTeX symbol that the claim has for it
    explain : whether to look for a counterexample and the likely mistake where a line is wrong

    Returns
    -------
    A `Verdict`.

    Raises
    ------
    ClaimSyntaxError
        If a claim of one line cannot be read; a line among many is marked as not read instead.
    UnknownNameError, AmbiguousClaimError, UnreadableError
        Likewise, if it is not known what a name or a notation means.
    LossError
        If the network has no loss.
    """
    _check_settings(aliases, functions, symbols, layout, derivatives, first)
    if isinstance(claim, Path):
        claim = _read(claim) if claim.suffix != ".py" else claim
    derivation = everything(network)
    options = {"layout": layout, "derivatives": derivatives, "single": single, "first": first, "symbols": symbols}
    if isinstance(claim, str):
        known = {**own_functions(equation.body for equation in network.equations), **(functions or {})}

        def frame(layout: str | None) -> Frame:
            lexicon = lexicon_of(derivation, aliases, known, symbols)
            return Frame(lexicon, layout, single, first, derivatives == "numerator")

        return _check_text(claim, frame, options, explain)
    if callable(claim) or isinstance(claim, Path):
        from .code.python_claims import check_python

        return check_python(derivation, claim, single=single, explain=explain)
    from .code.sympy_claims import check_sympy

    return check_sympy(derivation, claim, single=single, explain=explain)


def _check_settings(aliases: Any, functions: Any, symbols: Any, layout: Any, derivatives: Any, first: Any) -> None:
    """
    Raises
    ------
    UnsupportedError
        If one is of another kind than `check` says.
    """
    for what, given in (("aliases", aliases), ("symbols", symbols), ("functions", functions)):
        pairs = given.items() if isinstance(given, Mapping) else [] if given is None else [(given, None)]
        for name, meaning in pairs:
            if not isinstance(name, str) or not (
                callable(meaning) if what == "functions" else isinstance(meaning, str)
            ):
                expected = "functions by name, as in {'g': gl.tanh}" if what == "functions" else "texts by name"
                raise UnsupportedError(f"{what} has {name!r}: {meaning!r}; expected {expected}")
    for what, given, offered in (
        ("layout", layout, (None, "columns", "rows")),
        ("derivatives", derivatives, ("denominator", "numerator")),
        ("first", first, (None, 0, 1)),
    ):
        if not any(given is one or (isinstance(given, type(one)) and given == one) for one in offered):
            raise UnsupportedError(f"{what} is {given!r}; choose from {', '.join(map(repr, offered))}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot read the claim {os.fspath(path)}: {error.strerror}") from None
    except ValueError:
        raise DataError(f"cannot read the claim {os.fspath(path)}: it is no text in UTF-8") from None


def _check_text(text: str, frame_of: Callable[[str | None], Frame], options: dict[str, Any], explain: bool) -> Verdict:
    lines, silent = source_lines(text)
    if not lines:
        raise ClaimSyntaxError(
            "there is no claim: expected formulas with an equals sign, such as \\frac{\\partial L}{\\partial W} = …",
            text,
            0,
        )
    layout = options["layout"]
    if layout is None and len(lines) > 1:
        layout = _layout_of(lines, frame_of)
    frame = frame_of(layout)
    judged = _all(lines, frame, explain)
    return Verdict(frame.lexicon.derivation, judged, silent=silent, options=options)


def _layout_of(lines: list[SourceLine], frame_of: Callable[[str | None], Frame]) -> str:
    """The layout of a text of several lines, which is one for all of them: that in which more of them are right."""
    right = [line.finding for line in _all(lines, frame_of(None), explain=False) if line.ok and line.finding]
    used = [finding.meaning.manner.layout for finding in right if finding.meaning is not None]
    if "rows" not in used:
        return "columns"
    by_rows = [line for line in _all(lines, frame_of("rows"), explain=False) if line.ok and line.finding]
    return "rows" if len(by_rows) >= used.count("columns") else "columns"


def _all(lines: list[SourceLine], frame: Frame, explain: bool) -> list[Judged]:
    judged: list[Judged] = []
    for line in lines:
        try:
            judged.append(_judged(line, frame, judged, explain))
        except (ClaimSyntaxError, UnknownNameError, AmbiguousClaimError, UnreadableError) as error:
            if len(lines) == 1:
                raise
            judged.append(Judged(line.shown, line.number, "unread", error=str(error)))
    return judged


def _judged(line: SourceLine, frame: Frame, before: list[Judged], explain: bool) -> Judged:
    relation = read_relation(line.text)
    if len(relation.parts) < 2:
        raise ClaimSyntaxError("nothing is claimed: there is no equals sign", line.text, 0)
    if relation.parts[0] is None:
        raise ClaimSyntaxError("nothing stands in front of the sign, in this row or above", line.text, 0)
    _check_signs(relation, line.text)
    if _define(relation, line.text, frame.lexicon):
        return Judged(line.shown, line.number, "defines")
    findings = judge(relation, line.text, frame)
    at = next((n for n, finding in enumerate(findings) if not _is_right(finding)), len(findings) - 1)
    finding = findings[at]
    made = Judged(line.shown, line.number, finding.kind, finding, steps=_last(relation, line.text))
    made = _in_order(made, line, relation, frame, before)
    if made.kind == "follows":
        return made
    if not explain or _is_right(finding):
        return made
    return explained(made, line, relation, at + 1, frame)


SIGNS = ("=", "≈", "<-", "->", ":=", "≡")
ELSEWHERE = ("in inference", "after each step")  # as gradloom prints formulas beside those of training
SAYING = ("for", "where", "with", "all", "every", "each", "as", "and", "by", "in", "over")


def _check_signs(relation: Relation, text: str) -> None:
    """Refuse what is no claim that two sides are equal, and what stands behind the formula and is no remark.

    Which indices are meant may be said, ``j = 1``, ``\\forall j``; a condition, a second formula or a further term is
    not read there, and so must not stand there.

    Raises
    ------
    ClaimSyntaxError
        If there is one.
    """
    for sign in relation.signs:
        if sign not in SIGNS:
            raise ClaimSyntaxError(f"{sign} is not judged: a claim is that two sides are equal", text, 0)
    before: Any = None
    for remark in relation.remarks:
        if isinstance(remark, Text) and remark.text.strip() in ELSEWHERE:
            raise ClaimSyntaxError(
                f"this is about what the network does {remark.text.strip()}; claims are about training",
                text,
                remark.span.start,
            )
        if not isinstance(remark, Text) and not _says_which(remark, before):
            what = "a second formula, a condition or a term behind the formula is not judged"
            raise ClaimSyntaxError(f"{what}: give it a line of its own, or cases", text, remark.span.start)
        before = remark


def _says_which(remark: Any, before: Any) -> bool:
    """Whether a remark only says which indices are meant."""
    if isinstance(before, Text) and not before.text.strip(" (,").lower().startswith(SAYING):
        return False
    if isinstance(remark, Relation):
        if len(remark.parts) == 1:
            return _says_which(remark.parts[0], before)
        left, right = remark.parts[:2]
        plain = isinstance(left, Name) and not left.scripts
        return plain and (remark.signs[0] == "∈" or (remark.signs[0] == "=" and isinstance(right, Number | Name)))
    if isinstance(remark, Product) and not any(remark.operators):
        first = remark.factors[0]
        return isinstance(first, Name) and first.base in (r"\forall", "∀") and len(remark.factors) == 2
    return isinstance(remark, Name | Number) and not remark.scripts


def _is_right(finding: Finding) -> bool:
    return finding.kind in RIGHT


def _in_order(made: Judged, line: SourceLine, relation: Relation, frame: Frame, before: list[Judged]) -> Judged:
    """A wrong line, or one that follows from a wrong one above."""
    if made.kind != "not equal" or made.finding is None:
        return made
    wrong = [earlier for earlier in before if earlier.kind in ("not equal", "follows")]
    if line.goes_on and before and before[-1] in wrong:  # a = b, and now = c: is it at least equal to b?
        above = before[-1].steps
        step = f"{above} = {_last(relation, line.text)}"
        try:
            if all(_is_right(finding) for finding in judge(read_relation(step), step, frame)):
                return replace(made, kind="follows", after=before[-1].number)
        except GradloomError:
            pass
    found = [(earlier.number, earlier.finding) for earlier in wrong if earlier.finding is not None]
    after = follows(made.finding, found, frame.lexicon.derivation)
    return made if after is None else replace(made, kind="follows", after=after)


def _last(relation: Relation, text: str) -> str:
    """The text of the last part."""
    last = relation.parts[-1]
    return "" if last is None else text[last.span.start : last.span.end]


def explained(judged: Judged, line: SourceLine, relation: Relation, part: int, frame: Frame) -> Judged:
    """What else can be said of a line that is not right."""
    from .deciding.counterexample import counterexample
    from .mistakes.search import likely_mistake

    meaning = judged.finding.meaning if judged.finding else None
    shown = counterexample(meaning.question) if meaning is not None and judged.kind == "not equal" else None
    mistake = likely_mistake(relation, part, line.text, frame) if judged.kind in ("not equal", "batch 1") else None
    return replace(judged, counterexample=shown, mistake=mistake)


def _define(relation: Relation, text: str, lexicon: Lexicon) -> bool:
    """Take ``r := 1/\\sqrt{…}`` as the meaning of r, if r is no name of the network."""
    name = relation.parts[0]
    if relation.signs[0] not in (":=", "≡") or not isinstance(name, Name) or len(relation.parts) != 2:
        return False
    labels = tuple(item.text for item in items_of(name.scripts))
    if name.base in lexicon.runs:
        return False
    if name.base in ("e", "1", "I", r"\pi") or any(entry.kind == "function" for entry in lexicon.labelled(name)):
        raise ClaimSyntaxError(f"{name.base} has a meaning already: choose another name", text, name.span.start)
    if any(entry.kind != "function" for entry in lexicon.labelled(name)) and layer_letters(relation, lexicon):
        return False  # W^{[l]}, of each layer
    if any(set(entry.labels) <= set(labels) and entry.kind != "function" for entry in lexicon.labelled(name)):
        return False
    lexicon.add(key_of(name), Entry("node", (relation.parts[1], text), labels))
    return True
