"""The same products on tensor cores, which round the factors to 10 bits of mantissa and add in float32."""

from numba import cuda, float32, int32, int64

from .intrinsics import anew, cp_commit, cp_wait0, cp_wait1, device, mma_tf32, pointer_to, tf32
from .operands import past_registers


def tf32_tile(size, depth, each, left_way, right_way, write):
    """A function of kernels that computes one tile of C[r, c] = Σ_k A(r, k) B(k, c) of float32, with rounded factors.

    `size`, `depth`, the two ways and `write` are those of `simt_tile`, and what is returned is called as its ``tile``
    is. The differences: `each` is what one *warp* computes, rows in multiples of 16 and columns in multiples of 8, so
    that the block has 32 rows/each · columns/each threads; `depth` is a multiple of 8; and `stage` has

        3 (rows (depth + 4)  if left along inner, else depth (rows + 8)) + the same of the right and columns

    numbers, which for large tiles is more than the 48 KiB that a block has without asking: then it is the dynamic
    ``cuda.shared.array(0, float32, alignment=16)``.

    Factors are rounded to nearest: a relative error of at most 2⁻¹¹ each. The order of additions is fixed.
    """
    ROWS, COLUMNS = size
    HIGH, BROAD = each[0] // 16, each[1] // 8
    HALF = (HIGH + 1) // 2
    PARTS, LEFT_PARTS, RIGHT_PARTS = HIGH * BROAD * 4, HIGH * 4, BROAD * 2
    WARPS_DOWN = ROWS // each[0]
    WARP_ROWS, WARP_COLUMNS = each
    THREADS = 32 * WARPS_DOWN * (COLUMNS // each[1])
    DEPTH = depth
    LEFT = ROWS * (depth + 4) if left_way[0] else depth * (ROWS + 8)
    SIDE = LEFT + (COLUMNS * (depth + 4) if right_way[0] else depth * (COLUMNS + 8))
    copy_left, left_place = past_registers(ROWS, depth, THREADS, *left_way)
    copy_right, right_place = past_registers(COLUMNS, depth, THREADS, *right_way)

    @device
    def after(start):
        return start + SIDE if start < 2 * SIDE else int64(0)

    @device
    def multiply(sums, lefts, rights, m):
        for n in range(BROAD):
            p = (m * BROAD + n) * 4
            a, b, c, d = mma_tf32(
                sums[p], sums[p + 1], sums[p + 2], sums[p + 3],
                lefts[m * 4], lefts[m * 4 + 1], lefts[m * 4 + 2], lefts[m * 4 + 3],
                rights[n * 2], rights[n * 2 + 1],
            )  # fmt: skip
            sums[p] = a
            sums[p + 1] = b
            sums[p + 2] = c
            sums[p + 3] = d

    @device
    def write_blocks(target, first_row, first_column, rows, columns, sums, m):
        for n in range(BROAD):
            for part in range(4):
                row = int32(first_row + int32(m * 16 + part // 2 * 8))
                column = int32(first_column + int32(n * 8 + part % 2))
                if row < rows and column < columns:
                    write(target, row, column, sums[(m * BROAD + n) * 4 + part])

    @device
    def tile(
        stage, left, left_row, left_inner, right, right_inner, right_column,
        rows, columns, begin, end, first_row, first_column, target,
    ):  # fmt: skip
        sums = cuda.local.array(PARTS, float32)
        lefts = cuda.local.array(LEFT_PARTS, int32)
        rights = cuda.local.array(RIGHT_PARTS, int32)
        staged = pointer_to(stage)
        thread = anew(int32(cuda.threadIdx.x)) & int32(1023)
        warp = thread // int32(32)
        across = int32(thread % int32(32) // int32(4))
        within = int32(thread % int32(4))
        high = int32(warp % int32(WARPS_DOWN) * int32(WARP_ROWS) + across)
        broad = int32(warp // int32(WARPS_DOWN) * int32(WARP_COLUMNS))
        for place in range(PARTS):
            sums[place] = float32(0)
        cuda.syncthreads()
        for ahead in range(2):
            inner = int32(begin + ahead * DEPTH)
            to = ahead * SIDE
            copy_left(thread, staged, to, left, left_row, left_inner, first_row, rows, inner, end)
            copy_right(thread, staged, to + LEFT, right, right_column, right_inner, first_column, columns, inner, end)
            cp_commit()
        start = int64(0)  # of the three parts of the stage: one is read, two are on their way
        inner = int32(begin)
        while inner < end:
            cp_wait1()
            cuda.syncthreads()
            to = after(after(start))
            coming = int32(inner + 2 * DEPTH)
            copy_left(thread, staged, to, left, left_row, left_inner, first_row, rows, coming, end)
            copy_right(thread, staged, to + LEFT, right, right_column, right_inner, first_column, columns, coming, end)
            cp_commit()
            from_left = start + left_place(high, within)
            from_right = start + LEFT + right_place(broad + across, within)
            for k in range(DEPTH // 8):
                for m in range(HIGH):
                    for part in range(4):
                        place = left_place(m * 16 + part % 2 * 8, k * 8 + part // 2 * 4)
                        lefts[m * 4 + part] = tf32(staged[from_left + place])
                for n in range(BROAD):
                    for part in range(2):
                        rights[n * 2 + part] = tf32(staged[from_right + right_place(n * 8, k * 8 + part * 4)])
                # In two loops: one would be too long to be written out, and the sums would lie in memory.
                for m in range(HALF):
                    multiply(sums, lefts, rights, m)
                for m in range(HALF, HIGH):
                    multiply(sums, lefts, rights, m)
            start = after(start)
            inner = int32(inner + DEPTH)
        cp_wait0()  # the zeros from behind `end`, too, would write into what the stage is used for next
        row = int32(first_row + high)
        column = int32(first_column + broad + within * int32(2))
        for m in range(HALF):
            write_blocks(target, row, column, rows, columns, sums, m)
        for m in range(HALF, HIGH):
            write_blocks(target, row, column, rows, columns, sums, m)

    return tile
