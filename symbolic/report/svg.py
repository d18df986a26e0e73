"""Drawings inside of a page: nothing in them runs, loads or clashes with the page, and their colours are the page's."""

from __future__ import annotations

import re
from html import escape
from xml.etree import ElementTree

from ..errors import UnsupportedError

_TAGS = frozenset(
    """svg g path rect circle ellipse line polyline polygon text tspan defs use title desc clipPath marker symbol
    linearGradient radialGradient stop pattern image""".split()
)
_LINK = re.compile(r"#[\w.:-]+|data:image/png;base64,[A-Za-z0-9+/=\s]*")
_INK = re.compile(r"(?:black|#000|#000000)$", re.I)
_PAPER = re.compile(r"(?:white|#fff|#ffffff)$", re.I)
_PAINTS = frozenset("fill stroke color stop-color".split())


def inline_svg(source: str, alt: str, prefix: str) -> str:
    """An ``<svg>`` element for a page.

    Parameters
    ----------
    source : an SVG file
    alt : what is to be seen, for those who do not see it
    prefix : put before each id, for the ids of a page are all different

    Raises
    ------
    UnsupportedError
        If `source` is no SVG.
    """
    try:
        root = ElementTree.fromstring(source)
    except ElementTree.ParseError as error:
        raise UnsupportedError(f"a picture is no SVG: {error}") from None
    if _local(root.tag) != "svg":
        raise UnsupportedError(f"a picture is no SVG: found <{_local(root.tag)}>")
    root.attrib.setdefault("fill", "currentColor")
    root.set("role", "img")
    root.set("aria-label", alt)
    return _written(root, prefix)


def _local(name: str) -> str:
    return name.rpartition("}")[2] if isinstance(name, str) else ""


def _written(node: ElementTree.Element, prefix: str) -> str:
    tag = _local(node.tag)
    if tag not in _TAGS:  # scripts, style sheets that would hold for all of the page, HTML
        return ""
    attributes = ""
    for name, value in node.attrib.items():
        kept = _kept(_local(name), value, prefix)
        attributes += f' {_local(name)}="{escape(kept)}"' if kept else ""
    inside = escape(node.text or "", quote=False)
    for child in node:
        inside += _written(child, prefix) + escape(child.tail or "", quote=False)
    return f"<{tag}{attributes}>{inside}</{tag}>"


def _kept(name: str, value: str, prefix: str) -> str:
    """The value of an attribute as it may stand on the page; "" for one that may not."""
    if name.startswith("on") or not re.fullmatch(r"[\w-]+", name) or name == "class":
        return ""
    if name == "id":
        return prefix + value
    if name == "href":
        return (f"#{prefix}{value[1:]}" if value[0] == "#" else value) if _LINK.fullmatch(value) else ""
    if name == "style":
        pairs = [entry.partition(":") for entry in value.split(";") if ":" in entry]
        kept = [(key.strip(), _kept(key.strip(), setting.strip(), prefix)) for key, _, setting in pairs]
        return "; ".join(f"{key}: {setting}" for key, setting in kept if setting)
    if "url(" in value.lower():
        inside = re.fullmatch(r"url\(['\"]?#([\w.:-]+)['\"]?\)", value.strip())
        return f"url(#{prefix}{inside[1]})" if inside else ""
    if name in _PAINTS:
        return _INK.sub("currentColor", _PAPER.sub("var(--gl-paper)", value))
    return value
