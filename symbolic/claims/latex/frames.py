"""What is open while tokens are shaped: brackets, arguments that are awaited, whether an operand has ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from ...errors import ClaimSyntaxError
from .tokens import Token

DEEPEST = 100


@dataclass(slots=True)
class Frame:
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


class Frames:
    """What is open, and what is made: what all of `shape` stands on."""

    def __init__(self, text: str, raw: list[Token]) -> None:
        self.text, self.raw, self.place = text, raw, 0
        self.out: list[Token] = []
        self.frames = [Frame("", Token("", "", 0, 0))]

    @property
    def frame(self) -> Frame:
        return self.frames[-1]

    def refuse(self, what: str, token: Token) -> NoReturn:
        raise ClaimSyntaxError(what, self.text, token.start)

    def ahead(self, by: int = 0) -> Token:
        """The raw token that comes next, or an empty one at the end."""
        place = self.place + by
        return self.raw[place] if place < len(self.raw) else Token("", "", len(self.text), len(self.text))

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
        behind = {
            "script": "_ or ^",
            "frac": r"\frac",
            "font": "a font command",
            "accent": "an accent",
            "root": r"\sqrt",
        }
        found = f"found {self.shown(token)}" if token.value or token.kind else "the formula ends"
        brackets = {"(": "x^{(2)}", "[": "W^{[2]}"}.get(token.value)
        mend = f"write {{...}} around it, as in {brackets}" if brackets else "write {...}"
        self.refuse(f"{found} where what stands behind {behind.get(need, need)} is expected; {mend}", token)

    def shown(self, token: Token) -> str:
        return repr(self.text[token.start : token.end])[1:-1].replace("\\\\", "\\")

    def push(self, kind: str, opened: Token, *, script: bool = False) -> Frame:
        if len(self.frames) > DEEPEST:
            self.refuse(f"brackets are nested more than {DEEPEST} deep; divide the formula", opened)
        frame = Frame(kind, opened, script or self.frame.script)
        self.frames.append(frame)
        return frame

    def unclosed(self, frame: Frame) -> NoReturn:
        bar = frame.kind in ("|", "‖")
        mend = "; a bar that means 'given' or 'evaluated at' is not read" if bar else ""
        self.refuse(f"{self.shown(frame.opened)} is never closed{mend}", frame.opened)

    def free(self, token: Token) -> None:
        """Refuse what cannot be an argument where one is awaited."""
        if self.frame.needs:
            self.lacks(token)
