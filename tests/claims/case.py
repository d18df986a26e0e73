"""One claim of the suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """A claim and what is known of it.

    Attributes
    ----------
    id : its name in the suite
    network : the name of the network it is about, see `networks`
    text : the claim as its source prints it
    expect : the kind of its verdict, or the class of the error that asks about it
    source : author, title, year and place; "mutation of …" for one that was made wrong here
    mistake : the kinds that the one mistake in it goes by; none if it is right, or wrong in more ways than one
    options : those of `check`
    waits : why it is not judged as expected yet
    slow : whether the everyday suite leaves it out
    """

    id: str
    network: str
    text: str
    expect: str | type[Exception]
    source: str
    mistake: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    waits: str = ""
    slow: bool = False


def right(
    id: str, network: str, text: str, source: str, expect: str | type[Exception] = "equal", **options: Any
) -> Case:
    """A claim that is right, if only under `expect`."""
    waits, slow = options.pop("waits", ""), options.pop("slow", False)
    return Case(id, network, text, expect, source, (), options, waits, slow)


def wrong(
    id: str, network: str, text: str, source: str, mistake: str | tuple[str, ...] | None = None, **options: Any
) -> Case:
    """A claim that is not equal to what is derived, for one `mistake`."""
    kinds = (mistake,) if isinstance(mistake, str) else mistake or ()
    expect = options.pop("expect", "not equal")
    waits, slow = options.pop("waits", ""), options.pop("slow", False)
    return Case(id, network, text, expect, source, kinds, options, waits, slow)
