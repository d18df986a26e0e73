"""How a part of an operand of a product comes from global into shared memory, on one of two ways.

An operand is addressed by two indices: the *outer* one, which the result has too (a row of the left one, a column of
the right one), and the *inner* one, which is summed over. Along one of the two its elements may be neighbours.
"""

from numba import int32, int64

from .intrinsics import along, cp_async4, cp_async16, device, ld4, st4


def through_registers(real, size, depth, threads, along_inner, wide):
    """Two functions that move `size` × `depth` elements: ``load`` into registers, ``put`` on into shared memory.

    There they lie as depth rows of size + 4 numbers, whichever way they lay before.
    """
    GROUP = 4 if wide else 1
    ACROSS = (depth if along_inner else size) // GROUP
    TURNS = size * depth // (GROUP * threads)
    WIDTH = size + 4
    OUTER_STEP, INNER_STEP = (threads // ACROSS, 0) if along_inner else (0, threads // ACROSS)

    @device
    def load(thread, values, base, outer_stride, inner_stride, first, limit, begin, end):
        run = int32(thread % int32(ACROSS) * int32(GROUP))
        other = int32(thread // int32(ACROSS))
        outer, inner = (other, run) if along_inner else (run, other)
        outer = int32(outer + first)
        inner = int32(inner + begin)
        for turn in range(TURNS):
            is_inside = outer < limit and inner < end
            if wide:
                a = b = c = d = real(0)
                if is_inside:
                    a, b, c, d = ld4(base, along(outer_stride, outer) + along(inner_stride, inner))
                values[turn * 4] = a
                values[turn * 4 + 1] = b
                values[turn * 4 + 2] = c
                values[turn * 4 + 3] = d
            else:
                value = real(0)
                if is_inside:
                    value = base[along(outer_stride, outer) + along(inner_stride, inner)]
                values[turn] = value
            outer = int32(outer + int32(OUTER_STEP))
            inner = int32(inner + int32(INNER_STEP))

    @device
    def put(thread, stage, start, values):
        run = int32(thread % int32(ACROSS) * int32(GROUP))
        other = int32(thread // int32(ACROSS))
        outer, inner = (other, run) if along_inner else (run, other)
        to = start + inner * WIDTH + outer
        for turn in range(TURNS):
            if wide and not along_inner:
                a, b, c, d = values[turn * 4], values[turn * 4 + 1], values[turn * 4 + 2], values[turn * 4 + 3]
                st4(stage, to, a, b, c, d)
            else:
                for lane in range(GROUP):
                    stage[to + lane * WIDTH] = values[turn * GROUP + lane]
            to += OUTER_STEP + INNER_STEP * WIDTH

    return load, put


def past_registers(size, depth, threads, along_inner, wide):
    """``copy``, which begins to move `size` × `depth` float32 into shared memory, and ``where`` one lies there.

    What is along the inner index lies as size rows of depth + 4, what is not as depth rows of size + 8: so that the
    lanes of a warp, which read eight outer and four inner places at once, find them in 32 different banks.
    """
    GROUP = 4 if wide else 1
    ACROSS = (depth if along_inner else size) // GROUP
    TURNS = size * depth // (GROUP * threads)
    WIDTH = depth + 4 if along_inner else size + 8
    OUTER_STEP, INNER_STEP = (threads // ACROSS, 0) if along_inner else (0, threads // ACROSS)

    @device
    def where(outer, inner):
        if along_inner:
            return outer * WIDTH + inner
        return inner * WIDTH + outer

    @device
    def copy(thread, stage, start, base, outer_stride, inner_stride, first, limit, begin, end):
        run = int32(thread % int32(ACROSS) * int32(GROUP))
        other = int32(thread // int32(ACROSS))
        outer, inner = (other, run) if along_inner else (run, other)
        to = start + where(outer, inner)
        outer = int32(outer + first)
        inner = int32(inner + begin)
        for _ in range(TURNS):
            is_inside = outer < limit and inner < end
            source = int64(0)  # a place that exists: nothing is read of it
            if is_inside:
                source = along(outer_stride, outer) + along(inner_stride, inner)
            if wide:
                cp_async16(stage, to, base, source, is_inside)
            else:
                cp_async4(stage, to, base, source, is_inside)
            to += where(OUTER_STEP, INNER_STEP)
            outer = int32(outer + int32(OUTER_STEP))
            inner = int32(inner + int32(INNER_STEP))

    return copy, where
