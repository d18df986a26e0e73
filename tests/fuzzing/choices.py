"""Choices that are made by a string of bytes: the same bytes make the same ones, and none left is always the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# What breaks readers: separators, controls, quotes, look-alikes, what changes its length or direction.
ODD = "\0\n\r\t \"'`$;&|<>(){}[]\\/:.,*?#!~%^=+-_@"
ODD += "\x7f\x85\u00a0\u0301\u200b\u202e\u2028\ud800\ufeff\U0001f600\ufffdİßΣσ∂δ²₁𝒙x0"
NUMBERS = (0, 1, 2, 3, 5, 7, 127, 128, 255, 256, 2**15, 2**16, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64)


class Choices:
    """Take choices from `data`, from its first byte on."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def below(self, count: int) -> int:
        """A number from 0 to count − 1."""
        value, width = 0, (max(count - 1, 1).bit_length() + 7) // 8
        for byte in self.take(width):
            value = value * 256 + byte
        return value % max(count, 1)

    def take(self, length: int) -> bytes:
        """So many bytes, fewer at the end."""
        found = self.data[self.at : self.at + length]
        self.at += length
        return found

    def rest(self) -> bytes:
        return self.take(len(self.data))

    def pick(self, options: Sequence[Any]) -> Any:
        return options[self.below(len(options))]

    def one_in(self, count: int) -> bool:
        """Whether it is the last of `count`; never when no bytes are left."""
        return self.below(count) == count - 1

    def number(self) -> int:
        return int(self.pick(NUMBERS)) * self.pick((1, 1, 1, -1)) + self.pick((0, 0, 0, 1, -1))

    def text(self, longest: int = 12) -> str:
        """Odd characters among plain ones."""
        odd_or_plain = lambda: self.pick(ODD) if self.one_in(3) else chr(97 + self.below(26))  # noqa: E731
        return "".join(odd_or_plain() for _ in range(self.below(longest)))

    def altered(self, content: bytes) -> bytes:
        """`content` with a few bytes changed, moved, repeated, left out or put in."""
        made = bytearray(content)
        for _ in range(1 + self.below(6)):
            at, kind = self.below(len(made) + 1), self.below(7)
            length = 1 + self.below(64)
            if kind == 0 and at < len(made):
                made[at] ^= 1 << self.below(8)
            elif kind == 1:
                made[at : at + 1] = bytes([self.below(256)])
            elif kind == 2:
                made[at:at] = self.take(length)
            elif kind == 3:
                del made[at : at + length]
            elif kind == 4:
                made[at:at] = made[at : at + length] * (1 + self.below(3))
            elif kind == 5:
                width = self.pick((1, 2, 4, 8))
                value = self.number() % 256**width
                made[at : at + width] = value.to_bytes(width, self.pick(("little", "big")))
            else:
                del made[at:]
        return bytes(made)
