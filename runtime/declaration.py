"""A digest of all in a declaration that what is generated from it depends on.

Two declarations of the same digest give the same source, byte for byte; so a part that is not known to be spelled out
in full (a class of somebody's own, a `Dummy`, which is another one in every process) makes the digest None, and what
is generated is then not kept. Initialisers, and the values of hyper-parameters, stand in no source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from sympy import Basic, Dummy, Float, Integer, Rational, Symbol, Tuple
from sympy.core.singleton import Singleton

from ..symbolic import activations
from ..symbolic.equations import Equation
from ..symbolic.facts import Fact
from ..symbolic.functions import Elementwise, elementwise
from ..symbolic.letters import Letters
from ..symbolic.network import Network
from ..symbolic.tensors import Tensor

PACKAGE = __name__.split(".")[0]
UNUSED = ("initializers", "layers")  # of a network: no source depends on them

_PLAIN: Any = elementwise("plain", lambda z: z)


class NotSpelledOutError(Exception):
    """Something in a declaration is of a kind of which not all is known."""


def declaration_digest(network: Network, optimizer: Any, options: Any) -> str | None:
    """64 hexadecimal digits over a network, an optimizer and options of plain values; None where there are none."""
    try:
        return _Speller().digest([network, _update(optimizer), options]).hex()
    except NotSpelledOutError:
        return None


def _update(optimizer: Any) -> Any:
    """What the generator reads of an optimizer."""
    if optimizer is None:
        return None
    names = ("size", "q", "theta", "gradient", "step", "states", "equations")
    return [*((name, getattr(optimizer, name)) for name in names), list(optimizer.hyper)]


def _owned(kind: type) -> str:
    """The name of a class of this package or SymPy's."""
    if str(kind.__module__).split(".")[0] not in (PACKAGE, "sympy"):
        raise NotSpelledOutError(f"{kind.__module__}.{kind.__qualname__}")
    return f"{kind.__module__}.{kind.__qualname__}"


class _Speller:
    """Digests of values, made of those of their parts; each SymPy node once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Basic, bytes]] = {}  # with the node, lest another one get its id
        self._functions: dict[type, bytes] = {}

    def digest(self, value: Any) -> bytes:
        if isinstance(value, Basic):
            found = self._known.get(id(value))
            if found is None:
                found = self._known[id(value)] = (value, self._node(value))
            return found[1]
        if value is None or type(value) in (bool, int, float, str):
            return _joined(type(value).__name__, [repr(value).encode()])
        if type(value) in (list, tuple):
            return _joined("row", map(self.digest, value))
        if type(value) in (set, frozenset):
            return _joined("set", sorted(map(self.digest, value)))
        if type(value) is dict:  # what is printed may go by its order
            return _joined("dict", (self.digest(pair) for pair in value.items()))
        if type(value) in (Equation, Fact):
            return _joined(type(value).__name__, (self.digest(getattr(value, field.name)) for field in fields(value)))
        if type(value) is Letters:
            return _joined("letters", [self.digest(vars(value))])
        if isinstance(value, Network):
            parts = sorted(part for part in vars(value).items() if part[0] not in UNUSED)
            return _joined(_owned(type(value)), [self.digest(parts)])
        raise NotSpelledOutError(f"{type(value).__module__}.{type(value).__qualname__}")

    def _node(self, node: Any) -> bytes:
        kind = type(node)
        if isinstance(node, Elementwise):
            # At these arguments too: a formula may be another one for other arguments.
            return _joined(
                "function", [self._function(kind), *map(self.digest, [*node.args, node.expand_definition()])]
            )
        name = _owned(kind)
        if isinstance(node, Tensor):
            said = [part for part in sorted(vars(node).items()) if not part[0].startswith("_")]
            return _joined(name, [self.digest([node.name, said])])
        if isinstance(node, Dummy):
            raise NotSpelledOutError(name)
        if isinstance(node, Symbol):
            return _joined(name, [self.digest([node.name, sorted(node.assumptions0.items())])])
        if isinstance(node, Integer | Rational):
            return _joined(name, [f"{node.p}/{node.q}".encode()])
        if isinstance(node, Float):
            return _joined(name, [f"{node._mpf_} {node._prec}".encode()])
        if node.args:
            return _joined(name, map(self.digest, node.args))
        if isinstance(kind, Singleton) or isinstance(node, Tuple):
            return _joined(name, [])  # true, pi and their like: the name says all
        raise NotSpelledOutError(name)

    def _function(self, kind: Any) -> bytes:
        """A named function: ours, or somebody's of the same name and perhaps another formula; which of them it is."""
        if kind not in self._functions:
            if kind.__bases__ != (Elementwise,) or vars(kind).keys() - vars(_PLAIN).keys() - {"__slotnames__"}:
                # With a derivative of its own, perhaps; what has another name is pickle's, which leaves it there.
                raise NotSpelledOutError(kind.__name__)
            self._functions[kind] = b""  # a formula that calls itself would not end in any case
            places = [Symbol(f"#{place}", real=True) for place in range(len(kind.defaults))]
            spelled = [self.digest(kind.definition(*places)), self.digest(kind.symbol)]
            ours = kind is vars(activations).get(kind.__name__)
            number = len(self._functions)
            self._functions[kind] = _joined(f"{kind.__name__} {ours} {number}", spelled)
        return self._functions[kind]


def _joined(name: str, parts: Iterable[bytes]) -> bytes:
    made = hashlib.sha256(name.encode())
    for part in parts:
        made.update(len(part).to_bytes(8, "little"))
        made.update(part)
    return made.digest()
