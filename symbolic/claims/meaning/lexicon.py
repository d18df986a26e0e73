"""The names that a claim may use: those of a network, of its gradients and of functions, and the user's own aliases.

A name is known by its letter with accents and by its *labels*, what else belongs to it: the layer's number and letters
below. ``W^{(1)}_{i}``, ``W_i^{[1]}`` and ``W_{1,i}`` are all the letter W with the labels 1 and i; what is left of the
scripts are indices, powers and transpositions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...derivation import Derivation
from ...errors import GradloomError
from ...latex import name_latex, tensor_latex
from ...notation import Notation
from ...tensors import Adjoint, Tensor
from ...text import is_preactivation
from ..errors import ClaimSyntaxError, UnknownNameError
from ..latex.reader import read_expression
from ..latex.syntax import Group, Name, Node, Product
from .function_names import FUNCTIONS
from .items import items_of, text_of

# How a loss is called where the network calls nothing else so.
LOSS_NAMES = ("L", "E", "J", "C", r"\ell", "loss", "Loss", "cost", r"\mathcal L")
LOSS_LABELS = frozenset(["T", "tot", "total", "CE", "BCE", "MSE"])
LEARNING_RATES = (r"\eta", r"\alpha", "lr", r"\epsilon", r"\varepsilon")

Key = tuple[str, tuple[str, ...]]  # the letter and its accents


@dataclass(frozen=True)
class Entry:
    """What a name stands for.

    Attributes
    ----------
    kind : "tensor", "adjoint" (the gradient of the loss by the tensor), "loss", "size", "function", "node" (what the
        user wrote in its place), "rate" (the learning rate)
    labels : those that belong to the name
    """

    kind: str
    meaning: Any
    labels: tuple[str, ...] = ()


@dataclass
class Lexicon:
    """All names of one derivation; see `lexicon_of`."""

    derivation: Derivation
    entries: dict[Key, list[Entry]] = field(default_factory=dict)
    runs: dict[str, list[Entry]] = field(default_factory=dict)  # names of several letters side by side: dW2, logits

    def add(self, key: Key, entry: Entry) -> None:
        known = self.entries.setdefault(key, [])
        if entry not in known:
            known.append(entry)

    def add_run(self, letters: str, entry: Entry) -> None:
        known = self.runs.setdefault(letters, [])
        if entry not in known:
            known.append(entry)

    def add_symbol(self, symbol: str, entry: Entry) -> None:
        """`entry` under a name that is given in LaTeX."""
        key, labels = name_of(symbol)
        self.add(key, Entry(entry.kind, entry.meaning, labels))

    def run(self, letters: str, labels: Iterable[str]) -> list[Entry]:
        """The meanings of letters side by side whose labels are all among `labels`; those with the most labels."""
        known = [entry for entry in self.runs.get(letters, []) if set(entry.labels) <= set(labels)]
        most = max((len(entry.labels) for entry in known), default=0)
        return [entry for entry in known if len(entry.labels) == most]

    def names(self) -> list[str]:
        """Every name, for messages."""
        tensors = [tensor_latex(t) for t in self.derivation.network.tensors.values()]
        return list(dict.fromkeys(tensors))

    def labelled(self, name: Name) -> list[Entry]:
        return self.entries.get(key_of(name), [])


def key_of(name: Name) -> Key:
    base = r"\mathcal L" if name.font in ("mathcal", "mathscr") and name.base == "L" else name.base
    return base.replace(r"\var", "\\") if base in (r"\varepsilon", r"\varphi") else base, name.accents


def name_of(symbol: str) -> tuple[Key, tuple[str, ...]]:
    """The key and the labels of a name in LaTeX.

    Raises
    ------
    ClaimSyntaxError
        If it is no single name.
    """
    node: Node = read_expression(symbol)
    while isinstance(node, Group) and node.opening == "" and len(node.content) == 1 and not node.scripts:
        node = node.content[0]  # type: ignore[assignment]
    if isinstance(node, Product) and not any(node.operators) and all(isinstance(f, Name) for f in node.factors):
        last = node.factors[-1]
        letters = "".join(text_of(Name(f.base)) for f in node.factors)  # type: ignore[union-attr]
        return (letters, ()), tuple(item.text for item in items_of(last.scripts))  # type: ignore[union-attr]
    if not isinstance(node, Name):
        raise ClaimSyntaxError(f"{symbol!r} is no name: expected a letter with accents and scripts", symbol, 0)
    return key_of(node), tuple(item.text for item in items_of(node.scripts))


def lexicon_of(
    derivation: Derivation,
    aliases: Mapping[str, str] | None = None,
    functions: Mapping[str, Any] | None = None,
    symbols: Mapping[str, str] | None = None,
) -> Lexicon:
    """The lexicon of a derivation.

    Parameters
    ----------
    aliases : what the user writes → what it stands for, both in LaTeX (or the name of a tensor or a size):
        ``{"dZ": r"m \\frac{\\partial L}{\\partial z}", "m": "B"}``
    functions : name of a function in LaTeX → what makes its SymPy expression, ``{"g": gl.tanh}``
    symbols : name of a tensor → its symbol, as for printing

    Raises
    ------
    ClaimSyntaxError
        If an alias cannot be read.
    """
    network = derivation.network
    made = Lexicon(derivation)
    chosen = dict(symbols or {})
    for tensor in network.tensors.values():
        _add_tensor(made, tensor, chosen)
    for name, symbol in chosen.items():  # what the user calls a tensor is the name of no other
        key, labels = name_of(symbol)
        if name not in network.tensors:
            raise UnknownNameError(
                f"symbols: {network.name} has no tensor {name!r}; it has {', '.join(network.tensors)}"
            )
        made.entries[key] = [
            e for e in made.entries.get(key, []) if e.labels != labels or e.kind == "function" or e.meaning.name == name
        ]
    for size in sorted({s for t in network.tensors.values() for z in t.shape for s in z.free_symbols}, key=str):
        made.add_symbol(name_latex(size.name), Entry("size", size))
        if len(size.name) > 1:
            made.add_run(size.name, Entry("size", size))
    for name, function in {**FUNCTIONS, **(functions or {})}.items():
        if re.search(r"[\\_{]", name.removeprefix("\\")):  # a symbol of its own, \operatorname{gelu}_{\tanh}
            made.add_symbol(name, Entry("function", function))
        else:
            made.add((name, ()), Entry("function", function))
    _prefer_tensors(made)
    loss = network.loss
    if loss is not None:
        for name in LOSS_NAMES:
            if (name, ()) not in made.entries:
                made.add((name, ()), Entry("loss", loss))
    for rate in LEARNING_RATES:
        if (rate, ()) not in made.entries:
            made.add((rate, ()), Entry("rate", rate))
    for written, meaning in (aliases or {}).items():
        _add_alias(made, written, meaning)
    return made


def _add_tensor(made: Lexicon, tensor: Tensor, symbols: Mapping[str, str]) -> None:
    entry = Entry("loss" if tensor == made.derivation.network.loss else "tensor", tensor)
    spelled = {tensor_latex(tensor, Notation(symbols=symbols))}
    if tensor.name not in symbols:
        spelled.add(tensor_latex(tensor, Notation(layers="names")))
    for symbol in sorted(spelled):
        try:
            made.add_symbol(symbol, entry)
        except GradloomError:  # a symbol that is no name, \frac{…}: it has the tensor's own name still
            continue
    made.add_run(tensor.name, entry)
    loss = made.derivation.network.loss
    if loss is None or tensor == loss:
        return
    adjoint = Entry("adjoint", tensor)
    made.add_run(f"d{tensor.name}", adjoint)
    made.add_run(f"delta{tensor.name.removeprefix('z')}", adjoint)
    for symbol in sorted(spelled):
        try:
            _, labels = name_of(symbol)
        except GradloomError:
            continue
        if _has_delta(made, tensor):
            made.add((r"\delta", ()), Entry("adjoint", tensor, labels))
        made.add((r"\delta", ()), Entry("adjoint", tensor, (symbol.replace(" ", ""),)))
    try:
        made.add_symbol(tensor_latex(Adjoint(tensor, loss), Notation(symbols=symbols)), adjoint)
    except GradloomError:
        return


def _prefer_tensors(made: Lexicon) -> None:
    """Take away δ for a gradient where a tensor of the network has that name, as in the derivative of a derivation."""
    for tensor in made.derivation.network.tensors.values():
        if isinstance(tensor, Adjoint):  # ∂L/∂w, which this network computes of another's loss
            made.add_symbol(tensor_latex(tensor.loss), Entry("tensor", tensor.loss))
    # Of two values with the same number, δ is the gradient of the pre-activation, as gradloom prints it.
    deltas = made.entries.get((r"\delta", ()), [])
    first = {entry.labels for entry in deltas if entry.kind == "adjoint" and is_preactivation(entry.meaning)}
    made.entries[r"\delta", ()] = [
        entry
        for entry in deltas
        if entry.kind != "adjoint" or entry.labels not in first or is_preactivation(entry.meaning)
    ]
    for key, entries in made.entries.items():
        taken = {entry.labels for entry in entries if entry.kind == "tensor"}
        made.entries[key] = [e for e in entries if e.kind != "adjoint" or e.labels not in taken]


def _has_delta(made: Lexicon, tensor: Tensor) -> bool:
    """Whether people write δ for the gradient of `tensor`: a value that a function is applied to, entry by entry."""
    network = made.derivation.network
    if tensor.role != "value" or tensor.rank == 0:
        return False
    return is_preactivation(tensor) or any(is_applied(equation, tensor) for equation in network.equations)


def is_applied(equation: Any, tensor: Tensor) -> bool:
    """Whether `equation` is a function of `tensor` alone, entry by entry."""
    from ...binders import Binder
    from ...tensors import elements, indices_of, tensor_of

    read = elements(equation.body)
    return (
        not equation.body.has(Binder)
        and {tensor_of(element) for element in read} == {tensor}
        and all(tuple(indices_of(element)) == tuple(equation.indices) for element in read)
        and bool(equation.indices)
    )


def _add_alias(made: Lexicon, written: str, meaning: str) -> None:
    node = read_expression(written)
    network = made.derivation.network
    sizes = {s.name: s for t in network.tensors.values() for z in t.shape for s in z.free_symbols}
    if meaning in network.tensors:
        entry = Entry("tensor", network.tensors[meaning])
    elif meaning in sizes:
        entry = Entry("size", sizes[meaning])
    else:
        entry = Entry("node", (read_expression(meaning), meaning))
    if isinstance(node, Name):
        key, labels = key_of(node), tuple(item.text for item in items_of(node.scripts))
        others = [known for known in made.entries.get(key, []) if known.labels != labels or known.kind == "function"]
        made.entries[key] = [*others, Entry(entry.kind, entry.meaning, labels)]
        return
    if not isinstance(node, Product) or any(node.operators):
        raise ClaimSyntaxError(f"alias {written!r} is no name; expected one such as dW2 or \\delta^2", written, 0)
    letters, labels = run_text(node.factors), tuple(item.text for item in items_of(node.factors[-1].scripts))  # type: ignore[union-attr]
    others = [known for known in made.runs.get(letters, []) if known.labels != labels]
    made.runs[letters] = [Entry(entry.kind, entry.meaning, labels), *others]


def run_text(factors: Iterable[Node]) -> str:
    """Factors side by side as one name: ``dW2``; scripts belong to the last and are not part of it."""
    return "".join(f.base.removeprefix("\\") if isinstance(f, Name) else f.text for f in factors)  # type: ignore[union-attr]
