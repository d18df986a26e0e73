"""Threads together: a wait for all blocks, and sums over a warp or a block in one order, whatever the hardware does."""

from numba import cuda, int32, uint32

from .intrinsics import add_release, device, load_acquire, remainder
from .real import real


@device
def grid_barrier(gate):
    """Go on when every thread of the grid has come here; what any wrote before, all see after.

    `gate` points to an int32 in global memory that was 0 before its first use ever; it need not be cleared again, as
    long as every launch that has begun a wait has ended it. All blocks must be running at once (a cooperative launch),
    the grid has one axis, and all threads of a block call this.

    Block 0 adds what makes the highest bit flip once all have come, so no count has to be kept or reset.
    """
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        step = int32(1)
        if cuda.blockIdx.x == 0:
            step = int32(2147483649 - cuda.gridDim.x)
        before = add_release(gate, step)
        while int32(before ^ load_acquire(gate)) >= int32(0):
            pass
    cuda.syncthreads()


@device
def warp_sum(value):
    """The sum over the 32 lanes of a warp, the same bits in every lane; all lanes call this."""
    value += cuda.shfl_xor_sync(-1, value, 16)
    value += cuda.shfl_xor_sync(-1, value, 8)
    value += cuda.shfl_xor_sync(-1, value, 4)
    value += cuda.shfl_xor_sync(-1, value, 2)
    value += cuda.shfl_xor_sync(-1, value, 1)
    return value


@device
def block_sum(value, scratch):
    """The sum over all threads of a block, the same bits in every thread; all threads call this.

    The block has whole warps. `scratch` is shared memory of 32 numbers, free again as soon as this returns.
    """
    thread = int32(cuda.threadIdx.x)
    value = warp_sum(value)
    if thread % int32(32) == int32(0):
        scratch[thread // int32(32)] = value
    cuda.syncthreads()
    total = scratch[0]
    for warp in range(int32(1), int32(cuda.blockDim.x) // int32(32)):
        total += scratch[warp]
    cuda.syncthreads()
    return total


@device
def numbers_of(is_one, stage, scratch):
    """How many threads of a block say `is_one`; their numbers, in order, are then in `stage`. All threads call this.

    `stage` is shared memory of a number for each thread; it may be in use until now. `scratch` is of 32 numbers, free
    again as soon as this returns.
    """
    thread = int32(cuda.threadIdx.x)
    warp, lane = thread // int32(32), thread % int32(32)
    votes = uint32(cuda.ballot_sync(-1, is_one))
    if lane == int32(0):
        scratch[warp] = real(cuda.popc(votes))
    cuda.syncthreads()
    before = found = int32(0)
    for other in range(int32(cuda.blockDim.x) // int32(32)):
        if other == warp:
            before = found
        found = int32(found + int32(scratch[other]))
    if is_one:
        below = votes & ((uint32(1) << uint32(lane)) - uint32(1))
        stage[before + int32(cuda.popc(below))] = real(thread)
    cuda.syncthreads()
    return found


@device
def turn_of(block, taken, blocks):
    """The first of some things that a block does: of those before, the first blocks have `taken` so many."""
    return remainder(block + blocks - remainder(taken, blocks), blocks)


def lanes_apart(bit, points, each):
    """The step of `sums_of_lanes` in which lanes exchange whose numbers differ in `bit`."""
    HALF = points // 2 * each

    @device
    def halved(sums):  # a lane keeps one half of the points, and hands the other over
        has_bit = (int32(cuda.threadIdx.x) & int32(bit)) != int32(0)
        for n in range(HALF):
            low, high = sums[n], sums[HALF + n]
            kept = high if has_bit else low
            sums[n] = kept + cuda.shfl_xor_sync(-1, low if has_bit else high, bit)

    @device
    def added(sums):
        for n in range(each):
            sums[n] += cuda.shfl_xor_sync(-1, sums[n], bit)

    return halved if points > 1 else added


def sums_of_lanes(points, each):
    """A function of kernels, ``together(sums)``: sums over the 32 lanes of a warp, of some `points` with `each` sums.

    `sums` is a local array of ``points * each`` numbers, those of a point side by side; `points` is a power of 2, at
    most 32. Afterwards ``sums[n]``, n < `each`, is the n-th sum of the point ``lane * points // 32``, the same bits in
    all lanes that have it; what comes behind these is of no use. All lanes of the warp call this.
    """
    first = lanes_apart(16, points, each)
    second = lanes_apart(8, points // 2, each)
    third = lanes_apart(4, points // 4, each)
    fourth = lanes_apart(2, points // 8, each)
    fifth = lanes_apart(1, points // 16, each)

    @device
    def together(sums):
        first(sums)
        second(sums)
        third(sums)
        fourth(sums)
        fifth(sums)

    return together
