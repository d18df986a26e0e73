"""The gallery is what its script writes today, byte for byte, and nothing else."""

import sys
from pathlib import Path

import pytest

GALLERY = Path(__file__).parent.parent / "docs" / "gallery"
sys.path.insert(0, str(GALLERY))

import make  # noqa: E402
import networks  # noqa: E402


@pytest.mark.parametrize("title", networks.GALLERY)
def test_pages_are_as_written(title):
    for name, text in make.pages(title).items():
        assert (GALLERY / name).read_text(encoding="utf-8") == text, "run python docs/gallery/make.py and read the diff"


def test_lists_are_as_written():
    listed = make.lists()
    for name, text in listed.items():
        assert (GALLERY / name).read_text(encoding="utf-8") == text
    pages = {f"{make_network().name}{end}" for make_network in networks.GALLERY.values() for end in (".md", ".tex")}
    found = {path.name for path in GALLERY.iterdir() if path.suffix in (".md", ".tex")}
    assert found == pages | set(listed)
