"""Pages in a real browser: nothing wider than the window, every formula drawn, no LaTeX to be seen."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path

import pytest
from page_samples import every_kind, of_gallery

import gradloom as gl
from gradloom.symbolic.report.as_html import html
from gradloom.symbolic.report.document import Document, Formula, Line, Section

pytest.importorskip("latex2mathml")
GALLERY = Path(__file__).parent.parent / "docs" / "gallery"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on the PATH")
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --hide-scrollbars""".split()
MEASURE = r"""
const wide = document.documentElement.scrollWidth;
const seen = {width: innerWidth, wide, scrolled: [], flat: [], raw: []};
for (const math of document.querySelectorAll("math")) {
  const box = math.getBoundingClientRect();
  if (math.checkVisibility() && !(box.width > 0 && box.height > 0)) seen.flat.push(math.getAttribute("alttext"));
}
for (const box of document.querySelectorAll(".gl-formula, .gl-right"))
  if (box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).display === "block")
    seen.scrolled.push(box.querySelector("math").getAttribute("alttext"));
const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
while (walker.nextNode()) if (/[\\$]/.test(walker.currentNode.data)) seen.raw.push(walker.currentNode.data);
seen.ink = getComputedStyle(document.querySelector("main")).color;
"""
REPORT = 'const out = parent.document.createElement("pre"); out.id = "seen"; out.textContent = JSON.stringify(seen);'
FRAME = '<!DOCTYPE html><body><iframe style="border: 0" width="{width}" height="900" srcdoc="{page}"></iframe></body>'


def look(tmp_path, page: str, script: str, width: int, *flags: str) -> dict:
    """What `script`, run in the page, puts into ``seen``; the policy that would forbid it is taken out.

    The window is a frame, for that of a browser without a screen has a least width of its own.
    """
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    page = page.replace("</body>", f"<script>{script}{REPORT} parent.document.body.append(out);</script></body>")
    file = tmp_path / "page.html"
    file.write_text(FRAME.format(width=width, page=escape(page)), encoding="utf-8")
    command = [BROWSER, *FLAGS, *flags, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000"]
    done = subprocess.run([*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=120)
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.S)
    assert found is not None, done.stderr[-2000:]
    return json.loads(unescape(found[1]))


@pytest.fixture(scope="module")
def page() -> str:
    names = ("lstm", "transformer_block", "layer_norm", "max_pooling", "softmax_cross_entropy", "convolution_stride_2")
    sections = [*map(of_gallery, names), *every_kind().sections]
    return html(Document("Networks", sections)).replace("<details>", '<details open="">')


@pytest.mark.parametrize("width", [360, 1200])
def test_a_page_fits_its_window(tmp_path, page, width):
    seen = look(tmp_path, page, MEASURE, width)
    assert seen["width"] == width
    assert seen["wide"] <= width
    assert not seen["flat"]
    assert not seen["raw"]
    assert not seen["scrolled"]  # all of these formulas can be broken where they must


def test_one_endless_formula_scrolls_within_its_box(tmp_path):
    endless = r"\sqrt{" + " + ".join(f"x_{{{n}}}" for n in range(200)) + "}"
    made = html(Document("Long", [Section("One", (Line(Formula("", f"y = {endless}")),))]))
    seen = look(tmp_path, made, MEASURE, 360)
    assert seen["wide"] <= 360
    assert len(seen["scrolled"]) == 1


def test_a_fragment_fits_a_cell_of_a_notebook(tmp_path):
    fragment = html(Document("", [of_gallery("transformer_block")]), standalone=False)
    page = f'<body><main style="width: 300px; color: rgb(1, 2, 3); overflow: hidden">{fragment}</main></body>'
    seen = look(tmp_path, page, MEASURE + 'seen.inside = document.querySelector("main").scrollWidth;', 900)
    assert seen["inside"] <= 300
    assert not seen["flat"]
    inner = look(tmp_path, page, 'const seen = {ink: getComputedStyle(document.querySelector(".gl-page")).color};', 900)
    assert inner["ink"] == "rgb(1, 2, 3)"


def test_light_and_dark(tmp_path):
    made = html(every_kind())
    colours = "const seen = {}; for (const name of ['color', 'backgroundColor']) seen[name] = getComputedStyle("
    colours += "name === 'color' ? document.querySelector('main') : document.body)[name];"
    light = look(tmp_path, made, colours, 800, "--blink-settings=preferredColorScheme=1")
    dark = look(tmp_path, made, colours, 800, "--blink-settings=preferredColorScheme=0")
    for seen, turned in ((light, False), (dark, True)):
        ink, paper = (sum(map(int, re.findall(r"\d+", seen[name])[:3])) for name in ("color", "backgroundColor"))
        assert (ink > paper) == turned
        assert abs(ink - paper) > 3 * 150


def test_latex_is_copied_or_shown_selected(tmp_path):
    made = html(Document("Copy", [Section("One", (Line(Formula("", r"a = \frac{1}{2}")),))]))
    script = r"""
    Object.defineProperty(navigator, "clipboard", {value: undefined});
    const button = document.querySelector("button");
    button.click();
    const box = document.querySelector("textarea");
    const seen = {hidden: button.hidden, text: box.value.substring(box.selectionStart, box.selectionEnd)};
    """
    assert look(tmp_path, made, script, 800) == {"hidden": False, "text": r"a = \frac{1}{2}"}
    script = r"""
    const seen = {};
    Object.defineProperty(navigator, "clipboard", {value: {writeText: async text => { seen.text = text; }}});
    document.querySelector("button").click();
    seen.box = document.querySelector("textarea") !== null;
    """
    assert look(tmp_path, made, script, 800) == {"text": r"a = \frac{1}{2}", "box": False}


@pytest.mark.parametrize("name", sorted(path.name for path in GALLERY.glob("*.html")))
def test_pages_of_the_gallery_fit_a_phone(name, tmp_path):
    text = (GALLERY / name).read_text(encoding="utf-8").replace("<details>", '<details open="">')
    seen = look(tmp_path, text, MEASURE, 360)
    assert seen["wide"] <= seen["width"] == 360
    assert not seen["raw"]
    assert not seen["flat"]


@pytest.mark.parametrize("width", [360, 1200])
def test_a_verdict_fits_its_window(tmp_path, width):
    pytest.importorskip("lark")
    net = gl.Sequential([gl.layers.Dense(3, gl.sigmoid), gl.layers.Dense(2)], 5, loss=gl.losses.SquaredError())
    wrong = r"\delta^{(1)} = (W^{(2)})^\top \delta^{(2)} \odot \sigma(z^{(1)}) \odot (1 - \sigma(z^{(1)})) + a^{(1)}"
    text = f"{wrong}\ndb2 = \\delta^{{(2)}} \\mathbf 1\ndQ = 3\n"
    page = gl.check(net, text, explain=False).html()
    seen = look(tmp_path, page.replace("<details>", '<details open="">'), MEASURE, width)
    assert seen["wide"] <= width
    assert not seen["flat"]
    assert [text for text in seen["raw"] if "\\" in text] == []
