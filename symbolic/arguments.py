"""What functions check of their arguments first: that they are a network, a list, or numbers for sizes."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

from .errors import SizeError, UndefinedError
from .network import Network
from .strict import listed


def check_network(network: Any) -> Network:
    """
    Raises
    ------
    UndefinedError
        If `network` is something else.
    """
    if not isinstance(network, Network):
        raise UndefinedError(
            f"network is {shown(network)}; expected a network, as gl.Network() or gl.Sequential(…) make them"
        )
    return network


def as_list(given: Any, name: str, expected: str) -> list[Any]:
    """
    Raises
    ------
    UndefinedError
        If `given` is nothing that can be listed.
    """
    found = listed(given)
    if found is None:
        raise UndefinedError(f"{name} is {shown(given)}; expected {expected}")
    return found


def as_mapping(given: Any, name: str, example: str) -> dict[str, Any]:
    """
    Raises
    ------
    UndefinedError
        If `given` is no mapping.
    """
    if not isinstance(given, Mapping):
        raise UndefinedError(f"{name} is {shown(given)}; expected a dict by name, as in {example}")
    return dict(given)


def check_numbers(sizes: Any, known: Iterable[str], network: Network) -> dict[str, int]:
    """The numbers of symbolic sizes, by name.

    Raises
    ------
    SizeError
        If one is not a positive whole number, or none of the sizes that are `known`.
    """
    if not isinstance(sizes, Mapping):
        raise SizeError(f"sizes is {sizes!r}; expected a dict of numbers by name, as in {{'n': 64}}")
    known, made = list(known), {}
    for name, size in sizes.items():
        if name not in known:
            have = f"its sizes are {', '.join(known)}" if known else "it has none: all are numbers"
            raise SizeError(f"{name!r} is no size of {network.name}: {have}")
        made[str(name)] = check_number(str(name), size)
    return made


def check_number(name: str, value: Any) -> int:
    """
    Raises
    ------
    SizeError
        If `value` is not a positive whole number.
    """
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number <= 0:
        raise SizeError(f"size {name} is {value!r}; expected a whole number of at least 1")
    return number


def shown(given: Any) -> str:
    return f"{given.__name__}, a class" if isinstance(given, type) else repr(given)
