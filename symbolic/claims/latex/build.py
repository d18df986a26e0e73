"""The parts of a formula, made as the grammar's rules are recognized: one method for each rule of ``latex.lark``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .factors import Factors, between
from .syntax import BigOperator, Fraction, Node, Number, Product, Relation, Span, Sum


@dataclass(slots=True)
class _Signed:
    """A term with a sign before it, until its sum is made."""

    sign: int
    start: int
    node: Node


class Builder(Factors):
    """Makes parts of the text that `begin` was given last."""

    # Relations and lists.

    def relation(self, children: list[Any]) -> Relation:
        signs = tuple(token.value.value for token in children[1::2])
        return Relation(tuple(children[::2]), signs, span=between(children[0], children[-1]))

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
        return node

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

    # Products. A chain is a list [factors, operators]; so is a run of factors side by side.

    def run(self, children: list[Any]) -> list[list[Any]]:
        return [[self.term(children[0])], []]

    def append(self, children: list[Any]) -> list[list[Any]]:
        run, factor = children
        if len(run[0]) == 1:
            self.closed(run[0][0], "a factor beside them", run[0][0].span.start)
        before = run[0][-1]
        numbers = isinstance(before, Number) and isinstance(factor, Number) and not before.scripts
        if numbers and before.span not in self.indices:  # W_{0 1} has two indices
            self.refuse(
                f"TeX prints {before.text} and {factor.text} as one number; write {before.text}{factor.text}, or a "
                "product sign between them",
                factor.span.start,
            )
        run[0].append(self.closed(factor, "a factor beside them", factor.span.start))
        run[1].append("")
        return run

    def slash(self, children: list[Any]) -> list[list[Any]]:
        run, _, below = children
        top, bottom = self.made(run), self.term(below)
        self.closed(top, "the slash", top.span.start)
        self.closed(bottom, "the slash", bottom.span.start, product=True)
        return [[Fraction(top, bottom, slash=True, span=between(top, bottom))], []]

    def chain(self, children: list[Any]) -> list[list[Any]]:
        return children[0]

    def link(self, children: list[Any]) -> list[list[Any]]:
        chain, token, run = children
        for node in (chain[0][-1], run[0][0]):
            self.closed(node, "a product sign", node.span.start)
        chain[0].extend(run[0])
        chain[1].append(token.value.value)
        chain[1].extend(run[1])
        return chain

    def made(self, chain: list[list[Any]]) -> Node:
        factors, operators = chain
        if len(factors) == 1:
            return factors[0]
        return Product(tuple(factors), tuple(operators), span=between(factors[0], factors[-1]))

    def product(self, children: list[Any]) -> Node:
        return self.made(children[0])

    def lone(self, children: list[Any]) -> Node:
        return children[0]

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
