"""Source that generated modules carry with them: they stand alone, so what they call is copied into them.

The files that parts are taken from are ordinary modules of this folder, linted, typed and tested as such. They are read
here, not imported: that would import Numba. Those of the folder `cuda` are for kernels on a GPU.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILES = tuple(
    f"{name}.py"
    for name in (
        "elementary vectors operands tiles panels contraction sums choices lanes clock team announce subnormal views"
    ).split()
)
CUDA_FILES = tuple(f"cuda/{name}.py" for name in "intrinsics grid operands matmul tf32 scalars".split())
INSTALLED = ("llvmlite", "numba")
# What generated code calls of them.
ELEMENTARY = frozenset("exp expm1 log log1p logaddexp logistic tanh erf erfc".split())
CALLED = ELEMENTARY.union(
    (
        "plus larger where in_lanes contraction rows_of clock wait announce begin halves of_half view flushed restored"
    ).split()
)


@dataclass(frozen=True)
class Carried:
    """What a generated module carries.

    Attributes
    ----------
    names : what is asked for
    standard, installed : import lines, of the standard library and of Numba, with that of ``njit``
    lines : the definitions
    """

    names: tuple[str, ...]
    standard: tuple[str, ...]
    installed: tuple[str, ...]
    lines: tuple[str, ...]


NOTHING = Carried((), (), ("from numba import njit",), ())


@dataclass(frozen=True)
class _Part:
    """A top-level statement: what it defines, what it uses, and its lines with the comment above."""

    names: frozenset[str]
    uses: frozenset[str]
    lines: tuple[str, ...]
    is_block: bool  # a function or class, with blank lines around


def carry(names: Iterable[str]) -> Carried:
    """The functions of these names, all they use, and the imports that takes.

    Raises
    ------
    KeyError
        If no file defines one of them.
    """
    asked = tuple(sorted(names))
    return _carry(asked, FILES, [("numba", "njit")]) if asked else NOTHING


def carry_cuda(names: Iterable[str], imported: Iterable[str] = ()) -> Carried:
    """The same for a module of CUDA kernels, of the files of the folder `cuda`; without ``njit``.

    `imported` are names of Numba that the module uses itself.
    """
    return _carry(tuple(sorted(names)), CUDA_FILES, [("numba", name) for name in imported])


def _carry(asked: tuple[str, ...], files: tuple[str, ...], always: list[tuple[str, str]]) -> Carried:
    parts, imports = _read(files)
    where = {name: part for part in parts for name in part.names}
    needed, wanted = set(asked), list(asked)
    while wanted:
        name = wanted.pop()
        found = where[name].uses & (where.keys() | imports.keys()) - needed
        needed |= found
        wanted += [use for use in found if use in where]
    lines: list[str] = []
    after_block = False
    for part in parts:
        if part.names & needed:
            lines += [""] * (2 * (bool(lines) and (part.is_block or after_block))) + [*part.lines]
            after_block = part.is_block
    used = [(module, name) for name, module in imports.items() if name in needed]
    numba = [*always, *(line for line in used if line[0].startswith(INSTALLED) and line not in always)]
    standard = _together(line for line in used if line not in numba)
    return Carried(asked, ("from __future__ import annotations", "", *standard), _together(numba), tuple(lines))


def _together(imports: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """``from module import name`` for pairs of those, one line for each module."""
    by_module: dict[str, list[str]] = {}
    for module, name in imports:
        by_module.setdefault(module, []).append(name)
    return tuple(f"from {module} import {', '.join(sorted(found))}" for module, found in sorted(by_module.items()))


@cache
def _read(files: tuple[str, ...]) -> tuple[list[_Part], dict[str, str]]:
    """The parts of the files in order, and what names are imported from."""
    parts: list[_Part] = []
    imports: dict[str, str] = {}
    for file in files:
        source = (Path(__file__).parent / file).read_text(encoding="utf-8")
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.ImportFrom) and statement.module != "__future__" and not statement.level:
                assert statement.module is not None
                imports |= {alias.name: statement.module for alias in statement.names}
            elif isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.Assign):
                parts.append(_part(statement, source.splitlines()))
    return parts, imports


def _part(statement: ast.FunctionDef | ast.ClassDef | ast.Assign, lines: list[str]) -> _Part:
    is_block = not isinstance(statement, ast.Assign)
    first = min([statement.lineno, *(node.lineno for node in getattr(statement, "decorator_list", []))]) - 1
    while lines[first - 1].startswith("#"):
        first -= 1
    found = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
    names = {statement.name} if not isinstance(statement, ast.Assign) else {node.id for node in found if _is_set(node)}
    uses = {node.id for node in found if not _is_set(node)} - names
    return _Part(frozenset(names), frozenset(uses), tuple(lines[first : statement.end_lineno]), is_block)


def _is_set(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)
