"""Products of matrices that lie with any strides, in tiles: a block of threads computes one, each thread its part."""

from numba import cuda, int32, int64

from .intrinsics import along, anew, device, ld2, ld4, pointer_to
from .operands import through_registers


def simt_tile(real, size, depth, each, left_way, right_way, write, write_four=None):
    """A function of kernels that computes one tile of C[r, c] = Σ_k A(r, k) B(k, c).

    Parameters
    ----------
    real : ``float32`` or ``float64``, of Numba
    size : (rows, columns) of a tile
    depth : how many k are staged at once, a multiple of 4
    each : (rows, columns) that one thread computes: both 2, or multiples of 4
    left_way, right_way : (along_inner, wide) of A and of B: whether neighbours in k, and not in r or c, lie next to
        each other; and whether they are loaded 16 bytes at a time (see below)
    write : ``write(target, row, column, value)``, a function of kernels that stores what is done with C[row, column]
    write_four : ``write_four(target, row, column, a, b, c, d)`` for four neighbouring columns, or None. Called where
        all four are columns of C, and `column` is a multiple of 4 (as each `first_column` must be then)

    Returns
    -------
    ``tile(stage, left, left_row, left_inner, right, right_inner, right_column, rows, columns, begin, end, first_row,
    first_column, target)``:

    - `stage`: shared memory, ``cuda.shared.array(n, real, alignment=16)`` with n ≥ 2 depth (rows + columns + 8);
    - `left`, `right`: pointers to A(0, 0) and B(0, 0). A(r, k) lies ``along(left_row, r) + along(left_inner, k)``
      elements from there, B(k, c) ``along(right_inner, k) + along(right_column, c)``: strides, or tables (see `along`);
    - `rows`, `columns`: of C, int32; what is outside of them is neither read nor written;
    - `begin`, `end`: the k to sum over; all of them are 0 and their number. C is 0 if there is none;
    - `first_row`, `first_column`: of the tile;
    - `target`: handed to `write`: a pointer, or a tuple of what it needs.

    All threads of the block call it with the same arguments, ``rows/each · columns/each`` of them, with one axis. It
    waits for all of them before it writes to `stage`, not after it has read it: who uses `stage` for something else
    afterwards waits first. Whatever wrote the operands, the caller has waited for.

    Where a way is `wide`, the pointer is aligned to 16 bytes, the stride of what is not adjacent (all entries of its
    table) is a multiple of 4, that of what is adjacent 1, and the extent along the adjacent index a multiple of 4 (of
    k: both `begin` and `end`). `codegen/cuda_tiles.py` says which sizes fit together.

    Every C[r, c] is one sum in the order of k by one thread, so the same bits whatever the grid is.
    """
    ROWS, COLUMNS = size
    HIGH, BROAD = each
    SUMS = HIGH * BROAD
    HIGH_RUN, BROAD_RUN = (
        min(HIGH, 4),
        min(BROAD, 4),
    )  # what a thread computes lies in runs, next to other threads' ones
    ACROSS = COLUMNS // BROAD
    THREADS = ROWS // HIGH * ACROSS
    DEPTH = depth
    STEPS = 4 if SUMS <= 16 else 2
    LEFT, RIGHT = depth * (ROWS + 4), depth * (COLUMNS + 4)
    LEFT_WIDTH, RIGHT_WIDTH = ROWS + 4, COLUMNS + 4
    LEFT_MINE, RIGHT_MINE = ROWS * depth // THREADS, COLUMNS * depth // THREADS
    HIGH_STEP, BROAD_STEP = ROWS * HIGH_RUN // HIGH, COLUMNS * BROAD_RUN // BROAD
    load_left, put_left = through_registers(real, ROWS, depth, THREADS, *left_way)
    load_right, put_right = through_registers(real, COLUMNS, depth, THREADS, *right_way)

    @device
    def fragment(values, stage, start, count, run, step):
        if run == 4:
            for part in range(count // 4):
                a, b, c, d = ld4(stage, start + part * step)
                values[part * 4] = a
                values[part * 4 + 1] = b
                values[part * 4 + 2] = c
                values[part * 4 + 3] = d
        else:
            a, b = ld2(stage, start)
            values[0] = a
            values[1] = b

    @device
    def multiply(sums, highs, broads, stage, left, right):
        fragment(highs, stage, left, HIGH, HIGH_RUN, HIGH_STEP)
        fragment(broads, stage, right, BROAD, BROAD_RUN, BROAD_STEP)
        for m in range(HIGH):
            for n in range(BROAD):
                sums[m * BROAD + n] = cuda.fma(highs[m], broads[n], sums[m * BROAD + n])

    @device
    def write_each(target, row, column, columns, sums, start):
        for n in range(BROAD_RUN):
            if int32(column + int32(n)) < columns:
                write(target, row, int32(column + int32(n)), sums[start + n])

    @device
    def write_together(target, row, column, columns, sums, start):
        if int32(column + int32(4)) <= columns:
            write_four(target, row, column, sums[start], sums[start + 1], sums[start + 2], sums[start + 3])
        else:
            write_each(target, row, column, columns, sums, start)

    write_run = write_together if write_four is not None and BROAD_RUN == 4 else write_each

    @device
    def tile(
        stage, left, left_row, left_inner, right, right_inner, right_column,
        rows, columns, begin, end, first_row, first_column, target,
    ):  # fmt: skip
        sums = cuda.local.array(SUMS, real)
        highs = cuda.local.array(HIGH, real)
        broads = cuda.local.array(BROAD, real)
        next_left = cuda.local.array(LEFT_MINE, real)
        next_right = cuda.local.array(RIGHT_MINE, real)
        staged = pointer_to(stage)
        thread = anew(int32(cuda.threadIdx.x)) & int32(1023)
        high = int32(thread // int32(ACROSS) * int32(HIGH_RUN))
        broad = int32(thread % int32(ACROSS) * int32(BROAD_RUN))
        for place in range(SUMS):
            sums[place] = real(0)
        inner = int32(begin)
        load_left(thread, next_left, left, left_row, left_inner, first_row, rows, inner, end)
        load_right(thread, next_right, right, right_column, right_inner, first_column, columns, inner, end)
        cuda.syncthreads()
        start = int64(0)  # of the two halves of the stage, one of which is filled while the other is read
        while True:
            put_left(thread, staged, start, next_left)
            put_right(thread, staged, start + LEFT, next_right)
            cuda.syncthreads()
            inner = int32(inner + int32(DEPTH))
            is_more = inner < end
            if is_more:
                load_left(thread, next_left, left, left_row, left_inner, first_row, rows, inner, end)
                load_right(thread, next_right, right, right_column, right_inner, first_column, columns, inner, end)
            from_left = int32(start + high)
            from_right = int32(start + LEFT + broad)
            last = int32(from_left + DEPTH * LEFT_WIDTH)
            while from_left < last:  # some k are written out: places within them are constants of the loads
                multiply(sums, highs, broads, staged, from_left, from_right)
                multiply(sums, highs, broads, staged, from_left + LEFT_WIDTH, from_right + RIGHT_WIDTH)
                if STEPS == 4:
                    multiply(sums, highs, broads, staged, from_left + 2 * LEFT_WIDTH, from_right + 2 * RIGHT_WIDTH)
                    multiply(sums, highs, broads, staged, from_left + 3 * LEFT_WIDTH, from_right + 3 * RIGHT_WIDTH)
                from_left = int32(from_left + STEPS * LEFT_WIDTH)
                from_right = int32(from_right + STEPS * RIGHT_WIDTH)
            if not is_more:
                break
            start = LEFT + RIGHT - start
        for m in range(HIGH):
            row = int32(first_row + high + int32(m // HIGH_RUN * HIGH_STEP + m % HIGH_RUN))
            for part in range(BROAD // BROAD_RUN):
                column = int32(first_column + broad + int32(part * BROAD_STEP))
                if row < rows:
                    write_run(target, row, column, columns, sums, m * BROAD + part * BROAD_RUN)

    return tile


@device
def part_of_inner(count, depth, part, parts):
    """Where a part of a split sum over `count` values of k begins; the next part's is where it ends.

    Parts are as even as whole stages of `depth` allow; some are empty if there are more parts than stages.
    """
    stages = int32((count + depth - int32(1)) // depth)
    return min(int32(stages * part // parts * depth), int32(count))


@device
def sum_of_parts(parts, count, step, place):
    """Σ parts[place + p·step] over p = 0, …, count − 1, in that order: the end of a split sum."""
    total = parts[place]
    for part in range(int32(1), int32(count)):
        total += parts[place + along(step, int32(part))]
    return total
