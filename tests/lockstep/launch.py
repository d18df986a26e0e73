"""The scheduler: blocks and their threads take turns from barrier to barrier."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from .device import Place
from .errors import Divergence, Failure, LockstepError
from .memory import Memory, View
from .now import NOW, Moment
from .values import frozen
from .warp import TOGETHER, mask_of

BLOCK_OPERATIONS: dict[str, Callable[[list[Any]], Any] | None] = {
    "syncthreads": None,
    "syncthreads_and": lambda predicates: np.int64(all(predicates)),
    "syncthreads_or": lambda predicates: np.int64(any(predicates)),
    "syncthreads_count": lambda predicates: np.int64(sum(map(bool, predicates))),
}
MOST_THREADS = 1024


class Thread:
    """A generator, and the operation at which it waits: (operation, line, arguments…), None while it can go on."""

    def __init__(self, block: Block, number: int, index: int, place: Place) -> None:
        self.block = block
        self.index = index
        self.place = place
        self.warp, self.lane = divmod(number, 32)
        self.warp_epoch = 0
        self.moment = Moment(self)
        self.generator: Generator[Any, Any, None] | None = None
        self.waits: tuple[Any, ...] | None = None
        self.answer: Any = None
        self.ended = False
        self.issued: list[Any] = []
        self.groups: list[list[Any]] = []

    def __str__(self) -> str:
        return f"block {self.block.place}, thread {self.place}"

    def advance(self) -> None:
        """Run to the next barrier or collective, or to the end."""
        NOW.thread, NOW.moment = self, self.moment
        try:
            self.waits = self.generator.send(self.answer)
        except StopIteration:
            self.ended, self.waits = True, None
        except LockstepError:
            raise
        except Exception as error:
            raise failure(error) from error
        self.answer = None

    def release(self, answer: Any = None) -> None:
        self.answer, self.waits = answer, None

    def where(self) -> str:
        if self.ended:
            return f"{self} has ended"
        return f"{self} waits at {self.waits[0]}, line {self.waits[1]} (`{NOW.lines[self.waits[1] - 1].strip()}`)"


class Block:
    """The threads of a block and its shared memory."""

    def __init__(self, place: Place, size: Place, grid: Place, number: int, shared_bytes: int, races: bool) -> None:
        self.place, self.size, self.grid = place, size, grid
        self.shared_bytes, self.races = shared_bytes, races
        self.shared: dict[Any, Memory] = {}
        self.static_bytes = 0
        self.epoch = 0
        count = int(size.x * size.y * size.z)
        self.threads = [Thread(self, n, number * count + n, place_of(n, size)) for n in range(count)]
        self.warps = [self.threads[first : first + 32] for first in range(0, count, 32)]

    @property
    def ended(self) -> bool:
        return all(thread.ended for thread in self.threads)

    def advance(self, ordered: Callable[[list[Any]], list[Any]]) -> None:
        """Run until all threads have ended or all wait for the grid."""
        runnable = [thread for thread in self.threads if not thread.ended]
        while runnable:
            for thread in ordered(runnable):
                thread.advance()
            runnable = [thread for warp in self.warps for thread in meet_in_warp(warp)]
            if not runnable and not self.ended and not self.at_grid():
                self.meet()
                runnable = self.threads

    def at_grid(self) -> bool:
        return all(thread.waits is not None and thread.waits[0] == "grid" for thread in self.threads)

    def meet(self) -> None:
        """All threads pass the same barrier of the block, or none can go on."""
        first = self.threads[0]
        what = first.waits and first.waits[:2]
        for thread in self.threads:
            if what is None or thread.waits is None or thread.waits[:2] != what or what[0] not in BLOCK_OPERATIONS:
                raise diverged(self.threads, "the block")
        together = BLOCK_OPERATIONS[what[0]]
        answer = together and together([thread.waits[2] for thread in self.threads])
        for thread in self.threads:
            thread.release(answer)
        self.pass_barrier()

    def pass_barrier(self) -> None:
        self.epoch += 1
        for memory in self.shared.values():
            memory.forget()  # the new epoch orders it all; this keeps the record short
        for thread in self.threads:
            thread.moment = Moment(thread)


def meet_in_warp(warp: list[Thread]) -> list[Thread]:
    """Answer the collectives of a warp for which all lanes of the mask are there; returns the lanes that go on."""
    groups: dict[tuple[str, int], list[Thread]] = {}
    for thread in warp:
        if thread.waits is not None and thread.waits[0] in TOGETHER:
            groups.setdefault((thread.waits[0], mask_of(thread.waits[0], thread.waits[2:])), []).append(thread)
    free = []
    for (operation, mask), threads in groups.items():
        named = [thread for thread in warp if mask >> thread.lane & 1]
        outside = [thread for thread in threads if thread not in named]
        if outside:
            raise Divergence(f'kernel "{NOW.kernel}": {outside[0].where()}, with mask {mask:#x}, which leaves it out')
        if any(thread.ended for thread in named):
            raise diverged(named, f"the mask {mask:#x}")
        if len(threads) < len(named):
            continue
        answers = TOGETHER[operation]({thread.lane: thread.waits[2:] for thread in threads})
        for thread in threads:
            thread.release(answers[thread.lane])
        if operation == "syncwarp" and len(threads) == len(warp):
            for thread in threads:
                thread.warp_epoch += 1
                thread.moment = Moment(thread)
        free += threads
    return free


def run(
    kernel: Any, grid: Any, block: Any, arguments: list[Any], shared_bytes: int, order: str | int, races: bool
) -> None:
    """Run all blocks to their ends; see `Module.launch`."""
    grid, block = extent(grid), extent(block)
    threads = int(block.x * block.y * block.z)
    if threads > MOST_THREADS:
        raise LockstepError(f'kernel "{NOW.kernel}": {threads} threads in a block; CUDA allows {MOST_THREADS}')
    names = kernel.__code__.co_varnames[: kernel.__code__.co_argcount]
    if len(names) != len(arguments):
        raise LockstepError(f'kernel "{NOW.kernel}" takes {len(names)} arguments {names}, got {len(arguments)}')
    memories: dict[int, Memory] = {}
    inside = [given(value, name, memories, races) for value, name in zip(arguments, names, strict=True)]
    count = int(grid.x * grid.y * grid.z)
    blocks = [Block(place_of(n, grid), block, grid, n, shared_bytes, races) for n in range(count)]
    for thread in (thread for one in blocks for thread in one.threads):
        thread.generator = kernel(*inside)
    ordered = ordering(order)
    with np.errstate(all="ignore"):
        while True:
            for one in ordered(blocks):
                one.advance(ordered)
            if all(one.ended for one in blocks):
                return
            meet_in_grid(blocks, list(memories.values()))


def meet_in_grid(blocks: list[Block], memories: list[Memory]) -> None:
    """All threads of all blocks pass the same barrier of the grid."""
    threads = [thread for one in blocks for thread in one.threads]
    if any(thread.waits is None or thread.waits[1] != threads[0].waits[1] for thread in threads if threads[0].waits):
        raise diverged(threads, "the grid")
    if threads[0].ended:
        raise diverged(threads, "the grid")
    for thread in threads:
        thread.release()
    for memory in memories:
        memory.forget()
    for one in blocks:
        one.pass_barrier()


def diverged(threads: list[Thread], scope: str) -> Divergence:
    """An error that names one thread at each of the places where threads are."""
    places = {(thread.ended, thread.waits and thread.waits[:2]): thread for thread in reversed(threads)}
    where = "; ".join(thread.where() for thread in sorted(places.values(), key=lambda thread: thread.index))
    return Divergence(f'kernel "{NOW.kernel}": the threads of {scope} do not reach the same barrier: {where}')


def failure(error: Exception) -> Failure:
    """`error` with the innermost line of the simulated source."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<simulated>"]
    return Failure(f"{NOW.place(frames[-1].lineno if frames else 0)}: {type(error).__name__}: {error}")


