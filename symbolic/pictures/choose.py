"""Which picture of a network is drawn: its dataflow, or its circuit with numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..errors import UnsupportedError
from ..notation import Notation
from .circuit import circuit
from .dataflow import dataflow
from .draw import Drawing

if TYPE_CHECKING:
    from ..derivation import Derivation
    from ..network import Network

CHOICES = {entry.name for entry in fields(Notation)}


def picture(
    network: Network,
    derivation: Derivation | None = None,
    values: Mapping[str, Any] | None = None,
    kind: str | None = None,
    **options: Any,
) -> Drawing:
    """The picture of a network; see `Network.picture`."""
    if kind is None:
        scalar = not any(tensor.rank for tensor in network.tensors.values())
        kind = "circuit" if network.loss is not None and (scalar or values is not None) else "dataflow"
    if kind not in ("circuit", "dataflow"):
        raise UnsupportedError(f"picture kind={kind!r}: expected 'dataflow' or 'circuit'")
    known = {
        "circuit": ("sizes", "split", "digits", "limit", "engine"),
        "dataflow": ("parameters", "engine"),
    }[kind]
    options["notation"] = Notation.of({name: options.pop(name) for name in CHOICES & set(options)})
    for name in options:
        if name not in (*known, "notation"):
            raise UnsupportedError(f"the {kind} has no option {name!r}; it has {', '.join(known)}")
    if kind == "circuit":
        return circuit(network, values, **options)
    if values is not None:
        raise UnsupportedError("the dataflow shows no numbers; give values to kind='circuit'")
    return dataflow(network, derivation, **options)
