"""Products in tiles as CUDA modules have them, run in lock step: what the tests of carried CUDA code share."""

from __future__ import annotations

from functools import cache

import lockstep
import numpy as np
import pytest
from lockstep_kernels import tf32_rounded

from gradloom.codegen.carried import carry_cuda
from gradloom.codegen.cuda_tiles import Tile, Way

TWOS, FOURS, EIGHTS = Tile(8, 8, 8, 2, 2), Tile(16, 16, 4, 4, 4), Tile(64, 64, 4, 8, 8)
WARP, WARPS = Tile(16, 8, 16, 16, 8, tensor_cores=True), Tile(32, 32, 8, 32, 16, tensor_cores=True)
each_tile = pytest.mark.parametrize("tile", [TWOS, FOURS, WARP], ids=["twos", "fours", "tf32"])
BY_INNER, BY_OUTER, WIDE_BY_INNER, WIDE_BY_OUTER = Way(True), Way(False), Way(True, True), Way(False, True)

PRODUCT = """
ORDER = np.array(CONSTANT, np.int32)


@device
def store(target, row, column, value):
    to, stride = target
    to[row * stride + column] = value


@device
def store_four(target, row, column, a, b, c, d):
    to, stride = target
    st4(to, row * stride + column, a, b, c, d)


tile = FACTORY


def kernel(left, left_stride, chosen, right, right_stride, places, to, rows, columns, inner):
    stage = cuda.shared.array(STAGE, REAL, alignment=16)
    one = int32(1)
    across = (columns + int32(WIDTH - 1)) // int32(WIDTH)
    count = (rows + int32(HEIGHT - 1)) // int32(HEIGHT) * across
    for number in range(int32(cuda.blockIdx.x), count, int32(cuda.gridDim.x)):
        row, column = int32(number // across * int32(HEIGHT)), int32(number % across * int32(WIDTH))
        tile(
            stage, left, LEFTS, right, RIGHTS, rows, columns, int32(0), inner, row, column, (to, columns),
        )
"""


def source_of(names, body):
    """A module that carries what it uses, as a generated one does."""
    carried = carry_cuda([*names.split(), "device"])
    numbers = "import numpy as np\nfrom numba import cuda, float32, float64, int32"
    return "\n".join([*carried.standard, *carried.installed, numbers, *carried.lines, body])


@cache
def loaded(source):
    return lockstep.load(source, plain=["kernel"])


def product(
    tile, left, right, *,
    real="float32", fours=False, rows="left_stride", inners="right_stride", constant=(), change=("None", "None")
):  # fmt: skip
    """The source of a kernel whose blocks share the tiles of a product, and the bytes of its dynamic memory."""
    stage = tile.stage(left, right)
    dynamic = stage if stage * np.dtype(real).itemsize > 48 * 1024 else 0
    places = {
        "FACTORY": tile.factory(real, left, right, "store", "store_four" if fours else None),
        "STAGE": 0 if dynamic else stage,
        "REAL": real,
        "CONSTANT": list(constant),
        "LEFTS": f"{rows}, one" if left.along_inner else "one, left_stride",
        "RIGHTS": "one, right_stride" if right.along_inner else f"{inners}, one",
        "HEIGHT": tile.rows,
        "WIDTH": tile.columns,
    }
    body = PRODUCT
    for name, value in places.items():
        body = body.replace(name, str(value))
    source = source_of("tf32_tile st4" if tile.tensor_cores else "simt_tile st4", body)
    line, instead = change
    assert line == instead or source.count(line) == 1
    return source.replace(line, instead), dynamic * np.dtype(real).itemsize


def drawn(seed, rows, columns, real="float32"):
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(real)


def lying(matrix, is_turned, wide):
    """The elements as a kernel reads them, and the stride; between wide rows lies what must not be read."""
    rows = matrix.T if is_turned else matrix
    assert not wide or rows.shape[1] % 4 == 0
    rows = np.pad(rows, ((0, 0), (0, 4 if wide else 3)), constant_values=np.nan)
    return rows.ravel(), rows.shape[1]


def run(text, tile, left, right, a, b, rows, *, blocks=2, order="forward", chosen=(), places=()):
    (source, dynamic), columns = text, b.shape[1]
    c = np.full((rows, columns), np.nan, a.dtype)
    lefts, left_stride = lying(a, not left.along_inner, left.wide)
    rights, right_stride = lying(b, right.along_inner, right.wide)
    rows_at, inners_at = (np.array(table, np.int32) for table in (chosen, places))
    loaded(source).launch(
        "kernel", blocks, tile.threads,
        (lefts, left_stride, rows_at, rights, right_stride, inners_at, c.ravel(), rows, columns, a.shape[1]),
        dynamic, order=order, declared_alignment=True, float64="allow" if a.dtype == np.float64 else "casts",
    )  # fmt: skip
    return c


def assert_product(c, a, b, tile):
    """Against float64, by what rounding may do to a sum of so many terms."""
    if tile.tensor_cores:
        a, b = tf32_rounded(a), tf32_rounded(b)
    a, b, unit = a.astype(np.float64), b.astype(np.float64), np.finfo(c.dtype).eps
    assert (abs(c - a @ b) <= (a.shape[1] + 1) * unit * (abs(a) @ abs(b))).all()


def check(tile, left, right, sizes, *, real="float32", orders=("forward", 3), blocks=2, **options):
    """A product, with the same bits whatever the order and the number of blocks."""
    rows, columns, inner = sizes
    a, b = drawn(1, rows, inner, real), drawn(2, inner, columns, real)
    text = product(tile, left, right, real=real, **options)
    results = [
        run(text, tile, left, right, a, b, rows, blocks=n, order=order) for n, order in enumerate(orders, blocks)
    ]
    assert len({c.tobytes() for c in results}) == 1
    assert_product(results[0], a, b, tile)
    return results[0], a, b
