"""Lines that are right only where every row of the target sums to 1, which was not declared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sympy import Integer

from ...adopt import copied
from ...errors import GradloomError
from ...facts import Fact
from ..deciding.everything import everything
from ..judge import judge
from ..latex.syntax import Relation
from ..meaning.values import C, R
from .edits import Candidate, Change, Style, inside, reader, written
from .edits_names import meant, names_in
from .probes_factors import name_of_tensor
from .screen import Screen


def assumed(screen: Screen, relation: Relation, part: Any, style: Style) -> Iterator[Candidate]:
    """The sum of the target put where it was taken for 1, if that alone makes the line right.

    Whether it does is judged on a copy of the network in which the target is declared one-hot.
    """
    frame = screen.frame
    network = frame.lexicon.derivation.network
    known = {fact.tensor for fact in network.facts}
    for target in network.tensors.values():
        if target.role != "target" or target.rank < 2 or target.classes is not None or target in known:
            continue
        other = copied(network, network.name)
        other.facts = [*network.facts, Fact(target, target.rank - 1, Integer(1), "declared: one-hot")]
        try:
            lexicon = replace(frame.lexicon, derivation=everything(other))
            finding = judge(screen.pair(relation), style.text, replace(frame, lexicon=lexicon))[0]
        except GradloomError:
            continue
        if finding.kind not in ("equal", "equal given"):
            continue
        y = name_of_tensor(target, (R, C), style, screen)
        words = (
            f"This holds only where each {y} sums to 1 over the classes, as a one-hot target does, and that is not "
            "declared: declare the target so, or keep its sum."
        )
        reading = reader(frame.lexicon, style.text, screen.layers)
        for spot in names_in(part):
            if not any(entry.kind == "tensor" and entry.meaning != target for entry, _ in meant(spot.node, reading)):
                continue
            span = inside(style.text, spot.node.span)
            shown = written(style.text, spot.node)
            for new in (
                rf"\mathbf 1^\top {y} {style.elementwise} {shown}",
                rf"{y} \mathbf 1 {style.elementwise} {shown}",
                *(rf"{shown} \sum_{free} {y}_{where}" for free in "lm" for where in (f"{free}", f"{{i{free}}}")),
            ):
                yield Candidate("one-hot assumption", words, (Change(span.start, span.end, new),), 1)
