"""The host's part of a module: what runs when it is imported, so far as its kernels need it.

That is constants, and factories: undecorated functions in which functions of kernels are defined and returned. The
functions of kernels themselves are only noted here, with what they capture; `functions.py` makes of them what runs.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

import numpy as np

from . import values
from .errors import LockstepError
from .rewrite import dotted

FILENAME = "<simulated>"
NOTED = "_noted"
Roles = dict[str, set[str]]


class Noted:
    """A kernel or a device function as the host has it, where it is a value and cannot be called."""

    def __init__(self, node: ast.FunctionDef, is_kernel: bool, function: FunctionType) -> None:
        self.node = node
        self.is_kernel = is_kernel
        self.defaults = function.__defaults__ or ()
        self.cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))

    @property
    def captured(self) -> dict[str, Any]:
        """What the function around it has bound, when the module is complete."""
        return {name: cell.cell_contents for name, cell in self.cells.items()}


class Noting(ast.NodeTransformer):
    """Replaces the decorators of kernels and device functions by one that notes them."""

    def __init__(self, roles: Roles, plain: set[str]) -> None:
        self.roles = roles
        self.plain = plain
        self.found: list[tuple[ast.FunctionDef, bool]] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        role = "kernel" if node.name in self.plain else role_of(node, self.roles)
        if role is None:
            self.generic_visit(node)
            return node
        node.returns = None
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        self.found.append((node, role == "kernel"))
        noted = ast.Call(ast.Name(NOTED, ast.Load()), [ast.Constant(len(self.found) - 1)], [])
        node.decorator_list = [ast.copy_location(noted, node)]
        return ast.fix_missing_locations(node)


def role_of(function: ast.FunctionDef, roles: Roles) -> str | None:
    for decorator in function.decorator_list:
        called = isinstance(decorator, ast.Call)
        name = dotted(decorator.func if called else decorator)
        if name in roles["device"]:
            return "device"
        if name in roles["kernel"]:
            return "device" if called and is_device(decorator) else "kernel"
    return None


def is_device(call: ast.Call) -> bool:
    return any(keyword.arg == "device" and getattr(keyword.value, "value", False) for keyword in call.keywords)


def named_decorators(tree: ast.Module, kernels: set[str]) -> set[str]:
    """The names that the module gives to decorators of device functions: `device = cuda.jit(device=True)`."""
    return {
        name
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        if dotted(node.value.func) in kernels and is_device(node.value)
        for name in map(dotted, node.targets)
    }


def names_in(node: ast.AST, context: type[ast.expr_context] | None = None) -> set[str]:
    names = (n for n in ast.walk(node) if isinstance(n, ast.Name))
    return {n.id for n in names if context is None or isinstance(n.ctx, context)}


def free(function: ast.FunctionDef) -> set[str]:
    """The names that a function reads and does not bind."""
    names = set().union(*(names_in(statement) for statement in function.body))
    return names - bound(function)


def bound(function: ast.FunctionDef) -> set[str]:
    """The names of a function of kernels that are its own: parameters, and what it assigns to."""
    stored = set().union(*(names_in(statement, ast.Store) for statement in function.body))
    return stored | {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}


def run(tree: ast.Module, roles: Roles, plain: set[str], hooks: dict[str, Any], apart: set[str]) -> dict[str, Any]:
    """The values of the top-level names that kernels need; kernels and device functions among them are `Noted`.

    Functions and assignments whose names are in `hooks` or `apart` are left out.
    """
    noting = Noting(roles, plain)
    apart = apart | hooks.keys()
    tree = noting.visit(tree)
    noted = {node for node, _ in noting.found}
    top = [node for node in tree.body if node in noted and node.name not in apart]
    kept = {*top, *needed_by(tree, set().union(*map(free, top)) - apart, apart, noted)}
    space = imports(tree, host_modules()) | hooks
    before = {*space, "__builtins__", NOTED}

    def note(number: int) -> Callable[[FunctionType], Noted]:
        return lambda function: Noted(*noting.found[number], function)

    space[NOTED] = note
    statements = [node for node in tree.body if node in kept]
    try:
        with np.errstate(over="ignore"):
            exec(compile(ast.Module(statements, []), FILENAME, "exec"), space)
    except Exception as error:
        assigned = {ast.unparse(n).split(" ")[0] for n in statements if isinstance(n, ast.Assign | ast.AnnAssign)}
        names = ", ".join(sorted(assigned))
        raise LockstepError(f"the constants {names} that kernels need cannot be computed: {error!r}") from error
    return {name: value for name, value in space.items() if name not in before}


def needed_by(tree: ast.Module, names: Iterable[str], apart: set[str], noted: set[ast.FunctionDef]) -> set[ast.stmt]:
    """The assignments that bind one of `names`, and all that those need, functions too."""
    binding: dict[str, list[ast.stmt]] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            for name in names_in(node, ast.Store):
                binding.setdefault(name, []).append(node)
    names = {name for name in names if name in binding}  # a kernel cannot call an undecorated function
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.decorator_list and node not in noted:
            binding.setdefault(node.name, []).append(node)
    found: set[ast.stmt] = set()
    waiting = sorted(names)
    while waiting:
        new = [node for node in binding.get(waiting.pop(), []) if node not in found]
        found |= {*new}
        waiting += [name for node in new for name in names_in(node) - apart]
    return found


def host_modules() -> dict[str, Any]:
    """The modules that the host's code computes with, by full name; `numba` is only there for its types."""
    return {
        "math": math,
        "numpy": np,
        **{f"math.{name}": value for name, value in vars(math).items()},
        **{f"numpy.{name}": value for name, value in vars(np).items()},
        **{f"numba.{name}": values.DTYPES[cast].type for name, cast in values.CASTS.items()},
    }


def imports(tree: ast.Module, known: dict[str, Any]) -> dict[str, Any]:
    """The names that the imports bind, where they are known; a kernel that uses another one fails at its name."""
    bound = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(aliases):
                prefix = ""
            case ast.ImportFrom(module=str(module), names=aliases):
                prefix = f"{module}."
            case _:
                continue
        for alias in aliases:
            if prefix + alias.name in known:
                bound[alias.asname or alias.name] = known[prefix + alias.name]
    return bound
