"""Write the gallery: ``python docs/gallery/make.py`` derives every network of networks.py and writes its pages.

For each network a Markdown page (the equations in matrix form, and in index form as text) and a LaTeX fragment of both
forms; for those in `SHOWN` also an HTML page, with steps, costs and picture, and the picture by itself. worked_2_2_2 is
the worked example in numbers, compactness.md counts operations beside those of textbooks, README.md lists the pages,
and gallery.tex is a document of all fragments. The same declaration gives the same text, which tests/test_gallery.py
checks; how HTML and pictures are written depends on the versions of the libraries that do it.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from networks import GALLERY  # noqa: E402 - these lie beside this file, which is no package
from operations import operations  # noqa: E402
from textbook import TEXTBOOK  # noqa: E402

import gradloom as gl  # noqa: E402
from gradloom.model_file import load_model_file  # noqa: E402

SHOWN = (
    "2-2-2 perceptron",
    "3-4-1 perceptron",
    "Softmax with cross-entropy",
    "Convolution, stride 1, padding 1",
    "LSTM",
    "Layer normalisation",
    "Multi-head attention",
)
WORKED = "worked_2_2_2"
_INDEX = """# Gallery

What gradloom derives for one network of every kind, written by `python docs/gallery/make.py` from the declarations in
[networks.py](networks.py); nothing here was written by hand. `gallery.tex` is a document of all pages.
[compactness.md](compactness.md) counts the operations of these gradients beside those of textbooks.

{rows}
- [The 2-2-2 perceptron in numbers](worked_2_2_2.md) ([HTML](worked_2_2_2.html), [circuit](worked_2_2_2.svg))
"""
_COMPACTNESS = """# How long the derived gradients are

Operations of each printed gradient beside those of the form that a textbook or a paper gives, both counted by
[operations.py](operations.py) in the notation of the printed text (brackets that only bound positions, as zero padding
does, count for neither); the forms are in [textbook.py](textbook.py). A test fails if ours is the longer. Written by
`python docs/gallery/make.py`.

"After" a source means that it gives the rule and not the formula, which was put together from it.

| network | gradient of | derived | operations | textbook | operations | source |
| --- | --- | --- | ---: | --- | ---: | --- |
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


def compactness() -> str:
    """The table of operations beside those of textbooks."""
    printed: dict[str, dict[str, str]] = {}
    rows = []
    for title, name, form, source in TEXTBOOK:
        if title not in printed:
            sections = {section.title: section.blocks for section in GALLERY[title]().derive().document().sections}
            lines = [*sections.get("Backward", ()), *sections["Gradients"]]
            printed[title] = {line.name: line.formula.text.partition(" = ")[2] for line in lines}
        ours = printed[title][name]
        cells = title, f"`{name}`", f"`{ours}`", operations(ours), f"`{form}`", operations(form), source
        rows.append("| " + " | ".join(str(cell).replace("|", r"\|") for cell in cells) + " |")
    return _COMPACTNESS.format(rows="\n".join(rows))


def worked(picture: bool = False) -> gl.Document:
    """The 2-2-2 example in numbers: a forward pass, a backward pass and an update."""
    file = load_model_file(str(HERE.parents[1] / "examples" / "two_two_two.py"))
    return gl.explain(file.network, file.named_data(), optimizer=file.training["optimizer"], picture=picture)


def worked_circuit() -> gl.Drawing:
    """Its circuit, with a value above and a gradient below each line."""
    file = load_model_file(str(HERE.parents[1] / "examples" / "two_two_two.py"))
    model = gl.Model(file.network, target="numpy", dtype="float64")
    return file.network.picture({**model.params, **file.named_data()}, kind="circuit", engine="igraph")


def lists() -> dict[str, str]:
    """The list of pages, the document of all fragments, the table of operations, the worked example as text."""
    names = {title: make().name for title, make in GALLERY.items()}
    rows = "\n".join(
        f"- [{title}]({name}.md)" + (f" ([HTML]({name}.html), [picture]({name}.svg))" if title in SHOWN else "")
        for title, name in names.items()
    )
    inputs = "\n".join(rf"\input{{{name}}}" for name in (*names.values(), WORKED))
    example = worked()
    return {
        "README.md": _INDEX.format(rows=rows),
        "gallery.tex": _DOCUMENT.format(inputs=inputs),
        "compactness.md": compactness(),
        f"{WORKED}.md": "# The 2-2-2 perceptron in numbers\n\n" + example.markdown().rstrip() + "\n",
        f"{WORKED}.tex": "\\section{The 2-2-2 perceptron in numbers}\n" + example.latex(),
    }


def shown(title: str) -> dict[str, str]:
    """The HTML page and the picture of one network."""
    network = GALLERY[title]()
    picture = network.derive().picture(engine="igraph").svg(standalone=True)
    return {f"{network.name}.html": network.derive().html(), f"{network.name}.svg": picture}


def worked_pages() -> dict[str, str]:
    """The HTML page and the circuit of the worked example."""
    return {f"{WORKED}.html": worked(picture=True).html(), f"{WORKED}.svg": worked_circuit().svg(standalone=True)}


def main() -> None:
    for made in (lists(), worked_pages(), *map(pages, GALLERY), *map(shown, SHOWN)):
        for name, text in made.items():
            (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
