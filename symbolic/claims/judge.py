"""One formula, judged: read in every manner in which it fits together, and each meaning decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sympy import Expr, Symbol

from ..indices import Dim
from ..tensors import Tensor
from .deciding.decide import decide
from .deciding.question import Decision, Question
from .errors import AmbiguousClaimError, UnknownNameError, UnreadableError, pointed
from .latex.syntax import Node, Relation
from .meaning.formula import value_of
from .meaning.layers import layer_letters, layer_values
from .meaning.lexicon import Lexicon
from .meaning.limits import check_padding, check_positions, extreme_number
from .meaning.reading import Manner, Reading, alternatives, times_of
from .meaning.update import updated, with_rate
from .meaning.values import ANY, MORE, C, MismatchError, NotReadError, R, Value

# What a verdict can be, best first: a formula of several layers or steps is as good as the worst of them.
KINDS = ("equal", "equal given", "rounded", "batch 1", "layout", "undecided", "not equal")


@dataclass(frozen=True)
class Meaning:
    """Two sides as they were read; `turned` if the right one is the transpose of what is written.

    `declared`: whether the letters below arrays of three or more axes stand for those that the network has them for.
    """

    left: Value
    right: Value
    manner: Manner
    notes: tuple[str, ...]
    question: Question
    turned: bool = False
    declared: bool = False
    taken: tuple[tuple[int, int], ...] = ()  # the choices that lead here, each of how many


@dataclass(frozen=True)
class Finding:
    """What came of one equation.

    Attributes
    ----------
    kind : one of `KINDS`
    decision : how it was decided; None where the sides do not fit together
    meaning : how it was read; None likewise
    reason : why it cannot be read, where it cannot
    layers : the numbers of layers for which this is
    among : those for which it was judged: the others name what the network does not have
    subject : the left side, where the sides do not fit together
    """

    kind: str
    decision: Decision | None = None
    meaning: Meaning | None = None
    reason: str = ""
    layers: dict[str, int] = field(default_factory=dict)
    subject: Value | None = None
    among: tuple[dict[str, int], ...] = ()


@dataclass(frozen=True)
class Frame:
    """What formulas are read with.

    Attributes
    ----------
    layout : None to try columns, then rows
    single : whether the formulas are about one example: then what is right at batch size 1 is right
    first : the number of the first position, 1 or 0; None if not known
    numerator : whether ∂L/∂W has the transposed shape of W
    """

    lexicon: Lexicon
    layout: str | None = None
    single: bool = False
    first: int | None = None
    numerator: bool = False

    def manners(self) -> Iterator[Manner]:
        """The manners of reading, those that say most first."""
        network = self.lexicon.derivation.network
        # Where no matrix has the examples, the layouts show nothing differently: vectors are columns.
        vectors: Any = (self.layout,) if self.layout else ("columns",)
        matrices: Any = (self.layout,) if self.layout else ("columns", "rows")
        hidden = [size for size in (network.batch, *times_of(network)) if size is not None]
        implicit: list[tuple[Expr, ...]] = [()]
        for size in hidden:
            implicit += [(*known, size) for known in implicit]
        if not self.single:
            for sizes in implicit:
                for layout in matrices if network.batch is not None and network.batch not in sizes else vectors:
                    yield Manner(layout, sizes, numerator=self.numerator)
        if network.batch is not None:
            for sizes in implicit:
                if network.batch not in sizes:
                    for layout in vectors:
                        yield Manner(layout, sizes, True, self.numerator)


def judge(relation: Relation, text: str, frame: Frame) -> list[Finding]:
    """A finding for each sign of a chain ``a = b = c``: each part beside the first, which is the claim's subject.

    Raises
    ------
    UnknownNameError
        If a name is not known.
    AmbiguousClaimError
        If it can be read in several ways, right in one and wrong in another.
    """
    letters = layer_letters(relation, frame.lexicon)
    found: list[list[Finding]] = []
    unknown: UnknownNameError | None = None
    for layers in layer_values(letters, frame.lexicon) if letters else [{}]:
        try:
            found.append([_one(relation, n, text, layers, frame) for n in range(1, len(relation.parts))])
        except UnknownNameError as error:  # l + 1 behind the last layer
            unknown = unknown or error
    if not found:
        assert unknown is not None
        raise unknown
    worst = [max(column, key=lambda finding: KINDS.index(finding.kind)) for column in zip(*found, strict=True)]
    return [replace(one, among=tuple(column[n].layers for column in found)) for n, one in enumerate(worst)]


def _one(relation: Relation, n: int, text: str, layers: dict[str, int], frame: Frame) -> Finding:
    """The best that can be said of the n-th part beside the first."""
    worst: Finding | None = None
    unread: NotReadError | None = None
    reason = ""
    # Only what fits in no other way is read with letters that run over a part of an axis, under brackets or not.
    for loose, manner in ((loose, manner) for loose in (False, True) for manner in frame.manners()):
        if loose and worst is not None:
            break
        sides = relation.parts[0], relation.parts[n], relation.signs[0]
        try:
            meanings = meanings_of(*sides, text, manner, layers, frame, loose)
        except NotReadError as error:
            unread = unread or error
            continue
        except MismatchError as error:
            reason = reason or str(error)
            continue
        finding = agreed(meanings, layers, frame, text)
        if loose and finding.kind == "undecided" and reason:
            continue
        if finding.kind == "batch 1" and worst is not None and worst.kind == "undecided":
            continue  # one example says nothing of what many could not decide
        if finding.kind not in ("not equal", "undecided"):
            return finding
        worst = worst or finding
    if unread is not None:  # what was not read may be what is right
        where = f"\n{pointed(text, unread.span.start, unread.span.end)}" if unread.span is not None else ""
        raise UnreadableError(f"this is not read here: {unread}{where}")
    if worst is not None:
        return worst
    return Finding("not equal", reason=reason, layers=layers, subject=_subject(relation, text, layers, frame))


def _subject(relation: Relation, text: str, layers: dict[str, int], frame: Frame) -> Value | None:
    """The left side alone, in the first manner in which it can be read."""
    left = relation.parts[0]
    for manner in frame.manners():
        try:
            reading = Reading(frame.lexicon, text, manner, dict(layers), first=frame.first)
            return None if left is None else updated(left, relation.signs[0], reading) or value_of(left, reading)
        except MismatchError:
            continue
    return None


def meanings_of(
    left: Node | None,
    right: Node | None,
    sign: str,
    text: str,
    manner: Manner,
    layers: dict[str, int],
    frame: Frame,
    loose: bool = False,
    only: Sequence[Sequence[int]] | None = None,
) -> list[Meaning]:
    """All meanings in one manner of reading, each once; with `only` those that these choices lead to.

    Raises
    ------
    MismatchError
        If there is none.
    """

    def start(choices: list[int]) -> Reading:
        return Reading(frame.lexicon, text, manner, dict(layers), choices, first=frame.first, loose=loose)

    def read(reading: Reading) -> tuple[Value, Value, bool]:
        assert left is not None
        assert right is not None
        subject = updated(left, sign, reading) or value_of(left, reading)
        claimed = value_of(right, reading)
        whole = subject.more or claimed.more or claimed.is_scalar
        turned = not whole and subject.shape != claimed.shape == subject.transposed.shape
        return *compared(subject, claimed.transposed if turned else claimed, reading), turned

    found: dict[Any, Meaning] = {}
    misfit: MismatchError | None = None
    for reading, (one, other, turned) in alternatives(start, read, only):
        key = (one.entry, other.entry, one.shape)
        if key not in found:
            try:
                question = question_of(one, other, reading)
            except NotReadError:
                raise
            except MismatchError as error:
                misfit = misfit or error
                continue
            declared = reading.chosen and not reading.foreign
            found[key] = Meaning(
                one, other, manner, tuple(reading.notes), question, turned, declared, tuple(reading.taken)
            )
    if misfit is not None and not found:
        raise misfit
    if not all(meaning.turned for meaning in found.values()):  # what fits as it stands comes first
        return [meaning for meaning in found.values() if not meaning.turned]
    return list(found.values())


def compared(left: Value, right: Value, reading: Reading) -> tuple[Value, Value]:
    """Both sides, if they can be equal at all: of one shape, and no index on the right that is not on the left.

    Raises
    ------
    MismatchError
        If they cannot.
    """
    sizes = []
    if left.more != right.more and not right.entry.is_number:
        raise MismatchError(f"the left side is {left}, the right side {right}")
    for one, other in zip(left.shape, right.shape, strict=True):
        fits = one == other or (ANY in (one, other) and None not in (one, other))
        if not fits and not (right.entry.is_number and right.is_scalar):
            raise MismatchError(f"the left side is {left}, the right side {right}")
        sizes.append(other if one == ANY else one)
    if ANY in sizes:
        raise MismatchError("nothing says how long 𝟏 is")
    free = _free(left.entry)
    extra = sorted(s.name for s in _free(right.entry) - free)
    if extra:
        names = ", ".join(name.removeprefix("each_") for name in extra)
        each = all(name.startswith("each_") for name in extra)
        what = f"each place along {names}" if each else f"the index {names}"
        raise MismatchError(f"the right side depends on {what}, the left side does not, and no sum runs over it")
    rows, columns = sizes
    return Value(left.entry, rows, columns, left.more), Value(right.entry, rows, columns, left.more)


def _free(entry: Expr) -> set[Symbol]:
    return {s for s in entry.free_symbols if isinstance(s, Symbol) and not isinstance(s, Tensor | Dim)} - {R, C, *MORE}


def question_of(left: Value, right: Value, reading: Reading) -> Question:
    """What is to be decided: whether the entries are equal."""
    indices = [(mark, size) for mark, size in ((R, left.rows), (C, left.columns)) if size is not None]
    indices += zip(MORE, left.more, strict=False)
    for symbol in sorted(_free(left.entry) | _free(right.entry), key=lambda s: s.name):
        size = reading.size_of(symbol)
        if size is None:
            raise NotReadError(f"nothing says what the index {symbol.name} runs over")
        indices.append((symbol, size))
    for one, other in reading.paired:
        sizes = reading.size_of(one), reading.size_of(other)
        if None not in sizes and sizes[0] != sizes[1]:
            raise MismatchError(f"δ of {one} and {other}, which run over axes of sizes {sizes[0]} and {sizes[1]}")
    for side in (left.entry, right.entry):
        check_positions(side, dict(indices), reading.network)
        check_padding(side, times_of(reading.network))
    rounded = any(part.is_Rational and part.q >= 1000 for part in right.entry.atoms())
    return Question(
        with_rate(reading.lexicon.derivation, left.entry, right.entry),
        left.entry,
        right.entry,
        tuple(indices),
        rounded,
        reading.manner.single,
    )


def agreed(meanings: list[Meaning], layers: dict[str, int], frame: Frame, text: str) -> Finding:
    """The one thing that all meanings come to."""
    findings = [_found(meaning, layers, frame) for meaning in meanings]
    good = [finding for finding in findings if finding.kind not in ("not equal", "undecided")]
    if good and len(good) < len(findings):
        own = [finding for finding in findings if finding.meaning is not None and finding.meaning.declared]
        if own and len(own) < len(findings):  # the network says what its letters are
            return agreed([finding.meaning for finding in own if finding.meaning is not None], layers, frame, text)
        ways = "\n".join(f"  {finding.kind}: {_way(finding)}" for finding in findings)
        raise AmbiguousClaimError(
            f"{text.strip()} can be read in {len(findings)} ways, and they differ:\n{ways}\n"
            "say which is meant with brackets, commas between indices, first=0 or first=1, an alias, or single=True if "
            "a letter is no example"
        )
    return max(findings, key=lambda finding: KINDS.index(finding.kind))


def _way(finding: Finding) -> str:
    from ..text import text as written

    assert finding.meaning is not None
    notes = "; ".join(finding.meaning.notes)
    left, right = (written(side.entry) for side in (finding.meaning.left, finding.meaning.right))
    return f"{left} = {right}" + (f" ({notes})" if notes else "")


def _found(meaning: Meaning, layers: dict[str, int], frame: Frame) -> Finding:
    decision = decide(meaning.question)
    if decision.kind not in ("not equal", "undecided") and not decision.method.startswith("symbolically"):
        extreme = extreme_number(meaning.right.entry - meaning.left.entry)
        if extreme is not None:
            note = f"{extreme} is beyond what numbers show at {decision.method.removeprefix('to ')}"
            decision = replace(decision, kind="undecided", note=note)
    if decision.kind == "not equal" and _is_square(meaning):
        other = meaning.right.transposed
        turned = replace(meaning, right=other, question=replace(meaning.question, right=other.entry), turned=True)
        again = decide(turned.question)
        if again.kind == "equal":
            decision, meaning = again, turned
    kind = decision.kind
    if kind == "equal" and meaning.manner.single and not frame.single:
        kind = "batch 1"
    if kind == "batch 1" and frame.single:
        kind = "equal"
    if kind == "equal" and any(fact.source.startswith("declared") for fact in decision.facts):  # what is proved, holds
        kind = "equal given"
    if meaning.turned and kind != "undecided":
        kind = "layout" if kind in ("equal", "equal given") else "not equal"
    return Finding(kind, decision, meaning, layers=layers)


def _is_square(meaning: Meaning) -> bool:
    return meaning.right.is_matrix and meaning.right.rows == meaning.right.columns and not meaning.turned
