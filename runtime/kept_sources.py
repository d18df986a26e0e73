"""Generated source, kept from process to process: what was generated once is neither derived nor generated again.

Beside a module in the kernel cache lies a small file, ``<module's digest>-<declaration's digest>.made``, for each
declaration that it was generated from. The second digest covers the declaration (`declaration`), the options, and all
that generates: the code of this package, its templates, and the versions of Python and of the libraries that
expressions and templates are written with. The file holds the digest of the source: where that is another, or anything
is missing or damaged, the source is generated anew.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..symbolic import BEGUN
from ..symbolic.network import Network
from .cache import find_source, note_origin
from .declaration import declaration_digest

PACKAGE = Path(__file__).parent.parent
FOLDERS = ("symbolic/**/*.py", "codegen/**/*.py", "templates/*.j2")  # what generates
WRITTEN_WITH = ("sympy", "mpmath", "jinja2")


def generated_source(network: Network, optimizer: Any, options: Mapping[str, Any], generate: Any) -> str:
    """The source of a network's module: what was kept of it, or what ``generate()`` returns.

    Parameters
    ----------
    options : all else that was asked of the generator, as plain values.

    Raises
    ------
    CacheError
        If a chosen cache directory cannot be used.
    """
    generator = generator_digest()
    origin = None if generator is None else declaration_digest(network, optimizer, [generator, sorted(options.items())])
    kept = None if origin is None else find_source(origin)
    if kept is not None:
        return kept
    source: str = generate()
    if origin is not None:
        note_origin(origin, source, options)
    return source


@cache
def generator_digest(package: Path = PACKAGE) -> str | None:
    """A digest of what generates; None if a file of it is newer than this process, which may have read another."""
    made = hashlib.sha256()
    for path in sorted(path for pattern in FOLDERS for path in package.glob(pattern)):
        if path.stat().st_mtime > BEGUN:
            return None
        content = path.read_bytes()
        made.update(f"{path.relative_to(package)} {len(content)}\n".encode())
        made.update(content)
    for name in WRITTEN_WITH:
        try:
            made.update(f"{name} {importlib.metadata.version(name)}\n".encode())
        except importlib.metadata.PackageNotFoundError:
            return None
    made.update(f"{platform.python_implementation()} {platform.python_version()}".encode())
    return made.hexdigest()
