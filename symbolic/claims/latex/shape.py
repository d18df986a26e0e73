"""TeX's tokens as the terminals of ``latex.lark``: brackets matched, arguments of commands found, names made.

What a grammar of one token's lookahead cannot see is decided here, with a stack of what is open: whether a bar opens
or closes, which characters a command takes as its arguments, whether a sign in a script is a name.
"""

from __future__ import annotations

from .names import Names
from .signs import (
    ACCENTS,
    BARS,
    CLOSING,
    DOTS,
    FONTS,
    FRACTIONS,
    FUNCTIONS,
    NAMES,
    OPENING,
    OPERATORS,
    REFUSED,
    RELATIONS,
    SIZES,
    SUMS,
    SWITCHES,
    WORD_FONTS,
)
from .tokens import Token


def shaped(text: str, raw: list[Token]) -> list[Token]:
    """The terminals of a formula; what is behind it included.

    Raises
    ------
    ClaimSyntaxError
        If brackets do not match, an argument lacks, or a command is unknown.
    """
    return _Shaper(text, raw).all()


class _Shaper(Names):
    def all(self) -> list[Token]:
        while self.place < len(self.raw):
            token = self.raw[self.place]
            self.place += 1
            getattr(self, "on_" + token.kind)(token)
        frame = self.frame
        if frame.kind:
            self.unclosed(frame)
        if frame.needs:
            self.lacks(self.ahead())
        return _lone_signs(self.out)

    # Kinds of raw tokens.
    def on_char(self, token: Token) -> None:
        sign = token.value
        if sign == "{":
            self.open_braces(token)
        elif sign == "}":
            if self.frame.kind != "{}":
                self.mismatch(token)
            self.close("RB", token)
        elif sign in "_^":
            self.free(token)
            self.emit("SUB" if sign == "_" else "SUP", token)
            self.frame.needs.append("script")
        elif sign == "'":
            self.prime(token)
        elif sign in "+-":
            self.operator("PM", token, sign)
        elif sign == "/":
            self.operator("SLASH", token, sign)
        elif sign in OPERATORS:
            self.operator("OP", token, OPERATORS[sign])
        elif sign == "<" and [made.kind for made in self.out[-2:]] == ["SUP", "LB"]:
            self.emit("OPEN", token, "⟨")  # a^{<t>}
            self.push("⟨", token).ending = ">"
        elif sign == ">" and self.frame.ending == ">":
            self.close("CLOSE", token)
        elif sign in RELATIONS:
            self.relation(token, RELATIONS[sign])
        elif sign in OPENING:
            self.open(token, token, OPENING[sign])
        elif sign in CLOSING:
            self.shut(token, token, CLOSING[sign])
        elif sign == "|":
            self.bar(token, token, "|")
        elif sign in ",;." or (sign == ":" and len(self.frames) == 1 and not self.ahead().kind):
            self.comma(token)
        elif sign == "&":
            self.ampersand(token)
        elif sign == ":" and self.frame.script and not self.frame.needs:
            self.operand("NAME", token)
        else:
            mend = {"$": "; $ stands only around a whole formula", "!": "; a factorial is not read"}.get(sign, "")
            self.refuse(f"found {sign}, which is no part of a formula here{mend}", token)

    def on_command(self, token: Token) -> None:
        name = token.value
        if name in NAMES:
            self.operand("NAME", token)
        elif name in OPERATORS:
            self.operator("OP", token, OPERATORS[name])
        elif name == r"\div":
            self.operator("SLASH", token, "/")
        elif name in RELATIONS:
            self.relation(token, RELATIONS[name])
        elif name == r"\not":
            self.negated(token)
        elif name in (r"\stackrel", r"\overset"):
            self.stacked(token)
        elif name in FUNCTIONS:
            self.function(token, name[1:])
        elif name in SUMS:
            self.big(token, SUMS[name])
        elif name in FRACTIONS:
            self.takes("FRAC", token, "frac", "frac")
        elif name == r"\sqrt":
            self.takes("SQRT", token, "root")
            if self.ahead().value == "[":
                self.emit("LSQ", self.ahead())
                self.push("[]", self.ahead())
                self.place += 1
        elif name in ACCENTS:
            self.takes("ACCENT", token, "accent", value=ACCENTS[name])
        elif name in FONTS or name in WORD_FONTS:
            self.font(token, name)
        elif name in SWITCHES:
            self.refuse(f"{name} stands only right behind an opening brace: {{{name} x}}", token)
        elif name in OPENING:
            self.open(token, token, OPENING[name])
        elif name in CLOSING:
            self.shut(token, token, CLOSING[name])
        elif name in BARS:
            self.bar(token, token, BARS[name])
        elif name in (r"\left", r"\right") or name.rstrip("lrm") in SIZES:
            self.sized(token)
        elif name == "\\\\":
            self.newline(token)
        elif name in DOTS:
            self.operand("DOTS", token)
        elif name in REFUSED:
            self.refuse(f"found {name}: {REFUSED[name]}", token)
        else:
            word = name[1:]
            mend = f"; if it is a name, write \\operatorname{{{word}}} or \\mathrm{{{word}}}" if word.isalpha() else ""
            self.refuse(f"{name} is not known{mend}", token)

    # Signs.

    def operator(self, kind: str, token: Token, value: str) -> None:
        frame, name = self.frame, token.value
        if frame.needs and frame.needs[-1] == "script" and kind != "SLASH":
            behind = self.ahead()
            operand = (
                behind.kind in ("letter", "number", "command") and behind.value not in OPERATORS.keys() | RELATIONS
            )
            if kind == "PM" and behind.start == token.end and operand:
                self.refuse(f"TeX raises or lowers only the sign {name}; write {{{name}…}}, or a space", token)
            self.operand("NAME", token, "*" if value == "*" else name)
            return
        self.free(token)
        made = self.emit(kind, token, value)
        made.font = "*" if value == "*" else name  # the name that it has where it stands alone in a script
        frame.ended = False

    def relation(self, token: Token, value: str) -> None:
        self.free(token)
        before = self.out[-1] if self.out else token
        if before.kind in ("PM", "OP", "SLASH") and before.end == token.start and value == "=":
            self.refuse("an update in place is not read; write W \\leftarrow W - …", before)
        if token.value == "<" and self.ahead().value == "-" and self.ahead().start == token.end:
            self.refuse(r"found <-, an arrow or a comparison: write \leftarrow, or a space between < and -", token)
        self.emit("REL", token, value)
        self.frame.ended = False

    def negated(self, token: Token) -> None:
        sign = self.ahead()
        if sign.value not in ("=", r"\in"):
            self.refuse(r"found \not before something other than = or \in", token)
        self.place += 1
        self.relation(Token("command", r"\not", token.start, sign.end, token.wide), "≠" if sign.value == "=" else "∉")

    def stacked(self, token: Token) -> None:
        """``\\stackrel{(1)}{=}``: what stands above goes to the remarks."""
        self.free(token)
        sign, last = self.place, self.place - 1  # the brace that opens the second argument, and one before it
        depth = 0
        while sign < len(self.raw):
            depth += {"{": 1, "}": -1}.get(self.raw[sign].value, 0)
            sign, last = sign + 1, sign
            if depth <= 0:
                break
        behind = [one.value for one in self.raw[sign : sign + 3]]
        if last <= self.place or len(behind) < 3 or behind[::2] != ["{", "}"] or behind[1] not in RELATIONS:
            self.refuse(f"expected a relation sign: {token.value}{{...}}{{=}}", token)
        if self.frame.kind:
            self.refuse(f"found {token.value} within brackets; write the relation sign alone", token)
        above = Token("tag", "", self.ahead().start, self.raw[last].end)
        self.emit("TAG", above, self.text[self.ahead().end : self.raw[last].start])
        self.place = sign + 3
        made = Token("command", token.value, token.start, self.raw[sign + 2].end, token.wide)
        self.relation(made, RELATIONS[behind[1]])

    def comma(self, token: Token) -> None:
        """A comma; at the end of a formula, of a case, or before words, it is punctuation."""
        self.free(token)
        behind, frame = self.ahead(), self.frame
        ends = not behind.kind or behind.kind in ("tag", "text", "end") or behind.value in ("\\\\", "&")
        if token.value == "." and not (ends and (not frame.kind or frame.kind == "cases")):
            self.refuse("found a full stop within a formula; a transpose is written ^\\top", token)
        if frame.kind == "cases" and ends:
            return
        self.emit("_COMMA", token)
        frame.ended = False

    def ampersand(self, token: Token) -> None:
        self.free(token)
        if self.frame.kind == "cases":
            self.emit("_AMP", token)
            self.frame.ended = False
        elif self.frame.kind:
            self.refuse("found & within brackets", token)

    def newline(self, token: Token) -> None:
        self.free(token)
        if self.frame.kind == "cases":
            if self.ahead().kind != "end":
                self.emit("_NEWLINE", token)
            self.frame.ended = False
        elif self.frame.kind or self.ahead().kind not in ("", "tag"):
            self.refuse(r"found \\ within a formula; expected one formula: give each line on its own", token)


def _lone_signs(found: list[Token]) -> list[Token]:
    """Signs in scripts that have nothing on a side are names: ``w^{+}``, ``W_{\\cdot j}``, ``W^{*T}``."""
    for place, token in enumerate(found):
        if token.kind not in ("PM", "OP") or not token.script:
            continue
        before, behind = found[place - 1].kind, found[place + 1].kind
        first, last = before in ("LB", "OPEN", "_COMMA"), behind in ("RB", "CLOSE", "_COMMA")
        if last or (first and token.kind == "OP"):
            token.kind, token.value, token.font = "NAME", token.font, ""
        else:
            token.font = ""
    return found
