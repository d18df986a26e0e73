"""Whether two expressions over a network's tensors are equal, and what decided it.

In this order: by algebra (`canonical`), exactly in fractions, to many digits (`exact`). What algebra finds equal must
agree at a random point; what numbers find equal must have been seen on both sides of every condition, and with
something else than 0. "not equal" is never said of a difference that could be one of rounding.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from contextlib import suppress
from dataclasses import replace

from ...derivation import Derivation
from ...errors import GradloomError
from ...facts import Fact
from ...tensors import Adjoint
from .canonical import is_zero_by_algebra
from .cost import is_rational, operations, own_operations
from .draw import Style, number_of
from .exact import DIGITS, ENTRIES, Found, in_fractions, in_long_floats, to_many_digits, with_free_tensors
from .numbers import FRACTIONS, with_digits
from .question import BATCH_1, EQUAL, NOT_EQUAL, ROUNDED, UNDECIDED, Decision, Question
from .rounding import agreeing_digits
from .survey import APART, POINTS, Judge, Place, Survey

_JUDGES: OrderedDict[int, Judge] = OrderedDict()  # by the identity of the derivation, which the judge keeps alive
BUDGET = 3_000_000  # operations on many digits or on fractions: a few seconds
_WHOLE_ROWS = tuple(Style(whole_rows=True, spread=1 + number / 4) for number in range(8))


def judge_of(derivation: Derivation) -> Judge:
    """What is known of a derivation; kept for a few of them, as points cost more than questions."""
    key = id(derivation)
    if key not in _JUDGES:
        while len(_JUDGES) >= 4:
            _JUDGES.popitem(last=False)
        _JUDGES[key] = Judge(derivation)
    _JUDGES.move_to_end(key)
    return _JUDGES[key]


def decide(question: Question) -> Decision:
    """Decide whether the two sides of `question` are equal; the same question has the same answer.

    Returns
    -------
    A `Decision`; what cannot be evaluated is "undecided", with a note why.
    """
    judge = judge_of(question.derivation)
    try:
        rows = 1 if question.example else None
        decision = _decide(judge, question, rows)
        if decision.kind == NOT_EQUAL:
            decision = _less_than_equal(judge, question, rows, decision)
    except GradloomError as error:
        return Decision(UNDECIDED, "", note=str(error))
    if decision.kind in (EQUAL, BATCH_1):
        needed = _needed_facts(judge, question, 1 if decision.kind == BATCH_1 else rows)
        decision = replace(decision, facts=(*decision.facts, *needed))
    return decision


def _decide(judge: Judge, question: Question, rows: int | None) -> Decision:
    """Equal, not equal or undecided, with `rows` in the batch."""
    survey = judge.survey(question, rows)
    if not survey.places:
        if survey.undefined >= POINTS:
            note = "one side has no real value at any point, though the network has"
            return Decision(NOT_EQUAL, f"at {survey.undefined} random points", note=note)
        return Decision(UNDECIDED, "", note=survey.problem)
    proof = _by_algebra(judge, question) if survey.looks_equal else None
    if proof is not None:
        return proof
    found = _by_numbers(judge, question, survey)
    if found.equal and not survey.looks_equal:  # both sides are 0 but for rounding
        proof = _by_algebra(judge, question)
        if proof is not None:
            return proof
        if _is_sampled(judge, question, survey):
            note = "floats see a difference, but not all entries are compared to many digits: give smaller sizes"
            return Decision(UNDECIDED, found.method, note=note)
    if found.equal is None:
        return Decision(UNDECIDED, found.method, note=found.note)
    if not found.equal:
        if all(survey.kinked):
            note = "they differ, but only points at a kink were found, where a derivative is a convention"
            return Decision(UNDECIDED, found.method, note=note)
        return Decision(NOT_EQUAL, found.method)
    note = "" if found.free else _hidden(question, survey)
    return Decision(UNDECIDED if note else EQUAL, found.method, note=note)


def _is_sampled(judge: Judge, question: Question, survey: Survey) -> bool:
    """Whether there are more entries than are compared one by one."""
    return any(
        math.prod(number_of(size, judge.point(place).sizes) for _, size in question.indices) > ENTRIES
        for place in survey.places
    )


def _by_algebra(judge: Judge, question: Question) -> Decision | None:
    equal, facts = is_zero_by_algebra(question, judge.rewrite)
    if not equal:
        return None
    proved = tuple(fact for fact in facts if fact not in judge.derivation.network.facts)
    return Decision(EQUAL, "symbolically: the difference is 0 in canonical form", proved)


def _by_numbers(judge: Judge, question: Question, survey: Survey) -> Found:
    """At the points where no side is at a kink; those that are may not differ either, for the two to be equal."""
    # A point that differs comes first: one is enough.
    order = sorted(range(len(survey.places)), key=lambda at: survey.apart[at] <= APART)
    clean = [survey.places[at] for at in order if not survey.kinked[at]]
    found = _at_places(judge, question, survey, clean or survey.places)
    if found.equal and not found.free and 0 < len(clean) < len(order):
        kinked = [survey.places[at] for at in order if survey.kinked[at]]
        if not _at_places(judge, question, survey, kinked).equal:
            return Found(None, found.method, note="they differ at a kink alone, where a derivative is a convention")
    return found


def _at_places(judge: Judge, question: Question, survey: Survey, places: list[Place]) -> Found:
    takes = operations(question, judge.point(places[0])) * (len(places) if survey.looks_equal else 1)
    found = None
    if is_rational(question) and takes < BUDGET:
        found = in_fractions(judge, question, places)
        if found is not None and found.equal is False:
            return found
    if survey.looks_equal:
        few = places[:POINTS]
        for numbers in (FRACTIONS, with_digits(DIGITS)):
            if numbers is not FRACTIONS and takes < BUDGET:
                continue
            if own_operations(question, judge.point(places[0]), ENTRIES) * len(few) < BUDGET:
                free = with_free_tensors(judge, question, few, numbers)
                if free is not None:
                    return free
    if found is not None:
        return found
    if takes > BUDGET:
        return in_long_floats(judge, question, places)
    return to_many_digits(judge, question, places)


def _hidden(question: Question, survey: Survey) -> str:
    """Why an equality of numbers may hide a difference; "" if it does not."""
    if survey.undefined:
        return f"they agree where both have a value, but at {survey.undefined} points only one of them has"
    if len(survey.places) < POINTS:
        return f"only {len(survey.places)} random points were found at which no error could hide"
    if survey.zero and (survey.dead or survey.uncovered or not question.reads):
        return "both sides are 0 at every point that was tried, so that numbers say nothing"
    if survey.dead:
        names = ", ".join(tensor.name for tensor in survey.dead)
        return f"{names}: all 0, or all alike, at every point that was tried, so that an error could hide"
    if survey.uncovered:
        where = ", ".join(dict.fromkeys(str(key[0]) or "the claim" for key in survey.uncovered))
        return f"at all points a condition in {where} came out the same, so that one of its branches was never taken"
    return ""


def _less_than_equal(judge: Judge, question: Question, rows: int | None, decision: Decision) -> Decision:
    """Whether two sides that are not equal are so up to rounding, for one row, or for targets of 0 and 1."""
    if question.rounded:
        digits = agreeing_digits(judge, question, rows)
        if digits is not None:
            return Decision(ROUNDED, decision.method, digits=digits)
    if rows is None and question.batch is not None:
        alone = decision
        with suppress(GradloomError):
            if not judge.survey(question, 1).is_apart:
                alone = _decide(judge, question, 1)
        if alone.kind == EQUAL:
            return replace(alone, kind=BATCH_1)
        if alone.kind == UNDECIDED:
            decision = replace(decision, note=f"for one row in the batch it is not decided: {alone.note}")
    hot = tuple(fact for fact in judge.derivation.network.facts if fact.source == "declared: one-hot")
    if hot and not {fact.tensor for fact in hot}.isdisjoint(question.needs):
        survey = judge.survey(question, rows, _WHOLE_ROWS, len(_WHOLE_ROWS))
        if len(survey.places) >= POINTS and survey.looks_equal and not any(survey.kinked):
            found = to_many_digits(judge, question, survey.places)
            if found.equal and not _hidden(question, survey):
                return Decision(EQUAL, found.method, hot, note="equal where every row of it is 0 but for one 1")
    return decision


def _needed_facts(judge: Judge, question: Question, rows: int | None) -> tuple[Fact, ...]:
    """The declared facts without which the two sides are not equal."""
    network = judge.derivation.network
    # A fact may have taken a tensor out of a gradient altogether.
    derived = any(isinstance(tensor, Adjoint) for tensor in question.needs)
    declared = [fact for fact in network.facts if derived or fact.tensor in question.needs]
    if not declared or _holds_without(judge, question, rows, declared):
        return ()
    needed = tuple(fact for fact in declared if not _holds_without(judge, question, rows, [fact]))
    return needed or tuple(declared)


def _holds_without(judge: Judge, question: Question, rows: int | None, facts: list[Fact]) -> bool:
    other = judge.without(facts)
    asked = question.of(other.derivation)
    survey = other.survey(asked, rows)
    if not survey.places:
        return False
    if operations(asked, other.point(survey.places[0])) * POINTS > BUDGET:
        return survey.looks_equal
    return to_many_digits(other, asked, survey.places[:POINTS]).equal is True
