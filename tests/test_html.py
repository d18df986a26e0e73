"""Pages as HTML: well-formed, formulas as MathML, nothing of a user's that is read as markup, the same bytes again."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from page_samples import every_kind, of_gallery

from gradloom.symbolic.errors import UnsupportedError
from gradloom.symbolic.report.as_html import html
from gradloom.symbolic.report.document import Document, Formula, Line, Picture, Prose, Section, Stage, Table
from gradloom.symbolic.report.svg import inline_svg

pytest.importorskip("latex2mathml")
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def tree_of(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(page)


def document(*blocks) -> Document:
    return Document("Page", [Section("Part", blocks)])


@pytest.fixture(scope="module")
def page() -> Document:
    return Document("Networks", [of_gallery("lstm"), of_gallery("transformer_block"), *every_kind().sections])


@pytest.mark.parametrize("standalone", [True, False])
def test_every_formula_has_mathml_and_no_latex_is_left(page, standalone):
    tree = tree_of(html(page, standalone=standalone))
    lines = [block for section in page.sections for block in section.blocks if isinstance(block, Line)]
    shown = [node for node in tree.iter("div") if node.get("class") == "gl-line"]
    assert len(shown) == len(lines) + 1  # one within Details
    assert all(any(True for _ in node.iter("math")) for node in shown)
    for node in tree.iter():
        if node.tag not in ("script", "style"):
            assert "\\" not in (node.text or "") + (node.tail or "")
            assert "$" not in (node.text or "") + (node.tail or "")
        for name, value in node.attrib.items():
            assert "\\" not in value or name in ("alttext", "data-latex")


def test_latex_is_there_to_be_copied(page):
    tree = tree_of(html(page))
    buttons = [node.get("data-latex") for node in tree.iter("button")]
    assert buttons[0] == page.sections[0].blocks[0].formula.latex
    assert all(node.get("hidden") is not None for node in tree.iter("button"))  # of no use without the script


def test_the_file_needs_nothing_else(page):
    made = html(page)
    assert not re.search(r"https?:|//[a-z]|@import|<link|src=|url\((?!#)", made)
    assert "default-src 'none'" in made
    assert tree_of(made).find("head/title").text == "Networks"


def test_contents_lead_to_sections(page):
    tree = tree_of(html(page))
    names = [node.get("id") for node in tree.iter("section")]
    links = list(tree.iter("a"))
    assert [node.get("href") for node in links] == [f"#{name}" for name in names]
    assert [node.text for node in links] == ["lstm", "transformer_block", "Blocks"]
    every = [node.get("id") for node in tree.iter() if node.get("id")]
    assert len(every) == len(set(every))


def test_a_fragment_leaves_its_surroundings_alone(page):
    made = html(page, standalone=False)
    tree = tree_of(made)
    assert tree.tag == "div"
    assert not [node for node in tree.iter() if node.tag in ("script", "button", "nav", "h1", "h2")]
    assert not [node for node in tree.iter("section") if node.get("id")]
    rules = re.findall(r"^\s*([.@:a-z][^{}]*)\{", re.search(r"<style>(.*?)</style>", made, re.S)[1], re.M)
    assert all(part.strip().startswith((".gl-", "@")) for rule in rules for part in rule.split(","))


def test_the_same_document_gives_the_same_bytes(page):
    assert html(page) == html(page)
    assert html(every_kind()) == html(every_kind())


def test_stages_are_folded_and_notes_are_not():
    stages = (Stage(Prose.plain("The chain rule."), Formula("", "a = b + 0")), Stage(Prose.plain("Zero is dropped.")))
    note = Prose("", "using $c = 1$, declared")
    tree = tree_of(html(document(Line(Formula("", "a = b"), (note,), stages))))
    details = tree.find(".//details")
    assert details.get("open") is None
    assert [node.get("class") for node in details] == [None, "gl-steps"]
    text = ["".join(node.itertext()) for node in details.iter("li")]
    assert text == ["The chain rule.\n=b+0", "Zero is dropped."]  # the left side is that of the line
    assert "".join(tree.find(".//*[@class='gl-beside']/p").itertext()) == "using c=1, declared"


def test_a_line_stands_in_columns():
    tree = tree_of(html(document(Line(Formula("", "a = b + c = d")))))
    sides = {name: tree.find(f".//*[@class='gl-{name}']") for name in ("left", "equals", "right")}
    assert ["".join(node.itertext()) for node in sides.values()] == ["a", "=", "b+c=d"]
    assert len(list(sides["right"].iter("math"))) == 3


def test_tables_set_numbers_flush_right():
    table = Table((Prose.plain("w"), Prose.plain("n")), ((Prose("", "$w$"), Prose.plain("17")),), frozenset({1}))
    tree = tree_of(html(document(table)))
    assert [node.get("class") for node in tree.iter("th")] == [None, "gl-number"]
    assert [node.get("class") for node in tree.iter("td")] == ["gl-tight", "gl-number"]
    assert tree.find(".//td/math") is not None
    assert tree.find(".//div[@class='gl-scroll']/table") is not None


@pytest.mark.parametrize(
    "make",
    [
        lambda evil: Document(evil, [Section(evil, (Prose.plain(evil),))]),
        lambda evil: document(Line(Formula(evil, rf"\text{{{evil}}} = {evil}"))),
        lambda evil: document(Line(Formula(evil, "a = b"), (Prose.plain(evil),), (Stage(Prose.plain(evil)),), evil)),
        lambda evil: document(Table((Prose.plain(evil),), ((Prose(evil, rf"$\mathrm{{{evil}}}$"),),))),
        lambda evil: document(Picture('<svg xmlns="http://www.w3.org/2000/svg"/>', evil, evil)),
    ],
)
@pytest.mark.parametrize("evil", [EVIL, "</title></style>" + EVIL, "' onload='alert(1)", "<!--", "]]>"])
def test_nothing_of_a_user_s_is_markup(make, evil):
    made = html(make(evil))
    tree = tree_of(made)
    assert len(list(tree.iter("script"))) == 1
    assert not list(tree.iter("img"))
    assert not [name for node in tree.iter() for name in node.attrib if name.startswith("on")]
    assert made.count("<!--") == 0


def test_the_script_is_the_one_that_the_policy_allows():
    import base64
    import hashlib

    made = html(every_kind())
    script = re.search(r"<script>(.*)</script>", made, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in made


def test_a_sentence_with_half_a_formula_is_refused():
    with pytest.raises(UnsupportedError, match=r"odd number of \$"):
        html(document(Prose("", "costs $ 5")))


def test_pictures_are_cleaned_and_themed():
    source = """<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x.dtd">
    <svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" onload="alert(1)">
    <script>alert(1)</script><style>* { fill: red }</style><foreignObject><p>x</p></foreignObject>
    <a href="javascript:alert(1)"><rect id="r" fill="#000000" stroke="White"/></a>
    <use xlink:href="#r" fill="url(#g)"/><use href="https://example.org/#r"/>
    <image href="data:image/png;base64,AAAA"/><image href="data:text/html,x"/>
    <g style="fill: black; background: url(https://example.org)">a &lt; b</g></svg>"""
    made = inline_svg(source, 'a "graph"', "p-")
    tree = tree_of(made)
    assert tree.get("aria-label") == 'a "graph"'
    assert tree.get("role") == "img"
    assert [node.tag for node in tree.iter()] == ["svg", "use", "use", "image", "image", "g"]
    assert [node.get("href") for node in tree] == ["#p-r", None, "data:image/png;base64,AAAA", None, None]
    assert tree[0].get("fill") == "url(#p-g)"
    assert tree[4].get("style") == "fill: currentColor"
    assert tree[4].text == "a < b"
    assert not re.search("alert|example|red|onload", made)
    rect = tree_of(inline_svg('<svg><rect fill="#000" stroke="White"/></svg>', "", ""))[0]
    assert rect.attrib == {"fill": "currentColor", "stroke": "var(--gl-paper)"}


@pytest.mark.parametrize("source", ["", "<svg", "<html/>", "no picture"])
def test_what_is_no_picture_is_refused(source):
    with pytest.raises(UnsupportedError, match="no SVG"):
        inline_svg(source, "", "")
