"""The likely mistake in a line that is wrong: mutants of right lines, each made with one known mistake.

That a mistake was found is held against what was done to the line; that its correction is right, against the derived
gradient at a random point in floats, and against the verdict on the corrected text.
"""

import time
from functools import cache

import claims_mutants
import pytest

from gradloom.symbolic.claims.check import check
from gradloom.symbolic.claims.deciding.everything import everything
from gradloom.symbolic.claims.judge import Frame, judge
from gradloom.symbolic.claims.latex.reader import read_relation
from gradloom.symbolic.claims.meaning.function_names import own_functions
from gradloom.symbolic.claims.meaning.lexicon import lexicon_of
from gradloom.symbolic.claims.mistakes.search import likely_mistake

RIGHT = ("equal", "equal given")
LEAST = 0.9
CASES = [(make, right) for make, right, _ in claims_mutants.LINES]
MUTANTS = [
    (make, right.replace(old, new, 1), kind) for make, right, found in claims_mutants.LINES for kind, old, new in found
]


@cache
def frame(make):
    derivation = everything(make())
    known = own_functions(equation.body for equation in derivation.network.equations)
    return Frame(lexicon_of(derivation, claims_mutants.ALIASES.get(make), known))


def verdict(make, text):
    return judge(read_relation(text), text, frame(make))[0].kind


def mistake(make, text, **options):
    return likely_mistake(read_relation(text), 1, text, frame(make), **options)


@pytest.mark.parametrize(("make", "right"), CASES)
def test_the_lines_that_are_mutated_are_right(make, right):
    assert verdict(make, right) in RIGHT


@pytest.mark.parametrize(("make", "right"), CASES[:3])
def test_nothing_is_called_a_mistake_in_a_right_line(make, right):
    line = check(make(), right, aliases=claims_mutants.ALIASES.get(make)).lines[0]
    assert line.kind in RIGHT
    assert line.mistake is None


@cache
def diagnosed():
    return [(text, kind, verdict(make, text), mistake(make, text), make) for make, text, kind in MUTANTS]


@pytest.mark.slow
def test_no_mutant_is_right():
    assert [text for text, _, found, _, _ in diagnosed() if found in RIGHT] == []


@pytest.mark.slow
def test_nine_tenths_of_single_mistakes_are_named_rightly():
    named = [found is not None and found.kind == kind for _, kind, _, found, _ in diagnosed()]
    assert len(named) >= 100
    assert sum(named) >= LEAST * len(named)


@pytest.mark.slow
def test_every_correction_is_right():
    for text, _, _, found, make in diagnosed():
        if found is not None:
            assert found.correct != text
            assert verdict(make, found.correct) in RIGHT, (text, found)


@pytest.mark.parametrize(("make", "text", "kind"), MUTANTS[::12])
def test_some_mutants(make, text, kind):
    found = mistake(make, text)
    assert found is not None
    assert found.kind == kind
    assert verdict(make, found.correct) in RIGHT


def test_the_same_line_has_the_same_mistake():
    make, text, _ = MUTANTS[0]
    assert mistake(make, text) == mistake(make, text)


def test_a_line_with_no_small_mistake_has_none():
    assert mistake(claims_mutants.mlp, r"\delta^{(1)} = \sin(z^{(1)}) \odot \cos(z^{(1)})", seconds=2.0) is None


def test_the_search_ends_in_time():
    text = r"\delta^{(1)} = \sin(z^{(1)}) \odot \cos(z^{(1)}) + \exp(b^{(1)})"
    began = time.process_time()
    assert mistake(claims_mutants.mlp, text, seconds=0.3) is None
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("wrong", "correct"),
    [
        ("dW^{[l]} = dz^{[l]} a^{[l-1]}", r"dW^{[l]} = dz^{[l]} a^{[l-1]\top}"),
        (
            r"\delta^{(1)} = W^{(2)} \delta^{(2)} \odot \sigma'(z^{(1)})",
            r"\delta^{(1)} = (W^{(2)})^\top \delta^{(2)} \odot \sigma'(z^{(1)})",
        ),
    ],
)
def test_corrections_keep_the_notation(wrong, correct):
    found = mistake(claims_mutants.mlp, wrong)
    assert found is not None
    assert found.correct == correct


def test_a_target_that_is_not_declared_one_hot():
    net = claims_mutants.soft_targets
    found = mistake(net, r"\delta = \frac{1}{B} (p - y)")
    assert found is not None
    assert found.kind == "one-hot assumption"
    assert verdict(net, found.correct) in RIGHT


def test_check_names_the_mistake_in_the_verdict():
    line = check(claims_mutants.mlp(), r"\delta^{(2)} = (a^{(2)} - y) \odot \sigma'(z^{(2)})")
    assert line.kind == "batch 1"
    assert line.mistake.kind == "missing 1/B"
    assert check(claims_mutants.mlp(), line.mistake.correct).ok
