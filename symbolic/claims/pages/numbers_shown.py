"""A counterexample on a page: the values, both sides, and the entry that differs most."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np

from ...latex import LatexPrinter
from ...report.document import Block, Details, Formula, Line, Prose
from ...report.numbers import matrix, value
from ...report.writing import Writer
from ...tensors import Tensor, elements, tensor_of
from ...text import TextPrinter
from ..meaning.values import C, R
from ..verdict import Judged, Verdict
from .derived import writer_of

DIGITS = 4
MOST_ENTRIES = 24  # of one array


def numbers_shown(line: Judged, verdict: Verdict) -> list[Block]:
    """What the two sides are worth at one point."""
    example, meaning = line.counterexample, line.finding.meaning if line.finding else None
    assert example is not None
    write, steps = writer_of(line, verdict), verdict.derivation.steps
    tensors: dict[str, Tensor] = dict(verdict.derivation.network.tensors)
    read = set(example.values)
    if meaning is not None:
        tensors |= {tensor.name: tensor for tensor in meaning.question.needs}
        read = {tensor.name for tensor in meaning.question.reads}
    near, far = ({n: a for n, a in example.values.items() if (n in read) == wanted} for wanted in (True, False))
    sizes = ", ".join(f"{name} = {number}" for name, number in example.sizes.items())
    out: list[Block] = [Prose.plain(f"With {sizes}:" if sizes else "For instance:")]
    laid_out = meaning is None  # arrays of a function are as the function has them
    for name, array in near.items():
        out += _lines(write, tensors[name], array, laid_out)
    for name, array in example.adjoints.items():
        if meaning is not None and steps[name].equation.target not in _tensors(meaning.right.entry):
            continue  # the subject itself: it is what is correct
        out += _lines(write, steps[name].equation.target, array, laid_out)
    yours, correct = np.asarray(example.right), np.asarray(example.left)
    if yours.ndim <= 2 and yours.size <= MOST_ENTRIES:
        turned = meaning is not None and _is_turned(meaning)
        for name, side in (("yours", yours), ("correct", correct)):
            shown = _array(side.T if turned else side)
            out.append(Line(Formula(f"{name} = {shown.text}", rf"\text{{{name}}} = {shown.latex}")))
    if yours.ndim:
        out.append(
            _largest(_place(example.entry, meaning), _number(yours[example.entry]), _number(correct[example.entry]))
        )
    behind = [block for name, array in far.items() for block in _lines(write, tensors[name], array, laid_out)]
    if behind:
        out.append(Details(Prose.plain("The data and parameters behind these values:"), tuple(behind)))
    return out


def _tensors(entry: Any) -> set[Tensor]:
    return {tensor_of(element) for element in elements(entry)}


def _largest(where: str, yours: Formula, correct: Formula) -> Prose:
    return Prose(
        f"They differ most at {where}: yours {yours.text}, correct {correct.text}.",
        f"They differ most at {where}: yours ${yours.latex}$, correct ${correct.latex}$.",
    )


def _place(entry: tuple[int, ...], meaning: Any) -> str:
    """Where an entry stands; a function's arrays count from 0, as its code does."""
    if meaning is None:
        return f"[{', '.join(map(str, entry))}]"
    places = zip(meaning.question.indices, entry, strict=True)
    words = [f"{_word(index, size, meaning.question.batch)} {at + 1}" for (index, size), at in places]
    return f"{', '.join(words)} (counted from 1)"


def _is_turned(meaning: Any) -> bool:
    marks = [index for index, _ in meaning.question.indices]
    return C in marks and R in marks and marks.index(C) < marks.index(R)


def _word(index: Any, size: Any, batch: Any) -> str:
    if size == batch:
        return "example"
    if index == R:
        return "row"
    if index == C:
        return "column"
    return f"{index.name.removeprefix('each_')} ="


def _lines(write: Writer, tensor: Tensor, array: Any, laid_out: bool) -> list[Block]:
    """A tensor's values; unless they are laid out already, one example per column where the claim has them so."""
    text, latex = (kind(notation=write.notation).symbol(tensor) for kind in (TextPrinter, LatexPrinter))
    array = np.asarray(array)
    if array.size > MOST_ENTRIES:
        size = " × ".join(map(str, array.shape))
        return [Prose(f"{text}: {size} numbers", f"${latex}$: {size} numbers")]
    batch = None if laid_out else write.network.batch
    if array.ndim == 2 and batch is not None and tensor.shape[0] == batch and write.notation.layout == "columns":
        array = array.T
    if array.ndim <= 2:
        shown = _array(array)
        return [Line(Formula(f"{text} = {shown.text}", f"{latex} = {shown.latex}"))]
    out: list[Block] = []
    for place in _places(array.shape[:-2]):
        shown, at = _array(array[place]), ", ".join(map(str, place))
        out.append(Line(Formula(f"{text}[{at}] = {shown.text}", rf"{latex}_{{[{at}]}} = {shown.latex}")))
    return out


def _places(shape: Iterable[int]) -> Iterable[tuple[int, ...]]:
    return product(*map(range, shape))


def _array(array: Any) -> Formula:
    array = np.asarray(array, dtype=float)
    rounded = np.vectorize(lambda number: float(f"{number:.{DIGITS}g}") + 0.0, otypes=[float])(array)
    if array.ndim == 2:
        return matrix(rounded.tolist())
    return matrix(rounded.tolist()) if array.ndim else value(float(rounded))


def _number(number: Any) -> Formula:
    return value(float(f"{float(number):.{DIGITS}g}") + 0.0)