def ordering(order: str | int) -> Callable[[list[Any]], list[Any]]:
    if order == "forward":
        return list
    if order == "reverse":
        return lambda items: items[::-1]
    if isinstance(order, str):
        raise LockstepError(f'order is "forward", "reverse" or a seed, not {order!r}')
    random = np.random.default_rng(order)
    return lambda items: [items[i] for i in random.permutation(len(items))]


def extent(given: int | tuple[int, ...]) -> Place:
    sizes = given if isinstance(given, tuple) else (given,)
    if not 1 <= len(sizes) <= 3 or min(sizes) < 1:
        raise LockstepError(f"a grid or block of {given}; one to three sizes of at least 1 are needed")
    return Place(*sizes)


def place_of(number: int, extents: Place) -> Place:
    x, rest = number % int(extents.x), number // int(extents.x)
    return Place(x, rest % int(extents.y), rest // int(extents.y))


def given(value: Any, name: str, memories: dict[int, Memory], races: bool) -> Any:
    """An argument inside the kernel: arrays over the same buffer are views of one memory."""
    if not isinstance(value, np.ndarray):
        return frozen(value)
    if not value.flags.c_contiguous or value.ndim == 0:
        raise LockstepError(f'argument "{name}" of kernel "{NOW.kernel}": a C-contiguous array with axes is needed')
    owner = value
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    if owner.dtype != value.dtype or not owner.flags.c_contiguous:
        owner = value
    if id(owner) not in memories:
        memories[id(owner)] = Memory(owner.reshape(-1), "global", races)
    start = owner.__array_interface__["data"][0]
    offset = (value.__array_interface__["data"][0] - start) // value.itemsize
    return View.whole(memories[id(owner)], name, value.shape, offset)
