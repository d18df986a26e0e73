"""Where a formula ends and what is said about it begins: ``, \\quad j = 1, \\dots, n \\quad \\text{(chain rule)}``."""

from __future__ import annotations

import re

from ...errors import ClaimSyntaxError
from .tokens import Token

_SAYING = re.compile(
    r"\s*(?:\(|(?:for|where|if|when|whenever|with|since|because|as|by|or|and|so|using|given|from|see)\b)", re.IGNORECASE
)
_NO_OPERAND = frozenset("REL PM OP SLASH BIGOP _COMMA TAG".split())


def divided(text: str, found: list[Token]) -> tuple[list[Token], list[list[Token]]]:
    """The formula, and the remarks behind it, each with the terminals of its own.

    Raises
    ------
    ClaimSyntaxError
        If dots stand in the formula itself, or a comma within a number.
    """
    tags = [token for token in found if token.kind == "TAG"]
    found = [token for token in found if token.kind != "TAG"]
    end = _end(text, found)
    for token in found[:end]:
        if token.kind == "DOTS":
            raise ClaimSyntaxError(
                f"found {text[token.start : token.end]}: dots leave out what is meant; write a sum with \\sum",
                text,
                token.start,
            )
    segments = _segments(found[end:]) + [[tag] for tag in tags]
    return found[:end], sorted(segments, key=lambda segment: segment[0].start)


def _check_decimal(text: str, around: list[Token]) -> None:
    """Refuse 0,5 and 1,000 outside of brackets: behind a comma stand remarks."""
    if [token.kind for token in around] == ["NUMBER", "_COMMA", "NUMBER"] and around[0].end + 1 == around[2].start:
        before, after = around[0].value, around[2].value
        raise ClaimSyntaxError(
            f"found a comma within a number; write {before}.{after}, {before}{after}, or a space behind the comma",
            text,
            around[1].start,
        )


def _end(text: str, found: list[Token]) -> int:
    related = False
    further = [place for place, token in enumerate(found) if token.kind == "REL" and not token.depth]
    for place, token in enumerate(found):
        if token.depth:
            continue
        before = found[place - 1].kind if place else "REL"
        later = bool(further) and further[-1] > place
        operand = token.kind not in ("REL", "PM", "OP", "SLASH", "CLOSE", "RB", "SUB", "SUP", "PRIME", "ENDCASES")
        if token.kind == "_COMMA":
            _check_decimal(text, found[max(place - 1, 0) : place + 2])
            return place
        if token.kind == "NAME" and token.value == r"\forall" and place:
            return place
        if before not in _NO_OPERAND and operand:
            says = related or not later or _SAYING.match(token.value)
            if token.kind == "TEXT" and not _script(found, place) and says:
                return place
            if related and (_said(found, place) or (token.wide and later)):
                return place
        related = related or token.kind == "REL"
    return len(found)


def _script(found: list[Token], place: int) -> bool:
    """Whether the word at `place` is an argument without braces."""
    return found[place - 1].kind in ("SUB", "SUP", "FONT", "ACCENT", "FRAC", "SQRT")


def _said(found: list[Token], place: int) -> bool:
    """Whether a bracket holds nothing but words, or, behind a wide space and last, but the number of the formula."""
    if [token.kind for token in found[place : place + 3 : 2]] != ["OPEN", "CLOSE"]:
        return False
    inside = found[place + 1]
    return inside.kind == "TEXT" or (inside.kind == "NUMBER" and found[place].wide and place + 3 == len(found))


def _segments(found: list[Token]) -> list[list[Token]]:
    """Remarks are divided at commas, at words, and at wide spaces before words in brackets."""
    segments: list[list[Token]] = [[]]
    for place, token in enumerate(found):
        kind = "NAME" if token.kind == "DOTS" else token.kind
        token = Token(kind, token.value, token.start, token.end, token.wide, token.font, token.depth, token.script)
        if token.depth:
            segments[-1].append(token)
        elif kind == "_COMMA":
            segments.append([])
        elif kind == "TEXT" and not _script(found, place):
            segments.extend(([token], []))
        elif (kind == "OPEN" and _said(found, place)) or token.wide:
            segments.append([token])
        else:
            segments[-1].append(token)
    return [segment for segment in segments if segment]
