"""One cache directory: entries written atomically, marked while in use, and dropped when there are too many.

Every process notes the entries it uses in a file of its own, ``in-use/<pid>-<random>``, and holds a lock on that file
for as long as it lives: however a process ends, its notes lose their lock and count no more. One lock over the whole
directory, ``.lock``, is held for the moments in which an entry is put in or others are dropped.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..symbolic.errors import CacheError
from .files import write_atomically

try:
    import fcntl
except ImportError:  # Windows: no such locks; what was used in the last day then counts as in use.
    fcntl = None  # type: ignore[assignment]

MAX_ENTRIES = 512
MAX_BYTES = 512 * 2**20
DAY = 86400.0  # seconds


class CacheSpace:
    """A directory of entries, bounded in number and bytes; the least recently used go first, none in use goes.

    Parameters
    ----------
    directory : an existing, writable directory.
    max_entries, max_bytes : the bounds; several programs in use at once may exceed them.
    """

    def __init__(self, directory: Path, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self.directory = directory
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self._notes: tuple[int, Path, int] | None = None  # process id, file, its descriptor

    def put(self, digest: str, source: str) -> Path:
        """Make sure that the file of `digest` holds `source`, and mark it as used by this process; return its path.

        Raises
        ------
        CacheError
            If the directory can no longer be written.
        """
        path = self.directory / f"{digest}.py"
        try:
            with self._locked():
                self._note(digest)
                if _read(path) == source.encode():
                    _touch(path)
                    return path
                for compiled in self._compiled(digest):
                    compiled.unlink(missing_ok=True)
                write_atomically(path, source.encode())
                self._drop_surplus()
        except OSError as error:
            raise _unwritable(path, error) from error
        return path

    def use(self, digest: str) -> None:
        """Mark an entry as used by this process, and now; where nothing can be written it stays as it is."""
        with contextlib.suppress(OSError), self._locked():
            self._note(digest)
            _touch(self.directory / f"{digest}.py")

    def read(self, digest: str) -> bytes | None:
        """What the file of `digest` holds, or None if there is none."""
        return _read(self.directory / f"{digest}.py")

    def note(self, digest: str, origin: str, content: bytes) -> None:
        """Keep `content` beside the entry `digest`, to be found by `origin`; it is dropped with the entry.

        Raises
        ------
        CacheError
            If the directory can no longer be written.
        """
        path = self.directory / f"{digest}-{origin}.made"
        try:
            with self._locked():
                write_atomically(path, content)
        except OSError as error:
            raise _unwritable(path, error) from error

    def keep(self, digest: str, name: str, content: bytes) -> None:
        """Keep what was compiled of the entry `digest`; it is dropped with the entry.

        Raises
        ------
        CacheError
            If the directory can no longer be written.
        """
        path = self._compiled_path(digest, name)
        try:
            with self._locked():
                path.parent.mkdir(mode=0o700, exist_ok=True)
                write_atomically(path, content)
                self._drop_surplus()
        except OSError as error:
            raise _unwritable(path, error) from error

    def compiled(self, digest: str, name: str) -> bytes | None:
        """What `keep` kept, or None; the entry is marked as used."""
        found = _read(self._compiled_path(digest, name))
        if found is not None:
            self.use(digest)
        return found

    def notes(self, origin: str) -> list[tuple[str, bytes]]:
        """The entries with a note of `origin`, and what it holds."""
        found = sorted(self.directory.glob(f"*-{origin}.made"))
        held = ((path.name.partition("-")[0], _read(path)) for path in found)
        return [(digest, content) for digest, content in held if content is not None]

    def _files(self, digest: str) -> list[Path]:
        """All files of an entry, the source first."""
        notes = sorted(self.directory.glob(f"{digest}-*.made"))
        return [self.directory / f"{digest}.py", *self._compiled(digest), *notes]

    def _compiled_path(self, digest: str, name: str) -> Path:
        return self.directory / "__pycache__" / f"{digest}.{name}"

    def _compiled(self, digest: str) -> list[Path]:
        return sorted((self.directory / "__pycache__").glob(f"{digest}.*"))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self.directory / ".lock", "a") as lock:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _note(self, digest: str) -> None:
        """Note, for other processes, that this one uses `digest`."""
        if self._notes is None or self._notes[0] != os.getpid() or not self._notes[1].exists():
            folder = self.directory / "in-use"
            folder.mkdir(mode=0o700, exist_ok=True)
            path = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
            # Open, and locked, until this process ends.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._notes = (os.getpid(), path, descriptor)
        os.write(self._notes[2], f"{digest}\n".encode())

    def _in_use(self) -> set[str]:
        """The digests that living processes use; the notes of dead ones are removed."""
        used: set[str] = set()
        for path in sorted((self.directory / "in-use").glob("*")):
            with open(path) as notes:
                if self._notes is None or path != self._notes[1]:
                    if fcntl is None:
                        if time.time() - path.stat().st_mtime > DAY:
                            continue
                    elif _can_lock(notes):
                        path.unlink(missing_ok=True)
                        continue
                used.update(notes.read().split())
        return used

    def _drop_surplus(self) -> None:
        entries = []
        for path in self.directory.glob("*.py"):
            sizes = [_stat(file) for file in self._files(path.stem)]
            entries.append((sizes[0][0], path.stem, sum(size for _, size in sizes)))
        number, size = len(entries), sum(held for _, _, held in entries)
        if number <= self.max_entries and size <= self.max_bytes:
            return
        used = self._in_use()
        for _, digest, held in sorted(entries):
            if number <= self.max_entries and size <= self.max_bytes:
                break
            if digest in used:
                continue
            for file in self._files(digest):
                file.unlink(missing_ok=True)
            number, size = number - 1, size - held


def _unwritable(path: Path, error: OSError) -> CacheError:
    return CacheError(
        f"cannot write {path} ({error.strerror or error}); make the kernel cache directory writable, "
        "free some space, or choose another with GRADLOOM_CACHE_DIR or gradloom.set_cache_dir()"
    )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _touch(path: Path) -> None:
    """Note when an entry was last used, by the access time; that of modification stays, as Numba goes by it."""
    os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def _stat(path: Path) -> tuple[int, int]:
    """When `path` was last used, and its size; zeros where another process has just removed it."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_atime_ns, found.st_size


def _can_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
