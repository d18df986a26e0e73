"""Choices between two values in straight lines."""

from __future__ import annotations

from typing import Any

from numba import config, types
from numba.extending import intrinsic


def choice(typing_context: Any, condition: Any, yes: Any, no: Any) -> Any:
    """``yes if condition else no``, both computed: without a branch, which would have to be guessed."""
    kind = yes if yes == no else typing_context.unify_types(yes, no)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return kind(types.boolean, kind, kind), generate


where = (lambda condition, yes, no: yes if condition else no) if config.DISABLE_JIT else intrinsic(choice)
