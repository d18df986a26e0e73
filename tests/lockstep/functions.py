"""From the noted functions of a module to those that run.

Each is rewritten once for what it captures: a factory that is called twice makes two. So it is known of every name that
is called what it stands for, and only calls of functions in which something yields become `yield from`.
"""

from __future__ import annotations

import ast
import copy
from types import FunctionType
from typing import Any

import numpy as np

from . import values
from .device import Constant
from .errors import LockstepError
from .host import FILENAME, Noted, bound
from .rewrite import Rewriter, dotted, operation

AROUND = "_around"


class Functions:
    """The functions of a module. `space` holds the globals of kernels, and gets those of `host`."""

    def __init__(self, host: dict[str, Any], space: dict[str, Any], collectives: dict[str, str]) -> None:
        self.host = host
        self.space = space
        self.collectives = collectives
        self.python = {id(value) for value in space.values()}  # what may be called although it is not noted
        self.built: dict[Noted, FunctionType] = {}
        self.yielding: dict[Noted, bool | None] = {}
        self.casts = values.CASTS | {name: v for name, v in (host | space).items() if is_cast(values.frozen(v))}
        for name, value in host.items():
            if not isinstance(value, FunctionType):
                space.setdefault(name, self.inside(value, name))

    def inside(self, value: Any, name: str) -> Any:
        """A value of the host as a kernel sees it."""
        if isinstance(value, Noted):
            return self.function(value)
        if isinstance(value, tuple):
            return tuple(self.inside(part, name) for part in value)
        if isinstance(value, np.ndarray):
            return Constant.array_like(value)
        if isinstance(value, FunctionType) and id(value) not in self.python:
            raise LockstepError(f'"{name}" is a function without a decorator; a kernel cannot call it')
        return values.frozen(value)

    def function(self, noted: Noted) -> FunctionType:
        """The function that runs, a generator if anything in it yields."""
        if noted in self.built:
            return self.built[noted]
        is_generator = self.yields(noted) or noted.is_kernel
        captured = {name: self.inside(value, name) for name, value in noted.captured.items()}
        casts = self.casts | {name: value for name, value in captured.items() if is_cast(value)}
        called = self.called(noted)
        yielding = {name for name, value in called.items() if isinstance(value, Noted) and self.yields(value)}
        own = called.keys() & bound(noted.node)
        rewriter = Rewriter(self.collectives, yielding, own, casts, len(self.built))
        node = copy.deepcopy(noted.node)
        node.args.defaults = []
        node = rewriter.function(node, is_generator)
        self.space |= rewriter.constants
        around = ast.parse(f"def {AROUND}({', '.join(captured)}): return {node.name}")
        around.body[0].body.insert(0, node)
        names: dict[str, Any] = {}
        exec(compile(around, FILENAME, "exec"), self.space, names)
        function = names[AROUND](**captured)
        function.__defaults__ = tuple(self.inside(value, node.name) for value in noted.defaults) or None
        self.built[noted] = function
        return function

    def called(self, noted: Noted) -> dict[str, Any]:
        """What the names stand for that a function calls; None where that is its own, and only known when it runs."""
        names = {dotted(node.func) for node in ast.walk(noted.node) if isinstance(node, ast.Call)}
        own, captured = bound(noted.node), noted.captured
        return {name: None if name in own else captured.get(name, self.host.get(name)) for name in names}

    def yields(self, noted: Noted) -> bool:
        """Whether a barrier or a collective is in a function, or in one that it calls, or may be."""
        if noted not in self.yielding:
            self.yielding[noted] = None
            calls = [node for node in ast.walk(noted.node) if isinstance(node, ast.Call)]
            called = self.called(noted)
            inner = [self.yields(value) for value in called.values() if isinstance(value, Noted)]
            here = any(operation(call, self.collectives) for call in calls)
            self.yielding[noted] = here or any(inner) or bool(called.keys() & bound(noted.node))
        found = self.yielding[noted]
        if found is None:
            raise LockstepError(f'"{noted.node.name}" at line {noted.node.lineno} calls itself')
        return found


def is_cast(value: Any) -> bool:
    return callable(value) and value in values.DTYPES
