"""Formulas in LaTeX, read into their parts; what the names mean is decided later.

Three steps: `tokens` (characters), `shape` (brackets, arguments, names), and the grammar in ``latex.lark``,
which the library lark makes into an LALR(1) parser. Nothing in the text is run, and nothing of it is dropped but what
`signs` lists as layout: each character ends up in a part, in that list, or in an error.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn

from ...errors import ClaimSyntaxError, MissingExtraError
from .build import Builder
from .remarks import divided
from .shape import shaped
from .syntax import Node, Relation, Span, Text
from .tokens import Token, tokens
from .whole import unwrapped

_DEEPEST = 200
_ONE_AT_A_TIME = Lock()  # the parser has one builder
_FOUND = {"_COMMA": "a comma", "RB": "}", "_AMP": "&", "_NEWLINE": r"\\", "SUB": "a subscript", "SUP": "a superscript"}
_FACTOR = "a name, a number, or another factor"


def read_relation(text: str) -> Relation:
    """One formula: ``a = b``, a chain, an assignment, or a lone expression, which is a relation of one part.

    Parameters
    ----------
    text : the formula in LaTeX's math mode, with or without ``$ $``, ``\\[ \\]`` or an environment of one line around
        it; characters that people paste (δ, ∂, ⊙, ², ᵀ) stand for their commands

    Returns
    -------
    Relation
        Its parts, each with its place in `text`, and what stands behind the formula as its remarks.

    Raises
    ------
    ClaimSyntaxError
        If the text is no such formula; with the place.
    MissingExtraError
        If lark is not installed.
    """
    formula, behind = divided(text, shaped(text, unwrapped(text, tokens(text))))
    relation: Relation = _parsed(text, formula)
    return replace(relation, remarks=tuple(_remark(text, segment) for segment in behind)) if behind else relation


def read_expression(text: str) -> Node:
    """One expression, without a relation sign and without remarks.

    Raises
    ------
    ClaimSyntaxError
        If the text is no expression.
    MissingExtraError
        If lark is not installed.
    """
    relation = read_relation(text)
    part = relation.parts[0]
    if relation.signs or part is None:
        start = relation.span.start if part is None else part.span.end
        raise ClaimSyntaxError("found a relation sign; expected an expression without one", text, start)
    if relation.remarks:
        raise ClaimSyntaxError(
            "found remarks behind an expression; leave them out", text, relation.remarks[0].span.start
        )
    return part


def _remark(text: str, segment: list[Token]) -> Node | Relation:
    first = segment[0]
    if len(segment) == 1 and first.kind in ("TEXT", "TAG"):
        return Text(first.value, span=Span(first.start, first.end))
    relation: Relation = _parsed(text, segment)
    return relation if relation.signs or relation.parts[0] is None else relation.parts[0]


def _parsed(text: str, formula: list[Token]) -> Relation:
    parser, builder = _parser()
    from lark import Token as Terminal
    from lark.exceptions import UnexpectedToken

    with _ONE_AT_A_TIME:
        builder.begin(text)
        state = parser.parse_interactive()
        try:
            for token in formula:
                state.feed_token(Terminal(token.kind, token))
            relation: Relation = state.feed_eof()
        except UnexpectedToken as error:
            _refuse(text, formula, error)
    _check_depth(text, relation)
    return relation


def _refuse(text: str, formula: list[Token], error: Any) -> NoReturn:
    token, expected = error.token.value, error.expected
    if isinstance(token, Token):
        written = text[token.start : token.end]
        found, position = f"found {written or _FOUND.get(token.kind, token.value)}", token.start
    else:
        found, position = "the formula ends", formula[-1].end if formula else 0
    if not formula:
        raise ClaimSyntaxError("found no formula", text, 0) from None
    if isinstance(token, Token) and token.kind in ("SUB", "SUP", "PRIME"):
        wanted = "what it is attached to (a name, a number or a bracket)"
    elif "NAME" in expected and "REL" not in expected:
        wanted = _FACTOR
    elif "NAME" in expected:
        wanted = "a further factor, a sign, or a relation sign"
    else:
        wanted = ", ".join(sorted(name.strip("_") for name in expected))
    raise ClaimSyntaxError(f"{found} where {wanted} is expected", text, position) from None


def _check_depth(text: str, relation: Relation) -> None:
    """Refuse what is nested so deep that code over parts would run out of stack."""
    level: list[Any] = [relation]
    for _ in range(_DEEPEST):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return
    raise ClaimSyntaxError(f"parts are nested more than {_DEEPEST} deep; divide the formula", text, level[0].span.start)


def _parts(part: Any) -> list[Any]:
    """The parts right within one."""
    found: list[Any] = []
    values = [getattr(part, one.name) for one in fields(part) if one.name != "span"]
    while values:
        value = values.pop()
        if isinstance(value, tuple):
            values.extend(value)
        elif is_dataclass(value):
            found.append(value)
    return found


@cache
def _parser() -> tuple[Any, Builder]:
    try:
        import lark
    except ImportError:
        raise MissingExtraError('checking formulas needs the package lark: pip install "gradloom[check]"') from None

    class Fed(lark.lexer.Lexer):
        """No lexer: the terminals are fed one by one."""

        def __init__(self, conf: Any) -> None:
            pass

        def lex(self, lexer_state: Any, parser_state: Any) -> Any:
            return iter(())

    builder = Builder()
    grammar = Path(__file__).with_name("latex.lark").read_text(encoding="utf-8")
    parser = lark.Lark(grammar, parser="lalr", lexer=Fed, transformer=builder, start="relation")
    return parser, builder
