"""Parts of flat buffers as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic


def part_of_buffer(typing_context: Any, buffer: Any, start: Any, shape: Any) -> Any:
    """The numbers of `buffer` from `start` on as an array of this shape; nothing is checked or counted.

    Numba compiles this many times faster than ``buffer[start:end].reshape(shape)``. The buffer must live on.
    """
    array = types.Array(buffer.dtype, len(shape), "C")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = context.make_array(buffer)(context, builder, arguments[0])
        number, count = ir.IntType(64), len(shape)
        size = context.get_abi_sizeof(context.get_data_type(buffer.dtype))
        extents = [builder.extract_value(arguments[2], axis) for axis in range(count)]
        steps = [number(size)]
        for extent in reversed(extents):
            steps.insert(0, builder.mul(steps[0], extent))
        model = context.data_model_manager[array]
        made = ir.Constant(context.get_value_type(array), None)  # nobody's to free
        fields = {"nitems": builder.sdiv(steps[0], number(size)), "itemsize": number(size)}
        fields["data"] = builder.gep(whole.data, [arguments[1]])
        for name, value in fields.items():
            made = builder.insert_value(made, value, model.get_field_position(name))
        for name, values in (("shape", extents), ("strides", steps[1:])):
            for axis, value in enumerate(values):
                made = builder.insert_value(made, value, [model.get_field_position(name), axis])
        return made

    return array(buffer, types.int64, types.UniTuple(types.int64, len(shape))), generate


def _sliced(buffer: Any, start: Any, shape: Any) -> Any:
    return buffer[start : start + int(np.prod(shape))].reshape(shape)


view = _sliced if config.DISABLE_JIT else intrinsic(part_of_buffer)
