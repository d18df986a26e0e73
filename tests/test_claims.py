"""Claims about gradients as people print them, right and wrong, each with its source: see `claims`."""

from __future__ import annotations

import pytest
from claims.case import Case
from claims.networks import NETWORKS
from claims.suite import CASES

import gradloom as gl
from gradloom.symbolic.claims.check import check

RIGHT = ("equal", "equal given", "rounded")


def marked(cases):
    """The cases as parameters; one that waits for something has to fail until it is there."""
    for case in cases:
        marks = [pytest.mark.xfail(strict=True, reason=case.waits)] if case.waits else []
        marks += [pytest.mark.slow] if case.slow else []
        yield pytest.param(case, id=case.id, marks=marks)


def kind_of(case: Case):
    """The kind of the verdict, or the class of the error."""
    try:
        return check(NETWORKS[case.network](), case.text, explain=False, **case.options).kind
    except gl.GradloomError as error:
        return type(error)


@pytest.mark.parametrize("case", list(marked(CASES)))
def test_kind(case):
    assert kind_of(case) == case.expect


def test_the_suite_is_one():
    assert len({case.id for case in CASES}) == len(CASES)
    assert all(case.source for case in CASES)
    assert all(case.expect not in RIGHT for case in CASES if case.mistake)


@pytest.mark.slow
def test_mistakes():
    """Of the claims with one mistake, nine tenths are told which it is, and few are told another."""
    cases = [case for case in CASES if case.mistake and not case.waits]
    found = {case.id: mistake_of(case) for case in cases}
    missed = {case.id: found[case.id] for case in cases if found[case.id] not in case.mistake}
    assert len(missed) <= len(cases) / 10, missed


def mistake_of(case: Case):
    mistake = check(NETWORKS[case.network](), case.text, **case.options).mistake
    return None if mistake is None else mistake.kind
