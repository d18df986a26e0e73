"""TeX's tokens as the terminals of ``latex.lark``: brackets matched, arguments of commands found, names made.

What a grammar of one token's lookahead cannot see is decided here, with a stack of what is open: whether a bar opens
or closes, which characters a command takes as its arguments, whether a sign in a script is a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NoReturn

from ..errors import ClaimSyntaxError
from .latex_signs import (
    ACCENTS,
    BARS,
    CASES,
    CLOSING,
    DOTS,
    FONTS,
    FRACTIONS,
    FUNCTIONS,
    INDEXED,
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
from .latex_tokens import Token

DEEPEST = 100
_WORD = re.compile(r"\s*([A-Za-z](?:[A-Za-z0-9\s-]|\\[,!;: ])*)\Z")
_SINGLE = re.compile(r"[A-Za-z][A-Za-z0-9-]*\Z")
_BEHIND_NAME = frozenset("([_^'|{") | {r"\{", r"\left", r"\lvert", r"\lVert", r"\|", r"\langle", r"\bigl", r"\Bigl"}
_MIRROR = {"(": ")", "[": "]", "{": r"\}", "|": "|", "‖": r"\|", "⟨": r"\rangle", "⌊": r"\rfloor", "⌈": r"\rceil"}


@dataclass(slots=True)
class _Frame:
    """What is open: a bracket, TeX's braces, or cases.

    Attributes
    ----------
    kind : "" for the whole, "{}" for TeX's braces, "cases", "[]" for a root's degree, or a bracket as `Group` has it
    ended : whether the last thing in it is an operand, so that another may only follow side by side
    needs : arguments that are still to come, the next one last; "!" where the command is an argument itself
    doubled : for a bar, whether it is written as two
    left : whether it is opened with ``\\left``
    """

    kind: str
    opened: Token
    script: bool = False
    ended: bool = False
    needs: list[str] = field(default_factory=list)
    doubled: bool = False
    left: bool = False
    ending: str = ""


def shaped(text: str, raw: list[Token]) -> list[Token]:
    """The terminals of a formula; what is behind it included.

    Raises
    ------
    ClaimSyntaxError
        If brackets do not match, an argument lacks, or a command is unknown.
    """
    return _Shaper(text, raw).all()


class _Shaper:
    def __init__(self, text: str, raw: list[Token]) -> None:
        self.text, self.raw, self.place = text, raw, 0
        self.out: list[Token] = []
        self.frames = [_Frame("", Token("", "", 0, 0))]

    @property
    def frame(self) -> _Frame:
        return self.frames[-1]

    def refuse(self, what: str, token: Token) -> NoReturn:
        raise ClaimSyntaxError(what, self.text, token.start)

    def ahead(self, by: int = 0) -> Token:
        """The raw token that comes next, or an empty one at the end."""
        place = self.place + by
        return self.raw[place] if place < len(self.raw) else Token("", "", len(self.text), len(self.text))

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

    # What is made.

    def emit(self, kind: str, token: Token, value: str | None = None, font: str = "") -> Token:
        made = Token(kind, token.value if value is None else value, token.start, token.end, token.wide, font)
        made.depth, made.script = len(self.frames) - 1, self.frame.script
        self.out.append(made)
        return made

    def operand(self, kind: str, token: Token, value: str | None = None, font: str = "") -> None:
        self.emit(kind, token, value, font)
        self.done()

    def done(self) -> None:
        """An operand has ended: the argument that was awaited, if one was."""
        frame = self.frame
        while frame.needs:
            need = frame.needs.pop()
            if need.startswith("script"):
                return
            if not need.endswith("!"):
                frame.ended = not (frame.needs and frame.needs[-1].startswith("frac"))
                return
        frame.ended = True

    def lacks(self, token: Token) -> NoReturn:
        need = self.frame.needs[-1].rstrip("!")
        behind = {"script": "_ or ^", "frac": r"\frac", "font": "a font command", "accent": "an accent"}
        found = f"found {self.shown(token)}" if token.value or token.kind else "the formula ends"
        mend = f"write {{...}} around it, as in x^{{{token.value}…}}" if token.value in ("(", "[") else "write {...}"
        self.refuse(f"{found} where what stands behind {behind.get(need, need)} is expected; {mend}", token)

    def shown(self, token: Token) -> str:
        return repr(self.text[token.start : token.end])[1:-1].replace("\\\\", "\\")

    def push(self, kind: str, opened: Token, *, script: bool = False) -> _Frame:
        if len(self.frames) > DEEPEST:
            self.refuse(f"brackets are nested more than {DEEPEST} deep; divide the formula", opened)
        frame = _Frame(kind, opened, script or self.frame.script)
        self.frames.append(frame)
        return frame

    def unclosed(self, frame: _Frame) -> NoReturn:
        bar = frame.kind in ("|", "‖")
        mend = "; a bar that means 'given' or 'evaluated at' is not read" if bar else ""
        self.refuse(f"{self.shown(frame.opened)} is never closed{mend}", frame.opened)

    def free(self, token: Token) -> None:
        """Refuse what cannot be an argument where one is awaited."""
        if self.frame.needs:
            self.lacks(token)

    # Kinds of raw tokens.

    def on_letter(self, token: Token) -> None:
        self.operand("NAME", token)

    def on_number(self, token: Token) -> None:
        needs, many = self.frame.needs, len(token.value) > 1
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
        word = _SINGLE.match(token.value)
        if (
            word
            and (
                behind.value in _BEHIND_NAME
                or behind.value in RELATIONS
                or behind.value in OPERATORS
                or behind.value in "+-/"
            )
            and behind.kind in ("char", "command")
        ):
            self.operand("NAME", token, token.value, "text")
        elif frame.kind == "cases" and not frame.needs:
            self.emit("WORDS", token)
            frame.ended = False
        else:
            self.operand("TEXT", token)

    def on_tag(self, token: Token) -> None:
        self.free(token)
        if len(self.frames) > 1:
            self.refuse(r"found \tag within brackets; it stands behind a formula", token)
        self.emit("TAG", token)

    def on_begin(self, token: Token) -> None:
        self.free(token)
        if token.value not in CASES:
            self.refuse(
                f"found \\begin{{{token.value}}}, which is not read here; expected one formula (cases are read, matrices "
                "are not: write their entries with indices)",
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
        elif sign in ",;.":
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

    # Signs.

    def operator(self, kind: str, token: Token, value: str) -> None:
        frame, name = self.frame, token.value
        if frame.needs and frame.needs[-1] == "script" and kind != "SLASH":
            behind = self.ahead()
            if kind == "PM" and behind.start == token.end and behind.kind in ("letter", "number", "command"):
                if not (behind.kind == "command" and (behind.value in OPERATORS or behind.value in RELATIONS)):
                    self.refuse(f"TeX raises or lowers only the sign {name}; write {{{name}…}}, or a space", token)
            self.operand("NAME", token, "*" if value == "*" else name)
            return
        self.free(token)
        made = self.emit(kind, token, value)
        made.font = "*" if value == "*" else name  # the name that it has where it stands alone in a script
        frame.ended = False

    def relation(self, token: Token, value: str) -> None:
        self.free(token)
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
        place, depth = self.place, 0
        while place < len(self.raw):
            depth += {"{": 1, "}": -1}.get(self.raw[place].value, 0)
            place += 1
            if depth <= 0:
                break
        above, behind = self.raw[self.place : place], self.raw[place : place + 3]
        if len(behind) == 1 or not above or above[0].value != "{":
            behind = []
        if [t.value for t in behind[:1] + behind[2:]] == ["{", "}"] and behind[1].value in RELATIONS:
            end = behind[2].end
        else:
            self.refuse(f"found {token.value} that is no relation sign: expected {token.value}{{...}}{{=}}", token)
        if self.frame.kind:
            self.refuse(f"found {token.value} within brackets", token)
        self.place = place + 3
        note = self.emit("TAG", above[0], self.text[above[0].end : above[-1].start])
        note.end = above[-1].end
        self.relation(Token("command", token.value, token.start, end, token.wide), RELATIONS[behind[1].value])

    def comma(self, token: Token) -> None:
        """A comma; at the end of a formula, of a case, or before words, it is punctuation."""
        self.free(token)
        behind, frame = self.ahead(), self.frame
        ends = not behind.kind or behind.kind in ("tag", "text", "end") or behind.value in ("\\\\", "&")
        if token.value == "." and not (ends and (not frame.kind or frame.kind == "cases")):
            self.refuse("found a full stop within a formula", token)
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

    # Brackets.

    def open_braces(self, token: Token) -> None:
        frame = self.frame
        behind = self.ahead()
        if not frame.needs and behind.value == "}" and self.ahead(1).value not in ("_", "^", "'"):
            self.place += 1  # {} is nothing
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
