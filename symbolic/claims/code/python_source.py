"""A user's Python function and its source: what it takes, what its results are called, where it raised an error."""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from ...errors import DataError, GradloomError


class UserCodeError(GradloomError, RuntimeError):
    """Code of the user's that raised an error, or returned what is no array.

    Attributes
    ----------
    line : of the user's file, or None
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def _names(parts: Sequence[ast.AST]) -> list[str] | None:
    """The names, if all parts are plain names."""
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    return names if len(names) == len(parts) else None


@dataclass(frozen=True)
class UserFunction:
    """A function that is judged.

    Attributes
    ----------
    call : the function itself
    name : its name
    """

    call: Callable[..., Any]
    name: str

    @cached_property
    def file(self) -> str:
        code = getattr(inspect.unwrap(self.call), "__code__", None)
        return code.co_filename if code is not None else ""

    @cached_property
    def line(self) -> int:
        code = getattr(inspect.unwrap(self.call), "__code__", None)
        return code.co_firstlineno if code is not None else 1

    @cached_property
    def parameters(self) -> list[inspect.Parameter]:
        """Those that are given arguments: not ``*args`` and ``**kwargs``.

        Raises
        ------
        UserCodeError
            If Python does not say what they are.
        """
        try:
            found = inspect.signature(self.call).parameters.values()
        except (TypeError, ValueError):
            raise UserCodeError(
                f"{self.name}: Python does not say what its parameters are; wrap it in a function of Python whose "
                "parameters are names of tensors"
            ) from None
        return [p for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]

    @cached_property
    def tree(self) -> ast.FunctionDef | None:
        """The function as it is written, if its source can be found."""
        try:
            source = textwrap.dedent(inspect.getsource(self.call))
            found = ast.parse(source).body[0]
        except (OSError, TypeError, SyntaxError, IndexError):
            return None
        return found if isinstance(found, ast.FunctionDef) else None

    @property
    def returned(self) -> list[str] | None:
        """The names in ``return dx, dw, db``, if there is one such line, or one alone in ``return dw``."""
        found = [node.value for node in self._own(ast.Return)]
        if len(found) != 1 or found[0] is None:
            return None
        return _names(found[0].elts if isinstance(found[0], ast.Tuple | ast.List) else [found[0]])

    def unpacked(self, parameter: str) -> list[str] | None:
        """The names on the left of ``x, w, b = cache``, where a parameter is taken apart."""
        for node in self._own(ast.Assign):
            target = node.targets[0]
            if isinstance(node.value, ast.Name) and node.value.id == parameter and isinstance(target, ast.Tuple):
                return _names(target.elts)
        return None

    def _own(self, kind: Any) -> list[Any]:
        """The nodes of a kind in the function's own body, not in functions inside."""
        found: list[Any] = []
        stack: list[ast.AST] = list(self.tree.body) if self.tree is not None else []
        while stack:
            node = stack.pop(0)
            if isinstance(node, kind):
                found.append(node)
            if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
                stack += ast.iter_child_nodes(node)
        return found

    def signature(self) -> str:
        try:
            return f"{self.name}({', '.join(p.name for p in self.parameters)})"
        except UserCodeError:
            return f"{self.name}(…)"


def guarded(file: str, about: str, function: Callable[[], Any]) -> Any:
    """Call code of the user's; what it raises becomes one message with the file, the line and the exception.

    Raises
    ------
    UserCodeError
    GradloomError
        What gradloom itself says of a name, as it is.
    """
    try:
        return function()
    except GradloomError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, SyntaxError) and error.filename == file:
            line = error.lineno
        else:
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
            line = lines[-1] if lines else None
        shown = file if not file.startswith("<") else about
        at = f"{shown}, line {line}" if line else shown or about
        message = getattr(error, "msg", None) if isinstance(error, SyntaxError) else str(error)
        raise UserCodeError(f"{at}: {type(error).__name__}: {message}", line) from error


def run_file(path: Path) -> ModuleType:
    """Run a Python file as a module of its own; modules beside it can be imported.

    Raises
    ------
    DataError
        If there is no such file.
    UserCodeError
        If it raises an error.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the claim {path}: {error.strerror}") from None
    module = ModuleType("gradloom_claim_" + hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12])
    module.__file__ = str(path)
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    sys.modules[module.__name__] = module
    try:
        guarded(str(path), str(path), lambda: exec(compile(source, str(path), "exec"), vars(module)))
    finally:
        sys.path.remove(folder)
    return module


__all__ = ["UserCodeError", "UserFunction", "guarded", "run_file"]
