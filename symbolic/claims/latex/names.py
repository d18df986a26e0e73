"""Names, numbers and words, and the commands that make them: fonts, functions, arguments of commands."""

from __future__ import annotations

import re

from .brackets import Brackets
from .signs import INDEXED, OPERATORS, RELATIONS, SWITCHES, WORD_FONTS
from .tokens import Token

_WORD = re.compile(r"\s*([A-Za-z](?:[A-Za-z0-9\s-]|\\[,!;: ])*)\Z")
_SINGLE = re.compile(r"[A-Za-z][A-Za-z0-9-]*\Z")
# A single word in \text{} is a name before these: a bracket, a script, a sign.
_BEHIND_NAME = (
    OPERATORS.keys()
    | RELATIONS.keys()
    | frozenset("([_^'|{+-/")
    | frozenset(r"\{ \left \lvert \lVert \| \langle \big \Big \bigg \Bigg \bigl \Bigl \biggl \Biggl".split())
)


class Names(Brackets):
    """What is one operand, or takes one."""

    def on_letter(self, token: Token) -> None:
        self.operand("NAME", token)

    def on_number(self, token: Token) -> None:
        needs, many = self.frame.needs, len(token.value) > 1
        if token.value.count(".") > 1 and (needs or not self.frame.script):
            self.refuse(f"found {token.value}, which is no number; only a script may hold one of more parts", token)
        if needs and many and needs[-1].startswith("script"):
            self.refuse(
                f"TeX raises or lowers only the first digit of {token.value}; write {{{token.value}}}, or a space",
                token,
            )
        if needs and many:  # \frac12
            if not token.value.isdigit():
                self.refuse(f"TeX takes only the first digit of {token.value} as the argument; write {{...}}", token)
            rest = Token("number", token.value[1:], token.start + 1, token.end)
            token = Token("number", token.value[0], token.start, token.start + 1)
            self.place -= 1
            self.raw[self.place] = rest
        self.operand("NUMBER", token)

    def on_text(self, token: Token) -> None:
        behind, frame = self.ahead(), self.frame
        named = behind.kind in ("char", "command") and behind.value in _BEHIND_NAME
        if (named and _SINGLE.match(token.value)) or (len(token.value) == 1 and token.value.isalpha()):
            self.named(token, token.value, "text")
        elif frame.kind == "cases" and not frame.needs:
            self.emit("WORDS", token)
            frame.ended = False
        else:
            self.operand("TEXT", token)

    # Names.

    def function(self, token: Token, name: str) -> None:
        if name == "arg" and self.ahead().value in (r"\max", r"\min") and not self.frame.needs:
            name, end = "arg" + self.ahead().value[1:], self.ahead().end
            self.place += 1
            token = Token("command", name, token.start, end, token.wide)
        self.named(token, name, "")

    def named(self, token: Token, name: str, font: str) -> None:
        """A name of a function, or a big operator if an index stands below it."""
        if name in INDEXED and self.ahead().value == "_" and not self.frame.needs:
            self.big(token, name)
        else:
            self.operand("NAME", token, name, font)

    def big(self, token: Token, name: str) -> None:
        self.free(token)
        self.emit("BIGOP", token, name)
        self.frame.ended = False

    def font(self, token: Token, name: str) -> None:
        """``\\mathrm{word}`` is one name; any other font is a command with an argument."""
        if name in WORD_FONTS and self.ahead().value == "{":
            opening = self.ahead().end
            place = self.place + 1
            while (
                place < len(self.raw)
                and self.raw[place].value != "}"
                and self.raw[place].kind in ("letter", "number", "char")
            ):
                place += 1
            closing = self.raw[place] if place < len(self.raw) else token
            word = _WORD.match(self.text[opening : closing.start]) if closing.value == "}" else None
            if word and len(word[1]) > 1 and ("-" not in word[1] or name.startswith(r"\operatorname")):
                self.place = place + 1
                plain = re.sub(r"\\.|\s", "", word[1])
                made = Token("command", name, token.start, closing.end, token.wide)
                self.named(made, plain, name[1:].rstrip("*"))
                return
        self.takes("FONT", token, "font", value=name[1:].rstrip("*"))

    def takes(self, kind: str, token: Token, *roles: str, value: str | None = None) -> None:
        """A command with arguments, which may be an argument itself."""
        needs = list(reversed(roles))
        if self.frame.needs:
            needs[0] += "!"
        self.emit(kind, token, value)
        self.frame.needs.extend(needs)

    def prime(self, token: Token) -> None:
        if self.frame.needs or (self.frame.script and not self.frame.ended):
            self.operand("NAME", token, r"\prime")
            return
        end, count = token.end, 1
        while self.ahead().value == "'" and self.ahead().kind == "char":
            end, count = self.ahead().end, count + 1
            self.place += 1
        self.emit("PRIME", Token("char", "'" * count, token.start, end))

    def open_braces(self, token: Token) -> None:
        frame = self.frame
        behind = self.ahead()
        scripted = self.ahead(1).value in ("_", "^", "'")
        if not frame.needs and behind.value == "}" and behind.kind == "char" and (frame.ended or not scripted):
            self.place += 1  # {} is nothing: the scripts of W{}^T stand at W
            return
        if behind.value in SWITCHES and behind.kind == "command":  # {\bf x}
            name = SWITCHES[behind.value]
            opening = Token("char", "{", behind.end, behind.end)
            command = Token("command", name, token.start, behind.end, token.wide)
            self.raw[self.place] = opening
            self.font(command, name)
            return
        role = frame.needs[-1] if frame.needs else ""
        self.emit("LB", token)
        self.push("{}", token, script=role.startswith("script"))
