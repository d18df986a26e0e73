"""The likely mistake in a line that is wrong: a search over small changes of the user's own text.

Each change undoes one mistake that people make. A changed line is read again, compared at a random point, and judged
by the full decision; a mistake is named only if its line is right. The simplest explanation comes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...errors import GradloomError
from ...tensors import Adjoint, elements, tensor_of
from ..judge import Frame
from ..latex.syntax import Relation, Sum
from ..meaning.values import C, R
from . import (
    edits_add,
    edits_functions,
    edits_indices,
    edits_names,
    edits_powers,
    edits_remove,
    edits_shape,
    one_hot,
    probes,
    probes_factors,
    probes_terms,
)
from .edits import Candidate, Style, changed, reader, spots_of
from .screen import MANY, Screen

SECONDS = 20.0  # a safety net: how much is read ends the search before, the same on every machine
NEAR = 4  # manners of reading in which a line is looked at first


@dataclass(frozen=True)
class Mistake:
    """One mistake that explains a wrong line.

    Attributes
    ----------
    kind : its fixed name: "missing transpose", "sign", "missing 1/B" …
    words : one sentence for a student
    correct : the line without the mistake, in the user's own notation
    """

    kind: str
    words: str
    correct: str


def likely_mistake(relation: Relation, part: int, text: str, frame: Frame, seconds: float = SECONDS) -> Mistake | None:
    """The mistake that `relation.parts[part]` was probably made with; None if no small change makes the line right.

    Parameters
    ----------
    relation : the line as it was read; its first part is the subject
    text : what the spans in `relation` point into
    seconds : how long to look, in time of the processor, so that other work does not change what is found
    """
    if relation.parts[0] is None or relation.parts[part] is None:
        return None
    try:
        return _Search(relation, part, text, frame, seconds).found()
    except GradloomError:
        return None


class _Search:
    def __init__(self, relation: Relation, part: int, text: str, frame: Frame, seconds: float) -> None:
        self.screen = Screen(relation, part, text, frame, seconds)
        self.node: Any = relation.parts[part]
        self.relation, self.text, self.frame = relation, text, frame
        self.style = Style(text, frame.lexicon, relation)
        self.network = frame.lexicon.derivation.network
        self.tried: set[tuple[str, Any, bool]] = set()
        self._reads: list[Any] | None = None

    def found(self) -> Mistake | None:
        fitting = self.screen.fitting
        plain = [m for m in self.screen.manners if not m.implicit]
        first = self.distinct(sorted(fitting, key=lambda m: bool(m.implicit)))[:NEAR] or plain
        structural = sorted(self.structural(), key=lambda one: one.cost)
        near = [m for m in plain if m not in fitting]
        if fitting:  # as the claim fits together, before it is read in ways in which it does not
            self.screen.quick = self.screen.ways > MANY
            mistake = self.through(structural, fitting, first, [] if self.screen.quick else near)
            if mistake is not None or self.screen.over:
                return mistake
        self.screen.quick = False
        return self.through(structural, fitting, first, [m for m in self.screen.manners if m not in first])

    def distinct(self, manners: list[Any]) -> list[Any]:
        """Of manners in which the line says the same, as it does with all its indices, the first."""
        said: dict[Any, Any] = {}
        for manner in manners:
            meanings = self.screen.meanings(self.text, manner)
            said.setdefault(tuple((m.left.entry, m.right.entry, m.manner.single) for m in meanings), manner)
        return list(said.values())

    def through(self, structural: list[Candidate], fitting: list[Any], first: list[Any], others: list[Any]) -> Any:
        """The first candidate of the first stage that makes the line right."""
        for candidates in self.stages(structural, fitting):
            for manners in (first, others):
                mistake = self.best(candidates, manners)
                if mistake is not None or self.screen.over:
                    return mistake
        return None

    def stages(self, structural: list[Candidate], fitting: list[Any]) -> Iterator[list[Candidate]]:
        """Candidates, the simplest first; within a stage, those of one manner of reading before those of another."""
        yield list(edits_powers.roots(self.node, self.style)) + [
            one
            for manner in fitting[:2]
            for one in probes.constants(self.screen, self.node, self.style, manner, self.node, None)
        ]
        yield list(edits_add.steps(self.node, self.relation, self.style))
        yield [one for one in structural if one.cost <= 2]
        yield list(one_hot.assumed(self.screen, self.relation, self.node, self.style)) if fitting else []
        yield [one for manner in fitting[:1] for one in self.numeric(manner)]
        yield [one for one in structural if one.cost == 3]
        yield [
            one for manner in fitting[:1] for one in probes_terms.dropped(self.screen, self.node, self.style, manner)
        ]
        yield [one for one in structural if one.cost >= 4]
        yield list(self.replaced(fitting))

    def structural(self) -> list[Candidate]:
        node, style = self.node, self.style
        subject = self.relation.parts[0]
        reading = reader(self.frame.lexicon, self.text, self.screen.layers)
        batch = style.size_name(self.network.batch) if self.network.batch is not None else ""
        names, matrices = self.missing_names()
        return [
            *edits_shape.transposes(node, style),
            *edits_powers.bars(node, style),
            *edits_names.moved_points(node, style, reading),
            *edits_names.layers(node, style, reading),
            *edits_functions.functions(node, style, reading),
            *edits_functions.wrapped(node, style, reading),
            *edits_functions.arguments(node, style, reading),
            *edits_add.sums(node, subject, style),
            *edits_shape.swaps(node, style),
            *edits_indices.indices(node, style, subject),
            *edits_names.axes(node, style),
            *edits_shape.signs(node, style),
            *edits_powers.brackets(node, style),
            *edits_remove.factors(node, style, batch),
            *edits_remove.sums(node, style),
            *edits_powers.powers(node, style),
            *edits_add.rates(node, self.relation, style),
            *edits_remove.terms(node, style),
            *edits_names.other_tensors(node, style, reading, self.wanted()),
            *edits_add.terms(node, style, names),
            *edits_add.summed(node, subject, style, self.ranks()),
            *edits_add.factors(node, subject, style, names, matrices),
        ]

    def wanted(self) -> list[tuple[Any, str]]:
        """What the derived equation of the subject reads, and the step before it."""
        found: dict[tuple[Any, str], None] = {}
        for tensor in self.derived_reads():
            found.setdefault((tensor.of, "adjoint") if isinstance(tensor, Adjoint) else (tensor, "tensor"))
        return list(found)

    def derived_reads(self) -> list[Any]:
        if self._reads is None:
            self._reads = self._derived_reads()
        return self._reads

    def _derived_reads(self) -> list[Any]:
        derivation = self.frame.lexicon.derivation
        found: dict[Any, None] = {}
        for manner in self.screen.manners[:2]:
            left = self.relation.parts[0]
            try:
                from ..judge import meanings_of

                made = meanings_of(left, left, "=", self.text, manner, self.screen.layers, self.frame)
            except GradloomError:
                continue
            for meaning in made:
                for element in elements(meaning.left.entry):
                    tensor = tensor_of(element)
                    if isinstance(tensor, Adjoint) and tensor.of.name in derivation.steps:
                        step = derivation.steps[tensor.of.name]
                        exprs = [step.equation.body, *(p.term for p in step.parts)]
                    else:
                        exprs = [e.body for e in self.network.equations if e.target == tensor]
                    for expr in exprs:
                        found.update(dict.fromkeys(tensor_of(e) for e in elements(expr)))
            break
        return list(found)

    def missing_names(self) -> tuple[list[str], list[str]]:
        """Names of what the derived equation reads: those entry by entry, and matrices."""
        entries, matrices = [], []
        for tensor in self.derived_reads():
            if tensor.rank == 2 and getattr(tensor, "role", "") == "parameter":
                matrices.append(probes_factors.name_of_tensor(tensor, (R, C), self.style, self.screen))
            elif tensor.rank in (1, 2) and not self.style.indexed:
                name = probes_factors.name_of_tensor(tensor, (R, C), self.style, self.screen)
                entries.append(name)
                matrices += [name] * (tensor.rank == 2)
        return entries, matrices

    def ranks(self) -> list[tuple[str, int]]:
        """The names of what the derived equation reads, each with its number of axes."""
        reads = [tensor for tensor in self.derived_reads() if tensor.rank in (1, 2)]
        return [(probes_factors.name_of_tensor(t, (R, C), self.style, self.screen), t.rank) for t in reads]

    def numeric(self, manner: Any) -> Iterator[Candidate]:
        """What a term, or the whole side, is to be multiplied by."""
        screen, style = self.screen, self.style
        seen = screen.look(self.text, manner)
        if not seen:
            return
        ratio = probes.ratio_at(screen, self.text, manner, None)
        if ratio is not None:
            for shown, kind, words in probes_factors.matches(screen, ratio, seen[0].meaning, style):
                yield Candidate(kind, words, probes_factors.appended(self.node, shown, style), 2)
        targets = [
            (spot.node, number)
            for spot in spots_of(self.node)
            if isinstance(spot.node, Sum) and not spot.script and len(spot.node.terms) > 1
            for number in range(len(spot.node.terms))
        ]
        for (node, number), gone in zip(targets, self.without_terms(), strict=False):
            term = node.terms[number][1]
            without = gone.of(self.text)
            yield from probes.constants(screen, self.node, style, manner, term, without)
            ratio = probes.ratio_at(screen, self.text, manner, without)
            if ratio is not None:
                for shown, kind, words in probes_factors.matches(screen, ratio, seen[0].meaning, style):
                    yield Candidate(kind, words, probes_factors.appended(term, shown, style), 2)

    def without_terms(self) -> list[Candidate]:
        return list(edits_remove.terms(self.node, self.style))

    def replaced(self, fitting: list[Any]) -> Iterator[Candidate]:
        """A factor taken away, and what then lacks put in its place."""
        batch = self.style.size_name(self.network.batch) if self.network.batch is not None else ""
        for gone in edits_remove.factors(self.node, self.style, batch):
            if self.screen.over:
                return
            text = gone.of(self.text)
            relation = self.screen.relation_of(text)
            if relation is None:
                continue
            node = relation.parts[1]
            for manner in fitting[:1] or self.screen.manners[:1]:
                ratio = probes.ratio_at(self.screen, text, manner, None)
                if ratio is None:
                    continue
                style = Style(text, self.frame.lexicon, relation)
                seen = self.screen.look(text, manner)
                for shown, _, _ in probes_factors.matches(self.screen, ratio, seen[0].meaning, style):
                    new = changed(text, probes_factors.appended(node, shown, style))
                    words = gone.words.replace("does not belong here", f"is wrong: it is {shown}")
                    yield Candidate("wrong factor", words, (_whole(self.text, new),), 6)

    def best(self, candidates: list[Candidate], manners: list[Any]) -> Mistake | None:
        ordered = sorted(candidates, key=lambda one: one.cost)  # stable: ties stay in the order of the text
        for manner in manners:
            for one in ordered:
                if self.screen.over:
                    return None
                text = one.of(self.text)
                if text == self.text or (text, manner, self.screen.quick) in self.tried:
                    continue
                self.tried.add((text, manner, self.screen.quick))
                if any(
                    seen.alike and not seen.trivial for seen in self.screen.look(text, manner)
                ) and self.screen.is_right(text):
                    return Mistake(one.kind, one.words, text)
        return None


def _whole(old: str, new: str) -> Any:
    from .edits import Change

    return Change(0, len(old), new)
