"""A quick look at many changed formulas: each read again, and compared at one random point in floats."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from ...errors import GradloomError
from ...tensors import is_element
from ..deciding.decide import judge_of
from ..deciding.draw import Style as Drawing
from ..deciding.point import Point
from ..deciding.survey import Place
from ..judge import Finding, Frame, Meaning, judge, meanings_of
from ..latex.reader import read_relation
from ..latex.syntax import Relation
from ..meaning.layers import layer_letters, layer_values
from ..meaning.reading import Manner
from ..meaning.values import MismatchError

CLOSE = 1e-7
MOST = 120_000  # characters read in one search: a few seconds
MANY = 8  # readings of one text


@dataclass(frozen=True)
class Seen:
    """Both sides of a formula in one reading, as arrays at a point."""

    meaning: Meaning
    left: Any
    right: Any

    @property
    def alike(self) -> bool:
        scale = max(float(np.max(np.abs(self.left))), float(np.max(np.abs(self.right))))
        return bool(np.max(np.abs(self.left - self.right)) <= CLOSE * scale)

    @property
    def trivial(self) -> bool:
        """Whether both sides are the same element: dA = dA says nothing."""
        left = self.meaning.left.entry
        return is_element(left) and bool(left == self.meaning.right.entry)


class Screen:
    """The claim that is wrong, and what changed texts of it come to.

    Attributes
    ----------
    layers : the numbers of layers for which formulas are looked at
    manners : of reading, those first that are looked at first; `fitting` in which the claim itself fits together
    """

    def __init__(self, relation: Relation, part: int, text: str, frame: Frame, seconds: float) -> None:
        self.part, self.text, self.frame = part, text, frame
        self.judge = judge_of(frame.lexicon.derivation)
        self.until = time.process_time() + seconds
        self.manners = [manner for manner in frame.manners() if frame.single or not manner.single]
        self.layers: dict[str, int] = {}
        self.options: list[dict[str, int]] = [{}]
        self._made: dict[tuple[str, Manner, bool], list[Meaning]] = {}
        self.quick = False
        self.work = 0  # characters read, each as often as it is
        self.ways = 1  # in which the claim is read, about
        self._relations: dict[str, Relation | None] = {}
        self._judged: dict[str, bool] = {}
        pair = self.pair(relation)
        self._relations[text] = pair
        self.relation = pair
        letters = layer_letters(pair, frame.lexicon)
        if letters:
            wrong = []
            for layers in layer_values(letters, frame.lexicon):
                self._made.clear()
                self.options = [layers]
                try:
                    seen = [seen for manner in self.manners for seen in self.look(text, manner, unknown=True)]
                except GradloomError:
                    continue
                if not any(one.alike for one in seen):
                    wrong.append(layers)
            self._made.clear()
            self.options = wrong[::-1] or [{}]
            self.layers = self.options[0]
        self.fitting = [manner for manner in self.manners if self.meanings(text, manner)]
        # A text of many readings is read first as the claim fits together, and in all ways only if nothing is found.
        self.choices = {
            manner: [[chosen for chosen, _ in meaning.taken] for meaning in self.meanings(text, manner)]
            for manner in self.fitting
        }
        ways = [math.prod(n for _, n in one.taken) for manner in self.fitting for one in self.meanings(text, manner)]
        self.ways = max(ways, default=1)
        self.quick = False

    def pair(self, relation: Relation) -> Relation:
        """The subject and the part that is wrong, alone."""
        return Relation((relation.parts[0], relation.parts[self.part]), relation.signs[:1])

    @property
    def has_tanh(self) -> bool:
        return any(equation.body.has(sympy.tanh) for equation in self.frame.lexicon.derivation.network.equations)

    @property
    def over(self) -> bool:
        return self.work > MOST or time.process_time() > self.until

    def point(self, number: int, single: bool) -> Point:
        return self.judge.point(Place(number, Drawing(), 1 if single else None))

    def relation_of(self, text: str) -> Relation | None:
        if text not in self._relations:
            try:
                self._relations[text] = self.pair(read_relation(text))
            except (GradloomError, IndexError):
                self._relations[text] = None
        return self._relations[text]

    def meanings(self, text: str, manner: Manner, unknown: bool = False) -> list[Meaning]:
        """What a text means in one manner; nothing if it does not fit together.

        Raises
        ------
        UnknownNameError
            If a name is not known, and `unknown` is given.
        """
        only = self.choices.get(manner, [[]]) if self.quick else None
        key = text, manner, self.quick
        if key not in self._made:
            found: list[Meaning] = []
            relation = self.relation_of(text)
            if relation is not None:
                self.work += len(text) * (self.ways if only is None else len(only))
                left, right = relation.parts
                for layers in self.options:
                    try:
                        found = meanings_of(left, right, relation.signs[0], text, manner, layers, self.frame, only=only)
                    except MismatchError:
                        pass
                    except GradloomError:  # no such layer: another may do
                        if unknown:
                            raise
                        continue
                    break
            self._made[key] = [meaning for meaning in found if not meaning.turned]
        return self._made[key]

    def look(self, text: str, manner: Manner, number: int = 0, unknown: bool = False) -> list[Seen]:
        """Both sides at the point `number`, for each meaning that has a value there."""
        found = []
        for meaning in self.meanings(text, manner, unknown):
            question = meaning.question
            try:
                point = judge_of(question.derivation).point(Place(number, Drawing(), 1 if question.example else None))
                sides = [point.array(side, question.indices) for side in (question.left, question.right)]
            except (GradloomError, ArithmeticError):
                continue
            if all(np.all(np.isfinite(side)) for side in sides):
                found.append(Seen(meaning, *(np.asarray(side, dtype=float) for side in sides)))
        return found

    def is_right(self, text: str) -> bool:
        """Whether a text is right by the full decision."""
        if text not in self._judged:
            relation = self.relation_of(text)
            kind = ""
            if relation is not None:
                try:
                    findings: list[Finding] = judge(relation, text, self.frame)
                    kind = findings[0].kind
                except GradloomError:
                    kind = ""
            self._judged[text] = kind in ("equal", "equal given")
        return self._judged[text]
