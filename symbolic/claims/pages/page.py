"""A verdict as a document: what a student reads."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import takewhile
from textwrap import dedent

from ...report.document import Block, Document, Judgement, Prose, Titled, Written
from ..verdict import Judged, Verdict
from .derived import derived
from .numbers_shown import numbers_shown
from .sentences import MARKS, headline, how, sentence, short
from .written import without_alignment, written

ALSO = 6  # wrong lines that are shown beside the first


def page(verdict: Verdict) -> Document:
    """The document of `verdict`: of one line its sentence and reasons, of many the list and what is wrong."""
    title = verdict.title if verdict.title != "Verdict" else f"Verdict on {verdict.derivation.network.name}"
    document = Document(title, numbered=False)
    if len(verdict.lines) == 1 and not verdict.silent:
        document.add("", [_alone(verdict.lines[0], verdict)])
        return document
    mark, tone, words = headline(verdict)
    document.add("", [Judgement(mark, tone, words)])
    document.add("Line by line", _listed(verdict))
    open_lines = [line for line in verdict.lines if not line.ok and line.kind not in ("follows", "unread")]
    for place, line in enumerate(open_lines[: ALSO + 1]):
        document.add(f"Line {line.number}", [_in_detail(line, verdict, brief=place > 0)])
    if len(open_lines) > ALSO + 1:
        rest = ", ".join(str(line.number) for line in open_lines[ALSO + 1 :])
        document.add("More", [Prose.plain(f"Not shown in detail: lines {rest}. Mend the first ones and check again.")])
    return document


def _alone(line: Judged, verdict: Verdict) -> Judgement:
    mark, tone = MARKS[line.kind]
    return Judgement(
        mark, tone, sentence(line, verdict), _written(line.written, verdict), None, tuple(_reasons(line, verdict))
    )


def _listed(verdict: Verdict) -> list[Block]:
    out: list[Block] = []
    for line in verdict.lines:
        mark, tone = MARKS[line.kind]
        more = tuple(_complaint(line.error))
        out.append(Judgement(mark, tone, short(line, verdict), _written(line.written, verdict), line.number, more))
    if verdict.silent:
        many = verdict.silent > 1
        out.append(
            Prose.plain(
                f"{verdict.silent} formula{'s' * many} of the text {'have' if many else 'has'} no equals sign: "
                f"{'they claim' if many else 'it claims'} nothing, and {'were' if many else 'was'} not judged."
            )
        )
    return out


def _in_detail(line: Judged, verdict: Verdict, brief: bool) -> Judgement:
    mark, tone = MARKS[line.kind]
    blocks = tuple(_reasons(line, verdict, brief))
    return Judgement(mark, tone, sentence(line, verdict), _written(line.written, verdict), line.number, blocks)


def _reasons(line: Judged, verdict: Verdict, brief: bool = False) -> list[Block]:
    """What there is to say of a line beside the verdict itself."""
    out: list[Block] = []
    out += _complaint(line.error)
    if line.mistake is not None:
        out.append(Titled(Prose.plain("The likely mistake"), (Prose.quoted(_sentence(line.mistake.words)),)))
        out.append(Titled(Prose.plain("The line as it should be"), (_written(line.mistake.correct, verdict),)))
    if not line.ok:
        equations = derived(line, verdict)
        if equations:
            out.append(Titled(Prose.plain("What gradloom derives"), tuple(equations)))
    if line.counterexample is not None and not brief:
        out.append(Titled(Prose.plain("An example in numbers"), tuple(numbers_shown(line, verdict))))
    said = how(line)
    if said:
        out.append(Titled(Prose.plain("How it was read and decided"), tuple(said)))
    return out


def _written(source: str, verdict: Verdict) -> Written:
    """A claim in LaTeX as a formula; one in Python or SymPy, which has no layout to choose, as code."""
    if "layout" not in verdict.options:
        return Written(source.strip())
    made = written(source)
    return replace(made, source=re.sub(r"\s+", " ", without_alignment(made.source)).strip())


def _complaint(error: str) -> list[Block]:
    """A message in words, then what it points at, in type of one width."""
    rows = error.split("\n")
    words = list(takewhile(lambda row: not row.startswith("    "), rows))
    code = dedent("\n".join(rows[len(words) :])).strip("\n")
    out: list[Block] = [Prose.quoted(row) for row in words if row.strip()]
    return [*out, Written(code)] if code else out


def _sentence(words: str) -> str:
    words = words.strip()
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "!", "?", ":")) else ".")
