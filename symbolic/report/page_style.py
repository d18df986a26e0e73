"""How pages look: the style sheet of HTML pages, and their one script."""

from __future__ import annotations

from ..pictures.colours import COLOURS, colour_properties

# Names begin with gl- and rules with .gl-page, so that a page inside of another (a notebook's) leaves that one alone.
STYLE = """
.gl-page { color: var(--gl-ink, inherit); line-height: 1.55; container-type: inline-size; overflow-wrap: break-word;
  --gl-paper: transparent; --gl-wash: color-mix(in srgb, currentColor 5%, transparent);
  --gl-soft: color-mix(in srgb, currentColor 70%, transparent);
  --gl-rule: color-mix(in srgb, currentColor 18%, transparent); }
.gl-page * { box-sizing: border-box; }
.gl-page math { font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", "TeX Gyre Termes Math", math;
  font-size: 1.08em; text-indent: 0; }
.gl-line math { margin: 0.12em 0; }
.gl-page mtd { text-align: left; padding: 0.2em 0; }
.gl-page mtd + mtd { padding-left: 1.2em; }
.gl-page h1, .gl-page h2, .gl-page h3 { line-height: 1.25; font-weight: 600; text-wrap: balance; }
.gl-page p { margin: 0.6em 0; max-width: 42em; }
.gl-lines { display: grid; grid-template-columns: max-content max-content minmax(0, 1fr) auto; align-items: baseline;
  gap: 0.55em 0; margin: 1em 0; }
.gl-line, .gl-formula { display: contents; }
.gl-left { grid-column: 1; text-align: right; }
.gl-equals { grid-column: 2; margin: 0 0.28em; }
.gl-right { grid-column: 3; overflow-x: auto; overflow-y: hidden; padding: 0.1em 0; line-height: 2; }
.gl-whole { grid-column: 1 / 4; }
.gl-term { display: inline-flex; flex-wrap: wrap; align-items: baseline; max-width: 100%; text-indent: 0; }
.gl-tight { white-space: nowrap; }
.gl-beside { grid-column: 3 / -1; color: var(--gl-soft); font-size: 0.92em; }
.gl-beside p { margin: 0 0 0.2em; }
.gl-page summary { cursor: pointer; color: var(--gl-accent, inherit); width: fit-content; }
.gl-beside summary { color: var(--gl-soft); font-size: 0.9em; }
.gl-page summary:hover { text-decoration: underline; }
.gl-page details { margin: 0.2em 0; }
.gl-page details[open] > summary { margin-bottom: 0.4em; }
.gl-inside { border-left: 2px solid var(--gl-rule); padding-left: 1em; }
.gl-steps { list-style: none; margin: 0; padding: 0 0 0 1em; border-left: 2px solid var(--gl-rule); }
.gl-steps li { margin: 0 0 0.5em; }
.gl-steps .gl-right { color: var(--gl-ink, inherit); padding-left: 1.2em; }
.gl-scroll { overflow-x: auto; margin: 1em 0; }
.gl-page table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0; color: inherit; }
.gl-page caption { text-align: left; color: var(--gl-soft); padding-bottom: 0.4em; }
.gl-page th, .gl-page td { text-align: left; padding: 0.35em 1.2em 0.35em 0; border-bottom: 1px solid var(--gl-rule);
  vertical-align: baseline; background: none; }
.gl-page th { font-weight: 600; border-bottom-color: var(--gl-soft); }
.gl-page th:last-child, .gl-page td:last-child { padding-right: 0; }
.gl-page .gl-number { text-align: right; white-space: nowrap; }
.gl-page figure { margin: 1em 0; overflow-x: auto; }
.gl-page svg { display: block; stroke-linejoin: round; }
.gl-tools { grid-column: 4; align-self: center; padding-left: 0.6em; }
.gl-tools button { font: 0.72rem/1.5 system-ui, sans-serif; color: var(--gl-soft); background: none; cursor: pointer;
  border: 1px solid transparent; border-radius: 0.4em; padding: 0.1em 0.55em; }
.gl-line:hover .gl-tools button { border-color: var(--gl-rule); }
.gl-tools button:hover, .gl-tools button:focus-visible { color: var(--gl-accent, inherit); border-color: currentColor; }
.gl-copy { grid-column: 1 / -1; width: 100%; font: 0.85rem/1.4 ui-monospace, monospace; color: inherit;
  background: var(--gl-wash); border: 1px solid var(--gl-rule); border-radius: 0.4em; padding: 0.5em; }
.gl-judged { display: grid; grid-template-columns: 1.5em auto minmax(0, 1fr); align-items: baseline; column-gap: 0.5em;
  border-left: 0.25em solid var(--gl-tone); padding: 0.3em 0.8em; margin: 0.4em 0; }
.gl-mark { color: var(--gl-tone); font-weight: 700; font-family: system-ui, sans-serif; text-align: center; }
.gl-place { color: var(--gl-soft); font-size: 0.85em; min-width: 1.6em; text-align: right;
  font-variant-numeric: tabular-nums; }
.gl-claim { grid-column: 3; min-width: 0; }
.gl-claim p.gl-words { margin: 0.1em 0; color: var(--gl-tone); font-size: 0.95em; }
.gl-headline { grid-template-columns: 1.5em minmax(0, 1fr); padding: 0.7em 0.9em; margin: 1em 0; }
.gl-headline .gl-claim { grid-column: 2; }
.gl-headline > .gl-mark, .gl-headline > .gl-claim > p.gl-words { font-size: 1.2em; font-weight: 600; }
.gl-headline, .gl-judged:has(> .gl-claim > .gl-more) {
  background: color-mix(in srgb, var(--gl-tone) 7%, transparent); border-radius: 0 0.4em 0.4em 0; }
.gl-is-right { --gl-tone: var(--gl-tone-right); }
.gl-is-wrong { --gl-tone: var(--gl-tone-bad); }
.gl-is-partly, .gl-is-open { --gl-tone: var(--gl-tone-amber); }
.gl-is-follows, .gl-is-defines { --gl-tone: var(--gl-tone-grey); }
.gl-written { display: flex; align-items: baseline; justify-content: space-between; gap: 0.5em; }
.gl-written > .gl-right { flex: 1; min-width: 0; line-height: 2; }
.gl-page pre.gl-code { font: 0.88em/1.45 ui-monospace, "DejaVu Sans Mono", monospace; margin: 0.3em 0;
  padding: 0.5em 0.7em; background: var(--gl-wash); border-radius: 0.4em; overflow-x: auto; white-space: pre;
  max-width: 100%; color: inherit; }
.gl-titled { margin: 0.9em 0; }
.gl-page p.gl-title { font-weight: 600; margin: 0 0 0.2em; }
.gl-titled .gl-lines { margin: 0.4em 0; }
.gl-titled p { margin: 0.3em 0; }
@container (max-width: 36rem) {
  .gl-judged { padding: 0.3em 0.4em; column-gap: 0.3em; }
  .gl-claim .gl-more { margin-left: -2.6em; }
  .gl-headline .gl-claim .gl-more, .gl-headline .gl-claim .gl-written { margin-left: -1.6em; }
  .gl-lines, .gl-line { display: block; }
  .gl-line { margin: 0 0 0.9em; }
  .gl-formula { display: block; overflow-x: auto; overflow-y: hidden; padding: 0.1em 0 0.1em 1.4em;
    text-indent: -1.4em; line-height: 2; }
  .gl-left, .gl-equals, .gl-right, .gl-whole { display: inline; padding: 0; }
  .gl-beside { padding-left: 1.4em; }
  .gl-steps .gl-right { display: block; overflow-x: auto; padding-left: 0.4em; }
  .gl-line { position: relative; }
  .gl-tools { position: absolute; top: 0; right: 0; text-indent: 0; line-height: 1.5; }
  .gl-tools { pointer-events: none; opacity: 0; }
  .gl-line:hover .gl-tools, .gl-tools:focus-within { pointer-events: auto; opacity: 1; }
  .gl-tools button { background: var(--gl-paper); border-color: currentColor; }
}
@media print {
  .gl-tools { display: none; }
  .gl-page details::details-content { content-visibility: visible; display: block; height: auto; }
  .gl-formula > *, .gl-steps li, .gl-page tr, .gl-page figure { break-inside: avoid; }
  .gl-page h2, .gl-page h3 { break-after: avoid; }
}
"""

