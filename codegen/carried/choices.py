"""Choices between two values in straight lines."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic


def choice(typing_context: Any, condition: Any, yes: Any, no: Any) -> Any:
    """``yes if condition else no``, both computed: without a branch, which would have to be guessed.

    Where the condition is a row of truth values (``lanes.py``), so is the choice, and numbers stand in every lane.
    """
    row = next((kind for kind in (condition, yes, no) if hasattr(kind, "lanes")), None)
    parts = [getattr(kind, "dtype", kind) for kind in (yes, no)]
    kind = parts[0] if parts[0] == parts[1] else typing_context.unify_types(*parts)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = list(arguments)
        for place, given in enumerate(signature.args[1:] if row else (), 1):
            if not hasattr(given, "lanes"):
                unknown = ir.Constant(ir.VectorType(values[place].type, row.lanes), ir.Undefined)
                first = builder.insert_element(unknown, values[place], ir.IntType(32)(0))
                order = ir.Constant(ir.VectorType(ir.IntType(32), row.lanes), [0] * row.lanes)
                values[place] = builder.shuffle_vector(first, unknown, order)
        return builder.select(*values)

    if row is None:
        return kind(types.boolean, kind, kind), generate
    given = [part if hasattr(part, "lanes") else kind for part in (yes, no)]
    return type(row)(kind, row.lanes)(condition, *given), generate


where = (lambda condition, yes, no: yes if condition else no) if config.DISABLE_JIT else intrinsic(choice)
