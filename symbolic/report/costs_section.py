"""Costs as blocks of a document, and as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sympy import Add, Expr, Integer, Mul, Pow

from ..costs import Cost, Costs, Part
from ..indices import Dim
from ..latex import LatexPrinter, latex, tensor_latex
from ..notation import PLAIN, Notation
from ..printer import Printer
from ..tensors import Tensor
from ..text import TextPrinter, text
from . import as_text
from .document import Block, Details, Document, Prose, Table

_PARTS: tuple[tuple[str, Part], ...] = (("Forward", "forward"), ("Backward", "backward"), ("Both", "total"))
_SAID = (
    "A multiply-add is 2 operations, a sum of n terms n additions; a named function is 1 operation of its own kind. "
    "A value is computed once for all indices that it does not depend on. Where a bracket of positions is surely 0, "
    "nothing is computed."
)


def section(costs: Costs, sizes: Mapping[Any, int] | None, notation: Notation) -> list[Block]:
    """The blocks of `Costs.section`."""
    blocks: list[Block] = [Prose.plain(_SAID), *_totals(costs)]
    if sizes is not None:
        blocks.append(_numbers(costs.at(sizes), sizes))
    return [*blocks, Details(Prose.plain("The costs of each equation"), tuple(_tables(costs, notation)))]


def costs_text(costs: Costs) -> str:
    """The costs as plain text: totals and tables."""
    document = Document("Costs")
    document.add(f"Costs of {costs.network.name}", _totals(costs))
    for table in _tables(costs, PLAIN):
        document.add(table.caption.text if table.caption else "", [replace(table, caption=None)])
    return as_text.text(document)


def _totals(costs: Costs) -> list[Prose]:
    moved = "Each equation reads its operands once and writes its result once, at "
    stored = [_amount(amount) for amount in (costs.stored_numbers, costs.stored_bytes)]
    return [
        _join(moved, _amount(costs.itemsize), " bytes per number."),
        *(_total(title, costs, part) for title, part in _PARTS),
        _join("Stored between the passes: ", stored[0], " numbers, ", stored[1], " bytes."),
    ]


def _tables(costs: Costs, notation: Notation) -> list[Table]:
    tables = [_equations("Forward", costs.forward, notation), _equations("Backward", costs.backward, notation)]
    return [table for table in (*tables, _stored(costs, notation)) if table.rows]


def _symbol(tensor: Tensor, notation: Notation) -> Prose:
    return Prose(TextPrinter(notation=notation).symbol(tensor), f"${tensor_latex(tensor, notation)}$")


def _amount(amount: Expr) -> Prose:
    """An amount in words of both media: a number with its thousands apart, or a formula."""
    if isinstance(amount, Integer):
        return Prose.plain(f"{int(amount):,}")
    return Prose(_written(amount, TextPrinter()), f"${_written(amount, LatexPrinter())}$")


def _written(amount: Expr, printer: Printer) -> str:
    """A polynomial as people write one: the highest powers first, brackets last."""
    if isinstance(amount, Add):
        out = ""
        for term in sorted(amount.args, key=lambda term: (-_degree(term), text(term))):
            negative = term.as_coeff_Mul()[0].is_negative
            written = _written(-term if negative else term, printer)
            out += (" - " if negative else " + ") + written if out else ("-" if negative else "") + written
        return out
    coefficient, rest = amount.as_coeff_Mul()
    if not (isinstance(rest, Mul | Add) and isinstance(coefficient, Integer) and coefficient > 0):
        return printer.write(amount)
    factors = sorted(Mul.make_args(rest), key=lambda part: (isinstance(part, Add), isinstance(part, Pow), text(part)))
    # Plain brackets, not \left and \right: a line may break between them.
    parts = [f"({_written(f, printer)})" if isinstance(f, Add) else printer.write(f) for f in factors]
    return printer.product.join([*([str(coefficient)] if coefficient != 1 else []), *parts])


def _degree(amount: Expr) -> int:
    """How fast an amount grows with all sizes."""
    if isinstance(amount, Add):
        return max(map(_degree, amount.args))
    if isinstance(amount, Mul):
        return sum(map(_degree, amount.args))
    if isinstance(amount, Pow) and amount.exp.is_Integer:
        return _degree(amount.base) * int(amount.exp)
    return 0 if amount.is_number else 1


def _join(*parts: str | Prose) -> Prose:
    proses = [Prose.plain(part) if isinstance(part, str) else part for part in parts]
    return Prose("".join(part.text for part in proses), "".join(part.latex for part in proses))


def _functions(functions: Mapping[str, Expr]) -> Prose:
    """``B m exp, B log``."""
    parts: list[str | Prose] = []
    for function, times in functions.items():
        written = _amount(times)
        if isinstance(times, Add):
            written = Prose(f"({written.text})", written.latex)
        parts += [", " if parts else "", written, f" {function}"]
    return _join(*parts)


def _total(title: str, costs: Costs, part: Part) -> Prose:
    """What a pass takes, in a sentence: its formulas are long, and a sentence breaks where a table cannot."""
    total, leading = costs.total(part), costs.leading(part)
    shown: list[str | Prose] = [f"{title}: ", _amount(total.flops), " operations"]
    if leading != total.flops and leading.free_symbols:
        shown += [" (leading: ", _amount(leading), ")"]
    shown += ["; functions: ", _functions(total.functions)] if total.functions else ["; no functions"]
    return _join(*shown, "; ", _amount(total.bytes), " bytes moved.")


def _numbers(costs: Costs, sizes: Mapping[Any, int]) -> Table:
    rows = []
    for title, part in _PARTS:
        total = costs.total(part)
        functions = sum(total.functions.values(), Integer(0))
        rows.append((Prose.plain(title), *map(_amount, (total.flops, functions, total.bytes))))
    stored = Prose.plain("Stored between the passes"), Prose.plain(""), Prose.plain(""), _amount(costs.stored_bytes)
    given = [(str(size), int(number)) for size, number in sizes.items()]
    caption = Prose(
        "With " + ", ".join(f"{size} = {number}" for size, number in given),
        "With " + ", ".join(f"${latex(Dim(size))} = {number}$" for size, number in given),
    )
    head = tuple(map(Prose.plain, ("", "Operations", "Functions", "Bytes")))
    return Table(head, (*rows, stored), frozenset({1, 2, 3}), caption if given else None)


def _equations(title: str, rows: Iterable[Cost], notation: Notation) -> Table:
    made = []
    for row in rows:
        assert row.target is not None
        amounts = _amount(row.flops), _functions(row.functions), _amount(row.bytes)
        made.append((_symbol(row.target, notation), *amounts))
    return _table(title, ("Equation", "Operations", "Functions", "Bytes"), made)


def _stored(costs: Costs, notation: Notation) -> Table:
    made = [
        (_symbol(tensor, notation), _amount(numbers), _amount(costs.itemsize * numbers))
        for tensor, numbers in costs.stored.items()
    ]
    return _table("Stored", ("Tensor", "Numbers", "Bytes"), made)


def _table(title: str, head: Iterable[str], rows: Sequence[tuple[Prose, ...]]) -> Table:
    return Table(tuple(map(Prose.plain, head)), tuple(rows), _flush(rows), Prose.plain(title))


def _flush(rows: Sequence[tuple[Prose, ...]]) -> frozenset[int]:
    """The columns that hold plain numbers alone."""
    columns = list(zip(*rows, strict=True))
    plain = [all(cell.text.replace(",", "").isdigit() for cell in column) for column in columns]
    return frozenset(place for place, is_plain in enumerate(plain) if is_plain)
