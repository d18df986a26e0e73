"""The on-disk kernel cache: generated modules are written, loaded, and their machine code kept by Numba beside them.

An entry is ``<digest>.py``, what was compiled from it (``__pycache__/<digest>.*``: by Numba, and machine code for GPUs,
which begins with its own digest), and notes of what it was
generated from (``<digest>-<origin>.made``, see `kept_sources`). The digest covers the source, the versions of what
compiles it, and every option, so an entry never goes stale. What is executed is always the source that was generated:
just now, or earlier and noted by its digest. A file that differs from its source is rewritten, and what was compiled
from it is dropped.

The directory is, in this order: the one given to `set_cache_dir`, the environment variable ``GRADLOOM_CACHE_DIR``,
``$XDG_CACHE_HOME/gradloom``, ``~/.cache/gradloom``. One that was chosen and cannot be used is an error; if the default
cannot be used, kernels go to a temporary directory for this process, with a `CacheWarning`.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import stat
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ..symbolic.errors import CacheError
from .cache_space import CacheSpace

MODULE_PREFIX = "gradloom_kernels_"

_lock = threading.RLock()
_chosen: Path | None = None
_spaces: dict[Path, CacheSpace] = {}
_temporary: Path | None = None


class CacheWarning(UserWarning):
    """The default cache directory cannot be used; kernels are compiled anew in every process."""


def set_cache_dir(directory: str | os.PathLike[str] | None) -> None:
    """Keep compiled kernels in `directory`; None goes back to the environment's choice.

    Raises
    ------
    CacheError
        If the directory cannot be created or written.
    """
    global _chosen
    if directory is None:
        _chosen = None
        return
    if not os.fspath(directory):  # which would be the working directory
        raise CacheError("the kernel cache directory is ''; name one, or give None for the usual one")
    path = Path(directory).expanduser().absolute()
    with _lock:
        _open_space(path)
        _chosen = path


def cache_dir() -> Path:
    """The directory in which compiled kernels are kept; it is created.

    Raises
    ------
    CacheError
        If a directory was chosen (`set_cache_dir`, ``GRADLOOM_CACHE_DIR``) and cannot be used.
    """
    return _space().directory


def load_module(source: str, options: Mapping[str, Any]) -> ModuleType:
    """Write `source` to the cache and execute it as a module; the same source and options give the same module.

    Parameters
    ----------
    source : a generated module.
    options : all that was asked of the generator, as plain values; part of the digest.

    Raises
    ------
    CacheError
        See `cache_dir`.
    """
    digest = digest_of(source, options)
    name = MODULE_PREFIX + digest
    with _lock:
        if name in sys.modules:
            return sys.modules[name]
        space = _space()
        path = space.put(digest, source)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        # Numba finds a cached function's globals through sys.modules: the module must be there before it runs.
        sys.modules[name] = module
        try:
            # What was generated is run, not what lies on the disk or in a .pyc file: neither can be tampered with.
            exec(compile(source, str(path), "exec"), module.__dict__)
        except BaseException:
            del sys.modules[name]
            raise
        return module


def find_source(origin: str) -> str | None:
    """The source that was generated from a declaration, if it is kept and is still what it was.

    Parameters
    ----------
    origin : the declaration's digest, see `kept_sources`.

    Raises
    ------
    CacheError
        See `cache_dir`.
    """
    for digest, content in _space().notes(origin):
        source = _space().read(digest)
        if source is not None and content == _checksum(source):
            return source.decode()
    return None


def note_origin(origin: str, source: str, options: Mapping[str, Any]) -> None:
    """Keep `source`, and note that it was generated from the declaration of the digest `origin`.

    Raises
    ------
    CacheError
        See `cache_dir`.
    """
    digest = digest_of(source, options)
    space = _space()
    space.put(digest, source)
    space.note(digest, origin, _checksum(source.encode()))


def find_compiled(source: str, options: Mapping[str, Any], name: str) -> bytes | None:
    """What `keep_compiled` kept under `name`, if it is still what it was.

    Raises
    ------
    CacheError
        See `cache_dir`.
    """
    content = _space().compiled(digest_of(source, options), name)
    if content is None:
        return None
    checksum, _, code = content.partition(b"\n")
    return code if checksum == _checksum(code) else None


def keep_compiled(source: str, options: Mapping[str, Any], name: str, code: bytes) -> None:
    """Keep what was compiled of a module beside it, under `name`; it is dropped with the module.

    Raises
    ------
    CacheError
        See `cache_dir`.
    """
    digest = digest_of(source, options)
    space = _space()
    space.put(digest, source)
    space.keep(digest, name, _checksum(code) + b"\n" + code)


def _checksum(source: bytes) -> bytes:
    return hashlib.sha256(source).hexdigest().encode()


def digest_of(source: str, options: Mapping[str, Any]) -> str:
    """32 hexadecimal digits over the source, the options, and the versions of all that compiles it."""
    import numba
    import numpy

    from .. import __version__

    versions = {
        "gradloom": __version__,
        "numba": numba.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
    }
    text = json.dumps([source, versions, dict(options)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _space() -> CacheSpace:
    """The space in use now; the choice is read anew each time, as tests and programs may change the environment."""
    global _temporary
    with _lock:
        chosen = os.environ.get("GRADLOOM_CACHE_DIR")
        if _chosen is not None:
            return _open_space(_chosen)
        if chosen:
            return _open_space(Path(chosen).expanduser().absolute())
        if _temporary is not None:
            return _spaces[_temporary]
        try:
            return _open_space(_default_directory())
        except (CacheError, RuntimeError) as error:
            _temporary = Path(tempfile.mkdtemp(prefix="gradloom-"))
            atexit.register(shutil.rmtree, _temporary, ignore_errors=True)
            warnings.warn(
                f"{error}. Kernels go to the temporary directory {_temporary} and are compiled anew in every "
                "process; set GRADLOOM_CACHE_DIR to a directory that you can write",
                CacheWarning,
                stacklevel=3,
            )
            return _open_space(_temporary)


def _default_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    if not base or not os.path.isabs(base):
        base = os.environ.get("LOCALAPPDATA") if os.name == "nt" else None
    return (Path(base) if base else Path.home() / ".cache") / "gradloom"


def _open_space(path: Path) -> CacheSpace:
    if path not in _spaces or not path.is_dir():
        _check_directory(path)
        _spaces[path] = CacheSpace(path)
    return _spaces[path]


def _check_directory(path: Path) -> None:
    """Create `path` for this user alone, and see that files can be made in it and by nobody else."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
        compiled, reached = path / "__pycache__", path.stat().st_mode & (stat.S_IXOTH | stat.S_IXGRP)
        places = [path, compiled] if reached and compiled.is_dir() else [path]
        found = [(place, _who_can_write(place.stat())) for place in places]
    except (OSError, ValueError) as error:
        raise CacheError(
            f"the kernel cache directory {path} cannot be used ({getattr(error, 'strerror', None) or error}); "
            "make it writable, or choose another with GRADLOOM_CACHE_DIR or gradloom.set_cache_dir()"
        ) from error
    for place, who in found:
        if who is not None:
            raise CacheError(
                f"the kernel cache directory {place} can be written by {who}, who could put code there that you would "
                "run; take that right away (chmod go-w), or choose another with GRADLOOM_CACHE_DIR"
            )


def _who_can_write(found: os.stat_result) -> str | None:
    """Who else than this user, and the system's own, can write to a directory, in words; None if nobody can."""
    if os.name == "nt":
        return None
    if found.st_mode & stat.S_IWOTH:
        return "every user"
    if found.st_uid not in (os.geteuid(), 0):
        return f"the user {found.st_uid}, whose it is"
    if found.st_mode & stat.S_IWGRP and not _is_alone(found.st_gid):
        return f"the group {found.st_gid}"
    return None


def _is_alone(group: int) -> bool:
    """Whether a group is the one that systems make for each user."""
    import grp
    import pwd

    try:
        own, entry = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return own.pw_gid == group and set(entry.gr_mem) <= {own.pw_name}
