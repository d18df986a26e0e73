"""The page of wrong inputs, as its tables say it: heading → what is wrong → what happens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "wrong_input.md"
ROW = re.compile(r"^\| ([^|]+) \| `([\w ]+)` \| (`+) ?(.+?) ?\3 \|$")


@dataclass(frozen=True)
class Row:
    """What the page says of one wrong input: the class of the error, and its sentence; … is anything."""

    error: str
    sentence: str

    @property
    def pattern(self) -> str:
        return ".*".join(map(re.escape, self.sentence.split("…")))

    def is_said(self, message: str) -> bool:
        """Whether the whole message is the sentence, whatever spaces and line breaks are between its words."""
        return re.fullmatch(self.pattern, plain(message)) is not None


def plain(text: str) -> str:
    return " ".join(text.split())


def rows() -> dict[str, dict[str, Row]]:
    found: dict[str, dict[str, Row]] = {}
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
            found[heading] = {}
        elif line.startswith("|") and not line.startswith(("| What is wrong |", "|---")):
            match = ROW.match(line)
            assert match, f"no row of this page: {line}"
            wrong, error, _, sentence = match.groups()
            assert wrong not in found[heading], f"twice on this page: {wrong}"
            found[heading][wrong] = Row(error, sentence)
    return found