# What was judged: right is green, wrong is red; each is readable on the paper of its theme.
_TONES = {
    "right": COLOURS["value"], "bad": COLOURS["gradient"], "amber": COLOURS["target"], "grey": COLOURS["faint"],
}  # fmt: skip


def _tones(theme: int) -> str:
    return "".join(f"--gl-tone-{name}:{pair[theme]};" for name, pair in _TONES.items())


STYLE += f".gl-judged {{ {_tones(0)} }}\n@media (prefers-color-scheme: dark) {{ .gl-judged {{ {_tones(1)} }} }}\n"

# Pictures are let in without styles of their own.
STYLE += (
    f".gl-page svg {{ {colour_properties(0)} }}\n"
    f"@media (prefers-color-scheme: dark) {{ .gl-page svg {{ {colour_properties(1)} }} }}\n"
)

# A page of its own has colours of its own; one inside of another takes those that it finds.
ALONE = """
:root { color-scheme: light dark; --paper: #fdfdfb; --ink: #1d1e22; --soft: #5c6068; --rule: #dfded8; --accent: #1b5a9e;
  --wash: #f3f2ed; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15171b; --ink: #e6e6e2; --soft: #a4a8b0; --rule: #353941; --accent: #8fbcf3; --wash: #1f2228; }
}
body { margin: 0; background: var(--paper); }
body .gl-page { --gl-ink: var(--ink); --gl-paper: var(--paper); --gl-soft: var(--soft); --gl-rule: var(--rule);
  --gl-accent: var(--accent); --gl-wash: var(--wash); max-width: 62rem; margin: 0 auto; padding: 2.2rem 1.2rem 4rem;
  font-family: Charter, "Bitstream Charter", "Sitka Text", Cambria, "Source Serif 4", Georgia, serif;
  font-size: 1.0625rem; }
.gl-page h1 { font-size: 1.9rem; margin: 0 0 1rem; }
.gl-page h2 { font-size: 1.3rem; margin: 2.6rem 0 0.8rem; padding-top: 0.9rem; border-top: 1px solid var(--gl-rule); }
.gl-count { color: var(--gl-soft); font-weight: 400; margin-right: 0.7em; }
.gl-contents ol { display: flex; flex-wrap: wrap; gap: 0.2rem 1.6rem; margin: 0; padding: 0; list-style: none; }
.gl-contents .gl-count { margin-right: 0.45em; }
.gl-contents a { color: var(--gl-accent); text-decoration: none; }
.gl-contents a:hover { text-decoration: underline; }
@media print {
  :root { --paper: #fff; --ink: #000; --soft: #444; --rule: #bbb; --accent: #000; --wash: #fff; color-scheme: light; }
  body .gl-page { max-width: none; padding: 0; font-size: 10.5pt; }
}
"""

# Without the right to the clipboard the LaTeX is shown selected. No < and no &: the page is XML too.
SCRIPT = """
"use strict";
for (const button of document.querySelectorAll("button[data-latex]")) button.hidden = false;
document.addEventListener("click", event => {
  const button = event.target.closest("button[data-latex]");
  if (button === null) return;
  const done = () => {
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "TeX"; }, 1500);
  };
  const select = () => {
    const box = document.createElement("textarea");
    box.className = "gl-copy";
    box.readOnly = true;
    box.rows = 3;
    box.value = button.dataset.latex;
    box.setAttribute("aria-label", "LaTeX, selected");
    box.addEventListener("blur", () => box.remove());
    button.closest(".gl-line, .gl-written").append(box);
    box.focus();
    box.select();
  };
  if (navigator.clipboard) navigator.clipboard.writeText(button.dataset.latex).then(done, select);
  else select();
});
"""
