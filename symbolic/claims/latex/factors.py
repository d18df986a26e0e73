"""Factors with their scripts, made as the grammar's rules are recognized: half of `build`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn

from ...errors import ClaimSyntaxError
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
from .tokens import Token


def between(first: Any, last: Any) -> Span:
    return Span(first.span.start, last.span.end)


def _divides(node: Any) -> bool:
    """Whether a script or a slash behind `node`, or before it, would print as one of its last factor alone."""
    return isinstance(node, Product) or (isinstance(node, Fraction) and node.slash)


class Factors:
    """The rules that make one factor; `begin` says of which text."""

    def __init__(self) -> None:
        self.begin("")

    def begin(self, text: str) -> None:
        self.text = text
        self.loose: set[Span] = set()  # where TeX's braces stand, which print nothing
        self.indices: set[Span] = set()  # where numbers stand in scripts

    def refuse(self, what: str, position: int) -> NoReturn:
        raise ClaimSyntaxError(what, self.text, position)

    def closed(self, node: Any, beside: str, position: int, *, product: bool = False) -> Any:
        """Refuse a sum in TeX's braces, which print nothing, beside what would bind closer than its plus."""
        if node.span in self.loose:
            inner = node
            while isinstance(inner, Product) and not product:
                inner = inner.factors[-1]
            if isinstance(inner, (Sum, BigOperator)) or (product and _divides(inner)):
                self.refuse(
                    f"braces print nothing, so {beside} reaches only a part of what stands in them; "
                    "write brackets, ( ) or \\left( \\right)",
                    position,
                )
        return node

    def factor(self, children: list[Any]) -> Node:
        atom, scripts = children[0], tuple(children[1:])
        if not scripts:
            return atom
        span = between(atom, scripts[-1])
        if isinstance(atom, (Name, Number)) and not atom.scripts:
            return replace(atom, scripts=scripts, span=span)
        if isinstance(atom, Group) and not atom.scripts:
            return replace(atom, scripts=scripts, span=span)
        if atom.span in self.loose:
            font = self.text.startswith("\\", atom.span.start) and isinstance(atom, Product) and not any(atom.operators)
            if not font:  # \mathbf{dW}^{[1]} is a name of two letters
                self.closed(atom, "the script", scripts[0].span.start, product=True)
        return Group("", (atom,), scripts, span=span)

    def group(self, children: list[Any]) -> Group:
        opening, items, closing = children
        return Group(opening.value.value, items, span=Span(opening.value.start, closing.value.end))

    def braces(self, children: list[Any]) -> Node:
        opening, node, closing = children
        made: Node = replace(node, span=Span(opening.value.start, closing.value.end))
        self.loose.add(made.span)
        return made

    def name(self, children: list[Any]) -> Name:
        token: Token = children[0].value
        return Name(token.value, font=token.font, span=Span(token.start, token.end))

    def number(self, children: list[Any]) -> Number:
        token = children[0].value
        span = Span(token.start, token.end)
        if token.script:
            self.indices.add(span)
        return Number(token.value.replace("{,}", ""), span=span)

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
        self.loose.add(made.span)
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
            return value, Text(" ".join(part.text for part in said), span=between(said[0], said[-1]))
        first = said.pop(place)
        if not isinstance(first, Relation):
            first = Relation((first,), (), span=first.span)
        return value, replace(first, remarks=tuple(said))

    def when(self, children: list[Any]) -> list[Any]:
        return [self.words([child]) if hasattr(child, "type") else child for child in children]
