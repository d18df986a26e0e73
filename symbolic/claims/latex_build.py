"""The parts of a formula, made as the grammar's rules are recognized: one method for each rule of ``latex.lark``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NoReturn

from ..errors import ClaimSyntaxError
from .latex_tokens import Token
from .syntax import (
    BigOperator,
    Cases,
    Fraction,
    Group,
    Name,
    Node,
    Number,
    Product,
    Relation,
    Root,
    Script,
    Span,
    Sum,
    Text,
)


@dataclass(slots=True)
class _Signed:
    """A term with a sign before it, until its sum is made."""

    sign: int
    start: int
    node: Node


def _between(first: Any, last: Any) -> Span:
    return Span(first.span.start, last.span.end)


class Builder:
    """Makes parts of the text that `begin` was given last."""

    def __init__(self, text: str) -> None:
        self.text = text

    def refuse(self, what: str, position: int) -> NoReturn:
        raise ClaimSyntaxError(what, self.text, position)

    # Relations and lists.

    def relation(self, children: list[Any]) -> Relation:
        signs = tuple(token.value.value for token in children[1::2])
        return Relation(tuple(children[::2]), signs, span=_between(children[0], children[-1]))

    def continued(self, children: list[Any]) -> Relation:
        signs = tuple(token.value.value for token in children[::2])
        start = children[0].value.start
        return Relation((None, *children[1::2]), signs, span=Span(start, children[-1].span.end))

    def comparison(self, children: list[Any]) -> Node | Relation:
        return children[0] if len(children) == 1 else self.relation(children)

    def items(self, children: list[Any]) -> tuple[Node | Relation, ...]:
        return tuple(children)

    # Sums.

    def sign(self, children: list[Any]) -> _Signed:
        token = children[0].value
        node = self.term(children[1])
        if token.value == "-":
            self.closed(node, "a minus sign", token.start)
        return _Signed(1 if token.value == "+" else -1, token.start, node)

    def term(self, node: Any) -> Node:
        """A term that stands for itself: with its signs, a sum of one term."""
        if isinstance(node, _Signed):
            return Sum(((node.sign, node.node),), span=Span(node.start, node.node.span.end))
        return node  # type: ignore[no-any-return]

    def signed(self, children: list[Any]) -> Any:
        return children[0]

    def sum(self, children: list[Any]) -> Node:
        if len(children) == 1:
            return self.term(children[0])
        first = children[0]
        start = first.start if isinstance(first, _Signed) else first.span.start
        terms = [(first.sign, first.node) if isinstance(first, _Signed) else (1, first)]
        for token, child in zip(children[1::2], children[2::2], strict=True):
            node = self.term(child)
            if token.value.value == "-":
                self.closed(node, "a minus sign", token.value.start)
            terms.append((1 if token.value.value == "+" else -1, node))
        return Sum(tuple(terms), span=Span(start, terms[-1][1].span.end))

    def closed(self, node: Any, beside: str, position: int, *, product: bool = False) -> Any:
        """Refuse a sum in TeX's braces, which print nothing, beside what would bind closer than its plus."""
        if self.text.startswith("{", node.span.start):
            inner = node
            while isinstance(inner, Product) and not product:
                inner = inner.factors[-1]
            if isinstance(inner, (Sum, BigOperator)) or (product and isinstance(inner, Product)):
                self.refuse(
                    f"braces print nothing, so {beside} reaches only a part of what stands in them; "
                    "write brackets, ( ) or \\left( \\right)",
                    position,
                )
        return node

    # Products. A chain is a list [factors, operators]; so is a run of factors side by side.

    def run(self, children: list[Any]) -> list[list[Any]]:
        return [[self.term(children[0])], []]

    def append(self, children: list[Any]) -> list[list[Any]]:
        run, factor = children
        if len(run[0]) == 1:
            self.closed(run[0][0], "a factor beside them", run[0][0].span.start)
        run[0].append(self.closed(factor, "a factor beside them", factor.span.start))
        run[1].append("")
        return run  # type: ignore[no-any-return]

    def slash(self, children: list[Any]) -> list[list[Any]]:
        run, token, below = children
        top, bottom = self.made(run), self.term(below)
        self.closed(top, "the slash", top.span.start)
        self.closed(bottom, "the slash", bottom.span.start, product=True)
        return [[Fraction(top, bottom, slash=True, span=_between(top, bottom))], []]

    def chain(self, children: list[Any]) -> list[list[Any]]:
        return children[0]  # type: ignore[no-any-return]

    def link(self, children: list[Any]) -> list[list[Any]]:
        chain, token, run = children
        for node in (chain[0][-1], run[0][0]):
            self.closed(node, "a product sign", node.span.start)
        chain[0].extend(run[0])
        chain[1].append(token.value.value)
        chain[1].extend(run[1])
        return chain  # type: ignore[no-any-return]

    def made(self, chain: list[list[Any]]) -> Node:
        factors, operators = chain
        if len(factors) == 1:
            return factors[0]  # type: ignore[no-any-return]
        return Product(tuple(factors), tuple(operators), span=_between(factors[0], factors[-1]))

    def product(self, children: list[Any]) -> Node:
        return self.made(children[0])

    def lone(self, children: list[Any]) -> Node:
        return children[0]  # type: ignore[no-any-return]

    def beside(self, children: list[Any]) -> Node:
        chain, big = children
        self.closed(chain[0][-1], "a factor beside them", chain[0][-1].span.start)
        return self.made([[*chain[0], big], [*chain[1], ""]])

    def joined(self, children: list[Any]) -> Node:
        chain, token, late = children
        self.closed(chain[0][-1], "a product sign", chain[0][-1].span.start)
        return self.made([[*chain[0], self.term(late)], [*chain[1], token.value.value]])

    def over(self, children: list[Any]) -> Node:
        return self.made(self.slash(children))

    def joined_over(self, children: list[Any]) -> Node:
        chain, token, run, stroke, late = children
        return self.made(self.link([chain, token, self.slash([run, stroke, late])]))

    def late(self, children: list[Any]) -> Any:
        return children[0]

    def operand(self, children: list[Any]) -> Any:
        return children[0]

    def big(self, children: list[Any]) -> BigOperator:
        token = children[0].value
        body = self.term(children[-1])
        self.closed(body, token.value, token.start)
        below: tuple[Any, ...] = ()
        above: Any = None
        for script in children[1:-1]:
            if script.kind == "sub" and not below:
                below = script.content
            elif script.kind == "sup" and above is None and len(script.content) == 1:
                above = script.content[0]
            else:
                self.refuse(f"found a second script, or primes, at {token.value}", script.span.start)
        if isinstance(above, Relation):
            self.refuse(f"found a relation above {token.value}; expected its last index", above.span.start)
        return BigOperator(token.value, below, above, body, span=Span(token.start, body.span.end))

    # Factors.

    def factor(self, children: list[Any]) -> Node:
        atom, scripts = children[0], tuple(children[1:])
        if not scripts:
            return atom  # type: ignore[no-any-return]
        span = _between(atom, scripts[-1])
        braces = self.text.startswith("{", atom.span.start)
        if isinstance(atom, (Name, Number)) and not atom.scripts:
            return replace(atom, scripts=scripts, span=span)
        if isinstance(atom, Group) and not atom.scripts:
            return replace(atom, scripts=scripts, span=span)
        if braces:
            glued = isinstance(atom, Product) and all(
                isinstance(one, (Name, Number)) and (place == 0 or one.span.start == atom.factors[place - 1].span.end)
                for place, one in enumerate(atom.factors)
            )
            if not glued:
                self.closed(atom, "the script", scripts[0].span.start, product=True)
            if isinstance(atom, Fraction) and atom.slash:
                self.refuse("braces print nothing, so the script reaches only a part; write brackets", atom.span.start)
        return Group("", (atom,), scripts, span=span)

    def group(self, children: list[Any]) -> Group:
        opening, items, closing = children
        return Group(opening.value.value, items, span=Span(opening.value.start, closing.value.end))

    def braces(self, children: list[Any]) -> Node:
        opening, node, closing = children
        return replace(node, span=Span(opening.value.start, closing.value.end))  # type: ignore[no-any-return]

    def name(self, children: list[Any]) -> Name:
        token: Token = children[0].value
        return Name(token.value, font=token.font, span=Span(token.start, token.end))

    def number(self, children: list[Any]) -> Number:
        token = children[0].value
        return Number(token.value.replace("{,}", ""), span=Span(token.start, token.end))

    def words(self, children: list[Any]) -> Text:
        token = children[0].value
        return Text(token.value, span=Span(token.start, token.end))

    def fraction(self, children: list[Any]) -> Fraction:
        token, top, bottom = children
        return Fraction(top, bottom, span=Span(token.value.start, bottom.span.end))

    def root(self, children: list[Any]) -> Root:
        return Root(children[1], span=Span(children[0].value.start, children[1].span.end))

    def root_of_degree(self, children: list[Any]) -> Root:
        token, _, degree, inside = children
        return Root(inside, degree, span=Span(token.value.start, inside.span.end))

    def font(self, children: list[Any]) -> Node:
        token, node = children[0].value, children[1]
        made: Node = replace(self._lettered(node, token), span=Span(token.start, node.span.end))
        return made

    def _lettered(self, node: Any, token: Token) -> Any:
        """`node` with the font of `token` on its names, not on their scripts."""
        if isinstance(node, Name):
            return replace(node, font=f"{token.value} {node.font}".rstrip())
        if isinstance(node, Number):
            return Name(node.text, font=token.value, scripts=node.scripts, span=node.span)
        if isinstance(node, Product):
            return replace(node, factors=tuple(self._lettered(factor, token) for factor in node.factors))
        if isinstance(node, Sum):
            return replace(node, terms=tuple((sign, self._lettered(term, token)) for sign, term in node.terms))
        if isinstance(node, Group):
            return replace(node, content=tuple(self._lettered(part, token) for part in node.content))
        self.refuse(f"\\{token.value} stands around more than names; put it around each name", token.start)

    def accent(self, children: list[Any]) -> Name:
        token, node = children[0].value, children[1]
        if isinstance(node, Product) and not any(node.operators):  # \overline{net}
            letters = [part.base if isinstance(part, Name) else getattr(part, "text", "\\") for part in node.factors]
            bare = not any(getattr(part, "scripts", ()) or getattr(part, "font", "") for part in node.factors)
            if bare and all(letter.isalnum() for letter in letters):
                node = Name("".join(letters))
        if isinstance(node, Number):
            node = Name(node.text, scripts=node.scripts)
        if isinstance(node, Text) and node.text.isalnum():
            node = Name(node.text, font="text")
        if not isinstance(node, Name):
            self.refuse(f"the accent {token.value} stands over more than one name", token.start)
        return replace(node, accents=(*node.accents, token.value), span=Span(token.start, children[1].span.end))

    # Scripts.

    def script(self, children: list[Any]) -> Script:
        token, said = children[0].value, children[1]
        content, end = said if isinstance(said, tuple) else ((said,), said.span.end)
        kind = "sub" if token.kind == "SUB" else "sup"
        span = Span(token.start, end)
        only = content[0] if len(content) == 1 else None
        parts = only.factors if isinstance(only, Product) else (only,)
        if kind == "sup" and all(isinstance(part, Name) and part == Name(r"\prime") for part in parts):
            return Script("prime", (), len(parts), span=span)
        return Script(kind, content, span=span)

    def listed(self, children: list[Any]) -> Any:
        return children[1], children[2].value.end

    def prime(self, children: list[Any]) -> Script:
        token = children[0].value
        return Script("prime", (), len(token.value), span=Span(token.start, token.end))

    # Cases.

    def cases(self, children: list[Any]) -> Cases:
        return Cases(tuple(children[1:-1]), span=Span(children[0].value.start, children[-1].value.end))

    def row(self, children: list[Any]) -> tuple[Node, Relation | Node | None]:
        value, said = (
            children[0],
            [part for child in children[1:] for part in (child if isinstance(child, list) else [child])],
        )
        if not said:
            return value, None
        if len(said) == 1:
            return value, said[0]
        place = next((k for k, part in enumerate(said) if not isinstance(part, Text)), None)
        if place is None:
            return value, Text(" ".join(part.text for part in said), span=_between(said[0], said[-1]))
        first = said.pop(place)
        if not isinstance(first, Relation):
            first = Relation((first,), (), span=first.span)
        return value, replace(first, remarks=tuple(said))

    def when(self, children: list[Any]) -> list[Any]:
        return [self.words([child]) if hasattr(child, "type") else child for child in children]
