"""Brackets, bars, sizes before them, and cases: each is matched here, so that the grammar need not."""

from __future__ import annotations

from typing import NoReturn

from .frames import Frames
from .signs import BARS, CASES, CLOSING, OPENING
from .tokens import Token

_MIRROR = {"(": ")", "[": "]", "{": r"\}", "|": "|", "‖": r"\|", "⟨": r"\rangle", "⌊": r"\rfloor", "⌈": r"\rceil"}


class Brackets(Frames):
    """What opens and closes."""

    def on_tag(self, token: Token) -> None:
        self.free(token)
        if len(self.frames) > 1:
            self.refuse(r"found \tag within brackets; it stands behind a formula", token)
        self.emit("TAG", token)

    def on_begin(self, token: Token) -> None:
        self.free(token)
        if token.value not in CASES:
            self.refuse(
                f"found \\begin{{{token.value}}}, which is not read here; expected one formula (cases are read, "
                "matrices are not: write their entries with indices)",
                token,
            )
        self.emit("CASES", token)
        self.push("cases", token).ending = token.value

    def on_end(self, token: Token) -> None:
        if self.frame.kind != "cases" or self.frame.ending != token.value:
            self.refuse(f"found \\end{{{token.value}}} without its \\begin", token)
        end = token
        if token.value == "array":
            point, right = self.ahead(1), self.ahead()
            if (right.value, point.value) != (r"\right", "."):
                self.refuse(r"expected \right. behind \left\{ \begin{array}…\end{array}", token)
            end = Token(token.kind, token.value, token.start, point.end)
            self.place += 2
        self.close("ENDCASES", end)

    def close(self, kind: str, token: Token) -> None:
        frame = self.frame
        self.free(token)
        self.frames.pop()
        self.emit(kind, token, frame.kind)
        self.done()

    def open(self, token: Token, shown: Token, kind: str, *, left: bool = False, doubled: bool = False) -> None:
        self.free(token)
        self.emit("OPEN", Token("char", kind, shown.start, token.end, shown.wide))
        frame = self.push(kind, Token("char", token.value, shown.start, token.end))
        frame.left, frame.doubled = left, doubled
        if kind == "{" and left and self.ahead().kind == "begin" and self.ahead().value == "array":
            array = self.ahead()
            self.place += 1
            self.frames.pop()
            self.out.pop()
            self.emit("CASES", Token("begin", "array", shown.start, array.end, shown.wide))
            self.push("cases", array).ending = "array"

    def shut(self, token: Token, shown: Token, kind: str, *, left: bool = False) -> None:
        frame = self.frame
        if frame.kind == "[]" and kind == "[" and not left:
            self.free(token)
            self.frames.pop()
            self.emit("_RSQ", token)
            return
        if frame.kind != kind or frame.left != left or frame.ending:
            self.mismatch(shown)
        self.close("CLOSE", Token("char", token.value, shown.start, token.end))

    def mismatch(self, token: Token) -> NoReturn:
        frame = self.frame
        if frame.kind in ("|", "‖"):
            self.unclosed(frame)
        if not frame.kind:
            self.refuse(f"found {self.shown(token)}, which closes nothing", token)
        closing = {"{}": "}", "cases": r"\end", "[]": "]"}.get(frame.kind) or frame.ending or _MIRROR[frame.kind]
        closing = ("\\right" if frame.left else "") + closing
        self.refuse(
            f"found {self.shown(token)} where {closing} is expected, as {self.shown(frame.opened)} is still open", token
        )

    def bar(self, token: Token, shown: Token, kind: str) -> None:
        """A bar closes what a bar has opened if an operand stands before it; else it opens."""
        frame, behind = self.frame, self.ahead()
        self.free(token)
        double = kind == "|" and token.value == "|" and behind.value == "|" and behind.start == token.end
        if frame.ended and frame.kind == "‖" and frame.doubled:
            if not double:
                self.mismatch(shown)
            self.place += 1
            self.close("CLOSE", Token("char", "||", shown.start, behind.end))
        elif frame.ended and frame.kind == kind and not frame.left:
            self.close("CLOSE", Token("char", token.value, shown.start, token.end))
        elif double:
            self.place += 1
            self.open(Token("char", "||", token.start, behind.end), shown, "‖", doubled=True)
        else:
            self.open(token, shown, kind)

    def sized(self, token: Token) -> None:
        """``\\left(``, ``\\bigr]``: a bracket with a size before it."""
        bracket, size = self.ahead(), token.value
        self.place += 1
        if size in (r"\left", r"\right") and bracket.value == ".":
            self.refuse(f"found {size}. : a bracket that is not printed, as in 'evaluated at', is not read", token)
        opening = bracket.value in OPENING or bracket.value in BARS
        closing = bracket.value in CLOSING or bracket.value in BARS
        left = size in (r"\left", r"\right")
        if size.endswith("m") or not (opening or closing):
            self.refuse(f"expected a bracket behind {size}, found {self.shown(bracket) or 'the end'}", token)
        opens = size == r"\left" or size[-1] == "l"
        closes = not opens and (size == r"\right" or (size[-1] == "r"))
        if (opens and not opening) or (closes and not closing):
            self.refuse(f"found {size}{bracket.value}, a bracket that points the other way", token)
        shown = Token("command", size, token.start, bracket.end, token.wide)
        if opens or (bracket.value in OPENING and not closes):
            self.open(bracket, shown, OPENING.get(bracket.value) or BARS[bracket.value], left=left)
        elif closes or bracket.value in CLOSING:
            kind = CLOSING.get(bracket.value) or BARS[bracket.value]
            self.shut(bracket, shown, kind, left=left)
        else:
            self.bar(bracket, shown, BARS[bracket.value])
