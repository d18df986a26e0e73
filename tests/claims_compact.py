"""Parts of a formula in a compact form, one line, for tables of expected readings.

Names stand as they are, ``.bold`` a font, ``~hat`` an accent; scripts follow in their order; a product is its factors
in «», with the signs between them; the rest is kind(…).
"""

from __future__ import annotations

from typing import Any

from gradloom.symbolic.claims.latex import syntax as parts


def compact(part: Any) -> str:
    """`part` in one line."""
    if part is None:
        return ""
    return str(globals()["_" + type(part).__name__.lower()](part))


def _scripted(base: str, part: Any) -> str:
    return base + "".join(map(compact, part.scripts))


def _script(part: parts.Script) -> str:
    if part.kind == "prime":
        return "'" * part.primes
    inside = ",".join(map(compact, part.content))
    return ("_" if part.kind == "sub" else "^") + "{" + inside + "}"


def _number(part: parts.Number) -> str:
    return _scripted(part.text, part)


def _name(part: parts.Name) -> str:
    font = "." + part.font if part.font else ""
    return _scripted(part.base + font + "".join("~" + accent for accent in part.accents), part)


def _text(part: parts.Text) -> str:
    return f'"{part.text}"'


def _group(part: parts.Group) -> str:
    closing = dict(zip("([{|‖⟨⌊⌈", ")]}|‖⟩⌋⌉", strict=True)).get(part.opening, ">")
    return _scripted((part.opening or "<") + ", ".join(map(compact, part.content)) + closing, part)


def _fraction(part: parts.Fraction) -> str:
    return f"{'slash' if part.slash else 'frac'}({compact(part.top)}; {compact(part.bottom)})"


def _root(part: parts.Root) -> str:
    return f"root({compact(part.of)}{'; ' + compact(part.degree) if part.degree else ''})"


def _bigoperator(part: parts.BigOperator) -> str:
    above = "^" + compact(part.above) if part.above else ""
    return f"{part.operator}[{', '.join(map(compact, part.below))}{above}]({compact(part.body)})"


def _sum(part: parts.Sum) -> str:
    return "sum(" + " ".join(("+" if sign > 0 else "-") + compact(term) for sign, term in part.terms) + ")"


def _product(part: parts.Product) -> str:
    signs = ["", *(f" {operator} " if operator else " " for operator in part.operators)]
    return "«" + "".join(sign + compact(factor) for sign, factor in zip(signs, part.factors, strict=True)) + "»"


def _cases(part: parts.Cases) -> str:
    return "cases(" + "; ".join(f"{compact(value)} if {compact(when)}" for value, when in part.rows) + ")"


def _relation(part: parts.Relation) -> str:
    signs = ["", *(f" {sign} " for sign in part.signs)]
    said = "".join(sign + compact(one) for sign, one in zip(signs, part.parts, strict=True))
    return said + "".join(" # " + compact(remark) for remark in part.remarks)
