"""A formula's characters as LaTeX's own tokens: commands, letters, numbers, single characters.

Characters beyond ASCII become the commands that they stand for, at the same place of the text.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from ...errors import ClaimSyntaxError
from .signs import BLANKS, CHARACTERS, COMBINING, LAYOUT, LAYOUT_WITH_ARGUMENT, SPACES, TEXTS, WIDE_SPACES

LONGEST = 20_000
_BLANK = re.compile("[" + "".join(sorted(BLANKS)) + r"]+|%[^\n]*")
_COMMAND = re.compile(r"\\(?:[A-Za-z]+|.|$)", re.DOTALL)
_STARRED = frozenset(r"\operatorname \hspace \vspace \tag".split())
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{([A-Za-z]*\*?)\}")
_COLUMNS = re.compile(r"(?:\s*\[[tbc]\])?\s*\{[lcr@|{}\s.]*?\}")
_SKIP = re.compile(r"\*?(?:\s*\[\s*-?[\d.]+\s*(?:pt|em|ex|mm|cm|in|mu|\\\w+)\s*\])?")
_NUMBER = re.compile(
    r"(?:\d+(?:\.\d+){2,}|\d+(?:\{,\}\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII
)
_SIGN = re.compile(r":=|<=|>=")


@dataclass(slots=True)
class Token:
    """A piece of the text; first as LaTeX has it, then as the grammar has it.

    Attributes
    ----------
    kind : command, letter, number, char, text, begin, end, space, tag; later a terminal of ``latex.lark``
    value : what it is; for words, what stands between their braces
    start, end : where it stands in the text
    wide : whether ``\\quad`` or the like stands before it
    font : for a name that a font command made
    depth : how many brackets it stands in
    script : whether it stands within a sub- or superscript
    """

    kind: str
    value: str
    start: int
    end: int
    wide: bool = False
    font: str = ""
    depth: int = 0
    script: bool = False


def tokens(text: str) -> list[Token]:
    """All of the text, layout left out.

    Raises
    ------
    ClaimSyntaxError
        If a character stands for nothing, or the text is too long.
    """
    if len(text) > LONGEST:
        raise ClaimSyntaxError(
            f"a formula of {len(text)} characters is too long: expected at most {LONGEST}. Divide it into lines",
            text,
            LONGEST,
        )
    return _Scanner(text).all()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.found: list[Token] = []
        self.wide = False

    def all(self) -> list[Token]:
        place, end = 0, len(self.text)
        while place < end:
            place = self.one(place)
        return self.found

    def add(self, kind: str, value: str, start: int, end: int) -> int:
        self.found.append(Token(kind, value, start, end, wide=self.wide))
        self.wide = False
        return end

    def one(self, place: int) -> int:
        """Read what stands at `place`; where it ends."""
        text, sign = self.text, self.text[place]
        if found := _BLANK.match(text, place):
            return found.end()
        if sign == "\\":
            return self.command(place)
        if found := _NUMBER.match(text, place):
            return self.add("number", found[0], place, found.end())
        if found := _SIGN.match(text, place):
            return self.add("char", found[0], place, found.end())
        if sign == "~":
            return place + 1
        if sign.isascii() and sign.isprintable():
            return self.letter(place, sign) if sign.isalpha() else self.add("char", sign, place, place + 1)
        return self.foreign(place, sign)

    def command(self, place: int) -> int:
        text = self.text
        found = _COMMAND.match(text, place)
        assert found is not None
        name, end = found[0], found.end()
        if name in _STARRED and text.startswith("*", end):
            name, end = name + "*", end + 1
        if name in WIDE_SPACES:
            self.wide = True
        if name in LAYOUT_WITH_ARGUMENT:
            return self.braces(end, name, place)[1]
        if name in SPACES or name in LAYOUT:
            return end
        if name in TEXTS or name.rstrip("*") == r"\tag":
            words, end = self.braces(end, name, place)
            return self.add("tag" if name.startswith(r"\tag") else "text", words, place, end)
        if name in (r"\begin", r"\end"):
            environment = _ENVIRONMENT.match(text, place)
            if environment is None:
                raise ClaimSyntaxError(f"found {name} without a name in braces", text, place)
            end = environment.end()
            if environment[1] in ("array", "alignat", "alignedat") and name == r"\begin":
                columns = _COLUMNS.match(text, end)
                end = columns.end() if columns else end
            return self.add(name[1:], environment[1], place, end)
        if name == "\\\\":
            skip = _SKIP.match(text, end)
            end = skip.end() if skip else end
        return self.add("command", name, place, end)

    def braces(self, place: int, name: str, start: int) -> tuple[str, int]:
        """What stands between the braces that follow, and where they end."""
        blank = _BLANK.match(self.text, place)
        opening = blank.end() if blank else place
        if not self.text.startswith("{", opening):
            raise ClaimSyntaxError(f"found nothing in braces behind {name}; expected {name}{{...}}", self.text, start)
        depth, escaped = 0, False
        for end in range(opening, len(self.text)):
            sign = self.text[end]
            if escaped:
                escaped = False
            elif sign == "\\":
                escaped = True
            elif sign in "{}":
                depth += 1 if sign == "{" else -1
                if not depth:
                    return self.text[opening + 1 : end], end + 1
        raise ClaimSyntaxError(f"the brace behind {name} is never closed", self.text, opening)

    def letter(self, place: int, letter: str) -> int:
        """A letter with the accents that follow it as characters of their own."""
        end = place + 1
        while end < len(self.text) and self.text[end] in COMBINING:
            self.add("command", COMBINING[self.text[end]], place, place)
            end += 1
        return self.add("command" if letter.startswith("\\") else "letter", letter, place, end)

    def foreign(self, place: int, sign: str) -> int:
        behind = self.text[place + 1 : place + 2]
        if sign == "Σ" and behind and (behind == "_" or _raised(behind)[0] == "_"):
            return self.add("command", r"\sum", place, place + 1)
        if sign in CHARACTERS:
            meant = CHARACTERS[sign]
            return self.letter(place, meant) if sign.isalpha() else self._add_meant(meant, place)
        if sign in "″‴":
            for _ in range("′″‴".index(sign) + 1):
                self.add("char", "'", place, place + 1)
            return place + 1
        if _raised(sign)[0]:
            return self.script(place)
        plain = unicodedata.normalize("NFKD", sign)
        if len(plain) > 1 and plain[0].isascii() and all(accent in COMBINING for accent in plain[1:]):
            for accent in plain[1:]:
                self.add("command", COMBINING[accent], place, place)
            return self.letter(place, plain[0])
        return self.lettered(place, sign, plain)

    def _add_meant(self, meant: str, place: int) -> int:
        return self.add("command" if meant.startswith("\\") else "char", meant, place, place + 1)

    def lettered(self, place: int, sign: str, plain: str) -> int:
        """Letters and digits of Unicode's mathematical alphabets."""
        name = unicodedata.name(sign, "")
        plain = CHARACTERS.get(plain, plain)
        if not name.startswith(("MATHEMATICAL", "SCRIPT", "DOUBLE-STRUCK", "BLACK-LETTER", "PLANCK")) or not (
            plain.startswith("\\") or (plain.isascii() and plain.isalnum() and len(plain) == 1)
        ):
            named = f" ({name})" if name else ""
            raise ClaimSyntaxError(
                f"found the character {sign!r}{named}, which stands for nothing known; write it as a LaTeX command",
                self.text,
                place,
            )
        for part, font in (
            ("BOLD", "mathbf"),
            ("SCRIPT", "mathcal"),
            ("DOUBLE-STRUCK", "mathbb"),
            ("BLACK", "mathfrak"),
        ):
            if part in name:
                self.add("command", "\\" + font, place, place)
                break
        if plain.isdigit():
            return self.add("number", plain, place, place + 1)
        return self.letter(place, plain)

    def script(self, place: int) -> int:
        """Raised or lowered characters, a run of them as one script: x₁₂ is x_{12}."""
        kind, end = _raised(self.text[place])[0], place
        self.add("char", kind, place, place)
        self.add("char", "{", place, place)
        while end < len(self.text) and _raised(self.text[end])[0] == kind:
            plain = CHARACTERS.get(_raised(self.text[end])[1], _raised(self.text[end])[1])
            before = self.found[-1]
            if plain.isdigit() and before.kind == "number" and before.end == end:
                before.value, before.end = before.value + plain, end + 1
            elif plain.isdigit():
                self.add("number", plain, end, end + 1)
            else:
                kinds = "command" if plain.startswith("\\") else "letter" if plain.isalpha() else "char"
                self.add(kinds, plain, end, end + 1)
            end += 1
        return self.add("char", "}", end, end)


def _raised(sign: str) -> tuple[str, str]:
    """("^" or "_", the character itself) of one that Unicode has raised or lowered, else empty strings."""
    how, _, code = unicodedata.decomposition(sign).partition(" ")
    if how not in ("<super>", "<sub>") or " " in code:
        return "", ""
    plain = chr(int(code, 16))
    if not (plain.isascii() or plain in CHARACTERS):
        return "", ""
    return "^" if how == "<super>" else "_", plain
