"""The functions of a module as generators: barriers and collectives yield, memory is reached through functions.

| source | becomes |
|---|---|
| `cuda.syncthreads()` | `(yield ("syncthreads", line))` |
| `f(x)`, f a device function in which something yields | `(yield from f(x))` |
| `f(x)`, f a parameter or a variable | `(yield from _ended(f(x)))`, which looks whether it is a generator |
| `a[i]` | `_load(a, i, line)` |
| `a[i] = v` | `_store(a, i, v, line)` |
| `a[i] += v` | `_store(a, i, _load(a, i, line) + v, line)` |
| `0.5`, `3`, `float32(0.5)` | names of `np.float64(0.5)`, `np.int64(3)`, `np.float32(0.5)` |
| `cuda.shared.array(n, float32)` | the same, with its place in the source and the name it is given |
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from .errors import LockstepError

COLLECTIVES = {
    **{f"cuda.{name}": name for name in "syncthreads syncthreads_and syncthreads_or syncthreads_count".split()},
    **{f"cuda.{name}": name for name in "syncwarp ballot_sync all_sync any_sync".split()},
    **{f"cuda.{name}": name for name in "shfl_sync shfl_xor_sync shfl_up_sync shfl_down_sync".split()},
    "mma_tf32": "mma_tf32",
    "grid_barrier": "grid",
}
"""What the source calls, and the operation that it is. `.sync()` of whatever `cuda.cg.this_grid()` is yields "grid"."""

REFUSED = (
    ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Yield, ast.YieldFrom, ast.Await,
    ast.Try, ast.With, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Delete, ast.Global, ast.Nonlocal,
    ast.Import, ast.ImportFrom, ast.NamedExpr, ast.Starred,
)  # fmt: skip


def dotted(node: ast.expr) -> str:
    """`cuda.cg.this_grid` of the expression with that source, "" of any other."""
    match node:
        case ast.Name(name):
            return name
        case ast.Attribute(value, name) if dotted(value):
            return f"{dotted(value)}.{name}"
    return ""


def operation(call: ast.Call, collectives: dict[str, str]) -> str | None:
    """The collective that a call is, if it is one."""
    name = dotted(call.func)
    if name in collectives:
        return collectives[name]
    is_sync = isinstance(call.func, ast.Attribute) and call.func.attr == "sync" and not call.args
    return "grid" if is_sync else None


class Rewriter(ast.NodeTransformer):
    """Rewrites one function; `constants` is what the names of literals stand for.

    `yielding` are the names that stand for generators, `unknown` those of which this is known only when it runs.
    `number` tells the arrays of this function from those of another one that comes from the same source.
    """

    def __init__(
        self,
        collectives: dict[str, str],
        yielding: set[str],
        unknown: set[str],
        casts: dict[str, Callable[[Any], Any]],
        number: int,
    ) -> None:
        self.collectives = collectives
        self.casts = casts
        self.yielding = yielding
        self.unknown = unknown
        self.number = number
        self.constants: dict[str, Any] = {}
        self.named = ""
        self.temporaries = 0

    def function(self, node: ast.FunctionDef, generator: bool) -> ast.FunctionDef:
        node.decorator_list = []
        node.body = [new for old in node.body for new in self.statements(old)]
        if generator:
            node.body.insert(0, ast.parse("if False: yield").body[0])
        return ast.fix_missing_locations(node)

    def statements(self, node: ast.stmt) -> list[ast.stmt]:
        new = self.visit(node)
        return new if isinstance(new, list) else [new]

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, REFUSED):
            what = f"{type(node).__name__} at line {getattr(node, 'lineno', '?')}"
            raise LockstepError(f"{what}: neither Numba's CUDA target nor the simulator runs it inside a kernel")
        return super().visit(node)

    # Literals.

    def constant(self, value: Any, node: ast.AST) -> ast.Name:
        name = f"_{type(value).__name__}_{value!r}"
        self.constants[name] = value
        return ast.copy_location(ast.Name(name, ast.Load()), node)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        number = literal(node)
        return node if number is None else self.constant(typed(number), node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        number = literal(node)
        return self.generic_visit(node) if number is None else self.constant(typed(number), node)

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        node.left, node.right = self.visit(node.left), self.right(node.op, node.right)
        return node

    def right(self, operator: ast.operator, node: ast.expr) -> ast.expr:
        # Numba keeps a float32 to a literal whole power a float32, and so does NumPy to a Python integer.
        return node if isinstance(operator, ast.Pow) and isinstance(literal(node), int) else self.visit(node)

    # Calls.

    def visit_Call(self, node: ast.Call) -> Any:
        name = dotted(node.func)
        cast = self.casts.get(name.rpartition(".")[2])
        if cast is not None and len(node.args) == 1:
            number = literal(node.args[0])
            if number is not None:
                return self.constant(cast(number), node)
        what = operation(node, self.collectives)
        line = node.lineno
        self.generic_visit(node)
        if what is not None:
            if node.keywords:
                raise LockstepError(f"line {line}: {name} with keywords; the simulator takes them by position")
            parts = [ast.Constant(what), ast.Constant(line), *node.args]
            return ast.copy_location(ast.Yield(ast.Tuple(parts, ast.Load())), node)
        if name.endswith(("shared.array", "local.array")):
            site = ast.Tuple([ast.Constant(n) for n in (line, node.col_offset, self.number)], ast.Load())
            node.keywords += [ast.keyword("site", site), ast.keyword("name", ast.Constant(self.named or "unnamed"))]
        if name in self.yielding:
            return ast.copy_location(ast.YieldFrom(node), node)
        if name in self.unknown:
            ended = ast.Call(ast.Name("_ended", ast.Load()), [node], [])
            return ast.copy_location(ast.YieldFrom(ast.copy_location(ended, node)), node)
        return node

    # Memory.

    def visit_Slice(self, node: ast.Slice) -> ast.expr:
        ends = [ast.Constant(None) if end is None else self.visit(end) for end in (node.lower, node.upper, node.step)]
        return ast.copy_location(ast.Call(ast.Name("slice", ast.Load()), ends, []), node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        line = ast.Constant(node.lineno)
        call = ast.Call(ast.Name("_load", ast.Load()), [self.visit(node.value), self.visit(node.slice), line], [])
        return ast.copy_location(call, node)

    def temporary(self) -> str:
        self.temporaries += 1
        return f"_temporary_{self.temporaries}"

    def assigned(self, target: ast.expr, value: ast.expr) -> list[ast.stmt]:
        """The statements that put `value`, an expression without effects, into `target`."""
        match target:
            case ast.Name():
                new: ast.stmt = ast.Assign([target], value)
            case ast.Subscript(array, index):
                stored = [self.visit(array), self.visit(index), value, ast.Constant(target.lineno)]
                new = ast.Expr(ast.Call(ast.Name("_store", ast.Load()), stored, []))
            case ast.Tuple(parts):
                names = [self.temporary() for _ in parts]
                unpacked = ast.Tuple([ast.Name(name, ast.Store()) for name in names], ast.Store())
                first = ast.copy_location(ast.Assign([unpacked], value), target)
                return [first] + [
                    statement
                    for name, part in zip(names, parts, strict=True)
                    for statement in self.assigned(part, ast.Name(name, ast.Load()))
                ]
            case _:
                raise LockstepError(f"line {target.lineno}: assignment to {ast.unparse(target)}")
        return [ast.copy_location(new, target)]

    def visit_Assign(self, node: ast.Assign) -> list[ast.stmt]:
        self.named = dotted(node.targets[0])
        value = self.visit(node.value)
        self.named = ""
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name | ast.Subscript):
            return self.assigned(node.targets[0], value)
        name = self.temporary()
        first = ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], value), node)
        return [first] + [s for target in node.targets for s in self.assigned(target, ast.Name(name, ast.Load()))]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> list[ast.stmt]:
        return self.assigned(node.target, self.visit(node.value)) if node.value is not None else []

    def visit_AugAssign(self, node: ast.AugAssign) -> list[ast.stmt] | ast.stmt:
        target = node.target
        if not isinstance(target, ast.Subscript):
            old: ast.expr = ast.Name(dotted(target), ast.Load())
            new = self.visit(ast.copy_location(ast.BinOp(old, node.op, node.value), node))
            return self.assigned(target, new)
        names = self.temporary(), self.temporary()
        first = [
            ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], self.visit(part)), node)
            for name, part in zip(names, (target.value, target.slice), strict=True)
        ]
        array, index = (ast.Name(name, ast.Load()) for name in names)
        line = ast.Constant(node.lineno)
        read = ast.copy_location(ast.Call(ast.Name("_load", ast.Load()), [array, index, line], []), node)
        value = ast.copy_location(ast.BinOp(read, node.op, self.right(node.op, node.value)), node)
        write = ast.Call(ast.Name("_store", ast.Load()), [array, index, value, line], [])
        return [*first, ast.copy_location(ast.Expr(write), node)]


def ended(result: Any) -> Generator[Any, Any, Any]:
    """The result of a call that may have made a generator."""
    return (yield from result) if isinstance(result, Generator) else result


def literal(node: ast.expr) -> int | float | None:
    """The number that a literal is, with its sign."""
    match node:
        case ast.Constant(int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(ast.USub(), operand) if (inner := literal(operand)) is not None:
            return -inner
    return None


def typed(number: int | float) -> Any:
    """A bare literal as Numba types it."""
    if isinstance(number, float):
        return np.float64(number)
    return np.int64(number) if number < 1 << 63 else np.uint64(number)
