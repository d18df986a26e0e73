"""Costs as blocks of a document, and as plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sympy import Add, Expr, Integer, Mul, Pow

from ..costs import Cost, Costs, Part
from ..indices import Dim
from ..latex import LatexPrinter, latex, tensor_latex
from ..printer import Printer
from ..tensors import Tensor
from ..text import TextPrinter, text
from .document import Block, Details, Formula, Prose, Table

Name = Callable[[Tensor], Formula]
_PARTS: tuple[tuple[str, Part], ...] = (("Forward", "forward"), ("Backward", "backward"), ("Both", "total"))
_SAID = (
    "A multiply-add is 2 operations, a sum of n terms n additions; a named function is 1 operation of its own kind. "
    "A value is computed once for all indices that it does not depend on. Where a bracket of positions is surely 0, "
    "nothing is computed."
)


def section(costs: Costs, sizes: Mapping[Any, int] | None, name: Name | None) -> list[Block]:
    """The blocks of `Costs.section`."""
    name = name or _name
    size = _amount(costs.itemsize)
    moved = "Each equation reads its operands once and writes its result once, at"
    blocks: list[Block] = [
        Prose.plain(_SAID),
        Prose(f"{moved} {size.text} bytes per number.", f"{moved} {size.latex} bytes per number."),
    ]
    blocks += [block for title, part in _PARTS for block in _total(title, costs, part)]
    stored = [_amount(amount) for amount in (costs.stored_numbers, costs.stored_bytes)]
    blocks.append(_join("Stored between the passes: ", stored[0], " numbers, ", stored[1], " bytes."))
    if sizes is not None:
        blocks.append(_numbers(costs.at(sizes), sizes))
    tables: list[Block] = [
        _equations(title, rows, name)
        for title, rows in (("Forward", costs.forward), ("Backward", costs.backward))
        if rows
    ]
    if costs.stored:
        tables.append(_stored(costs, name))
    return [*blocks, Details(Prose.plain("The costs of each equation"), tuple(tables))]


def costs_text(costs: Costs) -> str:
    """The costs as plain text: totals and tables."""
    out = [f"Costs of {costs.network.name}"]
    blocks = section(costs, None, None)
    for block in (*blocks[1:-1], *(blocks[-1].blocks if isinstance(blocks[-1], Details) else ())):
        if isinstance(block, Prose):
            out.append(block.text)
        elif isinstance(block, Table):
            out += ["", *_text_table(block)]
    return "\n".join(out)


def _name(tensor: Tensor) -> Formula:
    return Formula(TextPrinter().symbol(tensor), tensor_latex(tensor))


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
    parts = [printer.brackets(_written(f, printer)) if isinstance(f, Add) else printer.write(f) for f in factors]
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


def _total(title: str, costs: Costs, part: Part) -> list[Prose]:
    """What a pass takes, in sentences: its formulas are long, and sentences break where a table cannot."""
    total, leading = costs.total(part), costs.leading(part)
    shown: list[str | Prose] = [f"{title}: ", _amount(total.flops), " operations"]
    if leading != total.flops and leading.free_symbols:
        shown += [" (leading: ", _amount(leading), ")"]
    shown += [
        f"; {'' if total.functions else 'no '}functions",
        ": " if total.functions else "",
        _functions(total.functions),
    ]
    return [_join(*shown, "; ", _amount(total.bytes), " bytes moved.")]


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


def _equations(title: str, rows: Iterable[Cost], name: Name) -> Table:
    made = []
    for row in rows:
        assert row.target is not None
        written = name(row.target)
        symbol = Prose(written.text, f"${written.latex}$")
        made.append((symbol, _amount(row.flops), _functions(row.functions), _amount(row.bytes)))
    head = tuple(map(Prose.plain, (title, "Operations", "Functions", "Bytes")))
    return Table(head, tuple(made), _flush(made))


def _stored(costs: Costs, name: Name) -> Table:
    made = []
    for tensor, numbers in costs.stored.items():
        written = name(tensor)
        symbol = Prose(written.text, f"${written.latex}$")
        made.append((symbol, _amount(numbers), _amount(costs.itemsize * numbers)))
    return Table(tuple(map(Prose.plain, ("Stored", "Numbers", "Bytes"))), tuple(made), _flush(made))


def _flush(rows: Sequence[tuple[Prose, ...]]) -> frozenset[int]:
    """The columns that hold plain numbers alone."""
    return frozenset(
        column for column in range(1, len(rows[0])) if all(row[column].text.replace(",", "").isdigit() for row in rows)
    )


def _text_table(table: Table) -> list[str]:
    rows = [[cell.text for cell in row] for row in (table.head, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if column in table.numeric else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]
