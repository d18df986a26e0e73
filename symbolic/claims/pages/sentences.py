"""What is said of a verdict, in sentences."""

from __future__ import annotations

from ...facts import Fact
from ...notation import Notation
from ...report.conventions import fact_used
from ...report.document import Block, Prose
from ..verdict import RIGHT, Judged, Verdict

# kind → mark, tone
MARKS = {
    "equal": ("✓", "right"),
    "equal given": ("✓", "right"),
    "rounded": ("✓", "right"),
    "batch 1": ("~", "partly"),
    "layout": ("~", "partly"),
    "not equal": ("✗", "wrong"),
    "follows": ("→", "follows"),
    "undecided": ("?", "open"),
    "unread": ("?", "open"),
    "defines": ("·", "defines"),
}


def headline(verdict: Verdict) -> tuple[str, str, Prose]:
    """Mark, tone and words for a text of many lines."""
    claims = [line for line in verdict.lines if line.kind != "defines"]
    right = sum(line.kind in RIGHT for line in claims)
    every = len(claims)
    first = verdict.first_wrong
    if not every:
        return "?", "open", Prose.plain("Nothing is claimed: the text only defines names.")
    lines = f"line{'s' * (every > 1)}"
    if first is None:
        return "✓", "right", Prose.plain(f"All {every} lines are right." if every > 1 else "The only line is right.")
    words = f"{right} of {every} {lines} {'is' if right == 1 else 'are'} right."
    kinds = {line.kind for line in claims}
    mark, tone = MARKS[first.kind]
    if "not equal" in kinds:
        wrong = next(line for line in claims if line.kind == "not equal")
        mark, tone = MARKS["not equal"]
        words += f" The first wrong one is line {wrong.number}."
    elif first.kind == "unread":
        words += f" Line {first.number} could not be read."
    elif first.kind == "undecided":
        words += f" Line {first.number} could not be decided."
    else:
        words += f" Line {first.number} is right only in part."
    return mark, tone, Prose.plain(words)


def sentence(line: Judged, verdict: Verdict) -> Prose:
    """The verdict on one line."""
    finding = line.finding
    decision = finding.decision if finding else None
    match line.kind:
        case "equal":
            return Prose.plain("Equal.")
        case "equal given":
            return _given(line, verdict, "Equal, given {}.")
        case "rounded":
            digits = decision.digits if decision else None
            how_far = f"to {digits} digits" if digits else "up to rounding"
            return Prose.plain(f"Agrees {how_far}: the constants are rounded.")
        case "batch 1":
            return Prose.plain(_batch(line))
        case "layout":
            return Prose.plain(
                "Equal up to layout: yours is the transpose of what is derived. Where a gradient is laid out the other "
                "way round on purpose, it is right."
            )
        case "not equal":
            if finding and finding.reason and decision is None:
                return Prose.quoted(f"Not equal: the sides do not fit together. {_capital(finding.reason)}.")
            note = f" {_capital(decision.note)}." if decision and decision.note else ""
            return Prose.quoted(f"Not equal.{note}")
        case "follows":
            return Prose.plain(f"Follows from line {line.after}, which is wrong.")
        case "undecided":
            why = (decision.note if decision else "") or (finding.reason if finding else "") or "no test settles it"
            return Prose.quoted(f"Cannot decide: {why.rstrip('.')}.")
        case "defines":
            return Prose.plain("A definition: it names something, and claims nothing.")
        case "unread":
            return Prose.plain("Not read, so not judged.")
    raise AssertionError(line.kind)


def short(line: Judged, verdict: Verdict) -> Prose:
    """What a list says of a line: of one that is simply right nothing."""
    match line.kind:
        case "equal":
            return Prose.plain("")
        case "equal given":
            return _given(line, verdict, "given {}")
        case "rounded":
            digits = line.finding.decision.digits if line.finding and line.finding.decision else None
            return Prose.plain(f"to {digits} digits: rounded constants" if digits else "up to rounded constants")
        case "batch 1":
            return Prose.plain("right for one example only, see below")
        case "layout":
            return Prose.plain("equal up to layout: it is the transpose")
        case "not equal":
            return Prose.plain("not equal, see below")
        case "follows":
            return Prose.plain(f"follows from line {line.after}, which is wrong")
        case "undecided":
            return Prose.plain("cannot decide, see below")
        case "defines":
            return Prose.plain("a definition")
    return Prose.plain("could not be read")


def _batch(line: Judged) -> str:
    manner = line.finding.meaning.manner if line.finding and line.finding.meaning else None
    if manner is not None and manner.single:
        return (
            "Right for one example only: for a batch it says nothing that fits, or something else than what is derived."
        )
    return "Right for one example only: with a batch of more than one, the two sides differ."


def _given(line: Judged, verdict: Verdict, words: str) -> Prose:
    decision = line.finding.decision if line.finding else None
    facts = decision.facts if decision else ()
    texts, latex = [], []
    for fact in facts:
        used = _fact(fact, verdict)
        texts.append(used.text)
        latex.append(used.latex)
    return Prose(words.format(" and ".join(texts)), words.format(" and ".join(latex)))


def _fact(fact: Fact, verdict: Verdict) -> Prose:
    """``Σ_k y[i, k] = 1 (y is declared one-hot)``"""
    known = Fact(fact.tensor, fact.axis, fact.value, "\0")
    notation = Notation(symbols=verdict.options.get("symbols") or {})
    said = fact_used(known, verdict.derivation.network, notation, "{}")
    source = f"({fact.source.replace('declared: ', 'declared ')})"
    return Prose(said.text.replace(", \0", f" {source}"), said.latex.replace(", \0", f" {source}"))


def how(line: Judged) -> list[Block]:
    """How a line was read, and what decided it."""
    finding = line.finding
    if finding is None:
        return []
    out: list[Block] = []
    read = []
    if finding.meaning is not None:
        read.append(f"Read {_manner(str(finding.meaning.manner))}")
        if finding.meaning.turned and line.kind != "layout":
            read[-1] += ", and transposed"
    if finding.layers:
        layers = ", ".join(f"{letter} = {number}" for letter, number in finding.layers.items())
        judged = " and for ".join(", ".join(f"{k} = {n}" for k, n in one.items()) for one in finding.among)
        read.append(f"Judged for {judged or layers}; this is what came of {layers}")
    if finding.meaning is not None:
        read += [_capital(note) for note in finding.meaning.notes]
    if read:
        out.append(Prose.quoted(". ".join(read) + "."))
    if finding.decision is not None and finding.decision.method:
        method = finding.decision.method
        means = "by computing both sides " if method.startswith(("to ", "at ")) else ""
        out.append(Prose.quoted(f"Decided {means}{method}."))
    if line.ok and finding.decision is not None and finding.decision.note:
        out.append(Prose.quoted(f"{_capital(finding.decision.note)}."))
    return out


def _manner(words: str) -> str:
    if words.startswith("one example"):
        return "with " + words
    return words


def _capital(words: str) -> str:
    words = words.strip().rstrip(".")
    return words if words.startswith("\\") or words[1:2].isupper() else words[:1].upper() + words[1:]
