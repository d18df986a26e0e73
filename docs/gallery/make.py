"""Write the gallery: ``python docs/gallery/make.py`` derives every network of networks.py and writes its pages.

For each network a Markdown page (the equations in matrix form, and in index form as text) and a LaTeX fragment of both
forms; README.md lists the pages, and gallery.tex is a document of all fragments. The same declaration gives the same
bytes, which tests/test_gallery.py checks.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from networks import GALLERY  # noqa: E402 - networks.py lies beside this file, which is no package

_INDEX = """# Gallery

What gradloom derives for one network of every kind, written by `python docs/gallery/make.py` from the declarations in
[networks.py](networks.py); nothing here was written by hand. `gallery.tex` is a document of all pages.

{rows}
"""
_PAGE = """# {title}

{about}
{matrix}
### Index form

```text
{index}
```
"""
_FRAGMENT = r"""\section{{{title}}}
\subsection*{{Matrix form}}
{matrix}\subsection*{{Index form}}
{index}"""
_DOCUMENT = r"""\documentclass{{article}}
\usepackage{{amsmath,amssymb}}
\usepackage[margin=2cm]{{geometry}}
\allowdisplaybreaks
\begin{{document}}
{inputs}
\end{{document}}
"""


def pages(title: str) -> dict[str, str]:
    """The files of one network: its Markdown page and its LaTeX fragment, by name."""
    network = GALLERY[title]()
    about = " ".join((GALLERY[title].__doc__ or "").split())
    derivation = network.derive()
    matrix = derivation.markdown().rstrip() + "\n"
    index = derivation.text("index").split("\nConventions\n")[0].rstrip()
    page = _PAGE.format(title=title, about=about + "\n" if about else "", matrix=matrix, index=index)
    tex = _FRAGMENT.format(title=title, matrix=derivation.latex(), index=derivation.latex("index"))
    return {f"{network.name}.md": page.replace("\n\n\n", "\n\n"), f"{network.name}.tex": tex}


def lists() -> dict[str, str]:
    """The list of pages, and the document of all fragments."""
    names = {title: make().name for title, make in GALLERY.items()}
    rows = "\n".join(f"- [{title}]({name}.md)" for title, name in names.items())
    inputs = "\n".join(rf"\input{{{name}}}" for name in names.values())
    return {"README.md": _INDEX.format(rows=rows), "gallery.tex": _DOCUMENT.format(inputs=inputs)}


def main() -> None:
    for made in (lists(), *map(pages, GALLERY)):
        for name, text in made.items():
            (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
